"""The receiver's side: one transfer at a time, the latest one offered.

    IDLE --offer--> RECEIVING --end, manifest agrees--> FINISHING --synced--> ARRIVED --settle--> IDLE
       RECEIVING --silence, a later offer, a flaw--> IDLE, what was written is removed

- Chunks are taken in order and written one after the other by the port `Stage`, off the actor's thread; only what is
  stored is acknowledged. The window bounds the chunks that wait for it; what does not fit counts as lost.
- A life of the process knows nothing of an earlier one's transfers: their chunks are answered UNKNOWN, and the sender
  begins anew. Nothing half received is ever continued or opened: to go on, the tally of what is stored would have to be
  written with every chunk, and be believed only within one life of the machine, as nothing is synced before the end. It
  would save a part of one transfer, once, for a receiver that was killed in the middle of it.
- ARRIVED waits for raft: between the mark in the log and the switch nobody may remove what the mark names.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from zetcd.base import limits
from zetcd.base.errors import WireError
from zetcd.snapshot.manifest import Tally, checksum
from zetcd.wire.local import ConfState, SnapshotArrived
from zetcd.wire.snapshot import Chunk, End, Offer, Receipt, SnapshotMessage, decode_rows


@dataclass(frozen=True, slots=True)
class Staged:
    """What a finished store says of itself."""

    index: int
    term: int
    conf: ConfState | None


class Stage(Protocol):
    """Where a snapshot is written, beside the store in use. Each call starts one job; never called while another is
    under way. Its end comes as `Receiver.on_staged`, with Staged after `finish`."""

    def begin(self, index: int, term: int) -> None:
        """An empty store for a snapshot at (index, term); whatever was staged before goes."""

    def write(self, rows: list[bytes]) -> None:
        """Add keys and values, in turn."""

    def finish(self) -> None:
        """Read what it says of itself, sync it, give it its final name."""

    def discard(self) -> None:
        """Remove it, finished or not."""


class Phase(IntEnum):
    """See the module."""

    IDLE, RECEIVING, FINISHING, ARRIVED = range(4)


class Receiver:
    """applied: where the own store is. arrived: an earlier life of the process has left a complete snapshot, of which
    raft has yet to say whether it is needed. `out` collects (member, receipt); `arrival` is set once for each."""

    def __init__(self, stage: Stage, applied: Callable[[], int], *, arrived: bool = False) -> None:
        self.phase = Phase.ARRIVED if arrived else Phase.IDLE
        self.out: list[tuple[int, Receipt]] = []
        self.arrival: SnapshotArrived | None = None
        self.counters = {"chunks": 0, "damaged": 0, "dropped": 0, "transfers": 0, "given_up": 0}
        self._stage = stage
        self._applied = applied
        self._source = 0
        self._offer = Offer(0, 0, 0, 0)
        self._begun = False
        self._tally = Tally()  # of chunks given to the stage
        self._stored = 0
        self._waiting: deque[bytes] = deque()  # rows of chunks taken and not yet given to the stage
        self._next_job: Callable[[], None] | None = None
        self._job: Offer | None = None  # the transfer for which the stage is at work
        self._heard_ms = 0

    @property
    def held(self) -> int:
        """Chunks in memory."""
        return self._taken - self._stored

    @property
    def _taken(self) -> int:
        return self._tally.chunks + len(self._waiting)

    @property
    def _key(self) -> tuple[int, int]:
        return self._offer.term, self._offer.serial

    # -- from the sender -------------------------------------------------------------------------------------------
    def on_message(self, source: int, message: SnapshotMessage, now_ms: int) -> None:
        """Anything from another member."""
        if isinstance(message, Offer):
            self._on_offer(source, message, now_ms)
        elif isinstance(message, Chunk | End):
            key = (message.term, message.serial)
            if self.phase == Phase.IDLE or key > self._key:
                self.out.append((source, Receipt(*key, Receipt.UNKNOWN)))
            elif key == self._key:
                self._heard_ms = now_ms
                if self.phase == Phase.RECEIVING:
                    if isinstance(message, Chunk):
                        self._on_chunk(message)
                    else:
                        self._on_end(message)
                else:
                    self._answer()

    def _on_offer(self, source: int, offer: Offer, now_ms: int) -> None:
        key = (offer.term, offer.serial)
        applied = self._applied()
        if applied >= offer.index:
            self.out.append((source, Receipt(*key, Receipt.INSTALLED, index=applied)))
        elif self.phase == Phase.IDLE or (self.phase == Phase.RECEIVING and key > self._key):
            self._heard_ms = now_ms
            self._open(source, offer)
        elif key == self._key:
            self._heard_ms = now_ms
            self._answer()
        elif key > self._key:
            # What has arrived is being installed, or turned down: one moment.
            self.out.append((source, Receipt(*key, Receipt.RECEIVING)))

    def _open(self, source: int, offer: Offer) -> None:
        self.counters["transfers"] += 1
        self.phase = Phase.RECEIVING
        self._source = source
        self._become(offer)
        self._do(lambda: self._stage.begin(offer.index, offer.entry_term))

    def _on_chunk(self, chunk: Chunk) -> None:
        if chunk.number != self._taken or self.held >= limits.SNAPSHOT_WINDOW_CHUNKS:
            self.counters["dropped"] += 1
            self._answer()
        elif checksum(chunk.rows) != chunk.crc:
            self.counters["damaged"] += 1
            self._answer()
        else:
            self.counters["chunks"] += 1
            self._waiting.append(chunk.rows)
            self._pump()  # its receipt is sent when it is stored

    def _on_end(self, end: End) -> None:
        if self._stored < end.manifest.chunks:
            self._answer()
        elif self._tally.manifest != end.manifest:
            self._turn_down(f"{self._tally.manifest} came, {end.manifest} was sent")
        else:
            self.phase = Phase.FINISHING
            self._do(self._stage.finish)

    # -- from the stage, the clock and raft --------------------------------------------------------------------------
    def on_staged(self, staged: Staged | None) -> None:
        """The job under way has ended."""
        mine, self._job = self._job is self._offer, None
        if mine and self.phase == Phase.FINISHING:
            self._on_finished(staged)
        elif mine and self.phase == Phase.RECEIVING:
            self._begun = True
            self._stored = self._tally.chunks  # one job at a time
            self._answer()
        self._pump()

    def _on_finished(self, staged: Staged | None) -> None:
        offer = self._offer
        if staged is None or staged.conf is None or (staged.index, staged.term) != (offer.index, offer.entry_term):
            self._turn_down(f"the store that came says {staged}, not ({offer.index}, {offer.entry_term})")
            return
        self.phase = Phase.ARRIVED
        self.arrival = SnapshotArrived(self._source, offer.term, staged.index, staged.term, staged.conf)
        self._answer()

    def on_tick(self, now_ms: int) -> None:
        """A sender that has gone silent will begin anew, if at all."""
        if self.phase == Phase.RECEIVING and now_ms - self._heard_ms >= limits.SNAPSHOT_SILENCE_MAX_MS:
            self.counters["given_up"] += 1
            self._drop()

    def settle(self) -> None:
        """raft does not need what has arrived: remove it."""
        if self.phase == Phase.ARRIVED:
            self._drop()

    # -- the work --------------------------------------------------------------------------------------------------
    def _turn_down(self, reason: str) -> None:
        self.out.append((self._source, Receipt(*self._key, Receipt.REFUSED, reason=reason)))
        self._drop()

    def _drop(self) -> None:
        self.phase = Phase.IDLE
        self._become(Offer(0, 0, 0, 0))
        self._do(self._stage.discard)

    def _become(self, offer: Offer) -> None:
        self._offer, self._begun = offer, False
        self._tally, self._stored = Tally(), 0
        self._waiting.clear()

    def _do(self, job: Callable[[], None]) -> None:
        """Next of all: what is in line before it belongs to what it ends or replaces."""
        self._next_job = job
        self._pump()

    def _pump(self) -> None:
        if self._job is not None:
            return
        job, self._next_job = self._next_job, None
        if job is not None:
            self._job = self._offer
            job()
        elif self._waiting:
            self._write(self._waiting.popleft())

    def _write(self, data: bytes) -> None:
        try:
            rows = decode_rows(data)
        except WireError as error:
            self._turn_down(str(error))
            return
        self._tally.add(data, len(rows) // 2)
        self._job = self._offer
        self._stage.write(rows)

    def _answer(self) -> None:
        stage = Receipt.ARRIVED if self.phase == Phase.ARRIVED else Receipt.RECEIVING
        room = limits.SNAPSHOT_WINDOW_CHUNKS if self._begun and self.phase == Phase.RECEIVING else 0
        self.out.append((self._source, Receipt(*self._key, stage, self._stored, room)))
