"""Members on the ports and under the names that the suites expect; for use inside a network namespace."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.compat.oracle import STOP_S, binary
from tests.compat.suites.recipes import CLIENTS, NAMES, PEERS

START_S = 60.0
ETCDCTL = "/usr/bin/etcdctl"


def program(server: str) -> Path | None:
    """etcd 3.4.23, or zetcd of this checkout."""
    return binary("3.4") if server == "etcd" else Path(sys.executable).with_name("zetcd")


@contextlib.contextmanager
def running(server: str, members: int, directory: Path) -> Iterator[None]:
    """So many members, answering linearizable reads, until the end of the block."""
    path = program(server)
    assert path is not None, "no etcd 3.4 here (Debian: etcd-server)"
    processes = []
    try:
        for number in range(members):
            with (directory / f"{NAMES[number]}.log").open("ab") as log:
                processes.append(
                    subprocess.Popen(
                        _command(path, number, members, directory), stdout=log, stderr=log, env=environment()
                    )
                )
        _wait(members, directory)
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def environment() -> dict[str, str]:
    """Of this process, without what would change etcd, its clients or Python."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith(("ETCD", "ZETCD", "PYTHON", "PYTEST"))
    }


def _command(path: Path, number: int, members: int, directory: Path) -> list[str]:
    client, peer = (f"http://localhost:{ports[number]}" for ports in (CLIENTS, PEERS))
    cluster = ",".join(f"{NAMES[each]}=http://localhost:{PEERS[each]}" for each in range(members))
    return [
        str(path), "--name", NAMES[number], "--data-dir", str(directory / NAMES[number]),
        "--listen-client-urls", client, "--advertise-client-urls", client,
        "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
        "--initial-cluster", cluster, "--initial-cluster-state", "new", "--log-level", "error",
    ]  # fmt: skip


def _wait(members: int, directory: Path) -> None:
    endpoints = ",".join(f"http://localhost:{port}" for port in CLIENTS[:members])
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        asked = subprocess.run(
            [ETCDCTL, f"--endpoints={endpoints}", "--command-timeout=2s", "endpoint", "health"],
            capture_output=True, check=False, timeout=START_S, env=environment() | {"ETCDCTL_API": "3"},
        )  # fmt: skip
        if not asked.returncode:
            return
        time.sleep(0.1)
    logs = "\n".join(path.read_text()[-2000:] for path in directory.glob("*.log"))
    raise AssertionError(f"the members did not come up: {asked.stderr!r}\n{logs}")
