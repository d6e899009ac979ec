"""The turn of a process: what takes long is told."""

from collections.abc import Iterator

import pytest
import zmq

from zetcd.host import clock
from zetcd.host.loop import SLOW_TURN_MS, Loop


class Nothing:
    """Sessions, actor and notifier of a process without links."""

    tick_ms = 100
    connecting = reopen = False

    def end_turn(self) -> list[object]:
        return []


def test_slow_turns_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    times: Iterator[int] = iter([0, SLOW_TURN_MS - 1, 500, 500 + SLOW_TURN_MS])
    monkeypatch.setattr(clock, "monotonic_ms", lambda: next(times))
    slow: list[bool] = []
    with zmq.Context[zmq.Socket[bytes]]() as context:
        nothing = Nothing()
        loop = Loop(context, "apply", nothing, nothing, nothing, None, ())  # type: ignore[arg-type]  # nobody calls more
        loop.turn(0)  # without a look at the clock
        loop.on_slow = lambda: slow.append(True)
        loop.turn(0)
        assert slow == []
        loop.turn(0)
        assert slow == [True]


def test_wall_time_of_a_moment() -> None:
    """Of an hour ago, give or take what the two clocks need to be read."""
    now = clock.monotonic_ms()
    assert clock.wall_s(now - 3_600_000) == pytest.approx(clock.wall_s(now) - 3_600, abs=1)
