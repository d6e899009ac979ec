"""Cached counts of key ranges, kept right through every create and delete.

etcd's `count` ignores `limit`, so a page of 500 keys would cost a scan of the whole range. Counting once and adjusting
is cheap: the bounds of all cached ranges cut the key space into segments, a create or delete adds to the one segment it
falls into (a bisection), and a range sums the segments it covers when it is asked for.
"""

from bisect import bisect_left, bisect_right
from itertools import accumulate

Bounds = tuple[bytes, bytes | None]


class Counts:
    """Number of keys in [start, stop) for a bounded number of ranges; the least recently used half goes when full."""

    __slots__ = ("_base", "_bounds", "_capacity", "_deltas", "_dirty", "_open")

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._base: dict[Bounds, int] = {}
        self._open: dict[Bounds, None] = {}  # being counted: base holds only what changed since
        self._bounds: list[bytes] = []
        self._deltas = [0]  # segment i lies below bounds[i] and not below bounds[i - 1]
        self._dirty = False

    def adjust(self, key: bytes, delta: int) -> None:
        """Key came to be (+1) or ceased (-1)."""
        bounds = self._bounds
        if bounds:
            self._deltas[bisect_right(bounds, key)] += delta
            self._dirty = True

    def get(self, start: bytes, stop: bytes | None) -> int | None:
        """Keys in the range now; None where that is not known."""
        at = start, stop
        base = self._base.get(at)
        if base is None or at in self._open:
            return None
        del self._base[at]  # put back at the young end
        self._base[at] = base
        if self._dirty:
            low, high = self._segments(start, stop)
            base += sum(self._deltas[low:high])
        return base

    def put(self, start: bytes, stop: bytes | None, count: int) -> None:
        """Remember that the range holds count keys now."""
        if (start, stop) not in self._base:
            self._add(start, stop, count)

    def open(self, start: bytes, stop: bytes | None) -> bool:
        """A count of the range as it is now begins. True: the caller owns it and ends it with `close` or `abandon`;
        false: somebody else is already counting."""
        if (start, stop) in self._base:
            return False
        self._add(start, stop, 0)
        self._open[start, stop] = None
        return True

    def close(self, start: bytes, stop: bytes | None, count: int) -> None:
        """The count that `open` began came out at count, as of then."""
        at = start, stop
        if at in self._open:
            del self._open[at]
            self._base[at] += count

    def abandon(self, start: bytes, stop: bytes | None) -> None:
        """The count that `open` began will not end."""
        if (start, stop) in self._open:
            del self._open[start, stop]
            del self._base[start, stop]

    def _add(self, start: bytes, stop: bytes | None, base: int) -> None:
        self._settle()
        if len(self._base) >= self._capacity:
            self._evict()
        self._base[start, stop] = base
        self._cut(start)
        if stop is not None:
            self._cut(stop)

    def _cut(self, bound: bytes) -> None:
        at = bisect_left(self._bounds, bound)
        if at == len(self._bounds) or self._bounds[at] != bound:
            self._bounds.insert(at, bound)
            self._deltas.append(0)  # all are 0: the changes have been settled

    def _segments(self, start: bytes, stop: bytes | None) -> tuple[int, int]:
        bounds = self._bounds
        return bisect_right(bounds, start), 1 + (len(bounds) if stop is None else bisect_left(bounds, stop))

    def _settle(self) -> None:
        """Move all changes from the segments to the ranges, so that the segments may be cut anew."""
        if self._dirty:
            sums = [0, *accumulate(self._deltas)]
            for at in self._base:
                low, high = self._segments(*at)
                self._base[at] += sums[high] - sums[low]
            self._deltas = [0] * len(self._deltas)
            self._dirty = False

    def _evict(self) -> None:
        for at in list(self._base)[: max(1, self._capacity // 2)]:
            del self._base[at]
            self._open.pop(at, None)
        bounds = {start for start, _ in self._base} | {stop for _, stop in self._base if stop is not None}
        self._bounds = sorted(bounds)
        self._deltas = [0] * (len(self._bounds) + 1)
