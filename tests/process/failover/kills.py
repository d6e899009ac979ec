"""The leader dies, or is asked to stop, under load: how long until writes are accepted again, beside etcd."""

import random
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.process.failover.calls import OK
from tests.process.failover.judge import Asked, check_real_time, judge
from tests.process.failover.load import Load, failures, longest_gap_s, reasons, slowest_s
from tests.process.failover.nodes import Team, await_served, kill, stop

Say = Callable[[str], None]
TIMEOUTS = ("--heartbeat-interval=100", "--election-timeout=1000")
PROBE_S = 0.02
PROBE_LIMIT_S = 30.0
ASK_LIMIT_S = 2.5  # of the load: a dead endpoint says nothing
REST_S = (0.5, 1.5)


def first_accepted_write(nodes: list[Any], killed_at: float) -> float:
    """Seconds from killed_at until a put is acknowledged that began afterwards. A new put begins every PROBE_S at one
    node after the other, so that none waits behind one that was lost with the leader."""
    done: list[float] = []
    threads = []

    def probe(node: Any) -> None:
        caller = node.pinned(PROBE_LIMIT_S)()
        if caller.put(b"probe", b"p").outcome == OK:
            done.append(time.monotonic())
        caller.close()

    for count in range(int(PROBE_LIMIT_S / PROBE_S)):
        if done:
            break
        thread = threading.Thread(target=probe, args=(nodes[count % len(nodes)],), daemon=True)
        thread.start()
        threads.append(thread)
        time.sleep(PROBE_S)
    else:
        raise AssertionError(f"no write accepted within {PROBE_LIMIT_S} s")
    return min(done) - killed_at


def kill_leaders(server: str, directory: Path, kills: int, say: Say, pace_s: float) -> list[float]:
    """Kills of the whole leader, each followed by its restart; seconds without accepted writes. Raises AssertionError
    where a promise broke (etcd's are only told)."""
    dice = random.Random(kills)
    outages: list[float] = []
    with Team(server, directory, 3, *TIMEOUTS) as team:
        load = Load(team.pinned(ASK_LIMIT_S), pace_s)
        for count in range(kills):
            load.wait_acked(20)
            time.sleep(dice.uniform(*REST_S))  # a random moment under load is the point
            leader = team.leader()
            at = kill(leader)
            outages.append(first_accepted_write(team.running, at))
            leader.spawn()
            await_served(leader)
            say(f"{server}: kill {count + 1} of {kills}: {leader.name}, a write accepted after {outages[-1]:.3f} s")
        asked = load.end()
        acked = sum(1 for each in asked if each.answer.outcome == OK)
        if server == "zetcd":
            revision = team.alike()
            for node in team.nodes:
                judge(node, asked)
            say(f"{server}: {acked} of {len(asked)} requests answered, hash_kv equal at revision {revision}, all holds")
        else:
            say(f"{server}: {acked} of {len(asked)} requests answered, {_clocks(asked)}")
    return outages


def stop_leaders(server: str, directory: Path, stops: int, say: Say, pace_s: float) -> list[dict[str, float]]:
    """SIGTERM of leaders in turn under clients that know all endpoints; what each of these clients saw."""
    seen: list[dict[str, float]] = []
    with Team(server, directory, 3, *TIMEOUTS) as team:
        everything = []
        for count in range(stops):
            load = Load(team.roaming(20.0), pace_s, f"{count}.")
            load.wait_acked(20)
            leader = team.leader()
            took = stop(leader)
            load.wait_acked(20)
            asked = load.end()
            everything += asked
            failed = failures(asked)
            pause, slowest = longest_gap_s(asked), slowest_s(asked)
            seen.append({"failed": len(failed), "pause": pause, "slowest": slowest, "stop": took})
            say(
                f"{server}: stop {count + 1} of {stops}: {leader.name} ended in {took:.3f} s, {len(asked)} requests, "
                f"no put for {pause:.3f} s, slowest request {slowest:.3f} s, {len(failed)} failed {reasons(failed)}"
            )
            leader.spawn()
            await_served(leader)
            team.leader()
        if server == "zetcd":
            team.alike()
            for node in team.nodes:
                judge(node, everything)
        else:
            say(f"{server}: {_clocks(everything)}")
    return seen


def _clocks(asked: list[Asked]) -> str:
    """etcd is measured here and not judged: members of 3.5.1 may part after a SIGKILL (its issue 13766)."""
    try:
        check_real_time(asked)
    except AssertionError as broken:
        return f"not linearizable: {broken}"
    return "all by the clock"


def table(title: str, columns: dict[str, list[float]]) -> str:
    """Rows of markdown: median and worst of each server, seconds."""
    rows = [f"| {title} | times | median s | worst s |", "|---|---|---|---|"]
    for server, numbers in columns.items():
        if numbers:
            rows.append(f"| {server} | {len(numbers)} | {statistics.median(numbers):.3f} | {max(numbers):.3f} |")
    return "\n".join(rows)
