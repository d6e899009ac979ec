"""What a client asks: MessagePack maps with etcd's own field names. `docs/protocol.md` is the specification.

Requests are a union tagged by ``op``; what answers them is in `replies`. The strict decoder takes what a
well-made client sends (bin keys, numeric enums); whatever it refuses gets one more, lenient pass that also takes str
for bin (as UTF-8) and enum names, and whose complaint, if any, is what the client reads.
"""

# tidy: long because it is the list of all requests, and decoding takes them as one union

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from zetcd.base.errors import WireError
from zetcd.wire.entry import CompareResult, CompareTarget, SortOrder, SortTarget

Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
UInt64 = Annotated[int, Meta(ge=0)]  # MessagePack itself ends at 2**64 - 1


class _Request(Struct, frozen=True, tag_field="op", forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """require_leader: refused at once with etcd's "no leader" where this member knows none, and watches created with it
    end so, too (in etcd the metadata ``hasleader``)."""

    require_leader: bool = False


class RangeRequest(_Request, frozen=True, tag="range", gc=False):
    """etcd KV.Range."""

    key: bytes
    range_end: bytes = b""
    limit: Int64 = 0
    revision: Int64 = 0
    sort_order: int = 0
    sort_target: int = 0
    serializable: bool = False
    keys_only: bool = False
    count_only: bool = False
    min_mod_revision: Int64 = 0
    max_mod_revision: Int64 = 0
    min_create_revision: Int64 = 0
    max_create_revision: Int64 = 0
    token: str = ""


class PutRequest(_Request, frozen=True, tag="put", gc=False):
    """etcd KV.Put."""

    key: bytes
    value: bytes = b""
    lease: Int64 = 0
    prev_kv: bool = False
    ignore_value: bool = False
    ignore_lease: bool = False
    token: str = ""


class DeleteRangeRequest(_Request, frozen=True, tag="delete_range", gc=False):
    """etcd KV.DeleteRange."""

    key: bytes
    range_end: bytes = b""
    prev_kv: bool = False
    token: str = ""


class CompareMap(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """etcd Compare: target decides which operand counts; an absent one is 0 or empty."""

    key: bytes
    result: int = 0
    target: int = 0
    version: Int64 = 0
    create_revision: Int64 = 0
    mod_revision: Int64 = 0
    value: bytes = b""
    lease: Int64 = 0
    range_end: bytes = b""


class RangeOp(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """RangeRequest inside a transaction."""

    key: bytes = b""
    range_end: bytes = b""
    limit: Int64 = 0
    revision: Int64 = 0
    sort_order: int = 0
    sort_target: int = 0
    serializable: bool = False
    keys_only: bool = False
    count_only: bool = False
    min_mod_revision: Int64 = 0
    max_mod_revision: Int64 = 0
    min_create_revision: Int64 = 0
    max_create_revision: Int64 = 0


class PutOp(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """PutRequest inside a transaction."""

    key: bytes = b""
    value: bytes = b""
    lease: Int64 = 0
    prev_kv: bool = False
    ignore_value: bool = False
    ignore_lease: bool = False


class DeleteRangeOp(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """DeleteRangeRequest inside a transaction."""

    key: bytes = b""
    range_end: bytes = b""
    prev_kv: bool = False


class TxnOp(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A nested transaction."""

    compare: list[CompareMap] = []
    success: list["RequestOp"] = []
    failure: list["RequestOp"] = []


class RequestOp(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """etcd RequestOp: exactly one of the four."""

    request_range: RangeOp | None = None
    request_put: PutOp | None = None
    request_delete_range: DeleteRangeOp | None = None
    request_txn: TxnOp | None = None


class TxnRequest(_Request, frozen=True, tag="txn"):
    """etcd KV.Txn."""

    compare: list[CompareMap] = []
    success: list[RequestOp] = []
    failure: list[RequestOp] = []
    token: str = ""


class CompactRequest(_Request, frozen=True, tag="compact", gc=False):
    """etcd KV.Compact."""

    revision: Int64 = 0
    physical: bool = False
    token: str = ""


class LeaseGrantRequest(_Request, frozen=True, tag="lease_grant", gc=False):
    """etcd Lease.LeaseGrant; ID 0 lets the server choose."""

    TTL: Int64 = 0
    ID: Int64 = 0
    token: str = ""


class LeaseRevokeRequest(_Request, frozen=True, tag="lease_revoke", gc=False):
    """etcd Lease.LeaseRevoke."""

    ID: Int64 = 0
    token: str = ""


class LeaseKeepAliveRequest(_Request, frozen=True, tag="lease_keep_alive", gc=False):
    """etcd Lease.LeaseKeepAlive, one renewal a request; the reply's TTL is 0 where the lease is gone."""

    ID: Int64 = 0
    token: str = ""


class LeaseTimeToLiveRequest(_Request, frozen=True, tag="lease_time_to_live", gc=False):
    """etcd Lease.LeaseTimeToLive."""

    ID: Int64 = 0
    keys: bool = False
    token: str = ""


class LeaseLeasesRequest(_Request, frozen=True, tag="lease_leases", gc=False):
    """etcd Lease.LeaseLeases."""

    token: str = ""


class WatchCreateRequest(_Request, frozen=True, tag="watch_create"):
    """etcd WatchCreateRequest, on the stream that the request's envelope names."""

    key: bytes = b""
    range_end: bytes = b""
    start_revision: Int64 = 0
    progress_notify: bool = False
    filters: list[int] = []
    prev_kv: bool = False
    watch_id: Int64 = 0
    fragment: bool = False
    token: str = ""


class WatchCancelRequest(_Request, frozen=True, tag="watch_cancel", gc=False):
    """etcd WatchCancelRequest."""

    watch_id: Int64 = 0
    token: str = ""


class CancelRequest(_Request, frozen=True, tag="cancel", gc=False):
    """Ends the lock or campaign that waits at this address. It has no answer of its own."""

    token: str = ""


class WatchProgressRequest(_Request, frozen=True, tag="watch_progress", gc=False):
    """etcd WatchProgressRequest."""

    token: str = ""


class WatchPollRequest(_Request, frozen=True, tag="watch_poll"):
    """Long poll for REQ clients: events from start_revision on, or an empty list after wait_ms. The reply's
    ``next_revision`` is the start_revision of the next poll. start_revision 0: from now."""

    key: bytes = b""
    range_end: bytes = b""
    start_revision: Int64 = 0
    filters: list[int] = []
    prev_kv: bool = False
    wait_ms: Int64 = 10_000
    token: str = ""


class LockRequest(_Request, frozen=True, tag="lock", gc=False):
    """etcd v3lock Lock."""

    name: bytes
    lease: Int64 = 0
    token: str = ""


class UnlockRequest(_Request, frozen=True, tag="unlock", gc=False):
    """etcd v3lock Unlock."""

    key: bytes
    token: str = ""


class LeaderKey(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """etcd v3election LeaderKey."""

    name: bytes = b""
    key: bytes = b""
    rev: Int64 = 0
    lease: Int64 = 0


class CampaignRequest(_Request, frozen=True, tag="campaign", gc=False):
    """etcd v3election Campaign."""

    name: bytes
    lease: Int64 = 0
    value: bytes = b""
    token: str = ""


class ProclaimRequest(_Request, frozen=True, tag="proclaim", gc=False):
    """etcd v3election Proclaim."""

    leader: LeaderKey | None = None
    value: bytes = b""
    token: str = ""


class LeaderRequest(_Request, frozen=True, tag="leader", gc=False):
    """etcd v3election Leader."""

    name: bytes
    token: str = ""


class ObserveRequest(_Request, frozen=True, tag="observe", gc=False):
    """etcd v3election Observe: a stream of leaders on this envelope; ends with watch_cancel."""

    name: bytes
    token: str = ""


class ResignRequest(_Request, frozen=True, tag="resign", gc=False):
    """etcd v3election Resign."""

    leader: LeaderKey | None = None
    token: str = ""


class StatusRequest(_Request, frozen=True, tag="status", gc=False):
    """etcd Maintenance.Status."""

    token: str = ""


class HashKvRequest(_Request, frozen=True, tag="hash_kv", gc=False):
    """etcd Maintenance.HashKV."""

    revision: Int64 = 0
    token: str = ""


class AlarmRequest(_Request, frozen=True, tag="alarm", gc=False):
    """etcd Maintenance.Alarm. action GET 0, ACTIVATE 1, DEACTIVATE 2; alarm NONE 0, NOSPACE 1, CORRUPT 2."""

    action: int = 0
    memberID: UInt64 = 0
    alarm: int = 0
    token: str = ""


class MemberListRequest(_Request, frozen=True, tag="member_list", gc=False):
    """etcd Cluster.MemberList."""

    linearizable: bool = True
    token: str = ""


class MemberAddRequest(_Request, frozen=True, tag="member_add"):
    """etcd Cluster.MemberAdd."""

    peerURLs: list[str] = []
    isLearner: bool = False
    token: str = ""


class MemberRemoveRequest(_Request, frozen=True, tag="member_remove", gc=False):
    """etcd Cluster.MemberRemove."""

    ID: UInt64 = 0
    token: str = ""


class MemberUpdateRequest(_Request, frozen=True, tag="member_update"):
    """etcd Cluster.MemberUpdate."""

    ID: UInt64 = 0
    peerURLs: list[str] = []
    token: str = ""


class MemberPromoteRequest(_Request, frozen=True, tag="member_promote", gc=False):
    """etcd Cluster.MemberPromote."""

    ID: UInt64 = 0
    token: str = ""


class MoveLeaderRequest(_Request, frozen=True, tag="move_leader", gc=False):
    """etcd Maintenance.MoveLeader; only the leader takes it."""

    targetID: UInt64 = 0
    token: str = ""


class DowngradeRequest(_Request, frozen=True, tag="downgrade", gc=False):
    """etcd Maintenance.Downgrade. action VALIDATE 0, ENABLE 1, CANCEL 2."""

    action: int = 0
    version: str = ""
    token: str = ""


class HashRequest(_Request, frozen=True, tag="hash", gc=False):
    """etcd Maintenance.Hash."""

    token: str = ""


class DefragmentRequest(_Request, frozen=True, tag="defragment", gc=False):
    """etcd Maintenance.Defragment, of the member that is asked; answered when it is done, which takes minutes."""

    token: str = ""


class SnapshotRequest(_Request, frozen=True, tag="snapshot", gc=False):
    """etcd Maintenance.Snapshot: a stream of `replies.SnapshotReply` on this envelope. credit: chunks that may be sent
    before a `SnapshotCreditRequest` asks for more."""

    credit: Int64 = 16
    token: str = ""


class SnapshotCreditRequest(_Request, frozen=True, tag="snapshot_credit", gc=False):
    """So many chunks more of the snapshot on this envelope."""

    chunks: Int64 = 0
    token: str = ""


class SnapshotCancelRequest(_Request, frozen=True, tag="snapshot_cancel", gc=False):
    """The snapshot on this envelope is not wanted any more."""

    token: str = ""


class MetricsRequest(_Request, frozen=True, tag="metrics", gc=False):
    """What all processes of the member count: see `replies.MetricsReply`."""

    token: str = ""


class AuthEnableRequest(_Request, frozen=True, tag="auth_enable", gc=False):
    """etcd Auth.AuthEnable."""

    token: str = ""


class AuthDisableRequest(_Request, frozen=True, tag="auth_disable", gc=False):
    """etcd Auth.AuthDisable."""

    token: str = ""


class AuthStatusRequest(_Request, frozen=True, tag="auth_status", gc=False):
    """etcd Auth.AuthStatus."""

    token: str = ""


class AuthenticateRequest(_Request, frozen=True, tag="authenticate", gc=False):
    """etcd Auth.Authenticate."""

    name: str = ""
    password: str = ""
    token: str = ""


class UserAddOptions(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """etcd UserAddOptions."""

    no_password: bool = False


class UserAddRequest(_Request, frozen=True, tag="user_add", gc=False):
    """etcd Auth.UserAdd."""

    name: str = ""
    password: str = ""
    options: UserAddOptions | None = None
    hashedPassword: str = ""
    token: str = ""


class UserGetRequest(_Request, frozen=True, tag="user_get", gc=False):
    """etcd Auth.UserGet."""

    name: str = ""
    token: str = ""


class UserListRequest(_Request, frozen=True, tag="user_list", gc=False):
    """etcd Auth.UserList."""

    token: str = ""


class UserDeleteRequest(_Request, frozen=True, tag="user_delete", gc=False):
    """etcd Auth.UserDelete."""

    name: str = ""
    token: str = ""


class UserChangePasswordRequest(_Request, frozen=True, tag="user_change_password", gc=False):
    """etcd Auth.UserChangePassword."""

    name: str = ""
    password: str = ""
    hashedPassword: str = ""
    token: str = ""


class UserGrantRoleRequest(_Request, frozen=True, tag="user_grant_role", gc=False):
    """etcd Auth.UserGrantRole."""

    user: str = ""
    role: str = ""
    token: str = ""


class UserRevokeRoleRequest(_Request, frozen=True, tag="user_revoke_role", gc=False):
    """etcd Auth.UserRevokeRole; the user is in ``name`` here."""

    name: str = ""
    role: str = ""
    token: str = ""


class RoleAddRequest(_Request, frozen=True, tag="role_add", gc=False):
    """etcd Auth.RoleAdd."""

    name: str = ""
    token: str = ""


class RoleGetRequest(_Request, frozen=True, tag="role_get", gc=False):
    """etcd Auth.RoleGet."""

    role: str = ""
    token: str = ""


class RoleListRequest(_Request, frozen=True, tag="role_list", gc=False):
    """etcd Auth.RoleList."""

    token: str = ""


class RoleDeleteRequest(_Request, frozen=True, tag="role_delete", gc=False):
    """etcd Auth.RoleDelete."""

    role: str = ""
    token: str = ""


class Permission(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """etcd authpb.Permission: permType READ 0, WRITE 1, READWRITE 2 on the keys [key, range_end)."""

    permType: int = 0
    key: bytes = b""
    range_end: bytes = b""


class RoleGrantPermissionRequest(_Request, frozen=True, tag="role_grant_permission", gc=False):
    """etcd Auth.RoleGrantPermission."""

    name: str = ""
    perm: Permission | None = None
    token: str = ""


class RoleRevokePermissionRequest(_Request, frozen=True, tag="role_revoke_permission", gc=False):
    """etcd Auth.RoleRevokePermission."""

    role: str = ""
    key: bytes = b""
    range_end: bytes = b""
    token: str = ""


Single = (
    RangeRequest
    | PutRequest
    | DeleteRangeRequest
    | TxnRequest
    | CompactRequest
    | LeaseGrantRequest
    | LeaseRevokeRequest
    | LeaseKeepAliveRequest
    | LeaseTimeToLiveRequest
    | LeaseLeasesRequest
    | StatusRequest
    | HashKvRequest
    | AlarmRequest
    | MemberListRequest
    | MemberAddRequest
    | MemberRemoveRequest
    | MemberUpdateRequest
    | MemberPromoteRequest
    | MoveLeaderRequest
    | DowngradeRequest
    | LockRequest
    | UnlockRequest
    | CampaignRequest
    | ProclaimRequest
    | LeaderRequest
    | ResignRequest
    | HashRequest
    | DefragmentRequest
    | AuthEnableRequest
    | AuthDisableRequest
    | AuthStatusRequest
    | AuthenticateRequest
    | UserAddRequest
    | UserGetRequest
    | UserListRequest
    | UserDeleteRequest
    | UserChangePasswordRequest
    | UserGrantRoleRequest
    | UserRevokeRoleRequest
    | RoleAddRequest
    | RoleGetRequest
    | RoleListRequest
    | RoleDeleteRequest
    | RoleGrantPermissionRequest
    | RoleRevokePermissionRequest
)
"""Requests with exactly one reply: what a batch may hold."""


class BatchRequest(_Request, frozen=True, tag="batch"):
    """Many requests in one frame, each on its own; answered by ``responses`` in the same order."""

    requests: list[Single]
    token: str = ""


Stream = (
    WatchCreateRequest
    | WatchCancelRequest
    | WatchProgressRequest
    | WatchPollRequest
    | ObserveRequest
    | CancelRequest
    | MetricsRequest
    | SnapshotRequest
    | SnapshotCreditRequest
    | SnapshotCancelRequest
)

Request = Single | Stream | BatchRequest

BYTES_FIELDS = frozenset({"key", "range_end", "value", "name"})
TEXT_NAMES = frozenset(
    {
        "authenticate",
        "user_add",
        "user_get",
        "user_delete",
        "user_change_password",
        "user_revoke_role",
        "role_add",
        "role_grant_permission",
    }
)
"""Ops whose ``name`` is text."""
ENUM_FIELDS: dict[str, dict[str, int]] = {
    "sort_order": {item.name: item.value for item in SortOrder},
    "sort_target": {item.name: item.value for item in SortTarget},
    "result": {item.name: item.value for item in CompareResult},
    "target": {item.name: item.value for item in CompareTarget},
    # Of alarm, and of downgrade.
    "action": {"GET": 0, "ACTIVATE": 1, "DEACTIVATE": 2, "VALIDATE": 0, "ENABLE": 1, "CANCEL": 2},
    "alarm": {"NONE": 0, "NOSPACE": 1, "CORRUPT": 2},
    "filters": {"NOPUT": 0, "NODELETE": 1},
    "permType": {"READ": 0, "WRITE": 1, "READWRITE": 2},
}

_strict: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_plain = msgspec.msgpack.Decoder()
COMPLAINT_MAX = 400
"""Characters: a complaint may quote what the client sent, but not all of it."""
_BAD = (msgspec.MsgspecError, ValueError, OverflowError, RecursionError, TypeError)


def decode_request(body: bytes) -> Request:
    """One request map. Raises WireError with a text that names the field and what it wants."""
    try:
        return _strict.decode(body)
    except _BAD:
        pass
    try:
        plain = _plain.decode(body)
        lenient = _lenient(plain)
        if isinstance(plain, dict) and plain.get("op") in TEXT_NAMES and "name" in plain:
            lenient["name"] = plain["name"]
        request: Request = msgspec.convert(lenient, Request, builtin_types=(bytes,))
    except _BAD as error:
        text = str(error) or type(error).__name__
        raise WireError(text if len(text) <= COMPLAINT_MAX else text[:COMPLAINT_MAX] + "...") from None
    return request


def _lenient(value: Any, field: str = "") -> Any:
    """Str to bytes where a field is bytes, enum names to numbers; everything else as it is."""
    if isinstance(value, dict):
        return {name: _lenient(item, name if isinstance(name, str) else "") for name, item in value.items()}
    if isinstance(value, list):
        return [_lenient(item, field) for item in value]
    if isinstance(value, str):
        if field in BYTES_FIELDS:
            return value.encode()
        names = ENUM_FIELDS.get(field)
        if names is not None:
            if value not in names:
                raise ValueError(f"{field} is one of {', '.join(names)}, not {value!r}")
            return names[value]
    return value
