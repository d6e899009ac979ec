"""Hash: one number over everything that is replicated, for Maintenance.Hash; equal on members that agree.

It goes on where hash_kv of the current revision ends: the leases, ids ascending, each as (u64 id + 2^63, i64 ttl, i64
index of the granting entry, i64 remaining TTL); then users and roles as they are stored (`zetcd.state.users`); then
the members, the removed ids and the alarms, one MessagePack array. Unlike hash_kv it can only be compared between
members that have applied the same index.
"""

import google_crc32c
import msgspec

from zetcd.base import limits
from zetcd.mvcc.cursor import Cursor
from zetcd.mvcc.scan import Scan
from zetcd.wire.results import Failed, Hashed, Result

_encode = msgspec.msgpack.Encoder().encode


class StoreHash(Cursor):
    """The history's cursor first, then the scans of other tables, one after the other; lists: what is small."""

    __slots__ = ("_crc", "_history", "_scans", "_lists", "_answer")  # noqa: RUF023 - in order of use

    def __init__(self, history: Cursor, scans: list[Scan], lists: object) -> None:
        self._history = history
        self._scans = scans
        self._lists = lists
        self._crc = 0
        self._answer: Hashed | None = None

    def step(self) -> Result | None:
        """See `Cursor`."""
        if self._answer is None:
            result = self._history.step()
            if type(result) is Failed:
                self.close()
                return result
            if type(result) is Hashed:
                self._answer = result
                self._crc = result.hash
            return None
        scan = next((scan for scan in self._scans if not scan.done), None)
        if scan is not None:
            pairs = scan.take(limits.READ_SLICE_KEYS)
            self._crc = google_crc32c.extend(self._crc, b"".join([key + row for key, row in pairs]))
            return None
        self.close()
        answer = self._answer
        crc = google_crc32c.extend(self._crc, _encode(self._lists))
        return Hashed(answer.revision, crc, answer.compact_revision, answer.hash_revision)

    def pin(self) -> None:
        """See `Cursor`."""
        self._history.pin()
        for scan in self._scans:
            scan.pin()

    def close(self) -> None:
        """See `Cursor`."""
        self._history.close()
        for scan in self._scans:
            scan.close()
