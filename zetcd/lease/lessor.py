"""The lessor: when leases end, as long as this member leads. Pure; its clock is the `now_ms` it is given.

The replicated state knows of each lease: TTL, index of its grant, remaining TTL as last checkpointed (0: full). The
lessor of the leader adds deadlines of its own:

- A promotion (also: a start, of this process or of the member) sets every deadline to what remains plus an election
  timeout, so that nobody loses a lease to the change. What remains is the last checkpoint, or the full TTL.
- A renewal or a grant is stamped on the next `stamp(now_ms)`: counting from a later moment never ends a lease early.
- Checkpoints: once half of what remained has passed since the last stamp or checkpoint (at least CHECKPOINT_MIN_MS, at
  most the checkpoint interval), the remaining TTL goes into the log. So a crash lengthens an unrenewed lease by at
  most that much; an orderly stop checkpoints all and lengthens nothing. A lease renewed every third of its TTL,
  as etcd's clients do, is never checkpointed.
- Rule 11: a lease is *full for certain* only if it was granted in this era (since this promotion), or once a
  checkpoint to 0 proposed in it has been applied, and no other was proposed since. Otherwise something may yet turn
  up in the log: a checkpoint or a revocation of an earlier leader or of a former life of this process, or a
  checkpoint of ours in flight. A keep-alive of such a lease first commits a checkpoint to 0.
- Rule 12: a revocation carries the term of this leadership and the index of the grant.
"""

from collections import deque

from zetcd.base.limits import LEASE_CHECKPOINTS_PER_PROPOSAL, LEASE_RETRY_MS
from zetcd.lease.deadlines import NEVER, Lease, Wheel
from zetcd.wire.entry import LeaseRevoke
from zetcd.wire.local import LeaseRow

CHECKPOINT_MIN_MS = 5_000


class Lessor:
    """All leases, and the deadlines of those this member answers for."""

    __slots__ = (
        "_checkpoint_ms", "_election_ms", "_era", "_expired", "_unmarked", "_unstamped", "_wheel", "leases", "term",
    )  # fmt: skip

    def __init__(self, election_timeout_ms: int, checkpoint_interval_ms: int) -> None:
        """checkpoint_interval_ms 0 turns checkpoints off."""
        self._election_ms = election_timeout_ms
        self._checkpoint_ms = checkpoint_interval_ms
        self.leases: dict[int, Lease] = {}
        self.term = 0
        """Term of the leadership it answers under; 0: not primary."""
        self._era = 0
        self._wheel = Wheel()
        self._unstamped: list[Lease] = []
        self._unmarked: deque[Lease] = deque()  # due for a checkpoint
        self._expired: deque[Lease] = deque()  # due for a revocation

    @property
    def primary(self) -> bool:
        """Whether deadlines count here."""
        return self.term != 0

    # -- replicated state ------------------------------------------------------------------------------------------
    def clear(self) -> None:
        """Before a load."""
        self.demote()
        self.leases = {}

    def granted(self, row: LeaseRow) -> None:
        """A new lease, or one of a load."""
        lease = self.leases[row.id] = Lease(row.id, row.ttl, row.grant_index, min(row.remaining, row.ttl))
        if self.primary:
            lease.era = self._era  # no checkpoint of it can be on its way yet
            self._unstamped.append(lease)

    def checkpointed(self, row: LeaseRow) -> None:
        """A checkpoint was applied. To 0: the lease is full again, whoever asked for it."""
        lease = self.leases.get(row.id)
        if lease is None or lease.grant_index != row.grant_index:
            return
        lease.remaining = min(row.remaining, row.ttl)
        if not self.primary:
            return
        if row.remaining:
            if self.is_full(lease):
                lease.era = 0
        elif lease.revoke_at == NEVER:
            self._unstamped.append(lease)

    def revoked(self, lease_id: int) -> None:
        """Gone."""
        lease = self.leases.pop(lease_id, None)
        if lease is not None:
            lease.deadline = lease.mark_at = lease.revoke_at = NEVER

    # -- leadership ------------------------------------------------------------------------------------------------
    def promote(self, term: int, now_ms: int) -> None:
        """The member leads in term and has all leases."""
        assert term > 0
        self.demote()
        self.term = term
        self._era += 1
        for lease in self.leases.values():
            lease.slot = -1
            lease.revoke_at = NEVER
            self._set(lease, now_ms, (lease.remaining or lease.ttl) * 1_000 + self._election_ms)

    def demote(self) -> None:
        """Somebody else counts."""
        self.term = 0
        self._wheel.clear()
        self._unstamped = []
        self._unmarked.clear()
        self._expired.clear()

    # -- renewal ---------------------------------------------------------------------------------------------------
    def is_full(self, lease: Lease) -> bool:
        """Whether the replicated state calls it full, for certain (rule 11)."""
        return lease.era == self._era > 0

    def resetting(self, lease: Lease) -> None:
        """A checkpoint to 0 is being proposed."""
        lease.era = -self._era

    def is_resetting(self, lease: Lease) -> bool:
        """Whether one is on its way, and none to another value behind it."""
        return lease.era == -self._era < 0

    def reset(self, lease: Lease) -> None:
        """That very proposal was applied: nothing of an earlier leader or life can follow it in the log."""
        if self.is_resetting(lease):
            lease.era = self._era

    def forget_reset(self, lease: Lease) -> None:
        """That proposal was refused, or is overdue: the next keep-alive proposes another."""
        if self.is_resetting(lease):
            lease.era = 0

    def find(self, lease_id: int) -> Lease | None:
        """A lease that has not expired."""
        lease = self.leases.get(lease_id)
        return lease if lease is not None and lease.revoke_at == NEVER else None

    def renew(self, lease: Lease) -> None:
        """From the next stamp on for its whole TTL. Only under confirmed leadership, and full for certain."""
        assert self.is_full(lease), f"lease {lease.id} renewed while a checkpoint may shorten it"
        self._unstamped.append(lease)

    def remaining_s(self, lease_id: int, now_ms: int) -> int:
        """Whole seconds, rounded down; -1 for an unknown lease. Since now_ms, the last tick, some time has passed: a
        lease that has just been granted has not its full TTL any more."""
        lease = self.leases.get(lease_id)
        if lease is None:
            return -1
        if lease.deadline == NEVER:
            return (lease.remaining or lease.ttl) - 1
        return max(0, min(lease.ttl, (lease.deadline - now_ms - 1) // 1_000))

    # -- time ------------------------------------------------------------------------------------------------------
    def stamp(self, now_ms: int) -> None:
        """Grants and renewals since the last stamp count from now."""
        for lease in self._unstamped:
            if lease.revoke_at == NEVER and self.leases.get(lease.id) is lease:
                self._set(lease, now_ms, lease.ttl * 1_000)
        self._unstamped = []

    def scan(self, now_ms: int) -> None:
        """Sort out what has fallen due; `revocations` and `checkpoints` give it out."""
        for lease in self._wheel.due(now_ms):
            if lease.revoke_at <= now_ms:
                self._expired.append(lease)
            elif lease.deadline <= now_ms:
                lease.revoke_at = now_ms
                self._expired.append(lease)
            else:
                lease.mark_at = NEVER
                self._unmarked.append(lease)
                self._wheel.add(lease)

    def revocations(self, limit: int, now_ms: int) -> list[LeaseRevoke]:
        """Up to limit revocations to propose now; each comes again after LEASE_RETRY_MS until `revoked` is told."""
        found: list[LeaseRevoke] = []
        while self._expired and len(found) < limit:
            lease = self._expired.popleft()
            if lease.revoke_at == NEVER:
                continue
            found.append(LeaseRevoke(lease.id, self.term, lease.grant_index))
            lease.revoke_at = now_ms + LEASE_RETRY_MS
            self._wheel.add(lease)
        return found

    def checkpoints(self, now_ms: int) -> list[tuple[int, int]]:
        """(lease id, remaining seconds) for one LeaseCheckpoint to propose now."""
        found: list[tuple[int, int]] = []
        while self._unmarked and len(found) < LEASE_CHECKPOINTS_PER_PROPOSAL:
            lease = self._unmarked.popleft()
            # Renewed since it fell due: its mark has moved.
            if lease.mark_at == NEVER and lease.deadline != NEVER and lease.deadline > now_ms:
                self._checkpoint(lease, now_ms, found)
        return found

    def checkpoint_all(self, now_ms: int) -> list[tuple[int, int]]:
        """Before an orderly stop: every lease that has lost at least a second since the log last heard of it."""
        found: list[tuple[int, int]] = []
        if self.primary and self._checkpoint_ms:
            for lease in self.leases.values():
                known = lease.remaining or lease.ttl
                if now_ms < lease.deadline < NEVER and _seconds(lease, now_ms) < known:
                    self._checkpoint(lease, now_ms, found)
        return found

    def _checkpoint(self, lease: Lease, now_ms: int, found: list[tuple[int, int]]) -> None:
        remaining = _seconds(lease, now_ms)
        if remaining < lease.ttl and not self.is_resetting(lease):
            found.append((lease.id, remaining))
            lease.era = 0
        lease.mark_at = self._mark(now_ms, lease.deadline)
        self._wheel.add(lease)

    def _set(self, lease: Lease, now_ms: int, left_ms: int) -> None:
        lease.deadline = now_ms + left_ms
        lease.mark_at = self._mark(now_ms, lease.deadline)
        self._wheel.add(lease)

    def _mark(self, now_ms: int, deadline: int) -> int:
        if not self._checkpoint_ms:
            return NEVER
        mark = now_ms + min(self._checkpoint_ms, max(CHECKPOINT_MIN_MS, (deadline - now_ms) // 2))
        return mark if mark < deadline else NEVER


def _seconds(lease: Lease, now_ms: int) -> int:
    """What remains, rounded up: a checkpoint never shortens."""
    return -(-(lease.deadline - now_ms) // 1_000)
