"""Leases as replicated state: who was granted what, and which keys hang on which lease.

Deadlines are not here: they belong to the lease process of the leader, which proposes revocations (rule 12).
A key has at most one lease; a lease outlives its keys. `remaining` is the TTL last checkpointed, 0 for a full one.
"""

from zetcd.base import limits
from zetcd.base.errors import LEASE_EXISTS, LEASE_NOT_FOUND, LEASE_TTL_TOO_LARGE, Error
from zetcd.mvcc.keys import lease_id, lease_key, lease_of, pack_lease, successor, unpack_lease
from zetcd.mvcc.overlay import Overlay
from zetcd.mvcc.scan import Scan
from zetcd.wire.local import LeaseRow

LEASE_ID_MAX = 2**63 - 1
KNOWN_MAX = 10_000
"""Ids of existing leases kept at hand, so that a put on a lease need not look the lease up."""


class Leases:
    """The lease and attachment tables."""

    __slots__ = ("_attached", "_known", "_leases", "count")

    def __init__(self, overlay: Overlay, count: int) -> None:
        self._leases = overlay.leases
        self._attached = overlay.attached
        self._known: dict[int, None] = {}
        self.count = count

    def has(self, lease: int) -> bool:
        """Whether the lease exists."""
        known = self._known
        if lease in known:
            return True
        if self._leases.get(lease_key(lease)) is None:
            return False
        if len(known) >= KNOWN_MAX:
            known.clear()
        known[lease] = None
        return True

    def find(self, lease: int) -> LeaseRow | None:
        """The lease as it is."""
        row = self._leases.get(lease_key(lease))
        return None if row is None else LeaseRow(lease, *unpack_lease(row))

    def grant(self, lease: int, ttl: int, index: int) -> Error | LeaseRow:
        """Create a lease by the entry at index; ttl in seconds, already raised to the minimum."""
        if ttl > limits.LEASE_TTL_MAX_S:
            return LEASE_TTL_TOO_LARGE
        if lease == 0:
            return LEASE_NOT_FOUND
        if self.has(lease):
            return LEASE_EXISTS
        self._leases.put(lease_key(lease), pack_lease(ttl, index, 0))
        self.count += 1
        return LeaseRow(lease, ttl, index)

    def checkpoint(self, lease: int, remaining: int) -> LeaseRow | None:
        """Remember the remaining TTL (0: full again); None where the lease is gone."""
        found = self.find(lease)
        if found is None:
            return None
        self._leases.put(lease_key(lease), pack_lease(found.ttl, found.grant_index, remaining))
        return LeaseRow(lease, found.ttl, found.grant_index, remaining)

    def remove(self, lease: int) -> None:
        """The lease is gone; its keys have been deleted."""
        self._leases.delete(lease_key(lease))
        self._known.pop(lease, None)
        self.count -= 1

    def move(self, key: bytes, former: bytes | None, lease: int) -> None:
        """Key, whose former row is given, now hangs on lease (0: on none)."""
        before = 0 if former is None else lease_of(former)
        if before == lease:
            return
        if before:
            self._attached.delete(lease_key(before) + key)
        if lease:
            self._attached.put(lease_key(lease) + key, b"")

    def keys_of(self, lease: int) -> Scan:
        """Scan of the attachments of a lease, in key order; see `attached_key`."""
        prefix = lease_key(lease)
        return self._attached.scan(prefix, successor(prefix))

    def scan(self, after: int) -> Scan:
        """Scan of the leases with ids above after, ascending; see `row_of`."""
        return self._leases.scan(lease_key(after + 1), None)

    def rows(self, after: int, count: int) -> list[LeaseRow]:
        """The next leases with ids above after, ascending; fewer than count only at the end."""
        if after >= LEASE_ID_MAX:
            return []
        scan = self.scan(after)
        found: list[LeaseRow] = []
        while len(found) < count and not scan.done:
            found += [row_of(*pair) for pair in scan.take(min(count - len(found), limits.READ_SLICE_KEYS))]
        scan.close()
        return found[:count]


def row_of(key: bytes, row: bytes) -> LeaseRow:
    """A pair of the lease table as a message."""
    return LeaseRow(lease_id(key), *unpack_lease(row))


def attached_key(key: bytes) -> bytes:
    """The user key of a key of the attachment table."""
    return key[8:]
