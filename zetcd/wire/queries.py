"""What api asks of the store: the reads that a `local.ReadBatch` carries. Their answers are in `results`."""

from msgspec import Struct

from zetcd.wire.entry import Range, Txn


class HashKv(Struct, frozen=True, array_like=True, tag=40, gc=False):
    """Hash of the logical store up to revision (0: current)."""

    revision: int = 0


class LeaseInfo(Struct, frozen=True, array_like=True, tag=41, gc=False):
    """A lease and its keys (sorted)."""

    id: int
    keys: bool = False


class LeaseList(Struct, frozen=True, array_like=True, tag=42, gc=False):
    """All lease ids."""


class StoreStatus(Struct, frozen=True, array_like=True, tag=43, gc=False):
    """Sizes, indexes, alarms, members."""


class CompactWait(Struct, frozen=True, array_like=True, tag=44, gc=False):
    """Answered (Done) when rows up to the compact revision `revision` are physically gone."""

    revision: int


class History(Struct, frozen=True, array_like=True, tag=45, gc=False):
    """Events with revision in [first, last] whose key lies in one of the ranges (etcd range rules), a slice at a time.
    last 0: up to the current revision. prev_kv: events carry the former row."""

    first: int
    last: int
    ranges: list[tuple[bytes, bytes]]
    prev_kv: bool = False


class Hash(Struct, frozen=True, array_like=True, tag=46, gc=False):
    """Hash of everything that is replicated, as it is now."""


class Defragment(Struct, frozen=True, array_like=True, tag=47, gc=False):
    """Answered (Done) when the files of the store have been compacted."""


class OpenExport(Struct, frozen=True, array_like=True, tag=48, gc=False):
    """Begin a snapshot for a client: the store with everything executed now. id: chosen by the api process, unique in
    its life. Answered (Exported, without data) when its size is known."""

    id: int


class ReadExport(Struct, frozen=True, array_like=True, tag=49, gc=False):
    """The next chunk of that snapshot: Exported."""

    id: int


class CloseExport(Struct, frozen=True, array_like=True, tag=50, gc=False):
    """That snapshot is not wanted any more, or complete: Done."""

    id: int


class AuthStatus(Struct, frozen=True, array_like=True, tag=51, gc=False):
    """The revision of users and roles: AuthIs."""


class UserInfo(Struct, frozen=True, array_like=True, tag=52, gc=False):
    """The roles of a user: Named."""

    name: str


class UserList(Struct, frozen=True, array_like=True, tag=53, gc=False):
    """The names of all users: Named."""


class RoleInfo(Struct, frozen=True, array_like=True, tag=54, gc=False):
    """The permissions of a role: Permitted."""

    name: str


class RoleList(Struct, frozen=True, array_like=True, tag=55, gc=False):
    """The names of all roles: Named."""


# Range (tag 3) is the read of the KV service; a Txn (tag 4) of nothing but ranges is a read as well.
Query = (
    Range
    | Txn
    | HashKv
    | LeaseInfo
    | LeaseList
    | StoreStatus
    | CompactWait
    | History
    | Hash
    | Defragment
    | OpenExport
    | ReadExport
    | CloseExport
    | AuthStatus
    | UserInfo
    | UserList
    | RoleInfo
    | RoleList
)


class Read(Struct, frozen=True, array_like=True, gc=False):
    """One read and the sequence its answer carries."""

    sequence: int
    query: Query
    user: str = ""
    auth_revision: int = 0
