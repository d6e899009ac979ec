"""What apply answers to entries and queries, in `local.Replies`. revision is what the response header shows."""

import msgspec
from msgspec import Struct

Row = tuple[bytes, bytes]
"""(user key, stored row): the row is the metadata header and the value, see `zetcd.mvcc.keys`."""
Grant = tuple[int, bytes, bytes]
"""(`entry.PermissionType`, key, range_end): what a role may do."""
MemberRow = tuple[int, str, list[str], list[str], bool]
"""(id, name, peer URLs, client URLs, is learner); a member that has never started has neither name nor client URLs."""


class Failed(Struct, frozen=True, array_like=True, tag=0, gc=False):
    """An `Error` value."""

    code: int
    message: str
    revision: int = 0


class Done(Struct, frozen=True, array_like=True, tag=1, gc=False):
    """Nothing to say but the revision: compact, revoke, checkpoint, alarm."""

    revision: int


class PutDone(Struct, frozen=True, array_like=True, tag=2, gc=False):
    """prev is the former row where prev_kv asked for it and it existed."""

    revision: int
    prev: bytes | None = None


class RangeDone(Struct, frozen=True, array_like=True, tag=3, gc=False):
    """rows are cut and sorted as asked; keys_only rows are bare headers."""

    revision: int
    rows: list[Row]
    more: bool
    count: int


class DeleteDone(Struct, frozen=True, array_like=True, tag=4, gc=False):
    """prevs only with PREV_KV."""

    revision: int
    deleted: int
    prevs: list[Row]


class TxnDone(Struct, frozen=True, array_like=True, tag=5):
    """results in the order of the taken branch."""

    revision: int
    succeeded: bool
    results: list["PutDone | RangeDone | DeleteDone | TxnDone"]


class LeaseGranted(Struct, frozen=True, array_like=True, tag=6, gc=False):
    """ttl in seconds."""

    revision: int
    id: int
    ttl: int


class LeaseIs(Struct, frozen=True, array_like=True, tag=7, gc=False):
    """Answer to LeaseInfo; ttl 0 where the lease does not exist."""

    revision: int
    id: int
    ttl: int
    keys: list[bytes]


class Leases(Struct, frozen=True, array_like=True, tag=8, gc=False):
    """Answer to LeaseList, ids ascending."""

    revision: int
    ids: list[int]


class Hashed(Struct, frozen=True, array_like=True, tag=9, gc=False):
    """Answer to HashKv; compact_revision -1 when never compacted."""

    revision: int
    hash: int
    compact_revision: int
    hash_revision: int


class Status(Struct, frozen=True, array_like=True, tag=10, gc=False):
    """Answer to StoreStatus. alarms as (member, alarm); removed: ids of members that are never used again."""

    revision: int
    compact_revision: int
    applied: int
    db_bytes: int
    db_bytes_in_use: int
    keys: int
    leases: int
    alarms: list[tuple[int, int]]
    members: list[MemberRow]
    removed: list[int] = []


class Histories(Struct, frozen=True, array_like=True, tag=11, gc=False):
    """Answer to History: complete revisions up to `upto`, which says how far the scan got."""

    revision: int
    upto: int
    events: msgspec.Raw  # list[Event]


class HistoryCompacted(Struct, frozen=True, array_like=True, tag=12, gc=False):
    """Answer to History: first is below compact_revision."""

    revision: int
    compact_revision: int


class Alarmed(Struct, frozen=True, array_like=True, tag=13, gc=False):
    """Outcome of an Alarm command: the alarms it raised (again) or took back, as (member, alarm)."""

    revision: int
    alarms: list[tuple[int, int]]


class MembersAre(Struct, frozen=True, array_like=True, tag=14, gc=False):
    """Outcome of an accepted MemberChange: all members after it, ids ascending."""

    revision: int
    members: list[MemberRow]


class Exported(Struct, frozen=True, array_like=True, tag=15, gc=False):
    """Answer to OpenExport and ReadExport: the next bytes of the file, how many follow, and with the last of them the
    SHA-256 of all."""

    revision: int
    remaining: int
    data: bytes = b""
    digest: bytes = b""


class AuthIs(Struct, frozen=True, array_like=True, tag=16, gc=False):
    """Answer to AuthStatus: how often users and roles have changed, from 1 on."""

    revision: int
    auth_revision: int


class Named(Struct, frozen=True, array_like=True, tag=17, gc=False):
    """Answer to UserInfo, UserList and RoleList: names of roles or users, ascending."""

    revision: int
    names: list[str]


class Permitted(Struct, frozen=True, array_like=True, tag=18, gc=False):
    """Answer to RoleInfo, by key."""

    revision: int
    grants: list[Grant]


Result = (
    Failed
    | Done
    | PutDone
    | RangeDone
    | DeleteDone
    | TxnDone
    | LeaseGranted
    | LeaseIs
    | Leases
    | Hashed
    | Status
    | Histories
    | HistoryCompacted
    | Alarmed
    | MembersAre
    | Exported
    | AuthIs
    | Named
    | Permitted
)


LARGE_ANSWER_BYTES = 1_024
LISTED_BYTES = 48
"""What one of a list costs in memory beyond its own bytes."""
MAY_BE_LARGE = frozenset((RangeDone, TxnDone, Named, Permitted, Leases, LeaseIs))
"""Answers to reads for which `answer_bytes` is to be asked."""


def answer_bytes(result: Result) -> int:
    """What an answer counts against the window between apply and api: 0 for small ones, which admission bounds."""
    if type(result) is TxnDone:
        return sum([answer_bytes(each) for each in result.results])
    if type(result) is not RangeDone:
        size = _list_bytes(result)
        return size if size >= LARGE_ANSWER_BYTES else 0
    rows = result.rows
    if len(rows) < 2 and (not rows or len(rows[0][1]) < LARGE_ANSWER_BYTES):
        return 0
    return sum([len(key) + len(row) for key, row in rows])


def _list_bytes(result: Result) -> int:
    if type(result) is Named:
        return sum(map(len, result.names)) + LISTED_BYTES * len(result.names)
    if type(result) is Permitted:
        return sum([len(key) + len(end) + LISTED_BYTES for _, key, end in result.grants])
    if type(result) is Leases:
        return LISTED_BYTES * len(result.ids)
    if type(result) is LeaseIs:
        return sum(map(len, result.keys)) + LISTED_BYTES * len(result.keys)
    return 0
