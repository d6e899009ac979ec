"""What has been executed and not yet synced: a layer of rows above the engine that every read looks through.

Nothing unsynced enters the engine (rule 23). Writes gather in the active layer of each table. `freeze` takes
all active layers away as the frozen ones and makes a `Flush` of them: one batch that also carries the position of the
log it completes. It is built in slices between turns, written by one synced write (in production on a helper thread,
without the interpreter lock), and forgotten by `flushed`. Until then reads see active over frozen over engine. A row
that was written twice before its freeze reaches the disk once.

After a crash the engine holds exactly what some flush completed, and the log the rest.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import cast

from zetcd.base.limits import ROW_CACHE_BYTES
from zetcd.mvcc import keys
from zetcd.mvcc.engine import Batch, Engine, EngineScan, Get, Pair
from zetcd.mvcc.layer import Layer
from zetcd.mvcc.row_cache import RowCache
from zetcd.mvcc.scan import Scan

ROW_OVERHEAD_BYTES = 128
"""What a row costs in memory beyond its key and value: two objects and a dict entry."""


class Table:
    """One table of the engine, seen through the overlay."""

    __slots__ = ("_engine", "active", "bytes", "fetch", "frozen", "frozen_rows", "prefix", "rows")

    def __init__(self, engine: Engine, prefix: bytes) -> None:
        self.prefix = prefix
        self._engine = engine.table(prefix)
        self.fetch: Get = engine.get
        self.bytes = 0  # written since the last freeze, overhead included
        self.active = Layer()
        self.frozen = Layer()
        self.rows = self.active.rows
        self.frozen_rows = self.frozen.rows

    def get(self, key: bytes) -> bytes | None:
        """The row of key; None where there is none."""
        rows = self.rows
        if key in rows:
            return rows[key]
        rows = self.frozen_rows
        if key in rows:
            return rows[key]
        return self.fetch(self.prefix + key)

    def put(self, key: bytes, row: bytes) -> None:
        """Write the row of key."""
        self.rows[key] = row
        self.bytes += len(key) + len(row) + ROW_OVERHEAD_BYTES

    def delete(self, key: bytes) -> None:
        """Remove the row of key, if any."""
        self.active.deletes = True
        self.rows[key] = None
        self.bytes += len(key) + ROW_OVERHEAD_BYTES

    def scan(self, start: bytes, stop: bytes | None, *, reverse: bool = False, keys_only: bool = False) -> Scan:
        """Open a scan of [start, stop); stop None is the end of the table. keys_only: values may be empty."""
        engine = self._engine.scan(start, stop, reverse=reverse, keys_only=keys_only)
        return Scan(engine, [self.frozen, self.active], start, stop, reverse=reverse)

    def all(self, start: bytes = b"", stop: bytes | None = None) -> Iterator[Pair]:
        """Pairs in [start, stop), for tables that are small or read at start only."""
        scan = self.scan(start, stop)
        while not scan.done:
            yield from scan.take(1_000)
        scan.close()

    def freeze(self) -> Layer:
        """The active layer becomes the frozen one."""
        assert not self.frozen_rows, "the former flush is not finished"
        self.frozen, self.active = self.active, Layer(eager=self.active.scanned)
        self.frozen_rows, self.rows = self.frozen.rows, self.active.rows
        self.bytes = 0
        return self.frozen

    def thaw(self) -> Layer:
        """The engine has the frozen rows: stop looking at them."""
        former, self.frozen = self.frozen, Layer()
        self.frozen_rows = self.frozen.rows
        return former


class CurrentTable(Table):
    """The table of the present, with the rows used last in memory."""

    __slots__ = ("_unwarmed", "cache")

    def __init__(self, engine: Engine, prefix: bytes, cache_bytes: int) -> None:
        super().__init__(engine, prefix)
        self.cache = RowCache(cache_bytes)
        self._unwarmed: bytes | None = b""

    def get(self, key: bytes) -> bytes | None:
        """See `Table`."""
        row = self.cache.get(key)
        if row is None:
            row = super().get(key)
            if row is not None:
                self.cache.put(key, row)
        return row

    def get_all(self, keys: list[bytes]) -> list[bytes | None]:
        """`get` of each of keys. What LevelDB has to be asked for is asked in order of the keys: neighbours share index
        blocks and more, which in a large keyspace are otherwise cache misses."""
        found = self.cache.get_all(keys)
        if not all(found):
            get = super().get
            missing = sorted({key for key, row in zip(keys, found, strict=True) if row is None})
            rows = {key: get(key) for key in missing}
            found = [rows[key] if row is None else row for key, row in zip(keys, found, strict=True)]
        return found

    def put(self, key: bytes, row: bytes) -> None:
        """See `Table`."""
        super().put(key, row)
        self.cache.put(key, row)

    def put_all(self, rows: dict[bytes, bytes]) -> None:
        """`put` of each of rows."""
        self.rows.update(rows)
        self.bytes += sum(map(len, rows)) + sum(map(len, rows.values())) + len(rows) * ROW_OVERHEAD_BYTES
        self.cache.put_all(rows)

    def delete(self, key: bytes) -> None:
        """See `Table`."""
        super().delete(key)
        self.cache.drop(key)

    def warm(self, count: int) -> bool:
        """Read the next count rows of the engine into the cache; true when it holds them all or is full. What is not
        synced yet is left alone: it is looked up first, and is cached by whoever asks."""
        if self._unwarmed is None:
            return True
        scan = self._engine.scan(self._unwarmed, None)
        pairs = scan.take(count)
        scan.close()
        active, frozen, add = self.rows, self.frozen_rows, self.cache.add
        full = False
        for key, row in pairs:
            if key not in active and key not in frozen:
                full = not add(key, row) or full
        self._unwarmed = pairs[-1][0] + b"\x00" if len(pairs) == count and not full else None
        return self._unwarmed is None


class _Part:
    """A layer on its way into a batch. rows: still to be added."""

    __slots__ = ("_add", "_items", "_keys", "_rows", "rows")

    def __init__(self, prefix: bytes, layer: Layer) -> None:
        self.rows = len(layer.rows)
        self._keys = map(prefix.__add__, layer.rows)
        self._rows = iter(layer.rows.values())
        self._add = _put_or_delete if layer.deletes else _put

    def add_to(self, batch: Batch, count: int) -> int:
        """Add up to count rows; how many."""
        count = min(count, self.rows)
        self.rows -= count
        self._add(batch, islice(self._keys, count), self._rows)
        return count


def _put(batch: Batch, keys: Iterable[bytes], rows: Iterable[bytes | None]) -> None:
    """Rows that are all there: without bytecode for each of them, which is half the cost."""
    deque(map(batch.put, keys, cast("Iterable[bytes]", rows)), maxlen=0)


def _put_or_delete(batch: Batch, keys: Iterable[bytes], rows: Iterable[bytes | None]) -> None:
    for key, row in zip(keys, rows, strict=False):
        if row is None:
            batch.delete(key)
        else:
            batch.put(key, row)


class Flush:
    """One batch on its way to the disk: everything up to log position (index, term). rows are still to be built in."""

    __slots__ = ("_batch", "_parts", "bytes", "index", "rows", "term")

    def __init__(self, batch: Batch, layers: list[tuple[bytes, Layer]], index: int, term: int, size: int) -> None:
        self.index = index
        self.term = term
        self.bytes = size
        self.rows = sum(len(layer.rows) for _, layer in layers)
        self._batch = batch
        self._parts = [_Part(prefix, layer) for prefix, layer in layers if layer.rows]

    def build(self, count: int) -> bool:
        """Add the next count rows to the batch; true when all are in."""
        parts, batch = self._parts, self._batch
        while parts and count > 0:
            added = parts[-1].add_to(batch, count)
            count -= added
            self.rows -= added
            if not parts[-1].rows:
                parts.pop()
        return not parts

    def write(self) -> None:
        """One synced write; may run on another thread. Raises Fatal where the disk fails."""
        self._batch.write()


class Overlay:
    """The tables of the store above one engine."""

    __slots__ = (
        "_engine", "_frozen_bytes", "_retired", "_written", "attached", "current", "former", "leases", "log", "meta",
        "tables",
    )  # fmt: skip

    def __init__(self, engine: Engine, cache_bytes: int = ROW_CACHE_BYTES) -> None:
        self._engine = engine
        self.current = CurrentTable(engine, keys.CURRENT, cache_bytes)
        others = (keys.META, keys.FORMER, keys.LOG, keys.LEASES, keys.ATTACHED)
        self.meta, self.former, self.log, self.leases, self.attached = (Table(engine, prefix) for prefix in others)
        self.tables: list[Table] = [self.meta, self.current, self.former, self.log, self.leases, self.attached]
        self._frozen_bytes = 0
        self._retired: list[Layer] = []
        self._written = 0

    @property
    def active_bytes(self) -> int:
        """Memory of what the next freeze takes."""
        return sum(table.bytes for table in self.tables)

    @property
    def bytes(self) -> int:
        """Memory of everything that is not known to be synced."""
        return self.active_bytes + self._frozen_bytes

    def keep_ordered(self) -> None:
        """Call after each block: see `Layer.keep_ordered`. (Log rows come in order, the other tables are small.)"""
        self.current.active.keep_ordered()
        self.former.active.keep_ordered()

    def take_written(self) -> int:
        """Rows written since the last call."""
        rows = sum(len(table.rows) for table in self.tables)
        written, self._written = rows - self._written, rows
        return max(written, 0)

    @property
    def disk_bytes(self) -> int:
        """Bytes of the engine on disk, approximately."""
        return self._engine.size()

    def freeze(self, state: keys.State) -> Flush:
        """Take what is active; state is the record that the batch ends with. The former flush must be `flushed`."""
        self._frozen_bytes = self.active_bytes
        layers = [(table.prefix, table.freeze()) for table in self.tables]
        batch = self._engine.batch()
        batch.put(keys.META + keys.STATE_KEY, keys.pack_state(state))
        return Flush(batch, layers, state.applied, state.term, self._frozen_bytes)

    def flushed(self) -> None:
        """The flush has been written: its rows are read from the engine from now on."""
        self._retired += [table.thaw() for table in self.tables]
        self._frozen_bytes = 0

    def drain(self, count: int) -> bool:
        """Free up to count rows of flushed layers; true when nothing is left to free."""
        retired = self._retired
        while retired and count > 0:
            layer = retired[-1]
            if layer.pins:
                retired.pop()  # the scan that holds it frees it
                continue
            size = len(layer.rows)
            if not layer.drain(count):
                return False
            count -= size
            retired.pop()
        return not retired

    def state(self) -> keys.State:
        """The state record as last synced; that of an empty store where there is none."""
        record = self._engine.get(keys.META + keys.STATE_KEY)
        return keys.State() if record is None else keys.unpack_state(record)

    def pin(self) -> tuple[EngineScan, keys.State]:
        """Everything that is synced, as it is now, and where that is: each flush carries the state record."""
        scan = self._engine.snapshot()
        record = keys.META + keys.STATE_KEY
        scan.seek(record)
        found = scan.take(1)
        scan.seek(b"")
        return scan, keys.unpack_state(found[0][1]) if found and found[0][0] == record else keys.State()

    def compact_files(self) -> None:
        """See `Engine.compact`."""
        self._engine.compact()

    def close(self) -> None:
        """Close the engine; unsynced rows are dropped, the log has them."""
        self._engine.close()
