"""Clients that do not read, and clients that give up: nobody else feels it, and nothing is lost or left behind."""

from collections.abc import Iterator
from pathlib import Path

import grpc  # type: ignore[import-untyped]  # it has no stubs
import pytest

from tests.compat.gateway_grpc import gateway
from tests.compat.gateway_grpc.gateway import Gateway
from tests.compat.gateway_grpc.stub import ANSWER_S, Failed, Stub
from tests.process.cluster import wait_for
from tests.process.member import Member
from zetcd_pb import lock_pb2
from zetcd_pb import rpc_pb2 as pb

KV, LEASE = "/etcdserverpb.KV/", "/etcdserverpb.Lease/"
WATCH, LOCK = "/etcdserverpb.Watch/Watch", "/v3lockpb.Lock/Lock"
MIB = 1 << 20

Servers = tuple[Member, Gateway]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """A member and its gateway."""
    directory: Path = tmp_path_factory.mktemp("slow")
    with gateway.running(directory) as both:
        yield both


def lines(ours: Gateway) -> int:
    """Streams that have a connection to the api process."""
    return ours.link.lines


def test_rule_17_a_watcher_that_does_not_read_is_paused_and_misses_nothing(servers: Servers) -> None:
    _, ours = servers
    with grpc.insecure_channel(ours.target, options=[("grpc.max_receive_message_length", -1)]) as channel:
        request = pb.WatchRequest(create_request=pb.WatchCreateRequest(key=b"slow"))
        slow = channel.stream_stream(
            WATCH,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=pb.WatchResponse.FromString,
        )(iter([request]))
        assert next(slow).created
        with Stub(ours.target) as stub:
            quick = stub.stream(WATCH)
            quick.say(request)
            quick.hear()
            for number in range(80):
                put = stub.call(KV + "Put", pb.PutRequest(key=b"slow", value=b"%03d" % number + b"x" * MIB))
                assert isinstance(put, pb.PutResponse)
                told = quick.hear()
                assert isinstance(told, pb.WatchResponse)
                assert told.events[0].kv.value[:3] == b"%03d" % number
            quick.cancel()
        heard: list[bytes] = []
        while len(heard) < 80:
            heard += [event.kv.value[:3] for event in next(slow).events]
        assert heard == [b"%03d" % number for number in range(80)]
        slow.cancel()
    wait_for(lambda: lines(ours) == 0 or None, "no stream is left")


def test_a_lock_that_is_given_up_lets_the_next_one_in(servers: Servers) -> None:
    _, ours = servers
    with Stub(ours.target) as stub:
        for lease in (1, 2, 3):
            stub.call(LEASE + "LeaseGrant", pb.LeaseGrantRequest(TTL=60, ID=lease))
        first = stub.call(LOCK, lock_pb2.LockRequest(name=b"one", lease=1))
        assert isinstance(first, lock_pb2.LockResponse)
        second = stub.later(LOCK, lock_pb2.LockRequest(name=b"one", lease=2))

        def queued() -> bool | None:
            found = stub.call(KV + "Range", pb.RangeRequest(key=b"one/2"))
            assert isinstance(found, pb.RangeResponse)
            return found.count == 1 or None

        wait_for(queued, "the second waits")
        third = stub.later(LOCK, lock_pb2.LockRequest(name=b"one", lease=3))
        second.cancel()
        stub.call("/v3lockpb.Lock/Unlock", lock_pb2.UnlockRequest(key=first.key))
        assert third.result(ANSWER_S).key == b"one/3"


def test_a_lock_without_a_lease_that_is_given_up_leaves_the_queue(servers: Servers) -> None:
    """Its key hung on the lease that the server had made for it, a minute long."""
    _, ours = servers
    with Stub(ours.target) as stub:

        def keys() -> int:
            found = stub.call(KV + "Range", pb.RangeRequest(key=b"none/", range_end=b"none0", count_only=True))
            assert isinstance(found, pb.RangeResponse)
            return found.count

        stub.call(LOCK, lock_pb2.LockRequest(name=b"none"))
        second = stub.later(LOCK, lock_pb2.LockRequest(name=b"none"))
        wait_for(lambda: keys() == 2 or None, "the second waits")
        second.cancel()
        wait_for(lambda: keys() == 1 or None, "its place is gone")


def test_a_deadline_ends_a_lock_that_waits(servers: Servers) -> None:
    _, ours = servers
    with Stub(ours.target) as stub:
        for lease in (11, 12):
            stub.call(LEASE + "LeaseGrant", pb.LeaseGrantRequest(TTL=60, ID=lease))
        stub.call(LOCK, lock_pb2.LockRequest(name=b"two", lease=11))
        late = stub.call(LOCK, lock_pb2.LockRequest(name=b"two", lease=12), timeout=0.5)
        assert isinstance(late, Failed)
        assert late.code == 4

        def left() -> bool | None:
            found = stub.call(KV + "Range", pb.RangeRequest(key=b"two/", range_end=b"two0", keys_only=True))
            assert isinstance(found, pb.RangeResponse)
            return [one.key for one in found.kvs] == [b"two/b"] or None

        wait_for(left, "only the holder's key is left")


def test_a_client_that_hangs_up_leaves_no_watch_behind(servers: Servers) -> None:
    member, ours = servers
    with Stub(ours.target) as stub:
        talks = [stub.stream(WATCH) for _ in range(20)]
        for talk in talks:
            talk.say(pb.WatchRequest(create_request=pb.WatchCreateRequest(key=b"k")))
            talk.hear()
        assert lines(ours) == 20
        for talk in talks:
            talk.cancel()
        wait_for(lambda: lines(ours) == 0 or None, "no stream is left")

        def unwatched() -> bool | None:
            series = member.call({"op": "metrics"})["series"]
            return series["etcd_debugging_mvcc_watcher_total"] == 0 or None

        wait_for(unwatched, "the api process has no watcher")
