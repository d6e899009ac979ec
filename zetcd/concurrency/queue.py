"""Lock and Campaign: wait in a queue of keys under one prefix, ordered by create revision.

The key hangs on a lease, so a waiter that dies leaves the queue. It waits for its direct predecessor alone, and for its
own key: a lease that ends while waiting ends the request at once. Whoever finds no predecessor reads its own key once
more: etcd once granted locks whose lease had ended (its issue 11456).
"""

from collections.abc import Sequence

from zetcd.base.errors import ELECTION_NOT_LEADER, SESSION_EXPIRED, Error
from zetcd.concurrency.steps import (
    SESSION_TTL_S,
    DecodeRow,
    Fail,
    Finish,
    Propose,
    Query,
    Step,
    Wait,
    fail,
    guarded,
    key_of,
    oldest,
    prefix_of,
    put_if_absent,
    youngest_before,
)
from zetcd.wire.client import CampaignRequest, LeaderKey, LockRequest
from zetcd.wire.entry import DeleteRange, LeaseGrant, Put, Range
from zetcd.wire.local import Event
from zetcd.wire.results import Failed, LeaseGranted, RangeDone, Result, TxnDone


class Queued:
    """Both; a lock is a campaign without a value."""

    def __init__(self, request: LockRequest | CampaignRequest, new_lease: int, decode_row: DecodeRow) -> None:
        """new_lease: a random id, used where the request names no lease."""
        self._request = request
        self._campaign = isinstance(request, CampaignRequest)
        self._value = request.value if isinstance(request, CampaignRequest) else b""
        self._lost: Error = ELECTION_NOT_LEADER if self._campaign else SESSION_EXPIRED
        self._decode_row = decode_row
        self._lease = request.lease or new_lease
        self._prefix = prefix_of(request.name)
        self._key = key_of(request.name, self._lease)
        self._created = 0  # create revision of our key; 0: not in the queue yet
        self._joined = 0  # header revision of the transaction that put us there
        self._proclaiming = False
        self._predecessor: RangeDone | None = None

    def start(self) -> list[Step]:
        """A lease, where there is none, then the key."""
        if self._request.lease:
            return self._join()
        return [Propose(LeaseGrant(self._lease, SESSION_TTL_S))]

    def on_result(self, result: Result) -> list[Step]:
        """See the module."""
        if isinstance(result, Failed):
            return [*self.abandon(), *fail(result)]
        if isinstance(result, LeaseGranted):
            return self._join()
        if isinstance(result, TxnDone):
            return self._proclaimed(result) if self._proclaiming else self._on_joined(result)
        assert isinstance(result, RangeDone)
        if self._predecessor is None:
            self._predecessor = result
            return []
        return self._decide(result)

    def on_woken(self, _events: Sequence[Event], _next_revision: int) -> list[Step]:
        """Somebody left, or we could not watch: look again."""
        return self._look()

    def abandon(self) -> list[Step]:
        """Leave the queue."""
        if not self._created:
            return []
        return [Propose(guarded(self._key, self._created, DeleteRange(self._key)))]

    def _join(self) -> list[Step]:
        return [Propose(put_if_absent(self._key, self._value, self._lease, oldest(self._prefix)))]

    def _on_joined(self, result: TxnDone) -> list[Step]:
        self._joined = result.revision
        own, owner = result.results
        assert isinstance(owner, RangeDone)
        self._created = result.revision
        if isinstance(own, RangeDone):  # this lease is in the queue already
            held = self._decode_row(*own.rows[0])
            self._created = held.create_revision
            if self._campaign and held.value != self._value:
                self._proclaiming = True
                put = Put(self._key, self._value, self._lease)
                return [Propose(guarded(self._key, self._created, put))]
        if not owner.rows or self._decode_row(*owner.rows[0]).create_revision == self._created:
            return [self._finish(result.revision)]
        return self._look()

    def _proclaimed(self, result: TxnDone) -> list[Step]:
        self._proclaiming = False
        return self._look() if result.succeeded else [Fail(self._lost)]

    def _look(self) -> list[Step]:
        self._predecessor = None
        return [Query(youngest_before(self._prefix, self._created)), Query(Range(self._key))]

    def _decide(self, own: RangeDone) -> list[Step]:
        predecessor = self._predecessor
        assert predecessor is not None
        if not own.rows or self._decode_row(*own.rows[0]).create_revision != self._created:
            self._created = 0
            return [Fail(self._lost)]
        if not predecessor.rows:
            return [self._finish(own.revision)]
        waited_for = (predecessor.rows[0][0], b"")
        return [Wait((waited_for, (self._key, b"")), predecessor.revision + 1, deletes_only=True)]

    def _finish(self, revision: int) -> Finish:
        if not self._campaign:
            return Finish(revision, {"key": self._key})
        leader = LeaderKey(self._request.name, self._key, self._created, self._lease)
        return Finish(self._joined, {"leader": leader})
