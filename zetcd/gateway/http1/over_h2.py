"""A plain HTTP request that came over HTTP/2, as browsers and curl make them where TLS offers it."""

from collections.abc import Callable

from zetcd.base import limits
from zetcd.gateway.h2.fields import encode
from zetcd.gateway.h2.head import Head
from zetcd.gateway.h2.stream import Stream
from zetcd.gateway.held import Held
from zetcd.gateway.http1.exchange import Handler, Headers, Request

_OF_A_CONNECTION = frozenset({"connection", "keep-alive", "transfer-encoding", "upgrade"})


class Incoming:
    """The handler of the stream: collects the request, and tells its exchange what becomes of the stream."""

    __slots__ = ("_body", "_exchange", "_head", "_held", "_peer", "_serve")

    def __init__(self, stream: Stream, head: Head, serve: Handler, peer: str, *, held: Held) -> None:
        self._head = head
        self._serve = serve
        self._peer = peer
        self._held = held
        self._body = bytearray()
        self._exchange = StreamExchange(stream, self._let_go, head_only=head.method == b"HEAD")

    def on_data(self, data: bytes, end: bool) -> None:
        """Part of the body."""
        exchange = self._exchange
        if exchange.done:
            return
        self._body += data
        if not self._held.take(len(data)):
            exchange.respond(503, [], b"503 Service Unavailable\n")
        elif len(self._body) > limits.HTTP_BODY_BYTES_MAX:
            exchange.respond(413, [], b"413 Request Entity Too Large\n")
        elif end:
            self._serve(self._request(), exchange)

    def on_reset(self) -> None:
        """The client went away."""
        self._exchange.cancel()

    def on_writable(self) -> None:
        """There is room again."""
        if not self._exchange.done and self._exchange.on_writable is not None:
            self._exchange.on_writable()

    def _let_go(self) -> None:
        self._held.give(len(self._body))
        self._body = bytearray()

    def _request(self) -> Request:
        head = self._head
        headers = {"host": head.authority.decode("latin-1")}
        for raw_name, raw in head.fields:
            name, value = raw_name.decode("ascii"), raw.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        path, _, query = head.path.decode("latin-1").partition("?")
        return Request(head.method.decode("latin-1"), path, query, headers, bytes(self._body), self._peer)


class StreamExchange:
    """`http1.exchange.Exchange` on a stream of HTTP/2."""

    __slots__ = ("_head_only", "_let_go", "_stream", "done", "on_cancel", "on_writable")

    def __init__(self, stream: Stream, let_go: Callable[[], None], *, head_only: bool) -> None:
        self._stream = stream
        self._let_go = let_go
        self._head_only = head_only
        self.done = False
        self.on_cancel: Callable[[], None] | None = None
        self.on_writable: Callable[[], None] | None = None

    def respond(self, status: int, headers: Headers, body: bytes) -> None:
        """One whole answer."""
        if not self._stream.connection.held.fits(len(body)):
            status, headers, body = 503, [], b""
        self.start(status, [*headers, ("Content-Length", str(len(body)))])
        self.write(body)
        self.end()

    def start(self, status: int, headers: Headers) -> None:
        """The head of an answer that comes in parts."""
        if self.done:
            return
        fields = [(b":status", b"%d" % status)]
        for name, value in headers:
            if name.lower() not in _OF_A_CONNECTION:
                fields.append((name.lower().encode("latin-1", "replace"), value.encode("latin-1", "replace")))
        self._stream.start(encode(fields))

    def write(self, data: bytes) -> bool:
        """A part. False: STREAM_UNSENT_BYTES_MAX is exceeded; no more before `on_writable`."""
        if self.done or not data or self._head_only:
            return True
        return self._stream.send(data)

    def end(self) -> None:
        """It is complete."""
        if not self.done:
            self._end()
            self._stream.finish(b"")

    def cancel(self) -> None:
        """The client has gone."""
        if not self.done:
            self._end()
            if self.on_cancel is not None:
                self.on_cancel()

    def _end(self) -> None:
        self.done = True
        self._let_go()
