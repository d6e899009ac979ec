"""Rule 7 and the power: cut before any change to the disk while one store takes the place of another, on a real ext4
whose journal is dropped; and of a member of a real cluster, at each stage of a transfer."""

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.process.cluster import Cluster, ClusterMember, get, put, wait_for
from tests.process.disk import Disk
from tests.process.snapshot.test_catching_up import (
    FLAGS,
    KEYS,
    VALUE,
    caught_up,
    fill,
    let_go,
    receiving,
    stores,
)
from tests.process.snapshot.test_stores import NEW, OLD, Killed, MortalFiles, install, rows_of, start, whole_life
from tests.process.snapshot.test_stores import fill as fill_store
from zetcd.base.errors import Fatal, Refusal
from zetcd.host.staging import HostStage
from zetcd.host.stores import Stores

pytestmark = [pytest.mark.power, pytest.mark.timeout(900)]

MakeDisk = Callable[[Path, int], Disk]


@pytest.fixture
def make_disk(tmp_path: Path) -> Iterator[MakeDisk]:
    """make_disk(place, MiB)"""
    if os.geteuid() != 0:
        pytest.skip("needs root for a loop device")
    made: list[Disk] = []

    def make(place: Path, size_mib: int) -> Disk:
        try:
            disk = Disk(tmp_path / f"image{len(made)}", place, size_mib)
        except OSError as error:
            pytest.skip(f"cannot make a loop-mounted ext4: {error}")
        made.append(disk)
        return disk

    yield make
    for disk in made:
        with contextlib.suppress(OSError):
            disk.unmount()


def lose_power(disk: Disk) -> None:
    """Whatever the disk has not got is gone."""
    disk.unplug()
    disk.unmount()
    disk.mount()


def founded(disk: Disk, name: str) -> str:
    """A member directory with the old store, all of it on the disk."""
    member = str(disk.place / name)
    fill_store(f"{member}/db", OLD, b"old")
    subprocess.run(["sync", "-f", member], check=True)
    return member


@pytest.fixture
def snapshot(tmp_path: Path) -> list[bytes]:
    path = str(tmp_path / "source")
    fill_store(path, NEW, b"new")
    return rows_of(path)


def test_rule_07_power_lost_at_any_step_a_start_finds_exactly_one_whole_store(
    tmp_path: Path, make_disk: MakeDisk, snapshot: list[bytes]
) -> None:
    disk = make_disk(tmp_path / "disk", 256)
    outcomes: list[bytes] = []
    while True:
        dies_at = len(outcomes) + 1
        member = founded(disk, f"{dies_at}")
        synced: list[tuple[int, int]] = []
        try:
            whole_life(MortalFiles(dies_at), member, snapshot, synced)
        except Killed:
            pass
        else:
            break
        lose_power(disk)
        mark, value = (NEW, b"new") if synced else (OLD, b"old")
        assert start(member, mark) == (mark, value), f"step {dies_at}"
        assert start(member, mark)[0] == mark, "and once more"
        outcomes.append(value)
    lose_power(disk)
    assert start(member, NEW) == (NEW, b"new"), "the whole way, then the power"
    assert outcomes.count(b"old") >= 8
    assert outcomes.count(b"new") >= 8
    assert sorted(outcomes, reverse=True) == outcomes, "never backwards"


def test_control_a_disk_whose_mount_somebody_has_copied_is_mounted_anew(tmp_path: Path, make_disk: MakeDisk) -> None:
    disk = make_disk(tmp_path / "disk", 64)
    (disk.place / "kept").write_bytes(b"")
    subprocess.run(["sync", "-f", disk.place], check=True)
    holder = subprocess.Popen(["unshare", "--mount", "sleep", "60"])
    try:
        wait_for(lambda: not Path(f"/proc/{holder.pid}/ns/mnt").samefile("/proc/self/ns/mnt"), "its namespace")
        lose_power(disk)
        (disk.place / "written").write_bytes(b"")
        assert (disk.place / "kept").exists()
    finally:
        holder.kill()
        holder.wait()


def test_control_without_syncs_the_new_store_is_lost(
    tmp_path: Path, make_disk: MakeDisk, snapshot: list[bytes]
) -> None:
    disk = make_disk(tmp_path / "disk", 64)
    member = founded(disk, "m")
    stage = HostStage(Stores(member, sync=False))
    install(stage, snapshot)
    stores = Stores(member, sync=False)
    stores.switch(*NEW)
    lose_power(disk)
    with pytest.raises((Refusal, Fatal, AssertionError)):  # the pointer, the store, or what it says
        assert start(member, NEW) == (NEW, b"new")


def is_complete(target: ClusterMember) -> bool | None:
    return bool(stores(target, "store-*")) or None


def is_switched(target: ClusterMember) -> bool | None:
    """CURRENT names a store that the former life did not have."""
    pointer = target.data_dir / "member" / "CURRENT"
    return True if pointer.exists() and not stores(target, "db") else None


@pytest.mark.parametrize("point", [receiving, is_complete, is_switched])
def test_rule_07_a_member_whose_power_fails_while_it_takes_a_snapshot_takes_it_afterwards(
    tmp_path: Path, make_disk: MakeDisk, point: Callable[[ClusterMember], bool | None]
) -> None:
    with Cluster(tmp_path, 0, *FLAGS) as cluster:
        members = [ClusterMember(tmp_path / f"m{number}", *FLAGS, name=f"m{number}") for number in (1, 2, 3)]
        founding = ",".join(f"{member.name}={member.peer}" for member in members)
        for member in members:
            member.founding = founding
        cluster.members.extend(members)
        target, others = members[2], members[:2]
        disk = make_disk(target.data_dir, 1_000)
        cluster.start()
        put(target, b"load", b"0")
        target.kill_all()
        leader = cluster.leader(others)
        fill(leader, 0, KEYS)
        let_go(leader)
        target.spawn()
        wait_for(lambda: point(target), "the moment", 60.0)
        disk.unplug()
        target.kill_all()
        disk.unmount()
        disk.mount()
        target.spawn()
        wait_for(lambda: caught_up(target, leader), "the data at the member that was behind", 90.0)
        assert (target.data_dir / "member" / "CURRENT").exists(), "it took a snapshot, not the log"
        assert get(target, b"k%07d" % (KEYS - 1)) == (KEYS - 1).to_bytes(8, "big") * (VALUE // 8)
        cluster.alike()
        assert len(stores(target, "store-*") + stores(target, "db") + stores(target, "pending-*")) == 1
