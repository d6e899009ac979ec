"""What must hold of the lines of `traffic`: one primary at a time, and every acknowledged transaction kept once.

A question that began at b and was answered at e says what was true at some moment between. Who said yes twice on one
timeline was primary at least from the end of the first answer to the beginning of the last question: PostgreSQL never
takes writes again on a timeline that it has left. Two such certain spans of different nodes must not overlap.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import combinations, groupby, pairwise
from typing import Any, NamedTuple

Line = dict[str, Any]
ACKNOWLEDGED, REFUSED = "acknowledged", "refused"
Row = tuple[str, int]
"""Writer and number."""


class Span(NamedTuple):
    """When a node was primary for certain, on the monotonic clock; ended < began: a single answer, nothing certain."""

    port: int
    began: float
    ended: float
    what: str


def two_primaries(lines: Sequence[Line]) -> list[str]:
    """What contradicts one primary at a time."""
    spans = {"PostgreSQL": timelines(lines), "Patroni's REST API": answers(lines)}
    wrong = [
        f"{of}: {one.port} ({one.what}) and {other.port} ({other.what}) both primary for "
        f"{min(one.ended, other.ended) - max(one.began, other.began):.3f} s"
        for of, found in spans.items()
        for one, other in combinations(found, 2)
        if one.port != other.port and max(one.began, other.began) < min(one.ended, other.ended)
    ]
    owners: dict[int, set[int]] = {}
    for line in _as_primary(lines):
        owners.setdefault(line["timeline"], set()).add(line["port"])
    return wrong + [f"timeline {each} written by both {sorted(of)}" for each, of in owners.items() if len(of) > 1]


def timelines(lines: Iterable[Line]) -> list[Span]:
    """Each node's time on each timeline, by its own word and by the transactions that it acknowledged."""
    found: dict[tuple[int, int], list[Line]] = {}
    for line in _as_primary(lines):
        found.setdefault((line["port"], line["timeline"]), []).append(line)
    return [
        Span(port, min(each["ended"] for each in of), max(each["began"] for each in of), f"timeline {timeline}")
        for (port, timeline), of in found.items()
    ]


def answers(lines: Iterable[Line]) -> list[Span]:
    """Runs in which Patroni of a node called itself primary at every question."""
    asked = sorted((each for each in lines if each["kind"] == "rest"), key=lambda each: (each["port"], each["began"]))
    found = []
    for (port, primary), run in groupby(asked, key=lambda each: (each["port"], each["primary"])):
        whole = list(run)
        if primary:
            found.append(Span(port, whole[0]["ended"], whole[-1]["began"], f"{len(whole)} answers"))
    return found


def lost_or_doubled(lines: Iterable[Line], rows: Iterable[Row]) -> list[str]:
    """What contradicts that the rows are those of all acknowledged transactions, none twice, none refused."""
    said = {(line["writer"], line["number"]): line["outcome"] for line in lines if line["kind"] == "write"}
    found = Counter(rows)
    wrong = [
        f"acknowledged and lost: {row}" for row, outcome in said.items() if outcome == ACKNOWLEDGED and not found[row]
    ]
    wrong += [f"refused and there: {row}" for row, outcome in said.items() if outcome == REFUSED and found[row]]
    wrong += [f"there {times} times: {row}" for row, times in found.items() if times > 1]
    return wrong + [f"there and never written: {row}" for row in found if row not in said]


def longest_pause(lines: Iterable[Line], writer: str, began: float, ended: float) -> float:
    """Longest time, in seconds, without an acknowledgement to writer between two moments."""
    times: list[float] = sorted(
        line["ended"]
        for line in lines
        if line["kind"] == "write" and line["writer"] == writer and line["outcome"] == ACKNOWLEDGED
    )
    inside: list[float] = [began, *(each for each in times if began < each < ended), ended]
    return max(later - earlier for earlier, later in pairwise(inside))


def _as_primary(lines: Iterable[Line]) -> list[Line]:
    return [
        line
        for line in lines
        if (line["kind"] == "role" and line["primary"]) or (line["kind"] == "write" and line["outcome"] == ACKNOWLEDGED)
    ]
