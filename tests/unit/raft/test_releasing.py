"""What raft lets wal forget: what the store has synced, but for what a follower that is behind may need."""

from dataclasses import replace

import pytest

from tests.unit.raft.member import ID, SETTINGS, Rig, stored
from zetcd.base import limits
from zetcd.base.settings import Settings
from zetcd.wire.local import Applied, HardState, Opened, Recovered, Release


def keeping(entries: int) -> Settings:
    return replace(SETTINGS, snapshot_catchup_entries=entries)


@pytest.mark.parametrize(
    ("kept", "at_start", "later"),
    [(0, (4, 3), (9, 4)), (2, (4, 3), (4, 3)), (5, (0, 0), (4, 3)), (6, (0, 0), (0, 0)), (5_000, (0, 0), (0, 0))],
)
def test_release_follows_what_the_store_has_synced_and_leaves_what_a_follower_may_need(
    kept: int, at_start: tuple[int, int], later: tuple[int, int]
) -> None:
    """In whole blocks, so that a leader that was restarted need not send its store to whoever lacks a few entries."""
    recovered = Recovered(HardState(3, ID, 8), 0, 0, [stored(1, 4, 3), stored(5, 8, 3)], done=True)
    rig = Rig(recovered, Opened(6, 3), keeping(kept))
    assert rig.take(Release) == [Release(*at_start)]
    rig.settle()
    rig.turn(rig.apply, Applied(rig.applied, 9, 4, 0))
    assert rig.take(Release) == [Release(*later)]
    rig.turn(rig.apply, Applied(rig.applied, 9, 4, 0))
    assert not rig.take(Release)


def test_what_is_kept_for_followers_over_a_restart_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = [stored(1, 4, 3), stored(5, 8, 3)]
    monkeypatch.setattr(limits, "CATCHUP_KEPT_BYTES_MAX", len(blocks[1].data))
    rig = Rig(Recovered(HardState(3, ID, 8), 0, 0, blocks, done=True), Opened(6, 3), keeping(8))
    assert rig.take(Release) == [Release(4, 3)]
    monkeypatch.setattr(limits, "CATCHUP_KEPT_BYTES_MAX", len(blocks[1].data) - 1)
    rig = Rig(Recovered(HardState(3, ID, 8), 0, 0, blocks, done=True), Opened(6, 3), keeping(8))
    assert rig.take(Release) == [Release(6, 3)], "what the store has not is kept in any case"
