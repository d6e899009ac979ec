"""Kills under load, one after another, and what a run of them found.

    python -m tests.process.crash --kills 50

prints one line a kill with the time until the next acknowledged write, then the checks' summary.
"""

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

from tests.process.crash.checks import check_all
from tests.process.crash.workload import PREFIX, Load, Outage
from tests.process.member import Member

VICTIMS = ("wal", "raft", "apply", "lease", "api-0", "api-1", "everything", "supervisor")
BACK_WITHIN_S = 30.0
"""Bound of a wait, not a promise: the promise (2 s) is judged on the printed times."""


def run(directory: Path, kills: int, seed: int, say: Callable[[str], None], *flags: str) -> dict[str, object]:
    """kills faults over all victims in turn, in random order within a turn. Returns the checks' summary."""
    dice = random.Random(seed)
    member = Member(directory, "--api-processes", "2", *flags).start()
    try:
        lease = member.call({"op": "lease_grant", "TTL": 600})["ID"]
        member.call({"op": "put", "key": "leased", "value": b"v", "lease": lease})
        load = Load(member.endpoint)
        load.start()
        order: list[str] = []
        for count in range(kills):
            if not order:
                order = list(VICTIMS)
                dice.shuffle(order)
            victim = order.pop()
            time.sleep(dice.uniform(0.1, 0.6))  # a random moment under load is the point
            load.outages.append(Outage(victim, kill(member, victim)))
            say(f"kill {count + 1} of {kills}: {victim}, served again after {load.outages[-1].seconds:.3f} s")
        time.sleep(0.5)
        load.finish(lambda key: _put(member, key))
        summary = check_all(member, load)
        ttl = member.call({"op": "lease_time_to_live", "ID": lease, "keys": True})
        assert ttl["grantedTTL"] == 600, ttl
        assert 0 < ttl["TTL"] <= 600, ttl
        assert ttl["keys"] == [b"leased"], ttl
        return summary
    finally:
        member.stop()


def kill(member: Member, victim: str) -> float:
    """SIGKILL; seconds until a write is acknowledged that began after the kill."""
    if victim == "everything":
        member.kill_all()
        started = time.monotonic()
        member.spawn()
    elif victim == "supervisor":
        assert member.process is not None
        children = list(member.processes().values())
        member.process.kill()
        member.process.wait()
        for child in children:
            child.wait(10)  # the kernel ends them with their parent: an orphan would stay here
        started = time.monotonic()
        member.spawn()
    else:
        started = time.monotonic()
        member.kill(victim, signal.SIGKILL)
    while True:
        try:
            reply = member.call({"op": "put", "key": PREFIX + b"probe", "value": b"%f" % started}, 1.0)
        except TimeoutError:
            reply = {"error": "no answer"}
        if "error" not in reply:
            return time.monotonic() - started
        assert time.monotonic() - started < BACK_WITHIN_S, f"no service after killing {victim}:\n{member.log[-3000:]}"


def _put(member: Member, key: bytes) -> int:
    revision: int = member.call({"op": "put", "key": key, "value": b"end"})["header"]["revision"]
    return revision
