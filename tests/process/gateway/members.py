"""Members as etcd's users start them, and etcd's own client against them."""

import contextlib
import os
import select
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from tests.process.member import ROOT, START_S, Member

ETCDCTL = Path("/usr/bin/etcdctl")
READY = "ready to serve client requests"
LIMIT_S = 30.0


class EtcdStyle(Member):
    """A member with an ``http://`` client URL and no other. others: name -> peer URL of the whole cluster."""

    def __init__(self, directory: Path, *flags: str, name: str = "infra0") -> None:
        super().__init__(directory, *flags, name=name)
        self.others: dict[str, str] = {name: self.peer}
        self.environ: dict[str, str] = {}

    @property
    def url(self) -> str:
        """For etcd's clients."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def peer(self) -> str:
        """Peer URL, as etcd writes it."""
        return f"http://127.0.0.1:{self.peer_port}"

    def words(self) -> list[str]:
        """The flags of etcd's clustering guide."""
        return [
            "--name", self.name, "--data-dir", str(self.data_dir),
            "--initial-advertise-peer-urls", self.peer, "--listen-peer-urls", self.peer,
            "--listen-client-urls", self.url, "--advertise-client-urls", self.url,
            "--initial-cluster-token", "etcd-cluster-1", "--initial-cluster-state", "new",
            "--initial-cluster", ",".join(f"{name}={url}" for name, url in self.others.items()),
        ]  # fmt: skip

    def command(self) -> list[str]:
        """argv."""
        return [super().command()[0], *self.words(), *self.flags]

    def spawn(self) -> None:
        """Start without waiting."""
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdout=log, stderr=log, cwd=ROOT, env=os.environ | self.environ
            )

    def start(self) -> Self:
        """Start, and wait as tools that start etcd do: for its words in the log."""
        self.spawn()
        self.wait_said(READY)
        return self

    def wait_said(self, words: str) -> None:
        """Until the log has them. Raises TimeoutError with its end."""
        until = time.monotonic() + START_S
        while words not in self.log:
            if time.monotonic() > until or (self.process is not None and self.process.poll() is not None):
                raise TimeoutError(f"{self.name} did not say {words!r}:\n{self.log[-4000:]}")
            time.sleep(0.02)  # a file that another process appends to

    def ctl(self, *words: str, more: Sequence[str] = ()) -> str:
        """Standard output of ``etcdctl words`` against this member; it must succeed."""
        done = run_ctl(self.url, *more, *words)
        assert done.returncode == 0, (words, done.stdout, done.stderr, self.log[-3000:])
        return done.stdout


def run_ctl(endpoints: str, *words: str) -> subprocess.CompletedProcess[str]:
    """One etcdctl 3.4."""
    argv = [str(ETCDCTL), "--endpoints", endpoints, *words]
    return subprocess.run(argv, env=_ENVIRON, capture_output=True, text=True, timeout=LIMIT_S, check=False)


_ENVIRON = {"ETCDCTL_API": "3", "PATH": "/usr/bin"}


class Watch:
    """A running ``etcdctl watch``."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def lines(self, count: int) -> list[str]:
        """The next so many lines. Raises TimeoutError."""
        out = self._process.stdout
        assert out is not None
        found: list[str] = []
        until = time.monotonic() + LIMIT_S
        while len(found) < count:
            if not select.select([out], [], [], max(0.0, until - time.monotonic()))[0]:
                raise TimeoutError(f"after {found}")
            found.append(out.readline().decode().rstrip("\n"))
        return found


@contextlib.contextmanager
def watching(endpoints: str, *words: str) -> Iterator[Watch]:
    """etcdctl watch, ended at the end."""
    argv: list[Any] = [ETCDCTL, "--endpoints", endpoints, "watch", *words]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, bufsize=0, env=_ENVIRON) as process:
        try:
            yield Watch(process)
        finally:
            process.kill()
