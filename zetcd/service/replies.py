"""From results to reply maps. Rows come raw from apply, so that the api processes, of which there may be many, do
this part of a read's work."""

from collections.abc import Sequence

import msgspec

from zetcd.base.errors import Error
from zetcd.mvcc.keys import HEADER_BYTES, unpack_header
from zetcd.wire.entry import Txn
from zetcd.wire.replies import (
    DeleteRangeReply,
    ErrorMap,
    ErrorReply,
    Header,
    KeyValue,
    PutReply,
    RangeReply,
    ResponseOp,
    TxnReply,
)
from zetcd.wire.results import DeleteDone, MemberRow, PutDone, RangeDone, Row, TxnDone

NO_HEADER = Header()

encode = msgspec.msgpack.Encoder().encode


def key_value(key: bytes, row: bytes) -> KeyValue:
    """KeyValue of a stored row."""
    create, mod, version, lease, _ = unpack_header(row)
    return KeyValue(key, create, mod, version, row[HEADER_BYTES:], lease)


def _key_values(rows: list[Row]) -> list[KeyValue]:
    return [key_value(key, row) for key, row in rows]


def error(what: Error) -> ErrorReply:
    """The reply of a failed request."""
    return ErrorReply(ErrorMap(what.code, what.status, what.message))


def put(header: Header, key: bytes, result: PutDone) -> PutReply:
    """PutResponse."""
    return PutReply(header, None if result.prev is None else key_value(key, result.prev))


def range_(header: Header, result: RangeDone) -> RangeReply:
    """RangeResponse."""
    return RangeReply(header, _key_values(result.rows), result.more, result.count)


def delete_range(header: Header, result: DeleteDone) -> DeleteRangeReply:
    """DeleteRangeResponse."""
    return DeleteRangeReply(header, result.deleted, _key_values(result.prevs))


def txn(header: Header, result: TxnDone, command: Txn) -> TxnReply:
    """TxnResponse. Inner headers carry only the revision, as it was when the operation was done; that of a nested txn
    is empty (etcd's way)."""
    responses: list[ResponseOp] = []
    ops = command.success if result.succeeded else command.failure
    for op, each in zip(ops, result.results, strict=True):
        inner = Header(revision=each.revision)
        if isinstance(each, PutDone):
            responses.append(ResponseOp(response_put=put(inner, getattr(op, "key", b""), each)))
        elif isinstance(each, RangeDone):
            responses.append(ResponseOp(response_range=range_(inner, each)))
        elif isinstance(each, DeleteDone):
            responses.append(ResponseOp(response_delete_range=delete_range(inner, each)))
        else:
            assert isinstance(op, Txn)
            responses.append(ResponseOp(response_txn=txn(NO_HEADER, each, op)))
    return TxnReply(header, result.succeeded, responses)


def members(rows: Sequence[MemberRow]) -> list[dict[str, object]]:
    """etcd's Members, by id; fields at their default left out."""
    names = ("ID", "name", "peerURLs", "clientURLs", "isLearner")
    return [{name: value for name, value in zip(names, row, strict=True) if value} for row in sorted(rows)]
