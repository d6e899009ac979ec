"""The gateway's way to the ZeroMQ API of its own member: unary calls through a session, a connection for each stream.

- Unary calls of one loop turn travel together (`zetcd.session` batches equal ones). What the server refuses is the
  client's to hear and to repeat: errors come as replies, and the session repeats only what broke on the way and may be.
- What may wait for ever (locks, campaigns) goes another way, so that thousands of it hold up nothing else; so does what
  the lease process answers, which may be gone for a while when reads are not.
- A stream (watch, observe, snapshot) has a DEALER of its own, read only while its client takes more. So the api process
  pauses each client by itself, and nothing gathers here.
"""

import asyncio
import resource
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, Protocol

import zmq
from msgspec.structs import replace

from zetcd.base import errors
from zetcd.base.limits import GATEWAY_LINES_MAX, GATEWAY_QUIET_MS, GATEWAY_RANGES_MAX
from zetcd.gateway.dealer import Context, Dealer, Nowhere
from zetcd.gateway.rpc import RpcError
from zetcd.session.call import ALONE, READ, WRITE, Call, Kind, Policy, Waiter
from zetcd.session.errors import CLIENT_CLOSED, DEADLINE, Error
from zetcd.session.lane import UP, Lane, Port
from zetcd.session.options import ALONE_INFLIGHT_MAX, TICK_S, Options
from zetcd.session.session import Session
from zetcd.wire import client as wire
from zetcd.wire.replies import MetricsReply

REPLY: Final[Kind[dict[str, Any]]] = Kind(dict[str, Any])
"""A reply as the plain map it is, one that holds an error included."""
METRICS: Final[Kind[MetricsReply]] = Kind(MetricsReply)

# What shares a frame is answered together, so only what takes equally long does: see `zetcd.session.call`.
WRITES = Policy(WRITE, repeatable=False)
READS = Policy(READ, repeatable=True)
OF_LEASES = Policy(READ, repeatable=True)
OF_RANGES = Policy(ALONE, repeatable=True)
READ_ALONE = Policy(ALONE, repeatable=True)
WRITE_ALONE = Policy(ALONE, repeatable=False)

SOCKETS = 2
TRY_TIMEOUT_S = 2.0
CONNECT_TIMEOUT_S = 2.0
SOCKETS_PER_LINE = 3  # the DEALER and both ends of its monitor
DESCRIPTORS_PER_LINE = 4  # of each of these, and the connection; streams take half of all at most

_AS_ETCD = {
    DEADLINE: errors.TIMEOUT,
    CLIENT_CLOSED: errors.STOPPED,
    "zetcd: connection lost": errors.Error(
        errors.UNAVAILABLE, "etcdserver: request timed out, possibly due to connection lost"
    ),
}
"""What only the way to the member can bring about, in the words etcd has for it."""


def rpc_error(error: BaseException) -> RpcError:
    """The status of a call that the session gave up."""
    message = getattr(error, "message", str(error))
    known = _AS_ETCD.get(message)
    if known is not None:
        return RpcError(known.code, known.message)
    return RpcError(getattr(error, "code", errors.INTERNAL), message)


class Line(Protocol):
    """A stream that has a connection of its own."""

    def on_message(self, body: bytes) -> None:
        """One reply."""

    def on_lost(self) -> None:
        """The api process is gone, and with it all it knew of this stream."""

    def on_room(self) -> None:
        """A send that was refused may be tried again."""

    def on_quiet(self) -> None:
        """Every GATEWAY_QUIET_MS."""


class Link:
    """One gateway process's connections to the api processes of its member.

    endpoints: ``ipc://`` or ``tcp://``, one for each api process; the first that answers takes the unary calls, streams
    take turns. timeout_s: for calls that the api process bounds itself; longer than its own bound (etcd's ReqTimeout).
    lines_max: streams at once. Used within one running loop.
    """

    def __init__(
        self, endpoints: Sequence[str], *, timeout_s: float = 10.0, lines_max: int = GATEWAY_LINES_MAX
    ) -> None:
        """Connects with the first call."""
        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._lines_max = min(lines_max, descriptors // 2 // DESCRIPTORS_PER_LINE)
        self._options = Options.of(list(endpoints), timeout_s, TRY_TIMEOUT_S, CONNECT_TIMEOUT_S, SOCKETS)
        self._timeout_s = timeout_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._context: Context = zmq.Context()
        self._context.set(zmq.MAX_SOCKETS, SOCKETS_PER_LINE * (self._lines_max + 100))
        self._session = Session(self._options, lambda lane: self._dial(self._session, lane))
        self._waits = Session(self._options, lambda lane: self._dial(self._waits, lane))
        self._leases = Session(self._options, lambda lane: self._dial(self._leases, lane))
        few = replace(self._options, alone=GATEWAY_RANGES_MAX)
        self._ranges = Session(few, lambda lane: self._dial(self._ranges, lane))
        self._sessions = self._session, self._waits, self._leases, self._ranges
        self._ports: list[Dealer] = []
        self._lines: dict[Dealer, Line] = {}
        self._listeners: dict[Callable[[], None], None] = {}
        self._was_up = False
        self._turn = 0
        self._flushing = self._closed = False
        self._ticking: asyncio.TimerHandle | None = None
        self._quiet: asyncio.TimerHandle | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop this link lives in: the one it is first used in."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return self._loop

    @property
    def up(self) -> bool:
        """Whether an api process answered last; before the first call none has."""
        return any(lane.state == UP for session in self._sessions for lane in session.lanes)

    def on_state(self, listener: Callable[[], None]) -> None:
        """Call listener whenever `up` has changed, until `off_state`."""
        self._listeners[listener] = None

    def off_state(self, listener: Callable[[], None]) -> None:
        """As before `on_state`."""
        self._listeners.pop(listener, None)

    # -- unary calls -----------------------------------------------------------------------------------------------
    def call(self, request: wire.Request, policy: Policy, waiter: Waiter, *, forever: bool = False) -> None:
        """Send request with those of this turn; waiter gets the reply map, which may hold an ``error``.

        forever: only the client's own deadline bounds it. Of these ALONE_INFLIGHT_MAX may wait at once.
        """
        self.ask(request, REPLY, policy, waiter, forever=forever)

    def wait(self, request: wire.Request, policy: Policy, waiter: Waiter) -> Callable[[], None]:
        """As `call`, for a lock or campaign, for ever. Returns what gives the place up when waiter is done."""
        call = self.ask(request, REPLY, policy, waiter, forever=True)

        def give_up() -> None:
            self._waits.give_up(call)
            self._settle()

        return give_up

    def ask(
        self, request: wire.Request, kind: Kind[Any], policy: Policy, waiter: Waiter, *, forever: bool = False
    ) -> Call:
        """As `call`, the reply read as kind says."""
        call = Call(request, kind, waiter, float("inf") if forever else time.monotonic() + self._timeout_s, policy)
        if not forever:
            session = self._session
            if policy is OF_LEASES:
                session = self._leases
            elif policy is OF_RANGES:  # what takes a moment does not wait behind many large answers
                session = self._ranges
            session.submit(call)
        elif self._waits.outstanding < ALONE_INFLIGHT_MAX:
            self._waits.submit(call)
        else:
            waiter.set_exception(Error(*errors.TOO_MANY_REQUESTS))
            return call
        if not self._flushing:
            self._flushing = True
            (self._loop or self.loop).call_soon(self._flush)
        return call

    def metrics(self, done: Callable[[MetricsReply | None], None]) -> Callable[[], None]:
        """The member's counters, None where nobody answers. Returns what takes the question back."""
        waiter = _Told(done)
        self.ask(wire.MetricsRequest(), METRICS, READ_ALONE, waiter)
        return waiter.cancel

    def _flush(self) -> None:
        self._flushing = False
        now = time.monotonic()
        for session in self._sessions:
            if self._closed:
                session.close()
            elif session.waiting:
                session.flush(now)
        self._settle()

    def _settle(self) -> None:
        if self._listeners and self.up != self._was_up:
            self._was_up = self.up
            for listener in list(self._listeners):
                listener()
        for port in self._ports:
            port.settle()
        if self._ticking is None and not self._closed:
            self._ticking = self.loop.call_later(TICK_S, self._tick)

    def _tick(self) -> None:
        self._ticking = None
        now = time.monotonic()
        if any([session.tick(now) for session in self._sessions]):  # noqa: C419  # each of them
            self._settle()

    def _dial(self, session: Session, lane: Lane) -> Port:
        try:
            port = Dealer(
                self._context,
                self.loop,
                lane.endpoint,
                parts=2,
                on_message=partial(self._on_frames, session, lane),
                on_lost=partial(self._on_lost, session, lane),
            )
        except zmq.ZMQError as error:
            self.loop.call_soon(self._on_lost, session, lane, str(error))
            return Nowhere()
        self._ports = [*(one for one in self._ports if not one.closed), port]
        return port

    def _on_frames(self, session: Session, lane: Lane, frames: list[bytes]) -> None:
        session.on_frames(lane, frames, time.monotonic())
        if session.waiting and not self._flushing:  # windows have opened
            self._flushing = True
            self.loop.call_soon(self._flush)

    def _on_lost(self, session: Session, lane: Lane, why: str) -> None:
        session.on_lost(lane, time.monotonic(), why)
        self._settle()

    # -- streams ---------------------------------------------------------------------------------------------------
    def open(self, line: Line) -> Dealer:
        """A connection for line, messages of one frame. Raises RpcError where there are too many."""
        if len(self._lines) >= self._lines_max:
            raise RpcError(*errors.TOO_MANY_REQUESTS)
        loop = self.loop
        endpoints = self._options.endpoints
        self._turn += 1
        try:
            dealer = Dealer(
                self._context,
                loop,
                endpoints[self._turn % len(endpoints)],
                parts=1,
                on_message=lambda frames: line.on_message(frames[0]),
                on_lost=lambda _why: line.on_lost(),
                on_room=line.on_room,
            )
        except zmq.ZMQError as error:  # of file descriptors
            raise RpcError(errors.TOO_MANY_REQUESTS.code, errors.TOO_MANY_REQUESTS.message) from error
        self._lines[dealer] = line
        if self._quiet is None:
            self._quiet = loop.call_later(GATEWAY_QUIET_MS / 1000, self._on_quiet)
        return dealer

    def close_line(self, dealer: Dealer, *, last_words: bool = False) -> None:
        """Its stream is over. last_words: see `Dealer.close`."""
        if self._lines.pop(dealer, None) is not None:
            dealer.close(last_words=last_words)

    @property
    def lines(self) -> int:
        """Streams with a connection of their own."""
        return len(self._lines)

    def _on_quiet(self) -> None:
        self._quiet = None
        for line in list(self._lines.values()):
            line.on_quiet()
        if self._lines and not self._closed:
            self._quiet = self.loop.call_later(GATEWAY_QUIET_MS / 1000, self._on_quiet)

    def close(self) -> None:
        """Fail what waits and hang up."""
        if self._closed:
            return
        self._closed = True
        for timer in (self._ticking, self._quiet):
            if timer is not None:
                timer.cancel()
        for line in list(self._lines.values()):
            line.on_lost()
        for dealer in list(self._lines):
            self.close_line(dealer)
        for session in self._sessions:
            session.close()
        for port in self._ports:
            port.close()
        self._ports.clear()
        self._context.destroy(0)


class _Told:
    """Waits for one reply, and tells it or None."""

    __slots__ = ("_done", "_over")

    def __init__(self, done: Callable[[MetricsReply | None], None]) -> None:
        self._done = done
        self._over = False

    def done(self) -> bool:
        return self._over

    def cancel(self) -> None:
        self._over = True

    def set_result(self, result: MetricsReply, /) -> None:
        self._over = True
        self._done(result)

    def set_exception(self, _exception: BaseException, /) -> None:
        self._over = True
        self._done(None)
