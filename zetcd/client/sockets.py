"""ZeroMQ under a lane: one DEALER socket that connects once, and the monitor that says when it broke.

A socket serves one connection and is then thrown away (RECONNECT_IVL -1): what is queued in a socket that reconnects
by itself would be sent to whoever listens next, and a write must never leave twice or late. Without a connection a
send fails at once, so "never sent" is known.

The file descriptor rule: ZeroMQ's FD is edge-triggered and shared by all state changes. It may be slept on only after
a receive said EAGAIN, and every send may have swallowed its signal. So: drain after each send and before each sleep.
"""

import struct
from typing import Any, Final

import zmq
from zmq.backend import Socket as Raw

_BROKEN: Final = (
    zmq.Event.DISCONNECTED
    | zmq.Event.CLOSED
    | zmq.Event.HANDSHAKE_FAILED_NO_DETAIL
    | zmq.Event.HANDSHAKE_FAILED_PROTOCOL
    | zmq.Event.HANDSHAKE_FAILED_AUTH
)
_EVENT: Final = struct.Struct("=hi")
_WHY: Final = {
    zmq.Event.DISCONNECTED: "disconnected",
    zmq.Event.CLOSED: "connection refused",
}
HEARTBEAT_MS: Final = 5_000  # TCP that went silent without closing
HEARTBEAT_TIMEOUT_MS: Final = 15_000

RECV_PATIENCE_MS: Final = 20  # of a receive that may block

NOBLOCK: Final = int(zmq.NOBLOCK)  # plain integers: flag enums cost a microsecond a use
_EVENTS: Final = int(zmq.EVENTS)
_POLLIN: Final = int(zmq.POLLIN)
_RCVMORE: Final = int(zmq.RCVMORE)
_MORE_FOLLOWS: Final = int(zmq.SNDMORE | zmq.NOBLOCK)
Again = zmq.Again


class Connection:
    """One DEALER. Implements `zetcd.session.lane.Port`."""

    __slots__ = ("_more", "_recv", "_send", "_socket", "fd", "monitor", "monitor_fd")

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", endpoint: str) -> None:
        """Begin to connect. Raises zmq.ZMQError for an address that cannot be."""
        self._socket: zmq.Socket[bytes] = context.socket(zmq.DEALER)
        self.monitor: zmq.Socket[bytes] | None = None
        for option, value in (
            (zmq.LINGER, 0),
            (zmq.SNDHWM, 0),  # bounded by the session's windows
            (zmq.RCVHWM, 0),  # bounded by the same windows; watch streams by their queues
            (zmq.RECONNECT_IVL, -1),
            (zmq.RCVTIMEO, RECV_PATIENCE_MS),
            (zmq.HEARTBEAT_IVL, HEARTBEAT_MS),
            (zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS),
        ):
            self._socket.setsockopt(option, value)
        try:
            self.monitor = self._socket.get_monitor_socket(_BROKEN)
            self._socket.connect(endpoint)
        except zmq.ZMQError:
            self.close()
            raise
        self.fd: int = self._socket.FD
        self.monitor_fd: int = self.monitor.FD
        self._recv = self._socket.recv
        self._send = Raw.send.__get__(self._socket)  # without the wrapper, which costs a microsecond a frame
        self._more = self._socket.getsockopt

    def send(self, frames: list[bytes]) -> bool:
        """False without a connection."""
        frame_id, body = frames
        try:
            self._send(frame_id, _MORE_FOLLOWS)
            self._send(body, NOBLOCK)
        except Again:
            return False
        return True

    def recv(self, flags: int) -> list[bytes]:
        """One message. Raises Again where there is none (NOBLOCK), or none within RECV_PATIENCE_MS (0)."""
        recv = self._recv
        frames = [recv(flags)]
        while self._more(_RCVMORE):
            frames.append(recv(NOBLOCK))
        return frames

    def recv_answer(self, frame_id: bytes) -> tuple[list[bytes] | None, bytes]:
        """(None, body) if the next message answers frame_id, else (message, b""). Raises Again as `recv` (0).

        Asking whether more frames follow costs as much as receiving them, so the usual two are taken unasked.
        """
        recv = self._recv
        first = recv(0)
        body = recv(NOBLOCK)
        if first == frame_id:
            return None, body
        frames = [first, body]
        while self._more(_RCVMORE):
            frames.append(recv(NOBLOCK))
        return frames, b""

    def readable(self) -> bool:
        """Whether a message waits; asks the socket, so it also settles what a send may have swallowed."""
        events: Any = self._socket.getsockopt(_EVENTS)
        return bool(events & _POLLIN)

    def broken(self) -> str:
        """Why the connection is gone, empty while it is not. Settles the monitor's FD."""
        if self.monitor is None:
            return "closed"
        try:
            event, _ = _EVENT.unpack(self.monitor.recv_multipart(NOBLOCK)[0])
        except Again:
            return ""
        return _WHY.get(event, "handshake failed")

    def close(self) -> None:
        """Drop it with all it holds."""
        if self.monitor is not None:
            self._socket.disable_monitor()
            self.monitor.close(0)
            self.monitor = None
        self._socket.close(0)


class Nowhere:
    """The port of a lane that could not even be dialled."""

    def send(self, frames: list[bytes]) -> bool:
        """Never."""
        return not frames

    def close(self) -> None:
        """Nothing to close."""
