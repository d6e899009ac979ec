"""ZeroMQ under the link: one DEALER in the asyncio loop that connects once, read by plain receives on its descriptor.

The file descriptor rule: ZeroMQ's FD is edge-triggered and shared by all state changes. It may be slept on only after
the socket said that nothing waits, and every send may have swallowed its signal. So each send is followed by a look
(`settle`), and each message by another; a receive that fails would say the same for ten times the price.
"""

import asyncio
import struct
from collections.abc import Callable
from typing import Any, Final

import zmq
from zmq.backend import Socket as Raw

from zetcd.base.limits import GATEWAY_LINE_FRAMES_MAX

DRAIN_FRAMES_MAX: Final = 4  # of one socket in one turn: those they wake go on while the next ones arrive
LARGE_BYTES: Final = 256 * 1024  # a longer one takes a turn by itself: 8 MB are 50 ms, in JSON many more
NOBLOCK: Final = int(zmq.NOBLOCK)  # plain integers: flag enums cost a microsecond a use
_EVENTS: Final = int(zmq.EVENTS)
_POLLIN: Final = int(zmq.POLLIN)
_POLLOUT: Final = int(zmq.POLLOUT)
_MORE_FOLLOWS: Final = int(zmq.SNDMORE | zmq.NOBLOCK)
_BROKEN: Final = (
    zmq.Event.DISCONNECTED
    | zmq.Event.CLOSED
    | zmq.Event.HANDSHAKE_FAILED_NO_DETAIL
    | zmq.Event.HANDSHAKE_FAILED_PROTOCOL
    | zmq.Event.HANDSHAKE_FAILED_AUTH
)
_EVENT: Final = struct.Struct("=hi")
_WHY: Final = {zmq.Event.DISCONNECTED: "disconnected", zmq.Event.CLOSED: "connection refused"}
LAST_WORDS_MS: Final = 1_000  # for what was sent just before a close

Context = zmq.Context["zmq.Socket[bytes]"]


class Dealer:
    """One connection to one api process. Implements `zetcd.session.lane.Port`.

    parts: frames of each message, both ways. on_message gets what came, on_lost why the connection is gone (once, after
    all that it brought). With on_room at most GATEWAY_LINE_FRAMES_MAX messages wait in it each way, and on_room is told
    when a send that was refused may be tried again; without it the session's windows are the bound.
    """

    __slots__ = (
        "_get", "_loop", "_monitor", "_monitor_fd", "_on_lost", "_on_message", "_on_room", "_parts", "_recv",
        "_send", "_socket", "_starved", "closed", "fd", "paused",
    )  # fmt: skip

    def __init__(
        self,
        context: Context,
        loop: asyncio.AbstractEventLoop,
        endpoint: str,
        *,
        parts: int,
        on_message: Callable[[list[bytes]], None],
        on_lost: Callable[[str], None],
        on_room: Callable[[], None] | None = None,
    ) -> None:
        """Begin to connect. Raises zmq.ZMQError for an address that cannot be, or too many sockets."""
        self._socket: zmq.Socket[bytes] = context.socket(zmq.DEALER)
        self._monitor: zmq.Socket[bytes] | None = None
        frames = 0 if on_room is None else GATEWAY_LINE_FRAMES_MAX
        for option, value in (
            (zmq.LINGER, 0),
            (zmq.SNDHWM, frames),
            (zmq.RCVHWM, frames),
            (zmq.RECONNECT_IVL, -1),  # what is queued would otherwise be sent to whoever listens next
        ):
            self._socket.setsockopt(option, value)
        try:
            self._monitor = self._socket.get_monitor_socket(_BROKEN)
            self._socket.connect(endpoint)
        except zmq.ZMQError:
            if self._monitor is not None:
                self._socket.disable_monitor()
                self._monitor.close(0)
            self._socket.close(0)
            raise
        self._loop = loop
        self._parts = parts
        self._on_message = on_message
        self._on_lost = on_lost
        self._on_room = on_room
        self.closed = self.paused = self._starved = False
        self.fd: int = self._socket.FD
        self._monitor_fd: int = self._monitor.FD
        self._recv = self._socket.recv
        # Without the wrappers, which cost a microsecond each.
        self._send = Raw.send.__get__(self._socket)
        self._get: Callable[[int], Any] = Raw.get.__get__(self._socket)
        loop.add_reader(self.fd, self._on_readable)
        loop.add_reader(self._monitor_fd, self._on_monitor)
        loop.call_soon(self._on_monitor)  # a monitor's first event may be there already

    def send(self, frames: list[bytes]) -> bool:
        """False: not connected any more, or full; nothing of it has left or will leave."""
        if self.closed:
            return False
        try:
            for frame in frames[:-1]:
                self._send(frame, _MORE_FOLLOWS)
            self._send(frames[-1], NOBLOCK)
        except zmq.Again:
            self._starved = True
            return False
        return True

    def settle(self) -> None:
        """After sends: the FD's signal may be spent although messages wait."""
        if not self.closed and not self.paused:
            events = self._get(_EVENTS)
            if events & _POLLIN or (self._starved and events & _POLLOUT):
                self._loop.call_soon(self._on_readable)

    def pause(self) -> None:
        """Read nothing until `resume`; what comes waits in ZeroMQ and in the kernel, then at the sender."""
        if not self.paused and not self.closed:
            self.paused = True
            self._loop.remove_reader(self.fd)

    def resume(self) -> None:
        """Read again."""
        if self.paused and not self.closed:
            self.paused = False
            self._loop.add_reader(self.fd, self._on_readable)
            self._loop.call_soon(self._on_readable)

    def _on_readable(self) -> None:
        if self.closed or self.paused:
            return
        if self._starved:
            self._look_for_room()
        self._drain(DRAIN_FRAMES_MAX)

    def _drain(self, count: int) -> None:
        recv, on_message, get, single = self._recv, self._on_message, self._get, self._parts == 1
        for _ in range(count):
            if not get(_EVENTS) & _POLLIN:
                return
            frames = [recv(NOBLOCK)] if single else [recv(NOBLOCK), recv(NOBLOCK)]
            on_message(frames)
            if self.closed or self.paused:
                return
            if len(frames[-1]) > LARGE_BYTES:
                break
        self._loop.call_soon(self._on_readable)

    def _look_for_room(self) -> None:
        if self._get(_EVENTS) & _POLLOUT and self._on_room is not None:
            self._starved = False
            self._on_room()

    def _on_monitor(self) -> None:
        if self.closed or self._monitor is None:
            return
        try:
            event, _ = _EVENT.unpack(self._monitor.recv_multipart(NOBLOCK)[0])
        except zmq.Again:
            return
        while not self.closed and not self.paused:  # what came before the end still counts
            try:
                self._on_message([self._recv(NOBLOCK) for _ in range(self._parts)])
            except zmq.Again:
                break
        if not self.closed:
            self._on_lost(_WHY.get(event, "handshake failed"))

    def close(self, *, last_words: bool = False) -> None:
        """Out of the loop, and gone. last_words: what was sent before may still leave."""
        if self.closed:
            return
        self.closed = True
        self._loop.remove_reader(self.fd)
        self._loop.remove_reader(self._monitor_fd)
        assert self._monitor is not None
        self._socket.disable_monitor()
        self._monitor.close(0)
        self._socket.close(LAST_WORDS_MS if last_words else 0)


class Nowhere:
    """The port of a lane that could not even be dialled."""

    def send(self, frames: list[bytes]) -> bool:
        """Never."""
        return not frames

    def close(self) -> None:
        """Nothing to close."""
