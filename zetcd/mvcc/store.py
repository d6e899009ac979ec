"""The versioned store: every key at every revision since the last compaction.

A change belongs to the revision that is being made, `revision + 1`, and takes the next sub-revision in it; `commit`
makes it the current one. Callers put at most one change of a key into a revision (`zetcd.mvcc.txn` sees to it), so
(key, revision) names a change. What a put, an overwrite and a delete write is in `zetcd.mvcc.keys`.

Nothing here asks for sizes on disk or for a clock: the same calls leave the same rows on every member.
"""

from collections.abc import Callable

from zetcd.base import limits
from zetcd.mvcc import keys
from zetcd.mvcc.counts import Counts
from zetcd.mvcc.keys import (
    CREATE,
    DELETE,
    MOD_FIELD,
    OVERWRITE,
    former_end,
    former_key,
    pack_header,
    pack_place,
    pack_revision,
    unpack_header,
)
from zetcd.mvcc.overlay import ROW_OVERHEAD_BYTES, Overlay
from zetcd.wire.entry import Put
from zetcd.wire.local import Event


class Store:
    """Keys and versions above an overlay."""

    __slots__ = (
        "_sub", "alive", "compact_revision", "counts", "current", "event_level", "events", "former", "keys", "log",
        "overlay", "revision", "row_bytes",
    )  # fmt: skip

    def __init__(self, overlay: Overlay, state: keys.State, alive: Callable[[], None] = lambda: None) -> None:
        """alive: called between slices of a change that touches many keys, so that work is not taken for a hang."""
        self.overlay = overlay
        self.alive = alive
        self.current, self.former, self.log = overlay.current, overlay.former, overlay.log
        self.revision = state.revision
        self.compact_revision = state.compact_revision
        self.keys = state.keys
        self.row_bytes = state.row_bytes
        self.counts = Counts(limits.RANGE_COUNT_CACHE_MAX)
        self.event_level = 0  # 0: none, 1: events, 2: events with the former row
        self.events: list[Event] = []
        self._sub = 0

    @property
    def changed(self) -> bool:
        """Whether the revision being made holds a change."""
        return self._sub > 0

    @property
    def shown_revision(self) -> int:
        """What a response header says now: the revision being made, once it holds a change."""
        return self.revision + 1 if self._sub else self.revision

    def put(self, key: bytes, value: bytes, lease: int = 0) -> bytes | None:
        """Write key; the former row, None where the key did not exist."""
        revision, sub, current = self.revision + 1, self._sub, self.current
        self._sub = sub + 1
        former = current.get(key)
        log = self.log
        size = len(key)
        if former is None:
            row = pack_header(revision, revision, 1, lease, sub) + value
            log.rows[pack_place(revision, sub)] = CREATE + key
            self.keys += 1
            self.row_bytes += size + len(row)
            self.counts.adjust(key, 1)
        else:
            create, _, version, _, _ = unpack_header(former)
            row = pack_header(create, revision, version + 1, lease, sub) + value
            log.rows[pack_place(revision, sub)] = OVERWRITE + key
            self.former.put(former_key(key, revision), former)
            self.row_bytes += len(row) - len(former)
        log.bytes += size + (keys.PLACE_BYTES + 1 + ROW_OVERHEAD_BYTES)
        current.put(key, row)
        level = self.event_level
        if level:
            self.events.append(Event(revision, sub, key, row, former if level > 1 else None))
        return former

    def put_all(self, puts: list[Put]) -> list[tuple[bytes, bytes]]:
        """Carry out puts without lease and flags, a revision each, while nobody wants events: what `put` and `commit`
        do, in half the time. Of the rows they overwrite those that have a lease, with their keys."""
        assert not self._sub
        assert not self.event_level
        current, log, former, revision = self.current, self.log, self.former, self.revision
        log_rows, former_rows, row_bytes, former_bytes = log.rows, former.rows, 0, 0
        written: dict[bytes, bytes] = {}
        leased = []
        names = [put.key for put in puts]
        for put, key, found in zip(puts, names, current.get_all(names), strict=True):
            revision += 1
            before = written.get(key, found)  # an earlier one of these puts may have been to the same key
            if before is None:
                written[key] = row = pack_header(revision, revision, 1, 0, 0) + put.value
                log_rows[pack_place(revision, 0)] = CREATE + key
                self.keys += 1
                row_bytes += len(key) + len(row)
                self.counts.adjust(key, 1)
                continue
            create, _, version, lease, _ = unpack_header(before)
            written[key] = row = pack_header(create, revision, version + 1, 0, 0) + put.value
            log_rows[pack_place(revision, 0)] = OVERWRITE + key
            place = former_key(key, revision)
            former_rows[place] = before
            row_bytes += len(row) - len(before)
            former_bytes += len(place) + len(before) + ROW_OVERHEAD_BYTES
            if lease:
                leased.append((key, before))
        current.put_all(written)
        former.bytes += former_bytes
        log.bytes += sum(map(len, names)) + len(puts) * (keys.PLACE_BYTES + 1 + ROW_OVERHEAD_BYTES)
        self.row_bytes += row_bytes
        self.revision = revision
        return leased

    def delete(self, key: bytes) -> bytes | None:
        """Delete key; the former row, None where the key did not exist and nothing happened."""
        former = self.current.get(key)
        if former is None:
            return None
        revision, sub = self.revision + 1, self._sub
        self._sub = sub + 1
        self.current.delete(key)
        self.former.put(former_key(key, revision), former)
        self.log.put(pack_place(revision, sub), DELETE + key)
        self.keys -= 1
        self.row_bytes -= len(key) + len(former)
        self.counts.adjust(key, -1)
        level = self.event_level
        if level:
            self.events.append(Event(revision, sub, key, None, former if level > 1 else None))
        return former

    def delete_range(self, start: bytes, stop: bytes | None) -> list[tuple[bytes, bytes]]:
        """Delete what is in [start, stop), in key order; the former rows."""
        former = []
        scan = self.current.scan(start, stop)
        while not scan.done:
            former += scan.take(limits.READ_SLICE_KEYS)
            self.alive()
        scan.close()
        self.delete_keys([key for key, _ in former])
        return former

    def delete_keys(self, keys: list[bytes]) -> list[bytes | None]:
        """Delete each of keys; the former rows, None where a key did not exist."""
        former: list[bytes | None] = []
        for first in range(0, len(keys), limits.READ_SLICE_KEYS):
            former += [self.delete(key) for key in keys[first : first + limits.READ_SLICE_KEYS]]
            self.alive()
        return former

    def commit(self) -> int:
        """End the revision being made, if it holds a change; the current revision."""
        if self._sub:
            self._sub = 0
            self.revision += 1
        return self.revision

    def get_at(self, key: bytes, revision: int) -> bytes | None:
        """The row of key that was alive at revision (at or above the compact revision)."""
        place = pack_revision(revision)
        row = self.current.get(key)
        if row is not None and row[MOD_FIELD] <= place:
            return row
        row = self.former_after(key, revision)
        return row if row is not None and row[MOD_FIELD] <= place else None

    def former_after(self, key: bytes, revision: int) -> bytes | None:
        """The first row of key that was ended after revision."""
        scan = self.former.scan(former_key(key, revision + 1), former_end(key))
        found: list[tuple[bytes, bytes]] = []
        while not found and not scan.done:
            found = scan.take(1)
        scan.close()
        return found[0][1] if found else None
