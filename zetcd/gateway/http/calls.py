"""Calls of the JSON gateway as services see them: `rpc.Call` and `rpc.Stream` on an HTTP exchange.

A stream's requests are the JSON values of the body, one after the other; its replies are lines, each
``{"result": ...}``, the last perhaps ``{"error": ...}``. As with etcd the head is not sent before the first reply is,
and the body is read to its end before anything is answered. Over a websocket (`websocket.py`) requests come one by one.
"""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from google.protobuf.message import Message

from zetcd.base import errors
from zetcd.base.limits import JSON_REQUESTS_PER_TURN
from zetcd.gateway.http.answers import JSON, REPLY, Exchange, Headers, Request, error_body, error_chunk, status
from zetcd.gateway.http.decoder import decode, decode_next
from zetcd.gateway.http.encoder import encode
from zetcd.gateway.http.syntax import JsonError
from zetcd.gateway.rpc import Inbound, RpcError, Streaming, Unary

METADATA = "grpc-metadata-"
_TIMEOUT = re.compile(r"([0-9]{1,18})([HMSmun])")
_UNITS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_TOO_LATE = RpcError(errors.DEADLINE_EXCEEDED, "context deadline exceeded")


class Source(Protocol):
    """Where requests of a stream come from that did not come with its first one (`http1.websocket.Socket`)."""

    def take(self) -> bytes | None:
        """The next text; None: none yet."""

    def ignore(self) -> None:
        """No further ones are wanted."""


def start_unary(method: Unary, request: Request, exchange: Exchange, cors: Headers, bytes_max: int) -> None:
    """Decode, and hand over to the service."""
    call = UnaryCall(request, exchange, cors)
    try:
        call.watch_deadline()
        message = decode(method.request, request.body)
        _check_size(message, len(request.body), bytes_max)
        method.start(message, call)
    except JsonError as error:
        call.fail(RpcError(errors.INVALID_ARGUMENT, str(error)))
    except RpcError as error:
        call.fail(error)


def start_streaming(
    method: Streaming,
    request: Request,
    exchange: Exchange,
    cors: Headers,
    bytes_max: int,
    *,
    source: Source | None = None,
) -> "JsonStream":
    """Decode the first request, open the stream, and feed it the others. source: of those that are not in the body."""
    stream = JsonStream(request, exchange, cors)
    try:
        stream.watch_deadline()
        stream.open(method, _Requests(method, request.body, bytes_max, source))
    except JsonError as error:
        # As etcd does: a stream of requests that does not begin well is an error of an unknown kind.
        stream.fail(RpcError(errors.UNKNOWN if method.client_streams else errors.INVALID_ARGUMENT, str(error)))
    except RpcError as error:
        stream.fail(error)
    return stream


def _check_size(message: Message, json_bytes: int, bytes_max: int) -> None:
    # In JSON no message is shorter than on the wire.
    if json_bytes > bytes_max and (size := message.ByteSize()) > bytes_max:
        text = f"grpc: received message larger than max ({size} vs. {bytes_max})"
        raise RpcError(errors.RESOURCE_EXHAUSTED, text)


class _Context:
    """What came with a request; `rpc.Context`."""

    __slots__ = ("cors", "deadline", "done", "exchange", "metadata", "peer", "timer")

    def __init__(self, request: Request, exchange: Exchange, cors: Headers) -> None:
        self.exchange = exchange
        self.cors = cors
        self.peer = request.peer
        self.metadata: Mapping[str, str] = _metadata(request.headers)
        self.deadline: float | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.done = False
        exchange.on_cancel = self._cancelled

    def watch_deadline(self) -> None:
        """Take the client's deadline, if it set one."""
        asked = self.metadata.get("grpc-timeout")
        if asked is None:
            return
        found = _TIMEOUT.fullmatch(asked)
        if found is None:
            raise RpcError(errors.INVALID_ARGUMENT, f"invalid grpc-timeout: {asked}")
        loop = asyncio.get_running_loop()
        self.deadline = loop.time() + int(found[1]) * _UNITS[found[2]]
        self.timer = loop.call_at(self.deadline, self._late)

    def _ended(self) -> bool:
        """Whether this call has ended before; it has now."""
        if self.done:
            return True
        self.done = True
        self.exchange.on_cancel = self.exchange.on_writable = None
        if self.timer is not None:
            self.timer.cancel()
        return False

    def _cancelled(self) -> None:
        """The client went away."""
        if not self._ended():
            self._let_go()

    def _late(self) -> None:
        """The deadline has passed."""
        if not self.done:
            self._let_go()
            self.fail(_TOO_LATE)

    def _let_go(self) -> None:
        raise NotImplementedError

    def fail(self, error: RpcError) -> None:
        """See `rpc`."""
        raise NotImplementedError


def _metadata(headers: Mapping[str, str]) -> dict[str, str]:
    """etcd takes a token from `Authorization`, and any metadata from `Grpc-Metadata-<name>`."""
    found = {name.removeprefix(METADATA): text for name, text in headers.items() if name.startswith(METADATA)}
    if "authorization" in headers:
        found["authorization"] = headers["authorization"]
        found.setdefault("token", headers["authorization"])
    if "grpc-timeout" in headers:
        found["grpc-timeout"] = headers["grpc-timeout"]
    return found


class UnaryCall(_Context):
    """`rpc.Call`: one JSON document, or an error."""

    __slots__ = ("on_cancel",)

    def __init__(self, request: Request, exchange: Exchange, cors: Headers) -> None:
        super().__init__(request, exchange, cors)
        self.on_cancel: Callable[[], None] | None = None

    def reply(self, message: Message) -> None:
        """See `rpc.Call`."""
        if not self._ended():
            self.exchange.respond(200, self.cors + REPLY, encode(message))

    def fail(self, error: RpcError) -> None:
        """See `rpc.Call`."""
        if not self._ended():
            self.exchange.respond(status(error), self.cors + JSON, error_body(error))

    def _let_go(self) -> None:
        if self.on_cancel is not None:
            self.on_cancel()


class _Requests:
    """The requests of a stream, from first to last: those in its body, then those of a source, if it has one."""

    __slots__ = ("at", "bytes_max", "method", "source", "text")

    def __init__(self, method: Streaming, body: bytes, bytes_max: int, source: Source | None) -> None:
        self.method = method
        self.text = body.decode("latin-1")
        self.at = 0
        self.bytes_max = bytes_max
        self.source = source

    def first(self) -> Message | None:
        """The one that the stream begins with; where only the server streams, an empty body is an empty one."""
        message = self.following()
        if self.method.client_streams:
            return message
        self.end()
        return message if message is not None else self.method.request()

    def following(self) -> Message | None:
        """The next one, None if there is none yet or none any more; JsonError, or RpcError if it is too large."""
        while True:
            start = self.at
            found = decode_next(self.method.request, self.text, start)
            if found is not None:
                message, self.at = found
                _check_size(message, self.at - start, self.bytes_max)
                return message
            more = self.source.take() if self.source is not None else None
            if more is None:
                return None
            self.text, self.at = more.decode("latin-1"), 0

    @property
    def ended(self) -> bool:
        """Nothing comes but what is here."""
        return self.source is None

    def end(self) -> None:
        """What may follow is nobody's."""
        self.at = len(self.text)
        if self.source is not None:
            self.source.ignore()
            self.source = None


class JsonStream(_Context):
    """`rpc.Stream`: a line for each reply."""

    __slots__ = ("feeding", "inbound", "paused", "requests", "started", "waiting")

    def __init__(self, request: Request, exchange: Exchange, cors: Headers) -> None:
        super().__init__(request, exchange, cors)
        self.started = False
        self.paused = False
        self.waiting = False  # for requests to arrive
        self.feeding: asyncio.Handle | None = None
        self.inbound: Inbound | None = None
        self.requests: _Requests | None = None

    def open(self, method: Streaming, requests: _Requests) -> None:
        """Open it and pass on what the body holds."""
        first = requests.first()
        if self.done:  # a websocket's client that said goodbye behind its request
            return
        self.inbound = method.open(self)
        self.exchange.on_writable = self.inbound.writable
        self.requests = requests
        self._feed(first)

    def _feed(self, message: Message | None) -> None:
        """Pass on requests, some in each turn of the loop: a body may hold many."""
        assert self.inbound is not None
        assert self.requests is not None
        try:
            for _ in range(JSON_REQUESTS_PER_TURN):
                if self.done:
                    return
                if message is None:
                    self.waiting = not self.requests.ended
                    if not self.waiting:
                        self.inbound.half_closed()
                    return
                self.inbound.message(message)
                if self.paused:
                    return
                message = self._following()
        except RpcError as error:
            self.fail(error)
        else:
            self.feeding = asyncio.get_running_loop().call_soon(self._feed, message)

    def _following(self) -> Message | None:
        assert self.requests is not None
        try:
            return self.requests.following()
        except JsonError:  # etcd logs this and takes no more
            self.requests.end()
            return None

    def arrived(self) -> None:
        """The source of requests has more."""
        if self.waiting:
            self.waiting = False
            self._go_on()

    def send(self, message: Message) -> bool:
        """See `rpc.Stream`."""
        if self.done:
            return False
        self._start()
        return self.exchange.write(b'{"result":' + encode(message) + b"}\n")

    def send_each(self, message: Message, field: str, values: Sequence[int]) -> bool:
        """See `rpc.Stream`."""
        more = True
        for value in values:
            setattr(message, field, value)
            more = self.send(message)
        return more

    def finish(self) -> None:
        """See `rpc.Stream`."""
        if not self._ended():
            if not self.started:  # nothing came from the service, not even metadata
                self.exchange.start(200, self.cors + JSON)
            self.exchange.end()

    def fail(self, error: RpcError) -> None:
        """See `rpc.Stream`."""
        if self._ended():
            return
        if self.started:
            self.exchange.write(error_chunk(error))
            self.exchange.end()
        else:
            self.exchange.respond(status(error), self.cors + JSON, error_body(error))

    def pause(self) -> None:
        """See `rpc.Stream`."""
        self.paused = True

    def resume(self) -> None:
        """See `rpc.Stream`."""
        if self.paused:
            self.paused = False
            self.feeding = asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        if self.paused or self.done:
            return
        try:
            message = self._following()
        except RpcError as error:
            self.fail(error)
        else:
            self._feed(message)

    def _start(self) -> None:
        if not self.started:
            self.started = True
            self.exchange.start(200, self.cors + REPLY)

    def _let_go(self) -> None:
        if self.feeding is not None:
            self.feeding.cancel()
        if self.inbound is not None:
            self.inbound.cancelled()
