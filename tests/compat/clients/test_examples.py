"""The examples of docs/clients.md: what each prints against a member is what it prints against etcd 3.4."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.compat.clients import packages
from tests.compat.clients.packages import EXAMPLES, ROOT, UnavailableError
from tests.compat.oracle import Etcd
from tests.process.gateway.members import EtcdStyle

RUN_S = 60.0
pytestmark = [pytest.mark.xdist_group("clients"), pytest.mark.timeout(600)]  # the first run installs and compiles


@pytest.fixture(scope="module", params=["zetcd", "etcd 3.4"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a server that speaks etcd's protocols."""
    if request.param == "zetcd":
        with EtcdStyle(tmp_path_factory.mktemp("member")) as member:
            yield member.url
    else:
        etcd: Etcd = request.getfixturevalue("etcd34")
        yield etcd.url


def installed(install: Callable[..., Path], *what: Any) -> str:
    """The path of an installed client, or a skip that says what is missing."""
    try:
        return str(install(*what))
    except UnavailableError as error:
        pytest.skip(str(error))


def said(*command: str) -> list[str]:
    """Lines of a program that succeeds."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=RUN_S, check=False)
    assert done.returncode == 0, (done.stdout, done.stderr)
    return done.stdout.splitlines()


def test_tooz(url: str) -> None:
    python = installed(packages.python, "tooz", "tooz==9.1.0", "etcd3gw==2.7.0")
    assert said(python, str(EXAMPLES / "tooz_groups.py"), url) == [
        "members [b'worker-1', b'worker-2']",
        "capabilities {'cores': 4}",
        "the other one while it is locked False",
        "the other one afterwards True",
        "members [b'worker-1']",
        "groups []",
    ]


def test_etcd3gw(url: str) -> None:
    python = installed(packages.python, "etcd3gw", "etcd3gw==2.7.0")
    assert said(python, str(EXAMPLES / "etcd3gw_keys.py"), url) == [
        "get b'hello'",
        "create False",
        "replace True",
        "keys of the lease [b'guest']",
        "refreshed to 60",
        "after the lease []",
        "event b'hello'",
        "event b'good morning'",
        "locked True",
    ]


def test_rust(url: str) -> None:
    python = installed(packages.python, "rust", "etcd-client-py==0.5.1")
    lines = said(python, str(EXAMPLES / "rust_client.py"), url)
    assert [line for line in lines if line.startswith("event")] == [
        "event greeting/en WatchEventType.PUT hello",
        "event greeting/de WatchEventType.PUT hallo",
        "event greeting/en WatchEventType.DELETE ",
    ]
    assert [line for line in lines if not line.startswith("event")] == [  # the events come in between
        "get hello",
        "prefix [['greeting/de', 'hallo'], ['greeting/en', 'hello']]",
        "keys ['greeting/de']",
        "locked",
    ]


def test_node(url: str) -> None:
    script = installed(packages.node, "node", EXAMPLES / "node_client.mjs", "etcd3@1.1.2")
    assert said("node", script, url) == [
        "get hello",
        "transaction true good morning",
        "after the lease null",
        "event good night",
        "refused while it is locked true",
        "leader first",
        "leader undefined",
    ]


def test_go_concurrency(url: str) -> None:
    assert said(installed(packages.go, EXAMPLES / "concurrency.go"), url) == [
        "session lives on: true",
        "second one while it is locked: context deadline exceeded",
        "second one owns it: true",
        "leader: first",
        "leader: second",
        "observer saw: second",
        "counter: 100",
        "session closed: etcdserver: requested lease not found",
    ]


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl(url: str) -> None:
    key = "aGVsbG8="
    put, got, txn, lease, leased, revoked, created, happened = map(json.loads, said(str(EXAMPLES / "curl.sh"), url))
    first = int(put["header"]["revision"])
    assert [int(reply["header"]["revision"]) - first for reply in (got, txn, lease, leased, revoked)] == [0, 1, 1, 2, 3]
    [row] = got["kvs"]
    assert (row["key"], row["value"], row["mod_revision"], got["count"]) == (key, "d29ybGQ=", str(first), "1")
    assert txn["succeeded"] is True
    assert (lease["ID"], lease["TTL"]) == ("7587", "60")
    assert created["result"]["created"] is True
    events = happened["result"]["events"]
    assert [event.get("type", "PUT") for event in events] == ["PUT", "PUT", "PUT", "DELETE"]
    assert [event["kv"].get("value") for event in events] == ["d29ybGQ=", "YWdhaW4=", "bGVhc2Vk", None]
    assert [int(event["kv"]["mod_revision"]) - first for event in events] == [0, 1, 2, 3]


def test_the_documentation_names_each_example_and_each_version() -> None:
    text = (ROOT / "docs/clients.md").read_text()
    assert set(re.findall(r"examples/etcd/([\w.]+)", text)) == {path.name for path in EXAMPLES.iterdir()}
    versions = re.findall(r'"([a-z0-9-]+)(?:==|@)([\d.]+)"', Path(__file__).read_text())
    assert versions
    for name, version in versions:
        assert f"{name} {version}" in text
