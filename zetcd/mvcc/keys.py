"""The byte layout of the store: every table, key and value that reaches the engine.

Tables are told apart by the first byte of the engine key. Integers are big-endian, so bytes sort as numbers do.

| table | key after the first byte               | value                                                          |
|-------|----------------------------------------|----------------------------------------------------------------|
| ``m`` | name                                   | one record each: ``state`` (`State`), members, alarms          |
| ``c`` | user key, raw                          | *row* of the current version: header (36 bytes), then the value |
| ``h`` | escaped user key, ``00``, u64 revision | the row that this revision ended (overwrote or deleted)        |
| ``r`` | u64 revision, u32 sub-revision         | kind of the change (1 byte), then the user key                 |
| ``l`` | u64 lease id + 2^63                    | i64 ttl, i64 index of the granting entry, i64 remaining ttl    |
| ``a`` | u64 lease id + 2^63, user key          | empty: the key is attached to the lease                        |

Header of a row: i64 create revision, i64 mod revision, i64 version, i64 lease, u32 sub-revision of the mod revision.

Escaping replaces ``00`` by ``00 FF``; a revision's first byte stays below ``80``. Therefore ``h`` keys sort by user
key first (whatever bytes it holds) and by revision second.

Kind of a change: 0 create (there was no former row), 1 overwrite, 2 delete. A key changes at most once per revision,
so (key, revision) names its change, and the former row of an overwrite or delete is exactly one ``h`` row.

The version alive at revision R is the ``c`` row where its mod revision <= R, or else the one ``h`` row with mod
revision <= R < revision in its key.
"""

from struct import Struct
from typing import NamedTuple

from zetcd.base.errors import Fatal

META, CURRENT, FORMER, LOG, LEASES, ATTACHED = b"m", b"c", b"h", b"r", b"l", b"a"
TABLES = (META, CURRENT, FORMER, LOG, LEASES, ATTACHED)

CREATE, OVERWRITE, DELETE = b"\x00", b"\x01", b"\x02"
DELETE_KIND = DELETE[0]
CREATE_KIND = CREATE[0]

_header = Struct(">qqqqI")
HEADER_BYTES = _header.size
pack_header = _header.pack
"""(create, mod, version, lease, sub) -> 36 bytes."""
unpack_header = _header.unpack_from
"""row -> (create, mod, version, lease, sub)."""

_revision = Struct(">Q")
pack_revision = _revision.pack
_place = Struct(">QI")
PLACE_BYTES = _place.size
pack_place = _place.pack
"""(revision, sub) -> key in the log table."""
unpack_place = _place.unpack_from
REVISION_MAX = 2**63 - 1

CREATE_FIELD, MOD_FIELD, VERSION_FIELD, LEASE_FIELD = slice(0, 8), slice(8, 16), slice(16, 24), slice(24, 32)
"""Header fields as bytes: all but lease are positive, so they compare as numbers do."""
NO_LEASE = bytes(8)

_LEASE_BIAS = 2**63
_lease = Struct(">qqq")


class RowHeader(NamedTuple):
    """What a row says about its version."""

    create: int
    mod: int
    version: int
    lease: int
    sub: int


def header_of(row: bytes) -> RowHeader:
    """The header of a stored row."""
    return RowHeader(*unpack_header(row))


def value_of(row: bytes) -> bytes:
    """The value of a stored row."""
    return row[HEADER_BYTES:]


def lease_of(row: bytes) -> int:
    """The lease of a stored row, 0 for none."""
    lease: int = unpack_header(row)[3]
    return lease


# -- the former table ----------------------------------------------------------------------------------------------
def escape(key: bytes) -> bytes:
    """User key as it stands in the former table."""
    return key.replace(b"\x00", b"\x00\xff") if b"\x00" in key else key


def former_key(key: bytes, revision: int) -> bytes:
    """Where the row of key that revision ended is kept."""
    return (key.replace(b"\x00", b"\x00\xff") if b"\x00" in key else key) + b"\x00" + pack_revision(revision)


def split_former_key(former: bytes) -> tuple[bytes, int]:
    """Inverse of `former_key`."""
    key = former[:-9]
    return (key.replace(b"\x00\xff", b"\x00") if b"\x00" in key else key), int.from_bytes(former[-8:], "big")


def former_end(key: bytes) -> bytes:
    """Above every former row of key, below those of any greater key."""
    return escape(key) + b"\x00\x80"


# -- leases --------------------------------------------------------------------------------------------------------
def lease_key(lease: int) -> bytes:
    """Key in the lease table; sorts as the signed id does."""
    return pack_revision(lease + _LEASE_BIAS)


def lease_id(key: bytes) -> int:
    """Inverse of `lease_key`; takes an attachment key as well."""
    return int.from_bytes(key[:8], "big") - _LEASE_BIAS


def pack_lease(ttl: int, grant_index: int, remaining: int) -> bytes:
    """Value in the lease table."""
    return _lease.pack(ttl, grant_index, remaining)


def unpack_lease(row: bytes) -> tuple[int, int, int]:
    """(ttl, grant index, remaining ttl)."""
    ttl, grant_index, remaining = _lease.unpack(row)
    return ttl, grant_index, remaining


# -- etcd's range_end rules ----------------------------------------------------------------------------------------
def interval(key: bytes, range_end: bytes) -> tuple[bytes, bytes | None]:
    """[start, stop) of a request, stop None for "to the end". Empty range_end: that key; ``00``: all keys >= key."""
    if not range_end:
        return key, key + b"\x00"
    return key, None if range_end == b"\x00" else range_end


def successor(prefix: bytes) -> bytes | None:
    """The first key beyond everything that begins with prefix; None where there is none."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes([stripped[-1] + 1]) if stripped else None


# -- the state record ----------------------------------------------------------------------------------------------
STATE_KEY = b"state"
STATE_FORMAT = 1
_state = Struct(">BQQQqqqQIQQQ")


class State(NamedTuple):
    """What every synced batch says about the prefix of the log that it completes.

    applied, term: position of the last executed entry. swept: last compact revision whose rows are all gone; target:
    compact revision of the sweep under way (equal to swept when none is), which goes on at (cursor, cursor_sub).
    compact revisions are -1 before the first compaction. keys, leases: how many exist; row_bytes: user keys and rows
    of the current versions.
    """

    applied: int = 0
    term: int = 0
    revision: int = 1
    compact_revision: int = -1
    swept: int = -1
    target: int = -1
    cursor: int = 0
    cursor_sub: int = 0
    keys: int = 0
    leases: int = 0
    row_bytes: int = 0


def pack_state(state: State) -> bytes:
    """Format byte, then the fields in order."""
    return _state.pack(STATE_FORMAT, *state)


def unpack_state(record: bytes) -> State:
    """Inverse of `pack_state`. Raises Fatal for a record this version cannot read."""
    if len(record) != _state.size or record[0] != STATE_FORMAT:
        raise Fatal(f"store has state format {record[:1].hex()!r}, this version reads {STATE_FORMAT}")
    return State(*_state.unpack(record)[1:])
