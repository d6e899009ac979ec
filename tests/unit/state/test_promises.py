"""Plain puts are answered before the store is read; nobody can tell from anything but the time it takes."""

from random import Random

import pytest

from tests.unit.state.replica import Replica, shown
from zetcd.mvcc.engine import Get, MemoryEngine
from zetcd.wire.entry import (
    IGNORE_VALUE,
    PREV_KV,
    Alarm,
    Command,
    Compact,
    Compare,
    DeleteRange,
    LeaseGrant,
    LeaseRevoke,
    Put,
    Range,
    Txn,
)
from zetcd.wire.local import LeaseRow
from zetcd.wire.queries import HashKv, LeaseInfo, StoreStatus
from zetcd.wire.results import Failed, LeaseIs, PutDone, Status


class Counting(MemoryEngine):
    """Counts what is read of it."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0
        get = self.get

        def counted(key: bytes) -> bytes | None:
            self.reads += 1
            return get(key)

        self.get: Get = counted


@pytest.fixture
def replica() -> Replica:
    found = Replica(Counting(), event_level=0)
    found.run(LeaseGrant(5, 60), Put(b"old", b"1"), Put(b"leased", b"1", 5))
    found.flush()
    return found


def version(replica: Replica, key: bytes) -> int:
    ((_, _, _, _, found, _),) = shown(replica.read(Range(key)))
    return found


def reads(replica: Replica) -> int:
    assert isinstance(replica.engine, Counting)
    return replica.engine.reads


def test_plain_puts_are_answered_before_the_rows_they_overwrite_are_read(replica: Replica) -> None:
    before, revision = reads(replica), replica.machine.revision
    assert replica.run(Put(b"old", b"2"), Put(b"new", b"1"), Put(b"old", b"3")) == [
        PutDone(revision + number, None) for number in (1, 2, 3)
    ]
    assert replica.run(Put(b"leased", b"2")) == [PutDone(revision + 4, None)]
    assert reads(replica) == before
    assert replica.machine.revision == revision + 4
    assert replica.machine.applied == len(replica.log)
    assert replica.machine.overlay_bytes, "what is promised counts as what is not synced"
    replica.machine.settle()
    assert reads(replica) > before
    assert [version(replica, key) for key in (b"old", b"new", b"leased")] == [3, 1, 2]
    assert replica.read(LeaseInfo(5, keys=True)) == LeaseIs(replica.machine.revision, 5, 60, [])
    after = reads(replica)
    replica.machine.settle()
    assert reads(replica) == after
    assert replica.machine.revision == revision + 4


@pytest.mark.parametrize(
    "command",
    [
        Put(b"old", b"", 0, IGNORE_VALUE),
        Put(b"old", b"2", 0, PREV_KV),
        Put(b"old", b"2", 5),
        Put(b"old", b"2", 6),
        Txn([Compare(0, 2, b"old", 2)], [Range(b"old")], [Put(b"no", b"")]),
        DeleteRange(b"old"),
        LeaseRevoke(5),
        Compact(3),
    ],
)
def test_whatever_else_depends_on_the_store_sees_the_puts_before_it(replica: Replica, command: Command) -> None:
    twin = Replica(MemoryEngine(), list(replica.log), event_level=2)
    for commands in ([Put(b"old", b"2"), Put(b"leased", b"2")], [command], [Put(b"old", b"4"), command]):
        assert replica.run(*commands) == twin.run(*commands)
    assert replica.read(Range(b"\0", b"\0")) == twin.read(Range(b"\0", b"\0"))


def test_a_put_that_an_alarm_forbids_is_not_promised(replica: Replica) -> None:
    replica.run(Alarm(1, 1, 1))
    assert isinstance(replica.one(Put(b"old", b"2")), Failed)
    replica.run(Alarm(2, 1, 1))
    assert isinstance(replica.one(Put(b"old", b"2")), PutDone)


def test_rule_16_who_begins_to_watch_gets_no_event_of_what_was_answered_before(replica: Replica) -> None:
    replica.run(Put(b"old", b"2"))
    replica.machine.event_level = 2
    revision = replica.machine.revision
    outcome = replica.execute(Put(b"old", b"3"))
    assert [event.revision for event in outcome.events] == [revision + 1]
    assert outcome.events[0].prev is not None
    assert replica.one(Put(b"old", b"4")) == PutDone(revision + 2, None)


def test_rule_23_a_flush_holds_what_was_promised_or_the_log_does(replica: Replica) -> None:
    replica.run(Put(b"old", b"2"))
    replica.flush()
    assert replica.machine.flushed_index == len(replica.log)
    replica.run(Put(b"old", b"3"))
    assert isinstance(replica.engine, Counting)
    survivor = Replica(replica.engine.fork(), replica.log, event_level=0)
    assert version(survivor, b"old") == 3
    assert survivor.read(HashKv(0)) == replica.read(HashKv(0))


def test_a_lease_list_and_a_sweep_see_it(replica: Replica) -> None:
    replica.run(Put(b"old", b"2"))
    assert replica.machine.lease_rows(0, 9) == [LeaseRow(5, 60, 1)]
    replica.run(Compact(replica.machine.revision), Put(b"old", b"3"))
    while replica.machine.sweep():
        pass
    assert version(replica, b"old") == 3


def test_random_blocks_with_and_without_promises_are_the_same_to_every_reader() -> None:
    dice = Random(11)
    plain, watched = Replica(MemoryEngine(), event_level=0), Replica(MemoryEngine(), event_level=2)
    for replica in (plain, watched):
        replica.run(LeaseGrant(1, 10))
    for _ in range(400):
        block: list[Command] = []
        for _ in range(dice.randrange(1, 5)):
            key = b"k%d" % dice.randrange(12)
            kinds: list[Command] = [
                Put(key, b"plain"),
                Put(key, b"leased", 1),
                Put(key, b"", 0, PREV_KV),
                DeleteRange(key, b"k5", PREV_KV),
                Txn([Compare(0, 2, key, 0)], [Put(key, b"txn")], [Range(b"k", b"l")]),
                Compact(plain.machine.revision - 3),
            ]
            block.append(dice.choices(kinds, [30, 2, 2, 1, 1, 1])[0])
        assert plain.run(*block) == watched.run(*block)
        what = dice.randrange(8)
        if what == 0:
            query = Range(b"k", b"l", dice.randrange(4))
            assert plain.read(query) == watched.read(query)
            status = plain.read(StoreStatus())
            assert isinstance(status, Status)
            assert status.revision == watched.machine.revision
        elif what == 1:
            plain.flush()
        elif what == 2:
            assert isinstance(plain.engine, MemoryEngine)
            plain.open(plain.engine.fork())
        elif what == 3:
            plain.machine.settle()
        assert plain.machine.revision == watched.machine.revision
    assert plain.read(Range(b"", b"\0")) == watched.read(Range(b"", b"\0"))
    assert plain.read(HashKv(0)) == watched.read(HashKv(0))
