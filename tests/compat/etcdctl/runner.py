"""Runs scenarios of etcdctl on both servers."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from tests.compat.ctl.scenarios import Scenario
from tests.compat.ctl.sides import FORMATS, Side
from tests.compat.ctl.test_as_etcdctl import align
from tests.compat.ctl.trios import TrioSide
from tests.compat.etcdctl.compare import Compared, Steps, compare, together
from tests.compat.etcdctl.servers import one, three

AnySide = TypeVar("AnySide", bound=Side)


def with_one(
    directory: Path, scenarios: Sequence[Scenario], formats: tuple[str, ...] = FORMATS, against: str = "zetcd"
) -> Compared:
    """Scenarios of one member, one after another on the same two servers."""
    directory.mkdir()
    with (
        one("etcd", directory / "etcd", directory, formats) as theirs,
        one(against, directory / "ours", directory, formats) as ours,
    ):
        parts = []
        for scenario in scenarios:
            align((theirs, ours))
            parts.append(compare(_steps(scenario, theirs), _steps(scenario, ours)))
        return together(parts)


def with_three(
    directory: Path,
    scenarios: Sequence[Callable[[TrioSide], None]],
    formats: tuple[str, ...] = FORMATS,
    against: str = "zetcd",
) -> Compared:
    """Scenarios of three members, on etcd, then on the other."""
    sides = []
    for name, server in (("etcd", "etcd"), ("ours", against)):
        with three(server, directory / name, formats) as side:
            sides.append([_steps(scenario, side) for scenario in scenarios])
    return together(compare(theirs, ours) for theirs, ours in zip(*sides, strict=True))


def _steps(scenario: Callable[[AnySide], None], side: AnySide) -> Steps:
    """Run a scenario. One that cannot go on is seen by the steps that are missing."""
    side.steps = {}
    try:
        scenario(side)
    except (AssertionError, LookupError, OSError, StopIteration, ValueError) as error:
        print(f"{scenario.__name__} at {side.endpoint} ended: {error!r}"[:900], flush=True)
    return side.steps
