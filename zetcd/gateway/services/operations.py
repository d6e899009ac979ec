"""What a transaction is made of."""

from typing import Any

from zetcd.wire import client as wire


def compare(message: Any) -> wire.CompareMap:
    """An etcdserverpb.Compare; of the union what is not set reads as 0 or empty, which is what etcd compares with."""
    return wire.CompareMap(
        key=message.key,
        result=message.result,
        target=message.target,
        version=message.version,
        create_revision=message.create_revision,
        mod_revision=message.mod_revision,
        value=message.value,
        lease=message.lease,
        range_end=message.range_end,
    )


def operation(message: Any) -> wire.RequestOp:
    """An etcdserverpb.RequestOp; an empty one stays empty."""
    kind = message.WhichOneof("request")
    if kind is None:
        return wire.RequestOp()
    return _KINDS[kind](getattr(message, kind))


def _put(message: Any) -> wire.RequestOp:
    return wire.RequestOp(
        request_put=wire.PutOp(
            message.key, message.value, message.lease, message.prev_kv, message.ignore_value, message.ignore_lease
        )
    )


def _range(message: Any) -> wire.RequestOp:
    return wire.RequestOp(
        request_range=wire.RangeOp(
            key=message.key,
            range_end=message.range_end,
            limit=message.limit,
            revision=message.revision,
            sort_order=message.sort_order,
            sort_target=message.sort_target,
            serializable=message.serializable,
            keys_only=message.keys_only,
            count_only=message.count_only,
            min_mod_revision=message.min_mod_revision,
            max_mod_revision=message.max_mod_revision,
            min_create_revision=message.min_create_revision,
            max_create_revision=message.max_create_revision,
        )
    )


def _delete_range(message: Any) -> wire.RequestOp:
    return wire.RequestOp(request_delete_range=wire.DeleteRangeOp(message.key, message.range_end, message.prev_kv))


def _txn(message: Any) -> wire.RequestOp:
    nested = wire.TxnOp(
        list(map(compare, message.compare)),
        list(map(operation, message.success)),
        list(map(operation, message.failure)),
    )
    return wire.RequestOp(request_txn=nested)


_KINDS = {
    "request_put": _put,
    "request_range": _range,
    "request_delete_range": _delete_range,
    "request_txn": _txn,
}
