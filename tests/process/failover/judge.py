"""What must hold of all that clients were told, whatever happened to members meanwhile.

The store counts each change in its revision, and each answer carries the revision it was given at. So a linearization
is known beforehand, by revision, and one pass tells whether it fits the clients' clocks: no search is needed, and it
holds for all keys together, which is more than a register each.
"""

import heapq
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tests.process.crash.checks import history
from tests.process.crash.workload import Event
from tests.process.failover.calls import OK, REFUSED, Answer
from tests.process.member import Member


class Asked(NamedTuple):
    """One request and what came of it; times in monotonic seconds. wrote: the value of a put, None of a get."""

    key: bytes
    wrote: bytes | None
    started: float
    ended: float
    answer: Answer
    where: str = ""


def judge(member: Member, asked: Sequence[Asked]) -> None:
    """Everything at once, by the history that member has. Raises AssertionError naming what broke."""
    events = history(member)
    check_writes(asked, events)
    check_reads(asked, events)
    check_real_time(asked)


def check_writes(asked: Iterable[Asked], events: Sequence[Event]) -> None:
    """Each acknowledged put stands at its revision, each value at most once, none that was refused for certain.
    Values are unique."""
    at: dict[bytes, Event] = {}
    for event in events:
        assert event[2] not in at, f"{event} was applied before as {at[event[2]]}"
        at[event[2]] = event
    assert [event[0] for event in events] == sorted({event[0] for event in events}), "revisions repeat"
    for each in asked:
        if each.wrote is None:
            continue
        found = at.get(each.wrote)
        if each.answer.outcome == OK:
            assert found is not None, f"acknowledged and lost: {each}"
            assert (found[0], found[1]) == (each.answer.revision, each.key), f"{each} became {found}"
        elif each.answer.outcome == REFUSED:
            assert found is None, f"refused for certain, and applied as {found}: {each}"


def check_reads(asked: Iterable[Asked], events: Sequence[Event]) -> None:
    """Each get saw what its key held at the revision of its header."""
    reads = sorted((each for each in asked if each.wrote is None and each.answer.outcome == OK), key=_revision)
    now: dict[bytes, Event] = {}
    rest = iter(events)
    event = next(rest, None)
    for read in reads:
        while event is not None and event[0] <= read.answer.revision:
            now[event[1]] = event
            event = next(rest, None)
        held = now.get(read.key)
        expected = (held[2], held[0]) if held is not None and not held[3] else (None, 0)
        assert (read.answer.value, read.answer.mod_revision) == expected, f"{read}, but its key held {expected}"


def check_real_time(asked: Iterable[Asked]) -> None:
    """Who began after another had ended has no lower revision; a write has a higher one. (Linearizability, given
    check_writes and check_reads.)"""
    newest = 0
    ended: list[tuple[float, int]] = []
    for each in sorted((each for each in asked if each.answer.outcome == OK), key=lambda each: each.started):
        while ended and ended[0][0] < each.started:
            newest = max(newest, heapq.heappop(ended)[1])
        if each.wrote is None:
            assert each.answer.revision >= newest, f"stale by {newest - each.answer.revision} revisions: {each}"
        else:
            assert each.answer.revision > newest, f"a put below revision {newest}, which was told before: {each}"
        heapq.heappush(ended, (each.ended, each.answer.revision))


def _revision(each: Asked) -> int:
    return each.answer.revision
