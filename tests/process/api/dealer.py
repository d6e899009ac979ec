"""A DEALER that speaks the public protocol by hand: what a client in another language would do."""

import contextlib
import itertools
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import msgpack
import zmq

from tests.process.member import Member

LIMIT_S = 30.0
"""Bound of every wait: the machine may be busy."""
Frames = tuple[bytes, ...]


class Dealer:
    """One connection. Every request gets an id frame of its own unless address says otherwise."""

    def __init__(self, endpoint: str, identity: bytes = b"", **options: int) -> None:
        self.socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        for name, value in options.items():
            self.socket.setsockopt(getattr(zmq, name), value)
        if identity:
            self.socket.setsockopt(zmq.ROUTING_ID, identity)
        self.socket.connect(endpoint)
        self._numbers = itertools.count(1)
        self._kept: list[tuple[Frames, dict[str, Any]]] = []

    def send(self, request: dict[str, Any], *address: bytes) -> Frames:
        """Send; the address its replies will carry."""
        frames = address or (b"%d" % next(self._numbers),)
        self.socket.send_multipart([*frames, msgpack.packb(request)])
        return frames

    def receive(self, limit_s: float = LIMIT_S) -> tuple[Frames, dict[str, Any]]:
        """The next reply of any address. Raises TimeoutError."""
        if self._kept:
            return self._kept.pop(0)
        return self._next(time.monotonic() + limit_s)

    def reply(self, address: Frames, limit_s: float = LIMIT_S) -> dict[str, Any]:
        """The next reply to address; others are kept in their order."""
        for place, (frames, reply) in enumerate(self._kept):
            if frames == address:
                del self._kept[place]
                return reply
        until = time.monotonic() + limit_s
        while True:
            frames, reply = self._next(until)
            if frames == address:
                return reply
            self._kept.append((frames, reply))

    def _next(self, until: float) -> tuple[Frames, dict[str, Any]]:
        left = until - time.monotonic()
        if left <= 0 or not self.socket.poll(int(left * 1000)):
            raise TimeoutError("no reply")
        *frames, body = self.socket.recv_multipart()
        reply: dict[str, Any] = msgpack.unpackb(body)
        return tuple(frames), reply

    def call(self, request: dict[str, Any], limit_s: float = LIMIT_S) -> dict[str, Any]:
        """Send and wait for the reply."""
        return self.reply(self.send(request), limit_s)

    def close(self) -> None:
        """Drop the connection."""
        self.socket.close(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@contextlib.contextmanager
def stopped(member: Member, actor: str) -> Iterator[None]:
    """actor does not run within the block (SIGSTOP); the watchdog must not be reached."""
    process = member.processes()[actor]
    process.suspend()
    try:
        yield
    finally:
        process.resume()


def etcds(code: int, status: str, message: str) -> dict[str, Any]:
    """An error reply with etcd's text."""
    return {"error": {"code": code, "status": status, "message": "etcdserver: " + message}}
