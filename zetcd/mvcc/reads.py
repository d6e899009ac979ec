"""Range: etcd's KV.Range on the store, with every option (semantics 1.2).

- revision <= 0 reads the current state; below the compact revision or above the current one is an error.
- count is the number of keys in the range at that revision, whatever limit and filters say.
- Rows come by key. With a sort or a filter the whole range is read, filtered, sorted, then cut at limit; `more` says
  that something was cut. A sort target other than KEY without an order sorts ascending; etcd applies the limit before
  that sort, so its top-k is wrong, ours is right. Equal sort values stay in key order.
- keys_only rows are bare headers; sorting by VALUE still works on the values.
- An unknown sort order is none, an unknown sort target an error.
"""

from collections.abc import Callable
from operator import itemgetter

from zetcd.base import limits
from zetcd.base.errors import COMPACTED, FUTURE_REVISION, INVALID_SORT_OPTION, RANGE_TOO_LARGE, Error
from zetcd.mvcc.counting import Counting
from zetcd.mvcc.cursor import Cursor, Slice
from zetcd.mvcc.engine import Pair
from zetcd.mvcc.keys import CREATE_FIELD, HEADER_BYTES, MOD_FIELD, VERSION_FIELD, interval, unpack_header
from zetcd.mvcc.past import Past
from zetcd.mvcc.scan import Scan
from zetcd.mvcc.store import Store
from zetcd.wire.entry import Range, SortOrder, SortTarget
from zetcd.wire.results import Failed, RangeDone, Result

_row_of = itemgetter(1)
_SORT_KEYS: dict[int, Callable[[Pair], bytes]] = {
    SortTarget.KEY: lambda pair: pair[0],
    SortTarget.VERSION: lambda pair: pair[1][VERSION_FIELD],
    SortTarget.CREATE: lambda pair: pair[1][CREATE_FIELD],
    SortTarget.MOD: lambda pair: pair[1][MOD_FIELD],
    SortTarget.VALUE: lambda pair: pair[1][HEADER_BYTES:],
}


def check_range(query: Range, revision: int, compact_revision: int) -> Error | None:
    """What forbids the read in a store at revision, compacted at compact_revision."""
    if query.sort_target not in _SORT_KEYS:
        return INVALID_SORT_OPTION
    if query.revision > revision:
        return FUTURE_REVISION
    if 0 < query.revision < compact_revision:
        return COMPACTED
    return None


def open_range(store: Store, query: Range) -> "Result | RangeCursor":
    """The answer, where it needs no scan, or a cursor on its first step."""
    if not query.range_end and query.revision <= 0 and query.sort_target in _SORT_KEYS:
        return _single(store, query, store.current.get(query.key))  # the read of all reads: nothing forbids it
    error = check_range(query, store.revision, store.compact_revision)
    if error is not None:
        return Failed(error.code, error.message, store.revision)
    latest = query.revision <= 0 or (query.revision == store.revision and not store.changed)
    if not query.range_end:
        row = store.current.get(query.key) if latest else store.get_at(query.key, query.revision)
        return _single(store, query, row)
    if query.count_only and latest:
        count, rest = store.counts.skip(*interval(query.key, query.range_end))
        if rest is None:
            return RangeDone(store.shown_revision, [], more=False, count=count)
    return RangeCursor(store, query, latest=latest)


def _single(store: Store, query: Range, row: bytes | None) -> RangeDone:
    if row is None:
        return RangeDone(store.shown_revision, [], False, 0)
    if query.count_only or (is_filtered(query) and not passes(query, row)):
        return RangeDone(store.shown_revision, [], False, 1)
    return RangeDone(store.shown_revision, [(query.key, row[:HEADER_BYTES] if query.keys_only else row)], False, 1)


def is_filtered(query: Range) -> bool:
    """Whether query has a revision filter."""
    return bool(
        query.min_mod_revision or query.max_mod_revision or query.min_create_revision or query.max_create_revision
    )


def passes(query: Range, row: bytes) -> bool:
    """Whether the filters let row through; 0 is no filter."""
    create, mod, _, _, _ = unpack_header(row)
    return not (
        (query.min_mod_revision and mod < query.min_mod_revision)
        or (query.max_mod_revision and mod > query.max_mod_revision)
        or (query.min_create_revision and create < query.min_create_revision)
        or (query.max_create_revision and create > query.max_create_revision)
    )


class RangeCursor(Cursor):
    """A range read: collects the rows that may be answered, then counts the rest of the range."""

    __slots__ = (
        "_bytes", "_count", "_counting", "_limit", "_past", "_pinned", "_query", "_reverse", "_rows", "_scan",
        "_sorted", "_start", "_stop", "_store", "_wanted", "revision",
    )  # fmt: skip

    def __init__(self, store: Store, query: Range, *, latest: bool) -> None:
        self._store = store
        self._query = query
        self._past = 0 if latest else query.revision
        self.revision = store.shown_revision
        self._start, self._stop = interval(query.key, query.range_end)
        by_key = query.sort_target == SortTarget.KEY
        descending = query.sort_order == SortOrder.DESCEND
        # A backward scan serves "the last keys"; the former table is only read forward.
        self._reverse = descending and by_key and latest
        self._sorted = not by_key or (descending and not self._reverse)
        self._limit = max(query.limit, 0)
        # One more than the limit tells whether there is more; sorts and filters want everything.
        plain = not self._sorted and not is_filtered(query)
        self._wanted = self._limit + 1 if self._limit and plain else 0
        self._rows: list[Pair] = []
        self._bytes = 0
        self._count = 0
        self._counting: Counting | None = None
        self._pinned = False
        self._scan: Scan | Past
        if latest:
            self._scan = store.current.scan(self._start, self._stop, reverse=self._reverse)
        else:
            self._scan = Past(store.overlay, self._start, self._stop, query.revision, query.revision)
        if query.count_only:
            self._count_from(self._start, 0)

    def step(self) -> Result | None:
        """See `Cursor`."""
        budget = Slice()
        if self._counting is None and not self._read_rows(budget):
            return None
        if self._bytes > limits.READ_RESULT_BYTES_MAX:
            self.close()
            return Failed(RANGE_TOO_LARGE.code, RANGE_TOO_LARGE.message, self.revision)
        if self._counting is not None:
            rest = self._counting.step(budget)
            if rest is None:
                return None
            self._count += rest
        return self._answer()

    def _read_rows(self, budget: Slice) -> bool:
        """Go on with the scan; true when it has ended or handed over to a count."""
        scan = self._scan
        while not scan.done and self._bytes <= limits.READ_RESULT_BYTES_MAX:
            ask = budget.ask()
            if not ask:
                return False
            full = self._is_full()
            if self._wanted and not full:
                ask = min(ask, self._wanted - len(self._rows))
            pairs = scan.take(ask) if isinstance(scan, Scan) else [(key, row) for key, row, _ in scan.take(ask)]
            size = sum(map(len, map(_row_of, pairs)))
            budget.spend(len(pairs), size)
            self._count += len(pairs)
            if full:
                continue  # what the limit cuts is still counted
            self._collect(pairs, size)
            if self._is_full() and not scan.done and self._count_rest():
                return True
        return True

    def _is_full(self) -> bool:
        return self._query.count_only or bool(self._wanted and len(self._rows) >= self._wanted)

    def _count_rest(self) -> bool:
        """The limit is reached: count what lies behind it with what is known of the present, if the view still is the
        present; otherwise the scan goes on to the end."""
        if self._reverse:
            return self._count_from(self._start, 0)
        # Where the answer is cut the next page begins: a bound there makes its count known.
        return self._count_from(self._rows[self._limit - 1][0] + b"\x00", self._limit)

    def _count_from(self, start: bytes, before: int) -> bool:
        store = self._store
        if self.revision != store.shown_revision or not Counting.reaches(store, self._past):
            return False
        if 0 < self._past < store.compact_revision:
            return False  # compacted since the read began: the log that leads back to its revision may be swept
        if before and not self._past:
            store.counts.learn(self._start, start, before)
        self._count = before
        self._counting = Counting(store, start, self._stop, self._past)
        if self._pinned:
            self._counting.pin()
        self._scan.close()
        return True

    def _collect(self, pairs: list[Pair], size: int) -> None:
        query = self._query
        if is_filtered(query):
            pairs = [pair for pair in pairs if passes(query, pair[1])]
        if query.keys_only and query.sort_target != SortTarget.VALUE:
            pairs = [(key, row[:HEADER_BYTES]) for key, row in pairs]
            size = HEADER_BYTES * len(pairs)
        self._rows = self._rows + pairs if self._rows else pairs
        self._bytes += size
        if self._sorted and self._limit and len(self._rows) > 2 * (self._limit + limits.READ_SLICE_KEYS):
            # Of a sort with a limit only the best rows so far are kept.
            self._sort()
            self._rows = self._rows[: self._limit + 1]
            self._bytes = sum(map(len, map(_row_of, self._rows)))

    def _sort(self) -> None:
        descending = self._query.sort_order == SortOrder.DESCEND
        self._rows.sort(key=_SORT_KEYS[self._query.sort_target], reverse=descending)

    def _answer(self) -> RangeDone:
        query, limit = self._query, self._limit
        if self._sorted:
            self._sort()
        rows = self._rows
        more = bool(limit) and len(rows) > limit
        if more:
            rows = rows[:limit]
        if query.keys_only and query.sort_target == SortTarget.VALUE:
            rows = [(key, row[:HEADER_BYTES]) for key, row in rows]
        self.close()
        return RangeDone(self.revision, rows, more, self._count)

    def pin(self) -> None:
        """See `Cursor`."""
        self._pinned = True
        if self._counting is not None:
            self._counting.pin()
        else:
            self._scan.pin()

    def close(self) -> None:
        """See `Cursor`."""
        self._scan.close()
        if self._counting is not None:
            self._counting.close()
