"""Outbound queues of clients that do not read: order, bounds, pause and drop."""

import pytest

from zetcd.actors.clients import Clients
from zetcd.base import limits


class Pipe:
    """A host that can refuse to take frames."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.clients = Clients(
            lambda client: self.log.append(f"pause {client.decode()}"),
            lambda client: self.log.append(f"resume {client.decode()}"),
            lambda client: self.log.append(f"drop {client.decode()}"),
        )
        self.delivered: list[bytes] = []
        self.full = False

    def flush(self) -> None:
        for envelope, data in self.clients.take():
            if self.full:
                self.clients.on_full(envelope, data)
            else:
                self.delivered.append(data)


def test_frames_keep_their_order_through_a_stall() -> None:
    pipe = Pipe()
    pipe.clients.send((b"a",), b"1")
    pipe.full = True
    pipe.flush()
    pipe.clients.send((b"a",), b"2")
    pipe.flush()
    pipe.clients.retry()
    pipe.clients.send((b"a",), b"3")
    pipe.flush()
    pipe.full = False
    pipe.clients.send((b"a",), b"4")
    pipe.clients.retry()
    pipe.flush()
    pipe.clients.retry()
    pipe.flush()
    pipe.clients.send((b"a",), b"5")
    pipe.flush()
    assert pipe.delivered == [b"1", b"2", b"3", b"4", b"5"]
    assert pipe.log == ["pause a", "resume a"]


def test_a_client_over_its_bound_is_dropped_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CLIENT_BACKLOG_BYTES_MAX", 10)
    pipe = Pipe()
    pipe.full = True
    for _ in range(3):
        pipe.clients.send((b"slow",), b"xxxx")
        pipe.clients.send((b"other",), b"y")
        pipe.flush()
    assert "drop slow" in pipe.log
    assert "drop other" not in pipe.log
    assert pipe.clients.dropped == 1
    assert pipe.clients.backlog_bytes == 3


def test_a_gone_client_takes_its_backlog_with_it() -> None:
    pipe = Pipe()
    pipe.full = True
    pipe.clients.send((b"a",), b"12345")
    pipe.flush()
    pipe.clients.on_gone((b"a",))
    assert pipe.clients.backlog_bytes == 0
    assert pipe.log == ["pause a", "drop a"]


def test_behind_a_lost_frame_nothing_of_the_same_flush_is_delivered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a stream would go on with a gap in it."""
    monkeypatch.setattr(limits, "CLIENT_BACKLOG_BYTES_MAX", 10)
    pipe = Pipe()
    pipe.full = True
    for number in range(6):
        pipe.clients.send((b"slow",), b"xxx%d" % number)
    pipe.flush()
    assert pipe.log == ["pause slow", "drop slow"]
    pipe.full = False
    pipe.clients.retry()
    pipe.flush()
    assert pipe.delivered == []
    assert pipe.clients.backlog_bytes == 0
    pipe.clients.send((b"slow",), b"a new request's answer")
    pipe.flush()
    assert pipe.delivered == [b"a new request's answer"]


def test_a_client_that_does_not_read_is_offered_little_and_gets_all_in_order() -> None:
    """To offer a large backlog whole, a hundred times a second, would leave no time for anyone else."""
    pipe = Pipe()
    frames = [b"%d" % number for number in range(3 * limits.CLIENT_SEND_FRAMES_MAX)]
    pipe.full = True
    for frame in frames:
        pipe.clients.send((b"a",), frame)
    pipe.flush()
    pipe.clients.retry()
    offered = pipe.clients.take()
    assert len(offered) <= limits.CLIENT_SEND_FRAMES_MAX // 10
    for envelope, data in offered:
        pipe.clients.on_full(envelope, data)
    pipe.clients.send((b"a",), b"last")
    assert pipe.clients.backlog_bytes == sum(map(len, frames)) + 4
    pipe.full = False
    for _ in range(8):
        pipe.clients.retry()
        pipe.flush()
    assert pipe.delivered == [*frames, b"last"]
    assert pipe.clients.backlog_bytes == 0
    assert pipe.log == ["pause a", "resume a"]
