"""How soon a process is started again, and when not any more. Pure; times are monotonic milliseconds.

A first failure is answered at once. Failures in a row wait longer each time: up to `RESTART_PAUSE_MAX_MS` if the
process did not even get READY, up to `RESTART_PAUSE_READY_MAX_MS` if it did (it worked, so service must be back soon).
Two things end it: `RESTARTS_UNREADY_MAX` lives in a row that never got READY, and more than
`RESTARTS_PER_MINUTE_MAX` failures within a minute.
"""

from collections import deque
from dataclasses import dataclass, field

from zetcd.base import limits

MINUTE_MS = 60_000
STEADY_MS = 10_000
"""A life that was READY for that long makes the next failure a first one."""


@dataclass(slots=True)
class Restarts:
    """The failures of one process, or of processes that live and die together."""

    unready_in_a_row: int = 0
    _pause_ms: int = 0
    _ready_at_ms: int | None = None
    _failures: deque[int] = field(default_factory=deque)

    def on_ready(self, now_ms: int) -> None:
        """The process serves."""
        self._ready_at_ms = now_ms

    def on_failure(self, now_ms: int) -> int | None:
        """The process has ended: milliseconds until the next one, or None to give up."""
        ready_at, self._ready_at_ms = self._ready_at_ms, None
        self.unready_in_a_row = 0 if ready_at is not None else self.unready_in_a_row + 1
        self._failures.append(now_ms)
        while self._failures[0] <= now_ms - MINUTE_MS:
            self._failures.popleft()
        if self.unready_in_a_row >= limits.RESTARTS_UNREADY_MAX or len(self._failures) > limits.RESTARTS_PER_MINUTE_MAX:
            return None
        steady = ready_at is not None and now_ms - ready_at >= STEADY_MS
        pause = 0 if steady else self._pause_ms
        most = limits.RESTART_PAUSE_READY_MAX_MS if ready_at is not None else limits.RESTART_PAUSE_MAX_MS
        self._pause_ms = min(max(2 * pause, limits.RESTART_PAUSE_MS), most)
        return min(pause, most)

    @property
    def why(self) -> str:
        """The reason to give up, for the last message."""
        if self.unready_in_a_row >= limits.RESTARTS_UNREADY_MAX:
            return f"{self.unready_in_a_row} times in a row it ended before it was ready"
        return f"it failed {len(self._failures)} times within a minute"
