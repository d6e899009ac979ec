"""zetcdctl on zetcd against real etcdctl 3.4.23 on real etcd 3.4.23: the same command lines, output by output.

What may differ is in `differences.DIFFERENCES` and nowhere else.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compat.ctl.differences import DIFFERENCES, Shown, expected
from tests.compat.ctl.masking import masked, masked_message, unordered
from tests.compat.ctl.member_scenarios import ANY
from tests.compat.ctl.scenarios import SCENARIOS, Scenario, revision
from tests.compat.ctl.sides import FORMATS, Outcome, Side, zetcd_running
from tests.compat.oracle import Etcd, binary

ETCDCTL = Path("/usr/bin/etcdctl")
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program = binary("3.4")
    if program is None or not ETCDCTL.exists():
        pytest.skip("needs etcd and etcdctl 3.4 (Debian: etcd-server, etcd-client)")
    with Etcd.running(program, tmp_path_factory.mktemp("etcd")) as member:
        yield member.url


@pytest.fixture(scope="module")
def zetcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with zetcd_running(tmp_path_factory.mktemp("zetcd")) as endpoint:
        yield endpoint


def shown(label: str, outcome: Outcome) -> Shown:
    message = "-w protobuf" in label and outcome.code in {0, -15}
    stdout = masked_message(outcome.stdout) if message else masked(outcome.stdout)
    return Shown(stdout, masked(outcome.stderr), outcome.code)


def differing(theirs: Side, ours: Side) -> str:
    """Steps that left something else behind than `differences` allows; empty where none did."""
    assert list(ours.steps) == list(theirs.steps)
    wrong = []
    for label, outcome in theirs.steps.items():
        wanted, got = expected(label, shown(label, outcome)), shown(label, ours.steps[label])
        if label.endswith(ANY):
            wanted, got = (each._replace(stdout=unordered(each.stdout)) for each in (wanted, got))
        if wanted != got:
            wrong.append(f"{label}\n  wanted {wanted}\n  got    {got}")
    return "\n".join(wrong)


def align(sides: tuple[Side, ...]) -> None:
    """Writes until both stores are at the same revision: a scenario that failed must not fail those after it."""
    for lease in (lease for side in sides for lease in side.quiet("lease", "list").split("\n")[1:-1]):
        for side in sides:
            if lease in side.quiet("lease", "list"):
                side.quiet("lease", "revoke", lease)
    revisions = [revision(side) for side in sides]
    for side, reached in zip(sides, revisions, strict=True):
        for _ in range(max(revisions) - reached):
            side.quiet("put", "filler", "x")


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "formats", [FORMATS[:2], pytest.param(FORMATS, marks=pytest.mark.slow)], ids=("two formats", "all formats")
)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_as_etcdctl(scenario: Scenario, formats: tuple[str, ...], etcd: str, zetcd: str, tmp_path: Path) -> None:
    theirs = Side(ETCDCTL, etcd, tmp_path, formats)
    ours = Side(Path(sys.executable).with_name("zetcdctl"), zetcd, tmp_path, formats)
    align((theirs, ours))
    scenario(theirs)
    scenario(ours)
    assert not differing(theirs, ours)


def test_the_differences_are_documented() -> None:
    text = (ROOT / "docs" / "zetcdctl.md").read_text()
    missing = [difference.name for difference in DIFFERENCES if f"| {difference.name} |" not in text]
    assert not missing


def test_every_difference_is_one_pattern() -> None:
    for difference in DIFFERENCES:
        re.compile(difference.steps)
