"""`zetcd local-cluster`: three real members start with one command, come back, and stop with one signal."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.compat.oracle import free_ports
from zetcd.client import Client
from zetcd.node.local_cluster import PORT_STEP, seats

PROGRAM = Path(sys.executable).with_name("zetcd")
WAIT_S = 60


def free_base() -> int:
    """A port from which on all that three members need are free."""
    for _ in range(100):
        (base,) = free_ports(1)
        needed = [base + number * PORT_STEP + offset for number in range(3) for offset in (0, 1, 2)]
        if all(_free(port) for port in needed):
            return base
    raise AssertionError("no free ports")


def _free(port: int) -> bool:
    return not any(connection.laddr and connection.laddr.port == port for connection in psutil.net_connections("tcp"))


@contextlib.contextmanager
def running(directory: Path, base: int) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [PROGRAM, "local-cluster", "--data-dir", directory, "--port", str(base), "--heartbeat-interval=50"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)  # the kernel ends all that belongs to it
        process.wait(WAIT_S)


def lines_until(process: "subprocess.Popen[str]", pattern: str) -> str:
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if re.search(pattern, line):
            return seen
    raise AssertionError(f"{pattern} did not come:\n{seen}")


@pytest.mark.timeout(180)
def test_three_members_with_one_command(tmp_path: Path) -> None:
    base = free_base()
    with running(tmp_path, base) as process:
        said = lines_until(process, "the cluster is ready")
        pids = {name: int(pid) for name, pid in re.findall(r"member (m\d) is ready: \S+ \S+ \(process (\d+),", said)}
        assert sorted(pids) == ["m1", "m2", "m3"]
        with Client([f"tcp://127.0.0.1:{base + number * PORT_STEP}" for number in range(3)], timeout=30) as client:
            client.put("k", "v")
            for number in range(3):
                with urllib.request.urlopen(f"http://127.0.0.1:{base + number * PORT_STEP + 1}/health") as reply:
                    assert b'"health":"true"' in reply.read()
            assert len(client.member_list()["members"]) == 3
            os.kill(pids["m2"], signal.SIGKILL)
            said = lines_until(process, "member m2 is ready")
            assert "member m2 was ended by SIGKILL; it comes back in a second" in said
            assert client.at(f"tcp://127.0.0.1:{base + PORT_STEP}").get("k") is not None
            os.kill(pids["m3"], signal.SIGTERM)
            assert "(SIGTERM)" in lines_until(process, "member m3 has stopped")
            client.put("k", "two of three")
        members = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGINT)
        lines_until(process, "all members have stopped")
        assert process.wait(WAIT_S) == 0
        psutil.wait_procs(members, WAIT_S)
        assert not any(member.is_running() for member in members), "nobody is left behind"


@pytest.mark.timeout(120)
def test_nobody_is_left_behind_when_it_is_killed(tmp_path: Path) -> None:
    with running(tmp_path, free_base()) as process:
        lines_until(process, "the cluster is ready")
        members = psutil.Process(process.pid).children(recursive=True)
        assert len(members) >= 3 * 7
        process.kill()
        process.wait(WAIT_S)
        gone, alive = psutil.wait_procs(members, WAIT_S)
        assert (len(gone), alive) == (len(members), [])


def test_what_each_member_is_started_with(tmp_path: Path) -> None:
    for count in (1, 3, 7):
        found = seats(count, tmp_path, 2378, ["--snapshot-count=5"])
        assert [seat.endpoint for seat in found] == [f"tcp://127.0.0.1:{2378 + 10 * n}" for n in range(count)]
        assert [seat.http for seat in found] == [f"http://127.0.0.1:{2379 + 10 * n}" for n in range(count)]
        for seat in found:
            cluster = seat.command[seat.command.index("--initial-cluster") + 1].split(",")
            own = seat.command[seat.command.index("--initial-advertise-peer-urls") + 1]
            assert len(cluster) == count
            assert f"{seat.name}={own}" in cluster
            assert seat.command[-1] == "--snapshot-count=5"


@pytest.mark.parametrize("words", [["--members", "0"], ["--members", "8"]])
def test_counts_that_make_no_cluster_are_refused(words: list[str]) -> None:
    ended = subprocess.run([PROGRAM, "local-cluster", *words], capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1
    assert "--members: it must be from 1 to 7" in ended.stderr
