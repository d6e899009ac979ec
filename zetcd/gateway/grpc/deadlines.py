"""Deadlines of calls, in buckets: most calls end long before theirs, so keeping one must cost next to nothing."""

from collections.abc import Callable
from typing import Protocol

STEP_S = 0.05
"""Width of a bucket: a deadline is kept to this, late and never early."""


FAR_S = 60.0
"""A deadline behind this is that of a stream: its bucket goes when it is empty, for time would not empty it soon."""


class Timer(Protocol):
    """What the clock gives for a call to come."""

    def cancel(self) -> None:
        """It is to come no more."""


class Clock(Protocol):
    """The part of an event loop that is needed."""

    def time(self) -> float:
        """Monotonic seconds."""

    def call_at(self, when: float, callback: Callable[[], object], /) -> Timer:
        """Call then."""


class Expiring(Protocol):
    """Something with a deadline."""

    def expire(self) -> None:
        """It has passed."""


class Deadlines:
    """Of all calls of a process."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._buckets: dict[int, tuple[dict[Expiring, None], Timer]] = {}

    def add(self, call: Expiring, deadline: float) -> int:
        """Returns what `discard` wants."""
        number = int(deadline / STEP_S) + 1
        found = self._buckets.get(number)
        if found is None:
            timer = self.clock.call_at(number * STEP_S, lambda: self._expire(number))
            found = self._buckets[number] = {}, timer
        found[0][call] = None
        return number

    def discard(self, call: Expiring, number: int) -> None:
        """The call has ended."""
        found = self._buckets.get(number)
        if found is None:
            return
        calls, timer = found
        calls.pop(call, None)
        if not calls and number * STEP_S > self.clock.time() + FAR_S:
            timer.cancel()
            del self._buckets[number]

    def __len__(self) -> int:
        return sum(len(calls) for calls, _ in self._buckets.values())

    def _expire(self, number: int) -> None:
        for call in list(self._buckets.pop(number)[0]):
            call.expire()
