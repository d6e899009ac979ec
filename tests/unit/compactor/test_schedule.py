"""Auto compaction follows etcd's calendar."""

import pytest

from zetcd.compactor.schedule import HOUR_MS, PERIODIC, REVISION, Compactor, parse_retention

MINUTE = 60_000


def run(compactor: Compactor, minutes: int, *, works: bool = True, leader_from: int = 0) -> list[tuple[int, int]]:
    """(minute, revision) given out; one write a minute; a compaction that works is done at once."""
    found, compacted = [], 0
    for minute in range(minutes + 1):
        now = 10_000_000 + minute * MINUTE
        revision = compactor.on_tick(now, 1 + minute, compacted, is_leader=minute >= leader_from)
        if revision is not None:
            found.append((minute, revision))
            compacted = revision if works else compacted
    return found


def test_periodic_starts_after_the_retention_and_goes_on_every_hour() -> None:
    assert run(Compactor(PERIODIC, 2 * HOUR_MS), 300) == [(120, 1), (180, 61), (240, 121), (300, 181)][0:4]


def test_a_short_period_is_its_own_interval() -> None:
    assert run(Compactor(PERIODIC, 10 * MINUTE), 40) == [(10, 1), (20, 11), (30, 21), (40, 31)]


def test_revision_mode_keeps_so_many() -> None:
    assert run(Compactor(REVISION, 12), 25) == [(15, 4), (20, 9), (25, 14)]


def test_a_failed_compaction_is_given_out_again() -> None:
    assert [minute for minute, _ in run(Compactor(PERIODIC, 10 * MINUTE), 13, works=False)] == [10, 11, 12, 13]


def test_only_the_leader_acts_but_everyone_samples() -> None:
    assert run(Compactor(PERIODIC, 10 * MINUTE), 25, leader_from=15) == [(15, 6), (25, 16)]


def test_off() -> None:
    assert run(Compactor(PERIODIC, 0), 100) == []


@pytest.mark.parametrize(
    ("mode", "text", "value"),
    [
        (PERIODIC, "0", 0),
        (PERIODIC, "2", 2 * HOUR_MS),
        (PERIODIC, "1h30m", 90 * MINUTE),
        (PERIODIC, "1.5h", 90 * MINUTE),
        (PERIODIC, "300s", 5 * MINUTE),
        (PERIODIC, "500ms", 500),
        (REVISION, "1000", 1000),
    ],
)
def test_retention(mode: str, text: str, value: int) -> None:
    assert parse_retention(mode, text) == value


@pytest.mark.parametrize(
    ("mode", "text"), [(PERIODIC, x) for x in ("", "x", "1d", "-1", "h", "1.2.3h", "5 m")] + [(REVISION, "1h")]
)
def test_a_wrong_retention_names_the_flag(mode: str, text: str) -> None:
    with pytest.raises(ValueError, match="--auto-compaction-retention is"):
        parse_retention(mode, text)


def test_a_wrong_mode_names_the_flag() -> None:
    with pytest.raises(ValueError, match="--auto-compaction-mode is periodic or revision"):
        parse_retention("weekly", "1")
