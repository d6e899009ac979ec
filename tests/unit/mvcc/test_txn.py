"""Structure of transactions: what is refused before anything is proposed."""

import pytest

from zetcd.base.errors import (
    DUPLICATE_KEY,
    EMPTY_KEY,
    INVALID_SORT_OPTION,
    LEASE_PROVIDED,
    TOO_MANY_OPS,
    VALUE_PROVIDED,
    Error,
)
from zetcd.base.limits import NESTING_MAX
from zetcd.mvcc.txn import check_put, check_txn, puts_anything
from zetcd.wire.entry import IGNORE_LEASE, IGNORE_VALUE, Compare, DeleteRange, Op, Put, Range, Txn

A, B = Put(b"a", b"1"), Put(b"b", b"1")


def then(*ops: Op) -> Txn:
    return Txn([], list(ops), [])


@pytest.mark.parametrize(
    ("txn", "expected"),
    [
        (Txn([], [], []), None),
        (then(A, B), None),
        (then(A, A), DUPLICATE_KEY),
        (Txn([], [A], [A]), None),
        (Txn([], [], [A, A]), DUPLICATE_KEY),
        (then(A, DeleteRange(b"a")), DUPLICATE_KEY),
        (then(DeleteRange(b"a"), A), DUPLICATE_KEY),
        (then(A, DeleteRange(b"b", b"\x00")), None),
        (then(B, DeleteRange(b"a", b"\x00")), DUPLICATE_KEY),
        (then(B, DeleteRange(b"a", b"b")), None),
        (then(B, DeleteRange(b"a", b"c")), DUPLICATE_KEY),
        (then(DeleteRange(b"a"), DeleteRange(b"a", b"c"), DeleteRange(b"\x00", b"\x00")), None),
        (then(A, then(A)), DUPLICATE_KEY),
        (then(A, Txn([], [], [A])), DUPLICATE_KEY),
        (then(then(A), then(A)), DUPLICATE_KEY),
        (then(Txn([], [A], [A])), None),
        (then(Txn([], [A], [DeleteRange(b"a")])), None),
        (then(then(A), DeleteRange(b"a")), DUPLICATE_KEY),
        (then(DeleteRange(b"a"), then(A)), DUPLICATE_KEY),
        (then(A, then(DeleteRange(b"a"))), DUPLICATE_KEY),
        (then(then(DeleteRange(b"a")), then(A)), DUPLICATE_KEY),
        (then(then(A), then(DeleteRange(b"a"))), DUPLICATE_KEY),
        (then(then(A, A)), DUPLICATE_KEY),
        (then(Put(b"", b"")), EMPTY_KEY),
        (then(DeleteRange(b"")), EMPTY_KEY),
        (then(Range(b"")), EMPTY_KEY),
        (Txn([], [], [Range(b"")]), EMPTY_KEY),
        (Txn([Compare(0, 0, b"")], [], []), EMPTY_KEY),
        (then(Range(b"a", sort_target=5)), INVALID_SORT_OPTION),
        (then(Range(b"a", sort_target=-1)), INVALID_SORT_OPTION),
        (then(Range(b"a", sort_order=9)), None),
        (then(Put(b"a", b"v", 0, IGNORE_VALUE)), VALUE_PROVIDED),
        (then(Put(b"a", b"", 1, IGNORE_LEASE)), LEASE_PROVIDED),
    ],
)
def test_structure(txn: Txn, expected: Error | None) -> None:
    assert check_txn(txn) == expected


def test_operators_and_targets_are_etcds() -> None:
    wrong_result = check_txn(Txn([Compare(4, 0, b"a")], [], []))
    wrong_target = check_txn(Txn([Compare(0, 5, b"a")], [], []))
    assert wrong_result is not None
    assert "compare result" in wrong_result.message
    assert wrong_target is not None
    assert "compare target" in wrong_target.message
    assert all(check_txn(Txn([Compare(r, t, b"a")], [], [])) is None for r in range(4) for t in range(5))


def test_operations_are_limited_per_level() -> None:
    """The larger of compares and branches counts; a nested level has what its parent left."""
    many: list[Op] = [Range(b"a")] * 4
    assert check_txn(Txn([], many, many), 4) is None
    assert check_txn(Txn([], [*many, Range(b"a")], []), 4) == TOO_MANY_OPS
    assert check_txn(Txn([Compare(0, 0, b"a")] * 5, [], []), 4) == TOO_MANY_OPS
    inner = Txn([], [Range(b"a")] * 3, [])
    assert check_txn(then(inner), 4) is None
    assert check_txn(then(inner, Range(b"a")), 4) == TOO_MANY_OPS


def test_nesting_is_bounded() -> None:
    def nest(depth: int) -> Txn:
        return Txn([], [nest(depth - 1)] if depth > 1 else [], [])

    assert check_txn(nest(NESTING_MAX), 1_000) is None
    error = check_txn(nest(NESTING_MAX + 1), 1_000)
    assert error is not None
    assert str(NESTING_MAX) in error.message


def test_put_alone() -> None:
    assert check_put(Put(b"a", b"")) is None
    assert check_put(Put(b"", b"")) == EMPTY_KEY
    assert check_put(Put(b"a", b"v", 0, IGNORE_VALUE)) == VALUE_PROVIDED
    assert check_put(Put(b"a", b"", 2, IGNORE_LEASE)) == LEASE_PROVIDED
    assert check_put(Put(b"a", b"", 0, IGNORE_VALUE | IGNORE_LEASE)) is None


def test_puts_are_found_in_any_branch() -> None:
    assert not puts_anything(then(DeleteRange(b"a"), Range(b"a"), then(Range(b"a"))))
    assert puts_anything(Txn([], [], [A]))
    assert puts_anything(then(Txn([], [], [then(A)])))
