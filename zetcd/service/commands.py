"""From a request of the public API to the log command or the store query it means, or to etcd's error.

Pure functions, one per request type, in etcd's own order of checks (`server/etcdserver/api/v3rpc/{key,lease}.go`
behaviour): the first complaint is the one the client reads.
"""

from zetcd.base import errors, limits
from zetcd.base.errors import Error
from zetcd.state.machine import check_txn
from zetcd.wire import client as api
from zetcd.wire.entry import (
    IGNORE_LEASE,
    IGNORE_VALUE,
    PREV_KV,
    Alarm,
    Compact,
    Compare,
    CompareTarget,
    DeleteRange,
    LeaseGrant,
    LeaseRevoke,
    Op,
    Put,
    Range,
    SortTarget,
    Txn,
)

SORT_ORDERS = frozenset({0, 1, 2})
SORT_TARGETS = frozenset(SortTarget)


def put(request: api.PutRequest | api.PutOp) -> Put | Error:
    """KV.Put."""
    if not request.key:
        return errors.EMPTY_KEY
    flags = PREV_KV if request.prev_kv else 0
    if request.ignore_value:
        if request.value:
            return errors.VALUE_PROVIDED
        flags |= IGNORE_VALUE
    if request.ignore_lease:
        if request.lease:
            return errors.LEASE_PROVIDED
        flags |= IGNORE_LEASE
    return Put(request.key, request.value, request.lease, flags)


def range_(request: api.RangeRequest | api.RangeOp) -> Range | Error:
    """KV.Range; unknown sort options are refused as etcd 3.6 does (older ones ignore or crash)."""
    if not request.key:
        return errors.EMPTY_KEY
    if request.sort_order not in SORT_ORDERS or request.sort_target not in SORT_TARGETS:
        return errors.INVALID_SORT_OPTION
    return Range(
        request.key,
        request.range_end,
        request.limit,
        request.revision,
        request.sort_order,
        request.sort_target,
        request.keys_only,
        request.count_only,
        request.min_mod_revision,
        request.max_mod_revision,
        request.min_create_revision,
        request.max_create_revision,
    )


def delete_range(request: api.DeleteRangeRequest | api.DeleteRangeOp) -> DeleteRange | Error:
    """KV.DeleteRange."""
    if not request.key:
        return errors.EMPTY_KEY
    return DeleteRange(request.key, request.range_end, PREV_KV if request.prev_kv else 0)


def txn(request: api.TxnRequest, max_ops: int) -> Txn | Error:
    """KV.Txn: operation counts, keys, duplicate puts, on both branches and all levels."""
    built = _txn(request, 0)
    if isinstance(built, Error):
        return built
    return check_txn(built, max_ops) or built


def _txn(request: api.TxnRequest | api.TxnOp, depth: int) -> Txn | Error:
    if depth > limits.NESTING_MAX:
        return errors.invalid(f"transactions nest deeper than {limits.NESTING_MAX}")
    compares: list[Compare] = []
    for compare in request.compare:
        built = _compare(compare)
        if isinstance(built, Error):
            return built
        compares.append(built)
    branches: list[list[Op]] = []
    for requests in (request.success, request.failure):
        branch: list[Op] = []
        for item in requests:
            op = _op(item, depth)
            if isinstance(op, Error):
                return op
            branch.append(op)
        branches.append(branch)
    return Txn(compares, branches[0], branches[1])


def _op(item: api.RequestOp, depth: int) -> Op | Error:
    if item.request_put is not None:
        return put(item.request_put)
    if item.request_range is not None:
        return range_(item.request_range)
    if item.request_delete_range is not None:
        return delete_range(item.request_delete_range)
    if item.request_txn is not None:
        return _txn(item.request_txn, depth + 1)
    return errors.KEY_NOT_FOUND  # etcd's answer to an empty operation


def _compare(compare: api.CompareMap) -> Compare | Error:
    if not compare.key:
        return errors.EMPTY_KEY
    if compare.result not in (0, 1, 2, 3):
        return errors.invalid(f"compare.result is 0 to 3 or EQUAL, GREATER, LESS, NOT_EQUAL, not {compare.result}")
    match compare.target:
        case CompareTarget.VERSION:
            number = compare.version
        case CompareTarget.CREATE:
            number = compare.create_revision
        case CompareTarget.MOD:
            number = compare.mod_revision
        case CompareTarget.LEASE:
            number = compare.lease
        case CompareTarget.VALUE:
            return Compare(compare.result, compare.target, compare.key, 0, compare.value, compare.range_end)
        case _:
            return errors.invalid(
                f"compare.target is 0 to 4 or VERSION, CREATE, MOD, VALUE, LEASE, not {compare.target}"
            )
    return Compare(compare.result, compare.target, compare.key, number, b"", compare.range_end)


def compact(request: api.CompactRequest) -> Compact | Error:
    """KV.Compact."""
    return Compact(request.revision, request.physical)


def lease_grant(request: api.LeaseGrantRequest, fresh_id: int, min_ttl: int) -> LeaseGrant | Error:
    """Lease.LeaseGrant; fresh_id is used where the client gave none."""
    if request.TTL > limits.LEASE_TTL_MAX_S:
        return errors.LEASE_TTL_TOO_LARGE
    return LeaseGrant(request.ID or fresh_id, max(request.TTL, min_ttl))


def lease_revoke(request: api.LeaseRevokeRequest) -> LeaseRevoke | Error:
    """Lease.LeaseRevoke."""
    return LeaseRevoke(request.ID)


def alarm(request: api.AlarmRequest) -> Alarm | Error:
    """Maintenance.Alarm, the two actions that change something."""
    if request.alarm not in (0, 1, 2) or request.action not in (0, 1, 2):
        return errors.invalid("alarm is NONE, NOSPACE or CORRUPT; action is GET, ACTIVATE or DEACTIVATE")
    return Alarm(request.action, request.memberID, request.alarm)


def writes(command: Txn) -> bool:
    """Whether either branch may put, at any depth: what the quota is held against."""
    return any(
        isinstance(op, Put) or (isinstance(op, Txn) and writes(op))
        for branch in (command.success, command.failure)
        for op in branch
    )
