"""One HTTP/1.1 connection: bytes in, requests to a handler one after the other, bytes out.

The owner gives `receive` what the client sent, writes what `take` returns once a turn, says when the client does not
read (`congested`), reads no more while `full`, and calls `tick` when time has passed. Requests that come while one is
being answered wait as bytes, so answers keep their order. Whatever could be read in two ways (smuggling) is refused
with 400 and ends the connection.
"""

from collections import deque
from collections.abc import Callable
from functools import partial

import httptools

from zetcd.base import limits
from zetcd.gateway.held import Held
from zetcd.gateway.http1.exchange import Answer, Handler, Headers, Request
from zetcd.gateway.http1.websocket import Socket, accept

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_TEXT = [("Content-Type", "text/plain; charset=utf-8")]
_PIECE = 4_096
"""Bytes parsed at a time: so much may be parsed behind a request that is still being answered."""


class _Refused(Exception):
    """The connection ends with this status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class Connection:
    """See the module. wake: called when there is output and nobody has asked for it yet; date: for the Date header."""

    def __init__(
        self, handler: Handler, wake: Callable[[], None], now: float, peer: str, *, date: Callable[[], str], held: Held
    ) -> None:
        self._handler = handler
        self._wake = wake
        self._peer = peer
        self._held = held
        self.date = date
        self._parser = httptools.HttpRequestParser(self)
        self._rest: deque[bytes] = deque()
        self._rest_bytes = 0
        self._queue: deque[tuple[Request, Answer]] = deque()
        self._current: Answer | Socket | None = None
        self._refusal: _Refused | None = None  # to be answered behind the queue
        self._begun: float | None = None  # when the message that is being received began
        self._quiet_since = now
        self._now = now
        self._out: list[bytes] = []
        self._out_bytes = 0
        self._awake = False
        self._serving = False
        self._last = False  # no further requests
        self.congested = False
        """The client does not read."""
        self.closing = False
        """Write what is left and close."""
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._reset_message()

    # -- what the owner calls ---------------------------------------------------------------------
    def receive(self, data: bytes, now: float) -> None:
        """Bytes of the client, cut anywhere."""
        if isinstance(self._current, Socket):
            self._now = now
            self._awake = True
            self._current.receive(data, now)
            self._awake = False
            return
        if self.closing or self._last or self._refusal is not None:
            return
        self._now = now
        self._rest.append(data)
        self._rest_bytes += len(data)
        self._awake = True
        self._serve()
        self._awake = False

    @property
    def full(self) -> bool:
        """Enough waits behind the request that is being answered: read no more."""
        if isinstance(self._current, Socket):
            return self._current.full
        return self._rest_bytes > limits.HTTP_PIPELINED_BYTES_MAX

    @property
    def has_output(self) -> bool:
        """Whether `take` would return something."""
        return not self.congested and bool(self._out or self._waiting)

    def take(self) -> bytes:
        """What is to be written now. Requests that waited for it to go out are answered then."""
        out, self._out = self._out, []
        self._out_bytes = 0
        self._awake = True
        if self._current is not None:
            self._current.drained()
        self._serve()
        self._awake = False
        return b"".join(out)

    @property
    def _waiting(self) -> bool:
        """Whether something could be answered once there is room for the answer."""
        more = self._queue or self._rest or self._refusal is not None
        return bool(more) and self._current is None and not self.closing

    @property
    def finished(self) -> bool:
        """Nothing is under way and nothing can come: close the transport."""
        return self.closing and not self._out

    def tick(self, now: float) -> float:
        """Give up a client that is idle or slow. Returns when to call again."""
        request_s, idle_s = limits.HTTP_REQUEST_MS / 1000, limits.HTTP_IDLE_MS / 1000
        self._now = now
        if self._current is None:
            if not self.closing and self._begun is not None and now >= self._begun + request_s:
                self._refuse(_Refused(408, "request timeout"))
            elif (self.closing or self._begun is None) and now >= self._quiet_since + idle_s:
                self.closing = True
                self._out.clear()  # it has not read for so long
                self._out_bytes = 0
        elif isinstance(self._current, Socket):
            self._tick_socket(self._current, now)
        return now + request_s / 2

    def _tick_socket(self, socket: Socket, now: float) -> None:
        """Give up a websocket that was never used, or whose client does not answer Close."""
        if not socket.used and not socket.closing and now >= self._quiet_since + limits.HTTP_IDLE_MS / 1000:
            socket.end()
        elif socket.closing:
            self._begun = self._begun or now  # to wait
            if now >= self._begun + limits.HTTP_REQUEST_MS / 1000:
                socket.cancel()

    def close(self) -> None:
        """Take no further requests."""
        self._last = True
        self._drop_queue()
        if self._current is None:
            self.closing = True
        else:
            self._current.close_after()

    def lost(self) -> None:
        """The connection is gone."""
        self.closing = True
        self._drop_queue()
        self._held.give(len(self._body))
        self._body = bytearray()
        self._out.clear()  # connection and parser keep each other until the garbage collector comes; not so an answer
        self._out_bytes = 0
        self._rest.clear()
        current, self._current = self._current, None
        if current is not None:
            current.cancel()
            self._held.give(current.body_bytes)

    # -- what an exchange calls -------------------------------------------------------------------
    def put(self, data: bytes) -> int:
        """Queue bytes. Returns how many wait now."""
        self._out.append(data)
        self._out_bytes += len(data)
        if not self._awake:
            self._awake = True
            self._wake()
        return self._out_bytes

    @property
    def unsent(self) -> int:
        """Bytes that wait to go out."""
        return self._out_bytes

    def room(self) -> None:
        """It is not full any more: the owner may read on."""
        self._wake()

    def answered(self, answer: Answer | Socket, *, keep: bool) -> None:
        """The answer is complete."""
        if answer is not self._current:
            return
        self._current = None
        self._held.give(answer.body_bytes)
        self._quiet_since = self._now
        if not keep:
            self.closing = True
            self._drop_queue()
        self._serve()

    def upgrade(self, answer: Answer, key: str, headers: Headers) -> Socket:
        """Make the connection a websocket: from now on it is `_current`."""
        assert answer is self._current, "upgraded in its turn, and once"
        answer.done = True
        lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"{name}: {value}" for name, value in [("Sec-WebSocket-Accept", accept(key)), *headers]]
        self.put(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        socket = Socket(self, self._held, self._now)
        self._current = socket
        self._quiet_since = self._now
        for data in self._rest:
            socket.receive(data, self._now)
        self._rest.clear()
        self._rest_bytes = 0
        return socket

    def _drop_queue(self) -> None:
        while self._queue:
            self._held.give(self._queue.popleft()[1].body_bytes)

    # -- serving ----------------------------------------------------------------------------------
    def _serve(self) -> None:
        """Hand over requests until one is not answered at once, or no more is complete."""
        if self._serving:
            return
        self._serving = True
        try:
            while self._current is None and not self.closing and self._out_bytes <= limits.STREAM_UNSENT_BYTES_MAX:
                if self._queue:
                    request, self._current = self._queue.popleft()
                    self._handler(request, self._current)
                elif self._refusal is not None:
                    self._refuse(self._refusal)
                elif self._rest:
                    self._parse()
                else:
                    return
        finally:
            self._serving = False

    def _refuse(self, refusal: _Refused) -> None:
        self._refusal = None
        self._rest.clear()
        self._rest_bytes = 0
        self._current = Answer(self, keep=False)
        self._current.respond(refusal.status, _TEXT, refusal.text.encode())

    def _parse(self) -> None:
        """The next piece of what came."""
        data = self._rest.popleft()
        if len(data) > _PIECE and self._body_left <= 0:
            self._rest.appendleft(data[_PIECE:])
            data = data[:_PIECE]
        self._rest_bytes -= len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            rest = data[upgrade.args[0] :]
            if self._asks_for_websocket():
                self._queue_upgrade()
            else:
                rest = self._without_upgrade() + rest
            self._parser = httptools.HttpRequestParser(self)
            self._rest.appendleft(rest)
            self._rest_bytes += len(rest)
        except httptools.HttpParserError as error:
            cause = error.__context__
            self._refusal = cause if isinstance(cause, _Refused) else _Refused(400, "400 Bad Request")
        else:
            if self._in_head:
                self._head_fed += len(data)
                if self._head_fed > limits.HTTP_HEAD_BYTES_MAX + _PIECE:
                    self._refusal = _Refused(431, "431 Request Header Fields Too Large")

    def _asks_for_websocket(self) -> bool:
        """Whether the head just parsed may make the connection a websocket; with a body it is read as if it did not."""
        headers = self._headers
        protocols = [word.strip().lower() for word in headers.get("upgrade", "").split(",")]
        body = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
        get = self._parser.get_method() == b"GET" and self._parser.get_http_version() == "1.1"
        return get and "host" in headers and "websocket" in protocols and not body

    def _queue_upgrade(self) -> None:
        self._begun = None
        answer = Answer(self, keep=self._parser.should_keep_alive() and not self._last)
        path, _, query = _origin_form(self._url.decode("latin-1")).partition("?")
        key = self._headers.get("sec-websocket-key", "")
        request = Request(
            "GET", path, query, self._headers, b"", self._peer, upgrade=partial(self.upgrade, answer, key)
        )
        self._queue.append((request, answer))
        self._reset_message()
        self._in_head = False

    def _without_upgrade(self) -> bytes:
        """The head just parsed, without its wish for a protocol that we do not know: the parser would skip its body."""
        lines = [f"{name}: {value}" for name, value in self._headers.items() if name != "upgrade"]
        method, version = self._parser.get_method(), self._parser.get_http_version().encode()
        fields = "\r\n".join(lines).encode("latin-1")
        return b"%b %b HTTP/%b\r\n%b\r\n\r\n" % (method, self._url, version, fields)

    # -- what the parser calls --------------------------------------------------------------------
    def _reset_message(self) -> None:
        self._in_head = True
        self._head_fed = 0
        self._head_bytes = 0
        self._url = b""
        self._headers = {}
        self._body = bytearray()
        self._body_left = 0

    def on_message_begin(self) -> None:
        """Called by the parser."""
        self._reset_message()
        self._begun = self._now

    def on_url(self, url: bytes) -> None:
        """Called by the parser, perhaps several times."""
        self._url += url
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser; also for trailers, which are dropped."""
        self._count(len(name) + len(value) + 4)
        if not self._in_head:
            return
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1")
        if key in self._headers:
            if key in ("host", "content-length", "transfer-encoding"):
                raise _Refused(400, f"400 Bad Request: repeated {key}")
            text = f"{self._headers[key]}, {text}"
        self._headers[key] = text

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > limits.HTTP_HEAD_BYTES_MAX:
            raise _Refused(431, "431 Request Header Fields Too Large")

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        self._in_head = False
        if self._parser.get_method() == b"CONNECT":
            raise _Refused(405, "405 Method Not Allowed")
        if self._parser.should_upgrade():
            return  # it comes again, see `_without_upgrade`
        headers = self._headers
        version = self._parser.get_http_version()
        if version not in ("1.1", "1.0"):
            raise _Refused(505, "505 HTTP Version Not Supported")
        if "host" not in headers and version == "1.1":
            raise _Refused(400, "400 Bad Request: missing required Host header")
        coding = headers.get("transfer-encoding")
        if coding is not None and (coding.lower() != "chunked" or "content-length" in headers or version == "1.0"):
            raise _Refused(400, "400 Bad Request: ambiguous length")
        self._body_left = int(headers.get("content-length") or 0)
        if self._body_left > limits.HTTP_BODY_BYTES_MAX:
            raise _Refused(413, "413 Request Entity Too Large")
        expect = headers.get("expect")
        if expect is not None:
            if expect.lower() != "100-continue":
                raise _Refused(417, "417 Expectation Failed")
            if version == "1.1" and self._current is None and not self._queue and (self._body_left or coding):
                self.put(_CONTINUE)

    def on_body(self, body: bytes) -> None:
        """Called by the parser."""
        self._body += body
        self._body_left -= len(body)
        if not self._held.take(len(body)):
            raise _Refused(503, "503 Service Unavailable")
        if len(self._body) > limits.HTTP_BODY_BYTES_MAX:
            raise _Refused(413, "413 Request Entity Too Large")

    def on_message_complete(self) -> None:
        """Called by the parser."""
        if self._parser.should_upgrade():
            return
        self._begun = None
        method = self._parser.get_method().decode("latin-1")
        path, _, query = _origin_form(self._url.decode("latin-1")).partition("?")
        request = Request(method, path, query, self._headers, bytes(self._body), self._peer)
        keep = self._parser.should_keep_alive() and not self._last
        http10 = self._parser.get_http_version() == "1.0"
        answer = Answer(self, keep=keep, head_only=method == "HEAD", http10=http10)
        answer.body_bytes = len(self._body)
        self._queue.append((request, answer))
        self._reset_message()
        self._in_head = False  # not before the next one begins: what is left of this piece was body


def _origin_form(target: str) -> str:
    """A target as proxies write it (RFC 9112 section 3.2.2), without scheme and host."""
    if not target.startswith(("http://", "https://")):
        return target
    rest = target.partition("://")[2]
    at = min((found for found in (rest.find("/"), rest.find("?")) if found >= 0), default=len(rest))
    return rest[at:] if rest[at : at + 1] == "/" else "/" + rest[at:]
