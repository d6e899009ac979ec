"""The storage engine as the store sees it, and its twin in memory.

An engine holds tables of ordered keys. What may be relied on:

- every write is one batch, atomic and synced when `Batch.write` returns (rule 23);
- a scan is pinned on what the engine held when it was opened, whatever is written afterwards;
- one thread may be inside `Batch.write` while another reads.
"""

from bisect import bisect_left
from collections.abc import Callable
from itertools import islice
from typing import Protocol

Pair = tuple[bytes, bytes]
Get = Callable[[bytes], bytes | None]


class EngineScan(Protocol):
    """Ordered pairs of one table within bounds, pinned at its creation."""

    def take(self, count: int) -> list[Pair]:
        """The next pairs; fewer than count only at the end."""

    def seek(self, key: bytes) -> None:
        """Go on at key: at the first pair >= key, or, in reverse, at the last pair < key."""

    def close(self) -> None:
        """Let go of what is pinned."""


class EngineTable(Protocol):
    """The keys under one first byte, without it, for scans."""

    def scan(self, start: bytes, stop: bytes | None, *, reverse: bool = False, keys_only: bool = False) -> EngineScan:
        """Pairs in [start, stop), descending in reverse; stop None is the end of the table. keys_only: the values do
        not matter and may be left empty."""


class Batch(Protocol):
    """Writes that become visible and durable together. Keys carry the first byte of their table."""

    def put(self, key: bytes, value: bytes, /) -> None:
        """Set key."""

    def delete(self, key: bytes, /) -> None:
        """Remove key, if it is there."""

    def write(self) -> None:
        """Apply and sync. Raises Fatal where the disk fails. May be called from another thread than the reads."""


class Engine(Protocol):
    """An ordered, durable map from bytes to bytes. get: the value of a key, which carries the first byte of its table
    (that an engine would have to add takes a call more, in the read of all reads)."""

    get: Get

    def table(self, prefix: bytes) -> EngineTable:
        """The table under the one-byte prefix."""

    def batch(self) -> Batch:
        """A new, empty batch."""

    def snapshot(self) -> EngineScan:
        """Everything, keys with the first byte of their table, pinned now."""

    def size(self) -> int:
        """Bytes on disk, approximately."""

    def compact(self) -> None:
        """Bring the files into their smallest form, beside reads and writes; returns when it is done. May be called on
        another thread."""

    def close(self) -> None:
        """Let go of the store; nothing is lost, since nothing unsynced is in it."""


class MemoryEngine:
    """The engine for tests and simulation. `fork` is what a crash leaves: what batches have written, no more."""

    def __init__(self, pairs: dict[bytes, bytes] | None = None) -> None:
        self.pairs: dict[bytes, bytes] = dict(pairs or {})
        self.batches = 0
        self.get: Get = self.pairs.get
        self._keys: list[bytes] | None = None

    def table(self, prefix: bytes) -> "MemoryTable":
        """See `Engine`."""
        return MemoryTable(self, prefix)

    def batch(self) -> "MemoryBatch":
        """See `Engine`."""
        return MemoryBatch(self)

    def snapshot(self) -> "MemoryScan":
        """See `Engine`."""
        return MemoryScan(sorted(self.pairs.items()), b"", reverse=False)

    def size(self) -> int:
        """Bytes of all keys and values."""
        return sum(len(key) + len(value) for key, value in self.pairs.items())

    def compact(self) -> None:
        """There are no files."""

    def close(self) -> None:
        """Nothing to let go of."""

    def fork(self) -> "MemoryEngine":
        """A copy that shares nothing: the same disk, found by another life of the process."""
        return MemoryEngine(self.pairs)

    def apply(self, writes: dict[bytes, bytes | None]) -> None:
        """Install the writes of one batch."""
        for key, value in writes.items():
            if value is None:
                self.pairs.pop(key, None)
            else:
                self.pairs[key] = value
        self.batches += 1
        self._keys = None

    def between(self, start: bytes, stop: bytes | None) -> list[Pair]:
        """Pairs in [start, stop), full keys."""
        if self._keys is None:
            self._keys = sorted(self.pairs)
        low = bisect_left(self._keys, start)
        high = len(self._keys) if stop is None else bisect_left(self._keys, stop, low)
        return [(key, self.pairs[key]) for key in islice(self._keys, low, high)]


class MemoryTable:
    """See `EngineTable`."""

    def __init__(self, engine: MemoryEngine, prefix: bytes) -> None:
        self._engine = engine
        self._prefix = prefix

    def scan(self, start: bytes, stop: bytes | None, *, reverse: bool = False, keys_only: bool = False) -> "MemoryScan":
        """See `EngineTable`."""
        prefix = self._prefix
        end = bytes([prefix[0] + 1]) if stop is None else prefix + stop
        pairs = [(key[1:], b"" if keys_only else value) for key, value in self._engine.between(prefix + start, end)]
        return MemoryScan(pairs, start, reverse=reverse)


class MemoryScan:
    """See `EngineScan`."""

    def __init__(self, pairs: list[Pair], start: bytes, *, reverse: bool) -> None:
        self._pairs = pairs[::-1] if reverse else pairs
        self._start = start
        self._reverse = reverse
        self._at = 0

    def take(self, count: int) -> list[Pair]:
        """See `EngineScan`."""
        taken = self._pairs[self._at : self._at + count]
        self._at += len(taken)
        return taken

    def seek(self, key: bytes) -> None:
        """See `EngineScan`."""
        if self._reverse:
            self._at = sum(1 for found, _ in self._pairs if found >= key)
        else:
            self._at = sum(1 for found, _ in self._pairs if found < key)

    def close(self) -> None:
        """See `EngineScan`."""
        self._pairs = []


class MemoryBatch:
    """See `Batch`."""

    def __init__(self, engine: MemoryEngine) -> None:
        self._engine = engine
        self._writes: dict[bytes, bytes | None] = {}

    def put(self, key: bytes, value: bytes, /) -> None:
        """See `Batch`."""
        self._writes[key] = value

    def delete(self, key: bytes, /) -> None:
        """See `Batch`."""
        self._writes[key] = None

    def write(self) -> None:
        """See `Batch`."""
        self._engine.apply(self._writes)
