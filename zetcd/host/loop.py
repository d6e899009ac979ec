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
SLOW_TURN_MS = 100
"""etcd warns of what takes longer to apply."""


def is_readable(sock: "zmq.Socket[bytes]") -> bool:
    """Whether a frame has arrived. Not by getsockopt(EVENTS): pyzmq makes an enum of the option at each call."""
    return bool(zmq.zmq_poll([(sock, READABLE)], 0))


Outgoing = tuple[str, bytes, bytes]
"""A frame to send: see `zetcd.actors.sessions.Outgoing`."""


class Inlet:
    """The receiving side of one socket. `drain` hands what has arrived to take, at most bound messages a call.

    To ask whether there is more costs 2 us, to be refused 5, and a process that was asleep pays double. So a socket
    that brought a single message last time is trusted to bring one again: the loop looks at it anyway after the turn,
    when what it answers has left.
    """

    __slots__ = ("_batched", "_bound", "_look", "_socket", "_take")

    def __init__(
        self,
        sock: "zmq.Socket[bytes]",
        take: Callable[[], None],
        bound: int,
        look: "Callable[[zmq.Socket[bytes]], None]",
    ) -> None:
        """take: receives one message and handles it; raises zmq.Again where there is none."""
        self._socket = sock
        self._take = take
        self._bound = bound
        self._look = look
        self._batched = False

    def drain(self, *, again: bool = False) -> None:
        """again: the loop has looked, and there is a message although the socket was not waited for."""
        sock, take = self._socket, self._take
        count = 0
        try:
            while count < self._bound:
                if count == 1:
                    if not again and not self._batched:
                        self._look(sock)
                        return
                    if not is_readable(sock):
                        self._batched = False
                        return
                take()
                count += 1
        except zmq.Again:
            self._batched = count > 1
            return
        self._batched = True
        self._look(sock)


class Sessions(Protocol):
    """What the loop needs of `zetcd.actors.sessions.Sessions`."""

    ending: bool

    def routing_id(self, owner: str) -> bytes: ...
    @property
    def reopen(self) -> Sequence[str]: ...
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
    on_slow: Callable[[], None] | None = None
    """Told of each turn whose work took SLOW_TURN_MS or longer; None: nobody looks at the clock for that."""

    _epoll: select.epoll = None  # type: ignore[assignment]
    _readers: "dict[int, Callable[[], None]]" = None  # type: ignore[assignment]
    _look: "dict[zmq.Socket[bytes], Inlet]" = None  # type: ignore[assignment]
    _inlets: "dict[zmq.Socket[bytes], Inlet]" = None  # type: ignore[assignment]
    _dealers: "dict[str, tuple[zmq.Socket[bytes], zmq.Socket[bytes]]]" = None  # type: ignore[assignment]
    _stop: bool = False

    def __post_init__(self) -> None:
        self._epoll = select.epoll()
        self._readers = {}
        self._look = {}
        self._inlets = {}
        self._dealers = {}
        if self.owner_socket is not None:
            self.add_inlet(self.owner_socket, self._take_owned, limits.TURN_FRAMES_MAX)
        for owner in self.dials:
            self._open(owner)

    def add_reader(self, descriptor: int, read: Callable[[], None]) -> None:
        """Call read in each turn in which descriptor is readable."""
        self._epoll.register(descriptor, select.EPOLLIN)
        self._readers[descriptor] = read

    def add_inlet(self, sock: "zmq.Socket[bytes]", take: Callable[[], None], bound: int) -> None:
        """Drain sock in each turn in which it is readable: see `Inlet`."""
        inlet = self._inlets[sock] = Inlet(sock, take, bound, self.look_at)
        self.look_at(sock)
        self.add_reader(int(sock.getsockopt(zmq.FD)), inlet.drain)

    def remove_inlet(self, sock: "zmq.Socket[bytes]") -> None:
        """Inverse of `add_inlet`, before sock is closed."""
        descriptor = int(sock.getsockopt(zmq.FD))
        self._epoll.unregister(descriptor)
        del self._readers[descriptor]
        del self._inlets[sock]
        self._look.pop(sock, None)

    def look_at(self, sock: "zmq.Socket[bytes]") -> None:
        """Look for frames of sock in the next turn, whatever its descriptor says: that one is edge-triggered, and a
        send may have consumed the edge; or frames were left over. (zmq_poll spares one this and looks at every socket
        twice in every call: 10 system calls of raft for each put of a lone client instead of 4.)"""
        self._look[sock] = self._inlets[sock]

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
        for sock in self._inlets:
            sock.close(FAREWELL_MS)
        self.context.term()

    def turn(self, wait_ms: int) -> None:
        """One turn: wait at most wait_ms for input, react, send."""
        if self._look:
            look, self._look = self._look, {}
            for sock, inlet in look.items():
                if is_readable(sock):
                    wait_ms = 0
                    inlet.drain(again=True)
        readers = self._readers
        for descriptor, _ in self._epoll.poll(wait_ms / 1000):
            reader = readers.get(descriptor)
            if reader is not None:
                reader()
        if self.on_slow is None:
            self._flush()
        else:
            began = clock.monotonic_ms()
            self._flush()
            if clock.monotonic_ms() >= began + SLOW_TURN_MS:
                self.on_slow()

    def _flush(self) -> None:
        owner_socket, dealers = self.owner_socket, self._dealers
        for link, routing_id, data in self.sessions.end_turn():
            try:
                if routing_id:
                    assert owner_socket is not None
                    self.look_at(owner_socket)
                    owner_socket.send(routing_id, MORE)
                    owner_socket.send(data, NOBLOCK)
                else:
                    dealer = dealers[link][0]
                    self.look_at(dealer)
                    dealer.send(data, NOBLOCK)
            except zmq.Again:
                self._on_again(routing_id)
            except zmq.ZMQError as error:
                if error.errno != zmq.EHOSTUNREACH:
                    raise
                self.sessions.on_unreachable(routing_id)
        if self.after_turn is not None:
            self.after_turn()
        if self.sessions.reopen:
            for owner in self.sessions.take_reopen():
                self._close(owner)
                self._open(owner)

    def _on_again(self, routing_id: bytes) -> None:
        if routing_id:
            raise Fatal(f"{self.role}: {limits.LINK_FRAMES_MAX} frames wait for {routing_id!r}: no window held")
        # IMMEDIATE: not connected yet (a Hello, repeated until it is heard) or just disconnected (the monitor tells).

    # -- sockets ---------------------------------------------------------------------------------------------------
    def _take_owned(self) -> None:
        assert self.owner_socket is not None
        receive = self.owner_socket.recv
        routing_id = receive(NOBLOCK)
        self.sessions.on_frame(self.role, routing_id, receive(NOBLOCK))

    def _check_connections(self) -> None:
        """Look for broken connections, once a tick: each monitor in the poller would cost every turn a microsecond."""
        for owner, (_, monitor) in list(self._dealers.items()):
            if monitor.poll(0):
                self._inlets[self._dealers[owner][0]].drain(again=True)  # what arrived before the end still counts
                self.sessions.on_disconnect(owner)
                while monitor.poll(0):
                    monitor.recv_multipart(zmq.NOBLOCK)

    def _open(self, owner: str) -> None:
        sock, monitor = sockets.connect_dialer(self.context, owner, self.sessions.routing_id(owner))
        self._dealers[owner] = (sock, monitor)
        receive, on_frame = sock.recv, self.sessions.on_frame
        self.add_inlet(sock, lambda: on_frame(owner, b"", receive(NOBLOCK)), limits.TURN_FRAMES_MAX)

    def _close(self, owner: str) -> None:
        sock, monitor = self._dealers.pop(owner)
        self.remove_inlet(sock)
        sock.disable_monitor()
        monitor.close(0)
        sock.close(0)

    def _on_signal(self, _number: int, _frame: object) -> None:
        self._stop = self.sessions.ending = True
