"""The asyncio engine: a session and the watches on ZeroMQ file descriptors of the running loop."""

import asyncio
import time
from typing import Protocol, TypeVar

import zmq

from zetcd.client.sockets import NOBLOCK, Again, Connection, Nowhere
from zetcd.session.call import POLICIES, Call, Kind, Policy, policy_of
from zetcd.session.lane import Lane, Port
from zetcd.session.options import TICK_S, Options
from zetcd.session.session import Session
from zetcd.session.watch import Watches
from zetcd.wire import client as wire

T = TypeVar("T")

DRAIN_FRAMES_MAX = 4  # messages of one socket in one turn: those they wake write while the next ones arrive
_FIXED: dict[type, Policy] = {
    op: policy for op, policy in POLICIES.items() if op in (wire.PutRequest, wire.RangeRequest)
}


class Owner(Protocol):
    """Whose lane it is."""

    def on_frames(self, lane: Lane, frames: list[bytes], now: float) -> None:
        """A message came."""

    def on_lost(self, lane: Lane, now: float, why: str) -> None:
        """The connection is gone."""


class Engine:
    """Everything of one asyncio client that is not a method users call."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._loop: asyncio.AbstractEventLoop | None = None
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._lines: set[_Line] = set()
        self._session = Session(options, lambda lane: self._dial(lane, self._session))
        self.watches = Watches(options, lambda lane: self._dial(lane, self.watches))
        self.tasks: set[asyncio.Task[None]] = set()  # keep-alives
        self._flushing = False
        self._ticking: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop this client lives in: the one it is first used in."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._context = zmq.Context()
        return self._loop

    def run(self, request: wire.Request, kind: Kind[T], timeout: float | None) -> "asyncio.Future[T]":
        """The reply of request, later."""
        loop = self._loop or self.loop
        future: asyncio.Future[T] = loop.create_future()
        policy = _FIXED.get(type(request)) or policy_of(request)
        deadline = time.monotonic() + (self.options.timeout if timeout is None else timeout)
        self._session.submit(Call(request, kind, future, deadline, policy))
        if not self._flushing:
            self.flush_soon()
        return future

    def flush_soon(self) -> None:
        """Send at the end of this turn, after everybody who is about to run has asked."""
        if not self._flushing:
            self._flushing = True
            self.loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if self._closed:
            self._session.close()
            return
        self._session.flush(time.monotonic())
        self.settle()

    def settle(self) -> None:
        """After sends: read what their signal may have hidden, and see that ticks go on."""
        for line in tuple(self._lines):
            line.settle()
        if self._ticking is None and not self._closed:
            self._ticking = self.loop.call_later(TICK_S, self._tick)

    def _tick(self) -> None:
        self._ticking = None
        now = time.monotonic()
        busy = self._session.tick(now)
        if self.watches.tick(now) or busy:
            self.settle()

    def after_frames(self) -> None:
        """Windows have opened: what still waits goes out with what the answers bring about."""
        if self._session.waiting:
            self.flush_soon()

    def _dial(self, lane: Lane, owner: Owner) -> Port:
        loop = self.loop
        assert self._context is not None
        try:
            connection = Connection(self._context, lane.endpoint)
        except zmq.ZMQError as error:
            loop.call_soon(owner.on_lost, lane, time.monotonic(), str(error))
            return Nowhere()
        line = _Line(self, connection, lane, owner)
        self._lines.add(line)
        return line

    def forget(self, line: "_Line") -> None:
        """Its connection is closed."""
        self._lines.discard(line)

    async def close(self) -> None:
        """Fail what waits and hang up."""
        if self._closed:
            return
        self._closed = True
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        if self._ticking is not None:
            self._ticking.cancel()
        self.watches.close_all()
        self._session.close()
        if self._context is not None:
            self._context.destroy(0)


class _Line:
    """A connection wired into the loop: the port of its lane."""

    __slots__ = ("_closed", "_connection", "_engine", "_lane", "_loop", "_owner", "send")

    def __init__(self, engine: Engine, connection: Connection, lane: Lane, owner: Owner) -> None:
        self._engine = engine
        self._connection = connection
        self._lane = lane
        self._owner = owner
        self._loop = engine.loop
        self._closed = False
        self.send = connection.send
        self._loop.add_reader(connection.fd, self._on_readable)
        self._loop.add_reader(connection.monitor_fd, self._on_monitor)
        self._loop.call_soon(self._on_monitor)  # a monitor's first event may be there already

    def settle(self) -> None:
        """The FD's signal may be spent although messages wait."""
        if not self._closed and self._connection.readable():
            self._loop.call_soon(self._on_readable)

    def _on_readable(self) -> None:
        recv, lane, on_frames = self._connection.recv, self._lane, self._owner.on_frames
        try:
            for _ in range(DRAIN_FRAMES_MAX):
                if self._closed:
                    return
                on_frames(lane, recv(NOBLOCK), time.monotonic())
            self._loop.call_soon(self._on_readable)
        except Again:
            pass
        self._engine.after_frames()

    def _on_monitor(self) -> None:
        if self._closed:
            return
        why = self._connection.broken()
        if not why:
            return
        try:
            while not self._closed:  # what came before the end still counts
                self._owner.on_frames(self._lane, self._connection.recv(NOBLOCK), time.monotonic())
        except Again:
            pass
        self._owner.on_lost(self._lane, time.monotonic(), why)
        self._engine.settle()

    def close(self) -> None:
        """Out of the loop, and gone."""
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._connection.fd)
            self._loop.remove_reader(self._connection.monitor_fd)
            self._connection.close()
            self._engine.forget(self)
