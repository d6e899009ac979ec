"""What is asked, what comes back, and how: calls, kinds of reply, and a policy per op.

A `Kind` knows how the reply bytes of one request, or of a batch of equal ones, become the value its caller gets, in
one C call. Replies that are errors do not have the reply's fields, fail that decoding, and take the slower path that
looks at each reply on its own.
"""

from collections.abc import Callable
from typing import Any, Final, Generic, Protocol, TypeVar, cast

import msgspec
from msgspec import Struct

from zetcd.session.errors import Error
from zetcd.wire import auth
from zetcd.wire import client as wire
from zetcd.wire.replies import (
    DeleteRangeReply,
    ErrorMap,
    Header,
    KeyValue,
    PutReply,
    RangeReply,
    TxnReply,
    WatchPollReply,
)

T = TypeVar("T")
S = TypeVar("S")


class Waiter(Protocol):
    """Whoever waits for a value: an `asyncio.Future`, or a thread."""

    def done(self) -> bool:
        """Whether there is an outcome, or nobody wants one any more."""
        ...

    def set_result(self, result: Any, /) -> None:
        """The reply."""

    def set_exception(self, exception: BaseException, /) -> None:
        """The failure."""


def _batch_decoder(reply: Any) -> "msgspec.msgpack.Decoder[Any]":
    many = msgspec.defstruct("Responses", [("responses", list[reply])], gc=False)
    return msgspec.msgpack.Decoder(many)


class Kind(Generic[T]):
    """How a reply is read: ``decode`` for one, ``decode_many`` for the responses of a batch of them."""

    __slots__ = ("_many", "_one", "_shape", "decode")

    def __init__(self, reply: Any, shape: Callable[[Any], T] | None = None) -> None:
        self._one = msgspec.msgpack.Decoder(reply)
        self._many = _batch_decoder(reply)
        self._shape = shape
        self.decode: Callable[[bytes], T] = self._one.decode if shape is None else self._shaped

    def _shaped(self, body: bytes) -> T:
        assert self._shape is not None
        return self._shape(self._one.decode(body))

    def decode_many(self, body: bytes) -> list[T]:
        """The responses of a batch. Raises msgspec.MsgspecError if any is not of this kind."""
        replies = cast("list[T]", self._many.decode(body).responses)
        return replies if self._shape is None else list(map(self._shape, replies))


class ErrorOnly(Struct, frozen=True):
    """What every failed reply has."""

    error: ErrorMap | None = None
    compact_revision: int = 0


class RawResponses(Struct, frozen=True):
    """A batch's reply, each response still in bytes; or the error of the whole batch."""

    responses: list[msgspec.Raw] = []
    error: ErrorMap | None = None


decode_error = msgspec.msgpack.Decoder(ErrorOnly).decode
decode_raw_responses = msgspec.msgpack.Decoder(RawResponses).decode


class LeaseTtlId(Struct, frozen=True, gc=False):
    """One lease in a list."""

    ID: int


class LeaseTtl(Struct, frozen=True, gc=False):
    """Of lease_grant and lease_keep_alive; a TTL of 0 may be left out."""

    header: Header
    ID: int = 0
    TTL: int = 0


class LeaseIds(Struct, frozen=True):
    """Of lease_leases."""

    header: Header
    leases: list[LeaseTtlId] = []


class LockKey(Struct, frozen=True, gc=False):
    """Of lock."""

    header: Header
    key: bytes


class Elected(Struct, frozen=True, gc=False):
    """Of campaign."""

    header: Header
    leader: wire.LeaderKey


class Leader(Struct, frozen=True, gc=False):
    """Of leader."""

    header: Header
    kv: KeyValue


def _plain(reply: dict[str, Any]) -> dict[str, Any]:
    if "error" in reply:
        raise msgspec.ValidationError("an error")  # to the path that reads errors
    return reply


def _first(reply: RangeReply) -> KeyValue | None:
    return reply.kvs[0] if reply.kvs else None


PLAIN: Final[Kind[dict[str, Any]]] = Kind(dict[str, Any], _plain)
PUT: Final[Kind[PutReply]] = Kind(PutReply)
RANGE: Final[Kind[RangeReply]] = Kind(RangeReply)
GET: Final[Kind[KeyValue | None]] = Kind(RangeReply, _first)
DELETE: Final[Kind[DeleteRangeReply]] = Kind(DeleteRangeReply)
TXN: Final[Kind[TxnReply]] = Kind(TxnReply)
KEEP_ALIVE: Final[Kind[int]] = Kind(LeaseTtl, lambda reply: reply.TTL)
GRANT: Final[Kind[tuple[int, int]]] = Kind(LeaseTtl, lambda reply: (reply.ID, reply.TTL))
LEASES: Final[Kind[list[int]]] = Kind(LeaseIds, lambda reply: [lease.ID for lease in reply.leases])
LOCK: Final[Kind[bytes]] = Kind(LockKey, lambda reply: reply.key)
CAMPAIGN: Final[Kind[wire.LeaderKey]] = Kind(Elected, lambda reply: reply.leader)
LEADER: Final[Kind[KeyValue]] = Kind(Leader, lambda reply: reply.kv)
POLL: Final[Kind[WatchPollReply]] = Kind(WatchPollReply)

# Policies. Equal ones share batches, so a read never waits for the fsync of a write beside it.
WRITE, READ, ALONE = 0, 1, 2


class Policy(Struct, frozen=True):
    """queue: WRITE and READ batch with their like; ALONE may take long and never shares a frame.
    repeatable: doing it twice is as doing it once, so it may be sent again whatever happened to the first."""

    queue: int
    repeatable: bool


_WRITE, _READ = Policy(WRITE, repeatable=False), Policy(READ, repeatable=True)
_LONG = Policy(ALONE, repeatable=True)

POLICIES: Final[dict[type, Policy]] = {
    wire.RangeRequest: _READ,
    wire.PutRequest: _WRITE,
    wire.DeleteRangeRequest: _WRITE,
    wire.TxnRequest: _WRITE,
    wire.CompactRequest: Policy(ALONE, repeatable=False),  # physical ones take minutes
    wire.LeaseGrantRequest: _WRITE,
    wire.LeaseRevokeRequest: _WRITE,
    wire.LeaseKeepAliveRequest: _READ,
    wire.LeaseTimeToLiveRequest: _READ,
    wire.LeaseLeasesRequest: _READ,
    wire.StatusRequest: _READ,
    wire.HashKvRequest: _LONG,
    wire.AlarmRequest: Policy(WRITE, repeatable=True),  # etcd: activating twice is activating once
    wire.MemberListRequest: _READ,
    wire.MemberAddRequest: Policy(ALONE, repeatable=False),
    wire.MemberRemoveRequest: Policy(ALONE, repeatable=False),
    wire.MemberUpdateRequest: Policy(ALONE, repeatable=False),
    wire.MemberPromoteRequest: Policy(ALONE, repeatable=False),
    wire.MoveLeaderRequest: Policy(ALONE, repeatable=False),
    wire.DowngradeRequest: _READ,
    wire.LockRequest: _LONG,  # same lease: same lock
    wire.UnlockRequest: Policy(WRITE, repeatable=True),  # the key names its lease and is never made again
    wire.CampaignRequest: _LONG,  # same lease: same candidacy
    wire.ProclaimRequest: _WRITE,
    wire.LeaderRequest: _READ,
    wire.ResignRequest: Policy(WRITE, repeatable=True),
    wire.WatchPollRequest: _LONG,
    wire.MetricsRequest: _LONG,
    wire.HashRequest: _LONG,
    wire.DefragmentRequest: _LONG,
    auth.AuthEnableRequest: _WRITE,
    auth.AuthDisableRequest: _WRITE,
    auth.AuthStatusRequest: _READ,
    auth.AuthenticateRequest: Policy(WRITE, repeatable=True),
    auth.UserAddRequest: _WRITE,
    auth.UserGetRequest: _READ,
    auth.UserListRequest: _READ,
    auth.UserDeleteRequest: _WRITE,
    auth.UserChangePasswordRequest: _WRITE,
    auth.UserGrantRoleRequest: _WRITE,
    auth.UserRevokeRoleRequest: _WRITE,
    auth.RoleAddRequest: _WRITE,
    auth.RoleGetRequest: _READ,
    auth.RoleListRequest: _READ,
    auth.RoleDeleteRequest: _WRITE,
    auth.RoleGrantPermissionRequest: _WRITE,
    auth.RoleRevokePermissionRequest: _WRITE,
    wire.BatchRequest: Policy(ALONE, repeatable=False),
}
"""Ops a call may have; the watch ops belong to streams, see `zetcd.session.watch`."""

_READ_TXN = Policy(READ, repeatable=True)
_OWN_LEASE = Policy(ALONE, repeatable=False)  # lease 0: the server makes one, twice if asked twice


def policy_of(request: wire.Request) -> Policy:
    """The policy of request's op; a transaction of reads is a read."""
    policy = POLICIES[type(request)]
    if type(request) is wire.TxnRequest and not _writes(request.success) and not _writes(request.failure):
        return _READ_TXN
    if isinstance(request, wire.LockRequest | wire.CampaignRequest) and request.lease == 0:
        return _OWN_LEASE
    return policy


def _writes(ops: list[wire.RequestOp]) -> bool:
    return any(op.request_range is None for op in ops)


class Call(Struct, eq=False):
    """One request on its way. deadline and not_before: seconds of the session's clock. frame_id: of its last frame,
    where it has one of its own."""

    request: wire.Request
    kind: Kind[Any]
    waiter: Waiter
    deadline: float
    policy: Policy
    attempts: int = 0
    not_before: float = 0.0
    failure: Error | None = None  # the last refusal, to be raised if the deadline comes first
    frame_id: bytes = b""
