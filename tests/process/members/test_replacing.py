"""Members that come and go on a real cluster, by the command line: replaced, promoted, removed; leadership moved."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.process.cluster import Cluster, ClusterMember, get, put, quietly, wait_for

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


def newcomer(directory: Path, cluster: Cluster, name: str, *flags: str) -> ClusterMember:
    """A member that is to join, with the settings that `member add` prints."""
    member = ClusterMember(directory / name, *FAST, *flags, name=name)
    member.founding = ",".join(f"{each.name}={each.peer}" for each in [*cluster.members, member])
    member.state = "existing"
    return member


@pytest.mark.timeout(180)
def test_a_dead_member_is_replaced_by_one_command_given_twice(tmp_path: Path) -> None:
    with Cluster(tmp_path, 3, *FAST) as cluster:
        for number in range(20):
            put(cluster.members[0], b"k%d" % number, b"v")
        dead = cluster.members[2]
        old = f"{rows(cluster)[dead.name]['ID']:x}"
        dead.kill_all()
        cluster.leader()
        joining = newcomer(tmp_path, cluster, "m4")
        words = ("member", "replace", old, "m4", f"--peer-urls={joining.peer}")
        broken_off = subprocess.run(
            ctl(cluster, *words, "--wait=1s"), capture_output=True, text=True, timeout=60, check=False
        )
        assert broken_off.returncode == 1
        assert "repeat this command" in broken_off.stderr, broken_off.stderr
        assert f"{joining.name}={joining.peer}" in broken_off.stdout
        settings = dict(line.split("=", 1) for line in broken_off.stdout.splitlines() if line.startswith("ZETCD_"))
        joining.founding = settings["ZETCD_INITIAL_CLUSTER"].strip('"')
        assert rows(cluster)[joining.peer].get("isLearner")
        with subprocess.Popen(ctl(cluster, *words), stdout=subprocess.PIPE, text=True) as again:
            cluster.members.append(joining)
            joining.spawn()
            said, _ = again.communicate(timeout=90)
        assert again.returncode == 0
        assert f"Member {old} has been replaced by" in said
        assert "added" not in said, "it was there already"
        assert "already" in run(cluster, *words)
        assert sorted(rows(cluster)) == ["m1", "m2", "m4"]
        put(joining, b"through", b"the new one")
        cluster.members.remove(dead)
        assert cluster.alike() > 20
        assert get(joining, b"k7", serializable=True) == b"v"


@pytest.mark.timeout(180)
def test_a_member_that_lost_its_disk_says_the_command_that_helps(tmp_path: Path) -> None:
    """At the same peer URLs, under another id: the old one goes first."""
    with Cluster(tmp_path, 3, *FAST) as cluster:
        put(cluster.members[0], b"k", b"v")
        lost = cluster.members[2]
        wait_for(lambda: rows(cluster)[lost.name].get("clientURLs"), "its client URLs in the log")
        lost.kill_all()
        shutil.rmtree(lost.data_dir)
        lost.spawn()
        assert lost.process is not None
        assert lost.process.wait(60) == 1
        lost.process = None
        [command] = re.findall(r"run zetcdctl (member replace \S+ \S+ \S+),", lost.log)
        lost.state = "existing"
        with subprocess.Popen(ctl(cluster, *command.split()), stdout=subprocess.PIPE, text=True) as replacing:
            assert replacing.stdout is not None
            for line in replacing.stdout:
                if line.startswith("Waiting"):
                    break
            lost.spawn()
            said = replacing.stdout.read()
        assert replacing.returncode == 0
        assert "has been replaced by" in said
        wait_for(lambda: quietly(lost, {"op": "range", "key": b"k"}).get("kvs"), "an answer of its own")
        assert sorted(rows(cluster)) == ["m1", "m2", "m3"]


@pytest.mark.timeout(180)
def test_the_leader_promotes_by_itself_where_it_was_told_to(tmp_path: Path) -> None:
    with Cluster(tmp_path, 1, *FAST, "--auto-promote") as cluster:
        put(cluster.members[0], b"k", b"v")
        joining = newcomer(tmp_path, cluster, "m2", "--auto-promote")
        run(cluster, "member", "add", "m2", "--learner", f"--peer-urls={joining.peer}")
        cluster.members.append(joining)
        joining.spawn()
        wait_for(lambda: ((row := rows(cluster).get("m2")) and not row.get("isLearner")) or None, "a second voter")
        wait_for(lambda: quietly(joining, {"op": "range", "key": b"k"}).get("kvs"), "an answer of its own")
        third = newcomer(tmp_path, cluster, "m3")
        run(cluster, "member", "add", "m3", "--learner", f"--peer-urls={third.peer}")
        assert rows(cluster)[third.peer].get("isLearner"), "nobody promotes who has not started"


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
