"""Three members: any of them serves, one may die, the directories alone are enough to come back."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.cluster import Cluster, Load, get, put, quietly, wait_for


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path) as three:
        yield three


@pytest.mark.timeout(180)
def test_every_member_serves_one_may_die_and_the_directories_are_enough(cluster: Cluster) -> None:
    members = cluster.members
    for member in members:
        put(member, member.name.encode(), b"before")
    for member in members:
        assert [get(member, other.name.encode()) for other in members] == [b"before"] * 3
    leader = cluster.leader()
    terms = {member.call({"op": "status"})["raftTerm"] for member in members}
    assert len(terms) == 1
    headers = [member.call({"op": "range", "key": b"m1"})["header"] for member in members]
    assert {header["raft_term"] for header in headers} == terms
    assert len({header["cluster_id"] for header in headers}) == 1
    assert len({header["member_id"] for header in headers}) == 3

    leader.kill_all()
    rest = cluster.running
    second = cluster.leader(rest)
    assert second is not leader
    for member in rest:
        put(member, member.name.encode(), b"after")
    leader.founding = ""  # from its data directory alone
    leader.spawn()
    leader.wait_served(30)
    assert [get(leader, member.name.encode()) for member in rest] == [b"after"] * 2
    revision = cluster.alike()

    for member in members:
        member.founding = ""
        member.kill_all()
    cluster.start()
    assert cluster.alike() == revision
    assert put(cluster.followers()[0], b"again", b"1") == revision + 1


@pytest.mark.timeout(180)
def test_members_publish_their_names_and_client_urls(cluster: Cluster) -> None:
    wait_published(cluster)


def wait_published(cluster: Cluster) -> None:
    def published() -> bool | None:
        rows = quietly(cluster.members[1], {"op": "member_list"}).get("members", [])
        shown = {(row.get("name"), tuple(row.get("clientURLs", ())), tuple(row.get("peerURLs", ()))) for row in rows}
        return shown == {(each.name, (each.endpoint,), (each.peer,)) for each in cluster.members} or None

    wait_for(published, "names and client URLs of all members")


@pytest.mark.timeout(180)
def test_rule_21_without_a_majority_a_member_waits_serves_serializable_reads_and_refuses_the_rest(
    cluster: Cluster,
) -> None:
    put(cluster.members[0], b"k", b"v")
    cluster.alike()
    alone, *others = cluster.members
    assert alone.stop() == -signal.SIGTERM  # so that it knows what was committed
    for member in others:
        member.kill_all()
    alone.spawn()
    wait_for(lambda: quietly(alone, {"op": "range", "key": b"k", "serializable": True}).get("kvs"), "serializable get")
    assert alone.call({"op": "status"})["errors"] == ["etcdserver: no leader"]
    with pytest.raises(TimeoutError):
        alone.call({"op": "range", "key": b"k"}, 3.0)
    before = alone.processes()["raft"].pid
    for member in others:
        member.spawn()
    alone.wait_served(30)
    assert alone.processes()["raft"].pid == before, "nobody was to start it anew meanwhile"


@pytest.mark.timeout(180)
def test_rule_20_a_paused_leader_is_replaced_and_follows_when_it_goes_on(cluster: Cluster) -> None:
    leader = cluster.leader()
    rest = [member for member in cluster.members if member is not leader]
    raft = leader.processes()["raft"]
    raft.send_signal(signal.SIGSTOP)
    try:
        second = wait_for(
            lambda: next(
                (
                    m
                    for m in rest
                    if quietly(m, {"op": "status"}).get("leader") not in (None, 0)
                    and cluster.leader(rest) is not leader
                ),
                None,
            ),
            "another leader",
        )
        put(second, b"k", b"v")
    finally:
        raft.send_signal(signal.SIGCONT)
    assert wait_for(lambda: get(leader, b"k") or None, "the value at the former leader") == b"v"
    cluster.alike()


@pytest.mark.timeout(180)
def test_rule_21_a_leader_that_stops_hands_over_and_no_request_of_the_others_fails(cluster: Cluster) -> None:
    for _ in range(2):
        leader = cluster.leader()
        loads = [Load(member) for member in cluster.followers()]
        for load in loads:
            load.wait_acked(20)
        assert leader.stop() == -signal.SIGTERM
        for load in loads:
            load.wait_acked(20)
        for load in loads:
            assert load.end() == []
        assert "handing leadership over" in leader.log
        leader.spawn()
        leader.wait_served(30)
    cluster.alike()


@pytest.mark.timeout(180)
def test_rule_20_a_leader_whose_wal_hangs_is_followed_meanwhile_and_hands_over_after_a_bound(cluster: Cluster) -> None:
    leader = cluster.leader()
    rest = cluster.followers()
    wal = leader.processes()["wal"]
    wait_published(cluster)  # that a membership entry is committed has to be durable at the leader before it tells it
    put(rest[0], b"k", b"before")
    cluster.alike()
    wal.send_signal(signal.SIGSTOP)
    try:
        put(rest[1], b"k", b"during")  # a majority is durable without it
        assert get(rest[0], b"k") == b"during"
        wait_for(lambda: "handing leadership over" in leader.log or None, "a handover")
        second = wait_for(
            lambda: cluster.leader(rest) if quietly(rest[0], {"op": "status"}) else None, "another leader"
        )
        assert second is not leader
    finally:
        wal.send_signal(signal.SIGCONT)
    wait_for(lambda: quietly(leader, {"op": "put", "key": b"k", "value": b"after"}, 10.0).get("header"), "a put")
    cluster.alike()
