"""Streams: what is said on the connection, what the client hears, and who waits for whom."""

from typing import Any

import pytest

from tests.unit.gateway.services.fakes import HEADER, FakeLink, FakeStream, say
from zetcd.base import errors
from zetcd.base.limits import KEEP_ALIVES_PER_STREAM, RANGE_STREAM_FIRST_KEYS, SNAPSHOT_CREDIT_CHUNKS
from zetcd.gateway.rpc import Inbound, RpcError
from zetcd.session.errors import Error
from zetcd.wire import client as wire
from zetcd.wire.client import WatchCancelRequest, WatchCreateRequest, WatchProgressRequest
from zetcd_pb import election_pb2, health_pb2, kv_pb2, reflection_v1_pb2
from zetcd_pb import rpc_pb2 as pb

WATCH = "/etcdserverpb.Watch/Watch"
KEEP_ALIVE = "/etcdserverpb.Lease/LeaseKeepAlive"
HEALTHY = health_pb2.HealthCheckResponse(status="SERVING")
ILL = health_pb2.HealthCheckResponse(status="NOT_SERVING")
STOPPED = (14, "etcdserver: server stopped")
NO_STREAM = {"code": 5, "status": "NOT_FOUND", "message": errors.NO_WATCH_STREAM.message}
EVENTS = [
    {"kv": {"key": b"k", "create_revision": 7, "mod_revision": 7, "version": 1, "value": b"v"}},
    {"type": 1, "kv": {"key": b"d", "mod_revision": 7}, "prev_kv": {"key": b"d", "mod_revision": 3, "lease": -4}},
]


def create(**fields: Any) -> pb.WatchRequest:
    return pb.WatchRequest(create_request=pb.WatchCreateRequest(**fields))


def cancel(watch_id: int) -> pb.WatchRequest:
    return pb.WatchRequest(cancel_request=pb.WatchCancelRequest(watch_id=watch_id))


PROGRESS = pb.WatchRequest(progress_request=pb.WatchProgressRequest())


def watching(link: FakeLink, *ids: int) -> tuple[FakeStream, Inbound]:
    """A stream with watches."""
    stream, watch = link.begin(WATCH)
    for watch_id in ids:
        watch.message(create(key=b"k", watch_id=watch_id))
        say(link.line()[1], header=HEADER, watch_id=watch_id, created=True)
    stream.take()
    return stream, watch


# -- watch -----------------------------------------------------------------------------------------------------------
def test_watch_requests_travel_with_every_field() -> None:
    link = FakeLink()
    _, watch = link.begin(WATCH, {"token": "t", "hasleader": "true"})
    fields: dict[str, Any] = {
        "key": b"k", "range_end": b"z", "start_revision": -4, "progress_notify": True, "filters": [1, 0],
        "prev_kv": True, "watch_id": 9, "fragment": True,
    }  # fmt: skip
    for request in (create(**fields), cancel(9), PROGRESS, pb.WatchRequest()):
        watch.message(request)
    assert link.line()[0].sent == [
        WatchCreateRequest(**fields, token="t", require_leader=True),
        WatchCancelRequest(watch_id=9),
        WatchProgressRequest(),
    ]


def test_events_travel_with_every_field() -> None:
    link = FakeLink()
    stream, _ = watching(link, 3)
    say(link.line()[1], header=HEADER, watch_id=3, fragment=True, events=EVENTS)
    assert stream.take() == [
        pb.WatchResponse(
            header=pb.ResponseHeader(**HEADER),
            watch_id=3,
            fragment=True,
            events=[
                kv_pb2.Event(
                    kv=kv_pb2.KeyValue(key=b"k", create_revision=7, mod_revision=7, version=1, value=b"v"),
                ),
                kv_pb2.Event(
                    type=kv_pb2.Event.DELETE,
                    kv=kv_pb2.KeyValue(key=b"d", mod_revision=7),
                    prev_kv=kv_pb2.KeyValue(key=b"d", mod_revision=3, lease=-4),
                ),
            ],
        )
    ]


def test_events_of_several_watches_come_to_each() -> None:
    link = FakeLink()
    stream, _ = watching(link, 0, 1, 2)
    say(link.line()[1], header=HEADER, watch_ids=[0, 2], events=EVENTS)
    sent = stream.take()
    assert [message.watch_id for message in sent] == [0, 2]
    assert sent[0].events == sent[1].events
    assert len(sent[0].events) == 2


def test_refusals_and_cancellations_travel() -> None:
    link = FakeLink()
    stream, _ = watching(link, 0)
    line = link.line()[1]
    say(line, header=HEADER, watch_id=-1, created=True, canceled=True, cancel_reason="mvcc: watcher range is empty")
    say(line, header={"cluster_id": 1}, watch_id=4, canceled=True, compact_revision=12)
    refused, compacted = stream.take()
    assert (refused.watch_id, refused.created, refused.canceled) == (-1, True, True)
    assert refused.cancel_reason == "mvcc: watcher range is empty"
    assert (compacted.watch_id, compacted.created, compacted.compact_revision) == (4, False, 12)
    assert compacted.header == pb.ResponseHeader(cluster_id=1)


def test_progress_is_heard_when_asked_for() -> None:
    link = FakeLink()
    stream, watch = watching(link, 0)
    line = link.line()[1]
    say(line, header=HEADER, watch_id=-1)  # a word on a quiet stream
    assert stream.take() == []
    watch.message(PROGRESS)
    say(line, header=HEADER, watch_id=-1)
    say(line, header=HEADER, watch_id=-1)
    (message,) = stream.take()
    assert message.watch_id == -1
    say(line, header=HEADER)  # of one watch, by progress_notify
    assert [message.watch_id for message in stream.take()] == [0]


def test_progress_without_watches_is_not_answered() -> None:
    link = FakeLink()
    stream, watch = link.begin(WATCH)
    watch.message(PROGRESS)
    say(link.line()[1], error=NO_STREAM)
    assert stream.take() == []
    assert stream.failed is None


def test_a_stream_that_the_api_process_forgot_ends() -> None:
    link = FakeLink()
    stream, _ = watching(link, 0)
    dealer, line = link.line()
    line.on_quiet()  # something was heard since the last time
    dealer.pause()
    line.on_quiet()  # the client does not read, so nothing can be heard
    assert WatchProgressRequest() not in dealer.sent
    dealer.resume()
    line.on_quiet()
    assert dealer.sent[-1] == WatchProgressRequest()
    say(line, error=NO_STREAM)
    assert stream.error == STOPPED
    assert not link.lines


def test_a_stream_whose_api_process_is_gone_ends() -> None:
    link = FakeLink()
    stream, watch = watching(link, 0)
    link.line()[1].on_lost()
    assert stream.error == STOPPED
    assert not link.lines
    watch.message(PROGRESS)  # already on its way
    assert not link.lines


def test_an_error_on_the_stream_is_the_clients() -> None:
    link = FakeLink()
    stream, _ = watching(link, 0)
    say(link.line()[1], error={"code": 14, "status": "UNAVAILABLE", "message": "etcdserver: no leader"})
    assert stream.error == (14, "etcdserver: no leader")
    assert not link.lines


def test_a_client_that_does_not_read_is_not_read_for() -> None:
    link = FakeLink()
    stream, watch = watching(link, 0)
    dealer, line = link.line()
    stream.room = 1
    say(line, header=HEADER, events=EVENTS)
    assert dealer.paused
    watch.writable()
    assert not dealer.paused


def test_requests_beyond_the_room_wait_at_the_client() -> None:
    link = FakeLink()
    stream, watch = watching(link, 0)
    dealer, line = link.line()
    dealer.room = 0
    watch.message(cancel(1))
    assert stream.paused
    watch.message(cancel(2))
    dealer.room = 10
    line.on_room()
    assert dealer.sent[-2:] == [WatchCancelRequest(watch_id=1), WatchCancelRequest(watch_id=2)]
    assert not stream.paused


def test_a_client_that_goes_takes_its_watches_with_it() -> None:
    link = FakeLink()
    stream, watch = watching(link, 0, 7, 9)
    dealer, line = link.line()
    say(line, header=HEADER, watch_id=7, canceled=True)
    watch.cancelled()
    assert set(dealer.sent[-2:]) == {WatchCancelRequest(watch_id=0), WatchCancelRequest(watch_id=9)}
    assert not link.lines
    assert stream.failed is None


def test_watches_outlive_the_clients_last_request() -> None:
    link = FakeLink()
    stream, watch = watching(link, 0)
    watch.half_closed()
    say(link.line()[1], header=HEADER, events=EVENTS)
    assert len(stream.take()) == 1


# -- keep-alives -----------------------------------------------------------------------------------------------------
def test_keep_alives_are_answered_in_order() -> None:
    link = FakeLink()
    stream, keep = link.begin(KEEP_ALIVE, {"token": "t"})
    for lease in (5, 6):
        keep.message(pb.LeaseKeepAliveRequest(ID=lease))
    assert [asked.request for asked in link.asked] == [
        wire.LeaseKeepAliveRequest(ID=5, token="t"),
        wire.LeaseKeepAliveRequest(ID=6, token="t"),
    ]
    keep.half_closed()
    link.answer({"header": HEADER, "ID": 6}, at=1)
    assert stream.take() == []
    link.answer({"header": HEADER, "ID": 5, "TTL": 30}, at=0)
    header = pb.ResponseHeader(**HEADER)
    assert stream.take() == [
        pb.LeaseKeepAliveResponse(header=header, ID=5, TTL=30),
        pb.LeaseKeepAliveResponse(header=header, ID=6),
    ]
    assert stream.finished


def test_a_keep_alive_that_fails_ends_the_stream() -> None:
    link = FakeLink()
    stream, keep = link.begin(KEEP_ALIVE)
    for lease in (5, 6):
        keep.message(pb.LeaseKeepAliveRequest(ID=lease))
    link.answer({"error": {"code": 14, "status": "UNAVAILABLE", "message": "etcdserver: no leader"}}, at=0)
    assert stream.error == (14, "etcdserver: no leader")
    assert link.asked[1].waiter.done()


def test_keep_alives_beyond_the_bound_wait_at_the_client() -> None:
    link = FakeLink()
    stream, keep = link.begin(KEEP_ALIVE)
    for lease in range(KEEP_ALIVES_PER_STREAM):
        assert not stream.paused
        keep.message(pb.LeaseKeepAliveRequest(ID=lease))
    assert stream.paused
    link.answer({"header": HEADER, "ID": 1, "TTL": 3}, at=0)
    assert not stream.paused


def test_keep_alives_of_a_client_that_does_not_read_wait_at_the_client() -> None:
    link = FakeLink()
    stream, keep = link.begin(KEEP_ALIVE)
    stream.room = 1
    keep.message(pb.LeaseKeepAliveRequest(ID=1))
    keep.message(pb.LeaseKeepAliveRequest(ID=2))
    link.answer({"header": HEADER, "ID": 1, "TTL": 3}, at=0)
    link.answer({"header": HEADER, "ID": 2, "TTL": 3}, at=1)
    assert stream.paused
    assert len(stream.take()) == 1
    stream.room = 9
    keep.writable()
    assert len(stream.take()) == 1
    assert not stream.paused


# -- observe ---------------------------------------------------------------------------------------------------------
def test_observe_tells_leaders_and_nothing_else() -> None:
    link = FakeLink()
    stream, observe = link.begin("/v3electionpb.Election/Observe", {"token": "t"})
    observe.message(election_pb2.LeaderRequest(name=b"e"))
    dealer, line = link.line()
    assert dealer.sent == [wire.ObserveRequest(name=b"e", token="t")]
    say(line, header=HEADER)
    say(line, header=HEADER, kv={"key": b"e/1", "value": b"v", "lease": 1})
    assert stream.take() == [
        election_pb2.LeaderResponse(
            header=pb.ResponseHeader(**HEADER), kv=kv_pb2.KeyValue(key=b"e/1", value=b"v", lease=1)
        )
    ]
    observe.cancelled()
    assert dealer.sent[-1] == WatchCancelRequest()
    assert not link.lines


def test_observe_ends_with_the_api_process() -> None:
    link = FakeLink()
    stream, observe = link.begin("/v3electionpb.Election/Observe")
    observe.message(election_pb2.LeaderRequest(name=b"e"))
    link.line()[1].on_lost()
    assert stream.error == STOPPED


# -- snapshot --------------------------------------------------------------------------------------------------------
def test_a_snapshot_is_its_chunks_and_their_sum() -> None:
    link = FakeLink()
    stream, snapshot = link.begin("/etcdserverpb.Maintenance/Snapshot", {"token": "t"})
    snapshot.message(pb.SnapshotRequest())
    dealer, line = link.line()
    assert dealer.sent == [wire.SnapshotRequest(credit=SNAPSHOT_CREDIT_CHUNKS, token="t")]
    say(line, header=HEADER, remaining_bytes=4, blob=b"abcd")
    say(line, header=HEADER, blob=b"efgh")
    say(line, header=HEADER, blob=b"s" * 32, done=True)
    assert stream.take() == [
        pb.SnapshotResponse(remaining_bytes=4, blob=b"abcd"),
        pb.SnapshotResponse(blob=b"efgh"),
        pb.SnapshotResponse(blob=b"s" * 32),
    ]
    assert stream.finished
    assert not link.lines


def test_a_snapshot_goes_on_as_its_client_takes_it() -> None:
    link = FakeLink()
    stream, snapshot = link.begin("/etcdserverpb.Maintenance/Snapshot")
    snapshot.message(pb.SnapshotRequest())
    dealer, line = link.line()
    stream.room = SNAPSHOT_CREDIT_CHUNKS // 2
    for left in range(SNAPSHOT_CREDIT_CHUNKS, 0, -1):
        say(line, header=HEADER, remaining_bytes=left, blob=b"x")
    granted = [one.chunks for one in dealer.sent if isinstance(one, wire.SnapshotCreditRequest)]
    assert sum(granted) < SNAPSHOT_CREDIT_CHUNKS // 2
    stream.room = 1000
    snapshot.writable()
    granted = [one.chunks for one in dealer.sent if isinstance(one, wire.SnapshotCreditRequest)]
    assert sum(granted) == SNAPSHOT_CREDIT_CHUNKS


def test_a_snapshot_that_nobody_wants_is_cancelled() -> None:
    link = FakeLink()
    _, snapshot = link.begin("/etcdserverpb.Maintenance/Snapshot")
    snapshot.message(pb.SnapshotRequest())
    dealer, _ = link.line()
    snapshot.cancelled()
    assert dealer.sent[-1] == wire.SnapshotCancelRequest()
    assert not link.lines


# -- range stream ----------------------------------------------------------------------------------------------------
def rows(first: int, count: int) -> list[dict[str, Any]]:
    return [{"key": b"%03d" % number, "value": b"v" * 100} for number in range(first, first + count)]


def test_a_long_range_comes_in_pages_of_one_revision() -> None:
    link = FakeLink()
    stream, ranging = link.begin("/etcdserverpb.KV/RangeStream")
    ranging.message(pb.RangeRequest(key=b"0", range_end=b"9"))
    link.answer({"header": HEADER, "kvs": rows(0, 10), "more": True, "count": 25})
    link.answer({"header": {**HEADER, "revision": 9}, "kvs": rows(10, 15), "count": 15})
    first, second = (asked.request for asked in link.asked)
    assert first == wire.RangeRequest(key=b"0", range_end=b"9", limit=RANGE_STREAM_FIRST_KEYS)
    assert isinstance(second, wire.RangeRequest)
    assert (second.key, second.revision) == (b"009\0", 7)
    assert second.limit > RANGE_STREAM_FIRST_KEYS
    one, two = (message.range_response for message in stream.take())
    assert (len(one.kvs), one.count, one.more, one.HasField("header")) == (10, 0, False, False)
    assert (len(two.kvs), two.count, two.more, two.header.revision) == (15, 25, False, 9)
    assert stream.finished


def test_a_limit_holds_over_all_pages() -> None:
    link = FakeLink()
    stream, ranging = link.begin("/etcdserverpb.KV/RangeStream")
    ranging.message(pb.RangeRequest(key=b"0", range_end=b"9", limit=12, revision=5))
    link.answer({"header": HEADER, "kvs": rows(0, 10), "more": True, "count": 25})
    second = link.asked[1].request
    assert isinstance(second, wire.RangeRequest)
    assert (second.limit, second.revision) == (2, 5)
    link.answer({"header": HEADER, "kvs": rows(10, 2), "more": True, "count": 15})
    last = stream.take()[-1].range_response
    assert (last.count, last.more) == (25, True)
    assert stream.finished


def test_the_next_page_waits_for_the_client() -> None:
    link = FakeLink()
    stream, ranging = link.begin("/etcdserverpb.KV/RangeStream")
    ranging.message(pb.RangeRequest(key=b"0", range_end=b"9"))
    stream.room = 1
    link.answer({"header": HEADER, "kvs": rows(0, 10), "more": True, "count": 25})
    assert len(link.asked) == 1
    ranging.writable()
    assert len(link.asked) == 2


@pytest.mark.parametrize("fields", [{"sort_order": 2}, {"sort_target": 1}, {"min_mod_revision": 1}])
def test_what_needs_the_whole_range_cannot_come_in_pages(fields: dict[str, Any]) -> None:
    link = FakeLink()
    _, ranging = link.begin("/etcdserverpb.KV/RangeStream")
    with pytest.raises(RpcError) as raised:
        ranging.message(pb.RangeRequest(key=b"0", **fields))
    assert raised.value.code == errors.UNIMPLEMENTED
    assert not link.asked


# -- health and reflection -------------------------------------------------------------------------------------------
STATUS = {"header": HEADER, "version": "1"}
GONE = Error(errors.DEADLINE_EXCEEDED, "context deadline exceeded")


def test_health_is_whether_the_member_answers() -> None:
    link = FakeLink()
    path = "/grpc.health.v1.Health/"
    well, ill, stopping = (link.start(path + "Check", health_pb2.HealthCheckRequest()) for _ in range(3))
    link.answer(STATUS, at=0)
    link.asked[1].waiter.set_exception(GONE)
    link.answer({"error": {"code": 14, "status": "UNAVAILABLE", "message": errors.STOPPED.message}}, at=2)
    assert (well.replied, ill.replied, stopping.replied) == (HEALTHY, ILL, ILL)
    assert link.start(path + "Check", health_pb2.HealthCheckRequest(service="x")).error == (5, "unknown service")
    listed = link.start(path + "List", health_pb2.HealthListRequest())
    link.answer(STATUS)
    assert listed.replied == health_pb2.HealthListResponse(statuses={"": HEALTHY})


def test_health_tells_each_change() -> None:
    link = FakeLink()
    stream, watch = link.begin("/grpc.health.v1.Health/Watch")
    watch.message(health_pb2.HealthCheckRequest())
    link.answer(STATUS)
    (listener,) = link.listeners
    listener()  # a connection has gone
    listener()
    assert len(link.asked) == 2
    link.asked[-1].waiter.set_exception(GONE)
    (again,) = link.loop.later
    again()
    link.answer(STATUS)
    listener()
    link.answer(STATUS)
    assert stream.take() == [HEALTHY, ILL, HEALTHY]
    watch.cancelled()
    assert not link.listeners


def test_reflection_describes_every_method_there_is() -> None:
    link = FakeLink()
    pb1 = reflection_v1_pb2
    stream, reflection = link.begin("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
    reflection.message(pb1.ServerReflectionRequest(list_services=""))
    services = [one.name for one in stream.take()[0].list_services_response.service]
    assert {path.split("/")[1] for path in link.methods()} == set(services)
    reflection.message(pb1.ServerReflectionRequest(file_containing_symbol="v3electionpb.Election"))
    files = stream.take()[0].file_descriptor_response.file_descriptor_proto
    assert len(files) == 4  # the one, and all it imports
    reflection.message(pb1.ServerReflectionRequest(file_by_filename="zetcd_pb/kv.proto"))
    assert len(stream.take()[0].file_descriptor_response.file_descriptor_proto) == 1
    reflection.message(pb1.ServerReflectionRequest(file_containing_symbol="nothing.at.all"))
    assert stream.take()[0].error_response.error_code == errors.NOT_FOUND
    reflection.half_closed()
    assert stream.finished
