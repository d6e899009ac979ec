"""Commands one by one: puts, deletes and transactions with etcd's rules (semantics 1.2)."""

import pytest

from tests.unit.state.replica import Replica, shown
from zetcd.base import limits
from zetcd.base.errors import DUPLICATE_KEY, FUTURE_REVISION, KEY_NOT_FOUND, LEASE_NOT_FOUND, Error
from zetcd.mvcc.engine import MemoryEngine
from zetcd.mvcc.keys import header_of, value_of
from zetcd.state.machine import Machine
from zetcd.wire.entry import (
    IGNORE_LEASE,
    IGNORE_VALUE,
    PREV_KV,
    Block,
    Command,
    Compare,
    CompareResult,
    CompareTarget,
    DeleteRange,
    Entry,
    LeaseGrant,
    LeaseRevoke,
    NoOp,
    Put,
    Range,
    Txn,
    encode_entries,
)
from zetcd.wire.results import DeleteDone, Done, Failed, PutDone, RangeDone, Result, TxnDone


@pytest.fixture
def replica() -> Replica:
    return Replica(MemoryEngine())


def failed(error: Error, revision: int) -> Failed:
    return Failed(error.code, error.message, revision)


def succeeded(result: Result) -> bool:
    assert isinstance(result, TxnDone), result
    return result.succeeded


def test_revisions_start_at_one_and_count_changes(replica: Replica) -> None:
    assert replica.machine.revision == 1
    same = Put(b"a", b"same")
    assert replica.run(same, same) == [PutDone(2), PutDone(3)]
    assert replica.one(DeleteRange(b"nothing")) == DeleteDone(3, 0, [])
    read = replica.read(Range(b"a"))
    assert isinstance(read, RangeDone)
    assert replica.one(Txn([], [Range(b"a")], [])) == TxnDone(3, True, [read])
    assert replica.one(NoOp()) == Done(3)


def test_versions_count_until_a_delete(replica: Replica) -> None:
    replica.run(Put(b"a", b"1"), Put(b"a", b"2"))
    assert shown(replica.read(Range(b"a"))) == [(b"a", b"2", 2, 3, 2, 0)]
    replica.run(DeleteRange(b"a"), Put(b"a", b"3"))
    assert shown(replica.read(Range(b"a"))) == [(b"a", b"3", 5, 5, 1, 0)]


def test_prev_kv(replica: Replica) -> None:
    first = replica.one(Put(b"a", b"1", 0, PREV_KV))
    second = replica.one(Put(b"a", b"2", 0, PREV_KV))
    assert first == PutDone(2, None)
    assert isinstance(second, PutDone)
    assert second.prev is not None
    assert (header_of(second.prev), value_of(second.prev)) == ((2, 2, 1, 0, 0), b"1")
    replica.one(Put(b"b", b"9"))
    gone = replica.one(DeleteRange(b"a", b"c", PREV_KV))
    assert isinstance(gone, DeleteDone)
    assert [(key, value_of(row)) for key, row in gone.prevs] == [(b"a", b"2"), (b"b", b"9")]
    assert replica.one(DeleteRange(b"a", b"c", PREV_KV)) == DeleteDone(5, 0, [])


def test_ignore_value_and_ignore_lease(replica: Replica) -> None:
    assert replica.one(Put(b"a", b"", 0, IGNORE_VALUE)) == failed(KEY_NOT_FOUND, 1)
    assert replica.one(Put(b"a", b"v", 0, IGNORE_LEASE)) == failed(KEY_NOT_FOUND, 1)
    replica.run(LeaseGrant(7, 10), LeaseGrant(8, 10), Put(b"a", b"1", 7))
    replica.run(Put(b"a", b"2", 0, IGNORE_LEASE))
    assert shown(replica.read(Range(b"a"))) == [(b"a", b"2", 2, 3, 2, 7)]
    replica.run(Put(b"a", b"", 8, IGNORE_VALUE))
    assert shown(replica.read(Range(b"a"))) == [(b"a", b"2", 2, 4, 3, 8)]
    replica.run(Put(b"a", b"", 0, IGNORE_VALUE | IGNORE_LEASE))
    assert shown(replica.read(Range(b"a"))) == [(b"a", b"2", 2, 5, 4, 8)]


def test_an_unknown_lease_is_found_before_a_missing_key(replica: Replica) -> None:
    """A put asks for the lease first, a transaction for the key first, as in etcd."""
    put = Put(b"a", b"", 7, IGNORE_VALUE)
    assert replica.one(put) == failed(LEASE_NOT_FOUND, 1)
    assert replica.one(Txn([], [put], [])) == failed(KEY_NOT_FOUND, 1)


def test_delete_range_is_one_revision_in_key_order(replica: Replica) -> None:
    replica.run(*[Put(key, b"") for key in (b"c", b"a", b"b\x00", b"b")])
    outcome = replica.execute(DeleteRange(b"a", b"c"))
    assert outcome.replies[0][2] == DeleteDone(6, 3, [])
    assert [(event.revision, event.sub, event.key, event.row) for event in outcome.events] == [
        (6, 0, b"a", None),
        (6, 1, b"b", None),
        (6, 2, b"b\x00", None),
    ]


def test_compares(replica: Replica) -> None:
    replica.run(LeaseGrant(7, 10), Put(b"a", b"1"), Put(b"a", b"m", 7))  # version 2, create 2, mod 3, lease 7
    equal, greater, less, other = range(4)
    for target, number in ((0, 2), (1, 2), (2, 3), (4, 7)):
        for result, offset, expected in (
            (equal, 0, True), (equal, 1, False), (greater, -1, True), (greater, 0, False),
            (less, 1, True), (less, 0, False), (other, 1, True), (other, 0, False),
        ):  # fmt: skip
            assert succeeded(replica.one(Txn([Compare(result, target, b"a", number + offset)], [], []))) == expected
    for result, value, expected in (
        (equal, b"m", True), (equal, b"n", False), (greater, b"l", True), (greater, b"m", False),
        (less, b"ma", True), (less, b"m", False), (other, b"", True), (other, b"m", False),
    ):  # fmt: skip
        assert succeeded(replica.one(Txn([Compare(result, 3, b"a", 0, value)], [], []))) == expected


def test_compares_of_a_missing_key(replica: Replica) -> None:
    for target in (0, 1, 2, 4):
        assert succeeded(replica.one(Txn([Compare(0, target, b"x", 0)], [], [])))
        assert not succeeded(replica.one(Txn([Compare(1, target, b"x", 0)], [], [])))
    assert not any(succeeded(replica.one(Txn([Compare(result, 3, b"x", 0, b"v")], [], []))) for result in range(4))


def test_range_compares(replica: Replica) -> None:
    replica.run(Put(b"a/1", b"x"), Put(b"a/2", b"x"), Put(b"a/2", b"x"))
    assert succeeded(replica.one(Txn([Compare(0, 3, b"a/", 0, b"x", b"a0")], [], [])))
    assert not succeeded(replica.one(Txn([Compare(0, 0, b"a/", 1, b"", b"a0")], [], [])))
    assert succeeded(replica.one(Txn([Compare(0, 1, b"q", 0, b"", b"r")], [], []))), "an empty range is a missing key"
    assert not succeeded(replica.one(Txn([Compare(3, 3, b"q", 0, b"v", b"r")], [], [])))
    assert not succeeded(replica.one(Txn([Compare(0, 1, b"a/", 0, b"", b"\x00")], [], [])))


def test_reads_see_earlier_writes_of_their_transaction(replica: Replica) -> None:
    replica.run(Put(b"k", b"1"))
    read, old = Range(b"k"), Range(b"k", revision=2)
    done = replica.one(Txn([], [read, Put(b"k", b"2"), read, old, DeleteRange(b"q"), Put(b"z", b"")], []))
    assert isinstance(done, TxnDone)
    before, put, after, past, deleted, last = done.results
    assert shown(before)[0][1] == b"1"
    assert shown(after)[0][1:4] == (b"2", 2, 3)
    assert shown(past)[0][1] == b"1"
    assert isinstance(before, RangeDone)
    assert isinstance(after, RangeDone)
    assert (before.revision, after.revision, done.revision) == (2, 3, 3), "one bump, seen from the first write on"
    assert put == PutDone(3)
    assert deleted == DeleteDone(3, 0, [])
    assert last == PutDone(3)
    assert header_of(replica.read(Range(b"z")).rows[0][1]).sub == 1  # type: ignore[union-attr]


def test_compares_of_nested_transactions_see_the_state_before(replica: Replica) -> None:
    nested = Txn([Compare(0, 1, b"k", 0)], [Put(b"absent", b"")], [Put(b"present", b"")])
    done = replica.one(Txn([], [Put(b"k", b"1"), nested], []))
    assert isinstance(done, TxnDone)
    assert isinstance(done.results[1], TxnDone)
    assert done.results[1].succeeded
    assert [key for key, *_ in shown(replica.read(Range(b"\x00", b"\x00")))] == [b"absent", b"k"]
    assert replica.machine.revision == 2


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (Put(b"x", b"", 99), LEASE_NOT_FOUND),
        (Put(b"x", b"", 0, IGNORE_VALUE), KEY_NOT_FOUND),
        (Range(b"x", revision=50), FUTURE_REVISION),
        (Txn([], [Put(b"x", b"", 99)], []), LEASE_NOT_FOUND),
        (Txn([], [Put(b"good", b"again")], []), DUPLICATE_KEY),
        (DeleteRange(b"go", b"gp"), DUPLICATE_KEY),
    ],
)
def test_a_failure_in_the_taken_branch_writes_nothing(
    replica: Replica, bad: Put | Range | Txn | DeleteRange, error: Error
) -> None:
    good = Put(b"good", b"1")
    assert replica.one(Txn([], [good, bad], [])) == failed(error, 1)
    assert replica.read(Range(b"\x00", b"\x00")) == RangeDone(1, [], more=False, count=0)
    assert succeeded(replica.one(Txn([], [good], [bad]))), "the branch not taken does not matter"


def test_a_key_may_stand_in_both_branches(replica: Replica) -> None:
    assert not succeeded(replica.one(Txn([Compare(1, 0, b"k", 0)], [Put(b"k", b"then")], [Put(b"k", b"else")])))
    assert shown(replica.read(Range(b"k")))[0][1] == b"else"


def test_overlapping_deletes_in_one_transaction(replica: Replica) -> None:
    replica.run(Put(b"a", b""), Put(b"b", b""))
    done = replica.one(Txn([], [DeleteRange(b"a"), DeleteRange(b"a", b"\x00"), DeleteRange(b"b")], []))
    assert isinstance(done, TxnDone)
    assert done.results == [DeleteDone(4, 1, []), DeleteDone(4, 1, []), DeleteDone(4, 0, [])]


def test_event_levels(replica: Replica) -> None:
    commands: list[Command] = [Put(b"a", b"1"), Put(b"a", b"2"), DeleteRange(b"a")]
    replica.machine.event_level = 0
    assert replica.execute(*commands).events == []
    replica.machine.event_level = 1
    assert [event.prev for event in replica.execute(*commands).events] == [None, None, None]
    replica.machine.event_level = 2
    outcome = replica.execute(*commands)
    assert [event.prev is None for event in outcome.events] == [True, False, False]
    assert (outcome.previous, outcome.revision) == (7, 10)


@pytest.mark.parametrize("by_lease", [False, True])
def test_a_change_of_very_many_keys_gives_signs_of_life(by_lease: bool) -> None:
    """A delete of millions of keys takes longer than the watchdog allows a silence, and would be executed again after
    the restart: for ever."""
    signs: list[int] = []
    machine = Machine(MemoryEngine(), lambda: signs.append(machine.applied))
    count = 3 * limits.READ_SLICE_KEYS
    replica = Replica(MemoryEngine())
    commands: list[Command] = [LeaseGrant(9, 60), *(Put(b"%06d" % number, b"", 9) for number in range(count))]
    machine.apply(replica.propose(commands))
    assert not signs
    machine.apply(replica.propose([LeaseRevoke(9) if by_lease else DeleteRange(b"0", b"1")]))
    assert len(signs) >= 6
    assert set(signs) == {count + 1}, "before the change took effect"
    answer = machine.query(Range(b"0", b"1", count_only=True))
    assert isinstance(answer, RangeDone)
    assert answer.count == 0


def test_ranges_of_one_transaction_answer_no_more_than_one_range_may(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica.one(Put(b"k", bytes(2_000)))
    monkeypatch.setattr(limits, "READ_RESULT_BYTES_MAX", 5_000)
    done = replica.one(Txn([], [Put(b"x", b""), *[Range(b"k", b"l")] * 4, Range(b"x")], []))
    assert isinstance(done, TxnDone)
    answers = [each for each in done.results if isinstance(each, RangeDone)]
    assert [(len(each.rows), each.more) for each in answers] == [(1, False)] * 2 + [(0, True)] * 2 + [(1, False)]


# -- long work -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "command",
    [
        DeleteRange(b"k", b"l"),
        Txn([], [Put(b"x", b""), Range(b"k", b"l", keys_only=True)], []),
        Txn([], [Put(b"x", b""), Range(b"k", b"l", revision=2, count_only=True)], []),
        Txn([Compare(CompareResult.GREATER, CompareTarget.VERSION, b"k", range_end=b"l")], [Put(b"x", b"")], []),
        Txn([], [Range(b"k", b"l", max_mod_revision=1)], []),
    ],
)
def test_rule_20_work_on_many_keys_within_one_entry_is_not_taken_for_a_hang(command: Command) -> None:
    """A transaction of 128 ranges over a million keys took minutes: the process was killed, and met it again in the
    log of each member."""
    calls = 0

    def alive() -> None:
        nonlocal calls
        calls += 1

    machine = Machine(MemoryEngine(), alive)
    slices = 5
    puts = [Entry(0, 0, Put(b"k%05d" % at, b"")) for at in range(slices * limits.READ_SLICE_KEYS)]
    machine.apply(Block(1, len(puts), 1, encode_entries(puts)))
    machine.settle()
    assert not calls
    machine.apply(Block(len(puts) + 1, len(puts) + 1, 1, encode_entries([Entry(0, 0, command)])))
    assert calls >= slices - 1
