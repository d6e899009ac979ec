"""Frames that no client sends: the decoder and the api actor answer or drop them, and go on."""

import struct
from typing import Any

import msgpack
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.unit.actors.front import Front
from tests.unit.actors.pair import Pair
from zetcd.base.errors import WireError
from zetcd.wire import client as api
from zetcd.wire.asked import decode_request

TEXT_MAX = 600
OPS = sorted(str(each.__struct_config__.tag) for each in api.Request.__args__)
FIELDS = sorted({name for each in api.Request.__args__ for name in each.__struct_fields__})

plain = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.binary(max_size=20)
    | st.text(max_size=20)
)
values = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8) | st.sampled_from(FIELDS), inner, max_size=4)
    ),
)
requests = st.builds(
    lambda op, rest: {"op": op, **rest},
    st.sampled_from(OPS),
    st.dictionaries(st.sampled_from(FIELDS), values, max_size=5),
)


def decode(body: bytes) -> str:
    """What the client reads, empty for a request. Nothing but WireError may come out."""
    try:
        decode_request(body)
    except WireError as error:
        return str(error)
    return ""


@given(st.binary(max_size=200))
def test_random_bytes(body: bytes) -> None:
    assert len(decode(body)) < TEXT_MAX


@given(values | requests)
def test_any_value(value: Any) -> None:
    assert len(decode(msgpack.packb(value))) < TEXT_MAX


@given(requests, st.data())
def test_a_request_that_is_cut_or_flipped(request: dict[str, Any], data: st.DataObject) -> None:
    body = bytearray(msgpack.packb(request))
    place = data.draw(st.integers(0, len(body) - 1))
    if data.draw(st.booleans()):
        body[place] ^= data.draw(st.integers(1, 255))
    else:
        del body[place:]
    assert len(decode(bytes(body))) < TEXT_MAX


@pytest.mark.parametrize("kind", [0xC6, 0xDB, 0xDD, 0xDF, 0xC9])
def test_huge_lengths_are_refused_without_allocating_them(kind: int) -> None:
    """bin, str, array, map and ext that claim 4 GiB in a frame of a few bytes."""
    claim = struct.pack(">BI", kind, 0xFFFFFFFF) + b"abc"
    for body in (claim, b"\x82\xa2op\xa3put\xa3key" + claim, b"\x92" + claim):
        assert decode(body)


@pytest.mark.parametrize("depth", [63, 65, 1_000, 100_000, 1_000_000])
@pytest.mark.parametrize("shell", [b"\x91", b"\x81\xa1a"])
def test_deep_nesting_is_refused(depth: int, shell: bytes) -> None:
    assert decode(shell * depth + b"\xc0")
    assert decode(b"\x82\xa2op\xa3put\xa3key" + shell * depth + b"\xc0")


def nested(depth: int) -> dict[str, Any]:
    txn: dict[str, Any] = {}
    for _ in range(depth):
        txn = {"success": [{"request_txn": txn}]}
    return {"op": "txn", **txn}


@pytest.mark.parametrize("depth", [10, 60, 100, 400, 2_000])
def test_nested_transactions_are_taken_or_refused_in_words(depth: int) -> None:
    front = Front()
    try:
        body = msgpack.packb(nested(depth))
    except ValueError:  # msgpack itself goes no deeper: by hand
        shell = b"\x81\xa7success\x91\x81\xabrequest_txn"
        body = b"\x82\xa2op\xa3txn\xa7success\x91\x81\xabrequest_txn" + shell * (depth - 1) + b"\x80"
    front.actor.on_client((b"c", b"1"), body)
    front.turn()
    entries = front.proposed()
    replies = front.replies()
    assert len(entries) + len(replies) == 1
    for reply in replies:
        assert reply["error"]["code"] == 3


def test_a_complaint_does_not_repeat_what_it_complains_about() -> None:
    for request in (
        {"op": "range", "key": b"k", "sort_order": "x" * 1_000_000},
        {"op": "put", "key": b"k", "y" * 1_000_000: 1},
        {"op": "z" * 1_000_000},
    ):
        assert 0 < len(decode(msgpack.packb(request))) < TEXT_MAX


def test_duplicate_fields_and_trailing_bytes() -> None:
    put = msgpack.packb({"op": "put", "key": b"k"})
    assert decode(put + b"\x00")
    assert not decode(b"\x83\xa2op\xa3put\xa3key\xc4\x01a\xa3key\xc4\x01b"), "the last one counts, as in most libraries"


@settings(max_examples=60, deadline=None)
@given(st.lists(requests.map(msgpack.packb) | st.binary(max_size=60), max_size=8), st.booleans())
@example(bodies=[msgpack.packb({"op": op}) for op in OPS], restart=False)
def test_the_actors_answer_or_keep_every_frame_and_never_raise(bodies: list[bytes], restart: bool) -> None:
    """Nor does an entry come into the log that apply cannot execute: it would end every life of the member."""
    pair = Pair()
    for number, body in enumerate(bodies):
        pair.ask(body, b"c0", b"%d" % number)
    pair.settle()
    if restart:
        pair.restart()
    pair.check()
