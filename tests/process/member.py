"""A real member for tests: `zetcd` in a directory of its own, on free loopback ports, with every process in reach.

Talks plain REQ with pyzmq and msgpack, so that no test of the server depends on our own client library.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgpack
import psutil
import zmq

from tests.compat.oracle import free_ports
from zetcd.wire.routes import title

ROOT = Path(__file__).resolve().parents[2]
START_S = 30.0
STOP_S = 30.0


class Member:
    """One member under its supervisor. Directory and ports stay the same over restarts."""

    def __init__(self, directory: Path, *flags: str, name: str = "m1", prefix: tuple[str, ...] = ()) -> None:
        self.directory = directory
        self.name = name
        self.flags = flags
        self.prefix = prefix
        self.port, self.peer_port = free_ports(2)
        self.process: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True, exist_ok=True)

    @property
    def endpoint(self) -> str:
        """Client URL."""
        return f"tcp://127.0.0.1:{self.port}"

    @property
    def data_dir(self) -> Path:
        """Of the member."""
        return self.directory / "data"

    @property
    def log(self) -> str:
        """Everything the processes have logged so far."""
        return (self.directory / "log").read_text(errors="replace")

    def command(self) -> list[str]:
        """argv of the supervisor."""
        peer = f"tcp://127.0.0.1:{self.peer_port}"
        return [
            *self.prefix, str(Path(sys.executable).with_name("zetcd")),
            "--name", self.name, "--data-dir", str(self.data_dir),
            "--listen-client-urls", self.endpoint, "--advertise-client-urls", self.endpoint,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
            "--initial-cluster", f"{self.name}={peer}", *self.flags,
        ]  # fmt: skip

    def spawn(self) -> None:
        """Start without waiting."""
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, cwd=ROOT)

    def start(self) -> Self:
        """Start, and wait for the first linearizable answer."""
        self.spawn()
        self.wait_served(START_S)
        return self

    def wait_served(self, limit_s: float) -> float:
        """Seconds until a linearizable get is answered without an error. Raises TimeoutError with the log's end."""
        started = time.monotonic()
        while time.monotonic() - started < limit_s:
            with contextlib.suppress(TimeoutError):
                if "error" not in self.call({"op": "range", "key": b"served?"}, 1.0):
                    return time.monotonic() - started
            if self.process is not None and self.process.poll() is not None:
                break
        raise TimeoutError(f"{self.name} does not serve:\n{self.log[-4000:]}")

    def call(self, request: dict[str, Any], limit_s: float = 10.0) -> dict[str, Any]:
        """One request on a REQ socket of its own. Raises TimeoutError."""
        with self.req() as sock:
            sock.send(msgpack.packb(request))
            if not sock.poll(int(limit_s * 1000)):
                raise TimeoutError(f"no answer to {request.get('op')} within {limit_s} s")
            reply: dict[str, Any] = msgpack.unpackb(sock.recv())
            return reply

    @contextlib.contextmanager
    def req(self) -> Iterator["zmq.Socket[bytes]"]:
        """A connected REQ socket."""
        sock: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.REQ)
        sock.setsockopt(zmq.LINGER, 0)
        sock.setsockopt(zmq.RECONNECT_IVL, 20)
        sock.connect(self.endpoint)
        try:
            yield sock
        finally:
            sock.close()

    def processes(self) -> dict[str, psutil.Process]:
        """Living processes of the member by actor ("api-0", "raft", ...), found by argv below the supervisor."""
        if self.process is None:
            return {}
        found: dict[str, psutil.Process] = {}
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self.process.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied, IndexError):
                    argv = child.cmdline()
                    at = argv.index("zetcd.cli.actor") if "zetcd.cli.actor" in argv else -1
                    if at >= 0 and child.status() != psutil.STATUS_ZOMBIE:
                        role, number = argv[at + 1], argv[at + 2]
                        found[title(role, int(number)) if number.isdigit() else role] = child
        return found

    def kill(self, actor: str, number: int = signal.SIGKILL) -> None:
        """Signal one process, by id."""
        self.processes()[actor].send_signal(number)

    def kill_all(self) -> None:
        """SIGKILL to supervisor and every process at once, as when the machine stops."""
        assert self.process is not None
        pids = [process.pid for process in self.processes().values()]
        self.process.kill()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(STOP_S)
        self.process = None

    def stop(self) -> int:
        """SIGTERM; the exit code. Falls back to SIGKILL after a bound."""
        if self.process is None:
            return 0
        process, self.process = self.process, None
        process.terminate()
        try:
            return process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(psutil.NoSuchProcess):
                for child in psutil.Process(process.pid).children(recursive=True):
                    child.kill()
            process.kill()
            process.wait()
            raise

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
