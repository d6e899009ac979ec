"""Clients of one api process: what came from them, what goes back, and what waits because they do not read.

A client is the first frame of an envelope, the routing id ZeroMQ gave its connection. A client's pipe holds
`CLIENT_SEND_FRAMES_MAX` frames; when it is full, replies wait here within `CLIENT_BACKLOG_BYTES_MAX`, its watch streams
are paused (they need no memory: they catch up later), and a client over the bound is dropped whole.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from zetcd.base import limits

OFFERED_FRAMES = 16
"""So many frames are offered to a client whose pipe was full when it was last tried."""

Envelope = tuple[bytes, ...]
"""Every frame before the body, the client's routing id first."""


@dataclass(slots=True, eq=False)
class Ticket:
    """One client frame that wants one reply frame: a single request, or a batch of them.

    size: bytes of the frame, held against the admission bound until it is answered. responses: None for a single.
    """

    envelope: Envelope
    size: int
    responses: list[object] | None = None
    missing: int = 1


@dataclass(slots=True, eq=False)
class _Stalled:
    """A client whose pipe is full. refused: what it was offered last and had no room for; queue: what follows."""

    queue: deque[tuple[Envelope, bytes]] = field(default_factory=deque)
    refused: list[tuple[Envelope, bytes]] = field(default_factory=list)
    bytes: int = 0


class Clients:
    """Outbound side. `take` is what the host sends; it answers with `on_full` or `on_gone` where it could not."""

    def __init__(self, on_pause: Callable[[bytes], None], on_resume: Callable[[bytes], None],
                 on_drop: Callable[[bytes], None]) -> None:  # fmt: skip
        self._on_pause, self._on_resume, self._on_drop = on_pause, on_resume, on_drop
        self._out: list[tuple[Envelope, bytes]] = []
        self._stalled: dict[bytes, _Stalled] = {}
        self._cut: dict[bytes, None] = {}  # dropped since the last `take`: what it held for them must not come either
        self._backlog_bytes = 0
        self._retry_due = False
        self.dropped = 0
        self.unreachable = 0

    def send(self, envelope: Envelope, data: bytes) -> None:
        """One reply frame, in order per client."""
        stalled = self._stalled.get(envelope[0]) if self._stalled else None
        if stalled is None:
            self._out.append((envelope, data))
        else:
            stalled.queue.append((envelope, data))
            self._count(envelope[0], len(data), stalled)

    def take(self) -> list[tuple[Envelope, bytes]]:
        """Frames to send now, in order per client."""
        if self._retry_due:
            self._retry_due = False
            for client, stalled in list(self._stalled.items()):
                if not stalled.queue and not stalled.refused:
                    del self._stalled[client]
                    self._on_resume(client)
                else:
                    self._offer(stalled)
        self._cut.clear()
        out, self._out = self._out, []
        return out

    def _offer(self, stalled: _Stalled) -> None:
        """Its next frames: a few while some are refused, a pipe's worth otherwise. To offer all each time would cost as
        much as there is, and a client that does not read may have hundreds of thousands."""
        queue, refused = stalled.queue, stalled.refused
        room = OFFERED_FRAMES if refused else limits.CLIENT_SEND_FRAMES_MAX
        queue.extendleft(reversed(refused))
        refused.clear()
        for _ in range(min(room, len(queue))):
            frame = queue.popleft()
            stalled.bytes -= len(frame[1])
            self._backlog_bytes -= len(frame[1])
            self._out.append(frame)

    def on_full(self, envelope: Envelope, data: bytes) -> None:
        """The client's pipe is full: keep the frame, and whatever follows it."""
        client = envelope[0]
        if client in self._cut:
            return  # a stream that has lost a frame must not go on behind it
        stalled = self._stalled.get(client)
        if stalled is None:
            stalled = self._stalled[client] = _Stalled()
            self._on_pause(client)
        stalled.refused.append((envelope, data))
        self._count(client, len(data), stalled)

    def _count(self, client: bytes, size: int, stalled: _Stalled) -> None:
        stalled.bytes += size
        self._backlog_bytes += size
        if (
            stalled.bytes > limits.CLIENT_BACKLOG_BYTES_MAX
            or self._backlog_bytes > limits.CLIENT_BACKLOG_TOTAL_BYTES_MAX
        ):
            self.dropped += 1
            self._cut[client] = None
            self._forget(client)
            self._on_drop(client)

    def on_gone(self, envelope: Envelope) -> None:
        """The client is not connected any more."""
        self.unreachable += 1
        self._forget(envelope[0])
        self._on_drop(envelope[0])

    def _forget(self, client: bytes) -> None:
        stalled = self._stalled.pop(client, None)
        if stalled is not None:
            self._backlog_bytes -= stalled.bytes

    def retry(self) -> None:
        """Let the next `take` offer the waiting frames again; a client whose queue has emptied gets its streams
        back."""
        self._retry_due = bool(self._stalled)

    @property
    def stalled(self) -> int:
        """Clients that do not read at present."""
        return len(self._stalled)

    @property
    def backlog_bytes(self) -> int:
        """Bytes kept for them."""
        return self._backlog_bytes
