"""The rows of the present in memory: a get or an overwrite that finds its row here asks LevelDB nothing, and LevelDB
that is asked nothing does not compact for the asking.

The cache holds what the table holds *now*: `CurrentTable` writes each change through. Keys spread over stripes, so that
what is rehashed at once is one stripe (0.5 ms). A full cache lets go of what each stripe has held longest, stripe after
stripe; a row in demand comes back with the next read, which costs less than keeping an order of use with each of them.

What a million rows cost is mostly waiting for memory. `get_all` and `put_all` leave no bytecode between two lookups, so
that the processor overlaps the waiting of several.
"""

from collections import deque
from collections.abc import Iterable
from itertools import islice
from zlib import crc32

from zetcd.base.limits import CACHED_ROW_OVERHEAD_BYTES, ROW_CACHE_STRIPES

_MASK = ROW_CACHE_STRIPES - 1
_EVICTED = 64
"""Rows let go of at once: finding the first one steps over those that went before."""
_LARGEST = 16
"""A row larger than this part of a stripe's share would push out too many others."""


class RowCache:
    """Rows by key, at most capacity bytes of them. size: what it holds; both with what Python adds to a row."""

    __slots__ = ("_capacity", "_evicting", "_row_bytes_max", "_stripes", "size")

    def __init__(self, capacity: int) -> None:
        self.size = 0
        self._capacity = capacity
        self._row_bytes_max = capacity // ROW_CACHE_STRIPES // _LARGEST
        self._stripes: list[dict[bytes, bytes]] = [{} for _ in range(ROW_CACHE_STRIPES)]
        self._evicting = 0  # the stripe whose turn it is

    def _of(self, keys: Iterable[bytes]) -> Iterable[dict[bytes, bytes]]:
        return map(self._stripes.__getitem__, map(_MASK.__and__, map(crc32, keys)))

    def get(self, key: bytes) -> bytes | None:
        """The row of key, None where it is not known."""
        return self._stripes[crc32(key) & _MASK].get(key)

    def get_all(self, keys: list[bytes]) -> list[bytes | None]:
        """`get` of each of keys."""
        return list(map(dict.get, self._of(keys), keys))

    def put(self, key: bytes, row: bytes) -> None:
        """Remember the row of key."""
        if len(row) > self._row_bytes_max:
            self.drop(key)
            return
        rows = self._stripes[crc32(key) & _MASK]
        former = rows.get(key)
        rows[key] = row
        if former is not None:
            self.size += len(row) - len(former)
        else:
            self.size += len(key) + len(row) + CACHED_ROW_OVERHEAD_BYTES
        if self.size > self._capacity:
            self._evict()

    def put_all(self, rows: dict[bytes, bytes]) -> None:
        """`put` of each of rows."""
        keys, values = list(rows), rows.values()
        if max(map(len, values), default=0) > self._row_bytes_max:
            for key, row in rows.items():
                self.put(key, row)
            return
        stripes = list(self._of(keys))
        formers = list(map(dict.get, stripes, keys))
        self.size += sum(map(len, values)) - sum(map(len, filter(None, formers)))
        if None in formers:
            fresh = [len(key) for key, former in zip(keys, formers, strict=True) if former is None]
            self.size += sum(fresh) + len(fresh) * CACHED_ROW_OVERHEAD_BYTES
        deque(map(dict.__setitem__, stripes, keys, values), maxlen=0)
        if self.size > self._capacity:
            self._evict()

    def add(self, key: bytes, row: bytes) -> bool:
        """Remember the row of key, unless something is known of it; false where others would have to go for it."""
        if self.get(key) is not None:
            return True
        if self.size + len(key) + len(row) + CACHED_ROW_OVERHEAD_BYTES > self._capacity:
            return False
        self.put(key, row)
        return True

    def drop(self, key: bytes) -> None:
        """Forget key."""
        former = self._stripes[crc32(key) & _MASK].pop(key, None)
        if former is not None:
            self.size -= len(key) + len(former) + CACHED_ROW_OVERHEAD_BYTES

    def _evict(self) -> None:
        while self.size > self._capacity:
            for oldest in list(islice(self._stripes[self._evicting], _EVICTED)):
                self.drop(oldest)
            self._evicting = (self._evicting + 1) & _MASK
