"""A link that keeps what it is asked, calls and streams that keep what they are told."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
from google.protobuf.message import Message

from zetcd.gateway import services
from zetcd.gateway.link import Line, Link
from zetcd.gateway.rpc import Inbound, Method, RpcError, Streaming, Unary
from zetcd.session.call import Policy, Waiter
from zetcd.wire import client as wire
from zetcd.wire.asked import decode_request

HEADER = {"cluster_id": 14841639068965178418, "member_id": 10276657743932975437, "revision": 7, "raft_term": 2}


@dataclass
class Asked:
    """One call of the ZeroMQ API under way."""

    request: wire.Request
    policy: Policy
    waiter: Waiter
    forever: bool


class Dealer:
    """A stream's connection. room: sends that are taken before one is refused."""

    def __init__(self) -> None:
        self.sent: list[wire.Request] = []
        self.room = 1000
        self.paused = False

    def send(self, frames: list[bytes]) -> bool:
        if self.room <= 0:
            return False
        self.room -= 1
        (body,) = frames
        self.sent.append(decode_request(body))
        return True

    def settle(self) -> None:
        pass

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False


class Loop:
    """What is due later."""

    def __init__(self) -> None:
        self.later: list[Callable[[], None]] = []
        self.held: list[Callable[[], None]] | None = None
        self.now = 1.0
        self.step = 0.0

    def call_later(self, _seconds: float, what: Callable[[], None]) -> None:
        self.later.append(what)

    def call_soon(self, what: Callable[[], None]) -> None:
        """The turn ends at once, unless it is held."""
        if self.held is None:
            what()
        else:
            self.held.append(what)

    def call_at(self, _when: float, what: Callable[[], None]) -> None:
        self.later.append(what)

    def time(self) -> float:
        """Stands still where the test does not move it."""
        self.now += self.step
        return self.now


class FakeLink:
    """Implements what services use of `Link`."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.given_up: list[Asked] = []
        self.lines: dict[Dealer, Line] = {}
        self.listeners: list[Callable[[], None]] = []
        self.loop = Loop()

    def call(self, request: wire.Request, policy: Policy, waiter: Waiter, *, forever: bool = False) -> None:
        self.asked.append(Asked(request, policy, waiter, forever))

    def wait(self, request: wire.Request, policy: Policy, waiter: Waiter) -> Callable[[], None]:
        asked = Asked(request, policy, waiter, forever=True)
        self.asked.append(asked)
        return lambda: self.given_up.append(asked)

    def open(self, line: Line) -> Dealer:
        dealer = Dealer()
        self.lines[dealer] = line
        return dealer

    def close_line(self, dealer: Dealer, *, last_words: bool = False) -> None:
        self.lines.pop(dealer, None)

    def on_state(self, listener: Callable[[], None]) -> None:
        self.listeners.append(listener)

    def off_state(self, listener: Callable[[], None]) -> None:
        self.listeners.remove(listener)

    # -- for tests -------------------------------------------------------------------------------------------------
    def methods(self) -> Mapping[str, Method]:
        return services.methods(cast("Link", self))

    def answer(self, reply: Mapping[str, Any], at: int = -1) -> None:
        """To the newest call, or that at."""
        self.asked[at].waiter.set_result(dict(reply))

    def start(self, path: str, request: Message, metadata: Mapping[str, str] | None = None) -> "FakeCall":
        """Begin a unary call."""
        method = self.methods()[path]
        assert isinstance(method, Unary)
        call = FakeCall(metadata or {})
        try:
            method.start(request, call)
        except RpcError as error:
            call.fail(error)
        return call

    def begin(self, path: str, metadata: Mapping[str, str] | None = None) -> "tuple[FakeStream, Inbound]":
        """Begin a stream."""
        method = self.methods()[path]
        assert isinstance(method, Streaming)
        stream = FakeStream(metadata or {})
        return stream, method.open(stream)

    def line(self) -> tuple[Dealer, Line]:
        """The only stream's connection."""
        ((dealer, line),) = self.lines.items()
        return dealer, line


def say(line: Line, **reply: Any) -> None:
    """The ZeroMQ API says something on a stream."""
    line.on_message(msgspec.msgpack.encode(reply))


@dataclass
class FakeCall:
    """Implements `rpc.Call`."""

    metadata: Mapping[str, str] = field(default_factory=dict)
    deadline: float | None = None
    peer: str = "127.0.0.1:1"
    on_cancel: Callable[[], None] | None = None
    replied: Message | None = None
    failed: RpcError | None = None

    def reply(self, message: Message) -> None:
        assert self.replied is None
        assert self.failed is None
        self.replied = message

    def fail(self, error: RpcError) -> None:
        assert self.replied is None
        assert self.failed is None
        self.failed = error

    @property
    def error(self) -> tuple[int, str]:
        """What it failed with."""
        assert self.failed is not None
        return self.failed.code, self.failed.message


class FakeStream:
    """Implements `rpc.Stream`. room: messages that are taken before `send` says False."""

    deadline: float | None = None
    peer = "127.0.0.1:1"

    def __init__(self, metadata: Mapping[str, str]) -> None:
        self.metadata = metadata
        self.sent: list[Any] = []
        self.failed: RpcError | None = None
        self.finished = False
        self.paused = False
        self.room = 1000

    def send(self, message: Message) -> bool:
        assert not self.finished
        assert self.failed is None
        self.sent.append(type(message).FromString(message.SerializeToString()))
        self.room -= 1
        return self.room > 0

    def send_each(self, message: Message, field: str, values: Sequence[int]) -> bool:
        for value in values:
            setattr(message, field, value)
            self.send(message)
        return self.room > 0

    def finish(self) -> None:
        assert self.failed is None
        self.finished = True

    def fail(self, error: RpcError) -> None:
        assert not self.finished
        assert self.failed is None
        self.failed = error

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    @property
    def error(self) -> tuple[int, str]:
        """What it failed with."""
        assert self.failed is not None
        return self.failed.code, self.failed.message

    def take(self) -> list[Any]:
        """What was sent since the last time."""
        sent, self.sent = self.sent, []
        return sent
