"""Members with several peer URLs, of which one leads nowhere: the others find the one that works, after restarts."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.cluster import Cluster, ClusterMember, get, put, quietly, wait_for

LOOPBACK = "127.0.0.1"
SIZE = 3


class ManyHomed(ClusterMember):
    """Advertises `elsewhere` before the address that it listens on."""

    elsewhere = ""

    @property
    def urls(self) -> list[str]:
        return [self.elsewhere, self.peer]

    def command(self) -> list[str]:
        argv = super().command()
        argv[argv.index("--initial-advertise-peer-urls") + 1] = ",".join(self.urls)
        return argv


@pytest.fixture(params=["refuses", "says nothing"])
def nowhere(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """URLs where nobody listens; or where somebody takes connections, and then never says a word."""
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(socket.socket()) for _ in range(SIZE)]
        for sock in socks:
            sock.bind((LOOPBACK, 0))
            if request.param == "says nothing":
                sock.listen(64)
        yield [f"tcp://{LOOPBACK}:{sock.getsockname()[1]}" for sock in socks]


def accepted(member: ClusterMember) -> bool:
    """Whether it takes a put; on a busy machine the election may outlast one request's time."""
    return "header" in quietly(member, {"op": "put", "key": b"c", "value": b"3"}, 10.0)


@pytest.mark.timeout(180)
def test_members_reach_each_other_at_whatever_address_works(tmp_path: Path, nowhere: list[str]) -> None:
    cluster = Cluster(tmp_path, 0)
    many = [ManyHomed(tmp_path / f"m{number}", name=f"m{number}") for number in range(1, SIZE + 1)]
    for member, url in zip(many, nowhere, strict=True):
        member.elsewhere = url
    founding = ",".join(f"{member.name}={url}" for member in many for url in member.urls)
    for member in many:
        member.founding = founding
    cluster.members.extend(many)
    with cluster:
        leader = cluster.leader()
        put(leader, b"a", b"1")
        cluster.alike()
        follower = cluster.followers()[0]
        follower.kill_all()
        put(leader, b"b", b"2")
        follower.spawn()
        follower.wait_served(60.0)
        assert get(follower, b"b") == b"2"
        leader.kill_all()
        wait_for(lambda: accepted(follower), "the two that are left to lead", 60.0)
        leader.spawn()
        leader.wait_served(60.0)
        assert get(leader, b"c") == b"3"
        cluster.alike()
