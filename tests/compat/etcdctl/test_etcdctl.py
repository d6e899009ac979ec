"""etcdctl 3.4.23 on zetcd's gateway against etcdctl 3.4.23 on etcd 3.4.23: the same command lines, output by output."""

import urllib.request
from pathlib import Path

import pytest

from tests.compat.ctl.differences import Shown
from tests.compat.ctl.sides import FORMATS, Outcome
from tests.compat.etcdctl import compare as comparing
from tests.compat.etcdctl.compare import compare
from tests.compat.etcdctl.differences import Difference
from tests.compat.etcdctl.runner import with_one, with_three
from tests.compat.etcdctl.scenarios import ONE_MEMBER, THREE_MEMBERS
from tests.compat.etcdctl.servers import ETCDCTL, one
from tests.compat.oracle import binary
from tests.process.cluster import wait_for

needs_etcd = pytest.mark.skipif(
    binary("3.4") is None or not ETCDCTL.exists(),
    reason="needs etcd and etcdctl 3.4 (Debian: etcd-server, etcd-client)",
)
which = pytest.mark.parametrize(
    "formats", [FORMATS[:2], pytest.param(FORMATS, marks=pytest.mark.slow)], ids=("two formats", "all formats")
)


@needs_etcd
@which
@pytest.mark.timeout(600)
def test_one_member(formats: tuple[str, ...], tmp_path: Path) -> None:
    compared = with_one(tmp_path / "both", ONE_MEMBER, formats)
    assert compared.steps > 400
    assert not compared.wrong, "\n".join(compared.wrong)


@needs_etcd
@which
@pytest.mark.timeout(600)
def test_three_members(formats: tuple[str, ...], tmp_path: Path) -> None:
    compared = with_three(tmp_path / "both", THREE_MEMBERS, formats)
    assert compared.steps > 70
    assert not compared.wrong, "\n".join(compared.wrong)


def memory(url: str) -> float:
    """What `check datascale` reads; 0 where it is not there."""
    with urllib.request.urlopen(f"{url}/metrics") as page:
        lines = [line.split() for line in page.read().decode().splitlines()]
    return next((float(line[1]) for line in lines if line[0] == "process_resident_memory_bytes"), 0.0)


@needs_etcd
def test_what_check_datascale_reads_is_there(tmp_path: Path) -> None:
    with one("zetcd", tmp_path / "member", tmp_path) as side:
        # Five processes with Python, ZeroMQ and LevelDB in them. The first scrapes may come before the gateway's link.
        wait_for(lambda: 50 << 20 < memory(side.endpoint) < 2 << 30 or None, "memory in /metrics")


def test_control_what_differs_is_found() -> None:
    theirs = {"get k": Outcome(b"k\nv\n", b"", 0), "put": Outcome(b"OK\n", b"", 0), "del": Outcome(b"1\n", b"", 0)}
    ours = {"get k": Outcome(b"k\nw\n", b"", 0), "put": Outcome(b"OK\n", b"", 1)}
    wrong = compare(theirs, ours).wrong
    assert [text.split("\n")[0] for text in wrong] == ["steps of one side only: ['del']", "get k", "put"]


def test_a_difference_that_is_none_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    same = {"get k": Outcome(b"k\nv\n", b"", 0)}
    none = Difference("get k", lambda _: Shown(["k", "v", ""], [""], 0), "a reason")
    monkeypatch.setattr(comparing, "DIFFERENCES", (none,))
    [text] = compare(same, same).wrong
    assert "said to differ" in text
