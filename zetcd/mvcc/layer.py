"""One generation of written rows of one table: point lookups by dict, order only when somebody asks for it.

`rows` maps a key to its row, or to None where it was deleted. It only grows, and a dict keeps insertion order, so the
keys not yet ordered are its last ones. Ordering them is put off until a scan comes: they then become a sorted run, and
runs are merged like the tables of a log-structured tree, so a put pays nothing, and a scan pays for what was written
since the last one. Where scans do come, that is done in small portions ahead of them.
"""

from bisect import bisect_left
from collections import deque
from itertools import islice, repeat, starmap

EAGER_KEYS = 500
"""So many new keys are ordered at once where scans are expected (about 0.2 ms)."""


class Layer:
    """Rows by key, with a lazily ordered view."""

    __slots__ = ("_eager", "_indexed", "_runs", "deletes", "pins", "rows", "scanned")

    def __init__(self, *, eager: bool = False) -> None:
        self.rows: dict[bytes, bytes | None] = {}
        self.deletes = False  # whether a row may be None
        self.pins = 0  # scans that go on in later turns and still read this layer
        self._runs: list[list[bytes]] = []  # each sorted, each more than twice as long as the next
        self._indexed = 0
        self.scanned = False
        self._eager = eager  # the former generation was scanned: this one will be

    def keep_ordered(self) -> None:
        """Call between turns: where scans come, order a few keys now rather than tens of thousands in one of them."""
        if (self.scanned or self._eager) and len(self.rows) - self._indexed >= EAGER_KEYS:
            self._order()

    def first(self, start: bytes, stop: bytes | None, count: int) -> list[bytes]:
        """The lowest keys in [start, stop), ascending, at most count."""
        self.scanned = True
        self._order()
        found: list[bytes] = []
        for run in self._runs:
            low = bisect_left(run, start)
            high = len(run) if stop is None else bisect_left(run, stop, low)
            found += run[low : min(high, low + count)]
        if len(self._runs) > 1:
            found.sort()
        return found[:count]

    def last(self, start: bytes, stop: bytes | None, count: int) -> list[bytes]:
        """The highest keys in [start, stop), descending, at most count."""
        self.scanned = True
        self._order()
        found: list[bytes] = []
        for run in self._runs:
            low = bisect_left(run, start)
            high = len(run) if stop is None else bisect_left(run, stop, low)
            found += run[max(low, high - count) : high]
        found.sort(reverse=True)
        return found[:count]

    def part(self, start: bytes, stop: bytes | None) -> "Layer":
        """A copy of what lies in [start, stop), for a scan that outlives the turn while this layer goes on growing."""
        copy, rows = Layer(), self.rows
        keys = self.first(start, stop, len(rows))
        copy.rows = {key: rows[key] for key in keys}
        copy._runs = [keys] if keys else []
        copy._indexed = len(keys)
        return copy

    def drain(self, count: int) -> bool:
        """Let go of up to count rows; true when none is left. Freeing a full layer at once would stall a turn."""
        rows = self.rows
        deque(starmap(rows.popitem, repeat((), min(count, len(rows)))), maxlen=0)
        return not rows

    def _order(self) -> None:
        rows = self.rows
        fresh = len(rows) - self._indexed
        if not fresh:
            return
        keys = list(islice(reversed(rows), fresh))
        keys.sort()
        self._indexed = len(rows)
        runs = self._runs
        if runs and runs[-1][-1] < keys[0]:
            runs[-1] += keys  # keys of the log table, and of sequential writers, arrive in order
        else:
            runs.append(keys)
        while len(runs) > 1 and len(runs[-2]) <= 2 * len(runs[-1]):
            newest = runs.pop()
            runs[-1] += newest
            runs[-1].sort()  # two ascending stretches: one merge
