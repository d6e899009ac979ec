"""Maintenance of a cluster: each member answers for itself, equal members alike; and what a lost leader means."""

from pathlib import Path

import pytest

from tests.process.api.dealer import Dealer
from tests.process.api.snapshots import take
from tests.process.cluster import Cluster, wait_for
from tests.unit.bolt.reading import buckets
from zetcd.actors.measuring import ROUND_TRIP

NO_LEADER = "etcdserver: no leader"


@pytest.mark.timeout(180)
def test_each_member_answers_for_itself_and_without_a_leader_says_so(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        leader, followers = cluster.leader(), cluster.followers()
        for number in range(50):
            followers[0].call({"op": "put", "key": b"k%d" % (number % 9), "value": b"%d" % number})
        leader.call({"op": "lease_grant", "ID": 7, "TTL": 600})
        cluster.alike()
        wait_for(lambda: len({m.call({"op": "hash"})["hash"] for m in cluster.members}) == 1, "equal hashes")
        rows = []
        for member in cluster.members:
            with Dealer(member.endpoint) as dealer:
                found = buckets(take(dealer)[0])
            assert len(found[b"members"]) == 3
            rows.append((found[b"key"], found[b"lease"]))
        assert rows[0] == rows[1] == rows[2]

        series = {member.name: member.call({"op": "metrics"})["series"] for member in cluster.members}
        assert [name for name in series if series[name]["etcd_server_is_leader"]] == [leader.name]
        for each in series.values():
            active = [value for name, value in each.items() if name.startswith("etcd_network_active_peers")]
            assert active == [1, 1]
            for name in ("peer_sent_bytes_total{To=", "peer_received_bytes_total{From="):
                moved = [value for key, value in each.items() if key.startswith(f"etcd_network_{name}")]
                assert len(moved) == 2
                assert min(moved) > 0
        trips = leader.call({"op": "metrics"})["histograms"]
        answered = [sum(each["counts"]) for name, each in trips.items() if name.startswith(f"{ROUND_TRIP}{{To=")]
        assert len(answered) == 2
        assert min(answered) > 0

        last = followers[0]
        with Dealer(last.endpoint) as dealer:
            address = dealer.send({"op": "watch_create", "key": b"k", "require_leader": True}, b"strict")
            assert dealer.reply(address)["created"]
            other = dealer.send({"op": "watch_create", "key": b"k"}, b"patient")
            assert dealer.reply(other)["created"]
            leader.kill_all()
            followers[1].kill_all()
            assert dealer.reply(address, 60)["error"]["message"] == NO_LEADER
            asked = {"op": "range", "key": b"k1", "serializable": True}
            assert dealer.call(asked | {"require_leader": True})["error"]["message"] == NO_LEADER
            assert dealer.call(asked)["count"] == 1
            series = dealer.call({"op": "metrics"})["series"]
            assert (series["etcd_server_has_leader"], series["etcd_server_is_leader"]) == (0, 0)
            dealer.send({"op": "watch_progress"}, *other)
            assert "error" not in dealer.reply(other)
