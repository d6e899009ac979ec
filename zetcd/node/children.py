"""The processes a supervisor starts, and the datagrams they send it (`zetcd.host.process.Notifier`)."""

import array
import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import msgspec

from zetcd.base import limits
from zetcd.base.settings import Settings
from zetcd.host.process import SUPERVISOR_VARIABLE
from zetcd.wire import routes

SETTINGS_VARIABLE = "_ZETCD_SETTINGS"
"""Environment variable that hands a child the settings of its member as JSON: all processes of a member run with the
same ones, also when a configuration file has changed since."""

WATCHDOG_MS = {
    "wal": limits.WATCHDOG_FATE_MS,
    "raft": limits.WATCHDOG_FATE_MS,
    "apply": limits.WATCHDOG_FATE_MS,
    "lease": limits.WATCHDOG_LEASE_MS,
    "api": limits.WATCHDOG_API_MS,
    "gateway": limits.WATCHDOG_GATEWAY_MS,
}
_DATAGRAM_BYTES = 4_096
_CREDENTIALS = struct.Struct("iII")  # struct ucred: pid, uid, gid

Command = Callable[[str, int], list[str]]
"""(role, number) -> argv of that process."""


def actor_command(settings: Settings) -> Command:
    """The real one. -P: a file beside the data must not stand in for a module."""

    def command(role: str, number: int) -> list[str]:
        where = ["--name", settings.name, "--data-dir", settings.data_dir]
        return [sys.executable, "-P", "-m", "zetcd.cli.actor", role, str(number), *where]

    return command


def child_environment(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """environ without settings of its own, and with the member's."""
    kept = {name: text for name, text in environ.items() if not name.startswith(("ZETCD_", "ETCD_", "WATCHDOG_"))}
    return kept | {SETTINGS_VARIABLE: msgspec.json.encode(settings).decode(), SUPERVISOR_VARIABLE: str(os.getpid())}


def inherited_settings(environ: Mapping[str, str] = os.environ) -> Settings | None:
    """What `child_environment` handed down; None where no supervisor did."""
    text = environ.get(SETTINGS_VARIABLE)
    return msgspec.json.decode(text, type=Settings) if text else None


@dataclass(slots=True, eq=False)
class Child:
    """One life of one process. pinged_at_ms: when its loop last showed life, 0 before it ever did."""

    role: str
    number: int
    process: subprocess.Popen[bytes]
    pidfd: int
    started_at_ms: int
    watchdog_ms: int
    ready: bool = False
    killed_for: str = ""
    pinged_at_ms: int = 0

    @classmethod
    def start(cls, role: str, number: int, argv: list[str], environ: dict[str, str], now_ms: int) -> "Child":
        """Start argv. A process group of its own: Ctrl-C reaches the supervisor alone, which stops them in order."""
        watchdog_ms = WATCHDOG_MS[role]
        environ = environ | {"WATCHDOG_USEC": str(watchdog_ms * 1000)}
        process = subprocess.Popen(  # noqa: S603 - argv is ours
            argv, env=environ, stdin=subprocess.DEVNULL, process_group=0
        )
        return cls(role, number, process, os.pidfd_open(process.pid), now_ms, watchdog_ms)

    @property
    def name(self) -> str:
        """``wal``, ``api-1``."""
        return routes.title(self.role, self.number)

    def deadline_ms(self) -> int:
        """When this process counts as hung: since its last ping, or, before it is READY, since its start."""
        if self.pinged_at_ms:
            return self.pinged_at_ms + self.watchdog_ms
        return self.started_at_ms + limits.START_TIMEOUT_MS

    def excuse(self, now_ms: int) -> None:
        """Count its time anew."""
        self.started_at_ms = now_ms
        if self.pinged_at_ms:
            self.pinged_at_ms = now_ms

    def on_notice(self, text: str, now_ms: int) -> bool:
        """Lines of one datagram; True if the process has just become READY."""
        became_ready = False
        for line in text.splitlines():
            if line == "WATCHDOG=1":
                self.pinged_at_ms = now_ms
            elif line == "READY=1" and not self.ready:
                self.ready = became_ready = True
                self.pinged_at_ms = now_ms
        return became_ready

    def signal(self, number: signal.Signals) -> None:
        """Send it, unless the process is gone."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, number)

    def ended(self) -> int | None:
        """Exit code (negative: a signal) once the process has ended; releases the pidfd."""
        code = self.process.poll()
        if code is not None and self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1
        return code


class NoticeSocket:
    """Receives what children send; the kernel vouches for the sender's process id."""

    def __init__(self) -> None:
        self.address = f"@zetcd-{os.getpid()}-{os.urandom(8).hex()}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.bind("\0" + self.address[1:])

    def fileno(self) -> int:
        """For poll."""
        return self._socket.fileno()

    def close(self) -> None:
        """No more notices."""
        self._socket.close()

    def take(self) -> Iterator[tuple[int, str]]:
        """(process id, text) of each datagram that waits."""
        while True:
            try:
                data, ancillary, _, _ = self._socket.recvmsg(
                    _DATAGRAM_BYTES,
                    socket.CMSG_SPACE(_CREDENTIALS.size) + socket.CMSG_SPACE(64),
                    socket.MSG_CMSG_CLOEXEC,
                )
            except BlockingIOError:
                return
            for level, kind, payload in ancillary:
                if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
                    pid, _, _ = _CREDENTIALS.unpack(payload[: _CREDENTIALS.size])
                    yield pid, data.decode(errors="replace")
                elif level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    for descriptor in array.array("i", payload[: len(payload) // 4 * 4]):
                        os.close(descriptor)  # nobody has reason to send one
