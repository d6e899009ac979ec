"""The store as plain dicts of versions: what the machine is compared with.

Written from the semantics, not from the machine: every revision keeps a copy of the whole state, and nothing is ever
optimised. Results are the messages that the machine answers with.
"""

from dataclasses import dataclass, field

from zetcd.base import errors
from zetcd.base.errors import Error
from zetcd.mvcc.keys import pack_header
from zetcd.wire.entry import (
    IGNORE_LEASE,
    IGNORE_VALUE,
    PREV_KV,
    Command,
    Compact,
    Compare,
    DeleteRange,
    LeaseCheckpoint,
    LeaseGrant,
    LeaseRevoke,
    Put,
    Range,
    Txn,
)
from zetcd.wire.local import Event
from zetcd.wire.results import DeleteDone, Done, Failed, LeaseGranted, PutDone, RangeDone, Result, Row, TxnDone


@dataclass(frozen=True)
class Version:
    create: int
    mod: int
    version: int
    lease: int
    sub: int
    value: bytes

    @property
    def row(self) -> bytes:
        return pack_header(self.create, self.mod, self.version, self.lease, self.sub) + self.value


State = dict[bytes, Version]


class Abort(Exception):
    def __init__(self, error: Error) -> None:
        self.error = error


@dataclass
class Model:
    revision: int = 1
    compacted: int = -1
    index: int = 0
    states: dict[int, State] = field(default_factory=lambda: {1: {}})
    events: list[Event] = field(default_factory=list)
    leases: dict[int, tuple[int, int, int]] = field(default_factory=dict)  # id -> ttl, grant index, remaining
    work: State = field(default_factory=dict)
    subs: int = 0

    def failed(self, error: Error) -> Failed:
        return Failed(error.code, error.message, self.revision)

    # -- commands ----------------------------------------------------------------------------------------------------
    def execute(self, command: Command, term: int) -> Result:
        self.index += 1
        self.work = dict(self.states[self.revision])
        self.subs = 0
        try:
            result = self._execute(command, term)
        except Abort as abort:
            return self.failed(abort.error)
        if self.subs:
            self.revision += 1
            self.states[self.revision] = self.work
        return result

    def _execute(self, command: Command, term: int) -> Result:
        if isinstance(command, Put):
            if command.lease and command.lease not in self.leases:
                raise Abort(errors.LEASE_NOT_FOUND)
            if command.flags & (IGNORE_LEASE | IGNORE_VALUE) and command.key not in self.work:
                raise Abort(errors.KEY_NOT_FOUND)
            return self._put(command)
        if isinstance(command, DeleteRange):
            return self._delete(command)
        if isinstance(command, Txn):
            return self._txn(command)
        if isinstance(command, Compact):
            if command.revision <= self.compacted:
                raise Abort(errors.COMPACTED)
            if command.revision > self.revision:
                raise Abort(errors.FUTURE_REVISION)
            self.compacted = command.revision
            return Done(self.revision)
        if isinstance(command, LeaseGrant):
            if command.id in self.leases:
                raise Abort(errors.LEASE_EXISTS)
            self.leases[command.id] = command.ttl, self.index, 0
            return LeaseGranted(self.revision, command.id, command.ttl)
        if isinstance(command, LeaseRevoke):
            return self._revoke(command, term)
        assert isinstance(command, LeaseCheckpoint)
        for lease, remaining in command.leases:
            if lease in self.leases:
                self.leases[lease] = *self.leases[lease][:2], remaining
        return Done(self.revision)

    @property
    def now(self) -> int:
        return self.revision + 1 if self.subs else self.revision

    def _change(self, key: bytes, version: Version | None) -> None:
        former = self.work.get(key)
        row = None if version is None else version.row
        prev = None if former is None else former.row
        self.events.append(Event(self.revision + 1, self.subs, key, row, prev))
        if version is None:
            del self.work[key]
        else:
            self.work[key] = version
        self.subs += 1

    def _put(self, put: Put) -> PutDone:
        former = self.work.get(put.key)
        value, lease = put.value, put.lease
        if put.flags & IGNORE_VALUE:
            assert former is not None
            value = former.value
        if put.flags & IGNORE_LEASE:
            assert former is not None
            lease = former.lease
        revision = self.revision + 1
        create, count = (former.create, former.version + 1) if former else (revision, 1)
        self._change(put.key, Version(create, revision, count, lease, self.subs, value))
        return PutDone(self.now, former.row if former and put.flags & PREV_KV else None)

    def _delete(self, delete: DeleteRange) -> DeleteDone:
        keys = select(self.work, delete.key, delete.range_end)
        former: list[Row] = [(key, self.work[key].row) for key in keys]
        for key in keys:
            self._change(key, None)
        return DeleteDone(self.now, len(keys), former if delete.flags & PREV_KV else [])

    def _revoke(self, revoke: LeaseRevoke, term: int) -> Result:
        found = self.leases.get(revoke.id)
        if revoke.term and (found is None or revoke.term != term or revoke.grant_index != found[1]):
            return Done(self.revision)
        if found is None:
            raise Abort(errors.LEASE_NOT_FOUND)
        for key in sorted(key for key, version in self.work.items() if version.lease == revoke.id):
            self._change(key, None)
        del self.leases[revoke.id]
        return Done(self.now)

    # -- transactions ------------------------------------------------------------------------------------------------
    def _txn(self, txn: Txn) -> TxnDone:
        taken: dict[int, bool] = {}
        self._decide(txn, taken)
        ops = self._flatten(txn, taken)
        for op in ops:
            if isinstance(op, Put):
                if op.flags & (IGNORE_LEASE | IGNORE_VALUE) and op.key not in self.work:
                    raise Abort(errors.KEY_NOT_FOUND)
                if op.lease and op.lease not in self.leases:
                    raise Abort(errors.LEASE_NOT_FOUND)
        for op in ops:
            if isinstance(op, Range):
                if op.revision < min(0, self.compacted):
                    raise Abort(errors.COMPACTED)  # etcd, in transactions only, once anything is compacted
                self._check_range(op)
        puts = [op.key for op in ops if isinstance(op, Put)]
        deleted = [select(puts, op.key, op.range_end) for op in ops if isinstance(op, DeleteRange)]
        if len(set(puts)) < len(puts) or any(deleted):
            raise Abort(errors.DUPLICATE_KEY)
        done = self._run(txn, taken)
        return TxnDone(self.now, done.succeeded, done.results)

    def _decide(self, txn: Txn, taken: dict[int, bool]) -> None:
        taken[id(txn)] = all(self._holds(compare) for compare in txn.compare)
        for op in txn.success if taken[id(txn)] else txn.failure:
            if isinstance(op, Txn):
                self._decide(op, taken)

    def _flatten(self, txn: Txn, taken: dict[int, bool]) -> list[Put | DeleteRange | Range]:
        flat: list[Put | DeleteRange | Range] = []
        for op in txn.success if taken[id(txn)] else txn.failure:
            if isinstance(op, Txn):
                flat += self._flatten(op, taken)
            else:
                flat.append(op)
        return flat

    def _run(self, txn: Txn, taken: dict[int, bool]) -> TxnDone:
        results: list[PutDone | RangeDone | DeleteDone | TxnDone] = []
        for op in txn.success if taken[id(txn)] else txn.failure:
            if isinstance(op, Put):
                results.append(self._put(op))
            elif isinstance(op, DeleteRange):
                results.append(self._delete(op))
            elif isinstance(op, Range):
                results.append(self._range(op, self.work))
            else:
                results.append(self._run(op, taken))
        return TxnDone(self.now, taken[id(txn)], results)

    def _holds(self, compare: Compare) -> bool:
        keys = select(self.work, compare.key, compare.range_end)
        if not keys:
            return compare.target != 3 and _compare(compare.result, 0, compare.number)
        for key in keys:
            version = self.work[key]
            if compare.target == 3:
                held = _compare(compare.result, version.value, compare.value)
            else:
                number = {0: version.version, 1: version.create, 2: version.mod, 4: version.lease}[compare.target]
                held = _compare(compare.result, number, compare.number)
            if not held:
                return False
        return True

    # -- reads -------------------------------------------------------------------------------------------------------
    def _check_range(self, query: Range) -> None:
        if query.sort_target not in range(5):
            raise Abort(errors.INVALID_SORT_OPTION)
        if query.revision > self.revision:
            raise Abort(errors.FUTURE_REVISION)
        if 0 < query.revision < self.compacted:
            raise Abort(errors.COMPACTED)

    def read(self, query: Range) -> Result:
        self.work, self.subs = self.states[self.revision], 0
        try:
            self._check_range(query)
        except Abort as abort:
            return self.failed(abort.error)
        return self._range(query, self.work)

    def _range(self, query: Range, state: State) -> RangeDone:
        if query.revision > 0:
            state = self.states[query.revision]
        keys = select(state, query.key, query.range_end)
        count = len(keys)
        if query.count_only:
            return RangeDone(self.now, [], more=False, count=count)
        found = [(key, state[key]) for key in keys]
        if query.min_mod_revision:
            found = [item for item in found if item[1].mod >= query.min_mod_revision]
        if query.max_mod_revision:
            found = [item for item in found if item[1].mod <= query.max_mod_revision]
        if query.min_create_revision:
            found = [item for item in found if item[1].create >= query.min_create_revision]
        if query.max_create_revision:
            found = [item for item in found if item[1].create <= query.max_create_revision]
        target = {
            0: lambda item: item[0],
            1: lambda item: item[1].version,
            2: lambda item: item[1].create,
            3: lambda item: item[1].mod,
            4: lambda item: item[1].value,
        }[query.sort_target]
        found.sort(key=target, reverse=query.sort_order == 2)
        more = 0 < query.limit < len(found)
        if query.limit > 0:
            found = found[: query.limit]
        rows = [(key, version.row[:36] if query.keys_only else version.row) for key, version in found]
        return RangeDone(self.now, rows, more=more, count=count)

    def history(self, first: int, last: int, ranges: list[tuple[bytes, bytes]], *, prev: bool) -> list[Event]:
        found = []
        for event in self.events:
            if first <= event.revision <= last and any(select([event.key], *bounds) for bounds in ranges):
                keep = prev and event.revision > self.compacted
                found.append(Event(event.revision, event.sub, event.key, event.row, event.prev if keep else None))
        return found


def select(keys: "State | list[bytes]", key: bytes, range_end: bytes) -> list[bytes]:
    """etcd's range_end rules, by looking at every key."""
    if not range_end:
        return [found for found in sorted(keys) if found == key]
    if range_end == b"\x00":
        return [found for found in sorted(keys) if found >= key]
    return [found for found in sorted(keys) if key <= found < range_end]


def _compare(result: int, one: bytes | int, other: bytes | int) -> bool:
    assert type(one) is type(other)
    if result == 0:
        return one == other
    if result == 3:
        return one != other
    greater = one > other  # type: ignore[operator]
    return greater if result == 1 else not greater and one != other
