"""When a process is started again, and when not any more."""

from zetcd.base import limits
from zetcd.node.restarts import MINUTE_MS, STEADY_MS, Restarts


def test_the_first_restart_is_at_once() -> None:
    restarts = Restarts()
    restarts.on_ready(0)
    assert restarts.on_failure(1_000) == 0


def test_pauses_grow_to_their_bound_while_it_never_gets_ready() -> None:
    restarts = Restarts()
    pauses = [restarts.on_failure(now) for now in range(limits.RESTARTS_UNREADY_MAX)]
    assert pauses == [0, 100, 200, 400, 800, None]
    assert "before it was ready" in restarts.why


def test_a_process_that_had_been_ready_is_back_soon() -> None:
    restarts = Restarts()
    for now in range(0, 20_000, 1_000):
        restarts.on_ready(now)
        pause = restarts.on_failure(now + 500)
        assert pause is not None
        assert pause <= limits.RESTART_PAUSE_READY_MAX_MS


def test_being_ready_once_clears_the_row() -> None:
    restarts = Restarts()
    for now in range(limits.RESTARTS_UNREADY_MAX - 1):
        assert restarts.on_failure(now) is not None
    restarts.on_ready(100)
    assert restarts.on_failure(101) is not None
    assert restarts.unready_in_a_row == 0


def test_a_steady_life_makes_the_next_failure_a_first_one() -> None:
    restarts = Restarts()
    for now in range(3):
        restarts.on_failure(now)
    restarts.on_ready(1_000)
    assert restarts.on_failure(1_000 + STEADY_MS) == 0


def test_a_storm_of_ready_lives_ends_too() -> None:
    restarts = Restarts()
    pauses = []
    for now in range(0, MINUTE_MS, MINUTE_MS // (limits.RESTARTS_PER_MINUTE_MAX + 10)):
        restarts.on_ready(now)
        pauses.append(restarts.on_failure(now))
    assert pauses[limits.RESTARTS_PER_MINUTE_MAX] is None
    assert None not in pauses[: limits.RESTARTS_PER_MINUTE_MAX]
    assert "within a minute" in restarts.why
