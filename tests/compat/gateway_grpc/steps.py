"""What both servers are asked, in this order: unary calls, then what happens on streams."""

from typing import NamedTuple

from google.protobuf.message import Message

from tests.compat.gateway_grpc.stub import Metadata
from zetcd_pb import auth_pb2, election_pb2, health_pb2, lock_pb2
from zetcd_pb import rpc_pb2 as pb

LEASE = 77
PLACE = b"%x" % LEASE


class Step(NamedTuple):
    """One unary call."""

    path: str
    request: Message
    metadata: Metadata = ()


def kv(name: str, request: Message, metadata: Metadata = ()) -> Step:
    return Step(f"/etcdserverpb.KV/{name}", request, metadata)


def lease(name: str, request: Message) -> Step:
    return Step(f"/etcdserverpb.Lease/{name}", request)


def maintenance(name: str, request: Message) -> Step:
    return Step(f"/etcdserverpb.Maintenance/{name}", request)


def cluster(name: str, request: Message) -> Step:
    return Step(f"/etcdserverpb.Cluster/{name}", request)


def auth(name: str, request: Message) -> Step:
    return Step(f"/etcdserverpb.Auth/{name}", request)


def lock(name: str, request: Message) -> Step:
    return Step(f"/v3lockpb.Lock/{name}", request)


def election(name: str, request: Message) -> Step:
    return Step(f"/v3electionpb.Election/{name}", request)


Put, Range, Delete, Op = pb.PutRequest, pb.RangeRequest, pb.DeleteRangeRequest, pb.RequestOp
GET_A = Op(request_range=Range(key=b"a"))
NOT_MINE = election_pb2.LeaderKey(name=b"e", key=b"e/" + PLACE, rev=1, lease=LEASE)
CORRUPT = pb.AlarmRequest(action=pb.AlarmRequest.ACTIVATE, memberID=5, alarm=pb.CORRUPT)
HEALED = pb.AlarmRequest(action=pb.AlarmRequest.DEACTIVATE, memberID=5, alarm=pb.CORRUPT)

KEYS = (
    kv("Range", Range(key=b"a")),
    kv("Range", Range()),
    kv("Put", Put(key=b"a", value=b"1")),
    kv("Put", Put(key=b"a", value=b"2", prev_kv=True)),
    kv("Put", Put()),
    kv("Put", Put(key=b"a", lease=LEASE)),
    kv("Put", Put(key=b"a", ignore_value=True, value=b"x")),
    kv("Put", Put(key=b"zz", ignore_value=True)),
    kv("Put", Put(key=b"a", ignore_lease=True, lease=1)),
    kv("Range", Range(key=b"a", revision=2)),
    kv("Range", Range(key=b"a", revision=99)),
    kv("Range", Range(key=b"\0", range_end=b"\0", count_only=True)),
    kv("Range", Range(key=b"a", keys_only=True)),
    kv("Range", Range(key=b"a", range_end=b"b", sort_order="DESCEND", sort_target="MOD", limit=1)),
    kv("Range", Range(key=b"a", serializable=True)),
    kv("Txn", pb.TxnRequest()),
    kv("Txn", pb.TxnRequest(success=[Op()])),
    kv(
        "Txn",
        pb.TxnRequest(
            compare=[pb.Compare(key=b"a", target="VALUE", value=b"2")],
            success=[
                Op(request_put=Put(key=b"b", value=b"x")),
                Op(request_txn=pb.TxnRequest(success=[GET_A, Op(request_delete_range=Delete(key=b"q"))])),
            ],
            failure=[GET_A],
        ),
    ),
    kv("Txn", pb.TxnRequest(compare=[pb.Compare(key=b"a", result="GREATER", version=5)], failure=[GET_A])),
    kv("Txn", pb.TxnRequest(success=[Op(request_put=Put(key=b"b")), Op(request_put=Put(key=b"b"))])),
    kv("Txn", pb.TxnRequest(success=[GET_A] * 129)),
    kv("Txn", pb.TxnRequest(compare=[pb.Compare(version=5)])),
    kv("DeleteRange", Delete(key=b"b", prev_kv=True)),
    kv("DeleteRange", Delete(key=b"b")),
    kv("DeleteRange", Delete()),
    kv("Compact", pb.CompactionRequest(revision=3)),
    kv("Compact", pb.CompactionRequest(revision=3)),
    kv("Compact", pb.CompactionRequest(revision=99)),
    kv("Compact", pb.CompactionRequest(revision=4, physical=True)),
    kv("Range", Range(key=b"a", revision=2)),
    kv("Put", Put(key=b"a", value=b"x" * 1_572_865)),
    kv("Put", Put(key=b"a", value=b"x" * 2_200_000)),
    kv("Range", Range(key=b"a"), (("hasleader", "true"), ("client-api-version", "3.5.1"))),
    kv("Range", Range(key=b"a"), (("hasleader", "1"),)),
)
LEASES = (
    lease("LeaseGrant", pb.LeaseGrantRequest(TTL=100, ID=LEASE)),
    lease("LeaseGrant", pb.LeaseGrantRequest(TTL=100, ID=LEASE)),
    lease("LeaseGrant", pb.LeaseGrantRequest(TTL=9_000_000_001, ID=78)),
    lease("LeaseGrant", pb.LeaseGrantRequest(TTL=-5, ID=79)),
    kv("Put", Put(key=b"l", value=b"2", lease=LEASE)),
    lease("LeaseTimeToLive", pb.LeaseTimeToLiveRequest(ID=5, keys=True)),
    lease("LeaseRevoke", pb.LeaseRevokeRequest(ID=79)),
    lease("LeaseLeases", pb.LeaseLeasesRequest()),
    lease("LeaseRevoke", pb.LeaseRevokeRequest(ID=5)),
)
MAINTENANCE = (
    maintenance("Alarm", pb.AlarmRequest()),
    maintenance("Alarm", CORRUPT),
    maintenance("Alarm", CORRUPT),
    kv("Put", Put(key=b"a")),
    kv("Range", Range(key=b"a")),
    maintenance("Alarm", pb.AlarmRequest()),
    maintenance("Alarm", HEALED),
    maintenance("Alarm", HEALED),
    maintenance("Alarm", pb.AlarmRequest(action=pb.AlarmRequest.ACTIVATE, memberID=5)),
    maintenance("Alarm", pb.AlarmRequest(action=pb.AlarmRequest.DEACTIVATE, memberID=5)),
    maintenance("Hash", pb.HashRequest()),
    maintenance("HashKV", pb.HashKVRequest()),
    maintenance("HashKV", pb.HashKVRequest(revision=1)),
    maintenance("HashKV", pb.HashKVRequest(revision=999)),
    maintenance("Defragment", pb.DefragmentRequest()),
    maintenance("MoveLeader", pb.MoveLeaderRequest(targetID=4)),
    maintenance("Downgrade", pb.DowngradeRequest(action=pb.DowngradeRequest.CANCEL)),
    maintenance("Downgrade", pb.DowngradeRequest(version="x")),
    cluster("MemberRemove", pb.MemberRemoveRequest(ID=5)),
    cluster("MemberPromote", pb.MemberPromoteRequest(ID=5)),
    cluster("MemberAdd", pb.MemberAddRequest(peerURLs=["x"])),
    cluster("MemberAdd", pb.MemberAddRequest()),
)
AUTH = (
    auth("AuthStatus", pb.AuthStatusRequest()),
    auth("AuthEnable", pb.AuthEnableRequest()),
    auth("AuthDisable", pb.AuthDisableRequest()),
    auth("Authenticate", pb.AuthenticateRequest(name="a", password="b")),
    auth("UserAdd", pb.AuthUserAddRequest()),
    auth("UserGet", pb.AuthUserGetRequest(name="a")),
    auth("UserList", pb.AuthUserListRequest()),
    auth("UserDelete", pb.AuthUserDeleteRequest(name="a")),
    auth("UserChangePassword", pb.AuthUserChangePasswordRequest(name="a", password="x")),
    auth("UserGrantRole", pb.AuthUserGrantRoleRequest(user="a", role="r")),
    auth("UserRevokeRole", pb.AuthUserRevokeRoleRequest(name="a", role="r")),
    auth("RoleAdd", pb.AuthRoleAddRequest()),
    auth("RoleGet", pb.AuthRoleGetRequest(role="r")),
    auth("RoleList", pb.AuthRoleListRequest()),
    auth("RoleDelete", pb.AuthRoleDeleteRequest(role="r")),
    auth("RoleGrantPermission", pb.AuthRoleGrantPermissionRequest(name="r", perm=auth_pb2.Permission(key=b"a"))),
    auth("RoleGrantPermission", pb.AuthRoleGrantPermissionRequest(name="r")),
    auth("RoleRevokePermission", pb.AuthRoleRevokePermissionRequest(role="r", key=b"a")),
)
ROLES = (
    auth("UserAdd", pb.AuthUserAddRequest(name="u", password="p")),
    auth("UserAdd", pb.AuthUserAddRequest(name="u", password="p")),
    auth("UserAdd", pb.AuthUserAddRequest(name="ü", options=auth_pb2.UserAddOptions(no_password=True))),
    auth("UserAdd", pb.AuthUserAddRequest(name="h", hashedPassword="no base64", options=auth_pb2.UserAddOptions())),
    auth("UserAdd", pb.AuthUserAddRequest(name="nothing")),
    auth("UserChangePassword", pb.AuthUserChangePasswordRequest(name="u", password="q")),
    auth("UserChangePassword", pb.AuthUserChangePasswordRequest(name="u", hashedPassword="no base64")),
    auth("UserChangePassword", pb.AuthUserChangePasswordRequest(name="ü", password="q")),
    auth("AuthStatus", pb.AuthStatusRequest()),
    auth("RoleAdd", pb.AuthRoleAddRequest(name="r")),
    auth("RoleAdd", pb.AuthRoleAddRequest(name="r")),
    *(
        auth("RoleGrantPermission", pb.AuthRoleGrantPermissionRequest(name="r", perm=permission))
        for permission in (
            auth_pb2.Permission(key=b"a"),
            auth_pb2.Permission(permType=auth_pb2.Permission.WRITE, key=b"a"),
            auth_pb2.Permission(key=b"\0", range_end=b"\0"),
            auth_pb2.Permission(permType=auth_pb2.Permission.READWRITE, key=b"b\xff", range_end=b"c"),
            auth_pb2.Permission(key=b"a", range_end=b"b"),
        )
    ),
    auth("RoleGet", pb.AuthRoleGetRequest(role="r")),
    auth("RoleRevokePermission", pb.AuthRoleRevokePermissionRequest(role="r", key=b"a", range_end=b"c")),
    auth("RoleRevokePermission", pb.AuthRoleRevokePermissionRequest(role="r", key=b"a")),
    auth("RoleRevokePermission", pb.AuthRoleRevokePermissionRequest(role="r")),
    auth("RoleGet", pb.AuthRoleGetRequest(role="r")),
    *(auth("UserGrantRole", pb.AuthUserGrantRoleRequest(user="u", role=role)) for role in ("r", "r", "x", "root", "")),
    auth("AuthStatus", pb.AuthStatusRequest()),
    auth("UserGet", pb.AuthUserGetRequest(name="u")),
    auth("UserList", pb.AuthUserListRequest()),
    auth("RoleList", pb.AuthRoleListRequest()),
    auth("RoleDelete", pb.AuthRoleDeleteRequest(role="r")),
    auth("UserRevokeRole", pb.AuthUserRevokeRoleRequest(name="u", role="r")),
    auth("UserGet", pb.AuthUserGetRequest(name="u")),
    auth("UserRevokeRole", pb.AuthUserRevokeRoleRequest(name="u", role="root")),
    auth("UserAdd", pb.AuthUserAddRequest(name="root", password="p")),
    auth("AuthEnable", pb.AuthEnableRequest()),
    auth("Authenticate", pb.AuthenticateRequest(name="root", password="p")),
    kv("Put", Put(key=b"after", value=b"auth")),
    *(auth("UserDelete", pb.AuthUserDeleteRequest(name=name)) for name in ("u", "ü", "h", "nothing", "root", "root")),
    auth("RoleDelete", pb.AuthRoleDeleteRequest(role="r")),
    auth("AuthStatus", pb.AuthStatusRequest()),
    auth("AuthDisable", pb.AuthDisableRequest()),
)
QUEUES = (
    lock("Lock", lock_pb2.LockRequest(name=b"lock", lease=LEASE)),
    lock("Lock", lock_pb2.LockRequest(name=b"lock", lease=LEASE)),
    lock("Lock", lock_pb2.LockRequest(name=b"lock", lease=5)),
    lock("Unlock", lock_pb2.UnlockRequest(key=b"lock/" + PLACE)),
    election("Leader", election_pb2.LeaderRequest(name=b"e")),
    election("Campaign", election_pb2.CampaignRequest(name=b"e", lease=LEASE, value=b"v")),
    election("Leader", election_pb2.LeaderRequest(name=b"e")),
    election("Proclaim", election_pb2.ProclaimRequest(value=b"v")),
    election("Proclaim", election_pb2.ProclaimRequest(leader=NOT_MINE, value=b"v")),
    election("Resign", election_pb2.ResignRequest()),
    election("Resign", election_pb2.ResignRequest(leader=NOT_MINE)),
    Step("/grpc.health.v1.Health/Check", health_pb2.HealthCheckRequest()),
    Step("/grpc.health.v1.Health/Check", health_pb2.HealthCheckRequest(service="x")),
)
UNARY = (*KEYS, *LEASES, *MAINTENANCE, *AUTH, *ROLES, *QUEUES)


class Differs(NamedTuple):
    """One unary call that must not be answered as etcd 3.5.1 does."""

    step: Step
    why: str


DIFFERENT = (
    Differs(kv("Range", Range(key=b"a", sort_target=9)), "etcd crashes; refused since 3.6"),  # type: ignore[arg-type]  # none
    Differs(maintenance("Alarm", pb.AlarmRequest(action=7)), "etcd crashes"),  # type: ignore[arg-type]  # no such action
    Differs(maintenance("Status", pb.StatusRequest()), "another version"),
    Differs(lease("LeaseGrant", pb.LeaseGrantRequest(TTL=100, ID=LEASE + 10)), "for the next one"),
    Differs(lease("LeaseTimeToLive", pb.LeaseTimeToLiveRequest(ID=LEASE + 10)), "what remains is another moment's"),
    Differs(cluster("MemberList", pb.MemberListRequest()), "another member"),
    Differs(
        cluster("MemberUpdate", pb.MemberUpdateRequest(ID=5, peerURLs=["http://127.0.0.1:1"])), "etcd never answers"
    ),
    Differs(Step("/grpc.health.v1.Health/List", health_pb2.HealthListRequest()), "not in 3.5"),
)
"""Asked of zetcd alone, so that every method is asked."""
