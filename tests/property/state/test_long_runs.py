"""Long seeded runs of the machine against the model: more keys and steps than a shrinking search can afford.

A failure names its seed; the same seed gives the same run.
"""

from dataclasses import dataclass, field
from random import Random

import pytest

from tests.property.state.model import Model
from tests.unit.state.replica import Replica
from zetcd.base import limits
from zetcd.mvcc import counting, counts, past
from zetcd.mvcc.cursor import finish
from zetcd.mvcc.engine import MemoryEngine
from zetcd.state import machine as machine_module
from zetcd.state.machine import Cursor, Flush
from zetcd.wire.entry import Command, Compact, Compare, DeleteRange, LeaseGrant, LeaseRevoke, Op, Put, Range, Txn
from zetcd.wire.local import Event
from zetcd.wire.queries import HashKv, History
from zetcd.wire.results import Result

STEPS = 700


@dataclass
class Commands:
    """Random commands over a few hundred keys."""

    dice: Random

    def key(self) -> bytes:
        return b"%c/%c%c" % (
            self.dice.choice(b"ab\x00"),
            self.dice.choice(b"0123456789\x00\xff"),
            self.dice.choice(b"xyz\x00"),
        )

    def bounds(self) -> tuple[bytes, bytes]:
        kind = self.dice.randrange(5)
        if kind == 0:
            return self.key(), b""
        if kind == 1:
            return b"\x00", b"\x00"
        if kind == 2:
            return self.key(), b"\x00"
        return self.key(), self.key()

    def put(self) -> Put:
        value = self.dice.randbytes(self.dice.choice([0, 3, 40]))
        return Put(self.key(), value, self.dice.choice([0, 0, 0, 1, 2]), self.dice.choice([0, 0, 0, 1]))

    def range(self, revision: int) -> Range:
        dice = self.dice
        key, end = self.bounds()
        return Range(
            key,
            end,
            limit=dice.choice([0, 0, 1, 2, 5, 20]),
            revision=dice.choice([0, 0, revision, dice.randint(1, revision)]),
            sort_order=dice.randrange(3),
            sort_target=dice.choice([0, 0, 0, 1, 2, 3, 4]),
            keys_only=dice.random() < 0.2,
            count_only=dice.random() < 0.2,
            min_mod_revision=dice.choice([0, 0, 0, dice.randint(1, revision)]),
            max_create_revision=dice.choice([0, 0, 0, dice.randint(1, revision)]),
        )

    def op(self, revision: int, depth: int) -> Op:
        kind = self.dice.randrange(8)
        if kind < 4:
            return self.put()
        if kind < 5:
            return DeleteRange(*self.bounds(), self.dice.randrange(2))
        if kind < 7 or not depth:
            return self.range(revision)
        return self.txn(revision, depth - 1)

    def txn(self, revision: int, depth: int = 2) -> Txn:
        dice = self.dice
        compares = [
            Compare(dice.randrange(4), dice.randrange(5), self.key(), dice.randrange(4), b"", dice.choice([b"", b"b"]))
            for _ in range(dice.choice([0, 0, 1, 2]))
        ]
        branches = [[self.op(revision, depth) for _ in range(dice.randrange(4))] for _ in range(2)]
        return Txn(compares, *branches)

    def command(self, model: Model) -> Command:
        dice = self.dice
        kind = dice.randrange(100)
        if kind < 60:
            return self.put()
        if kind < 70:
            return DeleteRange(self.key())
        if kind < 72:
            return DeleteRange(*self.bounds(), 1)
        if kind < 90:
            return self.txn(model.revision)
        if kind < 94:
            return LeaseGrant(dice.choice([1, 2]), 10)
        if kind < 97:
            return LeaseRevoke(dice.choice([1, 2]))
        return Compact(max(model.compacted, model.revision - dice.randrange(100)))


@dataclass
class Run:
    """One seeded run."""

    seed: int
    model: Model = field(default_factory=Model)
    pending: Flush | None = None
    cursors: list[tuple[Cursor, Result]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.dice = Random(self.seed)
        self.commands = Commands(self.dice)
        self.engine = MemoryEngine()
        self.replica = Replica(self.engine)
        self.twin = Replica(MemoryEngine(), self.replica.log, event_level=0)

    def step(self) -> None:
        kind = self.dice.randrange(100)
        if kind < 55:
            self.write()
        elif kind < 75:
            self.read()
        elif kind < 88:
            self.upkeep()
        elif kind < 95:
            self.resume()
        elif kind < 99:
            self.history()
        else:
            self.crash()

    def write(self) -> None:
        batch = [self.commands.command(self.model) for _ in range(self.dice.choice([1, 1, 5]))]
        expected = [self.model.execute(command, 1) for command in batch]
        outcome = self.replica.execute(*batch)
        found = [result for _, _, result in outcome.replies]
        assert found == expected, next(pair for pair in zip(batch, found, expected, strict=True) if pair[1] != pair[2])
        self.events += outcome.events
        self.twin.catch_up()

    def read(self) -> None:
        query = self.commands.range(self.model.revision)
        answer, expected = self.replica.machine.query(query), self.model.read(query)
        if isinstance(answer, Cursor):
            self.cursors.append((answer, expected))
        else:
            assert answer == expected, query

    def resume(self) -> None:
        if self.cursors:
            cursor, expected = self.cursors.pop(self.dice.randrange(len(self.cursors)))
            answer = cursor.step() if self.dice.random() < 0.7 else finish(cursor)
            if answer is None:
                self.cursors.append((cursor, expected))
            else:
                assert answer == expected

    def upkeep(self) -> None:
        machine = self.replica.machine
        if self.pending is not None:
            self.pending.write()
            machine.flushed(self.pending)
            self.pending = None
        else:
            self.pending = machine.freeze(self.dice.randrange(5_000), force=self.dice.random() < 0.3)
        for _ in range(self.dice.randrange(3)):
            machine.sweep(self.dice.randint(1, 20))

    def history(self) -> None:
        first = self.dice.randint(max(self.model.compacted, 1), self.model.revision)
        bounds = [self.commands.bounds() for _ in range(self.dice.randint(1, 3))]
        upto, events = self.replica.history(History(first, 0, bounds, prev_kv=True))
        assert events == self.model.history(first, upto, bounds, prev=True)
        hashed = HashKv(first)
        assert self.replica.read(hashed) == self.twin.read(hashed)

    def crash(self) -> None:
        if self.pending is not None and self.dice.random() < 0.5:
            self.pending.write()
        self.pending = None
        self.cursors = []
        self.engine = self.engine.fork()
        self.replica.open(self.engine)


@pytest.mark.parametrize("seed", range(6))
def test_long_run_is_the_model(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "READ_SLICE_KEYS", 20)
    monkeypatch.setattr(limits, "HISTORY_SLICE_REVISIONS", 30)
    monkeypatch.setattr(machine_module, "BUILD_ROWS", 5)
    monkeypatch.setattr(machine_module, "DRAIN_ROWS", 7)
    monkeypatch.setattr(past, "SKIP_ROWS", 4)
    monkeypatch.setattr(counts, "LEARN_MIN", 2)
    monkeypatch.setattr(limits, "RANGE_COUNT_CACHE_MAX", 40)
    monkeypatch.setattr(counting, "LOG_REVISIONS_MAX", 60)
    run = Run(seed)
    for _ in range(STEPS):
        run.step()
    assert run.events == run.model.events
