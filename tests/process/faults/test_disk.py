"""Disks that are full, and disks that fail: the member stops or refuses in words, and loses nothing acknowledged."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tests.process.faults.bulk import Bulk
from tests.process.faults.conftest import MakeDisk
from tests.process.member import Member

LIMIT_S = 60.0


@pytest.mark.timeout(300)
def test_a_full_disk_ends_service_in_words_and_space_brings_everything_back(
    tmp_path: Path, make_disk: MakeDisk
) -> None:
    disk = make_disk(400)
    ballast = disk.place / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, 200 << 20)
    member = Member(tmp_path / "m", "--quota-backend-bytes", "0").start()
    bulk = Bulk(member, size=64 << 10)
    try:
        bulk.start()
        assert member.process is not None
        assert member.process.wait(LIMIT_S) != 0, "a member whose disk is full does not go on for ever"
        assert "no space left on device" in member.log.lower()
        member.process = None
        bulk.stop()
        assert len(bulk.acked) > 500
        ballast.unlink()
        member.start()
        bulk.check()
        bulk.start()
        bulk.wait_acked(200)
        bulk.stop()
        bulk.check()
    finally:
        member.stop()


def _status(process: psutil.Process) -> str:
    """What the kernel says of a process; nothing of one that has ended."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if "State:\tZ" in status else status


def inject(process: psutil.Process, fault: str) -> "subprocess.Popen[bytes]":
    """One system call of process, the next of its kind, fails as fault says (strace's words).

    Under load that may happen, and end the process, before the tracer is seen here.
    """
    calls = fault.partition(":")[0]
    command = ["strace", "-f", "-q", "-e", f"trace={calls}", "-e", f"inject={fault}:when=1", "-p", str(process.pid)]
    tracer = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + LIMIT_S
    while (status := _status(process)) and f"TracerPid:\t{tracer.pid}" not in status:
        if tracer.poll() is not None and _status(process):
            pytest.skip("strace cannot attach here")
        assert time.monotonic() < until
        time.sleep(0.01)
    return tracer


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
@pytest.mark.parametrize(
    ("actor", "fault", "words"),
    [
        ("wal", "fdatasync:error=EIO", "fdatasync failed: Input/output error"),
        ("wal", "pwrite64:error=EIO", "failed: Input/output error"),
        ("wal", "pwrite64:error=ENOSPC", "failed: No space left on device"),
        ("apply", "fdatasync,fsync:error=EIO", "LevelDB write failed"),
    ],
)
@pytest.mark.timeout(180)
def test_rule_22_a_disk_error_ends_the_process_and_recovery_finds_everything(
    tmp_path: Path, actor: str, fault: str, words: str
) -> None:
    """Fail-stop: a failed sync is never tried again by the same process."""
    with Member(tmp_path / "m") as member:
        bulk = Bulk(member)
        bulk.start()
        bulk.wait_acked(100)
        victim = member.processes()[actor]
        tracer = inject(victim, fault)
        try:
            victim.wait(LIMIT_S)
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.wait(LIMIT_S)
        assert words in member.log
        member.wait_served(LIMIT_S)
        bulk.wait_acked(50)
        bulk.stop()
        bulk.check()
