"""The real file port and the actor on it: permissions, locks, kills, full and failing disks."""

import os
import resource
import shutil
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.wal.children import SEGMENT, finish, read_until, recovered, run, start
from zetcd.actors.wal_actor import open_wal
from zetcd.base.errors import Fatal
from zetcd.base.settings import Settings
from zetcd.host.files import HostFiles

SEGMENTED = ("--segment-bytes", str(SEGMENT))


def test_directories_are_0700_and_files_0600_whatever_the_umask(tmp_path: Path) -> None:
    former = os.umask(0)
    try:
        port = HostFiles()
        open_wal(Settings(data_dir=str(tmp_path / "m"), cluster_id=1, member_id=1), port, segment_bytes=SEGMENT)
        port.release_locks()
    finally:
        os.umask(former)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "m").rglob("*")}
    modes["m"] = stat.S_IMODE((tmp_path / "m").stat().st_mode)
    assert {name: mode for name, mode in modes.items() if mode != 0o600} == {"m": 0o700, "member": 0o700, "wal": 0o700}


def test_a_directory_open_to_others_is_reported(tmp_path: Path) -> None:
    """Trail of Bits 2020, finding 3: permissions that were there before are not silently accepted."""
    (tmp_path / "member").mkdir(mode=0o755)
    (tmp_path / "member").chmod(0o755)
    port = HostFiles()
    opened = open_wal(Settings(data_dir=str(tmp_path), cluster_id=1, member_id=1), port, segment_bytes=SEGMENT)
    port.release_locks()
    assert any("0755" in warning for warning in opened.report.warnings)


def test_rule_06_a_second_opener_is_refused_at_once_by_name(tmp_path: Path) -> None:
    child = start("hold", str(tmp_path), *SEGMENTED)
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    second = run("hold", str(tmp_path), *SEGMENTED)
    assert second.code == 3
    assert f"{tmp_path}/member is in use by process {child.pid} (zetcd wal of default)" in second.error
    assert finish(child).code == 0
    assert recovered(tmp_path) == (0, 0, 0, 0)


def test_rule_06_two_members_cannot_share_a_wal_directory(tmp_path: Path) -> None:
    one, two = HostFiles(), HostFiles()
    shared = str(tmp_path / "wal")
    open_wal(Settings(data_dir=str(tmp_path / "a"), wal_dir=shared), one, segment_bytes=SEGMENT)
    with pytest.raises(Fatal, match=f"{shared} is in use by process {os.getpid()}"):
        open_wal(Settings(data_dir=str(tmp_path / "b"), wal_dir=shared), two, segment_bytes=SEGMENT)
    one.release_locks()
    two.release_locks()


def test_everything_acknowledged_survives_kill_9_again_and_again(tmp_path: Path) -> None:
    last = 0
    for _ in range(4):
        child = start("write", str(tmp_path), *SEGMENTED)
        read_until(child, last + 150)
        child.send_signal(signal.SIGKILL)
        ended = finish(child)
        acknowledged = max([last + 150, *ended.out])
        first, last, commit, suspect = recovered(tmp_path)
        assert first == 1
        assert last >= acknowledged
        assert commit >= acknowledged - 1
        assert not suspect


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """One megabyte of tmpfs."""
    place = tmp_path / "small"
    place.mkdir()
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a tmpfs")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a tmpfs: {mounted.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_decision_13_a_full_disk_ends_the_process_and_loses_nothing(small_disk: Path, tmp_path: Path) -> None:
    ended = run("write", str(small_disk), *SEGMENTED)
    assert ended.code == 3
    assert "No space left on device" in ended.error
    assert len(ended.out) > 100
    # Without room the member cannot start; with room it has all it promised.
    moved = tmp_path / "moved"
    shutil.copytree(small_disk, moved)
    first, last, _, suspect = recovered(moved)
    assert (first, suspect) == (1, 0)
    assert last >= ended.out[-1]


def test_decision_13_a_file_size_limit_ends_the_process_and_loses_nothing(tmp_path: Path) -> None:
    """RLIMIT_FSIZE below a segment's size strikes while the next segment is prepared: EFBIG."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (SEGMENT // 2, SEGMENT // 2))

    before = run("write", str(tmp_path), *SEGMENTED, "--count", "40")
    assert before.code == 0
    ended = run("write", str(tmp_path), *SEGMENTED, preexec_fn=limit)
    assert ended.code == 3
    assert "File too large" in ended.error
    assert recovered(tmp_path)[:2] == (1, 40)


@pytest.mark.parametrize("call", ["fdatasync", "pwrite64"])
def test_decision_13_an_io_error_is_never_retried(call: str, tmp_path: Path) -> None:
    """strace makes the 60th call fail with EIO: the process ends there, and what it had acknowledged is found."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    trace = tmp_path / "trace"
    prefix = ["strace", "-f", "-o", str(trace), "-e", f"trace={call}", "-e", f"inject={call}:error=EIO:when=60"]
    ended = run("write", str(tmp_path / "m"), *SEGMENTED, prefix=prefix)
    if "ptrace" in ended.error and ended.code != 3:
        pytest.skip("strace may not trace here")
    assert ended.code == 3
    assert "Input/output error" in ended.error
    calls = [line for line in trace.read_text().splitlines() if f"{call}(" in line]
    assert len(calls) == 60, "no call after the one that failed"
    assert "INJECTED" in calls[-1]
    assert len(ended.out) > 40
    last = recovered(tmp_path / "m")[1]
    assert last in {ended.out[-1], ended.out[-1] + 1}
