"""Large requests over one kept connection: the same answers, and the connection is good for what follows."""

import base64
import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.compat.gateway_json.sides import our_port
from tests.compat.oracle import Etcd

KIB = 1024
SIZES = (100 * KIB, 1_400 * KIB, 1_700 * KIB, 2_500 * KIB)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with our_port(tmp_path_factory.mktemp("zetcd")) as port:
        yield port


def answers(port: int) -> list[tuple[int, Any]]:
    """Puts of growing size, each followed by a small request, all on one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    found = []
    for size in SIZES:
        value = base64.b64encode(b"v" * size).decode()
        for path, body in (("/v3/kv/put", {"key": "a2V5", "value": value}), ("/v3/kv/range", {"key": "bm9uZQ=="})):
            connection.request("POST", path, json.dumps(body))
            reply = connection.getresponse()
            document = json.loads(reply.read())
            document.pop("header", None)
            found.append((reply.status, document))
    connection.close()
    return found


def test_large_puts_are_taken_and_refused_as_by_etcd(gateway: int, etcd34: Etcd) -> None:
    ours, theirs = answers(gateway), answers(etcd34.port)
    assert [status for status, _document in theirs] == [200, 200, 200, 200, 400, 200, 429, 200]
    assert ours == theirs
