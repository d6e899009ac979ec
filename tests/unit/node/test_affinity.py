"""--cpu-affinity: which process runs where."""

import pytest

from zetcd.node.affinity import processors, read_affinity
from zetcd.wire.routes import ROLES


def test_none_leaves_it_to_the_kernel() -> None:
    assert read_affinity("none", 3, [0, 1]) == {}


def test_auto_spreads_over_two_processors_and_leaves_more_to_the_kernel() -> None:
    assert read_affinity("auto", 1, [4, 5]) == read_affinity("spread", 1, [4, 5]) != {}
    assert read_affinity("auto", 1, [4, 5, 6]) == {}


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8, 16])
@pytest.mark.parametrize("apis", [1, 2, 4])
def test_spread_places_every_process_on_a_processor_that_is_here(count: int, apis: int) -> None:
    allowed = list(range(10, 10 + count))
    chosen = read_affinity("spread", apis, allowed)
    every = [processors(chosen, role, 0) for role in ROLES] + [processors(chosen, "api", n) for n in range(apis)]
    assert all(len(own) == 1 and own[0] in allowed for own in every)


def test_spread_gives_each_busy_process_its_own_processor_where_there_are_enough() -> None:
    chosen = read_affinity("spread", 2, list(range(8)))
    busy = [chosen[role] for role in ("api", "raft", "wal", "apply", "api-1")]
    assert len(set(busy)) == len(busy)


def test_by_hand() -> None:
    chosen = read_affinity("wal=0,apply=1,raft=2-3,0", 1, [0, 1, 2, 3])
    assert chosen == {"wal": (0,), "apply": (1,), "raft": (2, 3, 0)}


def test_api_processes_take_theirs_in_turn() -> None:
    chosen = read_affinity("api=1-2", 3, [0, 1, 2])
    assert [processors(chosen, "api", number) for number in range(3)] == [(1,), (2,), (1,)]


def test_gateways_take_theirs_in_turn_and_of_two_processors_the_first_takes_that_of_api() -> None:
    chosen = read_affinity("gateway=0-1", 1, [0, 1], 3)
    assert [processors(chosen, "gateway", number) for number in range(3)] == [(0,), (1,), (0,)]
    chosen = read_affinity("spread", 1, [4, 5], 2)
    assert [processors(chosen, "gateway", number) for number in range(2)] == [(4,), ()]
    assert processors(chosen, "api", 0) == (4,)
    assert processors(read_affinity("spread", 1, [0, 1, 2]), "gateway", 0) == ()


@pytest.mark.parametrize("text", ["wal", "wal=", "wal=x", "wal=7", "wal=1-0", "disk=0", "=0", "0"])
def test_what_it_must_be_is_said(text: str) -> None:
    with pytest.raises(ValueError, match=r"auto|processors"):
        read_affinity(text, 1, [0, 1])
