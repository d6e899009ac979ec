"""The JSON gateway over websockets, as etcd has it: requests and replies are messages, in both directions at once.

Any path of the gateway may be asked so, by GET: a stream takes each message's JSON values as requests, a unary call the
first one, and each line that would be sent over plain HTTP is a message. What was wrong is a message too, for there is
no status. When the call has ended the socket is closed; when the socket is closed the call is cancelled.

A browser sets no headers there. So the token of a user comes as ``Sec-WebSocket-Protocol: Bearer, <token>`` or in the
cookie `token`, as with etcd (which takes the word before it for a part of the token, and refuses simple ones), and the
origin, which CORS does not check there, is held to `--cors` by the server (etcd: not).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from http.cookies import CookieError, SimpleCookie

from zetcd.gateway.http.answers import Exchange, Headers, Request, Socket, respond_text
from zetcd.gateway.http.calls import JsonStream, start_streaming, start_unary
from zetcd.gateway.rpc import Method, Unary

VERSION = "13"
_BEARER = "Bearer"


def start_socket(method: Method | None, request: Request, exchange: Exchange, cors: Headers, bytes_max: int) -> None:
    """Shake hands, and begin the call with the first message. method None: its path is nobody's."""
    assert request.upgrade is not None
    headers = request.headers
    protocols = headers.get("sec-websocket-protocol", "")
    if headers.get("sec-websocket-version", "").strip() != VERSION or not headers.get("sec-websocket-key"):
        respond_text(exchange, 400, "Bad Request", [*cors, ("Sec-Websocket-Version", VERSION)])
        return
    agreed: Headers = [("Sec-WebSocket-Protocol", _BEARER)] if protocols.startswith(_BEARER) else []
    socket = request.upgrade(agreed)
    opening = Opening(request.method, request.path, request.query, _authorization(headers, protocols), request.peer)
    _SocketCall(method, opening, socket, bytes_max).begin()


def _authorization(headers: Mapping[str, str], protocols: str) -> dict[str, str]:
    """The one header that a call over a websocket has: the user's token, if there is one."""
    _, bearer, token = protocols.partition(_BEARER + ",")
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get("token")
    except CookieError:
        cookie = None
    if cookie is not None:
        return {"authorization": cookie.value}
    return {"authorization": token.strip()} if bearer else {}


@dataclass(frozen=True, slots=True)
class Opening:
    """`answers.Request` of a call: what came with the handshake, and the first message."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    peer: str
    body: bytes = b""
    upgrade: None = None


class _SocketCall:
    """`answers.Exchange` on a websocket: lines become messages."""

    __slots__ = ("_bytes_max", "_method", "_opening", "_socket", "_stream", "on_cancel", "on_writable")

    def __init__(self, method: Method | None, opening: Opening, socket: Socket, bytes_max: int) -> None:
        self._method = method
        self._opening = opening
        self._socket = socket
        self._bytes_max = bytes_max
        self._stream: JsonStream | None = None
        self.on_cancel: Callable[[], None] | None = None
        self.on_writable: Callable[[], None] | None = None

    def begin(self) -> None:
        """Look at what has come already, and wait for more."""
        socket = self._socket
        socket.on_readable = self._on_readable
        socket.on_cancel = self._on_cancel
        socket.on_writable = self._on_writable
        if self._method is None:  # etcd says so without waiting for a message
            self.respond(404, [], b"Not Found")
        else:
            self._on_readable()

    def _on_readable(self) -> None:
        if self._stream is not None:
            self._stream.arrived()
            return
        method, first = self._method, self._socket.take()
        if first is None or method is None:
            return
        request = replace(self._opening, body=first)
        if isinstance(method, Unary):
            start_unary(method, request, self, [], self._bytes_max)
            self._socket.ignore()  # not before: if what follows says that the client goes, that cancels the call
        else:
            self._stream = start_streaming(method, request, self, [], self._bytes_max, source=self._socket)

    def _on_cancel(self) -> None:
        if self.on_cancel is not None:
            self.on_cancel()

    def _on_writable(self) -> None:
        if self.on_writable is not None:
            self.on_writable()

    # -- answers.Exchange -------------------------------------------------------------------------
    def respond(self, _status: int, _headers: Headers, body: bytes) -> None:
        """One whole answer."""
        self.write(body)
        self.end()

    def start(self, _status: int, _headers: Headers) -> None:
        """Messages have no head."""

    def write(self, data: bytes) -> bool:
        """A line."""
        return self._socket.send(data.rstrip(b"\n"))

    def end(self) -> None:
        """It is complete."""
        self._socket.end()
