"""From results to reply maps, as a client decodes them."""

from typing import Any

import msgpack

from zetcd.base import errors
from zetcd.mvcc.keys import pack_header
from zetcd.service import replies
from zetcd.wire.entry import DeleteRange, Put, Range, Txn
from zetcd.wire.replies import Header
from zetcd.wire.results import DeleteDone, PutDone, RangeDone, TxnDone

HEADER = Header(1, 2, 7, 3)
SHOWN = {"cluster_id": 1, "member_id": 2, "revision": 7, "raft_term": 3}


def row(value: bytes = b"v", lease: int = 0) -> bytes:
    return bytes(pack_header(2, 5, 3, lease, 0)) + value


def shown(reply: object) -> Any:
    return msgpack.unpackb(replies.encode(reply))


def test_a_row_with_and_without_defaults() -> None:
    full = {"key": b"k", "create_revision": 2, "mod_revision": 5, "version": 3, "value": b"v", "lease": -7}
    assert shown(replies.key_value(b"k", row(lease=-7))) == full
    bare = {"key": b"", "create_revision": 2, "mod_revision": 5, "version": 3}
    assert shown(replies.key_value(b"", row(b""))) == bare, "the key is never left out"


def test_put() -> None:
    assert shown(replies.put(HEADER, b"k", PutDone(7))) == {"header": SHOWN}
    with_former = shown(replies.put(HEADER, b"k", PutDone(7, row())))
    assert (with_former["prev_kv"]["key"], with_former["prev_kv"]["value"]) == (b"k", b"v")


def test_range_and_delete_range() -> None:
    reply = shown(replies.range_(HEADER, RangeDone(7, [(b"a", row()), (b"b", row(b""))], True, 9)))
    assert ([kv["key"] for kv in reply["kvs"]], reply["more"], reply["count"]) == ([b"a", b"b"], True, 9)
    assert shown(replies.range_(HEADER, RangeDone(7, [], False, 0))) == {"header": SHOWN}
    deleted = shown(replies.delete_range(HEADER, DeleteDone(7, 2, [(b"a", row())])))
    assert (deleted["deleted"], [kv["key"] for kv in deleted["prev_kvs"]]) == (2, [b"a"])


def test_txn_names_each_operation_and_its_revision() -> None:
    command = Txn([], [Put(b"k", b"v"), Range(b"k"), DeleteRange(b"k"), Txn([], [Put(b"n", b"")], [])], [])
    inner = TxnDone(7, True, [PutDone(7)])
    result = TxnDone(7, True, [PutDone(7, row()), RangeDone(6, [], False, 0), DeleteDone(7, 1, []), inner])
    reply = shown(replies.txn(HEADER, result, command))
    put, found, deleted, nested = reply["responses"]
    assert put["response_put"]["prev_kv"]["key"] == b"k"
    assert put["response_put"]["header"] == {"revision": 7}
    assert found["response_range"] == {"header": {"revision": 6}}
    assert deleted["response_delete_range"]["deleted"] == 1
    assert nested["response_txn"]["header"] == {}
    assert nested["response_txn"]["responses"] == [{"response_put": {"header": {"revision": 7}}}]


def test_the_failure_branch() -> None:
    command = Txn([], [Put(b"a", b"")], [Range(b"b")])
    reply = shown(replies.txn(HEADER, TxnDone(7, False, [RangeDone(7, [], False, 0)]), command))
    assert "succeeded" not in reply
    assert list(reply["responses"][0]) == ["response_range"]


def test_errors_carry_code_status_and_message() -> None:
    assert shown(replies.error(errors.COMPACTED)) == {
        "error": {
            "code": 11,
            "status": "OUT_OF_RANGE",
            "message": "etcdserver: mvcc: required revision has been compacted",
        }
    }
