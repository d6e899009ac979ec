"""Deadlines of calls, in buckets: most calls end long before theirs, so keeping one must cost next to nothing."""

from collections.abc import Callable
from typing import Protocol

STEP_S = 0.05
"""Width of a bucket: a deadline is kept to this, late and never early."""


class Clock(Protocol):
    """The part of an event loop that is needed."""

    def time(self) -> float:
        """Monotonic seconds."""

    def call_at(self, when: float, callback: Callable[[], object], /) -> object:
        """Call then."""


class Expiring(Protocol):
    """Something with a deadline."""

    def expire(self) -> None:
        """It has passed."""


class Deadlines:
    """Of all calls of a process."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._buckets: dict[int, dict[Expiring, None]] = {}

    def add(self, call: Expiring, deadline: float) -> int:
        """Returns what `discard` wants."""
        number = int(deadline / STEP_S) + 1
        bucket = self._buckets.get(number)
        if bucket is None:
            bucket = self._buckets[number] = {}
            self.clock.call_at(number * STEP_S, lambda: self._expire(number))
        bucket[call] = None
        return number

    def discard(self, call: Expiring, number: int) -> None:
        """The call has ended."""
        bucket = self._buckets.get(number)
        if bucket is not None:
            bucket.pop(call, None)

    def _expire(self, number: int) -> None:
        for call in list(self._buckets.pop(number, ())):
            call.expire()
