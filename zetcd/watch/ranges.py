"""Which watched ranges hold a key.

etcd's range rules: range_end empty is the single key; range_end ``00`` is every key from key on; otherwise
[key, range_end). Four shapes are kept apart, each with the structure that answers it fastest:

| shape | kept as | cost of one look-up |
|---|---|---|
| single key | dict | one hash |
| prefix (range_end is `prefix_end`(key)) | dict by prefix, and the lengths in use | one hash a length |
| from key on | sorted list | bisection and the hits |
| any other | runs sorted by start under a tree of greatest ends | logarithm and the hits |

Other ranges enter a short list that is searched linearly and folded into the runs when it is full, so that a change
costs little and ten thousand ranges cost a look-up microseconds.
"""

from bisect import bisect_right, insort
from collections.abc import Iterator
from typing import Generic, TypeVar

OPEN_END = b"\0"
FRESH_MAX = 32

T = TypeVar("T")


def is_empty(key: bytes, range_end: bytes) -> bool:
    """Whether [key, range_end) holds nothing, which etcd refuses for watches."""
    return range_end not in (b"", OPEN_END) and key >= range_end


def contains(key: bytes, range_end: bytes, candidate: bytes) -> bool:
    """Whether candidate lies in the range, by etcd's rules."""
    if not range_end:
        return candidate == key
    return candidate >= key and (range_end == OPEN_END or candidate < range_end)


def prefix_end(prefix: bytes) -> bytes:
    """End of all keys that start with prefix; ``00`` (no end) where it is all ff."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes((stem[-1] + 1,)) if stem else OPEN_END


class RangeIndex(Generic[T]):
    """(key, range_end) -> T, searched by a key inside. At most one T a range."""

    def __init__(self) -> None:
        self.exact: dict[bytes, T] = {}
        self._prefixes: dict[bytes, T] = {}
        self._lengths: dict[int, int] = {}  # length of prefix -> how many
        self._open: dict[bytes, T] = {}
        self._open_starts: list[bytes] = []
        self._other: dict[tuple[bytes, bytes], T] = {}
        self._fresh: dict[tuple[bytes, bytes], T] = {}  # in _other, not yet in _runs
        self._runs = _Runs([])
        self._stale = 0  # entries of _runs that are gone
        self.has_ranges = False

    def __len__(self) -> int:
        return len(self.exact) + len(self._prefixes) + len(self._open) + len(self._other)

    def get(self, key: bytes, range_end: bytes) -> T | None:
        """What was added for exactly this range."""
        if not range_end:
            return self.exact.get(key)
        if range_end == OPEN_END:
            return self._open.get(key)
        if key and range_end == prefix_end(key):
            return self._prefixes.get(key)
        return self._other.get((key, range_end))

    def add(self, key: bytes, range_end: bytes, item: T) -> None:
        """The range is neither empty nor present."""
        if not range_end:
            self.exact[key] = item
            return
        self.has_ranges = True
        if range_end == OPEN_END:
            self._open[key] = item
            insort(self._open_starts, key)
        elif key and range_end == prefix_end(key):
            self._prefixes[key] = item
            self._lengths[len(key)] = self._lengths.get(len(key), 0) + 1
        else:
            self._other[key, range_end] = item
            self._fresh[key, range_end] = item
            if len(self._fresh) > FRESH_MAX + len(self._other) // 64:
                self._fold()

    def remove(self, key: bytes, range_end: bytes) -> None:
        """The range is present."""
        if not range_end:
            del self.exact[key]
            return
        if range_end == OPEN_END:
            del self._open[key]
            del self._open_starts[bisect_right(self._open_starts, key) - 1]
        elif key and range_end == prefix_end(key):
            del self._prefixes[key]
            self._lengths[len(key)] -= 1
            if not self._lengths[len(key)]:
                del self._lengths[len(key)]
        else:
            del self._other[key, range_end]
            if self._fresh.pop((key, range_end), None) is None:
                self._stale += 1
                if self._stale > FRESH_MAX + len(self._other):
                    self._fold()
        self.has_ranges = bool(self._open or self._prefixes or self._other)

    def items(self) -> Iterator[T]:
        """All, single keys first."""
        yield from self.exact.values()
        yield from self._prefixes.values()
        yield from self._open.values()
        yield from self._other.values()

    def stab(self, key: bytes) -> list[T]:
        """Items of all ranges, single keys left out, that hold key; in a fixed order."""
        found: list[T] = []
        if self._prefixes:
            size = len(key)
            get = self._prefixes.get
            for length in self._lengths:
                if length <= size:
                    item = get(key[:length])
                    if item is not None:
                        found.append(item)
        if self._open_starts:
            found.extend(self._open[start] for start in self._open_starts[: bisect_right(self._open_starts, key)])
        if self._other:
            found.extend(item for (start, end), item in self._fresh.items() if start <= key < end)
            for bounds in self._runs.stab(key):
                item = self._other.get(bounds)
                if item is not None and bounds not in self._fresh:
                    found.append(item)
        return found

    def _fold(self) -> None:
        self._runs = _Runs(list(self._other))
        self._fresh = {}
        self._stale = 0


class _Runs:
    """A fixed set of [start, end) under a tree that knows the greatest end of every half."""

    def __init__(self, bounds: list[tuple[bytes, bytes]]) -> None:
        self._bounds = sorted(bounds)
        self._starts = [start for start, _ in self._bounds]
        width = 1
        while width < len(bounds):
            width *= 2
        self._width = width
        self._greatest = [b""] * (2 * width)
        for place, (_, end) in enumerate(self._bounds):
            self._greatest[width + place] = end
        for node in range(width - 1, 0, -1):
            self._greatest[node] = max(self._greatest[2 * node], self._greatest[2 * node + 1])

    def stab(self, key: bytes) -> list[tuple[bytes, bytes]]:
        """All bounds with start <= key < end, by start."""
        limit = bisect_right(self._starts, key)
        found: list[tuple[bytes, bytes]] = []
        if not limit:
            return found
        greatest = self._greatest
        nodes = [(1, 0, self._width)]
        while nodes:
            node, first, size = nodes.pop()
            if first >= limit or greatest[node] <= key:
                continue
            if size == 1:
                found.append(self._bounds[first])
                continue
            half = size // 2
            nodes.append((2 * node + 1, first + half, half))
            nodes.append((2 * node, first, half))
        return found
