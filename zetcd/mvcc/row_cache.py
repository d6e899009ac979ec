"""The rows of the present in memory: a get or an overwrite that finds its row here asks LevelDB nothing, and LevelDB
that is asked nothing does not compact for the asking.

The cache holds what the table holds *now*: `CurrentTable` writes each change through. Keys spread over shards, so that
what is rehashed at once is one shard (0.5 ms). A full shard lets go of what it has held longest; a row in demand comes
back with the next read, which costs less than keeping an order of use with each of them.
"""

from itertools import islice
from zlib import crc32

from zetcd.base.limits import CACHED_ROW_OVERHEAD_BYTES, ROW_CACHE_SHARDS

_MASK = ROW_CACHE_SHARDS - 1
_EVICTED = 64
"""Rows let go of at once: finding the first one steps over those that went before."""
_LARGEST = 16
"""A row larger than this part of a shard would push out too many others."""


class Shard:
    """One of ROW_CACHE_SHARDS parts. Read `rows` directly; write through `put` and `drop`."""

    __slots__ = ("_share", "rows", "size")

    def __init__(self, share: int) -> None:
        self.rows: dict[bytes, bytes] = {}
        self.size = 0
        self._share = share

    def put(self, key: bytes, row: bytes) -> None:
        """Remember the row of key."""
        if len(row) > self._share // _LARGEST:
            self.drop(key)
            return
        rows = self.rows
        former = rows.get(key)
        rows[key] = row
        if former is not None:
            self.size += len(row) - len(former)
        else:
            self.size += len(key) + len(row) + CACHED_ROW_OVERHEAD_BYTES
        while self.size > self._share:
            for oldest in list(islice(rows, _EVICTED)):
                self.drop(oldest)

    def add(self, key: bytes, row: bytes) -> bool:
        """Remember the row of key, unless something is known of it; false where others would have to go for it."""
        if key in self.rows:
            return True
        if self.size + len(key) + len(row) + CACHED_ROW_OVERHEAD_BYTES > self._share:
            return False
        self.put(key, row)
        return True

    def drop(self, key: bytes) -> None:
        """Forget key."""
        former = self.rows.pop(key, None)
        if former is not None:
            self.size -= len(key) + len(former) + CACHED_ROW_OVERHEAD_BYTES


class RowCache:
    """Rows by key, at most capacity bytes of them."""

    __slots__ = ("_shards",)

    def __init__(self, capacity: int) -> None:
        """capacity in bytes, what Python adds to a row included."""
        self._shards = [Shard(capacity // ROW_CACHE_SHARDS) for _ in range(ROW_CACHE_SHARDS)]

    @property
    def size(self) -> int:
        """What it holds, what Python adds included."""
        return sum(shard.size for shard in self._shards)

    def shard(self, key: bytes) -> Shard:
        """Where key belongs."""
        return self._shards[crc32(key) & _MASK]
