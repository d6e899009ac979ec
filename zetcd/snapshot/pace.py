"""How fast a store may leave: a lone put should wait for little of it, and the log behind it must not outgrow its pin.

Credit in bytes grows with time and is spent by chunks; it may fall below zero by one chunk. The rate is
SNAPSHOT_PACE_BYTES_PER_S, or more where the store would take longer than SNAPSHOT_PLANNED_S: what is written meanwhile
has to stay in the log (`SNAPSHOT_PIN_TICKS`, LOG_CACHE_BYTES_MAX), and the larger the store the more that is.
"""

from zetcd.base import limits


class Pace:
    """One bucket for all transfers of a member."""

    def __init__(self) -> None:
        self._credit = 0
        self._now_ms = 0

    @property
    def open(self) -> bool:
        """Whether a chunk may be sent now."""
        return self._credit > 0

    def on_tick(self, now_ms: int, store_bytes: int) -> None:
        """Time has passed; store_bytes: of the store that is sent. No more is saved up than one tick is worth."""
        elapsed = min(now_ms - self._now_ms, limits.TICK_MS)
        self._now_ms = now_ms
        rate = max(limits.SNAPSHOT_PACE_BYTES_PER_S, store_bytes // limits.SNAPSHOT_PLANNED_S)
        earned = max(rate * elapsed // 1000, 1)
        self._credit = min(self._credit + earned, earned)

    def spend(self, size: int) -> None:
        """A chunk of size bytes has gone."""
        self._credit -= size
