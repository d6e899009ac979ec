"""Compaction: a logical revision that decides at once, and a sweep that removes rows behind it in its own time.

`compact` is an entry of the log; from then on reads below the compact revision fail on every member alike (design rule
18). What may go then, and nothing else:

- former rows ended at or below the compact revision: no readable revision sees them;
- log rows below it. Those of the compact revision itself stay for watchers that start there, deletes included.

The sweep walks the log table from where the last one ended, a slice at a time, so its cost is that of the changes it
removes, not of the keys that stay. Its deletions go through the overlay together with its cursor: a crash takes both
back to the last flush, and the sweep goes on from there. Readers with a pinned view keep theirs.
"""

from zetcd.base.errors import COMPACTED, FUTURE_REVISION, Error
from zetcd.mvcc.keys import CREATE_KIND, PLACE_BYTES, State, former_key, pack_place, unpack_place
from zetcd.mvcc.store import Store


def check_compact(store: Store, revision: int) -> Error | None:
    """What forbids to compact at revision."""
    if revision <= store.compact_revision:
        return COMPACTED
    if revision > store.revision:
        return FUTURE_REVISION
    return None


class Sweeper:
    """The physical part of compaction."""

    __slots__ = ("_cursor", "_store", "_target", "rows", "swept")

    def __init__(self, store: Store, state: State) -> None:
        self._store = store
        self.swept = state.swept  # rows up to this compact revision are gone
        self.rows = 0  # removed in this life, former ones of keys
        self._target = state.target
        self._cursor = state.cursor, state.cursor_sub

    @property
    def place(self) -> tuple[int, int, int, int]:
        """(swept, target, cursor revision, cursor sub-revision), as `State` keeps them."""
        return self.swept, self._target, *self._cursor

    @property
    def pending(self) -> bool:
        """Whether there is anything to sweep."""
        return self.swept < self._store.compact_revision

    def sweep(self, count: int) -> bool:
        """Go over about count changes of the log; true while rows are left to go."""
        store = self._store
        if not self.pending:
            return False
        if self._target == self.swept:
            self._target, self._cursor = store.compact_revision, (max(self.swept, 0), 0)
        target = self._target
        scan = store.log.scan(pack_place(*self._cursor), pack_place(target + 1, 0))
        pairs = scan.take(count)
        done = scan.done
        scan.close()
        for place, record in pairs:
            self._remove(place, record)
        if done:
            self.swept = target
            self._cursor = target, 0
        elif pairs:
            revision, sub = unpack_place(pairs[-1][0])
            self._cursor = revision, sub + 1
        return self.pending

    def _remove(self, place: bytes, record: bytes) -> None:
        assert len(place) == PLACE_BYTES
        store, (revision, _) = self._store, unpack_place(place)
        if record[0] != CREATE_KIND and revision > self.swept:
            store.former.delete(former_key(record[1:], revision))
            self.rows += 1
        if revision < self._target:
            store.log.delete(place)
