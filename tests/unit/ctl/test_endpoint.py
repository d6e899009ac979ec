"""endpoint health asks all endpoints at once, from threads."""

import contextlib
import threading
from typing import Any

import pytest

from zetcd.cli.ctl import endpoint
from zetcd.cli.ctl.console import Console
from zetcd.cli.ctl.flags import parse
from zetcd.cli.ctl.tree import GLOBAL_FLAGS, lookup


class FakeClient:
    def __init__(self) -> None:
        self.asked: list[str | None] = []

    def call(self, request: object, *, timeout: float, endpoint: str | None = None) -> dict[str, Any]:
        self.asked.append(endpoint)
        return {"header": {}}

    def close(self) -> None: ...


def test_health_makes_one_client_for_all_its_threads(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A second one would be closed by nobody: the program then hung at its end while one endpoint was dead."""
    made: list[FakeClient] = []
    together = threading.Barrier(3)

    def connect(_console: Console, _endpoints: list[str]) -> FakeClient:
        with contextlib.suppress(threading.BrokenBarrierError):
            together.wait(0.5)  # lets racing threads all find that there is none yet
        made.append(FakeClient())
        return made[-1]

    monkeypatch.setattr(Console, "connect", connect)
    command = lookup(("endpoint",), "health")
    assert command is not None
    console = Console(parse((*GLOBAL_FLAGS, *command.flags), ["--endpoints=a:1,b:1,c:1"]))
    assert endpoint.health(console) == 0
    assert len(made) == 1
    assert sorted(str(each) for each in made[0].asked) == sorted(["tcp://a:1", "tcp://b:1", "tcp://c:1"] * 2)
    assert capsys.readouterr().out.count("is healthy") == 3
