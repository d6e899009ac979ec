"""Range: etcd's rules and the traps among them (semantics 1.2), and slices (design rule 19)."""

import pytest

from tests.unit.state.replica import Replica, keys_of, shown
from zetcd.base import limits
from zetcd.base.errors import FUTURE_REVISION, INVALID_SORT_OPTION, RANGE_TOO_LARGE, Error
from zetcd.mvcc.cursor import finish
from zetcd.mvcc.engine import EngineScan, MemoryEngine, MemoryTable
from zetcd.mvcc.keys import HEADER_BYTES
from zetcd.state.machine import Cursor
from zetcd.wire.entry import Compact, DeleteRange, Put, Range, SortTarget, Txn
from zetcd.wire.queries import HashKv
from zetcd.wire.results import Failed, RangeDone, Result

ALL = (b"\x00", b"\x00")


@pytest.fixture
def replica() -> Replica:
    """a: version 3, created first; b: version 1, largest value; c: version 2, modified last."""
    made = Replica(MemoryEngine())
    made.run(Put(b"a", b"1"), Put(b"a", b"1"), Put(b"a", b"m"), Put(b"b", b"z"), Put(b"c", b"b"), Put(b"c", b"a"))
    return made


def count_of(result: Result) -> int:
    assert isinstance(result, RangeDone)
    return result.count


def failed(error: Error, revision: int) -> Failed:
    return Failed(error.code, error.message, revision)


@pytest.mark.parametrize(
    ("target", "ascending"),
    [
        (SortTarget.KEY, [b"a", b"b", b"c"]),
        (SortTarget.VERSION, [b"b", b"c", b"a"]),
        (SortTarget.CREATE, [b"a", b"b", b"c"]),
        (SortTarget.MOD, [b"a", b"b", b"c"]),
        (SortTarget.VALUE, [b"c", b"a", b"b"]),
    ],
)
def test_sorts(replica: Replica, target: SortTarget, ascending: list[bytes]) -> None:
    for flush in (False, True):
        if flush:
            replica.flush()
        for order, expected in ((0, ascending), (1, ascending), (2, ascending[::-1]), (7, ascending)):
            assert keys_of(replica.read(Range(*ALL, sort_order=order, sort_target=target))) == expected
            top = replica.read(Range(*ALL, limit=1, sort_order=order, sort_target=target))
            assert keys_of(top) == expected[:1], "the limit comes after the sort, also where etcd errs"
            assert isinstance(top, RangeDone)
            assert (top.more, top.count) == (True, 3)


def test_unknown_sort_target_is_an_error(replica: Replica) -> None:
    """etcd 3.4 and 3.5 crash here."""
    expected = failed(INVALID_SORT_OPTION, replica.machine.revision)
    assert replica.read(Range(b"a", sort_target=5)) == expected
    assert replica.read(Range(*ALL, sort_target=-1)) == expected
    assert replica.one(Txn([], [Range(b"a", sort_target=9)], [])) == expected


def test_filters_do_not_change_count(replica: Replica) -> None:
    answer = replica.read(Range(*ALL, min_mod_revision=5, max_mod_revision=5))
    assert keys_of(answer) == [b"b"]
    assert count_of(answer) == 3
    assert keys_of(replica.read(Range(*ALL, max_create_revision=4))) == [b"a"]
    assert keys_of(replica.read(Range(*ALL, min_create_revision=5, limit=1))) == [b"b"]
    single = replica.read(Range(b"a", min_mod_revision=5))
    assert (keys_of(single), count_of(single)) == ([], 1)


def test_keys_only_and_count_only(replica: Replica) -> None:
    answer = replica.read(Range(*ALL, keys_only=True, sort_target=SortTarget.VALUE))
    assert isinstance(answer, RangeDone)
    assert [key for key, _ in answer.rows] == [b"c", b"a", b"b"]
    assert {len(row) for _, row in answer.rows} == {HEADER_BYTES}
    assert replica.read(Range(*ALL, count_only=True, limit=1)) == RangeDone(7, [], more=False, count=3)
    assert replica.read(Range(b"a", count_only=True)) == RangeDone(7, [], more=False, count=1)
    assert replica.read(Range(b"x", count_only=True)) == RangeDone(7, [], more=False, count=0)


@pytest.mark.parametrize(
    ("key", "range_end", "expected"),
    [
        (b"a", b"", [b"a"]),
        (b"a", b"c", [b"a", b"b"]),
        (b"b", b"\x00", [b"b", b"c"]),
        (b"\x00", b"\x00", [b"a", b"b", b"c"]),
        (b"c", b"a", []),
        (b"a", b"a", []),
        (b"a\x00", b"\x00", [b"b", b"c"]),
    ],
)
def test_range_ends(replica: Replica, key: bytes, range_end: bytes, expected: list[bytes]) -> None:
    assert keys_of(replica.read(Range(key, range_end))) == expected
    assert keys_of(replica.read(Range(key, range_end, sort_order=2))) == expected[::-1]
    assert count_of(replica.read(Range(key, range_end, count_only=True))) == len(expected)


def test_revisions(replica: Replica) -> None:
    assert shown(replica.read(Range(b"a", revision=3))) == [(b"a", b"1", 2, 3, 2, 0)]
    assert keys_of(replica.read(Range(*ALL, revision=5))) == [b"a", b"b"]
    assert keys_of(replica.read(Range(*ALL, revision=-1))) == [b"a", b"b", b"c"]
    assert replica.read(Range(b"a", revision=8)) == failed(FUTURE_REVISION, 7)
    answer = replica.read(Range(b"a", revision=2))
    assert isinstance(answer, RangeDone)
    assert answer.revision == 7, "the header shows the current revision"


def test_a_deleted_key_is_there_in_the_past() -> None:
    replica = Replica(MemoryEngine())
    replica.run(Put(b"a", b"1"), DeleteRange(b"a"), Put(b"a", b"2"))
    assert [count_of(replica.read(Range(b"a", revision=revision))) for revision in (1, 2, 3, 4)] == [0, 1, 0, 1]
    assert [count_of(replica.read(Range(*ALL, revision=revision))) for revision in (1, 2, 3, 4)] == [0, 1, 0, 1]


# -- rule 19 -------------------------------------------------------------------------------------------------------
def many(count: int, *, flush: bool) -> Replica:
    replica = Replica(MemoryEngine())
    replica.run(*[Put(b"%06d" % number, b"v") for number in range(count)])
    if flush:
        replica.flush()
    return replica


@pytest.mark.parametrize("flush", [False, True])
@pytest.mark.parametrize(
    "query",
    [
        Range(*ALL),
        Range(*ALL, revision=2_501),
        Range(*ALL, count_only=True),
        Range(*ALL, sort_order=2, sort_target=4),
        Range(*ALL, min_mod_revision=1_000),
        Range(*ALL, limit=1_500),
        HashKv(),
    ],
    ids=repr,
)
def test_rule_19_long_reads_are_cursors_on_a_pinned_view(query: Range | HashKv, flush: bool) -> None:
    """Each step reads a bounded number of rows, and whatever is written, flushed and compacted between the steps, the
    answer is that of the moment the read began."""
    replica = many(2_500, flush=flush)
    expected = finish_now(many(2_500, flush=flush), query)
    cursor = replica.machine.query(query)
    assert isinstance(cursor, Cursor)
    steps = 1
    while (answer := cursor.step()) is None:
        steps += 1
        replica.run(DeleteRange(b"%06d" % (steps * 700)), Put(b"%06d" % steps, b"new"), Put(b"%06dx" % steps, b"new"))
        replica.flush()
    assert steps >= 2
    assert answer == expected


def test_rule_19_a_count_begun_in_a_later_turn_is_pinned_too() -> None:
    """The limit is reached in the second step, in a store that has not moved; then it moves."""
    replica = many(6_000, flush=True)
    cursor = replica.machine.query(Range(*ALL, limit=1_500))
    assert isinstance(cursor, Cursor)
    assert cursor.step() is None
    replica.run(DeleteRange(b"005", b"\x00"))
    assert count_of(finish(cursor)) == 6_000


def finish_now(replica: Replica, query: Range | HashKv) -> Result:
    cursor = replica.machine.query(query)
    assert isinstance(cursor, Cursor)
    return finish(cursor)


def test_rule_19_a_step_reads_a_bounded_number_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    scan = MemoryTable.scan

    class Counted:
        def __init__(self, inner: EngineScan) -> None:
            self.inner, self.seek, self.close = inner, inner.seek, inner.close

        def take(self, count: int) -> list[tuple[bytes, bytes]]:
            pairs = self.inner.take(count)
            read.append(len(pairs))
            return pairs

    monkeypatch.setattr(MemoryTable, "scan", lambda *args, **options: Counted(scan(*args, **options)))
    replica = many(5_000, flush=True)
    cursor = replica.machine.query(Range(*ALL))
    assert isinstance(cursor, Cursor)
    assert sum(read) <= limits.READ_SLICE_KEYS
    read.clear()
    assert cursor.step() is None
    assert sum(read) <= limits.READ_SLICE_KEYS
    cursor.close()
    cursor.close()


def test_rule_19_large_values_end_a_step_by_bytes() -> None:
    replica = Replica(MemoryEngine())
    replica.run(*[Put(b"%06d" % number, bytes(300_000)) for number in range(40)])
    cursor = replica.machine.query(Range(*ALL))
    assert isinstance(cursor, Cursor), "40 rows, but 12 MB"
    assert count_of(finish(cursor)) == 40


def test_an_answer_has_an_upper_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "READ_RESULT_BYTES_MAX", 10_000)
    replica = Replica(MemoryEngine())
    replica.run(*[Put(b"%06d" % number, bytes(1_000)) for number in range(40)])
    assert replica.read(Range(*ALL)) == failed(RANGE_TOO_LARGE, 41)
    assert count_of(replica.read(Range(*ALL, keys_only=True))) == 40
    assert count_of(replica.read(Range(*ALL, limit=3))) == 40
    top = replica.read(Range(*ALL, limit=2, sort_target=4, sort_order=2))
    assert count_of(replica.read(Range(*ALL, count_only=True))) == 40
    assert isinstance(top, Failed | RangeDone)


def test_pages_know_the_count_of_what_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Paging through a range scans it once for its count, not once a page."""
    replica = many(3_000, flush=True)
    scanned: list[int] = []
    scan = MemoryTable.scan

    class Counted:
        def __init__(self, inner: EngineScan) -> None:
            self.inner, self.seek, self.close = inner, inner.seek, inner.close

        def take(self, count: int) -> list[tuple[bytes, bytes]]:
            pairs = self.inner.take(count)
            scanned.append(len(pairs))
            return pairs

    monkeypatch.setattr(MemoryTable, "scan", lambda *args, **options: Counted(scan(*args, **options)))
    start, counts = b"\x00", []
    while True:
        page = replica.read(Range(start, b"\x00", limit=100))
        assert isinstance(page, RangeDone)
        counts.append(page.count)
        if not page.more:
            break
        start = page.rows[-1][0] + b"\x00"
    assert counts == list(range(3_000, 0, -100))
    assert sum(scanned) < 3 * 3_000


def test_the_count_of_a_past_revision_survives_its_compaction_while_it_is_read() -> None:
    """What the log says of the time since is swept; the pinned rows are not."""
    replica = Replica(MemoryEngine())
    replica.run(*(Put(b"k%05d" % number, b"v") for number in range(3_000)))
    past = replica.machine.revision
    replica.run(*(Put(b"z%05d" % number, b"v") for number in range(100)))
    cursor = replica.machine.query(Range(*ALL, limit=2_500, revision=past))
    assert isinstance(cursor, Cursor)
    replica.run(Compact(replica.machine.revision))
    while replica.machine.sweep():
        pass
    assert count_of(finish(cursor)) == 3_000
