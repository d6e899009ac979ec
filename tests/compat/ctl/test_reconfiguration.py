"""Which member a cluster lets go of while others are down: etcd 3.4.23 beside zetcd, the same command lines.

Each row is a cluster of its own: its size, how many members are dead, and whom somebody then asks to remove. What both
must agree on is the answer, and whether a put is accepted afterwards: from four to three voters with one dead, two of
three remain; from three to two with one dead, only the dead one may go.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.compat.ctl.sides import START_S
from tests.compat.ctl.test_as_etcdctl import ETCDCTL
from tests.compat.ctl.trios import Trio, TrioSide
from tests.compat.oracle import binary

LIMITS = ("--dial-timeout=1s", "--command-timeout=3s")
SETTLED_S = 6.0  # etcd counts a connection after five


class Row(NamedTuple):
    """target: leader, alive (a follower), dead. removed: whether both servers do it, and take a put afterwards."""

    size: int
    dead: int
    target: str
    removed: bool


ROWS = [
    Row(4, 1, "alive", removed=True),
    Row(4, 1, "dead", removed=True),
    Row(4, 2, "dead", removed=False),  # no majority
    Row(3, 1, "alive", removed=False),
    Row(3, 1, "leader", removed=False),
    Row(3, 1, "dead", removed=True),
    Row(2, 0, "alive", removed=True),
    Row(1, 0, "leader", removed=False),
    Row(5, 2, "alive", removed=False),
    Row(5, 2, "dead", removed=True),
]


class Several(Trio):
    """As many members as there are names."""

    def __post_init__(self) -> None:
        """Named later."""


def outcome(side: TrioSide, row: Row) -> tuple[str, bool]:
    """What the command said that counts, and whether a put is accepted then."""
    leader = side.find_leader()
    ids = side.ids()
    alive = [name for name in ids if name != leader]
    dead = [alive.pop() for _ in range(row.dead)]
    time.sleep(SETTLED_S)
    for name in dead:
        side.trio.stop(name)
    time.sleep(2.0)  # an election timeout, after which whoever is silent does not count
    target = {"leader": leader, "alive": alive[0] if alive else "", "dead": dead[0] if dead else ""}[row.target]
    said = side.run("member", "remove", ids[target], *LIMITS, label="remove")
    gone = [*dead, *([target] if said.code == 0 else [])]
    left = [url for name, url in side.trio.urls.items() if name not in gone]
    accepted = False
    until = time.monotonic() + 5.0
    while not accepted and time.monotonic() < until:
        put = side.run(
            "put", "after", "1", f"--endpoints={left[0]}", *LIMITS, endpoint=False, label=f"put {time.monotonic()}"
        )
        accepted = put.code == 0
    reason = said.stderr.decode().strip().rpartition("Error: ")[2] if said.code else "removed"
    return reason, accepted


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.size}-{row.dead}-{row.target}")
def test_removal_while_members_are_dead_as_etcd(row: Row, tmp_path: Path) -> None:
    etcd = binary("3.4")
    if etcd is None or not ETCDCTL.exists():
        pytest.skip("needs etcd and etcdctl 3.4 (Debian: etcd-server, etcd-client)")
    bin_directory = Path(sys.executable).parent
    seen = []
    for program, ctl, scheme, flags in (
        (etcd, ETCDCTL, "http", ("--logger=zap", "--log-level=error")),
        (bin_directory / "zetcd", bin_directory / "zetcdctl", "tcp", ("--log-level=error",)),
    ):
        directory = tmp_path / scheme
        directory.mkdir()
        trio = Several(program, directory, scheme, flags)
        for number in range(1, row.size + 1):
            trio.name(f"m{number}")
        try:
            for name in trio.urls:
                trio.start(name)
            side = TrioSide(ctl, "", directory)
            side.trio = trio
            _until(lambda side=side: bool(side.find_leader() and all(side.ids())))  # type: ignore[misc]  # bound now
            seen.append(outcome(side, row))
        finally:
            for name in list(trio.processes):
                trio.stop(name)
    (their_reason, theirs), (our_reason, ours) = seen
    assert (our_reason == "removed") == (their_reason == "removed") == row.removed, seen
    assert ours == theirs, seen
    if not row.removed and "deadline" not in their_reason and "timed out" not in their_reason:
        assert our_reason == their_reason


def _until(ask: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 2 * START_S
    while time.monotonic() < deadline:
        try:
            if ask():
                return
        except (AssertionError, StopIteration, KeyError, IndexError):
            pass
        time.sleep(0.2)
    raise AssertionError("the cluster did not come up")
