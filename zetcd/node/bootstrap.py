"""Before the first process of a member starts: its directories, and proof that directory and ports are its own."""

import contextlib
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from zetcd.base.errors import Refusal
from zetcd.base.settings import Settings
from zetcd.host import claims
from zetcd.host.claims import Holder
from zetcd.node.urls import Url, read_url

PRIVATE = 0o700
ETCD_STORE = "snap/db"
"""Where etcd has its store, below the member's directory. An empty cluster beside it would look like a loss."""


@dataclass(slots=True)
class Claims:
    """What this process holds for its member until it ends."""

    directory: int = -1
    ports: list[socket.socket] = field(default_factory=list)

    def release(self) -> None:
        """Give everything back."""
        for port in self.ports:
            port.close()
        if self.directory >= 0:
            os.close(self.directory)
        self.directory, self.ports = -1, []


def make_directories(settings: Settings) -> list[str]:
    """The data directory and what every process expects in it, mode 0700. Returns warnings; raises Refusal."""
    if Path(settings.member_dir, ETCD_STORE).exists():
        raise Refusal(
            f"--data-dir: {settings.data_dir} holds the data of etcd, which zetcd does not read: give another "
            "directory; while etcd runs, etcdctl make-mirror copies its keys"
        )
    warnings = []
    parents = [settings.data_dir, settings.member_dir, f"{settings.member_dir}/run"]
    if settings.wal_dir:
        parents.append(settings.wal_dir)
    for directory in parents:
        path = Path(directory)
        try:
            path.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
            mode = path.stat().st_mode & 0o777
        except OSError as error:
            raise Refusal(f"--data-dir: cannot make {directory}: {(error.strerror or '').lower()}") from None
        if mode & 0o077:
            warnings.append(f"{directory} has mode {mode:04o}, others can read the data: 0700 is meant")
        if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
            raise Refusal(f"--data-dir: {directory} cannot be written by this user")
    return warnings


def claim_member(settings: Settings) -> Claims:
    """Claim the data directory and every port; Refusal says at once who has them."""
    held = Claims()
    # Whatever stops us half way, nothing stays claimed.
    with contextlib.ExitStack() as undo:
        undo.callback(held.release)
        taken = claims.claim_directory(settings.data_dir, f"zetcd, member {settings.name}")
        if isinstance(taken, Holder):
            raise _directory_taken(settings.data_dir, taken)
        held.directory = taken
        for directory in dict.fromkeys((settings.member_dir, settings.wal_path)):
            left = claims.outlive(_ask_directory(directory), settings.data_dir)
            if left is not None:
                raise _directory_taken(directory, left)
        held.ports = claim_ports(settings)
        for name, url in _listeners(settings):
            left = claims.outlive(_ask_port(url), settings.data_dir)
            if left is not None:
                raise Refusal(
                    f"{name}: port {url.port} of {url.text} is in use by {left}; stop it, or give another port"
                )
        undo.pop_all()
    return held


def claim_ports(settings: Settings) -> list[socket.socket]:
    """A claim per port, for as long as the sockets live. Under systemd raft calls this for its member."""
    found: list[socket.socket] = []
    for name, url in _listeners(settings):
        if url.port == 0:
            raise Refusal(f"{name}: {url.text}: give a port; the processes of a member must agree on it")
        claim = claims.claim_port(url.host, url.port)
        if isinstance(claim, Holder):
            for other in found:
                other.close()
            raise Refusal(f"{name}: port {url.port} of {url.text} is claimed by {claim}; stop it, or give another port")
        found.append(claim)
    return found


def _listeners(settings: Settings) -> Iterator[tuple[str, Url]]:
    for name in ("listen-client-urls", "listen-client-http-urls", "listen-metrics-urls", "listen-peer-urls"):
        for text in getattr(settings, name.replace("-", "_")):
            yield f"--{name}", read_url(text)


def _ask_directory(directory: str) -> Iterator[Holder | None]:
    while True:
        yield claims.directory_holder(directory)


def _ask_port(url: Url) -> Iterator[Holder | None]:
    while True:
        yield claims.probe_port(url.host, url.port)


def _directory_taken(directory: str, holder: Holder) -> Refusal:
    return Refusal(f"{directory} is in use by {holder}; stop it, or give another --data-dir")
