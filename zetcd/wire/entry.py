"""What the replicated log holds: entries, their commands, and blocks of them.

An *entry* is encoded once, by the api process that admits it, and opened once on each member, by apply. Between the
two it travels inside a *block*, a run of consecutive entries of one term, whose `data` is the plain concatenation of
the encoded entries: joining blocks is joining bytes, and the wal stores the same bytes as its record body.

Formats only grow: new fields go to the end of a struct and carry a default, so old logs stay readable.
"""

import enum
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from zetcd.base.errors import WireError


class Put(Struct, frozen=True, array_like=True, tag=1, gc=False):
    """Write one key. lease 0 detaches the key from its lease unless IGNORE_LEASE is set."""

    key: bytes
    value: bytes
    lease: int = 0
    flags: int = 0


PREV_KV, IGNORE_VALUE, IGNORE_LEASE = 1, 2, 4  # flags of Put; PREV_KV also of DeleteRange


class DeleteRange(Struct, frozen=True, array_like=True, tag=2, gc=False):
    """Delete key, or [key, range_end) with etcd's range_end rules."""

    key: bytes
    range_end: bytes = b""
    flags: int = 0


class Range(Struct, frozen=True, array_like=True, tag=3, gc=False):
    """A read; as a command only inside a Txn. Fields and defaults are etcd's RangeRequest."""

    key: bytes
    range_end: bytes = b""
    limit: int = 0
    revision: int = 0
    sort_order: int = 0  # SortOrder
    sort_target: int = 0  # SortTarget
    keys_only: bool = False
    count_only: bool = False
    min_mod_revision: int = 0
    max_mod_revision: int = 0
    min_create_revision: int = 0
    max_create_revision: int = 0


class SortOrder(enum.IntEnum):
    """etcd's RangeRequest.SortOrder."""

    NONE, ASCEND, DESCEND = 0, 1, 2


class SortTarget(enum.IntEnum):
    """etcd's RangeRequest.SortTarget."""

    KEY, VERSION, CREATE, MOD, VALUE = 0, 1, 2, 3, 4


class CompareResult(enum.IntEnum):
    """etcd's Compare.CompareResult."""

    EQUAL, GREATER, LESS, NOT_EQUAL = 0, 1, 2, 3


class CompareTarget(enum.IntEnum):
    """etcd's Compare.CompareTarget."""

    VERSION, CREATE, MOD, VALUE, LEASE = 0, 1, 2, 3, 4


class Compare(Struct, frozen=True, array_like=True, gc=False):
    """One guard of a Txn. number holds the operand of numeric targets, value that of VALUE."""

    result: int  # CompareResult
    target: int  # CompareTarget
    key: bytes
    number: int = 0
    value: bytes = b""
    range_end: bytes = b""


class Txn(Struct, frozen=True, array_like=True, tag=4):
    """All-or-nothing: all compares hold -> success, otherwise failure. Operations may nest."""

    compare: list[Compare]
    success: list["Put | DeleteRange | Range | Txn"]
    failure: list["Put | DeleteRange | Range | Txn"]


class Compact(Struct, frozen=True, array_like=True, tag=5, gc=False):
    """Raise the logical compact revision. physical only decides when the client is answered, not what happens."""

    revision: int
    physical: bool = False


class LeaseGrant(Struct, frozen=True, array_like=True, tag=6, gc=False):
    """id is never 0 here: api draws a random one where the client left it out. ttl in seconds, already raised
    to the minimum."""

    id: int
    ttl: int


class LeaseRevoke(Struct, frozen=True, array_like=True, tag=7, gc=False):
    """From a client: term 0. From expiry (rule 12): applied only if term is still the entry's own term and
    grant_index still names the lease's grant, so a revocation can never hit a lease granted anew."""

    id: int
    term: int = 0
    grant_index: int = 0


class LeaseCheckpoint(Struct, frozen=True, array_like=True, tag=8, gc=False):
    """Remaining TTLs in seconds as [(lease id, remaining)]; remaining 0 means full again (rule 11)."""

    leases: list[tuple[int, int]]


class Alarm(Struct, frozen=True, array_like=True, tag=9, gc=False):
    """etcd's AlarmRequest as a log entry (GET does not need one). action 1 ACTIVATE, 2 DEACTIVATE;
    alarm 1 NOSPACE, 2 CORRUPT."""

    action: int
    member: int
    alarm: int


class NoOp(Struct, frozen=True, array_like=True, tag=10, gc=False):
    """The first entry of a term (Raft section 8): commits everything before it."""


class MemberChange(Struct, frozen=True, array_like=True, tag=11, gc=False):
    """A membership change; alone in its block (rule 14). kind: 1 bootstrap, 2 add, 3 add learner, 4 promote,
    5 remove, 6 update, 7 publish (name and client URLs of a started member). learners_max: with kind 3, refused where
    there are so many learners already; 0: no bound. It travels along because every member must decide alike."""

    kind: int
    member: int
    name: str = ""
    peer_urls: list[str] = []
    client_urls: list[str] = []
    learners_max: int = 0


class UserAdd(Struct, frozen=True, array_like=True, tag=12, gc=False):
    """etcd Auth.UserAdd. password_hash: bcrypt's text, made by the api process that admitted it; the password itself
    is never in the log. no_password: such a user has no hash and cannot authenticate by password."""

    name: str
    password_hash: bytes = b""
    no_password: bool = False


class UserDelete(Struct, frozen=True, array_like=True, tag=13, gc=False):
    """etcd Auth.UserDelete."""

    name: str


class UserChangePassword(Struct, frozen=True, array_like=True, tag=14, gc=False):
    """etcd Auth.UserChangePassword; an empty hash matches no password."""

    name: str
    password_hash: bytes = b""


class UserGrantRole(Struct, frozen=True, array_like=True, tag=15, gc=False):
    """etcd Auth.UserGrantRole."""

    user: str
    role: str


class UserRevokeRole(Struct, frozen=True, array_like=True, tag=16, gc=False):
    """etcd Auth.UserRevokeRole."""

    user: str
    role: str


class RoleAdd(Struct, frozen=True, array_like=True, tag=17, gc=False):
    """etcd Auth.RoleAdd."""

    name: str


class RoleDelete(Struct, frozen=True, array_like=True, tag=18, gc=False):
    """etcd Auth.RoleDelete: users lose it as well."""

    name: str


class RoleGrantPermission(Struct, frozen=True, array_like=True, tag=19, gc=False):
    """etcd Auth.RoleGrantPermission of permission READ 0, WRITE 1 or READWRITE 2 on a range that is checked already."""

    role: str
    permission: int
    key: bytes
    range_end: bytes = b""


class RoleRevokePermission(Struct, frozen=True, array_like=True, tag=20, gc=False):
    """etcd Auth.RoleRevokePermission of exactly this range."""

    role: str
    key: bytes
    range_end: bytes = b""


ROOT = "root"
"""The user who may switch authentication on, and the role that may do everything."""


class PermissionType(enum.IntEnum):
    """etcd's authpb.Permission.Type."""

    READ, WRITE, READWRITE = 0, 1, 2


AuthCommand = (
    UserAdd
    | UserDelete
    | UserChangePassword
    | UserGrantRole
    | UserRevokeRole
    | RoleAdd
    | RoleDelete
    | RoleGrantPermission
    | RoleRevokePermission
)
"""Changes of users and roles; none makes a revision of the store."""
Command = (
    Put
    | DeleteRange
    | Txn
    | Compact
    | LeaseGrant
    | LeaseRevoke
    | LeaseCheckpoint
    | Alarm
    | NoOp
    | MemberChange
    | AuthCommand
)
Op = Put | DeleteRange | Range | Txn
"""What a transaction may hold."""


class Entry(Struct, frozen=True, array_like=True):
    """One log entry. (origin, sequence) is the request id: incarnation of the process that proposed it, and its
    counter; it never repeats (rule 8). user and auth_revision are what apply authorises by (rule 13)."""

    origin: int
    sequence: int
    command: Command
    user: str = ""
    auth_revision: int = 0


class BlockKind(enum.IntEnum):
    """What a block holds. MEMBERSHIP blocks have exactly one entry, a MemberChange (rule 14)."""

    NORMAL, MEMBERSHIP = 0, 1


class Block(Struct, frozen=True, array_like=True, gc=False):
    """A run of entries [first, last] of one term; data is their concatenation (see `decode_entries`).

    Entries are compared, never block bounds: splitting or re-cutting changes nothing (rule 15).
    """

    first: int
    last: int
    term: int
    data: bytes
    kind: int = 0

    @property
    def count(self) -> int:
        """Number of entries, at least 1."""
        return self.last - self.first + 1


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Entry])
_ARRAY32 = b"\xdd"


def encode_entries(entries: Sequence[Entry]) -> bytes:
    """Concatenation of the encoded entries: what a Block's data is made of."""
    encoded = _encoder.encode(entries)
    # The list's own array header is 1, 3 or 5 bytes long, depending on the count.
    count = len(entries)
    return encoded[1 if count < 16 else 3 if count < 65536 else 5 :]


def decode_entries(count: int, data: bytes) -> list[Entry]:
    """Inverse of `encode_entries`. Raises WireError where data is not exactly count entries."""
    try:
        return _decoder.decode(_ARRAY32 + count.to_bytes(4, "big") + data)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
        raise WireError(f"block of {count} entries, {len(data)} bytes: {error}") from None


def split_block(block: Block, first: int) -> Block:
    """The part of block from index first on (first within it); for overlap and conflict only: it opens the block."""
    if first <= block.first:
        return block
    entries = decode_entries(block.count, block.data)
    return Block(first, block.last, block.term, encode_entries(entries[first - block.first :]), block.kind)


def cut_block(block: Block, last: int) -> Block:
    """The part of block up to index last (last within it)."""
    if last >= block.last:
        return block
    entries = decode_entries(block.count, block.data)
    return Block(block.first, last, block.term, encode_entries(entries[: last - block.first + 1]), block.kind)
