"""Members that come and go on a real cluster, and leadership where it is wanted."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.process.cluster import Cluster, put, quietly

PROGRAM = Path(sys.executable).with_name("zetcdctl")
FAST = ("--heartbeat-interval=50", "--election-timeout=500")


def ctl(cluster: Cluster, *words: str) -> list[str]:
    return [str(PROGRAM), f"--endpoints={','.join(m.endpoint for m in cluster.running)}", *words]


def run(cluster: Cluster, *words: str) -> str:
    ended = subprocess.run(ctl(cluster, *words), capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def rows(cluster: Cluster) -> dict[str, dict[str, Any]]:
    """Members by name; one that was never started is called by its peer URL."""
    for member in cluster.running:
        reply = quietly(member, {"op": "member_list"}, 10)
        if "members" in reply:
            return {row.get("name") or row["peerURLs"][0]: row for row in reply["members"]}
    raise AssertionError("nobody answers")


@pytest.mark.timeout(180)
def test_a_member_that_was_removed_stops_and_says_so(tmp_path: Path) -> None:
    with Cluster(tmp_path, 3, *FAST) as cluster:
        removed = cluster.leader()
        run(cluster, "member", "remove", f"{rows(cluster)[removed.name]['ID']:x}")
        assert removed.process is not None
        code = removed.process.wait(60)
        removed.process = None
        assert code == 78, "a refusal: starting it anew would not help"
        assert "was removed from the cluster" in removed.log
        cluster.members.remove(removed)
        put(cluster.leader(), b"k", b"two go on")
        assert sorted(rows(cluster)) == sorted(member.name for member in cluster.members)
        said = removed.log.count("was removed from the cluster")
        removed.spawn()
        assert removed.process is not None
        assert removed.process.wait(60) == 78
        removed.process = None
        assert removed.log.count("was removed from the cluster") > said


@pytest.mark.timeout(120)
def test_leadership_is_moved_where_it_is_wanted(tmp_path: Path) -> None:
    with Cluster(tmp_path, 3, *FAST) as cluster:
        for _ in range(3):
            leader = cluster.leader()
            target = cluster.followers()[0]
            said = run(cluster, "move-leader", f"{rows(cluster)[target.name]['ID']:x}")
            assert said.startswith("Leadership transferred from ")
            assert cluster.leader() is target is not leader
            put(leader, b"k", b"through the former leader")
