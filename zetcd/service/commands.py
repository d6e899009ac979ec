"""From a request of the public API to the log command or the store query it means, or to etcd's error.

Pure functions, one per request type, in etcd's own order of checks (`server/etcdserver/api/v3rpc/{key,lease}.go`
behaviour): the first complaint is the one the client reads.
"""

from typing import Any

from zetcd.base import errors, limits
from zetcd.base.errors import Error
from zetcd.cluster.membership import ChangeKind, added_member_id, complaint_of
from zetcd.mvcc.txn import check_put, check_txn
from zetcd.wire import client as api
from zetcd.wire.entry import (
    IGNORE_LEASE,
    IGNORE_VALUE,
    PREV_KV,
    Alarm,
    Compare,
    CompareTarget,
    DeleteRange,
    LeaseGrant,
    MemberChange,
    NoOp,
    Op,
    Put,
    Range,
    SortTarget,
    Txn,
)

SORT_ORDERS = frozenset({0, 1, 2})
SORT_TARGETS = frozenset(SortTarget)


def put(request: api.PutRequest) -> Put | Error:
    """KV.Put."""
    command = _put(request)
    return check_put(command) or command


def _put(request: api.PutRequest | api.PutOp) -> Put:
    flags = PREV_KV if request.prev_kv else 0
    if request.ignore_value:
        flags |= IGNORE_VALUE
    if request.ignore_lease:
        flags |= IGNORE_LEASE
    return Put(request.key, request.value, request.lease, flags)


def range_(request: api.RangeRequest) -> Range | Error:
    """KV.Range; unknown sort options are refused as etcd 3.6 does (older ones ignore or crash)."""
    if not request.key:
        return errors.EMPTY_KEY
    if request.sort_order not in SORT_ORDERS or request.sort_target not in SORT_TARGETS:
        return errors.INVALID_SORT_OPTION
    return _range(request)


def _range(request: api.RangeRequest | api.RangeOp) -> Range:
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


def delete_range(request: api.DeleteRangeRequest) -> DeleteRange | Error:
    """KV.DeleteRange."""
    return _delete_range(request) if request.key else errors.EMPTY_KEY


def _delete_range(request: api.DeleteRangeRequest | api.DeleteRangeOp) -> DeleteRange:
    return DeleteRange(request.key, request.range_end, PREV_KV if request.prev_kv else 0)


def txn(request: api.TxnRequest, max_ops: int) -> Txn | Error:
    """KV.Txn; what is wrong with it is `check_txn`'s to say, on both branches and all levels."""
    command = _txn(request)
    return check_txn(command, max_ops) or command


def serializable(request: api.TxnRequest) -> bool:
    """Whether each operation is a serializable range, so that any member may answer; etcd calls none at all such."""
    ops = (*request.success, *request.failure)
    return all(op.request_range is not None and op.request_range.serializable for op in ops)


EMPTY_OPERATION: Any = NoOp()
"""A request that holds none of the four; `check_txn` refuses it where it stands, so it never gets into the log."""


def _txn(request: api.TxnRequest | api.TxnOp) -> Txn:
    branches: tuple[list[Op], list[Op]] = ([], [])
    for branch, items in zip(branches, (request.success, request.failure), strict=True):
        for item in items:
            if item.request_put is not None:
                branch.append(_put(item.request_put))
            elif item.request_range is not None:
                branch.append(_range(item.request_range))
            elif item.request_delete_range is not None:
                branch.append(_delete_range(item.request_delete_range))
            elif item.request_txn is not None:
                branch.append(_txn(item.request_txn))  # the decoder has bounded the depth
            else:
                branch.append(EMPTY_OPERATION)
    return Txn([_compare(compare) for compare in request.compare], *branches)


def _compare(compare: api.CompareMap) -> Compare:
    number, value = 0, b""
    if compare.target == CompareTarget.VERSION:
        number = compare.version
    elif compare.target == CompareTarget.CREATE:
        number = compare.create_revision
    elif compare.target == CompareTarget.MOD:
        number = compare.mod_revision
    elif compare.target == CompareTarget.LEASE:
        number = compare.lease
    else:
        value = compare.value
    return Compare(compare.result, compare.target, compare.key, number, value, compare.range_end)


def lease_grant(request: api.LeaseGrantRequest, fresh_id: int, min_ttl: int) -> LeaseGrant | Error:
    """Lease.LeaseGrant; fresh_id is used where the client gave none."""
    if request.TTL > limits.LEASE_TTL_MAX_S:
        return errors.LEASE_TTL_TOO_LARGE
    return LeaseGrant(request.ID or fresh_id, max(request.TTL, min_ttl))


def alarm(request: api.AlarmRequest) -> Alarm | Error:
    """Maintenance.Alarm, the two actions that change something."""
    if request.alarm not in (0, 1, 2) or request.action not in (0, 1, 2):
        return errors.invalid("alarm is NONE, NOSPACE or CORRUPT; action is GET, ACTIVATE or DEACTIVATE")
    return Alarm(request.action, request.memberID, request.alarm)


def member_add(request: api.MemberAddRequest, salt: int, learners_max: int) -> MemberChange | Error:
    """Cluster.MemberAdd; salt makes the id one that has never been."""
    urls = [url.strip() for url in request.peerURLs]
    if complaint_of(urls):
        return errors.BAD_MEMBER_URLS
    kind = ChangeKind.ADD_LEARNER if request.isLearner else ChangeKind.ADD
    return MemberChange(kind, added_member_id(urls, salt), "", sorted(urls), learners_max=learners_max)


def member_update(request: api.MemberUpdateRequest) -> MemberChange | Error:
    """Cluster.MemberUpdate."""
    urls = [url.strip() for url in request.peerURLs]
    return errors.BAD_MEMBER_URLS if complaint_of(urls) else MemberChange(ChangeKind.UPDATE, request.ID, "", urls)


DOWNGRADE_ACTIONS = frozenset({0, 1, 2})
CANCEL_DOWNGRADE = 2


def downgrade(request: api.DowngradeRequest) -> Error:
    """Maintenance.Downgrade: zetcd has one storage version, so no target is right and none is ever under way."""
    if request.action not in DOWNGRADE_ACTIONS:
        return errors.invalid("action is VALIDATE, ENABLE or CANCEL")
    if request.action == CANCEL_DOWNGRADE:
        return errors.NO_DOWNGRADE
    parts = request.version.removeprefix("v").split(".")
    if len(parts) not in (2, 3) or not all(part.isascii() and part.isdigit() for part in parts):
        return errors.BAD_DOWNGRADE_VERSION
    return errors.BAD_DOWNGRADE_TARGET
