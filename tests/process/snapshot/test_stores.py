"""Rule 7 on real files and a real LevelDB: killed before any change to the disk, a start finds one usable store."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from zetcd.base.errors import Fatal, Refusal
from zetcd.host.files import HostFile, HostFiles
from zetcd.host.leveldb import LevelEngine
from zetcd.host.staging import HostStage
from zetcd.host.stores import Stores
from zetcd.mvcc import keys
from zetcd.mvcc.overlay import Overlay
from zetcd.snapshot.receiving import Staged
from zetcd.state.machine import Machine
from zetcd.wire.entry import Block, Entry, MemberChange, Put, encode_entries
from zetcd.wire.local import ConfState

OLD, NEW = (3, 1), (90, 4)


class Killed(BaseException):
    """The process is gone."""


class MortalFiles(HostFiles):
    """Dies before its n-th call that changes something; half way through the removal of a directory, too."""

    def __init__(self, dies_at: int = 0) -> None:
        super().__init__()
        self.calls = 0
        self.dies_at = dies_at

    def _step(self) -> None:
        self.calls += 1
        if self.calls == self.dies_at:
            raise Killed

    def create(self, path: str) -> HostFile:
        self._step()
        return super().create(path)

    def open(self, path: str) -> HostFile:
        self._step()
        return super().open(path)

    def rename(self, old: str, new: str) -> None:
        self._step()
        super().rename(old, new)

    def remove(self, path: str) -> None:
        self._step()
        super().remove(path)

    def sync_dir(self, path: str) -> None:
        self._step()
        super().sync_dir(path)


def entries(first: int, *commands: Put | MemberChange, term: int) -> Block:
    return Block(
        first, first + len(commands) - 1, term,
        encode_entries([Entry(1, first + at, command) for at, command in enumerate(commands)]),
    )  # fmt: skip


def fill(path: str, position: tuple[int, int], value: bytes) -> None:
    """A store at position with one member and one key."""
    machine = Machine(LevelEngine(path))
    index, term = position
    machine.apply(entries(1, MemberChange(1, 5, "m", ["tcp://h:1"]), term=1))
    machine.apply(entries(2, *[Put(b"k", value)] * (index - 1), term=term))
    flush = machine.freeze(0, force=True)
    assert flush is not None
    flush.write()
    machine.flushed(flush)
    machine.close()


def rows_of(path: str) -> list[bytes]:
    """A snapshot of that store, as it travels."""
    engine = LevelEngine(path)
    scan, state = Overlay(engine).pin()
    assert (state.applied, state.term) == NEW
    rows = [part for pair in scan.take(10_000) for part in pair]
    scan.close()
    engine.close()
    return rows


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    path = str(tmp_path_factory.mktemp("source") / "db")
    fill(path, NEW, b"new")
    return rows_of(path)


def install(stage: HostStage, snapshot: list[bytes]) -> Staged:
    """What the receiver has its stage do, on this thread."""
    stage._begin(*NEW)
    assert stage._engine is not None
    for at in range(0, len(snapshot), 50):
        part = snapshot[at : at + 50]
        batch = stage._engine.batch()
        for key, value in zip(part[::2], part[1::2], strict=True):
            batch.put(key, value)
        batch.write()
    stage._finish()
    assert stage._staged is not None
    return stage._staged


def start(member: str, mark: tuple[int, int]) -> tuple[tuple[int, int], bytes]:
    """A start of the member, after wal has read mark from its log: where the store is, and the value of the key."""
    stores = Stores(member)
    arrived = stores.tidy()
    machine = Machine(LevelEngine(stores.path))
    applied = (machine.applied, machine.applied_term)
    value = machine._store.current.get(b"k")
    machine.close()
    assert value is not None
    if arrived == mark and arrived > applied:
        stores.switch(*arrived)
        return start(member, mark)
    stores.discard()
    directories = [path.name for path in Path(member).iterdir() if path.is_dir()]
    assert directories == [Stores(member).current], "exactly one store"
    assert not list(Path(member).glob("*.tmp")) or not Path(member, "CURRENT").exists()
    return applied, keys.value_of(value)


def whole_life(files: HostFiles, member: str, snapshot: list[bytes], synced: list[tuple[int, int]]) -> None:
    """Receive, mark, switch; then a start that removes the former store. synced: the mark, once wal has it."""
    stores = Stores(member, files=files)
    assert stores.tidy() == (0, 0)
    stage = HostStage(stores)
    assert install(stage, snapshot) == Staged(*NEW, ConfState([5]))
    synced.append(NEW)
    stores.switch(*NEW)
    Stores(member, files=files).tidy()


def test_rule_07_killed_at_any_step_a_start_finds_exactly_one_whole_store(
    tmp_path: Path, snapshot: list[bytes]
) -> None:
    outcomes = []
    dies_at = 0
    while True:
        dies_at += 1
        member = str(tmp_path / f"{dies_at}")
        fill(f"{member}/db", OLD, b"old")
        synced: list[tuple[int, int]] = []
        files = MortalFiles(dies_at)
        try:
            whole_life(files, member, snapshot, synced)
        except Killed:
            pass
        else:
            break
        if synced:
            assert start(member, NEW) == (NEW, b"new"), f"step {dies_at}: the log needs the snapshot"
            outcomes.append("new")
        else:
            assert start(member, OLD) == (OLD, b"old"), f"step {dies_at}: the log goes on from the old store"
            outcomes.append("old")
        # And once more: a start changes nothing about it.
        assert start(member, NEW if synced else OLD)[0] == (NEW if synced else OLD)
    assert outcomes.count("old") >= 8, "files, directory, rename"
    assert outcomes.count("new") >= 8, "pointer, rename, sync, removal"
    assert sorted(outcomes, reverse=True) == outcomes, "never backwards"


def test_rule_07_half_of_a_snapshot_that_was_being_removed_never_looks_complete(
    tmp_path: Path, snapshot: list[bytes]
) -> None:
    dies_at = 0
    while True:
        dies_at += 1
        member = tmp_path / f"{dies_at}"
        fill(f"{member}/db", OLD, b"old")
        install(HostStage(Stores(str(member))), snapshot)
        [complete] = member.glob("store-*")
        whole = {path.name for path in complete.iterdir()}
        try:
            Stores(str(member), files=MortalFiles(dies_at)).discard()
        except Killed:
            assert not complete.exists() or {path.name for path in complete.iterdir()} == whole
        else:
            break
        stores = Stores(str(member))
        assert stores.tidy() == (NEW if complete.exists() else (0, 0))
    assert dies_at > len(whole)


def test_rule_07_the_switch_never_goes_back(tmp_path: Path, snapshot: list[bytes]) -> None:
    member = str(tmp_path)
    fill(f"{member}/db", OLD, b"old")
    stores = Stores(member)
    install(HostStage(stores), snapshot)
    stores.switch(*NEW)
    (tmp_path / "store-000000000000000a-0000000000000009").mkdir()
    with pytest.raises(Fatal, match="never back"):
        stores.switch(10, 9)
    assert Stores(member).tidy() == (0, 0), "an older one is not even kept"
    assert not (tmp_path / "store-000000000000000a-0000000000000009").exists()


def test_a_switch_to_a_snapshot_that_is_not_there_is_fatal(tmp_path: Path) -> None:
    with pytest.raises(Fatal, match="not there"):
        Stores(str(tmp_path)).switch(*NEW)


@pytest.mark.parametrize("text", [b"store-1-1\n", b"", b"../elsewhere\n", b"\xff\xfe"])
def test_a_pointer_to_nothing_is_refused(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "CURRENT").write_bytes(text)
    with pytest.raises(Refusal, match="the store was lost"):
        Stores(str(tmp_path))


def test_rule_22_a_disk_that_fails_while_receiving_ends_the_process(tmp_path: Path) -> None:
    (tmp_path / "pending-0000000000000001-0000000000000001").write_text("in the way: a file, not a directory")
    stage = HostStage(Stores(str(tmp_path)))
    stage.begin(1, 1)
    with pytest.raises(Fatal):
        _wait(stage, lambda _: None)


def test_jobs_of_the_stage_end_one_by_one(tmp_path: Path, snapshot: list[bytes]) -> None:
    stores = Stores(str(tmp_path))
    stage = HostStage(stores)
    ended: list[Staged | None] = []
    stage.begin(*NEW)
    _wait(stage, ended.append)
    stage.write(snapshot)
    _wait(stage, ended.append)
    stage.finish()
    _wait(stage, ended.append)
    assert ended == [None, None, Staged(*NEW, ConfState([5]))]
    stage.discard()
    _wait(stage, ended.append)
    assert list(tmp_path.iterdir()) == []


def _wait(stage: HostStage, ended: Callable[[Staged | None], None]) -> None:
    """Until the job under way has ended."""
    os.set_blocking(stage.done_fd, True)
    os.eventfd_write(stage.done_fd, os.eventfd_read(stage.done_fd))
    stage.drain(ended)


def test_errors_of_the_file_port_name_the_directory(tmp_path: Path) -> None:
    with pytest.raises(Fatal, match=r"none: list failed.*ENOENT"):
        HostFiles().remove_dir(str(tmp_path / "none"))
