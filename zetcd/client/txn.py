"""Transactions: `compare` makes guards, `op` makes operations, `Txn` gathers them.

client.txn(compare.version("lock", "==", 0)).then(op.put("lock", "me")).otherwise(op.get("lock")).commit()
"""

from collections.abc import Callable
from typing import Any, Generic, Literal, TypeVar, Unpack

from zetcd.client.options import DeleteOptions, PutOptions, RangeOptions
from zetcd.client.requests import Key, octets, prefix_range, range_request
from zetcd.wire import client as wire

Relation = Literal["=", "==", "!=", ">", "<"]
_RELATIONS: dict[str, int] = {"=": 0, "==": 0, ">": 1, "<": 2, "!=": 3}

R = TypeVar("R")


class compare:  # noqa: N801  (a namespace)
    """Guards. A key that does not exist has version, revisions and lease 0, and no value at all.

    With range_end the guard holds if it holds for every key of the range.
    """

    @staticmethod
    def version(key: Key, relation: Relation, number: int, *, range_end: Key = b"") -> wire.CompareMap:
        """How often key was written since its creation."""
        return wire.CompareMap(octets(key), _RELATIONS[relation], 0, version=number, range_end=octets(range_end))

    @staticmethod
    def create_revision(key: Key, relation: Relation, revision: int, *, range_end: Key = b"") -> wire.CompareMap:
        """The revision that created key; ``== 0`` is "does not exist"."""
        return wire.CompareMap(
            octets(key), _RELATIONS[relation], 1, create_revision=revision, range_end=octets(range_end)
        )

    @staticmethod
    def mod_revision(key: Key, relation: Relation, revision: int, *, range_end: Key = b"") -> wire.CompareMap:
        """The revision that last wrote key."""
        return wire.CompareMap(octets(key), _RELATIONS[relation], 2, mod_revision=revision, range_end=octets(range_end))

    @staticmethod
    def value(key: Key, relation: Relation, value: Key, *, range_end: Key = b"") -> wire.CompareMap:
        """The value; never holds for a key that does not exist."""
        return wire.CompareMap(octets(key), _RELATIONS[relation], 3, value=octets(value), range_end=octets(range_end))

    @staticmethod
    def lease(key: Key, relation: Relation, lease: int, *, range_end: Key = b"") -> wire.CompareMap:
        """The lease key is attached to, 0 for none."""
        return wire.CompareMap(octets(key), _RELATIONS[relation], 4, lease=lease, range_end=octets(range_end))


class op:  # noqa: N801  (a namespace)
    """Operations of a transaction's branches."""

    @staticmethod
    def put(key: Key, value: Key = b"", **options: Unpack[PutOptions]) -> wire.RequestOp:
        """As `Client.put`."""
        return wire.RequestOp(request_put=wire.PutOp(octets(key), octets(value), **options))

    @staticmethod
    def get(key: Key, range_end: Key = b"", **options: Unpack[RangeOptions]) -> wire.RequestOp:
        """As `Client.range`."""
        r = range_request(key, range_end, **options)
        fields = {name: getattr(r, name) for name in wire.RangeOp.__struct_fields__}
        return wire.RequestOp(request_range=wire.RangeOp(**fields))

    @staticmethod
    def get_prefix(prefix: Key, **options: Unpack[RangeOptions]) -> wire.RequestOp:
        """As `Client.get_prefix`."""
        return op.get(*prefix_range(prefix), **options)

    @staticmethod
    def delete(key: Key, range_end: Key = b"", **options: Unpack[DeleteOptions]) -> wire.RequestOp:
        """As `Client.delete`, or `Client.delete_range` with a range_end."""
        return wire.RequestOp(request_delete_range=wire.DeleteRangeOp(octets(key), octets(range_end), **options))

    @staticmethod
    def txn(
        compares: list[wire.CompareMap],
        success: list[wire.RequestOp],
        failure: list[wire.RequestOp] | None = None,
    ) -> wire.RequestOp:
        """A nested transaction; its compares see the store as it was before the outer one."""
        return wire.RequestOp(request_txn=wire.TxnOp(compares, success, failure or []))


class Txn(Generic[R]):
    """A transaction in the making. R is what `commit` gives: a TxnReply, or a future of one."""

    def __init__(self, compares: tuple[wire.CompareMap, ...], send: Callable[[wire.TxnRequest, Any], R]) -> None:
        self._compares = list(compares)
        self._success: list[wire.RequestOp] = []
        self._failure: list[wire.RequestOp] = []
        self._send = send

    def when(self, *compares: wire.CompareMap) -> "Txn[R]":
        """More guards; all must hold."""
        self._compares.extend(compares)
        return self

    def then(self, *ops: wire.RequestOp) -> "Txn[R]":
        """Operations for when all guards hold."""
        self._success.extend(ops)
        return self

    def otherwise(self, *ops: wire.RequestOp) -> "Txn[R]":
        """Operations for when a guard does not hold."""
        self._failure.extend(ops)
        return self

    def commit(self, *, timeout: float | None = None) -> R:
        """Send it. timeout in seconds; None: the client's."""
        return self._send(wire.TxnRequest(self._compares, self._success, self._failure), timeout)
