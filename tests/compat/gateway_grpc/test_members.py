"""What clients hear of a member without a leader, and of a learner. Only zetcd: real etcd's words are in the tables."""

from pathlib import Path

from tests.compat.gateway_grpc.gateway import Gateway
from tests.compat.gateway_grpc.stub import Failed, Stub
from tests.process.cluster import Cluster, ClusterMember, wait_for
from zetcd_pb import election_pb2, lock_pb2
from zetcd_pb import rpc_pb2 as pb

NO_LEADER = Failed(14, "etcdserver: no leader")
NOT_FOR_LEARNERS = Failed(14, "etcdserver: rpc not supported for learner")
HAS_LEADER = (("hasleader", "true"),)
KV, LEASE = "/etcdserverpb.KV/", "/etcdserverpb.Lease/"
FAST = ("--heartbeat-interval", "20", "--election-timeout", "200")


def watch(key: bytes) -> pb.WatchRequest:
    return pb.WatchRequest(create_request=pb.WatchCreateRequest(key=key))


def learns(stub: Stub) -> bool:
    """Whether the member says that it is a learner."""
    status = stub.call("/etcdserverpb.Maintenance/Status", pb.StatusRequest())
    return isinstance(status, pb.StatusResponse) and status.isLearner


def test_who_requires_a_leader_is_told_that_there_is_none(tmp_path: Path) -> None:
    with Cluster(tmp_path, 3, *FAST) as cluster:
        alone = cluster.members[0]
        gateway = Gateway(alone.endpoint)
        gateway.start()
        try:
            with Stub(gateway.target) as stub:
                assert isinstance(stub.call(KV + "Put", pb.PutRequest(key=b"k"), HAS_LEADER), pb.PutResponse)
                careful, careless = (
                    stub.stream("/etcdserverpb.Watch/Watch", HAS_LEADER),
                    stub.stream("/etcdserverpb.Watch/Watch"),
                )
                keep = stub.stream(LEASE + "LeaseKeepAlive", HAS_LEADER)
                for talk in (careful, careless):
                    talk.say(watch(b"k"))
                    created = talk.hear()
                    assert isinstance(created, pb.WatchResponse)
                    assert created.created
                for member in cluster.members[1:]:
                    member.kill_all()
                assert careful.hear() == NO_LEADER
                for path, request in (
                    (KV + "Put", pb.PutRequest(key=b"k")),
                    (KV + "Range", pb.RangeRequest(key=b"k", serializable=True)),
                    ("/v3lockpb.Lock/Lock", lock_pb2.LockRequest(name=b"l", lease=1)),
                    ("/etcdserverpb.Maintenance/Status", pb.StatusRequest()),
                ):
                    assert stub.call(path, request, HAS_LEADER) == NO_LEADER
                keep.say(pb.LeaseKeepAliveRequest(ID=1))
                assert keep.hear() == NO_LEADER
                observing = stub.stream("/v3electionpb.Election/Observe", HAS_LEADER)
                observing.say(election_pb2.LeaderRequest(name=b"e"))
                assert observing.hear() == NO_LEADER
                local = stub.call(KV + "Range", pb.RangeRequest(key=b"k", serializable=True))
                assert isinstance(local, pb.RangeResponse)
                assert local.count == 1
                status = stub.call("/etcdserverpb.Maintenance/Status", pb.StatusRequest())
                assert isinstance(status, pb.StatusResponse)
                assert list(status.errors) == ["etcdserver: no leader"]
                assert careless.hear_all() == []
        finally:
            gateway.stop()


def test_a_serializable_read_does_not_wait_beside_one_that_must(tmp_path: Path) -> None:
    """Calls of one turn share a frame, which is answered as a whole: these two may not."""
    with Cluster(tmp_path, 3, *FAST) as cluster:
        gateway = Gateway(cluster.members[0].endpoint)
        gateway.start()
        try:
            with Stub(gateway.target) as stub:
                assert isinstance(stub.call(KV + "Put", pb.PutRequest(key=b"k")), pb.PutResponse)
                for member in cluster.members[1:]:
                    member.kill_all()
                waiting = [stub.later(KV + "Range", pb.RangeRequest(key=b"k")) for _ in range(5)]
                local = stub.call(KV + "Range", pb.RangeRequest(key=b"k", serializable=True), timeout=3.0)
                assert isinstance(local, pb.RangeResponse)
                assert not any(one.done() for one in waiting)
        finally:
            gateway.stop()


def test_a_learner_answers_what_etcds_answers(tmp_path: Path) -> None:
    with Cluster(tmp_path, 1, *FAST) as cluster:
        first = cluster.members[0]
        learner = ClusterMember(tmp_path / "m2", *FAST, name="m2")
        added = first.call({"op": "member_add", "peerURLs": [learner.peer], "isLearner": True})
        assert "error" not in added
        learner.founding = f"{first.name}={first.peer},m2={learner.peer}"
        learner.state = "existing"
        cluster.members.append(learner)
        learner.spawn()
        gateway = Gateway(learner.endpoint)
        gateway.start()
        try:
            with Stub(gateway.target) as stub:
                wait_for(lambda: learns(stub) or None, "a learner that knows that it is one")
                local = stub.call(KV + "Range", pb.RangeRequest(key=b"k", serializable=True))
                assert isinstance(local, pb.RangeResponse)
                for path, request in (
                    (KV + "Range", pb.RangeRequest(key=b"k")),
                    (KV + "Put", pb.PutRequest(key=b"k")),
                    (LEASE + "LeaseGrant", pb.LeaseGrantRequest(TTL=5)),
                    ("/etcdserverpb.Cluster/MemberList", pb.MemberListRequest()),
                    ("/etcdserverpb.Maintenance/HashKV", pb.HashKVRequest()),
                ):
                    assert stub.call(path, request) == NOT_FOR_LEARNERS
                talk = stub.stream("/etcdserverpb.Watch/Watch")
                talk.say(watch(b"k"))
                assert talk.hear() == NOT_FOR_LEARNERS
        finally:
            gateway.stop()
