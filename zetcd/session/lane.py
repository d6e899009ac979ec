"""One connection to one endpoint: what it carries, and whether it lives.

A lane is DIALING until its probe is answered: a peer that accepts connections but answers nothing never gets a
request. It is then UP. RETIRED, it takes nothing new but is kept for late answers; CLOSED, its port is gone.
"""

from typing import Any, Final, Protocol

import msgspec
from msgspec import Struct

from zetcd.session.call import Call, Kind
from zetcd.session.options import BACKOFF_FIRST_S, DIAL_BACKOFF_MAX_S
from zetcd.wire import client as wire

DIALING, UP, RETIRED, CLOSED = 0, 1, 2, 3

encode = msgspec.msgpack.Encoder().encode

PROBE_ID: Final = b"?"
PROBE: Final = [PROBE_ID, encode(wire.WatchProgressRequest())]
"""A stream without watches asks for progress: the process that has the connection answers by itself, with an error."""


class Port(Protocol):
    """The connection's sending side, non-blocking."""

    def send(self, frames: list[bytes]) -> bool:
        """False: not connected, and the message has not left and never will."""
        ...

    def close(self) -> None:
        """Drop the connection and what it still holds."""
        ...


class Batch(Struct, eq=False):
    """The calls of one frame; kind is that of all of them, None where they differ."""

    calls: list[Call]
    kind: Kind[Any] | None
    queue: int
    sent_at: float


class Lane:
    """One connection. Times are seconds of the session's clock."""

    __slots__ = (
        "alone", "born", "endpoint", "inflight", "last_heard", "outstanding", "port", "probe_at", "slots", "state",
    )  # fmt: skip

    def __init__(self, endpoint: str, now: float) -> None:
        self.endpoint = endpoint
        self.state = DIALING
        self.born = now
        self.last_heard = now
        self.probe_at = 0.0  # 0: no probe is unanswered
        self.inflight: dict[bytes, Batch] = {}  # of WRITE and READ, oldest first
        self.alone: dict[bytes, Batch] = {}
        self.outstanding = 0  # calls in inflight
        self.slots = [0, 0]  # frames in flight, per queue
        self.port: Port | None = None

    def send(self, frames: list[bytes]) -> bool:
        """See `Port.send`."""
        return self.port is not None and self.port.send(frames)

    def add(self, frame_id: bytes, batch: Batch) -> None:
        """A frame has been sent."""
        if batch.queue < 2:
            self.inflight[frame_id] = batch
            self.outstanding += len(batch.calls)
            self.slots[batch.queue] += 1
        else:
            self.alone[frame_id] = batch

    def pop(self, frame_id: bytes) -> Batch | None:
        """The frame is answered, or given up; None for one that is not (or no longer) awaited."""
        batch = self.inflight.pop(frame_id, None)
        if batch is None:
            return self.alone.pop(frame_id, None)
        self.outstanding -= len(batch.calls)
        self.slots[batch.queue] -= 1
        return batch

    def probe(self, now: float) -> None:
        """Ask whether the process at the other end answers, unless a question is open."""
        if self.probe_at == 0.0 and self.send(PROBE):
            self.probe_at = now

    def heard(self, now: float) -> None:
        """Something came."""
        self.last_heard = now
        self.probe_at = 0.0

    def silence(self, now: float) -> float:
        """Seconds since something was due and nothing came; 0 where nothing is due."""
        if self.inflight:
            oldest = next(iter(self.inflight.values())).sent_at
            return now - max(self.last_heard, oldest)
        return 0.0

    def age(self, now: float) -> float:
        """Seconds the oldest batched frame has waited for its answer."""
        return now - next(iter(self.inflight.values())).sent_at if self.inflight else 0.0

    def batches(self) -> list[tuple[bytes, Batch]]:
        """Everything in flight."""
        return [*self.inflight.items(), *self.alone.items()]

    def close(self) -> None:
        """Hang up."""
        self.state = CLOSED
        if self.port is not None:
            self.port.close()
            self.port = None


class Endpoints:
    """Whom to dial next, and when: in turn, at once while others are untried, then at doubling intervals."""

    __slots__ = ("_failures", "_index", "_urls", "last_error", "not_before")

    def __init__(self, urls: tuple[str, ...]) -> None:
        self._urls = urls
        self._index = 0
        self._failures = 0
        self.not_before = 0.0
        self.last_error = ""

    def __len__(self) -> int:
        return len(self._urls)

    @property
    def current(self) -> str:
        """The endpoint in use, or to dial next."""
        return self._urls[self._index]

    def answered(self) -> None:
        """The current one works."""
        self._failures = 0

    def leave(self, endpoint: str, now: float, why: str) -> None:
        """It does not: the next one's turn."""
        self.last_error = f"{endpoint}: {why}"
        if endpoint != self.current:
            return
        self._index = (self._index + 1) % len(self._urls)
        rounds = self._failures // len(self._urls)
        self._failures += 1
        wait = BACKOFF_FIRST_S * 2 ** min(rounds - 1, 16) if rounds else 0.0
        self.not_before = now + min(DIAL_BACKOFF_MAX_S, wait)
