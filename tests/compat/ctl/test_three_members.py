"""The cluster commands on three real members each: etcdctl 3.4.23 on etcd 3.4.23 beside zetcdctl on zetcd."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.compat.ctl.member_scenarios import ANY
from tests.compat.ctl.sides import FORMATS
from tests.compat.ctl.test_as_etcdctl import ETCDCTL, differing
from tests.compat.ctl.trios import NAMES, TrioSide, running
from tests.compat.oracle import binary

DEAD = ("--dial-timeout=300ms", "--command-timeout=1s")


def endpoints(side: TrioSide) -> None:
    """Everything about all members."""
    for form in side.formats:
        for command in ("status", "health", "hashkv"):
            side.run(
                "endpoint", command, "--cluster", "-w", form, label=f"endpoint {command} --cluster -w {form} {ANY}"
            )
        side.run("member", "list", "-w", form, label=f"member list -w {form} {ANY}")


def leadership(side: TrioSide) -> None:
    """move-leader to each kind of target."""
    leader = side.find_leader()
    ids = side.ids()
    follower, other = (name for name in ids if name != leader)
    side.run("move-leader", "1234")
    side.run("move-leader", ids[leader], label="move-leader to itself")
    side.run("move-leader", ids[follower], label="move-leader to a follower")
    assert side.find_leader() == follower
    elsewhere = f"--endpoints={side.trio.urls[leader]},{side.trio.urls[other]}"
    side.run("move-leader", ids[leader], elsewhere, endpoint=False, label="move-leader, asked of followers")
    every = f"--endpoints={','.join(side.trio.urls.values())}"
    side.run("move-leader", ids[leader], every, "-w", "json", endpoint=False, label="move-leader, asked of all")
    assert side.find_leader() == leader


def learners(side: TrioSide) -> None:
    """A learner that nobody starts."""
    side.settle()
    side.run("member", "add", "m4", "--learner", "--peer-urls=http://127.0.0.9:1", label=f"member add -w simple {ANY}")
    side.run("member", "add", "m5", "--learner", "--peer-urls=http://127.0.0.9:2")
    side.run("member", "list", "-w", "json", label=f"member list with a learner {ANY}")
    ids = side.ids()
    side.run("member", "promote", ids[""], label="member promote one that lags")
    side.run("member", "promote", ids["m1"], label="member promote a voter")
    side.run("move-leader", ids[""], label="move-leader to a learner")
    side.run("member", "remove", ids[""], label="member remove a learner")
    side.run("member", "promote", ids[""], label="member promote one that is gone")


def learner(side: TrioSide) -> None:
    """A learner that runs: what it answers, and what it becomes."""
    side.settle()
    side.trio.name("m4")
    peer = side.trio.peers["m4"]
    side.quiet("member", "add", "m4", "--learner", f"--peer-urls={peer}")
    side.trio.start("m4", "existing")
    side.wait_for("m4")
    here = (f"--endpoints={side.trio.urls['m4']}", "--command-timeout=1s")
    for line in (
        "get k --consistency=s", "get k", "put k w", "del k", "member list", "endpoint hashkv", "lease grant 5",
        "lease list", "alarm list", "endpoint status", "endpoint health", "compaction 1",
    ):  # fmt: skip
        side.run(*line.split(), *here, endpoint=False, label=f"{line} on a learner")
    ids = side.ids()
    side.run("move-leader", ids["m4"], label="move-leader to a learner that runs")
    side.run("member", "promote", ids["m4"], label="member promote one in sync")
    side.run("member", "promote", ids["m4"], label="member promote it again")
    side.wait_for("m4", consistency="l")
    side.run("get", "k", *here, endpoint=False, label="get k on the former learner")
    side.run("member", "remove", ids["m4"], label="member remove a member that runs")
    side.trio.forget("m4")


def voters(side: TrioSide) -> None:
    """A fourth voter that nobody starts, and the loss of one of three."""
    dead, alive = NAMES[1:]
    if side.find_leader() != NAMES[0]:
        side.quiet("move-leader", side.ids()[NAMES[0]])
    side.settle()
    side.run("member", "add", "m4", "--peer-urls=http://127.0.0.9:3", label=f"member add -w simple, a voter {ANY}")
    ids = side.ids()
    side.run("member", "list", "-w", "json", label=f"member list with a fourth {ANY}")
    side.run("member", "promote", ids[""], label="member promote a voter that never started")
    side.run("member", "remove", ids[""], label="member remove a voter that never started")
    side.trio.stop(dead)
    everybody = f"--endpoints={','.join(side.trio.urls.values())}"
    for command in ("health", "status"):
        side.run("endpoint", command, everybody, *DEAD, endpoint=False, label=f"endpoint {command} with one dead {ANY}")
    side.run("member", "remove", ids[alive], label="member remove one of the two that live")
    side.run("member", "add", "m5", "--peer-urls=http://127.0.0.9:4", label="member add while one is dead")
    side.run("member", "remove", ids[dead], "-w", "json", label=f"member remove the dead one {ANY}")
    side.run("member", "list", label=f"member list of two {ANY}")


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "formats", [FORMATS[:2], pytest.param(FORMATS, marks=pytest.mark.slow)], ids=("two formats", "all formats")
)
def test_three_members_as_etcdctl(formats: tuple[str, ...], tmp_path: Path) -> None:
    etcd = binary("3.4")
    if etcd is None or not ETCDCTL.exists():
        pytest.skip("needs etcd and etcdctl 3.4 (Debian: etcd-server, etcd-client)")
    bin_directory = Path(sys.executable).parent
    sides = []
    for program, ctl, scheme, flags in (
        (etcd, ETCDCTL, "http", ("--logger=zap", "--log-level=error")),
        (bin_directory / "zetcd", bin_directory / "zetcdctl", "tcp", ("--log-level=error",)),
    ):
        directory = tmp_path / scheme
        directory.mkdir()
        with running(program, directory, scheme, *flags) as trio:
            side = TrioSide(ctl, "", directory, formats)
            side.trio = trio
            side.wait()
            scenarios: tuple[Callable[[TrioSide], None], ...] = (endpoints, leadership, learners, learner, voters)
            for scenario in scenarios:
                scenario(side)
            sides.append(side)
    assert not differing(*sides)
