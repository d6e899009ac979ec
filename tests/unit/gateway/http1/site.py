"""A connection of HTTP/1.1 with a handler behind it, for tests."""

from zetcd.base import limits
from zetcd.gateway.held import Held
from zetcd.gateway.http1.connection import Connection
from zetcd.gateway.http1.exchange import Exchange, Request

DATE = "Sat, 01 Jan 2000 00:00:00 GMT"
HOST = b"Host: a\r\n"


class Site:
    """A connection with a handler that answers at once, or keeps the exchanges of /later."""

    def __init__(self, now: float = 100.0) -> None:
        self.requests: list[Request] = []
        self.kept: list[Exchange] = []
        self.cancelled = 0
        self.wakes = 0
        self.held = Held(10 * limits.HTTP_BODY_BYTES_MAX)
        self.now = now
        self.wire = Connection(self.serve, self._wake, now, "p", date=lambda: DATE, held=self.held)

    def _wake(self) -> None:
        self.wakes += 1

    def serve(self, request: Request, exchange: Exchange) -> None:
        self.requests.append(request)
        if request.path == "/later":
            exchange.on_cancel = self.cancel
            self.kept.append(exchange)
        else:
            exchange.respond(200, [("X", "y")], request.path.encode())

    def cancel(self) -> None:
        self.cancelled += 1

    def say(self, *data: bytes) -> bytes:
        for one in data:
            self.wire.receive(one, self.now)
        return self.read()

    def read(self) -> bytes:
        return self.wire.take() if self.wire.has_output else b""


def answer(body: bytes, *, more: bytes = b"") -> bytes:
    length = str(len(body)).encode()
    return b"HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: %b\r\nDate: %b\r\n%b\r\n" % (length, DATE.encode(), more) + body


def get(path: bytes, extra: bytes = b"") -> bytes:
    return b"GET %b HTTP/1.1\r\n%b%b\r\n" % (path, HOST, extra)
