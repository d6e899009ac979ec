"""What a member has for itself alone: its directory, and its ports. Who finds them taken is told by whom.

A directory is claimed by `flock` on a file in it that says ``<pid> <holder>``; the time the file was written is the
time since which it is held. A port is claimed by an abstract unix socket named after it, because the api processes of
a member share the port itself (SO_REUSEPORT), which would let a second member join in unnoticed. The kernel gives up
both when the process ends, however it ends; both are per network namespace or file system, as what they stand for.
"""

import contextlib
import errno
import fcntl
import os
import select
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from zetcd.base import limits
from zetcd.base.errors import Refusal
from zetcd.host import clock

LOCK_FILE = "lock"
_NAME_BYTES = 256
_CREDENTIALS = struct.Struct("iII")  # struct ucred: pid, uid, gid


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has it. pid 0: unknown. text: what it says of itself; since: local time, or empty."""

    pid: int
    text: str
    since: str = ""

    def __str__(self) -> str:
        who = f"process {self.pid}" if self.pid else "another process"
        return f"{who} ({self.text})" + (f" since {self.since}" if self.since else "")


# -- directories ---------------------------------------------------------------------------------------------------
def claim_directory(directory: str, holder: str) -> int | Holder:
    """The descriptor that holds the claim until it is closed, or who has it already."""
    path = f"{directory}/{LOCK_FILE}"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if not _try_lock(descriptor):
        found = _holder(descriptor)
        os.close(descriptor)
        return found
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()} {holder}\n".encode(), 0)
    return descriptor


def directory_holder(directory: str) -> Holder | None:
    """Who claims directory now; None if nobody does."""
    try:
        descriptor = os.open(f"{directory}/{LOCK_FILE}", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return None if _try_lock(descriptor) else _holder(descriptor)
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(descriptor: int) -> Holder:
    pid, _, text = os.pread(descriptor, _NAME_BYTES, 0).decode(errors="replace").strip().partition(" ")
    since = datetime.fromtimestamp(os.fstat(descriptor).st_mtime, UTC).astimezone()
    return Holder(int(pid) if pid.isdigit() else 0, text or "unknown", since.strftime("%Y-%m-%d %H:%M:%S"))


# -- ports -----------------------------------------------------------------------------------------------------------
def claim_port(host: str, port: int) -> socket.socket | Holder:
    """Claim host:port for this member (`_name`); the claim lasts as long as the socket."""
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        claim.bind(_name(host, port))
    except OSError as error:
        claim.close()
        if error.errno != errno.EADDRINUSE:
            raise Refusal(f"claim of {host}:{port}: {error.strerror}") from error
        return _claimant(host, port)
    claim.listen(1)  # so that others may connect, and the kernel tells them our process id
    return claim


def probe_port(host: str, port: int) -> Holder | None:
    """Bind without SO_REUSEPORT: who listens there; None if the port is free. Raises Refusal if it cannot be bound."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of a former life do not count
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return _listener(port)
            raise Refusal(f"cannot listen on {host}:{port}: {(error.strerror or '').lower()}") from error
    return None


def _name(host: str, port: int) -> str:
    return f"\0zetcd/port/{host}/{port}"


def _claimant(host: str, port: int) -> Holder:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as asker:
        asker.setblocking(False)
        with contextlib.suppress(OSError):
            asker.connect(_name(host, port))
            pid, _, _ = _CREDENTIALS.unpack(asker.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
            return Holder(pid, describe(pid))
    return Holder(0, "zetcd")


def _listener(port: int) -> Holder:
    import psutil  # noqa: PLC0415 - 30 ms that only a message about a taken port is worth

    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:2] == (port,) and connection.pid:
                return Holder(connection.pid, describe(connection.pid))
    return Holder(0, "of another user")


def describe(pid: int) -> str:
    """What a process is, from its command line: ``zetcd api of member m1``, or its program."""
    words = _command_line(pid)
    if "zetcd.cli.actor" in words or (len(words) > 1 and Path(words[1]).name == "zetcd"):
        named = [words[at + 1] for at in range(len(words) - 1) if words[at] == "--name"]
        member = named[0] if named else "default"
        if "zetcd.cli.actor" in words[:-1]:
            return f"zetcd {words[words.index('zetcd.cli.actor') + 1]} of member {member}"
        return f"zetcd, member {member}"
    return Path(words[0]).name if words and words[0] else "unknown"


def _command_line(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
    except OSError:
        return []


# -- the last moments of a former life -----------------------------------------------------------------------------
def outlive(holders: Iterator[Holder | None], ours: str) -> Holder | None:
    """Ask again while the holder is a dying process of our own directory `ours`; the holder that stays, or None.

    A supervisor that was killed leaves children that die a moment later; the next one waits for their end, at most
    `PORT_CLAIM_WAIT_MS`, instead of refusing. Only who holds the claim on `ours` may conclude that they are dying.
    """
    until = clock.monotonic_ms() + limits.PORT_CLAIM_WAIT_MS
    for holder in holders:
        if holder is None:
            return None
        if not holder.pid or "zetcd.cli.actor" not in (words := _command_line(holder.pid)) or ours not in words:
            # It may have ended between the two looks.
            if not (holder.pid and not Path(f"/proc/{holder.pid}").exists() and clock.monotonic_ms() < until):
                return holder
            continue
        if not _wait_for_end(holder.pid, until - clock.monotonic_ms()):
            return holder
    return None


def _wait_for_end(pid: int, limit_ms: int) -> bool:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(max(0, limit_ms)))
    finally:
        os.close(descriptor)
