"""Leases of a cluster: any member takes keep-alives, the leader counts, and a change of leader costs nobody a lease."""

import signal
from pathlib import Path

import pytest

from tests.process.cluster import Cluster, ClusterMember, get, put, quietly, wait_for


def call(member: ClusterMember, **request: object) -> dict[str, object]:
    reply = member.call(dict(request), 10.0)
    assert "error" not in reply, reply
    return reply


@pytest.mark.timeout(180)
def test_rule_11_leases_are_kept_and_asked_for_through_any_member_and_survive_the_leader(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        follower, other = cluster.followers()
        call(follower, op="lease_grant", ID=7, TTL=60)
        call(other, op="put", key=b"leased", value=b"v", lease=7)
        for member in cluster.members:
            assert call(member, op="lease_keep_alive", ID=7)["TTL"] == 60
            found = call(member, op="lease_time_to_live", ID=7, keys=True)
            assert (found["grantedTTL"], found["keys"]) == (60, [b"leased"])
            assert 55 <= int(str(found["TTL"])) <= 60
            assert call(member, op="lease_keep_alive", ID=8)["TTL"] == 0, "a lease that nobody granted"
        cluster.leader().kill_all()
        for member in cluster.running:
            wait_for(lambda m=member: quietly(m, {"op": "lease_keep_alive", "ID": 7}, 5.0).get("TTL"), "a renewal")  # type: ignore[misc]
            assert get(member, b"leased") == b"v"


@pytest.mark.timeout(180)
def test_rule_12_a_lease_ends_once_whoever_leads_and_not_before_its_time(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        follower = cluster.followers()[0]
        call(follower, op="lease_grant", ID=7, TTL=3)
        call(follower, op="put", key=b"leased", value=b"v", lease=7)
        revision = put(follower, b"other", b"v")
        assert cluster.leader().stop() == -signal.SIGTERM
        for member in cluster.running:
            wait_for(lambda m=member: None if get(m, b"leased") else True, "an end")  # type: ignore[misc]
        assert cluster.alike() == revision + 1, "one revocation took effect"
