"""Hop tracing: where a request spends its time on its way through the processes (`--trace-hops`).

Frames carry a list of (place, monotonic ns); every process adds a stamp when a frame comes in and when its turn sends
one. CLOCK_MONOTONIC is the same for all processes of a machine. The api process that answers the client sums the
differences up by pair of places. With many requests in one turn the last frame's stamps stand for all: traces are
exact for one client at a time, which is what they are for.
"""

from collections.abc import Callable
from itertools import pairwise


class Tracer:
    """Stamps of one process."""

    def __init__(self, place: str, stamp: Callable[[], int]) -> None:
        self._place = place
        self._stamp = stamp
        self._hops: list[tuple[str, int]] = []
        self.sums: dict[str, tuple[int, int]] = {}
        """"one -> other": (count, nanoseconds)."""

    def start(self) -> None:
        """A client's frame came in."""
        if not self._hops:
            self._hops = [(f"{self._place} from client", self._stamp())]

    def received(self, hops: list[tuple[str, int]]) -> None:
        """A frame came in."""
        if hops:
            self._hops = [*hops, (f"{self._place} in", self._stamp())]

    def outgoing(self) -> list[tuple[str, int]]:
        """Stamps for a frame that goes out."""
        return [*self._hops, (f"{self._place} out", self._stamp())] if self._hops else []

    def finish(self) -> None:
        """Answers went to clients: a trace that has been elsewhere is complete."""
        hops = self._hops
        if len(hops) > 2:
            hops.append((f"{self._place} to client", self._stamp()))
            for (one, at), (other, then) in pairwise(hops):
                count, total = self.sums.get(f"{one} -> {other}", (0, 0))
                self.sums[f"{one} -> {other}"] = (count + 1, total + then - at)

    def end_turn(self) -> None:
        """The next turn's frames stand for themselves."""
        self._hops = []
