"""Writers and readers that remember everything they were told."""

import itertools
import random
import time
from collections.abc import Sequence

from tests.process.crash.workload import PREFIX, Actor
from tests.process.failover.calls import OK, MakeCaller
from tests.process.failover.judge import Asked

KEYS = 5
PACE_S = 0.01


class Worker(Actor):
    """One request after the other with a pause between them: puts of values that occur once, or linearizable gets."""

    def __init__(self, name: str, make: MakeCaller, pace_s: float, *, writes: bool) -> None:
        super().__init__(name)
        self._make = make
        self._pace_s = pace_s
        self._writes = writes
        self._dice = random.Random(name)
        self.asked: list[Asked] = []

    def work(self) -> None:
        caller = self._make()
        for count in itertools.count():
            if self.ending.wait(self._pace_s):
                break
            key = PREFIX + b"%d" % self._dice.randrange(KEYS)
            value = f"{self.name}:{count}".encode() if self._writes else None
            started = time.monotonic()
            answer = caller.get(key) if value is None else caller.put(key, value)
            self.asked.append(Asked(key, value, started, time.monotonic(), answer, self.name))
        caller.close()


class Load:
    """A writer and a reader for each of the given callers."""

    def __init__(self, makers: Sequence[tuple[str, MakeCaller]], pace_s: float = PACE_S, tag: str = "") -> None:
        self.workers = [
            Worker(f"{kind}{tag}-{name}", make, pace_s, writes=kind == "w") for name, make in makers for kind in "wr"
        ]
        for worker in self.workers:
            worker.start()

    def end(self) -> list[Asked]:
        """Stop; everything that was asked."""
        for worker in self.workers:
            worker.ending.set()
        for worker in self.workers:
            worker.finish()
        return [each for worker in self.workers for each in worker.asked]

    def wait_acked(self, count: int, limit_s: float = 60.0) -> None:
        """Until so many more puts are acknowledged. Raises TimeoutError."""
        upto, until = self.acked() + count, time.monotonic() + limit_s
        while self.acked() < upto:
            if time.monotonic() > until:
                raise TimeoutError(f"no {count} further puts within {limit_s} s")
            time.sleep(0.02)

    def acked(self) -> int:
        """Acknowledged puts so far."""
        asked = [each for worker in self.workers for each in list(worker.asked)]
        return sum(1 for each in asked if each.wrote is not None and each.answer.outcome == OK)


def failures(asked: Sequence[Asked]) -> list[Asked]:
    """What was not answered as asked."""
    return [each for each in asked if each.answer.outcome != OK]


def reasons(failed: Sequence[Asked]) -> str:
    """What they were told, for people."""
    return ", ".join(sorted({each.answer.message for each in failed}))


def slowest_s(asked: Sequence[Asked]) -> float:
    """Of a single request."""
    return max((each.ended - each.started for each in asked), default=0.0)


def longest_gap_s(asked: Sequence[Asked]) -> float:
    """Between two acknowledged puts, of whomever."""
    ends = sorted(each.ended for each in asked if each.wrote is not None and each.answer.outcome == OK)
    return max((after - before for before, after in itertools.pairwise(ends)), default=0.0)


def longest_wait_s(asked: Sequence[Asked]) -> float:
    """Of any client, between two requests that were answered as asked."""
    worst = 0.0
    last: dict[str, float] = {}
    for each in sorted(asked, key=lambda each: each.ended):
        if each.answer.outcome == OK:
            worst = max(worst, each.ended - last.get(each.where, each.started))
            last[each.where] = each.ended
    return worst
