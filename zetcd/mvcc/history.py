"""Events of past revisions, read back from the log table: how a watcher catches up.

The log says which keys changed; rows are fetched only for keys that somebody asked for. The row of a put at revision R
is the current one, or the one that the next change of the key ended. The former row of a change at R is the row that R
ended; at the compact revision itself it is compacted (design rule 18: decided by revisions, not by which rows happen
to be there).
"""

from bisect import bisect_right
from collections.abc import Sequence

from zetcd.base import limits
from zetcd.base.errors import Fatal
from zetcd.mvcc.keys import (
    CREATE_KIND,
    DELETE_KIND,
    MOD_FIELD,
    former_key,
    interval,
    pack_place,
    pack_revision,
    unpack_place,
)
from zetcd.mvcc.store import Store
from zetcd.wire.local import Event


class KeySet:
    """Which keys are asked for: single ones and ranges."""

    __slots__ = ("_keys", "_starts", "_stops")

    def __init__(self, ranges: Sequence[tuple[bytes, bytes]]) -> None:
        self._keys = {key: None for key, range_end in ranges if not range_end}
        self._starts: list[bytes] = []
        self._stops: list[bytes | None] = []
        for start, stop in sorted((interval(*bounds) for bounds in ranges if bounds[1]), key=_start):
            self._add(start, stop)

    def _add(self, start: bytes, stop: bytes | None) -> None:
        """Ranges come by start; overlapping ones are joined."""
        if self._stops:
            last = self._stops[-1]
            if last is None:
                return
            if start <= last:
                self._stops[-1] = None if stop is None else max(last, stop)
                return
        self._starts.append(start)
        self._stops.append(stop)

    def __contains__(self, key: bytes) -> bool:
        if key in self._keys:
            return True
        at = bisect_right(self._starts, key) - 1
        if at < 0:
            return False
        stop = self._stops[at]
        return stop is None or key < stop


def _start(bounds: tuple[bytes, bytes | None]) -> bytes:
    return bounds[0]


Change = tuple[int, int, int, bytes]
"""(revision, sub-revision, kind, user key)."""


def read_history(store: Store, first: int, last: int, keys: KeySet, *, prev: bool) -> tuple[int, list[Event]]:
    """One slice of the events in [first, last] on keys: how far it got, and the events, complete revisions only.

    first is at or above the compact revision, last at or below the current one. A slice ends after
    HISTORY_SLICE_REVISIONS revisions (or a multiple of so many changes), or the revision that filled
    HISTORY_SLICE_BYTES.
    """
    changes, upto = _read_log(store, first, last, keys)
    ended_by = _next_changes(changes)
    events: list[Event] = []
    size = 0
    for change, end in zip(changes, ended_by, strict=True):
        if size >= limits.HISTORY_SLICE_BYTES and change[0] != events[-1].revision:
            return change[0] - 1, events
        event = _fetch(store, change, end, prev=prev)
        size += len(event.key) + len(event.row or b"") + len(event.prev or b"")
        events.append(event)
    return upto, events


def _read_log(store: Store, first: int, last: int, keys: KeySet) -> tuple[list[Change], int]:
    """Changes on keys, and the last revision read in full."""
    most = limits.HISTORY_SLICE_REVISIONS
    scan = store.log.scan(pack_place(max(first, 0), 0), pack_place(last + 1, 0))
    changes: list[Change] = []
    at, revisions, rows = 0, 0, 0
    while not scan.done:
        for place, record in scan.take(most):
            revision, sub = unpack_place(place)
            if revision != at:
                if revisions >= most or rows >= 4 * most:
                    scan.close()
                    return changes, at
                at = revision
                revisions += 1
            rows += 1
            key = record[1:]
            if key in keys:
                changes.append((revision, sub, record[0], key))
    scan.close()
    return changes, last


def _next_changes(changes: list[Change]) -> list[int]:
    """For each change the revision of the next one on its key in the list, 0 for none: it names the row exactly."""
    later: dict[bytes, int] = {}
    found = []
    for revision, _, _, key in reversed(changes):
        found.append(later.get(key, 0))
        later[key] = revision
    found.reverse()
    return found


def _fetch(store: Store, change: Change, end: int, *, prev: bool) -> Event:
    revision, sub, kind, key = change
    row: bytes | None = None
    if kind != DELETE_KIND:
        row = store.former.get(former_key(key, end)) if end else _row_of(store, key, revision)
        if row is None:
            raise Fatal(f"the log has a put of {key!r} at revision {revision}, the store has no row of it")
    former: bytes | None = None
    if prev and kind != CREATE_KIND and revision > store.compact_revision:
        former = store.former.get(former_key(key, revision))
    return Event(revision, sub, key, row, former)


def _row_of(store: Store, key: bytes, revision: int) -> bytes | None:
    row = store.current.get(key)
    if row is None or row[MOD_FIELD] != pack_revision(revision):
        row = store.former_after(key, revision)
    return row
