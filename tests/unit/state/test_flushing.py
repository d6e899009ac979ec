"""Design decision 6: nothing unsynced enters the engine, and what is in it is the state at one log position."""

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.unit.state.replica import Replica
from zetcd.base import limits
from zetcd.base.errors import Fatal
from zetcd.host.leveldb import LevelEngine
from zetcd.mvcc.engine import Batch, Engine, MemoryEngine
from zetcd.state.machine import Machine
from zetcd.wire.entry import (
    Alarm,
    Block,
    Command,
    Compact,
    Compare,
    DeleteRange,
    Entry,
    LeaseCheckpoint,
    LeaseGrant,
    LeaseRevoke,
    MemberChange,
    Put,
    Range,
    Txn,
    encode_entries,
)
from zetcd.wire.queries import HashKv, LeaseInfo, LeaseList, StoreStatus


def story(count: int) -> list[Command]:
    """A seeded log with every kind of command."""
    dice = Random(5)
    commands: list[Command] = [MemberChange(1, 9, "m9", ["p9"]), LeaseGrant(1, 10), LeaseGrant(2, 10)]
    for number in range(count):
        key = b"k%d" % dice.randrange(15)
        kinds: list[Command] = [
            Put(key, b"%d" % number),
            Put(key, b"", dice.choice([1, 2])),
            DeleteRange(key),
            Txn([Compare(1, 0, key, 1)], [Put(b"t", key), DeleteRange(b"k0", b"k2")], [Put(key, b"else")]),
            LeaseCheckpoint([(1, number)]),
            LeaseRevoke(dice.choice([1, 2])),
            LeaseGrant(dice.choice([1, 2]), 20),
            Compact(number // 3),
            Alarm(dice.choice([1, 2, 2]), 9, 1),
        ]
        commands.append(dice.choice(kinds))
    return commands


def contents(machine: Machine) -> list[Any]:
    """Everything a reader could learn."""
    replica = Replica.__new__(Replica)
    replica.machine = machine
    first = max(machine.compact_revision, 1)
    status = replica.read(StoreStatus())
    return [
        machine.applied,
        machine.applied_term,
        machine.revision,
        machine.compact_revision,
        [getattr(status, name) for name in ("db_bytes_in_use", "keys", "leases", "alarms", "members")],
        replica.read(HashKv()),
        [replica.read(Range(b"\x00", b"\x00", revision=at)) for at in range(first, machine.revision + 1)],
        replica.read(LeaseList()),
        [replica.read(LeaseInfo(lease, keys=True)) for lease in (1, 2)],
        machine.lease_rows(0, 100),
        machine.configuration,
    ]


def replayed(log: list[tuple[int, Entry]], upto: int) -> list[Any]:
    replica = Replica(MemoryEngine(), log[:upto])
    return contents(replica.machine)


class Cut(MemoryEngine):
    """Remembers the disk as it is after each batch."""

    def __init__(self) -> None:
        super().__init__()
        self.disks: list[MemoryEngine] = [self.fork()]

    def apply(self, writes: dict[bytes, bytes | None]) -> None:
        super().apply(writes)
        self.disks.append(self.fork())


def test_every_prefix_of_flushes_is_a_replay_of_flushed_index_entries() -> None:
    """Whatever batch was the last one to reach the disk, the store reopened is the log up to its position, exactly;
    and with the rest of the log it is the whole again."""
    engine = Cut()
    replica = Replica(engine)
    dice = Random(6)
    for command in story(150):
        replica.run(command)
        replica.machine.sweep(dice.randint(1, 5))
        if dice.random() < 0.15:
            replica.flush()
    assert len(engine.disks) > 15
    whole = contents(replica.machine)
    for disk in engine.disks:
        machine = Machine(disk)
        assert machine.flushed_index == machine.applied
        assert contents(machine) == replayed(replica.log, machine.flushed_index)
        assert contents(Replica(disk, replica.log).machine) == whole


def test_the_same_on_leveldb(tmp_path: Path) -> None:
    """The directory is left as it is after each flush, without a further write or a clean end, and copied."""
    engine = LevelEngine(str(tmp_path / "db"))
    replica = Replica(engine)
    flushed = 0
    for number, command in enumerate(story(60)):
        replica.run(command)
        replica.machine.sweep(2)
        if number % 12 == 11:
            replica.flush()
            replica.run(Put(b"unflushed", b"%d" % number))
            flushed += 1
            copy = tmp_path / f"copy-{number}"
            copy.mkdir()
            for file in (tmp_path / "db").iterdir():
                if file.name != "LOCK":
                    (copy / file.name).write_bytes(file.read_bytes())
            survivor = LevelEngine(str(copy))
            machine = Machine(survivor)
            assert machine.applied == len(replica.log) - 1
            assert contents(machine) == replayed(replica.log, machine.applied)
            survivor.close()
    assert flushed == 5
    engine.close()


def test_nothing_reaches_the_engine_but_through_a_flush() -> None:
    engine = MemoryEngine()
    replica = Replica(engine)
    replica.run(*story(100))
    flush = replica.freeze()
    assert engine.pairs == {}
    assert engine.batches == 0
    flush.write()
    assert engine.batches == 1
    assert replica.machine.flushed_index == 0, "written is not known to be synced"
    replica.machine.flushed(flush)
    assert (replica.machine.flushed_index, replica.machine.flushed_term) == (len(replica.log), 1)


def test_execution_goes_on_while_a_flush_is_written() -> None:
    """What is executed after the freeze belongs to the next flush."""
    engine = MemoryEngine()
    replica = Replica(engine)
    replica.run(Put(b"a", b"1"))
    flush = replica.freeze()
    replica.run(Put(b"a", b"2"), Put(b"b", b"1"))
    flush.write()
    assert Machine(engine.fork()).applied == 1
    replica.machine.flushed(flush)
    assert replica.machine.flushed_index == 1
    replica.flush()
    assert Machine(engine.fork()).applied == 3


def test_a_flush_is_due_by_age_or_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    replica = Replica(MemoryEngine())
    machine = replica.machine
    assert machine.freeze(10_000) is None
    replica.run(Put(b"a", b"1"))
    assert machine.freeze(20_000) is None
    assert machine.freeze(20_000 + limits.OVERLAY_AGE_MAX_MS - 1) is None
    flush = machine.freeze(20_000 + limits.OVERLAY_AGE_MAX_MS)
    assert flush is not None
    flush.write()
    machine.flushed(flush)
    assert machine.freeze(90_000) is None, "nothing new"
    monkeypatch.setattr(limits, "OVERLAY_BYTES_MAX", 2_000)
    replica.run(Put(b"a", bytes(3_000)))
    assert machine.freeze(90_000) is not None


def test_entries_without_changes_are_flushed_too() -> None:
    """Otherwise the log could never be cut below them."""
    replica = Replica(MemoryEngine())
    replica.run(DeleteRange(b"nothing"))
    replica.flush()
    assert replica.machine.flushed_index == 1


def test_a_large_flush_is_built_over_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    replica = Replica(MemoryEngine())
    machine = replica.machine
    replica.run(*[Put(b"%d" % number, b"") for number in range(5_000)])
    replica.machine._overlay.take_written()
    assert machine.freeze(0) is None
    turns, flush = 0, machine.freeze(limits.OVERLAY_AGE_MAX_MS)
    while flush is None:
        assert machine.building
        turns, flush = turns + 1, machine.freeze(limits.OVERLAY_AGE_MAX_MS)
    assert turns >= 4
    assert not machine.building


def test_a_failing_write_is_fatal(tmp_path: Path) -> None:
    """Decision 13: never tried again; the process ends. LevelDB keeps refusing after a failed write."""
    engine = LevelEngine(str(tmp_path / "db"))

    class Broken:
        def write(self) -> None:
            raise_plyvel()

    def raise_plyvel() -> None:
        import plyvel  # noqa: PLC0415

        raise plyvel.IOError("No space left on device")

    batch: Any = engine.batch()
    batch._batch = Broken()
    with pytest.raises(Fatal, match="No space left"):
        batch.write()
    engine.close()


# -- the log above the store ---------------------------------------------------------------------------------------
def block(first: int, *commands: Command, term: int = 1) -> Block:
    entries = [Entry(7, first + at, command) for at, command in enumerate(commands)]
    return Block(first, first + len(entries) - 1, term, encode_entries(entries))


def test_rule_3_entries_are_executed_once_and_without_gaps() -> None:
    """Applied entries are skipped, overlapping blocks executed from where the store stands, a gap ends the process."""
    machine = Machine(MemoryEngine())
    machine.apply(block(1, Put(b"a", b"1"), Put(b"a", b"2")))
    assert machine.apply(block(1, Put(b"a", b"1"), Put(b"a", b"2"))).replies == []
    outcome = machine.apply(block(2, Put(b"a", b"2"), Put(b"a", b"3"), term=2))
    assert [sequence for _, sequence, _ in outcome.replies] == [3]
    assert (machine.applied, machine.applied_term, machine.revision) == (3, 2, 4)
    with pytest.raises(Fatal, match="missing"):
        machine.apply(block(5, Put(b"a", b"5")))
    assert machine.applied == 3


def test_a_committed_block_that_does_not_decode_is_fatal() -> None:
    machine = Machine(MemoryEngine())
    with pytest.raises(Fatal, match=r"\[1, 2\] of term 4"):
        machine.apply(Block(1, 2, 4, b"\xc1nonsense"))


@pytest.mark.parametrize("seed", range(3))
def test_rule_15_block_bounds_change_nothing(seed: int) -> None:
    """The same log, cut differently, gives the same state."""
    dice = Random(seed)
    commands = story(120)
    whole, cut = Machine(MemoryEngine()), Machine(MemoryEngine())
    whole.apply(block(1, *commands))
    at = 0
    while at < len(commands):
        size = dice.randint(1, 9)
        cut.apply(block(at + 1, *commands[at : at + size]))
        at += size
    assert contents(cut) == contents(whole)


def test_rule_18_apply_never_decides_by_local_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A member whose disk is full or slow gives the same results as any other: size is asked for by status only."""
    asked: list[str] = []

    class Sized(MemoryEngine):
        def size(self) -> int:
            asked.append("size")
            return 2**40

    large, small = Replica(Sized()), Replica(MemoryEngine())
    commands = story(150)
    assert large.run(*commands) == small.run(*commands)
    assert asked == []
    assert contents(large.machine)[:4] == contents(small.machine)[:4]


def test_engines_satisfy_the_port(tmp_path: Path) -> None:
    make: list[Callable[[], Engine]] = [MemoryEngine, lambda: LevelEngine(str(tmp_path / "db"))]
    for engine in [made() for made in make]:
        batch: Batch = engine.batch()
        batch.put(b"ck", b"v")
        batch.write()
        assert engine.get(b"ck") == b"v"
        engine.close()
