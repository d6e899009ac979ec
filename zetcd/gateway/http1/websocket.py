"""A websocket on what was a connection of HTTP/1.1 (RFC 6455), without I/O: bytes in, messages as they are asked for.

Frames are read and written by `websockets`' protocol object. Around it: messages are put together and handed out one by
one, so that who takes them sets the pace; what waits is bounded; frames that carry nothing are policed. Text and binary
messages are the same here, and no extension is agreed on, as with etcd. Pings are answered, none are sent.
"""

import base64
import hashlib
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, cast

from zetcd.base import limits
from zetcd.gateway.h2.policing import Allowance
from zetcd.gateway.held import Held

if TYPE_CHECKING:
    from websockets.frames import Frame

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_PIECE = 4_096
"""Bytes parsed at a time: so much may be parsed ahead of what is asked for."""
_CLOSE, _PING = 8, 9  # and 10 is PONG
NORMAL, POLICY_VIOLATION, TRY_AGAIN_LATER = 1000, 1008, 1013
"""Codes of Close frames, RFC 6455 section 7.4 and IANA's registry."""


def accept(key: str) -> str:
    """The value of Sec-WebSocket-Accept for the client's Sec-WebSocket-Key."""
    return base64.b64encode(hashlib.sha1(key.encode("latin-1") + _GUID, usedforsecurity=False).digest()).decode()


class Carrier(Protocol):
    """The connection below."""

    @property
    def unsent(self) -> int:
        """Bytes that wait to go out."""

    def put(self, data: bytes) -> int:
        """Queue bytes. Returns how many wait now."""

    def answered(self, answer: "Socket", *, keep: bool) -> None:
        """It is over."""

    def room(self) -> None:
        """It is not full any more: read on."""


class Socket:
    """See the module. The user sets the callbacks, calls `take` until it is None, and again after `on_readable`."""

    __slots__ = (
        "_carrier",
        "_ending",
        "_frames",
        "_held",
        "_ignoring",
        "_message_bytes",
        "_messages",
        "_now",
        "_parts",
        "_rest",
        "_rest_bytes",
        "_stuffed",
        "_useless",
        "body_bytes",
        "closing",
        "done",
        "on_cancel",
        "on_readable",
        "on_writable",
        "used",
    )

    def __init__(self, carrier: Carrier, held: Held, now: float) -> None:
        # Few need it, and it takes 18 ms and 2.5 MiB.
        from websockets.protocol import Protocol as Frames  # noqa: PLC0415
        from websockets.protocol import Side  # noqa: PLC0415

        self._carrier = carrier
        self._held = held
        self._now = now
        self._frames = Frames(Side.SERVER, max_size=limits.WEBSOCKET_MESSAGE_BYTES_MAX)
        self._useless = Allowance(limits.GATEWAY_CONTROL_FRAMES_MAX, limits.GATEWAY_CONTROL_FRAMES_PER_S, now)
        self._rest: deque[memoryview] = deque()  # of the client, not parsed
        self._rest_bytes = 0
        self._parts = bytearray()  # of a message in fragments
        self._messages: deque[bytes] = deque()
        self._message_bytes = 0
        self._ignoring = False
        self._ending = False  # nothing is read or sent any more; messages that came before are still handed out
        self._stuffed = False  # a `send` was False
        self.body_bytes = 0
        """What `held` counts for it."""
        self.done = False
        self.closing = False
        """Close was sent; the client's is waited for."""
        self.used = False
        """A message has come."""
        self.on_readable: Callable[[], None] | None = None
        """More has come."""
        self.on_cancel: Callable[[], None] | None = None
        """The client went away."""
        self.on_writable: Callable[[], None] | None = None
        """After a `send` that was False: there is room again."""

    # -- what the user calls ----------------------------------------------------------------------
    def take(self) -> bytes | None:
        """The next message; None: none yet."""
        full = self.full
        while not self._messages and self._rest and not self._ending:
            self._parse()
        found = self._messages.popleft() if self._messages else None
        if found is not None:
            self._message_bytes -= len(found)
        elif self._ending:
            self.cancel()
        self._account()
        if full and not self.full:
            self._carrier.room()
        return found

    def ignore(self) -> None:
        """Further messages are of no interest; pings and the end still are."""
        self._ignoring = True
        self._drain()

    def send(self, text: bytes) -> bool:
        """A message. False: STREAM_UNSENT_BYTES_MAX is exceeded; no more before `on_writable`."""
        if self.done or self._ending or self.closing:
            return True
        self._frames.send_text(text)
        if self._flush() <= limits.STREAM_UNSENT_BYTES_MAX:
            return True
        self._stuffed = True
        return False

    def end(self) -> None:
        """No further message will be sent: say so, and close when the client has said the same.

        Closed at once, with messages of the client on their way, TCP might throw away what was sent last.
        """
        self.on_readable = self.on_cancel = self.on_writable = None
        if self.done or self.closing:
            return
        if self._ending:
            self._over()
        else:
            self.closing = True
            self._frames.send_close(NORMAL)
            self._flush()
            self.ignore()

    # -- what the connection calls ----------------------------------------------------------------
    def receive(self, data: bytes, now: float) -> None:
        """Bytes of the client, cut anywhere."""
        if self._ending or self.done:
            return
        self._now = now
        self._rest.append(memoryview(data))
        self._rest_bytes += len(data)
        if not self._account():
            self._fail(TRY_AGAIN_LATER, "too much is held")
        if self._ignoring:
            self._drain()
        elif self.on_readable is not None:
            self.on_readable()

    @property
    def full(self) -> bool:
        """Enough waits for being taken: read no more."""
        return self._rest_bytes > limits.WEBSOCKET_UNREAD_BYTES_MAX

    def drained(self) -> None:
        """What was sent has gone out."""
        if self._stuffed and not self.done:
            self._stuffed = False
            if self.on_writable is not None:
                self.on_writable()

    def cancel(self) -> None:
        """The client has gone."""
        if not self.done:
            self._over()
            if self.on_cancel is not None:
                self.on_cancel()

    def close_after(self) -> None:
        """No further call is taken on this connection."""
        if not self.used:
            self.end()

    # -- frames -----------------------------------------------------------------------------------
    def _parse(self) -> None:
        """The next piece of what came."""
        data = self._rest.popleft()
        if len(data) > _PIECE:
            self._rest.appendleft(data[_PIECE:])
            data = data[:_PIECE]
        self._rest_bytes -= len(data)
        frames = self._frames
        frames.receive_data(bytes(data))
        pinged = False
        for frame in cast("list[Frame]", frames.events_received()):  # heads are those of its own handshakes
            opcode, fin, payload = int(frame.opcode), bool(frame.fin), bytes(frame.data)
            if opcode == _CLOSE:
                self._ending = True
            elif opcode > _CLOSE:
                pinged = pinged or opcode == _PING
                self._police()
            else:
                self._parts += payload
                if fin:
                    self._on_message()
                elif len(payload) < limits.WEBSOCKET_FRAGMENT_BYTES_MIN:
                    self._police()
        if frames.parser_exc is not None:
            self._ending = True
        if pinged and not self._ending and not self.closing and self._carrier.unsent > limits.STREAM_UNSENT_BYTES_MAX:
            frames.data_to_send()  # a client that does not read gets no pongs
        else:
            self._flush()

    def _on_message(self) -> None:
        message, self._parts = bytes(self._parts), bytearray()
        if self._ignoring or not message or message.isspace():
            self._police()
        else:
            self.used = True
            self._messages.append(message)
            self._message_bytes += len(message)

    def _police(self) -> None:
        """A frame came that carries nothing, next to nothing, or what nobody wants."""
        if not self._useless.take(self._now):
            self._fail(POLICY_VIOLATION, "too many frames that carry nothing")

    def _fail(self, code: int, reason: str) -> None:
        if not self._ending:
            self._ending = True
            self._frames.fail(code, reason)
            self._flush()

    def _drain(self) -> None:
        while self.take() is not None:
            pass

    def _flush(self) -> int:
        """Give the connection what the frames have to say. Returns how much waits there."""
        data = b"".join(self._frames.data_to_send())
        return self._carrier.put(data) if data else self._carrier.unsent

    def _account(self) -> bool:
        """Tell `held` what is held now. False: that is too much."""
        parts = len(self._parts) + len(self._frames.reader.buffer) + self._message_bytes
        held = 0 if self.done else self._rest_bytes + parts
        change, self.body_bytes = held - self.body_bytes, held
        if change > 0:
            return self._held.take(change)
        self._held.give(-change)
        return True

    def _over(self) -> None:
        self.done = self._ending = True
        self._rest.clear()
        self._rest_bytes = 0
        self._messages.clear()
        self._message_bytes = 0
        self._account()
        self._carrier.answered(self, keep=False)
