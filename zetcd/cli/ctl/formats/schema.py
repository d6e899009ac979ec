"""etcd's reply messages: field numbers, names and kinds, in field-number order, as its protobuf definitions have them.

A kind is ``int`` (any varint: signed 64-bit, unsigned, bool, enum), ``bytes``, ``str``, or the name of a message;
a ``*`` before it means repeated. Both the protobuf and the JSON printer are driven by this table.
"""

Field = tuple[int, str, str]

_HEADER = (1, "header", "ResponseHeader")

MESSAGES: dict[str, tuple[Field, ...]] = {
    "ResponseHeader": (
        (1, "cluster_id", "int"),
        (2, "member_id", "int"),
        (3, "revision", "int"),
        (4, "raft_term", "int"),
    ),
    "KeyValue": (
        (1, "key", "bytes"),
        (2, "create_revision", "int"),
        (3, "mod_revision", "int"),
        (4, "version", "int"),
        (5, "value", "bytes"),
        (6, "lease", "int"),
    ),
    "Event": ((1, "type", "int"), (2, "kv", "KeyValue"), (3, "prev_kv", "KeyValue")),
    "PutResponse": (_HEADER, (2, "prev_kv", "KeyValue")),
    "RangeResponse": (_HEADER, (2, "kvs", "*KeyValue"), (3, "more", "int"), (4, "count", "int")),
    "DeleteRangeResponse": (_HEADER, (2, "deleted", "int"), (3, "prev_kvs", "*KeyValue")),
    "ResponseOp": (
        (1, "response_range", "RangeResponse"),
        (2, "response_put", "PutResponse"),
        (3, "response_delete_range", "DeleteRangeResponse"),
        (4, "response_txn", "TxnResponse"),
    ),
    "TxnResponse": (_HEADER, (2, "succeeded", "int"), (3, "responses", "*ResponseOp")),
    "WatchResponse": (
        _HEADER,
        (2, "watch_id", "int"),
        (3, "created", "int"),
        (4, "canceled", "int"),
        (5, "compact_revision", "int"),
        (6, "cancel_reason", "str"),
        (7, "fragment", "int"),
        (11, "events", "*Event"),
    ),
    "LeaseGrantResponse": (_HEADER, (2, "ID", "int"), (3, "TTL", "int"), (4, "error", "str")),
    "LeaseRevokeResponse": (_HEADER,),
    "LeaseKeepAliveResponse": (_HEADER, (2, "ID", "int"), (3, "TTL", "int")),
    "LeaseTimeToLiveResponse": (
        _HEADER,
        (2, "ID", "int"),
        (3, "TTL", "int"),
        (4, "grantedTTL", "int"),
        (5, "keys", "*bytes"),
    ),
    "LeaseStatus": ((1, "ID", "int"),),
    "LeaseLeasesResponse": (_HEADER, (2, "leases", "*LeaseStatus")),
    "AlarmMember": ((1, "memberID", "int"), (2, "alarm", "int")),
    "AlarmResponse": (_HEADER, (2, "alarms", "*AlarmMember")),
    "Member": (
        (1, "ID", "int"),
        (2, "name", "str"),
        (3, "peerURLs", "*str"),
        (4, "clientURLs", "*str"),
        (5, "isLearner", "int"),
    ),
    "MemberListResponse": (_HEADER, (2, "members", "*Member")),
    "MemberAddResponse": (_HEADER, (2, "member", "Member"), (3, "members", "*Member")),
    "MemberRemoveResponse": (_HEADER, (2, "members", "*Member")),
    "MemberUpdateResponse": (_HEADER, (2, "members", "*Member")),
    "MemberPromoteResponse": (_HEADER, (2, "members", "*Member")),
    "MoveLeaderResponse": (),  # etcd sends no header here
    "StatusResponse": (
        _HEADER,
        (2, "version", "str"),
        (3, "dbSize", "int"),
        (4, "leader", "int"),
        (5, "raftIndex", "int"),
        (6, "raftTerm", "int"),
        (7, "raftAppliedIndex", "int"),
        (8, "errors", "*str"),
        (9, "dbSizeInUse", "int"),
        (10, "isLearner", "int"),
        (11, "storageVersion", "str"),
        (12, "dbSizeQuota", "int"),
    ),
    "Permission": ((1, "permType", "int"), (2, "key", "bytes"), (3, "range_end", "bytes")),
    "AuthResponse": (_HEADER,),
    "AuthStatusResponse": (_HEADER, (2, "enabled", "int"), (3, "authRevision", "int")),
    "AuthUserGetResponse": (_HEADER, (2, "roles", "*str")),
    "AuthUserListResponse": (_HEADER, (2, "users", "*str")),
    "AuthRoleGetResponse": (_HEADER, (2, "perm", "*Permission")),
    "AuthRoleListResponse": (_HEADER, (2, "roles", "*str")),
    "HashKVResponse": (_HEADER, (2, "hash", "int"), (3, "compact_revision", "int"), (4, "hash_revision", "int")),
}

AUTH_CHANGES = (
    "user_add", "user_delete", "user_password", "user_grant", "user_revoke", "role_add", "role_delete", "role_grant",
    "role_revoke",
)  # fmt: skip
"""Replies that are nothing but a header; the simple format says what was done."""

KINDS = {
    "put": "PutResponse",
    "get": "RangeResponse",
    "delete": "DeleteRangeResponse",
    "txn": "TxnResponse",
    "watch": "WatchResponse",
    "lease_grant": "LeaseGrantResponse",
    "lease_revoke": "LeaseRevokeResponse",
    "lease_keep_alive": "LeaseKeepAliveResponse",
    "lease_time_to_live": "LeaseTimeToLiveResponse",
    "leases": "LeaseLeasesResponse",
    "alarm": "AlarmResponse",
    "members": "MemberListResponse",
    "member_added": "MemberAddResponse",
    "member_removed": "MemberRemoveResponse",
    "member_updated": "MemberUpdateResponse",
    "member_promoted": "MemberPromoteResponse",
    "leader_moved": "MoveLeaderResponse",
    **dict.fromkeys(AUTH_CHANGES, "AuthResponse"),
    "auth_status": "AuthStatusResponse",
    "user_get": "AuthUserGetResponse",
    "users": "AuthUserListResponse",
    "role_get": "AuthRoleGetResponse",
    "roles": "AuthRoleListResponse",
}
"""What the printers call a reply, and its message."""

ALARMS = {0: "NONE", 1: "NOSPACE", 2: "CORRUPT"}
PERMISSIONS = {0: "READ", 1: "WRITE", 2: "READWRITE"}
EVENTS = {0: "PUT", 1: "DELETE"}
