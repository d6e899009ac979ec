"""Random and broken JSON sent to real etcd 3.4: what its gateway takes, ours takes; what it refuses, ours refuses in
the same words.

etcd's gateway answers a text that it could not read by itself, without the `Trailer` that every error of the server
behind it brings. So both are told apart, and nothing but the reader is compared. Known to differ: base64 of URLs and
without padding (`_as_34`, which is switched off here); an escape in the name of an enum or in a number in quotes, which
etcd does not read; a null in a list of messages, over which etcd's gateway ends the connection.
"""

import http.client
import json
import os
import random

import pytest
from google.protobuf.message import Message

from tests.compat.oracle import Etcd
from zetcd.gateway.http import base64
from zetcd.gateway.http.decoder import decode
from zetcd.gateway.http.syntax import JsonError
from zetcd_pb import rpc_pb2 as pb

BODIES = int(os.environ.get("ZETCD_DIFFERENTIAL_BODIES", "400"))
KINDS: dict[str, type[Message]] = {
    "/v3/kv/deleterange": pb.DeleteRangeRequest,
    "/v3/kv/put": pb.PutRequest,
    "/v3/kv/txn": pb.TxnRequest,
    "/v3/lease/timetolive": pb.LeaseTimeToLiveRequest,
    "/v3/auth/user/get": pb.AuthUserGetRequest,
    "/v3/auth/role/grant": pb.AuthRoleGrantPermissionRequest,
}
NAMES = [
    *(
        "key",
        "range_end",
        "rangeEnd",
        "prev_kv",
        "prevKv",
        "lease",
        "ID",
        "keys",
        "name",
        "value",
        "compare",
        "success",
    ),
    *("request_range", "requestPut", "target", "result", "version", "perm", "permType", "limit", "x"),
]
TEXTS = [
    *(
        "",
        "Zm9v",
        "Zm8=",
        "Zm9v\\n",
        "Z m9v",
        "Zg==Zg==",
        "Z\\nm9v=",
        "Zg=x",
        "Zm9vZ",
        "====",
        "!",
    ),
    *(
        "1",
        "-1",
        " 7 ",
        "1.5",
        "9223372036854775808",
        "null",
        "true",
        "x",
        "EQUAL",
        "VALUE",
        "READ",
        "NOPE",
        "é",
        "<&>",
    ),
]
WORDS = [
    *("null", "true", "false", "0", "1", "-0", "1.0", "1e2", "9223372036854775807", "9223372036854775808", "-5"),
    *("{}", "[]", "[1,2]", "[300]", "[null]", '["Zg=="]', "[[]]"),
]
NOISE = [
    *("", " ", "\n", "{", "}", "[", "]", '"', ",", ":", "\\", "nul", "tru}", "01", "-", "1.", "1e", "\x00", "\t"),
    *("é", "\x7f", "'", "\\u12", "\\q", "//"),
]

ONE_OF = ({"version", "value", "lease"}, {"request_range", "requestPut"})


def value(dice: random.Random, depth: int) -> str:
    """A JSON value, well-formed."""
    kind = dice.random()
    if kind < 0.35 or not depth:
        return dice.choice([f'"{dice.choice(TEXTS)}"', dice.choice(WORDS)])
    if kind < 0.55:
        return "[" + ",".join(value(dice, depth - 1) for _ in range(dice.randrange(3))) + "]"
    return document(dice, depth - 1)


def document(dice: random.Random, depth: int) -> str:
    """An object with names that mean something."""
    names = dice.sample(NAMES, dice.randrange(4))
    for group in ONE_OF:  # etcd looks at them in no order
        several = [name for name in names if name in group]
        names = [name for name in names if name not in several[1:]]
    return "{" + ",".join(f'"{name}":{value(dice, depth)}' for name in names) + "}"


def body(dice: random.Random) -> str:
    """A document, often damaged."""
    text = document(dice, 3)
    for _ in range(dice.choice([0, 0, 1, 1, 2])):
        at = dice.randrange(len(text) + 1)
        text = text[:at] + dice.choice(NOISE) + text[at + dice.randrange(2) :]
    return text


def words_of_etcd(connection: http.client.HTTPConnection, path: str, text: bytes) -> str | None:
    """What its gateway said about the text itself; None: it took it."""
    connection.request("POST", path, text)
    reply = connection.getresponse()
    answer = reply.read()
    if reply.status == 200 or reply.getheader("Trailer"):
        return None
    said: str = json.loads(answer)["message"]
    return said


def our_words(kind: type[Message], text: bytes) -> str | None:
    """The same of ours."""
    try:
        decode(kind, text)
    except JsonError as error:
        return str(error)
    return None


@pytest.mark.parametrize("path", KINDS)
@pytest.mark.parametrize("seed", range(2))
def test_both_take_and_refuse_the_same_in_the_same_words(
    etcd34: Etcd, path: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base64, "_as_34", str)
    dice = random.Random(f"{seed} {path}")
    connection = http.client.HTTPConnection("127.0.0.1", etcd34.port, timeout=30)
    refused = 0
    for _ in range(BODIES):
        text = body(dice)
        if "-0" in text:  # which etcd takes for a signed integer, and not for an octet; ours takes it
            continue
        data = text.encode()
        ours = our_words(KINDS[path], data)
        try:
            theirs = words_of_etcd(connection, path, data)
        except http.client.RemoteDisconnected:
            connection.close()
            continue
        refused += theirs is not None
        assert ours == theirs, f"seed {seed}: {text!r}"
    connection.close()
    assert 0 < refused < BODIES
