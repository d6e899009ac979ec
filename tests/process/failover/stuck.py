"""The leader's disk hangs: every fdatasync and fsync of it takes so long, by strace, under load; beside etcd.

The tracer slows every system call of what it watches a little; so it is attached for a while before anything hangs.
"""

import contextlib
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.process.failover.judge import Asked, judge
from tests.process.failover.kills import Say
from tests.process.failover.load import Load, failures, longest_gap_s, reasons, slowest_s
from tests.process.failover.nodes import Team, await_served

ASK_LIMIT_S = 20.0
BEFORE_S = 4.0
CALLS = "fdatasync,fsync"
ATTACH_S = 20.0


def obstacle() -> str | None:
    """Why no disk can be made to hang here."""
    return None if shutil.which("strace") else "needs strace"


@contextlib.contextmanager
def hanging(pids: Sequence[int], delay_s: float) -> Iterator[None]:
    """Within the block every sync of these processes takes delay_s; 0: they are watched and that is all."""
    inject = ["-e", f"inject={CALLS}:delay_enter={int(delay_s * 1_000_000)}"] if delay_s else []
    targets = [word for pid in pids for word in ("-p", str(pid))]
    tracer = subprocess.Popen(
        ["strace", "-f", "-q", "-e", f"trace={CALLS}", *inject, *targets],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        until = time.monotonic() + ATTACH_S
        while not all(f"TracerPid:\t{tracer.pid}" in Path(f"/proc/{pid}/status").read_text() for pid in pids):
            if tracer.poll() is not None or time.monotonic() > until:
                pytest.skip("strace cannot attach here")
            time.sleep(0.01)
        yield
    finally:
        tracer.send_signal(signal.SIGINT)
        try:
            tracer.wait(ATTACH_S)
        except subprocess.TimeoutExpired:
            tracer.kill()
            tracer.wait()


def hang_leader(team: Team, delay_s: float, lasts_s: float, say: Say, pace_s: float) -> float | None:
    """Every sync of the leader takes delay_s, for lasts_s in all; seconds after which another one led, if any did."""
    leader = team.leader()
    with hanging(leader.disk_pids(), 0):
        load = Load(team.pinned(ASK_LIMIT_S), pace_s, "0")
        time.sleep(BEFORE_S)
        calm = load.end()
        assert team.leader() is leader, "the tracer alone has already cost leadership"
    term = _term(team)
    load = Load(team.pinned(ASK_LIMIT_S), pace_s, "1")
    load.wait_acked(20)
    led_s = None
    with hanging(leader.disk_pids(), delay_s):
        began = time.monotonic()
        while time.monotonic() - began < lasts_s:
            time.sleep(0.2)
            if led_s is None and _term(team) != term:
                led_s = time.monotonic() - began
        terms = _term(team) - term
    for node in team.nodes:
        await_served(node)
    load.wait_acked(20)
    asked = load.end()
    if team.server == "zetcd":
        team.alike()
        for node in team.nodes:
            judge(node, [*calm, *asked])
    kept = "the leader leads on" if led_s is None else f"another one leads after {led_s:.1f} s ({terms} terms)"
    failed = failures(asked)
    say(
        f"{team.server}, {delay_s:.0f} s each sync for {lasts_s:.0f} s: {kept}; "
        f"no put for {longest_gap_s(asked):.3f} s; "
        f"slowest request at the leader {_slowest_s(asked, leader.name):.3f} s, elsewhere "
        f"{_slowest_s(asked, leader.name, there=False):.3f} s; "
        f"{len(asked)} requests, {len(failed)} failed {reasons(failed)}"
    )
    return led_s


def _term(team: Team) -> int:
    return max((node.status().get("raftTerm", 0) for node in team.running), default=0)


def _slowest_s(asked: Sequence[Asked], leader: str, *, there: bool = True) -> float:
    return slowest_s([each for each in asked if each.where.endswith(f"-{leader}") == there])
