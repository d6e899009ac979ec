"""From requests to commands: etcd's checks in etcd's order, and every field in its place."""

import pytest

from zetcd.base import errors
from zetcd.base.errors import Error
from zetcd.service import commands
from zetcd.wire import client as api
from zetcd.wire.entry import (
    IGNORE_LEASE,
    IGNORE_VALUE,
    PREV_KV,
    Alarm,
    Compare,
    DeleteRange,
    LeaseGrant,
    Put,
    Range,
    Txn,
)


def put(**fields: object) -> Put | Error:
    return commands.put(api.PutRequest(**fields))  # type: ignore[arg-type]


def test_put() -> None:
    assert put(key=b"k", value=b"v", lease=7, prev_kv=True) == Put(b"k", b"v", 7, PREV_KV)
    assert put(key=b"k", ignore_value=True, ignore_lease=True) == Put(b"k", b"", 0, IGNORE_VALUE | IGNORE_LEASE)


def test_the_first_complaint_about_a_put_is_etcds() -> None:
    assert put(key=b"", value=b"v", ignore_value=True) == errors.EMPTY_KEY
    assert put(key=b"k", value=b"v", ignore_value=True, lease=1, ignore_lease=True) == errors.VALUE_PROVIDED
    assert put(key=b"k", lease=1, ignore_lease=True) == errors.LEASE_PROVIDED


def test_range() -> None:
    request = api.RangeRequest(b"a", b"b", 1, 2, 2, 3, True, True, True, 4, 5, 6, 7)
    assert commands.range_(request) == Range(b"a", b"b", 1, 2, 2, 3, True, True, 4, 5, 6, 7)
    assert commands.range_(api.RangeRequest(b"")) == errors.EMPTY_KEY
    for order, target in ((3, 0), (-1, 0), (0, 5), (0, -1)):
        wrong = api.RangeRequest(b"k", sort_order=order, sort_target=target)
        assert commands.range_(wrong) == errors.INVALID_SORT_OPTION


def test_delete_range() -> None:
    request = api.DeleteRangeRequest(b"a", b"b", prev_kv=True)
    assert commands.delete_range(request) == DeleteRange(b"a", b"b", PREV_KV)
    assert commands.delete_range(api.DeleteRangeRequest(b"")) == errors.EMPTY_KEY


def op(**fields: object) -> api.RequestOp:
    return api.RequestOp(**fields)  # type: ignore[arg-type]


def test_txn() -> None:
    request = api.TxnRequest(
        [api.CompareMap(b"k", 1, 3, value=b"v", version=9), api.CompareMap(b"k", 2, 4, lease=7, range_end=b"l")],
        [op(request_put=api.PutOp(b"a", b"1")), op(request_range=api.RangeOp(b"b"))],
        [op(request_txn=api.TxnOp(failure=[op(request_delete_range=api.DeleteRangeOp(b"c"))]))],
    )
    assert commands.txn(request, 128) == Txn(
        [Compare(1, 3, b"k", 0, b"v"), Compare(2, 4, b"k", 7, b"", b"l")],
        [Put(b"a", b"1"), Range(b"b")],
        [Txn([], [], [DeleteRange(b"c")])],
    )


@pytest.mark.parametrize(
    ("target", "field"), [(0, "version"), (1, "create_revision"), (2, "mod_revision"), (4, "lease")]
)
def test_only_the_operand_that_the_target_names_counts(target: int, field: str) -> None:
    operands = dict.fromkeys(("version", "create_revision", "mod_revision", "lease"), 5) | {field: 6}
    compare = api.CompareMap(b"k", 0, target, value=b"ignored", **operands)  # type: ignore[arg-type]
    command = commands.txn(api.TxnRequest([compare]), 128)
    assert command == Txn([Compare(0, target, b"k", 6)], [], [])


def puts(*keys: bytes) -> list[api.RequestOp]:
    return [op(request_put=api.PutOp(key)) for key in keys]


def test_complaints_about_txns() -> None:
    one, other = puts(b"k"), puts(b"k", b"k")
    assert commands.txn(api.TxnRequest([], other), 128) == errors.DUPLICATE_KEY
    assert isinstance(commands.txn(api.TxnRequest([], one, one), 128), Txn), "one branch is taken"
    assert commands.txn(api.TxnRequest([], puts(*(b"%d" % n for n in range(4)))), 3) == errors.TOO_MANY_OPS
    assert commands.txn(api.TxnRequest([api.CompareMap(b"")]), 128) == errors.EMPTY_KEY
    assert commands.txn(api.TxnRequest([], puts(b"")), 128) == errors.EMPTY_KEY
    assert commands.txn(api.TxnRequest([], [op()]), 128) == errors.KEY_NOT_FOUND
    nested = op(request_txn=api.TxnOp(success=[op()]))
    assert commands.txn(api.TxnRequest([], [nested]), 128) == errors.KEY_NOT_FOUND
    assert commands.txn(api.TxnRequest([], [op(), *puts(b"")]), 128) == errors.KEY_NOT_FOUND, "in their order"
    assert commands.txn(api.TxnRequest([], [*puts(b""), op()]), 128) == errors.EMPTY_KEY


def test_lease_grant() -> None:
    assert commands.lease_grant(api.LeaseGrantRequest(60), 77, 2) == LeaseGrant(77, 60)
    assert commands.lease_grant(api.LeaseGrantRequest(60, 5), 77, 2) == LeaseGrant(5, 60)
    assert commands.lease_grant(api.LeaseGrantRequest(-1, 5), 77, 2) == LeaseGrant(5, 2)
    assert commands.lease_grant(api.LeaseGrantRequest(9_000_000_001), 77, 2) == errors.LEASE_TTL_TOO_LARGE


def test_alarm() -> None:
    assert commands.alarm(api.AlarmRequest(1, 9, 1)) == Alarm(1, 9, 1)
    for request in (api.AlarmRequest(3), api.AlarmRequest(1, 9, 3), api.AlarmRequest(-1)):
        error = commands.alarm(request)
        assert isinstance(error, Error)
        assert error.code == errors.INVALID_ARGUMENT
