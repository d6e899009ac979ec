"""A wheel of deadlines: what is due next among a million leases, at the cost of a list entry each.

Time is cut into slots of SLOT_MS; a slot holds the leases that need a look in it. A lease has one valid entry, named by
its own `slot`. Moving a deadline further away (every keep-alive does) touches nothing: the lease is looked at in its
old slot and put where it belongs then. Moving it closer makes a new entry and leaves the old one to be skipped.
"""

from heapq import heappop, heappush

from msgspec import Struct

SLOT_MS = 100
NEVER = 2**62
"""A time that does not come."""
LOOKS = 50_000
"""Leases looked at in one scan: some 50 ms."""


class Lease(Struct, gc=False):
    """A lease as the lease process sees it. Times are milliseconds of this process's own clock.

    remaining: as checkpointed in the replicated state, seconds, 0 for full. deadline: NEVER until it has been stamped.
    mark_at: when its remaining TTL is to be checkpointed next. era: of the promotion after which the replicated state
    is known to call it full (rule 11). revoke_at: when its revocation may be proposed (again), NEVER while alive.
    """

    id: int
    ttl: int
    grant_index: int
    remaining: int = 0
    deadline: int = NEVER
    mark_at: int = NEVER
    slot: int = -1
    era: int = 0
    revoke_at: int = NEVER

    def look_at(self) -> int:
        """When something is to be done about it next."""
        return min(self.deadline, self.mark_at) if self.revoke_at == NEVER else self.revoke_at


class Wheel:
    """Leases by the slot of their `look_at`."""

    __slots__ = ("_order", "_slots")

    def __init__(self) -> None:
        self._slots: dict[int, list[Lease]] = {}
        self._order: list[int] = []  # heap of the slots in use

    def clear(self) -> None:
        """Forget all entries; the leases' slots are stale then, `add` them with slot -1."""
        self._slots = {}
        self._order = []

    def add(self, lease: Lease) -> None:
        """Call after look_at() changed; nothing where it only moved away."""
        at = lease.look_at()
        if at == NEVER:
            lease.slot = -1
            return
        slot = -(-at // SLOT_MS)
        if 0 <= lease.slot <= slot:
            return
        entries = self._slots.get(slot)
        if entries is None:
            self._slots[slot] = [lease]
            heappush(self._order, slot)
        else:
            entries.append(lease)
        lease.slot = slot

    def due(self, now_ms: int, looks: int = LOOKS) -> list[Lease]:
        """Take out the leases whose time has come, by slot; those that only moved are put where they belong. After
        so many looks the rest waits for the next call."""
        found: list[Lease] = []
        limit = now_ms // SLOT_MS
        while looks > 0 and self._order and self._order[0] <= limit:
            slot = heappop(self._order)
            entries = self._slots.pop(slot)
            if len(entries) > looks:
                self._slots[slot] = entries[looks:]
                heappush(self._order, slot)
                del entries[looks:]
            looks -= len(entries)
            for lease in entries:
                if lease.slot != slot:
                    continue
                lease.slot = -1
                if lease.look_at() <= now_ms:
                    found.append(lease)
                else:
                    self.add(lease)
        return found
