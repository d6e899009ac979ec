"""Members far apart, by proxies between them: a fixed delay and a bandwidth for each direction."""

from pathlib import Path

import pytest

from tests.process.failover import slow

MBYTE = 1_000_000


def say(line: str) -> None:
    """Shown by pytest -s."""
    print(line)


@pytest.mark.parametrize("delay_ms", [20, 100])
@pytest.mark.timeout(180)
def test_members_far_apart_keep_their_leader_and_serve(tmp_path: Path, delay_ms: int) -> None:
    """Nothing fails, nobody campaigns, what clients were told holds (rules 8, 10)."""
    slow.far_members(tmp_path, delay_ms / 1000, 10 * MBYTE, 60, say, pace_s=0.02)


@pytest.mark.timeout(180)
def test_heartbeats_do_not_wait_behind_what_a_slow_link_carries(tmp_path: Path) -> None:
    slow.bulk_over_slow_links(tmp_path, 0.02, 2 * MBYTE, 8, say)
