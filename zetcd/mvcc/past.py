"""Versions of keys at past revisions: one scan of the current table and one of the former table, merged.

`Past` yields every version that was alive at some revision of [low, high], by user key, then by revision. With low ==
high that is the store at one revision, because the versions of a key do not overlap in time; with low the compact
revision it is everything that survives logically up to high, which is what `hash_kv` is defined over.
"""

from zetcd.mvcc.engine import Pair
from zetcd.mvcc.keys import MOD_FIELD, escape, former_end, former_key, pack_revision, split_former_key
from zetcd.mvcc.overlay import Overlay

Version = tuple[bytes, bytes, int]
"""(user key, row, revision that ended it; 0: alive at `high`)."""

SKIP_ROWS = 16
"""This many former rows of one key in a row are read past by a seek instead (a seek costs about as much)."""


class Past:
    """A pinned, ordered scan of versions in [start, stop)."""

    __slots__ = (
        "_alive", "_alive_at", "_former", "_former_at", "_high", "_low", "_now", "_then", "cost", "done",
    )  # fmt: skip

    def __init__(self, overlay: Overlay, start: bytes, stop: bytes | None, low: int, high: int) -> None:
        self._alive = overlay.current.scan(start, stop)
        self._former = overlay.former.scan(escape(start), None if stop is None else escape(stop))
        self._alive_at: bytes | None = b""  # scanned so far, inclusive; None: to the end
        self._former_at: bytes | None = b""
        self._low = low
        self._high = pack_revision(high)
        self._now: list[Version] = []
        self._then: list[Version] = []  # each waits until the other scan has got as far
        self.cost = 0  # rows read, whether or not they were of use
        self.done = False

    def take(self, count: int) -> list[Version]:
        """The next versions; an empty list is no sign of the end: see `done`."""
        alive, former = self._alive_at, self._former_at
        if alive is not None and (former is None or alive <= former):
            self._read_alive(count)
        else:
            self._read_former(count)
        return self._complete()

    def _complete(self) -> list[Version]:
        """What both scans have passed. The current scan has one row a key; the former one may stand within a key."""
        alive, former = self._alive_at, self._former_at
        if alive is None and former is None:
            self.done = True
            now, self._now = self._now, []
            then, self._then = self._then, []
        else:
            inclusive = former is None or (alive is not None and alive < former)
            bound = alive if inclusive else former
            assert bound is not None
            now, self._now = _cut(self._now, bound, inclusive=inclusive)
            then, self._then = _cut(self._then, bound, inclusive=inclusive)
        if now and then:
            now += then
            now.sort(key=_order)
            return now
        return now or then

    def _read_alive(self, count: int) -> None:
        pairs = self._alive.take(count)
        self.cost += len(pairs)
        high = self._high
        self._now += [(key, row, 0) for key, row in pairs if row[MOD_FIELD] <= high]
        if self._alive.done:
            self._alive_at = None
        elif pairs:
            self._alive_at = pairs[-1][0]

    def _read_former(self, count: int) -> None:
        pairs = self._former.take(count)
        self.cost += len(pairs)
        low, high = pack_revision(max(self._low, 0)), self._high
        limit = int.from_bytes(high, "big")
        for former, row in pairs:
            if former[-8:] > low and row[MOD_FIELD] <= high:
                key, end = split_former_key(former)
                self._then.append((key, row, end if end <= limit else 0))
        if self._former.done:
            self._former_at = None
        elif pairs:
            self._former_at = split_former_key(pairs[-1][0])[0]
            self._skip(pairs)

    def _skip(self, pairs: list[Pair]) -> None:
        """Leave out the rest of a key with a long history where it cannot matter."""
        if len(pairs) < SKIP_ROWS:
            return
        key, end = split_former_key(pairs[-1][0])
        if split_former_key(pairs[-SKIP_ROWS][0])[0] != key:
            return
        if pairs[-1][1][MOD_FIELD] > self._high:
            self._former.seek(former_end(key))
        elif end <= self._low:
            self._former.seek(former_key(key, self._low + 1))

    def pin(self) -> None:
        """See `Scan.pin`."""
        self._alive.pin()
        self._former.pin()

    def close(self) -> None:
        """See `Scan.close`."""
        self.done = True
        self._alive.close()
        self._former.close()


def _cut(versions: list[Version], bound: bytes, *, inclusive: bool) -> tuple[list[Version], list[Version]]:
    """Split at the user key bound."""
    at = 0
    for key, _, _ in versions:
        if key > bound or (key == bound and not inclusive):
            break
        at += 1
    return versions[:at], versions[at:]


def _order(version: Version) -> tuple[bytes, bytes]:
    return version[0], version[1][MOD_FIELD]
