"""Rule 7 with real members: one that is behind the log gets the whole store while load goes on, whoever is killed."""

import contextlib
import functools
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import psutil
import pytest

from tests.process.api.dealer import Dealer, stopped
from tests.process.cluster import Cluster, ClusterMember, get, put, quietly, wait_for

KEYS, VALUE = 10_000, 2_000
WINDOW = 30_000  # such rows are more than raft and ZeroMQ keep for a member that does not read
BATCH = 200
COUNT, CATCHUP = 100, 50
FLAGS = ("--snapshot-count", str(COUNT), "--snapshot-catchup-entries", str(CATCHUP))


class Load:
    """Writes to whoever takes them, one after the other, in a thread. acknowledged: the last value that was."""

    def __init__(self, members: list[ClusterMember]) -> None:
        self.members = members
        self.acknowledged = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            for member in self.members:
                request = {"op": "put", "key": b"load", "value": b"%d" % number}
                reply = quietly(member, request, 1.0)
                if reply and "error" not in reply:
                    self.acknowledged = number
                    break


def fill(member: ClusterMember, start: int, count: int) -> None:
    """Keys of VALUE bytes, many at a time."""
    for at in range(start, start + count, BATCH):
        requests = [
            {"op": "put", "key": b"k%07d" % number, "value": number.to_bytes(8, "big") * (VALUE // 8)}
            for number in range(at, min(at + BATCH, start + count))
        ]
        reply = member.call({"op": "batch", "requests": requests}, 30.0)
        assert not any("error" in each for each in reply["responses"]), reply["responses"][0]


def stores(member: ClusterMember, pattern: str) -> list[Path]:
    return list((member.data_dir / "member").glob(pattern))


def receiving(member: ClusterMember) -> bool | None:
    """Whether a good part of a snapshot has come and its end has not."""
    for directory in stores(member, "pending-*"):
        with contextlib.suppress(OSError):
            if sum(path.stat().st_size for path in directory.iterdir()) > KEYS * VALUE // 10:
                return True
    return None


@pytest.fixture
def behind(tmp_path: Path) -> Iterator[tuple[Cluster, ClusterMember, ClusterMember]]:
    """Three members; one of them was stopped before everything was written, and the log has gone since."""
    with Cluster(tmp_path, 3, *FLAGS) as cluster:
        leader = cluster.leader()
        target = cluster.followers()[0]
        put(leader, b"load", b"0")
        cluster.alike()
        target.kill_all()
        fill(leader, 0, KEYS)
        let_go(leader)
        yield cluster, leader, target


def on_disk(member: ClusterMember, value: bytes) -> bool | None:
    """Whether LevelDB, which does not compress, holds value: then it holds all that was executed before."""
    for path in [*stores(member, "db/*.l*"), *stores(member, "store-*/*.l*")]:
        with contextlib.suppress(FileNotFoundError):
            if value in path.read_bytes():
                return True
    return None


def let_go(leader: ClusterMember) -> None:
    """Until two flushes have been written, one behind the other: then raft has heard of the first, which holds all that
    was executed before, and has let go of the log. Bytes in a file alone may still be on their way to the disk."""
    for number in range(2):
        value = b"flush %d %d" % (number, random.getrandbits(64))
        put(leader, b"note", value)
        wait_for(functools.partial(on_disk, leader, value), "a flush", 60.0)


def kill_nobody(_leader: ClusterMember, _target: ClusterMember) -> None:
    """The plain way."""


def kill_senders_apply(leader: ClusterMember, target: ClusterMember) -> None:
    wait_for(lambda: receiving(target), "a transfer under way")
    leader.kill("apply")


def kill_receivers_apply(_leader: ClusterMember, target: ClusterMember) -> None:
    wait_for(lambda: receiving(target), "a transfer under way")
    target.kill("apply")


def kill_receiver(_leader: ClusterMember, target: ClusterMember) -> None:
    wait_for(lambda: receiving(target), "a transfer under way")
    target.kill_all()
    target.spawn()


def kill_receivers_wal_when_complete(_leader: ClusterMember, target: ClusterMember) -> None:
    wait_for(lambda: bool(stores(target, "store-*")) or None, "a complete snapshot")
    target.kill_all()
    target.spawn()


@pytest.mark.parametrize(
    "strike",
    [kill_nobody, kill_senders_apply, kill_receivers_apply, kill_receiver, kill_receivers_wal_when_complete],
)
def test_rule_07_a_member_behind_the_log_catches_up_by_snapshot_under_load(
    behind: tuple[Cluster, ClusterMember, ClusterMember],
    strike: Callable[[ClusterMember, ClusterMember], None],
) -> None:
    cluster, leader, target = behind
    others = [member for member in cluster.members if member is not target]
    with Load(others) as load:
        before = load.acknowledged
        target.spawn()
        strike(leader, target)
        wait_for(lambda: caught_up(target, leader), "the data at the member that was behind", 60.0)
        wait_for(lambda: load.acknowledged > before or None, "a write while the store was on its way")
    assert (target.data_dir / "member" / "CURRENT").exists(), "it took a snapshot, not the log"
    assert get(target, b"k%07d" % (KEYS - 1)) == (KEYS - 1).to_bytes(8, "big") * (VALUE // 8)
    cluster.alike()
    value = get(target, b"load")
    assert value is not None
    assert int(value) >= load.acknowledged, "no acknowledged write is lost"
    assert len(stores(target, "store-*") + stores(target, "db") + stores(target, "pending-*")) == 1
    # What it has become serves and writes like any other.
    put(target, b"after", b"1")
    assert get(leader, b"after") == b"1"


def caught_up(target: ClusterMember, other: ClusterMember, last: int = KEYS - 1) -> bool | None:
    """Whether the last key has come."""
    request: dict[str, Any] = {"op": "range", "key": b"k%07d" % last, "serializable": True, "count_only": True}
    there = quietly(target, request, 1.0).get("count")
    return True if there == 1 and quietly(other, {"op": "status"}, 1.0) else None


def promoted(leader: ClusterMember, learner: int) -> bool | None:
    """Whether the leader found the learner close enough, and it votes now."""
    reply = quietly(leader, {"op": "member_promote", "ID": learner}, 5.0)
    return True if reply and "error" not in reply else None


def test_rule_16_a_watcher_on_a_member_that_takes_a_snapshot_misses_nothing(tmp_path: Path) -> None:
    """The member is held up for so long that its log is no use any more; its api and the client's stream live on."""
    with Cluster(tmp_path, 3, *FLAGS) as cluster:
        leader = cluster.leader()
        target = cluster.followers()[0]
        put(leader, b"load", b"0")
        cluster.alike()
        with Dealer(target.endpoint) as dealer:
            stream = (b"stream",)
            dealer.send({"op": "watch_create", "key": b"load"}, *stream)
            assert dealer.reply(stream)["created"]
            with Load([member for member in cluster.members if member is not target]) as load:
                with stopped(target, "raft"):
                    fill(leader, 0, WINDOW)
                    let_go(leader)
                wait_for(lambda: (target.data_dir / "member" / "CURRENT").exists() or None, "a snapshot", 60.0)
                wait_for(lambda: caught_up(target, leader), "the data at the member that was held up", 60.0)
            last = load.acknowledged
            seen: list[tuple[int, bytes]] = []
            while not seen or seen[-1][1] != b"%d" % last:
                reply = dealer.reply(stream)
                assert not reply.get("canceled"), reply
                seen += [(event["kv"]["mod_revision"], event["kv"]["value"]) for event in reply.get("events", ())]
        revisions = [revision for revision, _ in seen]
        assert revisions == sorted(set(revisions)), "in order, none twice"
        values = [int(value) for _, value in seen]
        assert list(dict.fromkeys(values)) == list(range(1, last + 1)), "every one of them"


def test_rule_18_a_watcher_below_the_compaction_of_a_snapshot_is_told_so(tmp_path: Path) -> None:
    with Cluster(tmp_path, 3, *FLAGS) as cluster:
        leader = cluster.leader()
        target = cluster.followers()[0]
        put(leader, b"load", b"0")
        cluster.alike()
        with Dealer(target.endpoint) as dealer:
            stream = (b"stream",)
            dealer.send({"op": "watch_create", "key": b"load"}, *stream)
            assert dealer.reply(stream)["created"]
            with stopped(target, "raft"):
                fill(leader, 0, WINDOW)
                put(leader, b"load", b"1")
                revision = put(leader, b"load", b"2")
                assert "error" not in leader.call({"op": "compact", "revision": revision})
                let_go(leader)
            reply = dealer.reply(stream, 60.0)
        assert reply.get("canceled"), reply
        assert reply["compact_revision"] == revision


def test_rule_07_a_new_member_of_a_cluster_whose_log_has_gone_begins_with_a_snapshot(tmp_path: Path) -> None:
    with Cluster(tmp_path, 3, *FLAGS) as cluster:
        leader = cluster.leader()
        fill(leader, 0, KEYS)
        let_go(leader)
        joining = ClusterMember(tmp_path / "m4", *FLAGS, name="m4")
        joining.founding = ",".join(f"{member.name}={member.peer}" for member in [*cluster.members, joining])
        joining.state = "existing"
        reply = leader.call({"op": "member_add", "peerURLs": [joining.peer], "isLearner": True}, 30.0)
        assert "error" not in reply, reply
        cluster.members.append(joining)
        joining.spawn()
        wait_for(lambda: caught_up(joining, leader), "the data at the new member", 60.0)
        assert (joining.data_dir / "member" / "CURRENT").exists()
        put(leader, b"after", b"1")
        wait_for(lambda: promoted(leader, reply["member"]["ID"]), "a promoted learner", 60.0)  # one tells no hash_kv
        cluster.alike()
        assert get(joining, b"after", serializable=True) == b"1"


@pytest.mark.parametrize("stop", [ClusterMember.stop, ClusterMember.kill_all])
def test_what_a_follower_lacks_outlives_a_restart_of_the_others(
    tmp_path: Path, stop: Callable[[ClusterMember], object]
) -> None:
    """--snapshot-catchup-entries hold also for a leader that was started anew: no store travels for a few entries."""
    with Cluster(tmp_path, 3, "--snapshot-catchup-entries", "2000") as cluster:
        leader = cluster.leader()
        target = cluster.followers()[0]
        put(leader, b"load", b"0")
        cluster.alike()
        target.kill_all()
        others = [member for member in cluster.members if member is not target]
        for number in range(300):
            put(leader, b"k%07d" % number, b"%d" % number)
        put(leader, b"last", b"before the restart")
        for member in others:
            wait_for(functools.partial(on_disk, member, b"before the restart"), "a flush of everything")
        for member in others:
            stop(member)
        for member in others:
            member.spawn()
        cluster.leader(others)
        put(others[0], b"after", b"the restart")
        target.spawn()
        wait_for(lambda: caught_up(target, others[0], 299), "the data at the member that was behind")
        cluster.alike()
        assert not (target.data_dir / "member" / "CURRENT").exists(), "it took the log, not a snapshot"


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_rule_07_killed_at_any_moment_on_any_side_again_and_again(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    written = taken = 0
    with Cluster(tmp_path, 3, *FLAGS) as cluster:
        with Load(cluster.members) as load:
            for number in range(12):
                leader, target = cluster.leader(), dice.choice(cluster.followers())
                target.kill_all()
                before = stores(target, "store-*")
                fill(leader, written, 8_000)
                written += 8_000
                mark = b"mark of round %d." % number
                put(leader, b"mark", mark)
                wait_for(functools.partial(on_disk, leader, mark), "a flush of everything")
                target.spawn()
                for _ in range(dice.choice((0, 1, 1, 2, 3))):
                    time.sleep(dice.random() * dice.choice((0.3, 1.0, 2.0)))
                    strike_somebody(dice, leader, target)
                wait_for(functools.partial(caught_up, target, leader, written - 1), "the data", 90.0)
                taken += stores(target, "store-*") != before
        cluster.alike()
        count = cluster.leader().call({"op": "range", "key": b"k", "range_end": b"l", "count_only": True})["count"]
        assert count == written
        value = get(cluster.leader(), b"load")
        assert value is not None
        assert int(value) >= load.acknowledged
        assert taken >= 4, "some rounds are so fast that the log is still there"


def strike_somebody(dice: random.Random, leader: ClusterMember, target: ClusterMember) -> None:
    """SIGKILL to one process, or to a whole member, which starts anew."""
    who = dice.choice((leader, target, target))
    what = dice.choice(("apply", "apply", "raft", "wal", "all"))
    if what == "all":
        who.kill_all()
        who.spawn()
    else:
        with contextlib.suppress(KeyError, psutil.NoSuchProcess):  # it is starting
            who.kill(what)
