"""What etcd's backend would hold where this store is: its buckets, keys and values, for a snapshot that etcd takes.

- ``key``: u64 revision, ``_``, u64 sub-revision, and behind it ``t`` for a deletion -> mvccpb.KeyValue, of a deletion
  with the key alone
- ``lease``: u64 id -> leasepb.Lease
- ``meta``: ``consistent_index``, ``term``, ``confState``, ``scheduledCompactRev``, ``finishedCompactRev`` -> as in 3.5
- ``members``, ``members_removed``: id as 16 hexadecimal digits -> JSON; ``removed``
- ``alarm``: etcdserverpb.AlarmMember -> nothing
- ``cluster``: ``clusterVersion`` -> ``3.5.0``
- ``auth``: ``authRevision`` -> u64; ``authUsers``, ``authRoles``: name -> authpb.User, authpb.Role

Integers in keys are big-endian, messages are protobuf. Versions ended at or below the compact revision are left out; so
are deletions below it, whose log rows are gone.
"""

from collections.abc import Sequence
from struct import Struct

import msgspec

from zetcd.mvcc.keys import HEADER_BYTES, unpack_header
from zetcd.state.users import Role, User
from zetcd.wire.results import MemberRow

CLUSTER_VERSION = b"3.5.0"
_u64 = Struct(">Q").pack
_revision = Struct(">QcQ")
_json = msgspec.json.encode
_UNSIGNED = 2**64


def revision_key(revision: int, sub: int, *, deleted: bool = False) -> bytes:
    """Key of a change in the bucket ``key``."""
    key = _revision.pack(revision, b"_", sub)
    return key + b"t" if deleted else key


def _varint(number: int) -> bytes:
    if number < 0:
        number += _UNSIGNED
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


_SMALL = [_varint(number) for number in range(1 << 14)]


def _number(number: int) -> bytes:
    return _SMALL[number] if 0 <= number < 1 << 14 else _varint(number)


def key_value(key: bytes, row: bytes) -> bytes:
    """mvccpb.KeyValue of a stored row; fields at their default are left out, as etcd does it."""
    create, mod, version, lease, _ = unpack_header(row)
    parts = [
        b"\x0a", _number(len(key)), key, b"\x10", _number(create), b"\x18", _number(mod), b"\x20", _number(version),
    ]  # fmt: skip
    size = len(row) - HEADER_BYTES
    if size:
        parts += (b"\x2a", _number(size), row[HEADER_BYTES:])
    if lease:
        parts += (b"\x30", _number(lease))
    return b"".join(parts)


def deletion(key: bytes) -> bytes:
    """mvccpb.KeyValue of a deleted key."""
    return b"".join((b"\x0a", _number(len(key)), key))


def lease(lease_id: int, ttl: int, remaining: int) -> tuple[bytes, bytes]:
    """A lease as (key, leasepb.Lease)."""
    message = b"\x08" + _number(lease_id) + b"\x10" + _number(ttl)
    if remaining:
        message += b"\x18" + _number(remaining)
    return _u64(lease_id % _UNSIGNED), message


def alarm(member: int, kind: int) -> bytes:
    """etcdserverpb.AlarmMember."""
    return (b"\x08" + _number(member) if member else b"") + b"\x10" + _number(kind)


def _field(tag: bytes, value: bytes) -> bytes:
    return tag + _number(len(value)) + value


def user(name: str, record: User) -> tuple[bytes, bytes]:
    """A user as (key, authpb.User). The options are always there, also empty ones."""
    key = name.encode()
    parts = [_field(b"\x0a", key)]
    if record.password_hash:
        parts.append(_field(b"\x12", record.password_hash))
    parts += [_field(b"\x1a", role.encode()) for role in record.roles]
    parts.append(_field(b"\x22", b"\x08\x01" if record.no_password else b""))
    return key, b"".join(parts)


def role(name: str, grants: Role) -> tuple[bytes, bytes]:
    """A role as (key, authpb.Role)."""
    key = name.encode()
    parts = [_field(b"\x0a", key)]
    for permission, start, end in grants:
        message = b"\x08" + _number(permission) if permission else b""
        message += _field(b"\x12", start) if start else b""
        message += _field(b"\x1a", end) if end else b""
        parts.append(_field(b"\x12", message))
    return key, b"".join(parts)


def auth(revision: int) -> list[tuple[bytes, bytes]]:
    """Pairs of the bucket ``auth``; authentication is off."""
    return [(b"authRevision", _u64(revision))]


def members(rows: Sequence[MemberRow]) -> list[tuple[bytes, bytes]]:
    """Pairs of the bucket ``members``."""
    pairs = []
    for member, name, peer_urls, client_urls, is_learner in rows:
        record: dict[str, object] = {"id": member, "peerURLs": peer_urls}
        record |= {"isLearner": True} if is_learner else {}
        record |= {"name": name} if name else {}
        record |= {"clientURLs": client_urls} if client_urls else {}
        pairs.append((b"%016x" % member, _json(record)))
    return sorted(pairs)


def meta(applied: int, term: int, compact_revision: int, rows: Sequence[MemberRow]) -> list[tuple[bytes, bytes]]:
    """Pairs of the bucket ``meta``. compact_revision -1: never."""
    state: dict[str, object] = {"voters": [row[0] for row in rows if not row[4]]}
    learners = [row[0] for row in rows if row[4]]
    state |= {"learners": learners} if learners else {}
    pairs = [
        (b"confState", _json(state | {"auto_leave": False})),
        (b"consistent_index", _u64(applied)),
        (b"term", _u64(term)),
    ]
    if compact_revision >= 0:
        compacted = revision_key(compact_revision, 0)
        pairs += [(b"finishedCompactRev", compacted), (b"scheduledCompactRev", compacted)]
    return sorted(pairs)


def fixed() -> dict[bytes, list[tuple[bytes, bytes]]]:
    """Buckets that are the same everywhere."""
    return {b"cluster": [(b"clusterVersion", CLUSTER_VERSION)]}
