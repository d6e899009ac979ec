"""Leases as replicated state (semantics 1.4) and design rule 12."""

import pytest

from tests.unit.state.replica import Replica, keys_of
from zetcd.base.errors import LEASE_EXISTS, LEASE_NOT_FOUND, LEASE_TTL_TOO_LARGE, Error
from zetcd.base.limits import LEASE_TTL_MAX_S, READ_SLICE_KEYS
from zetcd.mvcc.engine import MemoryEngine
from zetcd.state.machine import Cursor
from zetcd.wire.entry import IGNORE_VALUE, DeleteRange, LeaseCheckpoint, LeaseGrant, LeaseRevoke, Put, Range, Txn
from zetcd.wire.local import LeaseRow
from zetcd.wire.queries import LeaseInfo, LeaseList
from zetcd.wire.results import Done, Failed, LeaseGranted, LeaseIs, Leases

ALL = Range(b"\x00", b"\x00")


@pytest.fixture
def replica() -> Replica:
    return Replica(MemoryEngine())


def failed(error: Error, revision: int) -> Failed:
    return Failed(error.code, error.message, revision)


def attached(replica: Replica, lease: int) -> list[bytes]:
    answer = replica.read(LeaseInfo(lease, keys=True))
    assert isinstance(answer, LeaseIs)
    return answer.keys


def test_grant(replica: Replica) -> None:
    outcome = replica.execute(LeaseGrant(-5, 10), LeaseGrant(-5, 10), LeaseGrant(6, LEASE_TTL_MAX_S + 1))
    assert [result for _, _, result in outcome.replies] == [
        LeaseGranted(1, -5, 10),
        failed(LEASE_EXISTS, 1),
        failed(LEASE_TTL_TOO_LARGE, 1),
    ]
    assert outcome.granted == [LeaseRow(-5, 10, 1)]
    assert replica.one(LeaseGrant(6, LEASE_TTL_MAX_S)) == LeaseGranted(1, 6, LEASE_TTL_MAX_S)
    assert replica.read(LeaseList()) == Leases(1, [-5, 6])
    assert replica.read(LeaseInfo(-5)) == LeaseIs(1, -5, 10, [])
    assert replica.read(LeaseInfo(9, keys=True)) == LeaseIs(1, 9, 0, [])


def test_keys_move_between_leases(replica: Replica) -> None:
    """One lease a key; a put without a lease takes it off; a lease outlives its keys."""
    replica.run(LeaseGrant(1, 10), LeaseGrant(2, 10), Put(b"b", b"", 1), Put(b"a", b"", 1))
    assert attached(replica, 1) == [b"a", b"b"]
    replica.run(Put(b"a", b"", 2))
    assert (attached(replica, 1), attached(replica, 2)) == ([b"b"], [b"a"])
    replica.run(Put(b"a", b""))
    assert attached(replica, 2) == []
    replica.run(Put(b"a", b"", 1), Put(b"a", b"again", 1), Put(b"a", b"", 2, IGNORE_VALUE))
    assert (attached(replica, 1), attached(replica, 2)) == ([b"b"], [b"a"])
    replica.run(DeleteRange(b"\x00", b"\x00"))
    assert (attached(replica, 1), attached(replica, 2)) == ([], [])
    assert replica.read(LeaseList()) == Leases(replica.machine.revision, [1, 2])
    replica.run(Txn([], [Put(b"t", b"", 1)], []))
    assert attached(replica, 1) == [b"t"]
    assert replica.one(Put(b"a", b"", 3)) == failed(LEASE_NOT_FOUND, replica.machine.revision)


def test_revoke_deletes_all_keys_in_one_revision_sorted(replica: Replica) -> None:
    replica.run(LeaseGrant(1, 10), *[Put(key, b"", 1) for key in (b"c", b"a\x00", b"a")], Put(b"b", b""))
    before = replica.machine.revision
    outcome = replica.execute(LeaseRevoke(1))
    assert outcome.replies[0][2] == Done(before + 1)
    assert [(event.revision, event.sub, event.key) for event in outcome.events] == [
        (before + 1, 0, b"a"),
        (before + 1, 1, b"a\x00"),
        (before + 1, 2, b"c"),
    ]
    assert outcome.revoked == [1]
    assert keys_of(replica.read(ALL)) == [b"b"]
    assert replica.one(LeaseRevoke(1)) == failed(LEASE_NOT_FOUND, before + 1)


def test_revoke_without_keys_leaves_the_revision(replica: Replica) -> None:
    assert replica.run(LeaseGrant(1, 10), LeaseRevoke(1)) == [LeaseGranted(1, 1, 10), Done(1)]


def test_rule_12_expiry_needs_its_own_term_and_grant(replica: Replica) -> None:
    """A revocation proposed in an older term, or for an earlier grant of the same id, hits nothing and says nothing."""
    replica.run(LeaseGrant(1, 10), Put(b"a", b"", 1), term=3)  # granted by entry 1
    for late in (LeaseRevoke(1, 2, 1), LeaseRevoke(1, 4, 1), LeaseRevoke(1, 3, 2), LeaseRevoke(9, 3, 1)):
        outcome = replica.execute(late, term=3)
        assert outcome.replies[0][2] == Done(2)
        assert (outcome.revoked, outcome.events) == ([], [])
    assert keys_of(replica.read(ALL)) == [b"a"]
    assert replica.one(LeaseRevoke(1, 3, 1), term=4) == Done(2), "the entry's own term counts, not the proposer's word"
    assert keys_of(replica.read(ALL)) == [b"a"]
    assert replica.execute(LeaseRevoke(1, 4, 1), term=4).revoked == [1]
    assert keys_of(replica.read(ALL)) == []


def test_rule_12_a_lease_granted_anew_survives_the_old_expiry(replica: Replica) -> None:
    replica.run(LeaseGrant(1, 10))
    expiry = LeaseRevoke(1, 1, 1)
    replica.run(LeaseRevoke(1), LeaseGrant(1, 10), Put(b"a", b"", 1))
    assert replica.execute(expiry).revoked == []
    assert attached(replica, 1) == [b"a"]


def test_checkpoints_are_replicated(replica: Replica) -> None:
    replica.run(LeaseGrant(1, 100), LeaseGrant(2, 100))
    outcome = replica.execute(LeaseCheckpoint([(1, 40), (9, 5), (2, 0)]))
    assert outcome.checkpointed == [LeaseRow(1, 100, 1, 40), LeaseRow(2, 100, 2, 0)]
    replica.flush()
    replica.open(replica.engine)
    assert replica.machine.lease_rows(0, 9) == [LeaseRow(1, 100, 1, 40), LeaseRow(2, 100, 2, 0)]


def test_lease_rows_come_in_slices(replica: Replica) -> None:
    replica.run(*[LeaseGrant(lease, 10) for lease in (-(2**63), -1, 1, 2, 2**63 - 1)])
    found: list[int] = []
    after = -(2**63) - 1
    while rows := replica.machine.lease_rows(after, 2):
        found += [row.id for row in rows]
        after = rows[-1].id
        if len(rows) < 2:
            break
    assert found == [-(2**63), -1, 1, 2, 2**63 - 1]


def test_rule_19_long_lists_are_cursors(replica: Replica) -> None:
    count = READ_SLICE_KEYS + 500
    replica.run(LeaseGrant(1, 10), *[Put(b"%06d" % number, b"", 1) for number in range(count)])
    cursor = replica.machine.query(LeaseInfo(1, keys=True))
    assert isinstance(cursor, Cursor)
    replica.run(LeaseRevoke(1))
    replica.flush()
    while (answer := cursor.step()) is None:
        pass
    assert isinstance(answer, LeaseIs)
    assert len(answer.keys) == count


def test_a_slice_may_end_with_the_highest_id_there_is(replica: Replica) -> None:
    """A lease process that loads them asks on from there."""
    highest = 2**63 - 1
    replica.run(LeaseGrant(highest - 1, 9), LeaseGrant(highest, 9), LeaseGrant(-(2**63), 9))
    assert [row.id for row in replica.machine.lease_rows(-(2**63) - 1, 3)] == [-(2**63), highest - 1, highest]
    assert replica.machine.lease_rows(highest, 3) == []
