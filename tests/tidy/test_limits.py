"""Every bound has a name, an owner, a use and a sentence in the documentation that says what happens at it."""

import ast
import re

import pytest

from tests.tidy.sources import ROOT, server
from zetcd.base import limits
from zetcd.wire.routes import ROUTES

NAMES = sorted(name for name in vars(limits) if name.isupper() and name not in {"KIB", "MIB"})


def _used() -> set[str]:
    found: set[str] = set()
    for source in server():
        if source.path == "zetcd/base/limits.py":
            continue
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Attribute):
                found.add(node.attr)
            elif isinstance(node, ast.Name):
                found.add(node.id)
            elif isinstance(node, ast.ImportFrom):
                found.update(alias.name for alias in node.names)
    return found


def test_every_bound_is_used() -> None:
    """A bound that nothing checks is a promise nobody keeps."""
    used = _used()
    assert [name for name in NAMES if name not in used] == []


def test_every_bound_is_documented() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    words = set(re.findall(r"[A-Z][A-Z0-9_]+", text))
    assert [name for name in NAMES if name not in words] == []


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.dialer}-{route.owner}")
def test_every_link_is_documented(route: object) -> None:
    """docs/architecture.md has a row for each link of the table, with what happens when it is full."""
    text = (ROOT / "docs/architecture.md").read_text()
    dialer, owner = getattr(route, "dialer", ""), getattr(route, "owner", "")
    assert re.search(rf"\|\s*`?{dialer}`?\s*(->|to|\|)\s*`?{owner}`?\s*\|", text), f"{dialer} -> {owner}"


def test_links_name_their_bound_and_what_happens_when_full() -> None:
    assert all(route.bound and route.when_full for route in ROUTES)
    assert len({(route.owner, route.dialer) for route in ROUTES}) == len(ROUTES)
