"""Safety rules on real members, where a break of the rule shows to clients. Each test says what was broken to see it
fail."""

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

import msgpack
import psutil
import pytest

from tests.process.cluster import Cluster, ClusterMember, get, put, wait_for
from tests.process.failover.calls import OK
from tests.process.failover.judge import judge
from tests.process.failover.load import Load
from tests.process.failover.nodes import Team, await_served, kill
from tests.process.members.test_replacing import FAST, newcomer, rows, run

READERS = 12
ASK_LIMIT_MS = 20_000


@contextlib.contextmanager
def standing_still(process: psutil.Process) -> Iterator[None]:
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def values_read(member: ClusterMember, key: bytes, count: int, resume: psutil.Process | None) -> list[bytes]:
    """What linearizable gets are told that were sent before resume is let go on; nothing of those that fail or wait."""
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(member.req()) for _ in range(count)]
        for sock in socks:
            sock.send(msgpack.packb({"op": "range", "key": key}))
        limit_ms = 1_000
        if resume is not None:
            socks[0].poll(200)  # they are on their way into the member
            resume.send_signal(signal.SIGCONT)
            limit_ms = ASK_LIMIT_MS
        replies = [msgpack.unpackb(sock.recv()) for sock in socks if sock.poll(limit_ms)]
    return [reply["kvs"][0]["value"] for reply in replies if reply.get("kvs")]


@pytest.mark.parametrize("lease_reads", [False, True])
@pytest.mark.timeout(240)
def test_rule_10_a_leader_that_stood_still_answers_no_stale_read(tmp_path: Path, lease_reads: bool) -> None:
    """Its raft is stopped until another leader has taken a write; reads wait at it, and it goes on.

    Fails where reads join no round (`Reads.confirmed` hands all of them out), and, with leases, where
    `Standstill.look` does nothing.
    """
    flags = (*FAST, "--lease-reads") if lease_reads else FAST
    with Cluster(tmp_path, 3, *flags) as cluster:
        for turn in range(6):
            old = cluster.leader()
            put(old, b"k", b"before %d" % turn)
            assert get(old, b"k") == b"before %d" % turn
            rest = [member for member in cluster.members if member is not old]
            raft = old.processes()["raft"]
            with standing_still(raft):
                wait_for(lambda: cluster.leader(rest) in rest or None, "another leader")  # noqa: B023
                put(rest[0], b"k", b"after %d" % turn)
                assert set(values_read(old, b"k", READERS, raft)) <= {b"after %d" % turn}
            wait_for(lambda: get(old, b"k") == b"after %d" % turn or None, "the former leader")  # noqa: B023
        cluster.alike()


@pytest.mark.timeout(240)
def test_rule_09_the_one_voter_short_cut_ends_before_a_second_voter_counts(tmp_path: Path) -> None:
    """Of a cluster that has grown from one member, the first one's raft is stopped and the others take a write: its
    apply must not answer by itself any more.

    Fails where `Granting.revoke` does nothing.
    """
    with Cluster(tmp_path, 1, *FAST) as cluster:
        [first] = cluster.members
        put(first, b"k", b"before")
        for name in ("m2", "m3"):
            joining = newcomer(tmp_path, cluster, name)
            run(cluster, "member", "add", name, f"--peer-urls={joining.peer}")
            cluster.members.append(joining)
            joining.spawn()
            joining.wait_served(60)
        assert not any(row.get("isLearner") for row in rows(cluster).values())
        put(first, b"k", b"before")
        rest = cluster.members[1:]
        with standing_still(first.processes()["raft"]):
            wait_for(lambda: cluster.leader(rest) in rest or None, "a leader among the others")
            put(rest[0], b"k", b"after")
            assert values_read(first, b"k", READERS, None) == []
        wait_for(lambda: get(first, b"k") == b"after" or None, "the first member")


@pytest.mark.timeout(240)
def test_rule_08_what_a_dying_leader_left_in_doubt_is_decided_and_applied_once(tmp_path: Path) -> None:
    """Many clients of the followers, while leaders are killed: no value twice, none that was refused for certain, and
    nobody waits in vain.

    Fails where `Forwarding.settle` says of everything that it was not appended (values come twice), and where it
    says nothing (requests time out).
    """
    with Team("zetcd", tmp_path, 3, *FAST) as team:
        asked = []
        for turn in range(4):
            leader = team.leader()
            others = [node for node in team.running if node is not leader]
            callers = [(f"{node.name}.{n}", node.pinned(30.0)) for node in others for n in range(15)]
            load = Load(callers, 0.0, f"{turn}.")
            load.wait_acked(300)
            kill(leader)
            load.wait_acked(300)
            asked += load.end()
            leader.spawn()
            await_served(leader)
        team.alike()
        for node in team.nodes:
            judge(node, asked)
        failed = [each.answer.message for each in asked if each.answer.outcome != OK]
        assert not failed, set(failed)
