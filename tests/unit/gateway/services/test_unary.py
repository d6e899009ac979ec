"""Each method's request becomes the ZeroMQ API's with every field, each reply etcd's."""

from typing import Any

import msgspec
import pytest
from google.protobuf.message import Message

from tests.unit.gateway.services.fakes import HEADER, FakeLink
from tests.unit.gateway.services.messages import filled, plain
from zetcd.base import errors
from zetcd.gateway.http.version import ETCD_VERSION
from zetcd.gateway.rpc import Unary
from zetcd.session.errors import CLIENT_CLOSED, DEADLINE, Error
from zetcd.wire import client as wire
from zetcd_pb import election_pb2, lock_pb2
from zetcd_pb import rpc_pb2 as pb

PUT, RANGE, TXN = "/etcdserverpb.KV/Put", "/etcdserverpb.KV/Range", "/etcdserverpb.KV/Txn"
ASKING = sorted(
    path for path, method in FakeLink().methods().items() if isinstance(method, Unary) and not path.startswith("/grpc.")
)
RENAMED = {"Compact": "compact", "HashKV": "hash_kv", "UserAdd": "user_add"}
HEADERLESS = {"/etcdserverpb.Maintenance/Defragment", "/etcdserverpb.Maintenance/MoveLeader"}
"""etcd's answers to these have none."""


def op_of(path: str) -> str:
    """etcd's method name in snake case, as docs/protocol.md promises."""
    name = path.rpartition("/")[2]
    name = RENAMED.get(name, name)
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


def method(path: str) -> Unary:
    found = FakeLink().methods()[path]
    assert isinstance(found, Unary)
    return found


def test_there_are_as_many_as_etcd_has() -> None:
    assert len(ASKING) == 44


@pytest.mark.parametrize("path", ASKING)
def test_a_request_travels_with_every_field(path: str) -> None:
    link = FakeLink()
    request = filled(method(path).request)
    link.start(path, request)
    asked: dict[str, Any] = msgspec.msgpack.decode(msgspec.msgpack.encode(link.asked[0].request))
    assert asked.pop("op") == op_of(path)
    expected = plain(request)
    if isinstance(request, pb.MemberListRequest):
        del expected["linearizable"]  # the ZeroMQ API's default
    assert asked == expected


@pytest.mark.parametrize("path", ASKING)
def test_an_empty_request_travels_as_its_defaults(path: str) -> None:
    link = FakeLink()
    link.start(path, method(path).request())
    asked = msgspec.msgpack.decode(msgspec.msgpack.encode(link.asked[0].request))
    # A field without a default is sent although it is empty.
    assert not any(value for name, value in asked.items() if name != "op" and value is not False)


@pytest.mark.parametrize("path", ASKING)
def test_a_reply_travels_with_every_field(path: str) -> None:
    link = FakeLink()
    call = link.start(path, method(path).request())
    whole = filled(method(path).reply)
    if isinstance(whole, pb.LeaseGrantResponse):
        whole.ClearField("error")  # etcd never sets it; in a map of the ZeroMQ API it is how a failed call is told
    link.answer(plain(whole))
    expected: Message = type(whole).FromString(whole.SerializeToString())
    if path in HEADERLESS:
        expected.ClearField("header")
    if isinstance(expected, pb.StatusResponse):
        expected.version = ETCD_VERSION
    assert call.replied == expected
    assert call.on_cancel is None


@pytest.mark.parametrize("path", ASKING)
def test_an_error_travels_as_it_is(path: str) -> None:
    link = FakeLink()
    call = link.start(path, method(path).request())
    link.answer({"error": {"code": 11, "status": "OUT_OF_RANGE", "message": "etcdserver: something"}})
    assert call.error == (11, "etcdserver: something")


def test_a_union_travels_in_each_form() -> None:
    link = FakeLink()
    operations = [
        pb.RequestOp(request_range=pb.RangeRequest(key=b"r", limit=3)),
        pb.RequestOp(request_put=pb.PutRequest(key=b"p", value=b"v", lease=-5)),
        pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=b"d", range_end=b"e", prev_kv=True)),
        pb.RequestOp(request_txn=pb.TxnRequest(failure=[pb.RequestOp(request_put=pb.PutRequest(key=b"deep"))])),
        pb.RequestOp(),
    ]
    compares = [
        pb.Compare(key=b"a", target=pb.Compare.VALUE, value=b"v"),
        pb.Compare(key=b"a", target=pb.Compare.LEASE, lease=9, result=pb.Compare.NOT_EQUAL),
        pb.Compare(key=b"a", target=pb.Compare.MOD, version=9, range_end=b"z"),
    ]
    link.start(TXN, pb.TxnRequest(compare=compares, success=operations))
    request = link.asked[0].request
    assert isinstance(request, wire.TxnRequest)
    assert request.success == [
        wire.RequestOp(request_range=wire.RangeOp(b"r", limit=3)),
        wire.RequestOp(request_put=wire.PutOp(b"p", b"v", -5)),
        wire.RequestOp(request_delete_range=wire.DeleteRangeOp(b"d", b"e", prev_kv=True)),
        wire.RequestOp(request_txn=wire.TxnOp(failure=[wire.RequestOp(request_put=wire.PutOp(b"deep"))])),
        wire.RequestOp(),
    ]
    assert request.compare == [
        wire.CompareMap(b"a", target=3, value=b"v"),
        wire.CompareMap(b"a", result=3, target=4, lease=9),
        wire.CompareMap(b"a", target=2, version=9, range_end=b"z"),
    ]


def test_a_leader_that_is_not_given_stays_away() -> None:
    link = FakeLink()
    link.start("/v3electionpb.Election/Resign", election_pb2.ResignRequest())
    link.start("/v3electionpb.Election/Resign", election_pb2.ResignRequest(leader=election_pb2.LeaderKey()))
    first, second = (asked.request for asked in link.asked)
    assert isinstance(first, wire.ResignRequest)
    assert isinstance(second, wire.ResignRequest)
    assert first.leader is None
    assert second.leader == wire.LeaderKey()


@pytest.mark.parametrize(
    ("metadata", "token", "leader"),
    [
        ({}, "", False),
        ({"hasleader": "true", "client-api-version": "3.5.1"}, "", True),
        ({"hasleader": "1"}, "", False),
        ({"token": "abc.7"}, "abc.7", False),
        ({"authorization": "abc.7"}, "abc.7", False),
        ({"authorization": "Bearer abc.7"}, "abc.7", False),
        ({"token": "a", "authorization": "b"}, "a", False),
        ({"client-api-version": "3.é".encode().decode("latin-1")}, "", False),
    ],
)
def test_metadata_travels(metadata: dict[str, str], token: str, leader: bool) -> None:
    for path in ASKING:
        link = FakeLink()
        link.start(path, method(path).request(), metadata)
        request = link.asked[0].request
        assert request.token == token
        assert request.require_leader is leader


def test_a_client_version_that_is_no_text_is_refused() -> None:
    link = FakeLink()
    call = link.start(PUT, pb.PutRequest(key=b"k"), {"client-api-version": "\xff\xfe"})
    assert call.error == (3, "etcdserver: invalid client api version")
    assert not link.asked


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (Error(errors.UNAVAILABLE, "zetcd: connection lost", outcome_unknown=True),
         (14, "etcdserver: request timed out, possibly due to connection lost")),
        (Error(errors.DEADLINE_EXCEEDED, DEADLINE), (14, "etcdserver: request timed out")),
        (Error(errors.CANCELED, CLIENT_CLOSED), (14, "etcdserver: server stopped")),
        (Error(errors.RESOURCE_EXHAUSTED, errors.TOO_MANY_REQUESTS.message), (8, "etcdserver: too many requests")),
    ],
)  # fmt: skip
def test_what_the_way_breaks_is_told_in_etcds_words(error: Error, told: tuple[int, str]) -> None:
    link = FakeLink()
    call = link.start(PUT, pb.PutRequest(key=b"k"))
    link.asked[0].waiter.set_exception(error)
    assert call.error == told


def test_nobody_waits_for_a_call_that_was_cancelled() -> None:
    link = FakeLink()
    call = link.start(PUT, pb.PutRequest(key=b"k"))
    assert not link.asked[0].waiter.done()
    assert call.on_cancel is not None
    call.on_cancel()
    assert link.asked[0].waiter.done()


@pytest.mark.parametrize(
    ("path", "request_", "key"),
    [
        ("/v3lockpb.Lock/Lock", lock_pb2.LockRequest(name=b"n", lease=0x4D), b"n/4d"),
        ("/v3electionpb.Election/Campaign", election_pb2.CampaignRequest(name=b"n", lease=0x4D), b"n/4d"),
    ],
)
def test_who_gives_up_a_place_in_a_queue_leaves_it(path: str, request_: Message, key: bytes) -> None:
    link = FakeLink()
    call = link.start(path, request_, {"token": "t"})
    assert link.asked[0].forever
    assert call.on_cancel is not None
    call.on_cancel()
    assert link.asked[0].waiter.done()
    assert link.asked[1].request == wire.UnlockRequest(key=key, token="t")
    link.answer({"header": HEADER})
    assert call.replied is None


@pytest.mark.parametrize(
    ("request_", "shared"),
    [
        (pb.RangeRequest(key=b"k"), True),
        (pb.RangeRequest(key=b"k", range_end=b"z"), False),
        (pb.RangeRequest(key=b"k", serializable=True), False),
    ],
)
def test_only_reads_of_one_key_share_frames(request_: Message, shared: bool) -> None:
    """What shares a frame is answered with the slowest of it: a long range, or a read that waits for a leader."""
    link = FakeLink()
    link.start(RANGE, request_)
    link.start(RANGE, pb.RangeRequest(key=b"one"))
    first, second = (asked.policy.queue for asked in link.asked)
    assert (first == second) is shared


def test_what_must_not_be_done_twice_is_not_repeated() -> None:
    repeated = set()
    for path in ASKING:
        link = FakeLink()
        link.start(path, filled(method(path).request))
        if link.asked[0].policy.repeatable:
            repeated.add(op_of(path))
    assert repeated == {
        "txn",  # of reads alone
        "range", "lease_time_to_live", "lease_leases", "member_list", "status", "defragment", "hash", "hash_kv", "lock",
        "campaign", "leader", "auth_status", "authenticate", "user_get", "user_list", "role_get", "role_list",
    }  # fmt: skip


def test_a_transaction_that_writes_is_not_repeated() -> None:
    link = FakeLink()
    link.start(TXN, pb.TxnRequest(failure=[pb.RequestOp(request_put=pb.PutRequest(key=b"k"))]))
    assert not link.asked[0].policy.repeatable


@pytest.mark.parametrize(
    ("path", "request_"),
    [
        ("/v3lockpb.Lock/Lock", lock_pb2.LockRequest(name=b"n")),
        ("/v3electionpb.Election/Campaign", election_pb2.CampaignRequest(name=b"n")),
    ],
)
def test_a_place_under_a_lease_of_the_servers_is_asked_for_once(path: str, request_: Message) -> None:
    link = FakeLink()
    call = link.start(path, request_)
    assert not link.asked[0].policy.repeatable
    assert call.on_cancel is not None
    call.on_cancel()
    assert link.given_up == link.asked, "nobody else knows its key"
    assert link.asked[0].waiter.done()
