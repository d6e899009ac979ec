"""The judge of the Patroni proof sees what it is there to see."""

from typing import Any

from tests.compat.patroni import judge

Line = dict[str, Any]
OLD, NEW = 5001, 5002


def role(port: int, timeline: int, began: float) -> Line:
    return {"kind": "role", "port": port, "primary": True, "timeline": timeline, "began": began, "ended": began + 0.01}


def rest(port: int, began: float, *, primary: bool) -> Line:
    return {"kind": "rest", "port": port, "primary": primary, "began": began, "ended": began + 0.01}


def write(number: int, outcome: str, port: int = OLD, timeline: int = 1, began: float = 0.0) -> Line:
    return {
        "kind": "write", "writer": "application", "number": number, "outcome": outcome, "port": port,
        "timeline": timeline, "began": began, "ended": began + 0.01,
    }  # fmt: skip


def test_a_primary_after_another_is_right() -> None:
    lines = [role(OLD, 1, 1.0), role(OLD, 1, 2.0), role(NEW, 2, 3.0), role(NEW, 2, 4.0), role(OLD, 3, 5.0)]
    assert judge.two_primaries(lines) == []


def test_an_old_primary_that_still_answers_as_one_is_seen() -> None:
    lines = [role(OLD, 1, 1.0), role(NEW, 2, 2.0), role(NEW, 2, 3.0), role(OLD, 1, 4.0)]
    assert len(judge.two_primaries(lines)) == 1


def test_an_old_primary_that_still_takes_writes_is_seen() -> None:
    lines = [write(1, "acknowledged", OLD, 1, 1.0), role(NEW, 2, 2.0), write(2, "acknowledged", NEW, 2, 3.0)]
    assert judge.two_primaries(lines) == []
    assert len(judge.two_primaries([*lines, write(3, "acknowledged", OLD, 1, 4.0)])) == 1
    assert judge.two_primaries([*lines, write(3, "unknown", OLD, 1, 4.0)]) == []


def test_one_timeline_of_two_nodes_is_seen() -> None:
    assert len(judge.two_primaries([role(OLD, 1, 1.0), role(NEW, 1, 3.0)])) == 1


def test_two_nodes_of_which_patroni_says_primary_are_seen() -> None:
    old = [rest(OLD, at, primary=at < 3) for at in (1.0, 2.0, 3.0)]
    assert judge.two_primaries([*old, rest(NEW, 2.5, primary=True), rest(NEW, 3.5, primary=True)]) == []
    assert len(judge.two_primaries([*old, rest(NEW, 1.2, primary=True), rest(NEW, 1.8, primary=True)])) == 1


def test_rows_that_are_lost_doubled_refused_or_invented_are_seen() -> None:
    lines = [write(1, "acknowledged"), write(2, "unknown"), write(3, "refused"), write(4, "unknown")]
    one, two, three = (("application", number) for number in (1, 2, 3))
    assert judge.lost_or_doubled(lines, [one, two]) == []
    for rows in ([two], [one, one], [one, three], [one, ("application", 9)]):
        assert len(judge.lost_or_doubled(lines, rows)) == 1, rows


def test_the_longest_pause_counts_from_the_edges() -> None:
    lines = [write(number, "acknowledged", began=at) for number, at in enumerate((1.0, 1.1, 4.0))]
    assert round(judge.longest_pause(lines, "application", 0.0, 4.5), 2) == 2.9
    assert round(judge.longest_pause(lines, "application", 0.0, 9.0), 2) == 4.99
