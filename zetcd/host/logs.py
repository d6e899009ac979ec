"""Logs of the actors: one JSON object a line, with etcd's field names; nothing on the hot path logs.

An actor starts in 50 ms and holds 13 MB; importing structlog would add 150 ms and asyncio to each of them, so the few
lines an actor writes are made here, in the shape structlog gives the supervisor's.

A log sink that blocks must not block the member (etcd issue 22214: reads hang when the log reader stops): lines to a
pipe or terminal are written without waiting, and those that do not fit are counted and reported with the next that
does.
"""

import os
import stat
import sys
from datetime import UTC, datetime
from typing import Any

import msgspec

from zetcd.base.errors import Fatal
from zetcd.base.settings import Settings
from zetcd.wire import routes

LEVELS = {"debug": 10, "info": 20, "warn": 30, "error": 40, "dpanic": 50, "panic": 50, "fatal": 50}
LINE_BYTES_MAX = 16 * 1024

_encode = msgspec.json.Encoder(enc_hook=str).encode


class Logger:
    """Writes to one descriptor what is at or above a level."""

    def __init__(self, descriptor: int, level: str, fields: dict[str, Any], *, console: bool = False) -> None:
        self._descriptor = descriptor
        self._threshold = LEVELS.get(level, 20)
        self._fields = fields
        self._console = console
        self.lost = 0

    def debug(self, msg: str, **fields: Any) -> None:
        """For developers."""
        self._log("debug", msg, fields)

    def info(self, msg: str, **fields: Any) -> None:
        """Milestones of a member's life."""
        self._log("info", msg, fields)

    def warn(self, msg: str, **fields: Any) -> None:
        """Something an operator should look at."""
        self._log("warn", msg, fields)

    def error(self, msg: str, **fields: Any) -> None:
        """Something an operator must look at."""
        self._log("error", msg, fields)

    def _log(self, level: str, msg: str, fields: dict[str, Any]) -> None:
        if LEVELS[level] < self._threshold:
            return
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        if self._console:
            tail = " ".join(f"{name}={value}" for name, value in {**self._fields, **fields}.items())
            line = f"{stamp} {level:5} {msg} {tail}".encode(errors="backslashreplace")
        else:
            line = _encode({"level": level, "ts": stamp, "msg": msg, **self._fields, **fields})
        self._write(line[:LINE_BYTES_MAX] + b"\n")

    def _write(self, line: bytes) -> None:
        if self.lost:
            lost = {"level": "warn", "msg": "log lines lost: the reader was too slow", "lost": self.lost}
            line = _encode(lost) + b"\n" + line
        try:
            os.write(self._descriptor, line)
        except OSError:
            self.lost += 1  # a full or closed pipe must not end a member
        else:
            self.lost = 0


def _open(outputs: tuple[str, ...]) -> int:
    target = outputs[0] if outputs else "stderr"
    if target not in ("stderr", "default", "stdout"):
        try:
            return os.open(target, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise Fatal(f"--log-outputs {target}: {error.strerror}; name a file that can be written") from error
    return _unblocked(sys.stdout.fileno() if target == "stdout" else sys.stderr.fileno())


def _unblocked(descriptor: int) -> int:
    kind = os.fstat(descriptor).st_mode
    if not stat.S_ISFIFO(kind) and not stat.S_ISCHR(kind):
        return os.dup(descriptor)  # a regular file never blocks, and all processes must share its position
    try:
        # The open file is shared with other programs, whose mode must stay as it is: ours is opened anew.
        return os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return os.dup(descriptor)


def say(descriptor: int, text: str) -> None:
    """A word to people outside the log (ready; why a process ends), which must not wait for its reader either."""
    try:
        other = _unblocked(descriptor)
        os.write(other, text.encode(errors="backslashreplace"))
        os.close(other)
    except OSError:
        return  # nobody reads


def configure(settings: Settings, role: str, number: int = 0) -> Logger:
    """The logger of this process."""
    fields = {"member": settings.name, "actor": routes.title(role, number)}
    return Logger(_open(settings.log_outputs), settings.log_level, fields, console=settings.log_format == "console")
