"""A request, and the answer to it."""

import http
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from zetcd.base import limits
from zetcd.gateway.http1.websocket import Socket

Headers = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Request:
    """A complete request. path: the raw target without query; headers: names in lower case, repeated ones joined.

    upgrade: a websocket is asked for; instead of an answer through its exchange, this makes the connection one, and
    sends these headers with that. None: none is, or HTTP/2 or HTTP/1.0 was spoken.
    """

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    peer: str
    upgrade: Callable[[Headers], Socket] | None = None


class Exchange(Protocol):
    """One answer: either `respond`, or `start`, `write`s and `end`. After the client has gone nothing has an effect."""

    on_cancel: Callable[[], None] | None
    """The client went away."""
    on_writable: Callable[[], None] | None
    """After a `write` that was False: there is room again."""

    def respond(self, status: int, headers: Headers, body: bytes) -> None:
        """One whole answer."""

    def start(self, status: int, headers: Headers) -> None:
        """The head of an answer that comes in parts."""

    def write(self, data: bytes) -> bool:
        """A part. False: STREAM_UNSENT_BYTES_MAX is exceeded; no more before `on_writable`."""

    def end(self) -> None:
        """It is complete."""


Handler = Callable[[Request, Exchange], None]


class Answering(Protocol):
    """The connection that an answer goes out on."""

    def put(self, data: bytes) -> int:
        """Queue bytes. Returns how many wait now."""

    def answered(self, answer: "Answer", *, keep: bool) -> None:
        """The answer is complete. keep: another request may follow."""

    def date(self) -> str:
        """For the Date header."""


class Answer:
    """`Exchange` over HTTP/1.1. body_bytes: of its request."""

    __slots__ = (
        "_chunked",
        "_connection",
        "_full",
        "_head_only",
        "_http10",
        "_keep",
        "_started",
        "body_bytes",
        "done",
        "on_cancel",
        "on_writable",
    )

    def __init__(self, connection: Answering, *, keep: bool, head_only: bool = False, http10: bool = False) -> None:
        self._connection = connection
        self._keep = keep
        self._head_only = head_only
        self._http10 = http10
        self._chunked = not http10
        self._started = False
        self._full = False
        self.done = False
        self.body_bytes = 0
        self.on_cancel: Callable[[], None] | None = None
        self.on_writable: Callable[[], None] | None = None

    def respond(self, status: int, headers: Headers, body: bytes) -> None:
        """One whole answer."""
        if self.done or self._started:
            return
        head = self._head(status, [*headers, ("Content-Length", str(len(body)))])
        self._connection.put(head if self._head_only else head + body)
        self._finish()

    def start(self, status: int, headers: Headers) -> None:
        """The head of an answer that comes in parts."""
        if self.done or self._started:
            return
        self._started = True
        if self._chunked:
            headers = [*headers, ("Transfer-Encoding", "chunked")]
        else:
            self._keep = False  # its end is the end of the connection
        self._connection.put(self._head(status, headers))

    def write(self, data: bytes) -> bool:
        """A part. False: STREAM_UNSENT_BYTES_MAX is exceeded; no more before `on_writable`."""
        assert self._started, "start comes before write"
        if self.done or self._head_only or not data:
            return True
        if self._chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        if self._connection.put(data) <= limits.STREAM_UNSENT_BYTES_MAX:
            return True
        self._full = True
        return False

    def end(self) -> None:
        """It is complete."""
        if self.done:
            return
        if self._chunked and not self._head_only:
            self._connection.put(b"0\r\n\r\n")
        self._finish()

    def drained(self) -> None:
        """What was written has gone out."""
        if self._full and not self.done:
            self._full = False
            if self.on_writable is not None:
                self.on_writable()

    def cancel(self) -> None:
        """The client has gone."""
        if not self.done:
            self.done = True
            if self.on_cancel is not None:
                self.on_cancel()

    def close_after(self) -> None:
        """No further request is taken on this connection."""
        self._keep = False

    def _finish(self) -> None:
        self.done = True
        self._connection.answered(self, keep=self._keep)

    def _head(self, status: int, headers: Headers) -> bytes:
        lines = [f"HTTP/1.1 {status} {_PHRASES.get(status, '')}"]
        lines += [f"{name}: {_line(value)}" for name, value in headers]
        lines.append(f"Date: {self._connection.date()}")
        if not self._keep:
            lines.append("Connection: close")
        elif self._http10:
            lines.append("Connection: keep-alive")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


_PHRASES = {status.value: status.phrase for status in http.HTTPStatus}


def _line(value: str) -> str:
    """Without what would begin another header."""
    return value.replace("\r", " ").replace("\n", " ") if "\r" in value or "\n" in value else value
