"""The machine against the model: any commands, reads at any revision, flushes, sweeps and crashes at any moment."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.property.state.model import Model
from tests.unit.state.replica import Replica
from zetcd.base import limits
from zetcd.host.leveldb import LevelEngine
from zetcd.mvcc import counting, counts, past
from zetcd.mvcc.cursor import finish
from zetcd.mvcc.engine import MemoryEngine
from zetcd.state import machine as machine_module
from zetcd.state.machine import Cursor, Flush
from zetcd.wire.entry import Compact, Compare, DeleteRange, LeaseCheckpoint, LeaseGrant, LeaseRevoke, Put, Range, Txn
from zetcd.wire.local import Event, LeaseRow
from zetcd.wire.queries import HashKv, History, LeaseInfo, LeaseList, StoreStatus
from zetcd.wire.results import HistoryCompacted, LeaseIs, Leases, Status

KEYS = [
    b"\x00", b"\x00\x00", b"\x00\xff", b"a", b"a\x00", b"a\x00\x00", b"a\x00\xff", b"aa", b"b", b"b/1", b"b/2", b"\xff",
    b"\xff\xff",
]  # fmt: skip
LEASES = [-3, 1, 2, 2**63 - 1]

keys = st.sampled_from(KEYS)
ends = st.one_of(st.just(b""), st.just(b"\x00"), keys)
values = st.sampled_from([b"", b"v", b"w", b"\x00x"])
leases = st.sampled_from([0, 0, 0, *LEASES])
revisions = st.one_of(st.just(0), st.integers(-1, 60))
flags = st.integers(0, 7)


@st.composite
def puts(draw: st.DrawFn) -> Put:
    flag = draw(flags)
    value = b"" if flag & 2 else draw(values)
    lease = 0 if flag & 4 else draw(leases)
    return Put(draw(keys), value, lease, flag)


deletes = st.builds(DeleteRange, keys, ends, st.integers(0, 1))
ranges = st.builds(
    Range,
    key=keys,
    range_end=ends,
    limit=st.integers(-1, 4),
    revision=revisions,
    sort_order=st.integers(0, 3),
    sort_target=st.sampled_from([0, 0, 0, 0, 1, 2, 3, 4, 5]),
    keys_only=st.booleans(),
    count_only=st.sampled_from([False, False, False, True]),
    min_mod_revision=st.sampled_from([0, 0, 0, 3, 9]),
    max_mod_revision=st.sampled_from([0, 0, 0, 5, 20]),
    min_create_revision=st.sampled_from([0, 0, 0, 3, 9]),
    max_create_revision=st.sampled_from([0, 0, 0, 5, 20]),
)
compares = st.builds(
    Compare,
    st.integers(0, 3),
    st.integers(0, 4),
    keys,
    st.integers(0, 6),
    values,
    st.sampled_from([b"", b"", b"b", b"\x00"]),
)


def txns(depth: int) -> st.SearchStrategy[Txn]:
    op: st.SearchStrategy[Any] = st.one_of(puts(), puts(), deletes, ranges)
    if depth:
        op = st.one_of(op, op, txns(depth - 1))
    return st.builds(Txn, st.lists(compares, max_size=2), st.lists(op, max_size=4), st.lists(op, max_size=3))


class Machines(RuleBasedStateMachine):
    """One replica on an engine that crashes, one twin that never flushes, and the model."""

    cursors = Bundle("cursors")

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.term = 1
        self.events: list[Event] = []
        self.pending: Flush | None = None

    @initialize()
    def start(self) -> None:
        self.replica = Replica(self.make_engine())
        self.twin = Replica(MemoryEngine(), self.replica.log)

    def make_engine(self) -> Any:
        return MemoryEngine()

    def reopen_engine(self) -> Any:
        return self.replica.engine.fork()  # type: ignore[attr-defined]

    # -- writes ------------------------------------------------------------------------------------------------------
    def execute(self, command: Any) -> None:
        expected = self.model.execute(command, self.term)
        outcome = self.replica.execute(command, term=self.term)
        assert [result for _, _, result in outcome.replies] == [expected]
        self.events += outcome.events
        self.twin.catch_up()

    @rule(put=puts())
    def put(self, put: Put) -> None:
        self.execute(put)

    @rule(delete=deletes)
    def delete(self, delete: DeleteRange) -> None:
        self.execute(delete)

    @rule(txn=txns(2))
    def txn(self, txn: Txn) -> None:
        self.execute(txn)

    @rule(data=st.data())
    def compact(self, data: st.DataObject) -> None:
        self.execute(Compact(data.draw(st.integers(max(0, self.model.compacted - 1), self.model.revision + 1))))

    @rule(lease=st.sampled_from(LEASES), ttl=st.integers(1, 5))
    def grant(self, lease: int, ttl: int) -> None:
        self.execute(LeaseGrant(lease, ttl))

    @rule(lease=st.sampled_from(LEASES))
    def revoke(self, lease: int) -> None:
        self.execute(LeaseRevoke(lease))

    @rule(lease=st.sampled_from(LEASES), late=st.booleans(), wrong=st.booleans())
    def expire(self, lease: int, late: bool, wrong: bool) -> None:
        index = self.model.leases.get(lease, (0, 1, 0))[1]
        self.execute(LeaseRevoke(lease, self.term - 1 if late and self.term > 1 else self.term, index + wrong))

    @rule(lease=st.sampled_from(LEASES), remaining=st.integers(0, 3))
    def checkpoint(self, lease: int, remaining: int) -> None:
        self.execute(LeaseCheckpoint([(lease, remaining)]))

    @rule()
    def next_term(self) -> None:
        self.term += 1

    # -- upkeep and crashes ------------------------------------------------------------------------------------------
    @rule(force=st.booleans(), now=st.integers(0, 10_000))
    def freeze(self, force: bool, now: int) -> None:
        if self.pending is None:
            self.pending = self.replica.machine.freeze(now, force=force)

    @precondition(lambda self: self.pending is not None)
    @rule(told=st.booleans())
    def write(self, told: bool) -> None:
        assert self.pending is not None
        self.pending.write()
        if told:
            self.replica.machine.flushed(self.pending)
            self.pending = None
        else:
            self.crash()

    @rule()
    def crash(self) -> None:
        """Everything unflushed is gone; the log is not."""
        self.pending = None
        self.close_cursors()
        self.replica.open(self.reopen_engine())

    @rule(count=st.integers(1, 5))
    def sweep(self, count: int) -> None:
        self.replica.machine.sweep(count)

    def close_cursors(self) -> None:
        self.epoch = getattr(self, "epoch", 0) + 1

    # -- reads -------------------------------------------------------------------------------------------------------
    @rule(query=ranges)
    def read(self, query: Range) -> None:
        assert self.replica.read(query) == self.model.read(query)

    @rule(query=ranges)
    def read_where_rows_are(self, query: Range) -> None:
        """The same within the revisions that exist."""
        revision = query.revision % (self.model.revision + 1)
        fields = {name: getattr(query, name) for name in query.__struct_fields__} | {"revision": revision}
        self.read(Range(**fields))

    @rule(target=cursors, query=ranges)
    def begin(self, query: Range) -> Any:
        answer = self.replica.machine.query(query)
        expected = self.model.read(query)
        if isinstance(answer, Cursor):
            return getattr(self, "epoch", 0), answer, expected
        assert answer == expected
        return None

    @rule(item=consumes(cursors))
    def resume(self, item: Any) -> None:
        if item is not None and item[0] == getattr(self, "epoch", 0):
            assert finish(item[1]) == item[2]

    @rule(data=st.data(), bounds=st.lists(st.tuples(keys, ends), min_size=1, max_size=3), prev=st.booleans())
    def history(self, data: st.DataObject, bounds: list[tuple[bytes, bytes]], prev: bool) -> None:
        first = data.draw(st.integers(max(self.model.compacted, 1), self.model.revision))
        last = data.draw(st.integers(first, self.model.revision))
        found: list[Event] = []
        at = first
        while at <= last:
            upto, events = self.replica.history(History(at, last, bounds, prev))
            assert at <= upto <= last
            found += events
            at = upto + 1
        assert found == self.model.history(first, last, bounds, prev=prev)

    @rule()
    def history_below_compaction(self) -> None:
        if self.model.compacted > 0:
            answer = self.replica.machine.query(History(self.model.compacted - 1, 0, [(b"a", b"")]))
            assert answer == HistoryCompacted(self.model.revision, self.model.compacted)

    @rule(data=st.data())
    def hashes(self, data: st.DataObject) -> None:
        revision = data.draw(st.integers(max(self.model.compacted, 1), self.model.revision))
        assert self.replica.read(HashKv(revision)) == self.twin.read(HashKv(revision))

    @rule(lease=st.sampled_from(LEASES))
    def lease_info(self, lease: int) -> None:
        found = self.model.leases.get(lease)
        answer = self.replica.read(LeaseInfo(lease, keys=True))
        state = self.model.states[self.model.revision]
        attached = sorted(key for key, version in state.items() if version.lease == lease)
        assert answer == LeaseIs(self.model.revision, lease, found[0] if found else 0, attached if found else [])

    @invariant()
    def counters_agree(self) -> None:
        if not hasattr(self, "replica"):
            return
        status = self.replica.read(StoreStatus())
        state = self.model.states[self.model.revision]
        assert isinstance(status, Status)
        assert status.revision == self.model.revision
        assert status.compact_revision == self.model.compacted
        assert status.keys == len(state)
        assert status.leases == len(self.model.leases)
        assert status.db_bytes_in_use == sum(len(key) + len(version.row) for key, version in state.items())
        assert self.replica.read(LeaseList()) == Leases(self.model.revision, sorted(self.model.leases))
        rows = [LeaseRow(lease, *self.model.leases[lease]) for lease in sorted(self.model.leases)]
        assert self.replica.machine.lease_rows(-(2**63) - 1, 100) == rows

    def teardown(self) -> None:
        if not hasattr(self, "replica"):
            return
        assert self.events == self.model.events
        while self.replica.machine.sweep(3):
            pass
        state = self.model.states[self.model.revision]
        whole = self.replica.read(Range(b"\x00", b"\x00"))
        assert whole == self.model.read(Range(b"\x00", b"\x00"))
        assert len(state) == getattr(whole, "count", -1)


class LevelMachines(Machines):
    """The same on real LevelDB directories."""

    def make_engine(self) -> LevelEngine:
        self.directory = tempfile.TemporaryDirectory()
        return LevelEngine(str(Path(self.directory.name) / "db"))

    def reopen_engine(self) -> LevelEngine:
        self.replica.engine.close()
        return LevelEngine(str(Path(self.directory.name) / "db"))

    def teardown(self) -> None:
        super().teardown()
        self.replica.engine.close()
        self.directory.cleanup()


@pytest.fixture(autouse=True)
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds so low that short histories meet them."""
    monkeypatch.setattr(limits, "READ_SLICE_KEYS", 3)
    monkeypatch.setattr(limits, "HISTORY_SLICE_REVISIONS", 3)
    monkeypatch.setattr(limits, "HISTORY_SLICE_BYTES", 400)
    monkeypatch.setattr(machine_module, "BUILD_ROWS", 2)
    monkeypatch.setattr(machine_module, "DRAIN_ROWS", 2)
    monkeypatch.setattr(past, "SKIP_ROWS", 2)
    monkeypatch.setattr(counts, "LEARN_MIN", 1)
    monkeypatch.setattr(limits, "RANGE_COUNT_CACHE_MAX", 6)
    monkeypatch.setattr(counting, "LOG_REVISIONS_MAX", 12)


def test_machine_is_the_model() -> None:
    run_state_machine_as_test(
        Machines,
        settings=settings(
            max_examples=60, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def test_machine_on_leveldb_is_the_model() -> None:
    run_state_machine_as_test(
        LevelMachines,
        settings=settings(
            max_examples=12, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
