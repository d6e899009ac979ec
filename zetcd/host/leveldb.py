"""LevelDB as the engine of the store (`zetcd.mvcc.engine.Engine`), through plyvel.

A batch write and a get release the interpreter lock, so the one helper thread that writes flushes does not stop the
actor. Errors of reads propagate as plyvel.Error and end the process like any other broken invariant; those of opening
and writing are Fatal with the path in them.
"""

import os
import threading
from collections.abc import Callable
from itertools import islice, repeat
from pathlib import Path
from typing import Any

import plyvel

from zetcd.base.errors import Fatal
from zetcd.base.limits import KIB, MIB
from zetcd.host.process import unpin
from zetcd.mvcc.engine import Get, Pair
from zetcd.mvcc.keys import TABLES

WRITE_BUFFER_BYTES = 16 * MIB  # below a full flush, so that each becomes a table of its own: see `LevelBatch.write`
CACHE_BYTES = 8 * MIB  # hardly used: uncompressed data blocks are read where they are mapped
FILE_BYTES = 8 * MIB  # few files, since LevelDB maps at most 1,000
BLOOM_BITS = 10  # a put of a new key asks for its row: 2.5 instead of 7 us
BLOCK_BYTES = 16 * KIB  # a quarter of the index entries to bisect in each table a get has to ask
RESTART_ROWS = 4  # a get compares 2 rows of a block instead of 8, each of them a cache miss
COMPACTION_NICE = 10
"""Of LevelDB's compaction thread: requests go first where processors are short, and it still gets its share."""


def _open(path: str) -> Any:
    """The opened store, or what went wrong. The compaction thread runs afterwards, at COMPACTION_NICE and on any
    processor."""
    try:
        unpin()
        os.nice(COMPACTION_NICE)
        Path(path).mkdir(mode=0o700, parents=True, exist_ok=True)
        db = plyvel.DB(
            path,
            create_if_missing=True,
            write_buffer_size=WRITE_BUFFER_BYTES,
            lru_cache_size=CACHE_BYTES,
            max_file_size=FILE_BYTES,
            bloom_filter_bits=BLOOM_BITS,
            block_size=BLOCK_BYTES,
            block_restart_interval=RESTART_ROWS,
            # Measured against snappy, random values: puts cost a quarter less processor time, gets a third.
            compression=None,
        )
        db.compact_range(start=b"", stop=b"")  # there is nothing in this range
    except Exception as error:  # noqa: BLE001 - told by the thread that asked
        return error
    return db


class LevelEngine:
    """One LevelDB directory; LevelDB admits one process."""

    def __init__(self, path: str, *, sync: bool = True) -> None:
        self.path = path
        self._sync = sync  # false only for --unsafe-no-fsync
        self._spare: list[Any] = []  # a written batch, whose buffer the next one takes over
        opened: list[Any] = []
        # LevelDB starts its compaction thread with the first compaction, which may be while it opens, and the thread
        # inherits priority and processors of its starter: so a passing thread opens the store.
        opener = threading.Thread(target=lambda: opened.append(_open(path)))
        opener.start()
        opener.join()
        self._db = opened[0]
        if isinstance(self._db, BaseException):
            raise Fatal(f"store {path}: {self._db}") from self._db
        self.get: Get = self._db.get
        self._rotate = self._db.write_batch()

    def table(self, prefix: bytes) -> "LevelTable":
        """See `Engine`."""
        return LevelTable(self._db.prefixed_db(prefix))

    def batch(self) -> "LevelBatch":
        """See `Engine`."""
        batch = self._spare.pop() if self._spare else self._db.write_batch(sync=self._sync)
        return LevelBatch(batch, self._rotate, self._spare, self.path)

    def snapshot(self) -> "LevelScan":
        """See `Engine`."""
        return LevelScan(self._db.iterator(fill_cache=False))

    def size(self) -> int:
        """Bytes of all files; a file that compaction removes meanwhile does not count."""
        total = 0
        with os.scandir(self.path) as entries:
            for entry in entries:
                try:
                    total += entry.stat().st_size
                except FileNotFoundError:
                    continue
        return total

    def compact(self) -> None:
        """See `Engine`. A table at a time: between two the compactions that writes wait for get their turn."""
        for table in sorted(TABLES):
            try:
                self._db.compact_range(start=table, stop=bytes([table[0] + 1]))
            except plyvel.Error as error:
                raise Fatal(f"store {self.path}: {error}") from error

    def close(self) -> None:
        """See `Engine`."""
        self._db.close()


class LevelTable:
    """See `EngineTable`."""

    def __init__(self, db: Any) -> None:
        self._iterator: Callable[..., Any] = db.iterator

    def scan(
        self, start: bytes, stop: bytes | None, *, reverse: bool = False, keys_only: bool = False
    ) -> "LevelScan | LevelReverseScan | LevelKeyScan":
        """See `EngineTable`."""
        if keys_only:
            return LevelKeyScan(self._iterator(start=start, stop=stop, reverse=reverse, include_value=False))
        if reverse:
            return LevelReverseScan(self._iterator(stop=stop, reverse=True), start)
        return LevelScan(self._iterator(start=start, stop=stop))


class LevelScan:
    """See `EngineScan`: a LevelDB iterator is pinned on a snapshot of its own."""

    __slots__ = ("_iterator",)

    def __init__(self, iterator: Any) -> None:
        self._iterator = iterator

    def take(self, count: int) -> list[Pair]:
        """See `EngineScan`."""
        return list(islice(self._iterator, count))

    def seek(self, key: bytes) -> None:
        """See `EngineScan`."""
        self._iterator.seek(key)

    def close(self) -> None:
        """See `EngineScan`."""
        self._iterator.close()


class LevelReverseScan:
    """See `EngineScan`. plyvel 1.5.1 gives a reverse iterator nothing where the only row in its range is the one at
    start, so the iterator runs without a start and the scan stops by itself."""

    __slots__ = ("_done", "_iterator", "_start")

    def __init__(self, iterator: Any, start: bytes) -> None:
        self._iterator = iterator
        self._start = start
        self._done = False

    def take(self, count: int) -> list[Pair]:
        """See `EngineScan`."""
        if self._done:
            return []
        pairs: list[Pair] = list(islice(self._iterator, count))
        start = self._start
        if pairs and pairs[-1][0] < start:
            self._done = True
            while pairs and pairs[-1][0] < start:
                pairs.pop()
        return pairs

    def seek(self, key: bytes) -> None:
        """See `EngineScan`."""
        self._iterator.seek(key)

    def close(self) -> None:
        """See `EngineScan`."""
        self._iterator.close()


class LevelKeyScan:
    """See `EngineScan`: values are left empty."""

    __slots__ = ("_iterator",)

    def __init__(self, iterator: Any) -> None:
        self._iterator = iterator

    def take(self, count: int) -> list[Pair]:
        """See `EngineScan`."""
        return list(zip(islice(self._iterator, count), repeat(b"")))

    def seek(self, key: bytes) -> None:
        """See `EngineScan`."""
        self._iterator.seek(key)

    def close(self) -> None:
        """See `EngineScan`."""
        self._iterator.close()


class LevelBatch:
    """See `Batch`."""

    __slots__ = ("_batch", "_path", "_rotate", "_spare", "delete", "put")

    def __init__(self, batch: Any, rotate: Any, spare: list[Any], path: str) -> None:
        self._batch = batch
        self._rotate = rotate
        self._spare = spare
        self._path = path
        self.put: Callable[[bytes, bytes], None] = batch.put
        self.delete: Callable[[bytes], None] = batch.delete

    def write(self) -> None:
        """See `Batch`. A failed write is never tried again (rule 22)."""
        try:
            self._batch.write()
            # LevelDB puts a full memtable aside only when the next write comes, and until then every get searches it
            # first: 1.6 us of 20 cache misses. So a write of nothing follows at once.
            self._rotate.write()
        except plyvel.Error as error:
            raise Fatal(f"store {self._path}: {error}") from error
        # To grow a buffer to 16 MiB anew would cost milliseconds of copying in the turns of the actor.
        self._batch.clear()
        if not self._spare:
            self._spare.append(self._batch)
