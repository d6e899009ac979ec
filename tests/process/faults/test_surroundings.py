"""What surrounds a member fails it: nobody reads its log, another wants its place, descriptors run out."""

import contextlib
import fcntl
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.process.api.dealer import Dealer
from tests.process.faults.bulk import Bulk
from tests.process.member import ROOT, Member

LIMIT_S = 60.0


class Unread(Member):
    """A member whose stdout and stderr are a pipe that nobody reads and that is full."""

    def spawn(self) -> None:
        self.reading, writing = os.pipe()
        fcntl.fcntl(self.reading, fcntl.F_SETPIPE_SZ, 4096)
        self.filling = os.open(f"/proc/self/fd/{writing}", os.O_WRONLY | os.O_NONBLOCK)
        self.fill()
        self.process = subprocess.Popen(self.command(), stdout=writing, stderr=writing, cwd=ROOT)
        os.close(writing)

    def fill(self) -> None:
        """No room for another line."""
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(self.filling, b"x" * 512)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(self.filling, b"x")

    @property
    def log(self) -> str:
        return "(nobody reads it)"


@pytest.fixture
def unread(tmp_path: Path) -> Iterator[Unread]:
    member = Unread(tmp_path / "m", "--api-processes", "2")
    try:
        yield member.start()
    finally:
        with contextlib.suppress(OSError):
            os.set_blocking(member.reading, False)
            while os.read(member.reading, 65536):
                pass
        member.stop()
        os.close(member.reading)
        os.close(member.filling)


@pytest.mark.timeout(180)
def test_a_log_that_nobody_reads_stops_nothing(unread: Unread) -> None:
    """etcd issue 22214: there, reads hang."""
    with Dealer(unread.endpoint) as dealer:
        assert "error" not in dealer.call({"op": "put", "key": b"k", "value": b"v"})
        both: set[int] = set()
        while len(both) < 2:  # ready, then, and has said so
            with Dealer(unread.endpoint) as other:
                both.add(other.call({"op": "metrics"})["metrics"]["api_process"])
        for actor in ("api-1", "lease", "wal", "api-1"):  # each makes several processes log something
            victim = unread.processes()[actor]
            victim.kill()
            victim.wait(LIMIT_S)
            unread.wait_served(LIMIT_S)
        assert unread.call({"op": "range", "key": b"k"})["count"] == 1


def refused(member: Member) -> str:
    """What a member says that must not start."""
    done = subprocess.run(member.command(), capture_output=True, text=True, timeout=LIMIT_S, cwd=ROOT, check=False)
    assert done.returncode == 1, done.stderr
    return done.stderr


def test_a_second_member_is_refused_by_name_while_the_first_serves(tmp_path: Path) -> None:
    with Member(tmp_path / "m") as first:
        same_directory = Member(tmp_path / "m", name="m1")
        text = refused(same_directory)
        assert str(first.data_dir) in text
        assert "zetcd, member m1" in text
        same_port = Member(tmp_path / "other", name="m2")
        same_port.port = first.port
        text = refused(same_port)
        assert f":{first.port}" in text
        assert "member m1" in text
        assert "error" not in first.call({"op": "put", "key": b"k", "value": b"v"})


def allow_descriptors(process: psutil.Process, count: int) -> None:
    _, hard = process.rlimit(resource.RLIMIT_NOFILE)
    process.rlimit(resource.RLIMIT_NOFILE, (count, hard))


def test_without_descriptors_new_connections_wait_and_old_ones_are_served(tmp_path: Path) -> None:
    with Member(tmp_path / "m") as member, Dealer(member.endpoint) as dealer:
        api = member.processes()["api-0"]
        allow_descriptors(api, api.num_fds() + 20)
        with contextlib.ExitStack() as stack:
            for _ in range(100):
                stack.enter_context(socket.create_connection(("127.0.0.1", member.port)))
            for number in range(50):
                assert "error" not in dealer.call({"op": "put", "key": b"k", "value": b"%d" % number})
        member.wait_served(LIMIT_S)  # over a connection of its own: there is room again
        assert member.processes()["api-0"].pid == api.pid


@pytest.mark.timeout(180)
def test_a_member_whose_inner_processes_run_out_of_descriptors_loses_nothing(tmp_path: Path) -> None:
    """LevelDB and the log open files as they grow; where that fails, the process ends and its next life goes on."""
    with Member(tmp_path / "m") as member:
        bulk = Bulk(member)
        bulk.start()
        bulk.wait_acked(50)
        for actor in ("wal", "apply"):
            process = member.processes()[actor]
            allow_descriptors(process, process.num_fds())
        bulk.wait_acked(1_000, LIMIT_S)
        bulk.stop()
        bulk.check()


if sys.platform != "linux":  # pidfds, loop devices, prlimit
    pytest.skip("Linux only", allow_module_level=True)
