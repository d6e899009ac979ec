"""Errors, three kinds and no fourth.

1. What a client did, or what the cluster cannot do now, is a *value*: an `Error` with etcd's own gRPC code and
   message (`rpctypes/error.go`). It travels like any other result.
2. An undecodable frame is counted and dropped (or answered) at the edge; inside it is a `WireError`.
3. A broken invariant or a failing disk ends the process: `Fatal`. Recovery decides what happened.
"""

from typing import NamedTuple

OK, CANCELED, UNKNOWN, INVALID_ARGUMENT, DEADLINE_EXCEEDED, NOT_FOUND = 0, 1, 2, 3, 4, 5
PERMISSION_DENIED, RESOURCE_EXHAUSTED, FAILED_PRECONDITION = 7, 8, 9
ABORTED, OUT_OF_RANGE, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS = 10, 11, 12, 13, 14, 15
UNAUTHENTICATED = 16

STATUS: dict[int, str] = {
    OK: "OK",
    CANCELED: "CANCELED",
    UNKNOWN: "UNKNOWN",
    INVALID_ARGUMENT: "INVALID_ARGUMENT",
    DEADLINE_EXCEEDED: "DEADLINE_EXCEEDED",
    NOT_FOUND: "NOT_FOUND",
    6: "ALREADY_EXISTS",
    PERMISSION_DENIED: "PERMISSION_DENIED",
    RESOURCE_EXHAUSTED: "RESOURCE_EXHAUSTED",
    FAILED_PRECONDITION: "FAILED_PRECONDITION",
    ABORTED: "ABORTED",
    OUT_OF_RANGE: "OUT_OF_RANGE",
    UNIMPLEMENTED: "UNIMPLEMENTED",
    INTERNAL: "INTERNAL",
    UNAVAILABLE: "UNAVAILABLE",
    DATA_LOSS: "DATA_LOSS",
    UNAUTHENTICATED: "UNAUTHENTICATED",
}


class Fatal(Exception):
    """A broken invariant or a disk that failed: the process ends and says why."""


class Refusal(Fatal):
    """A start that would fail again in the same way (a wrong setting, damaged files, a directory that another member
    holds): nobody restarts the process before a person has changed something."""


class WireError(Exception):
    """Bytes that do not decode as what their place demands."""


class Error(NamedTuple):
    """What went wrong, as a value.

    code: gRPC status code; message: etcd's text, prefix included.
    """

    code: int
    message: str

    @property
    def status(self) -> str:
        """The gRPC name of the code, for example ``"OUT_OF_RANGE"``."""
        return STATUS.get(self.code, "UNKNOWN")


def _etcd(code: int, text: str) -> Error:
    return Error(code, "etcdserver: " + text)


# Requests.
EMPTY_KEY = _etcd(INVALID_ARGUMENT, "key is not provided")
KEY_NOT_FOUND = _etcd(INVALID_ARGUMENT, "key not found")
VALUE_PROVIDED = _etcd(INVALID_ARGUMENT, "value is provided")
LEASE_PROVIDED = _etcd(INVALID_ARGUMENT, "lease is provided")
TOO_MANY_OPS = _etcd(INVALID_ARGUMENT, "too many operations in txn request")
DUPLICATE_KEY = _etcd(INVALID_ARGUMENT, "duplicate key given in txn request")
INVALID_SORT_OPTION = _etcd(INVALID_ARGUMENT, "invalid sort option")
REQUEST_TOO_LARGE = _etcd(INVALID_ARGUMENT, "request is too large")
REQUEST_CANCELED = _etcd(CANCELED, "request canceled")
TOO_MANY_REQUESTS = _etcd(RESOURCE_EXHAUSTED, "too many requests")

# Store.
COMPACTED = _etcd(OUT_OF_RANGE, "mvcc: required revision has been compacted")
FUTURE_REVISION = _etcd(OUT_OF_RANGE, "mvcc: required revision is a future revision")
NO_SPACE = _etcd(RESOURCE_EXHAUSTED, "mvcc: database space exceeded")
CORRUPT = _etcd(DATA_LOSS, "corrupt cluster")
RANGE_TOO_LARGE = Error(
    RESOURCE_EXHAUSTED, "zetcd: the range holds too much for one answer: set limit, keys_only or a narrower range"
)

# Leases.
LEASE_NOT_FOUND = _etcd(NOT_FOUND, "requested lease not found")
LEASE_EXISTS = _etcd(FAILED_PRECONDITION, "lease already exists")
LEASE_TTL_TOO_LARGE = _etcd(OUT_OF_RANGE, "too large lease TTL")

# Watch: etcd sends these as cancel reasons, without the prefix.
WATCH_DUPLICATE_ID = "mvcc: duplicate watch ID provided on the WatchStream"
WATCH_EMPTY_RANGE = "mvcc: watcher range is empty"
WATCH_COMPACTED = COMPACTED.message

# Membership and leadership.
MEMBER_NOT_FOUND = _etcd(NOT_FOUND, "member not found")
MEMBER_EXISTS = _etcd(FAILED_PRECONDITION, "member ID already exist")
MEMBER_NOT_LEARNER = _etcd(FAILED_PRECONDITION, "can only promote a learner member")
PEER_URL_EXISTS = _etcd(FAILED_PRECONDITION, "Peer URLs already exists")
BAD_MEMBER_URLS = _etcd(INVALID_ARGUMENT, "given member URLs are invalid")
NOT_ENOUGH_STARTED = _etcd(FAILED_PRECONDITION, "re-configuration failed due to not enough started members")
LEARNER_NOT_READY = _etcd(FAILED_PRECONDITION, "can only promote a learner member which is in sync with leader")
TOO_MANY_LEARNERS = _etcd(FAILED_PRECONDITION, "too many learner members in cluster")
LEARNER_UNSUPPORTED = _etcd(UNAVAILABLE, "rpc not supported for learner")
LEADER_TRANSFER_TIMEOUT = _etcd(UNKNOWN, "request timed out, leader transfer took too long")
BAD_DOWNGRADE_VERSION = _etcd(INVALID_ARGUMENT, "wrong downgrade target version format")
BAD_DOWNGRADE_TARGET = _etcd(INVALID_ARGUMENT, "invalid downgrade target version")
NO_DOWNGRADE = _etcd(FAILED_PRECONDITION, "no inflight downgrade job")
NO_LEADER = _etcd(UNAVAILABLE, "no leader")
NOT_LEADER = _etcd(FAILED_PRECONDITION, "not leader")
LEADER_CHANGED = _etcd(UNAVAILABLE, "leader changed")
BAD_LEADER_TRANSFEREE = _etcd(FAILED_PRECONDITION, "bad leader transferee")
STOPPED = _etcd(UNAVAILABLE, "server stopped")
UNHEALTHY = _etcd(UNAVAILABLE, "unhealthy cluster")
TIMEOUT = _etcd(UNAVAILABLE, "request timed out")
TIMEOUT_LEADER_FAIL = _etcd(UNAVAILABLE, "request timed out, possibly due to previous leader failure")
TIMEOUT_WAIT_APPLIED = _etcd(UNAVAILABLE, "request timed out, waiting for the applied index took too long")

# Users and roles.
ROOT_USER_NOT_FOUND = _etcd(FAILED_PRECONDITION, "root user does not exist")
ROOT_ROLE_NOT_FOUND = _etcd(FAILED_PRECONDITION, "root user does not have root role")
USER_EXISTS = _etcd(FAILED_PRECONDITION, "user name already exists")
USER_EMPTY = _etcd(INVALID_ARGUMENT, "user name is empty")
USER_NOT_FOUND = _etcd(FAILED_PRECONDITION, "user name not found")
ROLE_EXISTS = _etcd(FAILED_PRECONDITION, "role name already exists")
ROLE_EMPTY = _etcd(INVALID_ARGUMENT, "role name is empty")
ROLE_NOT_FOUND = _etcd(FAILED_PRECONDITION, "role name not found")
ROLE_NOT_GRANTED = _etcd(FAILED_PRECONDITION, "role is not granted to the user")
PERMISSION_NOT_GIVEN = _etcd(INVALID_ARGUMENT, "permission not given")
PERMISSION_NOT_GRANTED = _etcd(FAILED_PRECONDITION, "permission is not granted to the role")
INVALID_AUTH_MANAGEMENT = _etcd(INVALID_ARGUMENT, "invalid auth management")
AUTH_NOT_ENABLED = _etcd(FAILED_PRECONDITION, "authentication is not enabled")
NO_PASSWORD_USER = Error(UNKNOWN, "auth: authentication failed, password was given for no password user")
AUTH_LATER = Error(UNIMPLEMENTED, "zetcd: users and roles are kept; authentication itself comes with a later version")
AUTH_FULL = Error(RESOURCE_EXHAUSTED, "zetcd: no room for more users, roles or permissions")
PASSWORD_TOO_LONG = Error(INVALID_ARGUMENT, "bcrypt: password length exceeds 72 bytes")

# Lock and election services: etcd sends these unprefixed as Unknown.
SESSION_EXPIRED = Error(UNKNOWN, "mutex: session is expired")
ELECTION_NOT_LEADER = Error(UNKNOWN, "election: not leader")
ELECTION_NO_LEADER = Error(UNKNOWN, "election: no leader")
KEY_NOT_NAMED = Error(UNKNOWN, EMPTY_KEY.message)
LEADER_FIELD_MISSING = Error(UNKNOWN, '"leader" field must be provided')

EXPORT_FAILED = Error(INTERNAL, "zetcd: no room for the snapshot's notes: free some below the data directory")
EXPORT_LOST = Error(UNAVAILABLE, "zetcd: the store was opened anew; ask for the snapshot again")
EXPORT_STALLED = Error(ABORTED, "zetcd: nobody took the snapshot; ask for it again")
NO_SNAPSHOT_STREAM = Error(NOT_FOUND, "zetcd: no snapshot on this stream")
NO_WATCH_STREAM = Error(NOT_FOUND, "zetcd: no watch on this stream; create its watches again")


def invalid(text: str) -> Error:
    """An InvalidArgument of our own, for requests etcd's protobuf could not even express; text names the fix."""
    return Error(INVALID_ARGUMENT, "zetcd: " + text)
