"""What a client may be told."""

import pytest

from zetcd.session.options import Options


def of(endpoints: str | list[str], timeout: float = 5, sockets: int = 1) -> Options:
    return Options.of(endpoints, timeout, 2, 2, sockets)


def test_endpoints_are_normalised() -> None:
    assert of("a:1, tcp://b:2/,a:1").endpoints == ("tcp://a:1", "tcp://b:2")
    assert of(["ipc:///run/z.sock"]).endpoints == ("ipc:///run/z.sock",)


@pytest.mark.parametrize("bad", ["", "http://a:1", "tcp://a", "a", "tcp://a:b"])
def test_wrong_endpoints_are_named(bad: str) -> None:
    with pytest.raises(ValueError, match="endpoint"):
        of(bad)


def test_wrong_numbers_are_named() -> None:
    with pytest.raises(ValueError, match="timeout"):
        of("a:1", timeout=0)
    with pytest.raises(ValueError, match="sockets"):
        of("a:1", sockets=0)
