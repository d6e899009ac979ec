"""Transactions: etcd's KV.Txn (semantics 1.2), checked before they are proposed and once more before they write.

- Compares are ANDed; none is true. A numeric target of a missing key compares as 0, VALUE of a missing key is false
  whatever the operator. A range compare must hold for every key in the range; an empty range is a missing key.
- All compares, those of nested transactions included, see the state before the transaction; so do the checks of puts
  and ranges in the branches taken. A failing check aborts the transaction before its first write.
- Operations run in order, each sees what the earlier ones wrote, all in one revision.
- A key is put at most once, and no put meets a delete, in anything that can run together. Overlapping deletes are fine.
  etcd forgets one order of that rule (a put in one nested transaction, then a delete of its key in the next one); here
  it holds in both orders, because a key changes at most once per revision.
"""

from collections.abc import Callable, Iterator, Sequence
from operator import eq, gt, lt, ne
from typing import Any

from zetcd.base import limits
from zetcd.base.errors import (
    COMPACTED,
    DUPLICATE_KEY,
    EMPTY_KEY,
    INVALID_SORT_OPTION,
    KEY_NOT_FOUND,
    LEASE_NOT_FOUND,
    LEASE_PROVIDED,
    TOO_MANY_OPS,
    VALUE_PROVIDED,
    Error,
    invalid,
)
from zetcd.mvcc.keys import interval, unpack_header, value_of
from zetcd.mvcc.reads import check_range
from zetcd.mvcc.store import Store
from zetcd.wire.entry import (
    IGNORE_LEASE,
    IGNORE_VALUE,
    Compare,
    CompareResult,
    CompareTarget,
    DeleteRange,
    NoOp,
    Op,
    Put,
    Range,
    SortTarget,
    Txn,
)

_OPERATORS: dict[int, Callable[[Any, Any], Any]] = {
    CompareResult.EQUAL: eq,
    CompareResult.GREATER: gt,
    CompareResult.LESS: lt,
    CompareResult.NOT_EQUAL: ne,
}
_NUMBERS: dict[int, int] = {
    CompareTarget.CREATE: 0,
    CompareTarget.MOD: 1,
    CompareTarget.VERSION: 2,
    CompareTarget.LEASE: 3,
}
"""Where a numeric target stands in the header."""

_NESTING = invalid(f"transactions nest deeper than {limits.NESTING_MAX}")
_COMPARE_RESULT = invalid("compare result is EQUAL, GREATER, LESS or NOT_EQUAL")
_COMPARE_TARGET = invalid("compare target is VERSION, CREATE, MOD, VALUE or LEASE")

Interval = tuple[bytes, bytes | None]


# -- structure: what can be said without a store -------------------------------------------------------------------
def check_put(put: Put) -> Error | None:
    """What is wrong with put as a request."""
    if not put.key:
        return EMPTY_KEY
    if put.flags & IGNORE_VALUE and put.value:
        return VALUE_PROVIDED
    if put.flags & IGNORE_LEASE and put.lease:
        return LEASE_PROVIDED
    return None


def check_txn(txn: Txn, max_ops: int = limits.TXN_OPS_DEFAULT) -> Error | None:
    """What is wrong with txn as a request; both branches count, taken or not. max_ops: --max-txn-ops. An operation that
    is none stands in it as NoOp; etcd calls it "key not found"."""
    return _check_operations(txn, max_ops, 1) or _check_branches(txn)


def _check_operations(txn: Txn, budget: int, depth: int) -> Error | None:
    if depth > limits.NESTING_MAX:
        return _NESTING
    most = max(len(txn.compare), len(txn.success), len(txn.failure))
    if most > budget:
        return TOO_MANY_OPS
    for compare in txn.compare:
        if not compare.key:
            return EMPTY_KEY
        if compare.result not in _OPERATORS:
            return _COMPARE_RESULT
        if compare.target not in _NUMBERS and compare.target != CompareTarget.VALUE:
            return _COMPARE_TARGET
    for op in (*txn.success, *txn.failure):
        error = _check_operations(op, budget - most, depth + 1) if isinstance(op, Txn) else _check_operation(op)
        if error is not None:
            return error
    return None


def _check_operation(op: Put | DeleteRange | Range | NoOp) -> Error | None:
    if isinstance(op, Put):
        return check_put(op)
    if isinstance(op, NoOp):
        return KEY_NOT_FOUND
    if not op.key:
        return EMPTY_KEY
    if isinstance(op, Range) and not SortTarget.KEY <= op.sort_target <= SortTarget.VALUE:
        return INVALID_SORT_OPTION
    return None


class _Writes:
    """Keys put and intervals deleted by operations that can run together, or, by `join`, by either of two branches."""

    __slots__ = ("deletes", "puts")

    def __init__(self) -> None:
        self.puts: dict[bytes, None] = {}
        self.deletes: list[Interval] = []

    def join(self, other: "_Writes") -> None:
        self.puts.update(other.puts)
        self.deletes += other.deletes

    def meets(self, other: "_Writes") -> bool:
        """Whether running both could change a key twice."""
        few, many = (self.puts, other.puts) if len(self.puts) < len(other.puts) else (other.puts, self.puts)
        return any(key in many for key in few) or _covers(self.deletes, other.puts) or _covers(other.deletes, self.puts)


def _covers(deletes: Sequence[Interval], puts: dict[bytes, None]) -> bool:
    return any(start <= key and (stop is None or key < stop) for start, stop in deletes for key in puts)


def _check_branches(txn: Txn) -> Error | None:
    return DUPLICATE_KEY if _writes(txn.success) is None or _writes(txn.failure) is None else None


def _writes(ops: Sequence[Op]) -> _Writes | None:
    """What the branch may write, None where it may change a key twice."""
    total = _Writes()
    for op in ops:
        part = _Writes()
        if isinstance(op, Put):
            part.puts[op.key] = None
        elif isinstance(op, DeleteRange):
            part.deletes.append(interval(op.key, op.range_end))
        elif isinstance(op, Txn):
            success, failure = _writes(op.success), _writes(op.failure)
            if success is None or failure is None:
                return None
            part = success
            part.join(failure)  # only one of the two runs, so they may well meet
        if total.meets(part):
            return None
        total.join(part)
    return total


def puts_anything(txn: Txn) -> bool:
    """Whether any branch, taken or not, holds a put: such a transaction needs space."""
    return any(
        isinstance(op, Put) or (isinstance(op, Txn) and puts_anything(op)) for op in (*txn.success, *txn.failure)
    )


def reads_only(txn: Txn) -> bool:
    """Whether neither branch holds anything but ranges: etcd serves such a transaction without the log, and does not
    count nested ones among them."""
    return all(type(op) is Range for op in (*txn.success, *txn.failure))


# -- execution: what the store decides -----------------------------------------------------------------------------
class Branch:
    """The branch that a transaction takes: its operations, and for nested transactions theirs."""

    __slots__ = ("nested", "ops", "succeeded")

    def __init__(self, ops: Sequence[Op], *, succeeded: bool) -> None:
        self.succeeded = succeeded
        self.ops = ops
        self.nested: list[Branch] = []  # one for each nested transaction among ops, in order

    def walk(self) -> Iterator[Put | DeleteRange | Range]:
        """All operations that will run, in their order."""
        nested = iter(self.nested)
        for op in self.ops:
            if isinstance(op, Txn):
                yield from next(nested).walk()
            else:
                yield op


def choose(store: Store, txn: Txn) -> Branch:
    """Evaluate all compares, nested ones too, on the state as it is."""
    succeeded = all(holds(store, compare) for compare in txn.compare)
    branch = Branch(txn.success if succeeded else txn.failure, succeeded=succeeded)
    branch.nested = [choose(store, op) for op in branch.ops if isinstance(op, Txn)]
    return branch


def check_branch(store: Store, branch: Branch, has_lease: Callable[[int], bool]) -> Error | None:
    """What forbids to run branch in the current state; nothing has been written yet."""
    ops = list(branch.walk())
    puts = [op for op in ops if isinstance(op, Put)]
    for put in puts:
        if put.flags & (IGNORE_VALUE | IGNORE_LEASE) and store.current.get(put.key) is None:
            return KEY_NOT_FOUND
        if put.lease and not has_lease(put.lease):
            return LEASE_NOT_FOUND
    for op in ops:
        if isinstance(op, Range):
            if op.revision < min(0, store.compact_revision):
                return COMPACTED  # etcd, in transactions only: any other range below 0 is of the latest revision
            error = check_range(op, store.revision, store.compact_revision)
            if error is not None:
                return error
    return _check_once(ops, puts)


def _check_once(ops: list[Put | DeleteRange | Range], puts: list[Put]) -> Error | None:
    """The rule of the store, whoever let the transaction pass: a key changes at most once per revision."""
    if len(puts) == len(ops) == 1:
        return None
    keys = {put.key: None for put in puts}
    deletes = [interval(op.key, op.range_end) for op in ops if isinstance(op, DeleteRange)]
    return DUPLICATE_KEY if len(keys) < len(puts) or _covers(deletes, keys) else None


def holds(store: Store, compare: Compare) -> bool:
    """Whether compare holds in the current state."""
    if not compare.range_end:
        return _holds(compare, store.current.get(compare.key))
    scan = store.current.scan(*interval(compare.key, compare.range_end))
    empty, held = True, True
    while held and not scan.done:
        pairs = scan.take(100)
        empty = empty and not pairs
        held = all(_holds(compare, row) for _, row in pairs)
        store.alive()
    scan.close()
    return _holds(compare, None) if empty else held


def _holds(compare: Compare, row: bytes | None) -> bool:
    operator = _OPERATORS[compare.result]
    if compare.target == CompareTarget.VALUE:
        return row is not None and bool(operator(value_of(row), compare.value))
    number = 0 if row is None else unpack_header(row)[_NUMBERS[compare.target]]
    return bool(operator(number, compare.number))
