"""Counts of key ranges, learnt from scans and kept right through every create and delete.

etcd's `count` ignores `limit`, so without help every page of 500 keys would cost a scan of the whole range. Here bounds
cut the key space into segments; a segment's count is known once a scan has passed over it, a create or delete adjusts
the one segment it falls into (a bisection), and the count of a range is the sum of its segments plus a scan of what no
segment covers. Nothing is ever counted ahead of need, and forgetting a bound costs no more than a scan.

A count that takes several turns reads the present, not its own view. A `Watch` collects what changes meanwhile in the
part it has not reached, so the sum less that is the count as of the watch's beginning.
"""

from bisect import bisect_left, bisect_right

LEARN_MIN = 64
"""Ranges with fewer keys are not worth a bound: scanning them again is cheap."""


class Watch:
    """Net creations in [start, stop); its owner moves start on as it counts."""

    __slots__ = ("delta", "start", "stop")

    def __init__(self, start: bytes, stop: bytes | None) -> None:
        self.start = start
        self.stop = stop
        self.delta = 0


class Counts:
    """Segment i holds the keys below bounds[i] and not below bounds[i - 1]; counts[i] of them, None where unknown."""

    __slots__ = ("_bounds", "_capacity", "_counts", "_watches")

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._bounds: list[bytes] = []
        self._counts: list[int | None] = [None]
        self._watches: list[Watch] = []

    def adjust(self, key: bytes, delta: int) -> None:
        """Key came to be (+1) or ceased (-1)."""
        if self._bounds or self._counts[0] is not None:
            at = bisect_right(self._bounds, key)
            count = self._counts[at]
            if count is not None:
                self._counts[at] = count + delta
        for watch in self._watches:
            if watch.start <= key and (watch.stop is None or key < watch.stop):
                watch.delta += delta

    def watch(self, start: bytes, stop: bytes | None) -> Watch:
        """Collect changes in the range from now on, until `unwatch`."""
        watch = Watch(start, stop)
        self._watches.append(watch)
        return watch

    def unwatch(self, watch: Watch) -> None:
        """Stop collecting; may be called twice."""
        if watch in self._watches:
            self._watches.remove(watch)

    def skip(self, start: bytes, stop: bytes | None) -> tuple[int, bytes | None]:
        """Count what is known from start on: (so many keys, where the unknown begins); None there: stop is reached."""
        bounds, counts = self._bounds, self._counts
        first = self._segment_from(start)
        if first is None:
            return 0, start
        last = len(bounds) if stop is None else bisect_right(bounds, stop)  # segments below it end at or below stop
        inside = counts[first:last]
        known = inside[: inside.index(None)] if None in inside else inside
        at = first + len(known)
        total = sum([count for count in known if count is not None])
        if stop is None and at == len(bounds) and (count := counts[at]) is not None:
            return total + count, None
        if at == first:
            return 0, start
        end = bounds[at - 1]
        return total, None if end == stop else end

    def bound_after(self, start: bytes) -> bytes | None:
        """The next bound above start: a scan that learns stops there."""
        at = bisect_right(self._bounds, start)
        return self._bounds[at] if at < len(self._bounds) else None

    def learn(self, start: bytes, stop: bytes | None, count: int) -> None:
        """[start, stop) holds count keys now."""
        if count < LEARN_MIN:
            return
        bounds, counts = self._bounds, self._counts
        first = self._segment_from(start)
        last = len(bounds) if stop is None else bisect_left(bounds, stop)  # the segment in which the range ends
        ends_at_bound = stop is None or (last < len(bounds) and bounds[last] == stop)
        if first is not None:
            known = counts[first : last + 1]
            rest = None if None in known else sum([item for item in known if item is not None]) - count
            self._replace(first, last, [] if ends_at_bound or stop is None else [stop], [count], rest)
        else:
            first = bisect_right(bounds, start)
            whole = counts[first]
            if first != last or (whole is not None and not ends_at_bound):
                return  # it would cost more knowledge than it brings
            before = None if whole is None else whole - count
            cuts = [start] if ends_at_bound or stop is None else [start, stop]
            self._replace(first, last, cuts, [before, count], None)
        if len(bounds) > self._capacity:
            self._forget()

    def _segment_from(self, start: bytes) -> int | None:
        """The segment that begins at start; None where start lies within one."""
        if start <= b"\x00":
            return 0
        at = bisect_left(self._bounds, start)
        return at + 1 if at < len(self._bounds) and self._bounds[at] == start else None

    def _replace(self, first: int, last: int, bounds: list[bytes], counts: list[int | None], rest: int | None) -> None:
        """Segments first to last become the ones that bounds cut; rest is the count behind the last of bounds."""
        if len(counts) == len(bounds):
            counts = [*counts, rest]
        self._bounds[first:last] = bounds
        self._counts[first : last + 1] = counts

    def _forget(self) -> None:
        """Drop every other bound between two known or two unknown segments; all of them if that is not enough."""
        bounds: list[bytes] = []
        counts = [self._counts[0]]
        merged = False
        for bound, count in zip(self._bounds, self._counts[1:], strict=True):
            before = counts[-1]
            if not merged and (before is None) == (count is None):
                counts[-1] = None if before is None or count is None else before + count
                merged = True
            else:
                bounds.append(bound)
                counts.append(count)
                merged = False
        if 4 * len(bounds) > 3 * self._capacity:
            bounds, counts = [], [None]
        self._bounds, self._counts = bounds, counts
