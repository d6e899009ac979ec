"""All members one after the other under load, as an operator does it: restarted, or replaced by new ones.

And clusters of five and seven that lose as many members as they may.
"""

import itertools
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.process.cluster import quietly
from tests.process.failover.judge import Asked, judge
from tests.process.failover.kills import TIMEOUTS, Say, first_accepted_write
from tests.process.failover.load import Load, failures, longest_wait_s, reasons
from tests.process.failover.nodes import Team, ZetcdNode, await_served, kill, stop

ASK_LIMIT_S = 20.0
CTL_LIMIT_S = 60.0
PROGRAM = Path(sys.executable).with_name("zetcdctl")


def restart_all(directory: Path, rounds: int, say: Say, pace_s: float) -> float:
    """Each member in turn: SIGTERM, start, wait until it serves. The longest that any client waited for an answer, in
    seconds."""
    waits = []
    with Team("zetcd", directory, 3, *TIMEOUTS) as team:
        everything: list[Asked] = []
        for turn, node in itertools.product(range(rounds), list(team.nodes)):
            led = team.leader() is node
            load = Load(team.roaming(ASK_LIMIT_S), pace_s, f"{turn}{node.name}")
            load.wait_acked(20)
            stop(node)
            node.spawn()
            await_served(node)
            load.wait_acked(20)
            waits.append(_told(load, everything, f"restart of {node.name}{', the leader' if led else ''}", say))
        _compare(team, everything, say)
    return max(waits)


def replace_all(directory: Path, rounds: int, say: Say, pace_s: float) -> float:
    """Each member in turn: SIGTERM for good, `zetcdctl member replace`, a new one with a directory of its own. As
    restart_all."""
    waits = []
    with Team("zetcd", directory, 3, *TIMEOUTS) as team:
        everything: list[Asked] = []
        for number in range(1, 3 * rounds + 1):
            old = team.nodes[0]
            led = team.leader() is old
            load = Load(team.roaming(ASK_LIMIT_S), pace_s, f"{number}")
            load.wait_acked(20)
            stop(old)
            new = ZetcdNode(directory / f"m{number + 3}", *TIMEOUTS, name=f"m{number + 3}")
            new.state = "existing"
            new.founding = ",".join(f"{node.name}={node.peer}" for node in [*team.nodes, new])
            _replace(team, old, new)
            team.nodes[:] = [*team.nodes[1:], new]
            load.wait_acked(20)
            what = f"{old.name}{', the leader,' if led else ''} replaced by {new.name}"
            waits.append(_told(load, everything, what, say))
        _compare(team, everything, say)
    return max(waits)


def _replace(team: Team, old: ZetcdNode, new: ZetcdNode) -> None:
    left = team.running
    rows = quietly(left[0], {"op": "member_list"}, 10.0)["members"]
    identity = next(row["ID"] for row in rows if row["peerURLs"] == [old.peer])
    urls = ",".join(node.endpoint for node in left)
    words = [
        str(PROGRAM), "--endpoints", urls, "--command-timeout", f"{CTL_LIMIT_S:.0f}s",
        "member", "replace", f"{identity:x}", new.name, f"--peer-urls={new.peer}",
    ]  # fmt: skip
    with (new.directory / "replace").open("w+") as said:
        command = subprocess.Popen(words, stdout=said, stderr=said)
    try:
        until = time.monotonic() + CTL_LIMIT_S
        while command.poll() is None and time.monotonic() < until:
            rows = quietly(left[0], {"op": "member_list"}).get("members", [])
            if new.process is None and any(row["peerURLs"] == [new.peer] for row in rows):
                new.spawn()  # it is to be started once it has been added
            assert new.process is None or new.process.poll() is None, f"the new member ended: {new.log[-3000:]}"
            time.sleep(0.05)
        assert command.poll() == 0, (new.directory / "replace").read_text() + new.log[-3000:]
    except BaseException:
        kill(new)
        raise
    finally:
        command.kill()
        command.wait()
    await_served(new)


def lose_many(directory: Path, size: int, say: Say, pace_s: float) -> float:
    """A cluster of size loses as many members as it may, at once, the leader among them; all come back. Seconds until
    those that remain accept a write."""
    with Team("zetcd", directory, size, *TIMEOUTS) as team:
        load = Load(team.pinned(2.5), pace_s)
        load.wait_acked(50)
        leader = team.leader()
        victims = [leader, *(node for node in team.nodes if node is not leader)][: size // 2]
        at = [kill(node) for node in victims][-1]
        outage = first_accepted_write(team.running, at)
        load.wait_acked(50)
        for node in victims:
            node.spawn()
        for node in victims:
            await_served(node)
        everything = load.end()
        names = ", ".join(node.name for node in victims)
        say(f"{size} members: {names} killed at once, a write accepted after {outage:.3f} s")
        _compare(team, everything, say)
    return outage


def _told(load: Load, everything: list[Asked], what: str, say: Say) -> float:
    asked = load.end()
    everything += asked
    failed, waited = failures(asked), longest_wait_s(asked)
    say(f"{what}: {len(asked)} requests, {len(failed)} failed {reasons(failed)}, no client waited over {waited:.3f} s")
    assert not failed, f"{what}: {failed[0]}"
    return waited


def _compare(team: Team, everything: Sequence[Asked], say: Say) -> None:
    revision = team.alike()
    for node in team.nodes:
        judge(node, everything)
    say(f"{len(everything)} requests, hash_kv equal on {len(team.nodes)} at revision {revision}, all holds")
