"""The sender's side of one transfer.

    OFFERED --receipt--> STREAMING --all stored--> ENDED --installed--> done
       any --unknown, or stored less than it had said--> OFFERED, under the next serial, from the first row on
       any --refused, silent, stalled--> failed

- Rows come from a view of the store that stays as it was pinned: to begin anew is to seek back to its start.
- At most the window of chunks is in memory: those that the receiver has not stored, to be sent again when one of them
  got lost (go-back-N). `step` reads one more, of bounded size, so that the actor can call it between its turns.
- Whatever was not answered for SNAPSHOT_RETRY_MS is sent again; each message stands being repeated.
"""

from collections import deque
from collections.abc import Callable
from enum import IntEnum
from typing import Protocol

from zetcd.base import limits
from zetcd.snapshot.manifest import Tally, checksum
from zetcd.wire.snapshot import ROW_OVERHEAD_BYTES, Chunk, End, Offer, Receipt, SnapshotMessage, encode_rows


class Rows(Protocol):
    """The pinned view; `zetcd.mvcc.engine.EngineScan` has this shape."""

    def take(self, count: int) -> list[tuple[bytes, bytes]]:
        """The next pairs; fewer than count only at the end."""

    def seek(self, key: bytes) -> None:
        """Go on at the first pair >= key."""

    def close(self) -> None:
        """Let go of the view."""


class Phase(IntEnum):
    """See the module."""

    OFFERED, STREAMING, ENDED, DONE = range(4)


class Sender:
    """One transfer of the store as of position (index, term). `out` collects what is to be sent.

    installed, failure: the outcome once `done`; installed is the index the target is at, 0 where it failed.
    """

    def __init__(
        self, term: int, serials: Callable[[], int], position: tuple[int, int], rows: Rows, now_ms: int
    ) -> None:
        self.term = term
        self.index, self.entry_term = position
        self.installed = 0
        self.failure = ""
        self.out: list[SnapshotMessage] = []
        self.counters = {"chunks": 0, "bytes": 0, "resent": 0, "restarts": 0}
        self._serials = serials
        self._rows = rows
        self._heard_ms = self._now_ms = now_ms
        self._begin()

    def _begin(self) -> None:
        self.serial = self._serials()
        self.phase = Phase.OFFERED
        self._rows.seek(b"")
        self._ahead: tuple[bytes, bytes] | None = None  # read, but too large for the former chunk
        self._exhausted = False
        self._tally = Tally()
        self._unstored: deque[Chunk] = deque()
        self._resend = 0  # chunks at the head of _unstored that wait to be sent again
        self._stored = 0
        self._room = 0
        self._behind = False  # the receiver has said less than before: late news, or it has lost what it had
        self._moved_ms = self._sent_ms = self._now_ms
        self._offer()

    def _offer(self) -> None:
        self.out.append(Offer(self.term, self.serial, self.index, self.entry_term))
        self._sent_ms = self._now_ms

    @property
    def done(self) -> bool:
        """Whether it is over, one way or the other."""
        return self.phase == Phase.DONE

    @property
    def held(self) -> int:
        """Chunks in memory."""
        return len(self._unstored)

    @property
    def may_step(self) -> bool:
        """Whether `step` would do something."""
        if self.phase != Phase.STREAMING:
            return False
        return bool(self._resend) or self._may_read or (self._exhausted and not self._unstored)

    @property
    def _may_read(self) -> bool:
        return not self._exhausted and len(self._unstored) < min(self._room, limits.SNAPSHOT_WINDOW_CHUNKS)

    # -- inputs ----------------------------------------------------------------------------------------------------
    def step(self) -> None:
        """Send one chunk, or the end, if the window allows it."""
        if self.phase != Phase.STREAMING:
            return
        if self._resend:
            self.out.append(self._unstored[-self._resend])
            self._resend -= 1
            self.counters["resent"] += 1
        elif self._may_read:
            self._read()
        elif self._exhausted and not self._unstored:
            self.phase = Phase.ENDED
            self._end()
        else:
            return
        self._sent_ms = self._now_ms

    def on_receipt(self, receipt: Receipt, now_ms: int) -> None:
        """What the receiver says; of another transfer, or late, it means nothing."""
        if self.done or (receipt.term, receipt.serial) != (self.term, self.serial):
            return
        self._now_ms = self._heard_ms = now_ms
        if receipt.stage == Receipt.INSTALLED:
            if receipt.index >= self.index:
                self._finish(receipt.index)
        elif receipt.stage == Receipt.REFUSED:
            self._finish(0, f"refused: {receipt.reason}")
        elif receipt.stage == Receipt.UNKNOWN:
            self._restart()
        elif receipt.stage == Receipt.RECEIVING:
            self._on_stored(receipt)

    def _on_stored(self, receipt: Receipt) -> None:
        if self.phase == Phase.OFFERED:
            self.phase = Phase.STREAMING
        if receipt.next < self._stored:
            self._behind = True
            return
        news = receipt.next - self._stored
        if news > len(self._unstored):
            return  # nobody has sent that much
        for _ in range(news):
            self._unstored.popleft()
        self._resend = min(self._resend, len(self._unstored))
        self._stored = receipt.next
        self._behind = False
        self._room = receipt.room
        if news:
            self._moved_ms = self._now_ms

    def on_tick(self, now_ms: int) -> None:
        """Send again what was not answered; give up on a receiver that is silent, or stores nothing."""
        self._now_ms = now_ms
        if self.done:
            return
        if now_ms - self._heard_ms >= limits.SNAPSHOT_SILENCE_MAX_MS:
            self._finish(0, "the receiver is silent")
        elif self.phase != Phase.ENDED and now_ms - self._moved_ms >= limits.SNAPSHOT_STALL_MAX_MS:
            self._finish(0, "the receiver stores nothing")
        elif now_ms - max(self._sent_ms, self._moved_ms) >= limits.SNAPSHOT_RETRY_MS:
            self._again()

    def stop(self, reason: str) -> None:
        """Not wanted any more."""
        if not self.done:
            self._finish(0, reason)

    # -- the work --------------------------------------------------------------------------------------------------
    def _again(self) -> None:
        self._sent_ms = self._now_ms
        if self._behind:
            self._restart()
        elif self.phase == Phase.ENDED:
            self._end()
        elif self._unstored:
            self._resend = len(self._unstored)
        else:
            self._offer()

    def _end(self) -> None:
        self.out.append(End(self.term, self.serial, self._tally.manifest))

    def _restart(self) -> None:
        self.counters["restarts"] += 1
        self._begin()

    def _read(self) -> None:
        rows: list[bytes] = []
        size = 0
        while len(rows) < 2 * limits.SNAPSHOT_CHUNK_ROWS:
            pair = self._ahead
            if pair is None:
                taken = self._rows.take(1)
                if not taken:
                    self._exhausted = True
                    break
                pair = taken[0]
            self._ahead = pair
            size += len(pair[0]) + len(pair[1]) + ROW_OVERHEAD_BYTES
            if rows and size > limits.SNAPSHOT_CHUNK_BYTES:
                break  # a row larger than a chunk may be stands alone
            rows += pair
            self._ahead = None
        if not rows:
            return
        data = encode_rows(rows)
        chunk = Chunk(self.term, self.serial, self._tally.chunks, checksum(data), data)
        self._tally.add(data, len(rows) // 2)
        self._unstored.append(chunk)
        self.out.append(chunk)
        self.counters["chunks"] += 1
        self.counters["bytes"] += len(data)

    def _finish(self, installed: int, failure: str = "") -> None:
        self.phase = Phase.DONE
        self.installed, self.failure = installed, failure
        self._unstored.clear()
        self._ahead = None
        self._rows.close()
