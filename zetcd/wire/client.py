"""What a client asks: MessagePack maps with etcd's own field names. `docs/protocol.md` is the specification.

Requests are a union tagged by ``op``, decoded by `zetcd.wire.asked`; what answers them is in `zetcd.wire.replies`.
"""

from msgspec import Struct

from zetcd.wire.auth import AuthRequest
from zetcd.wire.request import ClientRequest, Int64, UInt64


class RangeRequest(ClientRequest, frozen=True, tag="range", gc=False):
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


class PutRequest(ClientRequest, frozen=True, tag="put", gc=False):
    """etcd KV.Put."""

    key: bytes
    value: bytes = b""
    lease: Int64 = 0
    prev_kv: bool = False
    ignore_value: bool = False
    ignore_lease: bool = False
    token: str = ""


class DeleteRangeRequest(ClientRequest, frozen=True, tag="delete_range", gc=False):
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


class TxnRequest(ClientRequest, frozen=True, tag="txn"):
    """etcd KV.Txn."""

    compare: list[CompareMap] = []
    success: list[RequestOp] = []
    failure: list[RequestOp] = []
    token: str = ""


class CompactRequest(ClientRequest, frozen=True, tag="compact", gc=False):
    """etcd KV.Compact."""

    revision: Int64 = 0
    physical: bool = False
    token: str = ""


class LeaseGrantRequest(ClientRequest, frozen=True, tag="lease_grant", gc=False):
    """etcd Lease.LeaseGrant; ID 0 lets the server choose."""

    TTL: Int64 = 0
    ID: Int64 = 0
    token: str = ""


class LeaseRevokeRequest(ClientRequest, frozen=True, tag="lease_revoke", gc=False):
    """etcd Lease.LeaseRevoke."""

    ID: Int64 = 0
    token: str = ""


class LeaseKeepAliveRequest(ClientRequest, frozen=True, tag="lease_keep_alive", gc=False):
    """etcd Lease.LeaseKeepAlive, one renewal a request; the reply's TTL is 0 where the lease is gone."""

    ID: Int64 = 0
    token: str = ""


class LeaseTimeToLiveRequest(ClientRequest, frozen=True, tag="lease_time_to_live", gc=False):
    """etcd Lease.LeaseTimeToLive."""

    ID: Int64 = 0
    keys: bool = False
    token: str = ""


class LeaseLeasesRequest(ClientRequest, frozen=True, tag="lease_leases", gc=False):
    """etcd Lease.LeaseLeases."""

    token: str = ""


class WatchCreateRequest(ClientRequest, frozen=True, tag="watch_create"):
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


class WatchCancelRequest(ClientRequest, frozen=True, tag="watch_cancel", gc=False):
    """etcd WatchCancelRequest."""

    watch_id: Int64 = 0
    token: str = ""


class CancelRequest(ClientRequest, frozen=True, tag="cancel", gc=False):
    """Ends the lock or campaign that waits at this address. It has no answer of its own."""

    token: str = ""


class WatchProgressRequest(ClientRequest, frozen=True, tag="watch_progress", gc=False):
    """etcd WatchProgressRequest."""

    token: str = ""


class WatchPollRequest(ClientRequest, frozen=True, tag="watch_poll"):
    """Long poll for REQ clients: events from start_revision on, or an empty list after wait_ms. The reply's
    ``next_revision`` is the start_revision of the next poll. start_revision 0: from now."""

    key: bytes = b""
    range_end: bytes = b""
    start_revision: Int64 = 0
    filters: list[int] = []
    prev_kv: bool = False
    wait_ms: Int64 = 10_000
    token: str = ""


class LockRequest(ClientRequest, frozen=True, tag="lock", gc=False):
    """etcd v3lock Lock."""

    name: bytes
    lease: Int64 = 0
    token: str = ""


class UnlockRequest(ClientRequest, frozen=True, tag="unlock", gc=False):
    """etcd v3lock Unlock."""

    key: bytes
    token: str = ""


class LeaderKey(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """etcd v3election LeaderKey."""

    name: bytes = b""
    key: bytes = b""
    rev: Int64 = 0
    lease: Int64 = 0


class CampaignRequest(ClientRequest, frozen=True, tag="campaign", gc=False):
    """etcd v3election Campaign."""

    name: bytes
    lease: Int64 = 0
    value: bytes = b""
    token: str = ""


class ProclaimRequest(ClientRequest, frozen=True, tag="proclaim", gc=False):
    """etcd v3election Proclaim."""

    leader: LeaderKey | None = None
    value: bytes = b""
    token: str = ""


class LeaderRequest(ClientRequest, frozen=True, tag="leader", gc=False):
    """etcd v3election Leader."""

    name: bytes
    token: str = ""


class ObserveRequest(ClientRequest, frozen=True, tag="observe", gc=False):
    """etcd v3election Observe: a stream of leaders on this envelope; ends with watch_cancel."""

    name: bytes
    token: str = ""


class ResignRequest(ClientRequest, frozen=True, tag="resign", gc=False):
    """etcd v3election Resign."""

    leader: LeaderKey | None = None
    token: str = ""


class StatusRequest(ClientRequest, frozen=True, tag="status", gc=False):
    """etcd Maintenance.Status."""

    token: str = ""


class HashKvRequest(ClientRequest, frozen=True, tag="hash_kv", gc=False):
    """etcd Maintenance.HashKV."""

    revision: Int64 = 0
    token: str = ""


class AlarmRequest(ClientRequest, frozen=True, tag="alarm", gc=False):
    """etcd Maintenance.Alarm. action GET 0, ACTIVATE 1, DEACTIVATE 2; alarm NONE 0, NOSPACE 1, CORRUPT 2."""

    action: int = 0
    memberID: UInt64 = 0
    alarm: int = 0
    token: str = ""


class MemberListRequest(ClientRequest, frozen=True, tag="member_list", gc=False):
    """etcd Cluster.MemberList."""

    linearizable: bool = True
    token: str = ""


class MemberAddRequest(ClientRequest, frozen=True, tag="member_add"):
    """etcd Cluster.MemberAdd."""

    peerURLs: list[str] = []
    isLearner: bool = False
    token: str = ""


class MemberRemoveRequest(ClientRequest, frozen=True, tag="member_remove", gc=False):
    """etcd Cluster.MemberRemove."""

    ID: UInt64 = 0
    token: str = ""


class MemberUpdateRequest(ClientRequest, frozen=True, tag="member_update"):
    """etcd Cluster.MemberUpdate."""

    ID: UInt64 = 0
    peerURLs: list[str] = []
    token: str = ""


class MemberPromoteRequest(ClientRequest, frozen=True, tag="member_promote", gc=False):
    """etcd Cluster.MemberPromote."""

    ID: UInt64 = 0
    token: str = ""


class MoveLeaderRequest(ClientRequest, frozen=True, tag="move_leader", gc=False):
    """etcd Maintenance.MoveLeader; only the leader takes it."""

    targetID: UInt64 = 0
    token: str = ""


class DowngradeRequest(ClientRequest, frozen=True, tag="downgrade", gc=False):
    """etcd Maintenance.Downgrade. action VALIDATE 0, ENABLE 1, CANCEL 2."""

    action: int = 0
    version: str = ""
    token: str = ""


class HashRequest(ClientRequest, frozen=True, tag="hash", gc=False):
    """etcd Maintenance.Hash."""

    token: str = ""


class DefragmentRequest(ClientRequest, frozen=True, tag="defragment", gc=False):
    """etcd Maintenance.Defragment, of the member that is asked; answered when it is done, which takes minutes."""

    token: str = ""


class SnapshotRequest(ClientRequest, frozen=True, tag="snapshot", gc=False):
    """etcd Maintenance.Snapshot: a stream of `replies.SnapshotReply` on this envelope. credit: chunks that may be sent
    before a `SnapshotCreditRequest` asks for more."""

    credit: Int64 = 16
    token: str = ""


class SnapshotCreditRequest(ClientRequest, frozen=True, tag="snapshot_credit", gc=False):
    """So many chunks more of the snapshot on this envelope."""

    chunks: Int64 = 0
    token: str = ""


class SnapshotCancelRequest(ClientRequest, frozen=True, tag="snapshot_cancel", gc=False):
    """The snapshot on this envelope is not wanted any more."""

    token: str = ""


class MetricsRequest(ClientRequest, frozen=True, tag="metrics", gc=False):
    """What all processes of the member count: see `replies.MetricsReply`."""

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
    | AuthRequest
)
"""Requests with exactly one reply: what a batch may hold."""


class BatchRequest(ClientRequest, frozen=True, tag="batch"):
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
