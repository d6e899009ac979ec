"""Compaction: what may go and what stays, and a sweep that may stop anywhere."""

import pytest

from tests.unit.state.replica import Replica, keys_of, shown
from zetcd.base.errors import COMPACTED, FUTURE_REVISION, Error
from zetcd.mvcc.engine import MemoryEngine
from zetcd.wire.entry import Compact, DeleteRange, Put, Range, Txn
from zetcd.wire.queries import History
from zetcd.wire.results import Done, Failed, HistoryCompacted


def failed(error: Error, revision: int) -> Failed:
    return Failed(error.code, error.message, revision)


def rows(engine: MemoryEngine, prefix: bytes) -> list[bytes]:
    return sorted(key[1:] for key in engine.pairs if key[:1] == prefix)


def test_bounds_are_etcds() -> None:
    """semantics 1.2: the current revision may be compacted, twice may not; 0 is accepted in a fresh store."""
    replica = Replica(MemoryEngine())
    twice, ahead = failed(COMPACTED, 1), failed(FUTURE_REVISION, 1)
    assert replica.run(Compact(0), Compact(0), Compact(2)) == [Done(1), twice, ahead]
    replica.run(Put(b"a", b"1"))
    assert replica.run(Compact(2), Compact(2), Compact(1)) == [Done(2), failed(COMPACTED, 2), failed(COMPACTED, 2)]
    assert replica.machine.compact_revision == 2


def test_rule_18_the_logical_revision_decides_reads() -> None:
    """Rows are still there, and yet not readable: in reads, in transactions and in history alike."""
    replica = Replica(MemoryEngine())
    replica.run(Put(b"a", b"1"), Put(b"a", b"2"), Put(b"a", b"3"))
    outcome = replica.execute(Compact(3))
    assert outcome.compacted
    assert replica.machine.swept_revision == -1
    assert replica.read(Range(b"a", revision=2)) == failed(COMPACTED, 4)
    assert replica.one(Txn([], [Range(b"a", revision=2)], [])) == failed(COMPACTED, 4)
    assert replica.read(History(2, 0, [(b"a", b"")])) == HistoryCompacted(4, 3)
    assert shown(replica.read(Range(b"a", revision=3)))[0][1] == b"2"


def test_rule_18_tombstones_at_the_compact_revision_stay() -> None:
    """A watcher may start at the compact revision and must see the delete there, but no former row."""
    replica = Replica(MemoryEngine())
    replica.run(Put(b"a", b"1"), Put(b"b", b"1"), DeleteRange(b"a"), Compact(4))
    while replica.machine.sweep(1):
        pass
    _, events = replica.history(History(4, 0, [(b"\x00", b"\x00")], prev_kv=True))
    assert [(event.revision, event.key, event.row, event.prev) for event in events] == [(4, b"a", None, None)]


def test_what_goes_and_what_stays() -> None:
    engine = MemoryEngine()
    replica = Replica(engine)
    replica.run(Put(b"a", b"1"), Put(b"b", b"1"), Put(b"a", b"2"), DeleteRange(b"b"), Put(b"a", b"3"), Compact(4))
    while replica.machine.sweep(1):
        pass
    replica.flush()
    assert rows(engine, b"c") == [b"a"]
    assert rows(engine, b"h") == [b"a\x00" + (6).to_bytes(8, "big"), b"b\x00" + (5).to_bytes(8, "big")]
    assert rows(engine, b"r") == [revision.to_bytes(8, "big") + bytes(4) for revision in (4, 5, 6)]
    replica.run(Compact(6))
    assert not replica.machine.sweep(100)
    replica.flush()
    assert rows(engine, b"h") == []
    assert rows(engine, b"r") == [(6).to_bytes(8, "big") + bytes(4)]
    assert keys_of(replica.read(Range(b"\x00", b"\x00"))) == [b"a"]


def test_a_sweep_that_stops_goes_on_after_a_crash() -> None:
    """Its cursor and its deletions are in the same batch: whatever reached the disk, the rest is found."""
    for slices in range(12):
        engine = MemoryEngine()
        replica = Replica(engine)
        for number in range(10):
            replica.run(Put(b"a", b"%d" % number))
        replica.run(Compact(8))
        for at in range(slices):
            replica.machine.sweep(1)
            if at % 3 == 1:
                replica.flush()
        survivor = engine.fork()
        replica.open(survivor)
        while replica.machine.sweep(1):
            pass
        replica.flush()
        assert replica.machine.swept_revision == 8
        assert rows(survivor, b"h") == [b"a\x00" + end.to_bytes(8, "big") for end in (9, 10, 11)]
        assert rows(survivor, b"r") == [revision.to_bytes(8, "big") + bytes(4) for revision in (8, 9, 10, 11)]


def test_a_new_compaction_waits_for_the_sweep_under_way() -> None:
    engine = MemoryEngine()
    replica = Replica(engine)
    for number in range(10):
        replica.run(Put(b"a", b"%d" % number))
    replica.run(Compact(5))
    assert replica.machine.sweep(1)
    replica.run(Compact(9))
    swept = []
    while replica.machine.sweep(1):
        swept.append(replica.machine.swept_revision)
    assert set(swept) == {-1, 5}
    assert replica.machine.swept_revision == 9
    replica.flush()
    assert len(rows(engine, b"r")) == 3


def test_a_large_revision_is_swept_in_slices() -> None:
    """A thousand changes of one revision are a thousand rows of the log: a slice ends within."""
    replica = Replica(MemoryEngine())
    replica.run(Txn([], [Put(b"%d" % number, b"") for number in range(50)], []), DeleteRange(b"\x00", b"\x00"))
    replica.run(Put(b"x", b""), Compact(4))
    slices = 0
    while replica.machine.sweep(10):
        slices += 1
    assert slices >= 9


@pytest.mark.parametrize("count", [1, 3, 1_000])
def test_sweeping_changes_nothing_that_can_be_read(count: int) -> None:
    replica = Replica(MemoryEngine())
    for number in range(20):
        replica.run(Put(b"%d" % (number % 7), b"%d" % number))
    replica.run(DeleteRange(b"3"), Compact(15))
    queries = [Range(b"\x00", b"\x00", revision=revision) for revision in range(15, 23)]
    before = [replica.read(query) for query in queries]
    while replica.machine.sweep(count):
        assert [replica.read(query) for query in queries] == before
    assert [replica.read(query) for query in queries] == before
