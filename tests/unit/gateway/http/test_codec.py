"""Messages and JSON, either way: beside protobuf's own json_format, and what etcd 3.4 said about the same texts."""

import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.gateway.http.messages import messages
from zetcd.base.limits import NESTING_MAX
from zetcd.gateway.http.base64 import from_base64
from zetcd.gateway.http.decoder import decode, decode_next
from zetcd.gateway.http.encoder import encode
from zetcd.gateway.http.syntax import JsonError
from zetcd_pb import rpc_pb2 as pb

KINDS: dict[str, type[Message]] = {
    "/v3/kv/range": pb.RangeRequest,
    "/v3/kv/txn": pb.TxnRequest,
    "/v3/lease/grant": pb.LeaseGrantRequest,
    "/v3/lease/keepalive": pb.LeaseKeepAliveRequest,
    "/v3/watch": pb.WatchRequest,
    "/v3/cluster/member/add": pb.MemberAddRequest,
    "/v3/auth/user/add": pb.AuthUserAddRequest,
}
KIND: list[type[Message]] = [
    pb.TxnRequest, pb.TxnResponse, pb.RangeRequest, pb.WatchRequest, pb.WatchResponse, pb.MemberListResponse,
    pb.StatusResponse, pb.AuthUserAddRequest, pb.AlarmResponse, pb.HashKVResponse, pb.LeaseTimeToLiveResponse,
]  # fmt: skip
# What etcd 3.5 takes and 3.4 does not: base64 of URLs, or without padding.
NEWER = {'{"key":"Zm9"}', '{"key":"Zm9v","range_end":"_-8="}'}
ETCD34 = [
    row
    for row in json.loads(Path(__file__).with_name("etcd34.json").read_text())
    if row[0] in KINDS and row[1] not in NEWER
]
NAMES = [
    "key", "range_end", "rangeEnd", "limit", "sort_order", "compare", "success", "request_put", "requestTxn", "target",
]  # fmt: skip
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3) | st.sampled_from(NAMES), inner, max_size=4)
    ),
)


def outcome(kind: type[Message], body: bytes) -> Message | str:
    """The message, or what was said."""
    try:
        return decode(kind, body)
    except JsonError as error:
        return str(error)


def exact(kind: type[Message], body: bytes) -> Message | str:
    """The same by the exact reader alone."""
    try:
        found = decode_next(kind, body.decode("latin-1"), 0)
    except JsonError as error:
        return str(error)
    return kind() if found is None else found[0]


@pytest.mark.parametrize(("path", "body", "said"), ETCD34)
def test_texts_are_taken_and_refused_in_the_words_of_etcd(path: str, body: str, said: str | None) -> None:
    got = outcome(KINDS[path], body.encode("latin-1"))
    assert (got if isinstance(got, str) else None) == said


@given(st.sampled_from(KIND).flatmap(messages))
def test_what_is_written_is_what_json_format_writes(message: Message) -> None:
    written = json.loads(encode(message))
    assert written == json_format.MessageToDict(message, preserving_proto_field_name=True)


@given(st.sampled_from(KIND).flatmap(messages), st.booleans(), st.booleans())
def test_what_json_format_writes_is_read(message: Message, names: bool, numbers: bool) -> None:
    text = json_format.MessageToJson(
        message, preserving_proto_field_name=names, use_integers_for_enums=numbers, ensure_ascii=names
    ).encode()
    assert decode(type(message), text) == message
    assert exact(type(message), text) == message


@given(st.sampled_from(KIND).flatmap(messages))
def test_what_is_written_is_read_again(message: Message) -> None:
    assert decode(type(message), encode(message)) == message


@given(st.sampled_from([pb.RangeRequest, pb.TxnRequest, pb.WatchRequest]), JSON, st.booleans())
def test_both_readers_say_the_same(kind: type[Message], value: Any, ascii_only: bool) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only).encode(errors="surrogatepass")
    assert outcome(kind, body) == exact(kind, body)


@given(st.binary(max_size=40) | st.text(alphabet='{}[]",:\\u0019ntaeE-+. ', max_size=40).map(str.encode))
def test_no_text_does_more_than_fail(body: bytes) -> None:
    assert outcome(pb.TxnRequest, body) is not None


@given(JSON, st.integers(0, 80), st.integers(0, 255))
def test_a_broken_byte_is_told_or_survived(value: Any, at: int, byte: int) -> None:
    body = bytearray(json.dumps(value).encode())
    body[at % len(body)] = byte
    got = outcome(pb.RangeRequest, bytes(body))
    assert isinstance(got, pb.RangeRequest | str)


def test_a_name_in_lower_camel_counts_where_both_are_given() -> None:
    for body in (b'{"range_end":"YQ==","rangeEnd":"Yg=="}', b'{"rangeEnd":"Yg==","range_end":"!"}'):
        assert decode(pb.RangeRequest, body) == pb.RangeRequest(range_end=b"b")


def test_the_last_of_equal_names_counts() -> None:
    assert decode(pb.RangeRequest, b'{"key":"!","key":"Yg=="}') == pb.RangeRequest(key=b"b")


def test_null_is_absent_and_in_lists_a_default() -> None:
    got = decode(pb.TxnRequest, b'{"compare":[null],"success":null,"failure":[{"request_put":null}]}')
    assert got == pb.TxnRequest(compare=[pb.Compare()], failure=[pb.RequestOp()])
    assert decode(pb.MemberAddRequest, b'{"peerURLs":[null]}') == pb.MemberAddRequest(peerURLs=[""])


def test_broken_surrogates_and_bytes_become_replacement_characters() -> None:
    user = pb.AuthUserAddRequest
    assert decode(user, b'{"name":"\\ud83d\\ude00\\ud800x"}') == user(name="\U0001f600\ufffdx")
    assert decode(user, b'{"name":"a\xff\xe2\x82b"}') == user(name="a\ufffd\ufffd\ufffdb")


def test_nesting_ends_at_a_bound_and_in_etcds_words() -> None:
    assert outcome(pb.RangeRequest, b"[" * 10_001) == "invalid character '[' exceeded max depth"
    assert outcome(pb.RangeRequest, b'{"x":' * 9_000 + b"1" + b"}" * 9_000) == pb.RangeRequest()
    for levels in (NESTING_MAX, 3_000):
        body = b'{"success":[{"request_txn":' * levels + b"{}" + b"}]}" * levels
        got = outcome(pb.TxnRequest, body)
        assert isinstance(got, pb.TxnRequest) if levels == NESTING_MAX else got == "exceeded max depth"


def test_a_fault_deep_inside_is_found_in_one_go() -> None:
    body = b'{"success":[{"request_txn":' * 60 + b'{"compare":1}' + b"}]}" * 60
    assert outcome(pb.TxnRequest, body) == "json: cannot unmarshal number into Go value of type []json.RawMessage"


def test_huge_numbers_are_refused_as_they_were_written() -> None:
    digits = "9" * 10_000
    got = outcome(pb.RangeRequest, f'{{"limit":{digits}}}'.encode())
    assert got == f"json: cannot unmarshal number {digits} into Go value of type int64"
    assert outcome(pb.RangeRequest, f'{{"unknown":{digits}e99999,"limit":"-0"}}'.encode()) == pb.RangeRequest()


def test_base64_as_etcd_takes_it() -> None:
    taken = {"": b"", "Zm9v": b"foo", "Zm8=": b"fo", "Zm\n9v\r\n": b"foo", "_-8=": b"\xff\xef", "_-8": b"\xff\xef",
             "Zg": b"f"}  # fmt: skip
    for text, value in taken.items():
        assert from_base64(text) == value
    for text, at in {"Z": 0, "Zm9v!": 4, "Zm9vZ": 4, "Z\nm9v=": 5, "é": 0, "Zg=": 3, "Zg=x": 2, "Zg==\nZ": 5}.items():
        with pytest.raises(JsonError, match=f"illegal base64 data at input byte {at}$"):
            from_base64(text)


def test_strings_are_escaped_as_etcd_escapes_them() -> None:
    message = pb.AuthUserListResponse(users=['<&>\u2028é\x01\t\x7f"/\\'])
    assert encode(message) == '{"users":["\\u003c\\u0026\\u003e\\u2028é\\u0001\\t\x7f\\"/\\\\"]}'.encode()


def test_members_of_a_oneof_are_written_at_their_default_too() -> None:
    assert encode(pb.Compare(version=0)) == b'{"version":"0"}'


def test_unknown_numbers_of_an_enum_stay_numbers() -> None:
    message = decode(pb.RangeRequest, b'{"sort_order":99}')
    assert encode(message) == b'{"sort_order":99}'


@pytest.mark.parametrize(
    "body",
    [
        '{"x":[' + "0," * 50_000 + "}",  # broken at its end
        '{"compare":[' + ",".join(["{}"] * 50_000) + "]}",
        '{"success":[{"request_put":{"key":[' + ",".join(["0"] * 50_000) + "]}}]}",
    ],
)
def test_texts_of_many_values_are_given_up(body: str) -> None:
    got = outcome(pb.TxnRequest, body.encode())
    assert got in {"more than 20000 values", "json: cannot unmarshal array into Go value of type []uint8"}


def test_what_is_told_about_a_long_wrong_name_is_short() -> None:
    got = outcome(pb.RangeRequest, b'{"sort_order":"' + b"x" * 100_000 + b'"}')
    assert isinstance(got, str)
    assert len(got) < 1_100
