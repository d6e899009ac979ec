"""Runs steps on two fresh sides, finds the first difference, and shortens the steps that lead to it."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from tests.compat.differential.compare import difference
from tests.compat.differential.draw import Draw, Step
from tests.compat.differential.macros import perform
from tests.compat.differential.sides import Side

Pair = Callable[[], AbstractContextManager[tuple[Side, Side]]]
"""Starts two fresh sides, oracle first."""

HISTORY_EVERY = 400
SHRINK_S = 90.0
READS = frozenset({"range", "lease_time_to_live", "lease_leases", "lease_keep_alive", "+history", "+keep_alives"})


@dataclass(frozen=True, slots=True)
class Difference:
    """Where two sides parted: the seed, the steps so far (the last one shows it), what differs."""

    seed: int
    steps: list[Step]
    what: str

    def __str__(self) -> str:
        shown = "\n".join(f"    {op} {request}" for op, request in self.steps[-40:])
        return f"seed {self.seed}, {len(self.steps)} steps:\n{shown}\n  {self.what}"


def explore(seed: int, count: int, pair: Pair, drawing: Callable[[int], Draw] = Draw) -> Difference | None:
    """Draw and run count steps from seed; the first difference, not shortened."""
    draw = drawing(seed)
    steps: list[Step] = []
    with pair() as (oracle, ours):
        for number in range(1, count + 1):
            step = ("+history", draw_history(draw)) if number % HISTORY_EVERY == 0 else draw.step()
            steps.append(step)
            answer, what = _one(step, oracle, ours)
            if what:
                return Difference(seed, steps, what)
            draw.saw(step, answer)
    return None


def replay(steps: list[Step], pair: Pair) -> tuple[int, str]:
    """Run steps as they are: how many until the first difference and what it is; (len, "") without one."""
    with pair() as (oracle, ours):
        for number, step in enumerate(steps, 1):
            what = _one(step, oracle, ours)[1]
            if what:
                return number, what
    return len(steps), ""


def shrink(found: Difference, pair: Pair) -> Difference:
    """Fewer steps that still end in a difference: drop halves, quarters, ... as long as SHRINK_S allows."""
    deadline = time.monotonic() + SHRINK_S
    steps, what = found.steps, found.what
    # Reads seldom matter to what a later step shows.
    writes = [step for step in steps[:-1] if step[0] not in READS] + steps[-1:]
    reached, seen = replay(writes, pair)
    if seen:
        steps, what = writes[:reached], seen
    size = len(steps) // 2
    while size >= 1 and time.monotonic() < deadline:
        start = 0
        while start < len(steps) - 1 and time.monotonic() < deadline:
            shorter = steps[:start] + steps[min(start + size, len(steps) - 1) :]
            reached, seen = replay(shorter, pair)
            if seen:
                steps, what = shorter[:reached], seen
            else:
                start += size
        size //= 2
    return Difference(found.seed, steps, what)


def draw_history(draw: Draw) -> dict[str, Any]:
    """A watch over everything from some key on, whose last event is known: a marker put and deleted."""
    start = draw.dice.randint(max(1, draw.compacted - 2), draw.revision)
    start += start == draw.compacted  # known.py
    filters = draw.dice.choice(([], [], [0], [1]))
    return {
        "key": draw.dice.choice((b"\x00", b"a", b"b")), "range_end": b"\x00", "start_revision": start,
        "prev_kv": draw.chance(0.5), "filters": filters,
    }  # fmt: skip


def _one(step: Step, oracle: Side, ours: Side) -> tuple[dict[str, Any], str]:
    op, request = step
    if op == "+history":
        answers = [_history(side, request) for side in (oracle, ours)]
    else:
        answers = [perform(side, op, request) for side in (oracle, ours)]
    return answers[0], difference(step, *answers)


def _history(side: Side, watch: dict[str, Any]) -> dict[str, Any]:
    put = side.call("put", {"key": b"\xff\xff\xffmarker", "value": b"m"})
    deleted = side.call("delete_range", {"key": b"\xff\xff\xffmarker"})
    last = (put if watch["filters"] == [1] else deleted)["header"]["revision"]
    start = min(watch["start_revision"], put["header"]["revision"])  # a shortened run may not reach the drawn one
    return {"header": deleted["header"], **side.history({**watch, "start_revision": start}, last)}
