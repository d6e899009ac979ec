"""The turn: poll, drain every socket without blocking, react, send at most one frame per peer.

One loop drives every actor. Load itself forms batches: what arrives while a turn works is the next turn's batch; there
are no linger timers. A send never blocks: EAGAIN on a local link means its byte window was broken and ends the process
(rule 17), an unreachable peer is reported to its session.
"""

import select
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import zmq

from zetcd.base import limits
from zetcd.base.errors import Fatal
from zetcd.host import clock, sockets

NOBLOCK = int(zmq.NOBLOCK)
MORE = int(zmq.NOBLOCK | zmq.SNDMORE)
READABLE = int(zmq.POLLIN)
"""Flags as plain integers: combining pyzmq's enums at each send costs more than the send."""
CONNECTING_MS = 5
"""Longest turn while some link is not open yet."""
FAREWELL_MS = 500
"""How long the last frames of a process that ends in order may take."""


def is_readable(sock: "zmq.Socket[bytes]") -> bool:
    """Whether a frame has arrived. Not by getsockopt(EVENTS): pyzmq makes an enum of the option at each call."""
    return bool(zmq.zmq_poll([(sock, READABLE)], 0))


class Outgoing(Protocol):
    """A frame to send: see `zetcd.actors.sessions.Outgoing`."""

    @property
    def link(self) -> str: ...
    @property
    def routing_id(self) -> bytes: ...
    @property
    def data(self) -> bytes: ...


class Sessions(Protocol):
    """What the loop needs of `zetcd.actors.sessions.Sessions`."""

    def routing_id(self, owner: str) -> bytes: ...
    def take_reopen(self) -> list[str]: ...
    @property
    def connecting(self) -> bool: ...
    def dial(self, now_ms: int) -> None: ...
    def on_tick(self, now_ms: int) -> None: ...
    def on_frame(self, owner: str, routing_id: bytes, data: bytes) -> None: ...
    def on_disconnect(self, owner: str) -> None: ...
    def on_unreachable(self, routing_id: bytes) -> None: ...
    def leave(self) -> None: ...
    def end_turn(self) -> Sequence[Outgoing]: ...


class Reactor(Protocol):
    """What the loop needs of an actor besides its sessions."""

    tick_ms: int

    def busy(self) -> bool: ...
    def on_stop(self) -> None: ...
    def stopped(self) -> bool: ...


class Notifier(Protocol):
    """Liveness towards the supervisor or systemd, fed from this loop: a hung actor stops pinging."""

    def watchdog(self) -> None: ...
    def stopping(self) -> None: ...


@dataclass(slots=True)
class Loop:
    """Sockets of one process and the turn over them. The actor's tick_ms is how often `on_tick` comes."""

    context: "zmq.Context[zmq.Socket[bytes]]"
    role: str
    sessions: Sessions
    actor: Reactor
    notifier: Notifier
    owner_socket: "zmq.Socket[bytes] | None"
    dials: tuple[str, ...]
    after_turn: Callable[[], None] | None = None

    _epoll: select.epoll = None  # type: ignore[assignment]
    _readers: "dict[int, Callable[[], None]]" = None  # type: ignore[assignment]
    _look: "dict[zmq.Socket[bytes], Callable[[], None]]" = None  # type: ignore[assignment]
    _drains: "dict[zmq.Socket[bytes], Callable[[], None]]" = None  # type: ignore[assignment]
    _dealers: "dict[str, tuple[zmq.Socket[bytes], zmq.Socket[bytes]]]" = None  # type: ignore[assignment]
    _stop: bool = False

    def __post_init__(self) -> None:
        self._epoll = select.epoll()
        self._readers = {}
        self._look = {}
        self._drains = {}
        self._dealers = {}
        if self.owner_socket is not None:
            self.add_reader(self.owner_socket, self._drain_owner)
        for owner in self.dials:
            self._open(owner)

    def add_reader(self, source: "zmq.Socket[bytes] | int", drain: Callable[[], None]) -> None:
        """Call drain in each turn in which source (a socket, or a file descriptor) is readable."""
        if isinstance(source, int):
            descriptor = source
        else:
            descriptor = int(source.getsockopt(zmq.FD))
            self._drains[source] = drain
            self.look_at(source)
        self._epoll.register(descriptor, select.EPOLLIN)
        self._readers[descriptor] = drain

    def look_at(self, sock: "zmq.Socket[bytes]") -> None:
        """Look for frames of sock in the next turn, whatever its descriptor says: that one is edge-triggered, and a
        send may have consumed the edge; or frames were left over. (zmq_poll spares one this and looks at every socket
        twice in every call: 10 system calls of raft for each put of a lone client instead of 4.)"""
        self._look[sock] = self._drains[sock]

    # -- the turn --------------------------------------------------------------------------------------------------
    def run(self) -> None:
        """Turns until SIGTERM or SIGINT and the actor has finished. Raises Fatal."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        sessions, actor = self.sessions, self.actor
        stopping = False
        next_tick = 0
        while not (stopping and actor.stopped()):
            now = clock.monotonic_ms()
            if now >= next_tick:
                next_tick = now + actor.tick_ms
                self._check_connections()
                sessions.on_tick(now)
                self.notifier.watchdog()
                self._flush()
            if self._stop and not stopping:
                stopping = True
                self.notifier.stopping()
                actor.on_stop()
                self._flush()
            wait = next_tick - now
            if sessions.connecting:
                sessions.dial(now)
                self._flush()
                wait = min(wait, CONNECTING_MS)
            self.turn(0 if actor.busy() else wait)
        self._leave()

    def _leave(self) -> None:
        """Say goodbye, and let ZeroMQ's I/O thread carry what is on its way."""
        self.sessions.leave()
        self._flush()
        for owner in list(self._dealers):
            sock, monitor = self._dealers.pop(owner)
            sock.disable_monitor()
            monitor.close(0)
            sock.close(FAREWELL_MS)
        if self.owner_socket is not None:
            self.owner_socket.close(FAREWELL_MS)
        for sock in self._drains:
            sock.close(FAREWELL_MS)
        self.context.term()

    def turn(self, wait_ms: int) -> None:
        """One turn: wait at most wait_ms for input, react, send."""
        if self._look:
            look, self._look = self._look, {}
            for sock, drain in look.items():
                if is_readable(sock):
                    wait_ms = 0
                    drain()
        readers = self._readers
        for descriptor, _ in self._epoll.poll(wait_ms / 1000):
            reader = readers.get(descriptor)
            if reader is not None:
                reader()
        self._flush()

    def _flush(self) -> None:
        owner_socket, dealers = self.owner_socket, self._dealers
        for frame in self.sessions.end_turn():
            try:
                if frame.routing_id:
                    assert owner_socket is not None
                    self.look_at(owner_socket)
                    owner_socket.send(frame.routing_id, MORE)
                    owner_socket.send(frame.data, NOBLOCK)
                else:
                    dealer = dealers[frame.link][0]
                    self.look_at(dealer)
                    dealer.send(frame.data, NOBLOCK)
            except zmq.Again:
                self._on_again(frame)
            except zmq.ZMQError as error:
                if error.errno != zmq.EHOSTUNREACH:
                    raise
                self.sessions.on_unreachable(frame.routing_id)
        if self.after_turn is not None:
            self.after_turn()
        for owner in self.sessions.take_reopen():
            self._close(owner)
            self._open(owner)

    def _on_again(self, frame: Outgoing) -> None:
        if frame.routing_id:
            raise Fatal(f"{self.role}: {limits.LINK_FRAMES_MAX} frames wait for {frame.routing_id!r}: no window held")
        # IMMEDIATE: not connected yet (a Hello, repeated until it is heard) or just disconnected (the monitor tells).

    # -- sockets ---------------------------------------------------------------------------------------------------
    def _drain_owner(self) -> None:
        assert self.owner_socket is not None
        sock, on_frame, role = self.owner_socket, self.sessions.on_frame, self.role
        receive = sock.recv
        try:
            for count in range(limits.TURN_FRAMES_MAX):
                # To look costs 2 us, to be refused 5: look once, since most idle turns bring one frame.
                if count == 1 and not is_readable(sock):
                    return
                routing_id = receive(NOBLOCK)
                on_frame(role, routing_id, receive(NOBLOCK))
        except zmq.Again:
            return
        self.look_at(sock)

    def _check_connections(self) -> None:
        """Look for broken connections, once a tick: each monitor in the poller would cost every turn a microsecond."""
        for owner, (_, monitor) in list(self._dealers.items()):
            if monitor.poll(0):
                self._drains[self._dealers[owner][0]]()  # what arrived before the end still counts
                self.sessions.on_disconnect(owner)
                while monitor.poll(0):
                    monitor.recv_multipart(zmq.NOBLOCK)

    def _open(self, owner: str) -> None:
        sock, monitor = sockets.connect_dialer(self.context, owner, self.sessions.routing_id(owner))
        self._dealers[owner] = (sock, monitor)
        receive, on_frame = sock.recv, self.sessions.on_frame

        def drain() -> None:
            try:
                for count in range(limits.TURN_FRAMES_MAX):
                    if count == 1 and not is_readable(sock):
                        return
                    on_frame(owner, b"", receive(NOBLOCK))
            except zmq.Again:
                return
            self.look_at(sock)

        self.add_reader(sock, drain)

    def _close(self, owner: str) -> None:
        sock, monitor = self._dealers.pop(owner)
        descriptor = int(sock.getsockopt(zmq.FD))
        self._epoll.unregister(descriptor)
        del self._readers[descriptor]
        del self._drains[sock]
        self._look.pop(sock, None)
        sock.disable_monitor()
        monitor.close(0)
        sock.close(0)

    def _on_signal(self, _number: int, _frame: object) -> None:
        self._stop = True
