"""How many keys a range holds, in slices, with the help of what `zetcd.mvcc.counts` knows."""

from zetcd.mvcc.counts import Watch
from zetcd.mvcc.cursor import Slice
from zetcd.mvcc.keys import CREATE_KIND, DELETE_KIND, pack_place
from zetcd.mvcc.scan import Scan
from zetcd.mvcc.store import Store

LOG_REVISIONS_MAX = 50_000
"""A count at a past revision goes back over at most so many; beyond, the past itself is scanned."""


class Counting:
    """Counts the keys of [start, stop) as of its creation, or as of the past revision.

    Segments with a known count are skipped, the rest is scanned as it is at the time and learnt. Changes between the
    creation and the time a part is counted are taken off again (`Watch`), those between the past revision and the
    creation are read from the log.
    """

    __slots__ = ("_at", "_count", "_log", "_start", "_stop", "_store", "_watch")

    def __init__(self, store: Store, start: bytes, stop: bytes | None, past: int) -> None:
        self._store = store
        self._start = start
        self._stop = stop
        self._at: bytes | None = None if stop is not None and start >= stop else start  # None: all is counted
        self._count = 0
        self._watch: Watch | None = None
        self._log: Scan | None = store.log.scan(pack_place(past + 1, 0), None) if past else None

    @staticmethod
    def reaches(store: Store, past: int) -> bool:
        """Whether past (0: the present) is near enough."""
        return not past or store.revision - past <= LOG_REVISIONS_MAX

    def step(self, budget: Slice) -> int | None:
        """Go on; the count when it is complete."""
        while self._log is not None and not self._log.done:
            ask = budget.ask_keys()
            if not ask:
                return None
            pairs = self._log.take(ask)
            budget.spend(len(pairs), 0)
            self._go_back([record for _, record in pairs])
        while self._at is not None:
            known, self._at = self._store.counts.skip(self._at, self._stop)
            self._count += known
            if self._at is not None:
                ask = budget.ask_keys()
                if not ask:
                    self._move_watch()
                    return None
                self._scan(self._at, ask, budget)
            self._move_watch()
        delta = 0 if self._watch is None else self._watch.delta
        self.close()
        return self._count - delta

    def _go_back(self, records: list[bytes]) -> None:
        start, stop = self._start, self._stop
        for record in records:
            kind, key = record[0], record[1:]
            if start <= key and (stop is None or key < stop):
                if kind == CREATE_KIND:
                    self._count -= 1
                elif kind == DELETE_KIND:
                    self._count += 1

    def _scan(self, start: bytes, ask: int, budget: Slice) -> None:
        """Count a stretch that nobody knows, up to the next known one."""
        counts = self._store.counts
        stop, bound = self._stop, counts.bound_after(start)
        if bound is not None and (stop is None or bound < stop):
            stop = bound
        scan = self._store.current.scan(start, stop, keys_only=True)
        pairs = scan.take(ask)
        while not pairs and not scan.done:
            pairs = scan.take(ask)
        if not scan.done:
            stop = pairs[-1][0] + b"\x00"
        scan.close()
        budget.spend(len(pairs), 0)
        counts.learn(start, stop, len(pairs))
        self._count += len(pairs)
        self._at = None if stop == self._stop else stop

    def _move_watch(self) -> None:
        if self._watch is not None and self._at is not None:
            self._watch.start = self._at

    def pin(self) -> None:
        """The count goes on in later turns."""
        if self._at is not None:
            self._watch = self._store.counts.watch(self._at, self._stop)
        if self._log is not None:
            self._log.pin()

    def close(self) -> None:
        """Let go of everything; may be called twice."""
        if self._watch is not None:
            self._store.counts.unwatch(self._watch)
        if self._log is not None:
            self._log.close()
