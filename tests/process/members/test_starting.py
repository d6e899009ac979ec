"""How a member comes into a cluster, or is kept out of one, with the reason and the fix."""

import shutil
import signal
from pathlib import Path

import pytest

from tests.process.cluster import Cluster, ClusterMember, get, put, quietly, wait_for


def added(cluster: Cluster, directory: Path, name: str = "m4") -> ClusterMember:
    """A member that the cluster was told of, and that was told of the cluster; not started."""
    member = ClusterMember(directory / name, name=name)
    wait_for(  # right after a start nobody counts as active yet
        lambda: quietly(cluster.leader(), {"op": "member_add", "peerURLs": [member.peer]}).get("member"), "an addition"
    )
    member.founding = ",".join(f"{each.name}={each.peer}" for each in [*cluster.members, member])
    member.state = "existing"
    return member


def published(cluster: Cluster) -> bool | None:
    """Whether all members have made themselves known."""
    rows = quietly(cluster.members[0], {"op": "member_list"}).get("members", [])
    return (bool(rows) and all(row.get("clientURLs") for row in rows)) or None


def refusal(member: ClusterMember) -> str:
    """What a start says that is refused."""
    member.spawn()
    assert member.process is not None
    code = member.process.wait(40)
    member.process = None
    assert code != 0
    return member.log.splitlines()[-1]


@pytest.mark.timeout(180)
def test_a_member_joins_by_asking_the_others_and_comes_back_from_its_directory(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        put(cluster.leader(), b"k", b"v")
        fourth = added(cluster, tmp_path)
        fourth.spawn()
        cluster.members.append(fourth)
        fourth.wait_served(40)
        assert get(fourth, b"k") == b"v"
        put(fourth, b"through", b"the fourth")
        cluster.alike()
        fourth.kill_all()
        fourth.founding = ""
        fourth.spawn()
        fourth.wait_served(40)
        cluster.alike()


@pytest.mark.timeout(240)
def test_what_is_wrong_with_a_start_is_said_with_the_fix(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        wait_for(lambda: published(cluster), "published members")
        stranger = ClusterMember(tmp_path / "m9", name="m9")
        stranger.founding = ",".join(f"{each.name}={each.peer}" for each in [*cluster.members, stranger])
        stranger.state = "existing"
        assert "knows no member with the peer URLs" in (said := refusal(stranger))
        assert "member add" in said

        fourth = added(cluster, tmp_path)
        whole = fourth.founding
        fourth.founding = f"{cluster.members[0].name}={cluster.members[0].peer},m4={fourth.peer}"
        assert "member count is unequal" in refusal(fourth)
        fourth.founding = whole.replace(str(cluster.members[1].peer_port), "1")
        assert "unmatched member while checking PeerURLs" in refusal(fourth)

        lost = cluster.followers()[0]
        assert lost.stop() == -signal.SIGTERM
        shutil.rmtree(lost.data_dir)
        assert "has already been bootstrapped" in refusal(lost)
        lost.state = "existing"
        assert "has already been bootstrapped" in refusal(lost)
        lost.state = "new"


@pytest.mark.timeout(180)
def test_a_member_of_another_cluster_is_refused_and_both_say_why(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        odd = cluster.followers()[0]
        assert odd.stop() == -signal.SIGTERM
        shutil.rmtree(odd.data_dir)
        odd.token = "another"  # its id and the cluster's are others then
        odd.spawn()
        rest = [member for member in cluster.members if member is not odd]
        wait_for(lambda: "it belongs to cluster" in odd.log or None, "a word about it there")
        wait_for(lambda: all("it belongs to cluster" in member.log for member in rest) or None, "a word of the others")
        put(cluster.leader(rest), b"k", b"undisturbed")


@pytest.mark.timeout(180)
def test_one_member_is_made_a_cluster_of_its_own(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        put(cluster.leader(), b"k", b"v")
        cluster.alike()
        survivor, *others = cluster.members
        for member in cluster.members:
            assert member.stop() == -signal.SIGTERM
        survivor.founding = ""
        survivor.flags = ("--force-new-cluster",)
        survivor.spawn()
        survivor.wait_served(30)
        assert get(survivor, b"k") == b"v"
        assert [row["name"] for row in survivor.call({"op": "member_list"})["members"]] == [survivor.name]
        put(survivor, b"k", b"alone")
        survivor.flags = ()
        assert survivor.stop() == -signal.SIGTERM
        survivor.spawn()
        survivor.wait_served(30)
        assert get(survivor, b"k") == b"alone"
        others[0].spawn()
        wait_for(lambda: "was removed from the cluster" in others[0].log or None, "its refusal")
