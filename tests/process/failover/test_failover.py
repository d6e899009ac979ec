"""Faults of real clusters, the short version of `make chaos-cluster`: a few of each, no time is judged."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.process.failover import kills, rolling, stuck
from tests.process.failover.__main__ import IMPOSSIBLE
from tests.process.failover.nodes import Team
from tests.process.member import ROOT

PACE_S = 0.02


def say(_line: str) -> None:
    """Nobody listens."""


@pytest.mark.timeout(180)
def test_leaders_are_killed_under_load(tmp_path: Path) -> None:
    """Nothing acknowledged is lost, nothing applied twice, no linearizable read is stale (rules 8, 10)."""
    assert len(kills.kill_leaders("zetcd", tmp_path, 2, say, PACE_S)) == 2


@pytest.mark.timeout(180)
def test_rule_21_a_leader_is_stopped_and_no_request_fails(tmp_path: Path) -> None:
    assert [row["failed"] for row in kills.stop_leaders("zetcd", tmp_path, 2, say, PACE_S)] == [0, 0]


@pytest.mark.parametrize("fault", ["leader_cut_off", "leader_hears_nothing", "leader_stands_still"])
@pytest.mark.timeout(180)
def test_a_cluster_that_is_parted_and_healed(fault: str) -> None:
    """The minority refuses in time and serves serializable gets; after healing all agree and nothing is lost."""
    program = [sys.executable, "-m", "tests.process.failover", "part", "--faults", fault, "--pace", str(PACE_S)]
    done = subprocess.run(program, capture_output=True, text=True, cwd=ROOT, timeout=170, check=False)
    if done.returncode == IMPOSSIBLE:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all holds" in done.stdout


@pytest.mark.timeout(180)
def test_all_members_are_restarted_in_turn_under_load(tmp_path: Path) -> None:
    rolling.restart_all(tmp_path, 1, say, PACE_S)


@pytest.mark.timeout(240)
def test_all_members_are_replaced_in_turn_under_load(tmp_path: Path) -> None:
    rolling.replace_all(tmp_path, 1, say, PACE_S)


@pytest.mark.timeout(240)
def test_five_members_lose_two(tmp_path: Path) -> None:
    rolling.lose_many(tmp_path, 5, say, 0.05)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_seven_members_lose_three(tmp_path: Path) -> None:
    rolling.lose_many(tmp_path, 7, say, 0.05)


@pytest.mark.skipif(stuck.obstacle() is not None, reason=str(stuck.obstacle()))
@pytest.mark.timeout(240)
def test_rule_20_a_disk_that_hangs_for_a_while_costs_no_leadership(tmp_path: Path) -> None:
    with Team("zetcd", tmp_path, 3, *kills.TIMEOUTS) as team:
        assert stuck.hang_leader(team, 3.0, 8.0, say, PACE_S) is None
