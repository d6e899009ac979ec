"""Whom a client's certificate is for."""

import pytest

from zetcd.gateway.client_names import is_for

NAMES = {
    "subject": ((("commonName", "common"),),),
    "subjectAltName": (
        ("DNS", "a.example.org"), ("DNS", "*.Wide.org"), ("IP Address", "10.0.0.1"), ("IP Address", "0:0:0:0:0:0:0:1"),
        ("email", "x@y"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("host", ["a.example.org", "A.Example.ORG.", "b.wide.org", "10.0.0.1", "::1", "[::1]"])
def test_it_is(host: str) -> None:
    assert is_for(NAMES, host)


@pytest.mark.parametrize(
    "host",
    ["", "example.org", "b.a.example.org", "wide.org", ".wide.org", "c.b.wide.org", "common", "10.0.0.2", "x@y", "*"],
)
def test_it_is_not(host: str) -> None:
    assert not is_for(NAMES, host)


def test_nobodys_certificate() -> None:
    for nothing in (None, {}, {"subject": NAMES["subject"]}):
        assert not is_for(nothing, "common")
