"""An HTTP exchange that keeps what was answered, and services that do as the test tells them."""

import asyncio
import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import Message

from zetcd.gateway.http.handler import Handler, handler
from zetcd.gateway.rpc import Call, Inbound, Method, RpcError, Stream, Streaming, Unary
from zetcd.wire.replies import MetricsReply
from zetcd_pb import rpc_pb2 as pb

HEADER = {"cluster_id": 14841639068965178418, "member_id": 10276657743932975437, "revision": 7, "raft_term": 2}
UNARY: dict[str, tuple[type[Message], type[Message]]] = {
    "/etcdserverpb.KV/Range": (pb.RangeRequest, pb.RangeResponse),
    "/etcdserverpb.KV/Put": (pb.PutRequest, pb.PutResponse),
    "/etcdserverpb.KV/Txn": (pb.TxnRequest, pb.TxnResponse),
    "/etcdserverpb.Maintenance/Status": (pb.StatusRequest, pb.StatusResponse),
}


@dataclass
class Request:
    """What came."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    peer: str = "127.0.0.1:1"
    upgrade: Callable[[list[tuple[str, str]]], "Socket"] | None = None


class Socket:
    """A websocket. room: how many messages are taken before a `send` is False."""

    def __init__(self, room: int = 1000) -> None:
        self.waiting: deque[bytes] = deque()
        self.sent: list[bytes] = []
        self.ended = self.ignored = False
        self.room = room
        self.on_readable: Callable[[], None] | None = None
        self.on_cancel: Callable[[], None] | None = None
        self.on_writable: Callable[[], None] | None = None

    def take(self) -> bytes | None:
        return self.waiting.popleft() if self.waiting else None

    def ignore(self) -> None:
        self.ignored = True

    def send(self, text: bytes) -> bool:
        assert not self.ended
        self.sent.append(text)
        return len(self.sent) < self.room

    def end(self) -> None:
        assert not self.ended
        self.ended = True

    def say(self, *texts: str) -> None:
        """Messages of the client."""
        self.waiting += [text.encode() for text in texts]
        if self.on_readable is not None:
            self.on_readable()

    def json(self) -> list[Any]:
        return [json.loads(text) for text in self.sent]


class Exchange:
    """What was answered. room: how many writes are taken before one is False."""

    def __init__(self, room: int = 1000) -> None:
        self.status = 0
        self.headers: list[tuple[str, str]] = []
        self.body = b""
        self.streamed = self.ended = False
        self.room = room
        self.on_cancel: Callable[[], None] | None = None
        self.on_writable: Callable[[], None] | None = None

    def respond(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        assert not self.status
        self.status, self.headers, self.body, self.ended = status, headers, body, True

    def start(self, status: int, headers: list[tuple[str, str]]) -> None:
        assert not self.status
        self.status, self.headers, self.streamed = status, headers, True

    def write(self, data: bytes) -> bool:
        assert self.streamed
        assert not self.ended
        self.body += data
        self.room -= 1
        return self.room > 0

    def end(self) -> None:
        assert not self.ended
        self.ended = True

    async def finished(self) -> None:
        """Wait until it has been answered."""
        while not self.ended:  # noqa: ASYNC110 - nobody is there to set an event
            await asyncio.sleep(0.001)

    def json(self) -> Any:
        return json.loads(self.body)

    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.body.splitlines()]


class Unaries:
    """Unary services. answers: by method, a message, an RpcError, or None for no answer yet."""

    def __init__(self) -> None:
        self.answers: dict[str, Message | RpcError | None] = {}
        self.asked: list[tuple[Message, Call]] = []
        self.cancelled = 0

    def method(self, path: str, request: type[Message], reply: type[Message]) -> Unary:
        def start(message: Message, call: Call) -> None:
            self.asked.append((message, call))
            answer = self.answers.get(path)
            if isinstance(answer, RpcError):
                raise answer
            if answer is not None:
                call.reply(answer)
            else:
                call.on_cancel = self._on_cancel

        return Unary(request, reply, start)

    def _on_cancel(self) -> None:
        self.cancelled += 1


class FakeInbound:
    """The service's side of one stream."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.seen: list[Any] = []
        self.refuse: RpcError | None = None
        self.pause_after = 0

    def message(self, request: Message) -> None:
        self.seen.append(request)
        if self.refuse is not None:
            raise self.refuse
        if len(self.seen) == self.pause_after:
            self.stream.pause()

    def half_closed(self) -> None:
        self.seen.append("half closed")

    def cancelled(self) -> None:
        self.seen.append("cancelled")

    def writable(self) -> None:
        self.seen.append("writable")


class World:
    """A handler over fake services."""

    def __init__(self, metrics: MetricsReply | None = None, **options: Any) -> None:
        self.unaries = Unaries()
        self.streams: list[FakeInbound] = []
        self.prepare: Callable[[FakeInbound], None] = lambda _inbound: None
        self.metrics_cancelled = 0
        self.methods: dict[str, Method] = {
            path: self.unaries.method(path.rpartition("/")[2], *kinds) for path, kinds in UNARY.items()
        }
        self.methods["/etcdserverpb.Watch/Watch"] = Streaming(
            pb.WatchRequest, pb.WatchResponse, client_streams=True, server_streams=True, open=self._open
        )
        self.methods["/etcdserverpb.Maintenance/Snapshot"] = Streaming(
            pb.SnapshotRequest, pb.SnapshotResponse, client_streams=False, server_streams=True, open=self._open
        )

        self.reply = metrics
        self.handler: Handler = handler(self.methods, self, **options)

    def metrics(self, done: Callable[[MetricsReply | None], None]) -> Callable[[], None]:
        """See `metrics.Source`."""
        done(self.reply)
        return self._on_metrics_cancelled

    def _on_metrics_cancelled(self) -> None:
        self.metrics_cancelled += 1

    def _open(self, stream: Stream) -> Inbound:
        inbound = FakeInbound(stream)
        self.prepare(inbound)
        self.streams.append(inbound)
        return inbound

    def ask(self, method: str, target: str, body: bytes | str = b"", room: int = 1000, **headers: str) -> Exchange:
        """One request; underscores in the names of headers are dashes."""
        path, _, query = target.partition("?")
        exchange = Exchange(room)
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        data = body.encode() if isinstance(body, str) else body
        self.handler(Request(method, path, query, named, data), exchange)
        return exchange

    def websocket(self, target: str, *texts: str, room: int = 1000, **headers: str) -> tuple[Exchange, Socket]:
        """A websocket, with messages that came with the handshake."""
        exchange, socket = Exchange(room), Socket(room)
        named = {"sec-websocket-version": "13", "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ=="}
        named |= {name.replace("_", "-"): text for name, text in headers.items()}

        def upgrade(agreed: list[tuple[str, str]]) -> Socket:
            exchange.status, exchange.headers = 101, agreed
            socket.say(*texts)
            return socket

        path, _, query = target.partition("?")
        self.handler(Request("GET", path, query, named, upgrade=upgrade), exchange)
        return exchange, socket

    def post(self, target: str, body: bytes | str = b"{}", room: int = 1000, **headers: str) -> Exchange:
        return self.ask("POST", target, body, room, **headers)
