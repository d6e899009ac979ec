"""One stream: its states (RFC 9113 section 5.1), what waits to be sent, and its two windows.

    open --(END_STREAM from the client)--> half-closed (remote) --(our END_STREAM)--> closed
    open --(our END_STREAM)--> closed: what the client still sends is of no use, so it gets RST_STREAM(NO_ERROR)

Idle streams have no object, closed ones neither.
"""

from collections import deque
from typing import TYPE_CHECKING, Protocol

from zetcd.base import limits
from zetcd.gateway.h2 import frames

if TYPE_CHECKING:
    from zetcd.gateway.h2.connection import Connection

WINDOW_STEP = limits.GATEWAY_STREAM_WINDOW_BYTES // 2
WRITABLE_BYTES = limits.STREAM_UNSENT_BYTES_MAX // 2


class Handler(Protocol):
    """The application's side of a stream."""

    def on_data(self, data: bytes, end: bool) -> None:
        """Part of the body, perhaps empty; end: the client sends no more."""

    def on_reset(self) -> None:
        """The stream is gone: reset by the client, by a fault of it, or with its connection. Nothing can be sent."""

    def on_writable(self) -> None:
        """Half of STREAM_UNSENT_BYTES_MAX, after `send` had said False, is free again."""


class Stream:
    """An open or half-closed stream."""

    __slots__ = (
        "_owed", "_told_full", "_trailers", "body_left", "connection", "finished", "handler", "id", "open", "paused",
        "pending", "pending_bytes", "queued", "receive_window", "remote_closed", "started", "window",
    )  # fmt: skip

    def __init__(self, connection: "Connection", stream_id: int, window: int, *, remote_closed: bool) -> None:
        self.connection = connection
        self.id = stream_id
        self.handler: Handler = IGNORES
        self.open = True
        self.remote_closed = remote_closed
        self.started = False  # our HEADERS have gone out
        self.finished = False  # our END_STREAM has gone out, or waits behind pending
        self.window = window  # what we may send; negative after the client lowered INITIAL_WINDOW_SIZE
        self.receive_window = limits.GATEWAY_STREAM_WINDOW_BYTES
        self.paused = False
        self.body_left: int | None = None  # of the content-length the client gave
        self.pending: deque[bytes | memoryview] = deque()  # views of what is longer than a frame
        self.pending_bytes = 0
        self.queued = False
        self._owed = 0  # received, and not yet given back as window
        self._told_full = False
        self._trailers = b""

    # -- sending ----------------------------------------------------------------------------------
    def start(self, block: bytes) -> None:
        """Response HEADERS. block: encoded fields."""
        if self.open and not self.started:
            self.started = True
            self.connection.put(frames.headers(self.id, self.connection.fresh(block), end=False))

    def send(self, data: bytes) -> bool:
        """Queue part of the body. False: enough waits; go on at `Handler.on_writable`."""
        if not self.open or self.finished:
            return True
        self.pending.append(data if len(data) <= frames.PAYLOAD_BYTES_MAX else memoryview(data))
        self.pending_bytes += len(data)
        connection = self.connection
        roomy = connection.held.take(len(data))
        if not self.queued:
            connection.schedule(self)
        if roomy and self.pending_bytes <= limits.STREAM_UNSENT_BYTES_MAX:
            return True
        self._told_full = True
        return False

    def finish(self, block: bytes) -> None:
        """Trailers with END_STREAM, after all that was sent. block: empty for no trailers."""
        if not self.open or self.finished:
            return
        self.finished = True
        if self.pending:
            self._trailers = block
        else:
            self._close(block)

    def respond(self, head: bytes, body: bytes, trailers: bytes) -> None:
        """A whole answer."""
        size = len(body)
        connection = self.connection
        if (
            size > frames.PAYLOAD_BYTES_MAX
            or size > self.window
            or size > connection.window
            or connection.congested
            or connection.table_update_due
            or not self.open
        ):
            self.start(head)
            self.send(body)
            self.finish(trailers)
            return
        # Nearly every unary answer: three frames that nothing can hold up, as one piece.
        self.window -= size
        connection.window -= size
        self.started = self.finished = True
        pack, number = frames.pack_head, self.id
        connection.put(
            pack(len(head) << 8 | 1, 4, number) + head
            + pack(size << 8, 0, number) + body
            + pack(len(trailers) << 8 | 1, 5, number) + trailers
        )  # fmt: skip
        connection.sent_data()
        connection.close_stream(self)

    def reset(self, code: int) -> None:
        """End it with RST_STREAM; what waits is dropped."""
        if self.open:
            self.connection.reset_stream(self, code)

    def emit(self, most: int) -> int:
        """Put one DATA frame of at most `most` bytes, and what follows the last. Returns how many it carries."""
        pending = self.pending
        most = min(most, self.window, frames.PAYLOAD_BYTES_MAX)
        data = bytes(pending[0][:most])
        if len(data) < len(pending[0]):
            pending[0] = pending[0][most:]
        else:
            pending.popleft()
            while pending and len(data) + len(pending[0]) <= most:
                data += pending.popleft()
        size = len(data)
        self.window -= size
        self.pending_bytes -= size
        connection = self.connection
        connection.window -= size
        connection.held.give(size)
        connection.put(frames.pack_head(size << 8, 0, self.id) + data)
        connection.sent_data()
        if self.finished and not pending:
            self._close(self._trailers)
        return size

    def drained(self) -> bool:
        """Whether `Handler.on_writable` is due."""
        if self._told_full and self.pending_bytes <= WRITABLE_BYTES:
            self._told_full = False
            return True
        return False

    def _close(self, block: bytes) -> None:
        connection = self.connection
        self.started = True
        if block:
            connection.put(frames.headers(self.id, connection.fresh(block), end=True))
        else:
            connection.put(frames.frame(frames.DATA, frames.END_STREAM, self.id, b""))
        connection.close_stream(self)

    # -- receiving --------------------------------------------------------------------------------
    def received(self, size: int) -> None:
        """Account for size bytes of DATA, and give them back as window unless paused."""
        self._owed += size
        if self._owed >= WINDOW_STEP and not self.paused:
            self._give_back()

    def pause(self) -> None:
        """Give the client no further window: at most GATEWAY_STREAM_WINDOW_BYTES still come."""
        self.paused = True

    def resume(self) -> None:
        """Go on after `pause`."""
        self.paused = False
        if self._owed >= WINDOW_STEP:
            self._give_back()

    def _give_back(self) -> None:
        if self.open and not self.remote_closed:
            self.receive_window += self._owed
            self.connection.put(frames.window_update(self.id, self._owed))
            self._owed = 0


class _Ignores:
    """The handler of a stream that nobody handles."""

    def on_data(self, data: bytes, end: bool) -> None:
        """Drop it."""

    def on_reset(self) -> None:
        """Nothing to let go of."""

    def on_writable(self) -> None:
        """Nothing to send."""


IGNORES: Handler = _Ignores()
