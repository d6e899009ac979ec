"""The store as etcd's backend: which rows the file holds, in slices, consistent while writes go on."""

import hashlib
import random

import pytest

from tests.unit.bolt.reading import buckets
from tests.unit.state.replica import Replica
from zetcd.base import limits
from zetcd.mvcc.engine import MemoryEngine
from zetcd.state import backend
from zetcd.state.export import Export
from zetcd.wire.entry import (
    Alarm,
    Compact,
    DeleteRange,
    LeaseGrant,
    MemberChange,
    Put,
    RoleAdd,
    RoleGrantPermission,
    UserAdd,
    UserGrantRole,
)


@pytest.fixture
def replica() -> Replica:
    return Replica(MemoryEngine())


def begun(replica: Replica) -> Export:
    flush = None
    while flush is None:
        flush = replica.machine.freeze(0, force=True)
    flush.write()
    replica.machine.flushed(flush)
    return replica.machine.export(MemoryEngine())


def whole(export: Export) -> bytes:
    while not export.planned:
        export.plan()
    data = b""
    while export.remaining:
        assert export.size - len(data) == export.remaining
        chunk = export.read()
        assert chunk is None or len(chunk) == limits.EXPORT_CHUNK_BYTES or not export.remaining
        data += chunk or b""
    assert len(data) == export.size
    assert export.digest == hashlib.sha256(data).digest()
    export.close()
    return data


def test_an_empty_store(replica: Replica) -> None:
    replica.run(MemberChange(1, 9, "m", ["tcp://a:1"], []))
    found = buckets(whole(begun(replica)))
    assert found[b"key"] == {}
    assert found[b"cluster"] == {b"clusterVersion": b"3.5.0"}
    assert found[b"auth"] == {b"authRevision": bytes(7) + b"\x01"}
    assert found[b"members"] == {b"%016x" % 9: b'{"id":9,"peerURLs":["tcp://a:1"],"name":"m"}'}
    assert found[b"meta"][b"confState"] == b'{"voters":[9],"auto_leave":false}'
    assert b" ".join(sorted(found)) == b"alarm auth authRoles authUsers cluster key lease members members_removed meta"


def test_every_version_and_deletion_since_the_compaction(replica: Replica) -> None:
    replica.run(Put(b"a", b"1"), Put(b"b", b"2"), Put(b"a", b"3"), DeleteRange(b"b"), Put(b"b", b"4"), Compact(4))
    replica.run(DeleteRange(b"a"))
    found = buckets(whole(begun(replica)))
    key = backend.revision_key
    assert list(found[b"key"]) == [key(3, 0), key(4, 0), key(5, 0, deleted=True), key(6, 0), key(7, 0, deleted=True)]
    assert found[b"key"][key(4, 0)] == b"\x0a\x01a\x10\x02\x18\x04\x20\x02\x2a\x013"
    assert found[b"key"][key(5, 0, deleted=True)] == b"\x0a\x01b"
    assert found[b"meta"][b"finishedCompactRev"] == found[b"meta"][b"scheduledCompactRev"] == key(4, 0)


def test_leases_stand_in_unsigned_order_and_alarms_and_removed_members_are_there(replica: Replica) -> None:
    replica.run(
        LeaseGrant(-5, 60), LeaseGrant(7, 70), LeaseGrant(2**62, 80), Alarm(1, 9, 1),
        MemberChange(1, 9, "m", ["tcp://a:1"], []), MemberChange(2, 10, "", ["tcp://a:2"], []), MemberChange(5, 10),
    )  # fmt: skip
    found = buckets(whole(begun(replica)))
    assert list(found[b"lease"]) == [(7).to_bytes(8, "big"), (2**62).to_bytes(8, "big"), (2**64 - 5).to_bytes(8, "big")]
    assert found[b"lease"][(7).to_bytes(8, "big")] == b"\x08\x07\x10\x46"
    assert found[b"alarm"] == {b"\x08\x09\x10\x01": b""}
    assert found[b"members_removed"] == {b"%016x" % 10: b"removed"}


def test_users_and_roles_as_etcds_messages(replica: Replica) -> None:
    """Byte by byte what etcd 3.4.23 and 3.5.1 keep; options stand there also where they say nothing."""
    replica.run(
        UserAdd("ann", b"hash"), UserAdd("bob", no_password=True), RoleAdd("r"), RoleAdd("empty"),
        UserGrantRole("ann", "root"), UserGrantRole("ann", "r"), RoleGrantPermission("r", 2, b"k"),
        RoleGrantPermission("r", 0, b"a", b"\0"), Put(b"user/x", b"no user"),
    )  # fmt: skip
    exports = [begun(replica), Replica(replica.engine).machine.export(MemoryEngine())]
    for found in (buckets(whole(export)) for export in exports):
        assert found[b"auth"] == {b"authRevision": (9).to_bytes(8, "big")}
        assert found[b"authUsers"] == {
            b"ann": b'\x0a\x03ann\x12\x04hash\x1a\x01r\x1a\x04root"\x00',
            b"bob": b'\x0a\x03bob"\x02\x08\x01',
        }
        assert found[b"authRoles"] == {
            b"empty": b"\x0a\x05empty",
            b"r": b"\x0a\x01r\x12\x06\x12\x01a\x1a\x01\0\x12\x05\x08\x02\x12\x01k",
        }


def test_rule_19_many_users_go_out_in_slices(replica: Replica) -> None:
    replica.run(*[UserAdd(f"user {at:05}", bytes(60)) for at in range(3_000)])
    export = begun(replica)
    steps = 0
    while not export.planned:
        export.plan()
        steps += 1
    assert steps > 3_000 // limits.EXPORT_SLICE_ROWS
    assert len(buckets(whole(export))[b"authUsers"]) == 3_000


def test_rule_19_one_revision_in_slices_while_writes_go_on(replica: Replica) -> None:
    """What is written, overwritten, deleted and compacted after the pin does not show."""
    rng = random.Random(5)
    keys = [b"k%d" % at for at in range(400)]
    for _ in range(3_000):
        replica.run(Put(rng.choice(keys), rng.randbytes(rng.choice((0, 5, 100, 5_000)))))
    twin = Replica(MemoryEngine(), list(replica.log))
    export, expected = begun(replica), whole(begun(twin))
    steps, data = 0, b""
    while not export.planned or export.remaining:
        steps += 1
        if export.planned:
            data += export.read() or b""
        else:
            export.plan()
        replica.run(Put(rng.choice(keys), b"later"), DeleteRange(rng.choice(keys)))
        if steps % 10 == 0:
            replica.run(Compact(replica.machine.revision))
            while replica.machine.sweep():
                pass
    assert data == expected
    assert steps > 3_000 // limits.EXPORT_SLICE_ROWS
