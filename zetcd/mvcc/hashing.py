"""hash_kv: one number over what survives logically, equal on members that agree (design rule 18).

Definition. Let C be the compact revision (0 where never compacted) and R the revision asked for. Take every version
whose mod revision is at most R and that was not ended at or below C, ordered by user key, then by mod revision. Feed
to CRC-32C (Castagnoli, initial value 0), for each of them:

    u32 length of the user key, user key, u32 length of the row, row, u64 end

where row is the stored row (header and value, see `zetcd.mvcc.keys`) and end is the revision that overwrote or deleted
the version, 0 where that is above R or has not happened. Rows that compaction has yet to remove do not count.
"""

from struct import Struct

import google_crc32c

from zetcd.base.errors import COMPACTED, FUTURE_REVISION
from zetcd.mvcc.cursor import Cursor, Slice
from zetcd.mvcc.past import Past
from zetcd.mvcc.store import Store
from zetcd.wire.queries import HashKv
from zetcd.wire.results import Failed, Hashed, Result

_length = Struct(">I").pack
_end = Struct(">Q").pack


def open_hash(store: Store, query: HashKv) -> "Result | HashCursor":
    """A cursor that computes the hash, or what forbids it."""
    revision = query.revision if query.revision > 0 else store.revision
    if revision < store.compact_revision:
        return Failed(COMPACTED.code, COMPACTED.message, store.revision)
    if revision > store.revision:
        return Failed(FUTURE_REVISION.code, FUTURE_REVISION.message, store.revision)
    return HashCursor(store, revision)


class HashCursor(Cursor):
    """Hash of the store up to a revision, in slices."""

    __slots__ = ("_compact_revision", "_crc", "_hash_revision", "_past", "_revision")

    def __init__(self, store: Store, revision: int) -> None:
        self._revision = store.revision
        self._hash_revision = revision
        self._compact_revision = store.compact_revision
        self._past = Past(store.overlay, b"", None, store.compact_revision, revision)
        self._crc = 0

    def step(self) -> Result | None:
        """See `Cursor`."""
        budget = Slice()
        past = self._past
        while not past.done:
            ask = budget.ask()
            if not ask:
                return None
            cost = past.cost
            versions = past.take(ask)
            parts: list[bytes] = []
            for key, row, end in versions:
                parts += (_length(len(key)), key, _length(len(row)), row, _end(end))
            data = b"".join(parts)
            self._crc = google_crc32c.extend(self._crc, data)
            budget.spend(past.cost - cost, len(data))
        self.close()
        return Hashed(self._revision, self._crc, self._compact_revision, self._hash_revision)

    def pin(self) -> None:
        """See `Cursor`."""
        self._past.pin()

    def close(self) -> None:
        """See `Cursor`."""
        self._past.close()
