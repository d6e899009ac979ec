"""Every method over the real port by grpcio, beside etcd 3.5.1: equal answers, equal errors, equal streams."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.compat.gateway_grpc import gateway, steps
from tests.compat.gateway_grpc.gateway import Gateway
from tests.compat.gateway_grpc.steps import LEASE, Delete, Op, Put, Range, Step, kv
from tests.compat.gateway_grpc.stub import METHODS, Failed, Stub, Talk, masked
from tests.compat.oracle import Etcd, binary
from tests.process.member import Member
from zetcd_pb import election_pb2, health_pb2, reflection_v1_pb2
from zetcd_pb import rpc_pb2 as pb

WATCH = "/etcdserverpb.Watch/Watch"
OBSERVE = "/v3electionpb.Election/Observe"
KEEP_ALIVE = "/etcdserverpb.Lease/LeaseKeepAlive"
SNAPSHOT = "/etcdserverpb.Maintenance/Snapshot"
RANGE_STREAM = "/etcdserverpb.KV/RangeStream"
HEALTH = "/grpc.health.v1.Health/Watch"
REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
STREAMS = {WATCH, OBSERVE, KEEP_ALIVE, SNAPSHOT, RANGE_STREAM, HEALTH, REFLECTION}

Servers = tuple[Stub, Stub, Gateway, Member]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Clients of etcd and of zetcd, and zetcd's parts."""
    program = binary("3.5")
    if program is None:
        pytest.skip("no etcd 3.5 on this machine")
    directory: Path = tmp_path_factory.mktemp("gateway")
    with (
        Etcd.running(program, directory / "etcd") as etcd,
        gateway.running(directory / "zetcd") as (member, ours),
        Stub(f"127.0.0.1:{etcd.port}") as theirs,
        Stub(ours.target) as stub,
    ):
        yield theirs, stub, ours, member


def ask(stub: Stub, step: Step) -> Any:
    return masked(stub.call(step.path, step.request, step.metadata))


def test_every_method_is_asked() -> None:
    asked = {step.path for step in steps.UNARY} | {each.step.path for each in steps.DIFFERENT} | STREAMS
    assert set(METHODS) - asked == set()


def test_unary_calls_are_answered_as_by_etcd(servers: Servers) -> None:
    theirs, ours, _, _ = servers
    for number, step in enumerate(steps.UNARY):
        assert (number, step.path, ask(ours, step)) == (number, step.path, ask(theirs, step))


def test_what_etcd_does_not_answer_well_is_answered(servers: Servers) -> None:
    _, ours, _, _ = servers
    answers = {f"{each.step.path.rpartition('/')[2]}": ask(ours, each.step) for each in steps.DIFFERENT}
    assert answers["Range"] == Failed(3, "etcdserver: invalid sort option")
    assert answers["Alarm"].code == 3
    assert answers["Status"]["version"].startswith("3.5.")
    assert answers["LeaseTimeToLive"]["grantedTTL"] == 100
    assert len(answers["MemberList"]["members"]) == 1
    assert answers["MemberUpdate"] == Failed(5, "etcdserver: member not found")
    assert answers["List"]["statuses"]


# -- streams -----------------------------------------------------------------------------------------------------------
def create(**fields: Any) -> pb.WatchRequest:
    return pb.WatchRequest(create_request=pb.WatchCreateRequest(**fields))


def cancel(watch_id: int) -> pb.WatchRequest:
    return pb.WatchRequest(cancel_request=pb.WatchCancelRequest(watch_id=watch_id))


PROGRESS = pb.WatchRequest(progress_request=pb.WatchProgressRequest())
BOTH = Op(request_put=Put(key=b"f1", value=b"x" * 700_000)), Op(request_put=Put(key=b"f2", value=b"x" * 700_000))
WATCHING: tuple[tuple[pb.WatchRequest | Step, ...], ...] = (
    (pb.WatchRequest(),),
    (create(key=b"w", prev_kv=True),),
    (kv("Put", Put(key=b"w", value=b"1")), kv("Put", Put(key=b"w", value=b"2")), kv("DeleteRange", Delete(key=b"w"))),
    (create(key=b"v", watch_id=5), create(key=b"v", watch_id=5)),
    (create(key=b"w", start_revision=1),),
    (create(key=b"w", range_end=b"a"),),
    (PROGRESS,),
    (cancel(5), cancel(99)),
    (create(key=b"n", filters=[pb.WatchCreateRequest.NOPUT], watch_id=9),),
    (kv("Put", Put(key=b"n", value=b"1")), kv("DeleteRange", Delete(key=b"n"))),
    (create(watch_id=11), create(key=b"y", range_end=b"\0", watch_id=10)),
    (kv("Put", Put(key=b"y", value=b"1")), kv("Put", Put(key=b"x"))),
    (create(key=b"f", range_end=b"g", watch_id=12, fragment=True), create(key=b"n", start_revision=10_000)),
    (kv("Txn", pb.TxnRequest(success=BOTH)),),
)
"""Each group is sent when the one before has been answered."""


def watched(stub: Stub) -> list[list[Any]]:
    """What came after each group; what several watches get of one change comes in any order."""
    talk = stub.stream(WATCH)
    heard = []
    for group in WATCHING:
        for one in group:
            if isinstance(one, Step):
                assert not isinstance(stub.call(one.path, one.request), Failed)
            else:
                talk.say(one)
        heard.append(apart([masked(message) for message in talk.hear_all()]))
    talk.no_more()
    stub.call("/etcdserverpb.KV/Put", Put(key=b"w"))
    heard.append(apart([masked(message) for message in talk.hear_all()]))
    talk.cancel()
    return heard


def apart(messages: list[Any]) -> list[Any]:
    """Each event by itself, watch by watch: either server may put several of one watch into a response."""
    found = []
    for message in messages:
        events = message.get("events", [])
        found += [{"watch_id": message.get("watch_id", 0), "event": event} for event in events] or [message]
    return sorted(found, key=lambda one: int(one.get("watch_id", 0)))


def test_watches_hear_what_etcds_hear(servers: Servers) -> None:
    theirs, ours, _, _ = servers
    real, own = watched(theirs), watched(ours)
    for number, (expected, heard) in enumerate(zip(real, own, strict=True)):
        assert (number, heard) == (number, expected)
    assert sum(map(len, own)) >= 20


def said(stub: Stub, path: str, *requests: Any) -> list[Any]:
    """What comes back until it is quiet."""
    talk = stub.stream(path)
    talk.say(*requests)
    talk.no_more()
    heard = [masked(message) for message in talk.hear_all()]
    talk.cancel()
    return heard


def test_other_streams_say_what_etcds_say(servers: Servers) -> None:
    theirs, ours, _, _ = servers
    keep = [pb.LeaseKeepAliveRequest(ID=LEASE), pb.LeaseKeepAliveRequest(ID=5), pb.LeaseKeepAliveRequest()]
    for path, requests in (
        (KEEP_ALIVE, keep),
        (OBSERVE, [election_pb2.LeaderRequest(name=b"e")]),
        (OBSERVE, [election_pb2.LeaderRequest(name=b"nobody's")]),
        (HEALTH, [health_pb2.HealthCheckRequest()]),
        (HEALTH, [health_pb2.HealthCheckRequest(service="x")]),
    ):
        assert said(ours, path, *requests) == said(theirs, path, *requests)


def all_of(talk: Talk) -> list[Any]:
    """Everything until the end of a stream that ends."""
    heard = []
    while (message := talk.hear()) is not None:
        assert not isinstance(message, Failed)
        heard.append(message)
    return heard


def test_a_snapshot_is_etcds_in_form(servers: Servers) -> None:
    for stub in servers[:2]:
        talk = stub.stream(SNAPSHOT)
        talk.say(pb.SnapshotRequest())
        talk.no_more()
        *chunks, last = all_of(talk)
        data = b"".join(chunk.blob for chunk in chunks)
        assert last.blob == hashlib.sha256(data).digest()
        assert len(data) % 512 == 0
        left = len(data)
        for chunk in chunks:
            left -= len(chunk.blob)
            assert chunk.remaining_bytes == left
            assert not chunk.HasField("header")


def test_a_range_stream_is_the_range(servers: Servers) -> None:
    _, ours, _, _ = servers
    for number in range(60):
        ours.call("/etcdserverpb.KV/Put", Put(key=b"stream/%03d" % number, value=b"v" * number))
    asked = Range(key=b"stream/", range_end=b"stream0", limit=55)
    whole = ours.call("/etcdserverpb.KV/Range", asked)
    assert isinstance(whole, pb.RangeResponse)
    talk = ours.stream(RANGE_STREAM)
    talk.say(asked)
    talk.no_more()
    parts = [message.range_response for message in all_of(talk)]
    assert len(parts) > 1
    joined = pb.RangeResponse()
    for part in parts:
        joined.MergeFrom(part)
    assert joined == whole


def test_reflection_lists_what_there_is(servers: Servers) -> None:
    _, ours, _, _ = servers
    talk = ours.stream(REFLECTION)
    talk.say(reflection_v1_pb2.ServerReflectionRequest(list_services=""))
    talk.no_more()
    (answer,) = all_of(talk)
    assert "etcdserverpb.KV" in [one.name for one in answer.list_services_response.service]


# -- the api process goes away -----------------------------------------------------------------------------------------
def test_calls_and_streams_survive_the_api_process_as_they_do_a_restarted_etcd(servers: Servers) -> None:
    _, ours, _, member = servers
    assert isinstance(ours.call("/etcdserverpb.KV/Put", Put(key=b"e/1")), pb.PutResponse)  # who leads there
    talk, observer = ours.stream(WATCH), ours.stream(OBSERVE)
    talk.say(create(key=b"again"))
    assert isinstance(talk.hear(), pb.WatchResponse)
    observer.say(election_pb2.LeaderRequest(name=b"e"))
    assert isinstance(observer.hear(), election_pb2.LeaderResponse)
    member.kill("api-0")
    stopped = Failed(14, "etcdserver: server stopped")
    assert talk.hear() == stopped
    assert observer.hear() == stopped
    assert isinstance(ours.call("/etcdserverpb.KV/Range", Range(key=b"a")), pb.RangeResponse)
    put = ours.call("/etcdserverpb.KV/Put", Put(key=b"again"))
    assert isinstance(put, pb.PutResponse)
    talk = ours.stream(WATCH)
    talk.say(create(key=b"again", start_revision=put.header.revision))
    created, told = talk.hear(), talk.hear()
    assert isinstance(created, pb.WatchResponse)
    assert isinstance(told, pb.WatchResponse)
    assert created.created
    assert told.events[0].kv.key == b"again"
    talk.cancel()
