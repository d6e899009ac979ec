"""Commands on the replicated state: one command, one atomic change, one result.

Every handler first decides whether the command holds and then writes, so a failing command leaves nothing behind.
Decisions use the replicated state only, never local sizes or clocks (design rule 18).
"""

from collections.abc import Callable
from typing import Any, get_args

from zetcd.base import limits
from zetcd.base.errors import CORRUPT, KEY_NOT_FOUND, LEASE_NOT_FOUND, NO_SPACE, Error
from zetcd.mvcc.compaction import check_compact
from zetcd.mvcc.cursor import finish
from zetcd.mvcc.keys import LEASE_FIELD, NO_LEASE, interval, lease_of, value_of
from zetcd.mvcc.reads import RangeCursor, open_range
from zetcd.mvcc.store import Store
from zetcd.mvcc.txn import Branch, check_branch, choose, puts_anything
from zetcd.state.leases import Leases, attached_key
from zetcd.state.members import ACTIVATE, CORRUPT_ALARM, NOSPACE, Alarms, Members
from zetcd.state.outcome import Outcome
from zetcd.state.users import Users
from zetcd.wire.entry import (
    IGNORE_LEASE,
    IGNORE_VALUE,
    PREV_KV,
    Alarm,
    AuthCommand,
    Compact,
    DeleteRange,
    LeaseCheckpoint,
    LeaseGrant,
    LeaseRevoke,
    MemberChange,
    NoOp,
    Put,
    Range,
    Txn,
)
from zetcd.wire.results import (
    Alarmed,
    DeleteDone,
    Done,
    Failed,
    LeaseGranted,
    MembersAre,
    PutDone,
    RangeDone,
    Result,
    TxnDone,
    answer_bytes,
)

Handler = Callable[[Any], Result]
SubResult = PutDone | RangeDone | DeleteDone | TxnDone


class Execution:
    """Handlers by command type. index and term are those of the entry being executed; outcome collects results.
    puts_hold: no alarm forbids a put."""

    __slots__ = (
        "_room", "alarms", "handlers", "index", "leases", "members", "outcome", "puts_hold", "store", "term", "users",
    )  # fmt: skip

    def __init__(self, store: Store, leases: Leases, members: Members, alarms: Alarms, users: Users) -> None:
        self.store = store
        self.leases = leases
        self.members = members
        self.alarms = alarms
        self.users = users
        self.index = 0
        self.term = 0
        self._room = 0  # bytes that ranges of the transaction may still answer
        self.outcome = Outcome(store.revision)
        self.handlers: dict[type, Handler] = {}
        self._choose_handlers()

    def _choose_handlers(self) -> None:
        """Alarms take handlers away, so that commands without alarms pay nothing for them (semantics 6.4)."""
        self.handlers.update(
            {
                Put: self.put,
                DeleteRange: self.delete_range,
                Txn: self.txn,
                Compact: self.compact,
                LeaseGrant: self.lease_grant,
                LeaseRevoke: self.lease_revoke,
                LeaseCheckpoint: self.lease_checkpoint,
                Alarm: self.alarm,
                NoOp: self.noop,
                MemberChange: self.member_change,
                **dict.fromkeys(get_args(AuthCommand), self.auth),
            }
        )
        self.puts_hold = not (self.alarms.has(NOSPACE) or self.alarms.has(CORRUPT_ALARM))
        if self.alarms.has(NOSPACE):
            self.handlers.update({Put: self._no_space, Txn: self._txn_without_space, LeaseGrant: self._no_space})
        if self.alarms.has(CORRUPT_ALARM):
            self.handlers.update(
                dict.fromkeys((Put, DeleteRange, Txn, Compact, LeaseGrant, LeaseRevoke), self._corrupt)
            )

    def fail(self, error: Error) -> Failed:
        """The error as a result."""
        return Failed(error.code, error.message, self.store.revision)

    def _no_space(self, _command: Put | LeaseGrant) -> Result:
        return self.fail(NO_SPACE)

    def _txn_without_space(self, txn: Txn) -> Result:
        return self.fail(NO_SPACE) if puts_anything(txn) else self.txn(txn)

    def _corrupt(self, _command: object) -> Result:
        return self.fail(CORRUPT)

    # -- keys ------------------------------------------------------------------------------------------------------
    def put(self, put: Put) -> Result:
        """etcd KV.Put."""
        lease = put.lease
        if lease and not self.leases.has(lease):
            return self.fail(LEASE_NOT_FOUND)
        if put.flags & (IGNORE_VALUE | IGNORE_LEASE) and self.store.current.get(put.key) is None:
            return self.fail(KEY_NOT_FOUND)
        former = self.write(put)
        return PutDone(self.store.commit(), former if put.flags & PREV_KV else None)

    def write(self, put: Put) -> bytes | None:
        """Carry out a put that holds, in the revision being made; the former row."""
        key, value, lease, flags = put.key, put.value, put.lease, put.flags
        store = self.store
        if flags & (IGNORE_VALUE | IGNORE_LEASE):
            row = store.current.get(key)
            assert row is not None, "checked before"
            value = value_of(row) if flags & IGNORE_VALUE else value
            lease = lease_of(row) if flags & IGNORE_LEASE else lease
        former = store.put(key, value, lease)
        if lease or (former is not None and former[LEASE_FIELD] != NO_LEASE):
            self.leases.move(key, former, lease)
        return former

    def delete_range(self, delete: DeleteRange) -> Result:
        """etcd KV.DeleteRange."""
        done = self._delete(delete)
        self.store.commit()
        return done

    def _delete(self, delete: DeleteRange) -> DeleteDone:
        key, store = delete.key, self.store
        if delete.range_end:
            former = store.delete_range(*interval(key, delete.range_end))
        else:
            row = store.delete(key)
            former = [] if row is None else [(key, row)]
        for deleted, row in former:
            if row[LEASE_FIELD] != NO_LEASE:
                self.leases.move(deleted, row, 0)
        return DeleteDone(store.shown_revision, len(former), former if delete.flags & PREV_KV else [])

    def txn(self, txn: Txn) -> Result:
        """etcd KV.Txn: all compares and checks first, then the taken branch, in one revision."""
        branch = choose(self.store, txn)
        error = check_branch(self.store, branch, self.leases.has)
        if error is not None:
            return self.fail(error)
        self._room = limits.READ_RESULT_BYTES_MAX
        results = self._run(branch)
        return TxnDone(self.store.commit(), branch.succeeded, results)

    def _run(self, branch: Branch) -> list[SubResult]:
        results: list[SubResult] = []
        nested = iter(branch.nested)
        for op in branch.ops:
            if isinstance(op, Put):
                former = self.write(op)
                results.append(PutDone(self.store.shown_revision, former if op.flags & PREV_KV else None))
            elif isinstance(op, Range):
                results.append(self._range(op))
            elif isinstance(op, DeleteRange):
                results.append(self._delete(op))
            else:
                inner = next(nested)
                done = self._run(inner)
                results.append(TxnDone(self.store.shown_revision, inner.succeeded, done))
        return results

    def _range(self, query: Range) -> RangeDone:
        answer = open_range(self.store, query)
        if isinstance(answer, RangeCursor):
            answer = finish(answer, self.store.alive)
        if isinstance(answer, RangeDone) and (size := answer_bytes(answer)) <= self._room:
            self._room -= size
            return answer
        # Too much for one answer; the writes of the transaction stand, so its reply says what it can.
        return RangeDone(self.store.shown_revision, [], more=True, count=0)

    def compact(self, compact: Compact) -> Result:
        """etcd KV.Compact: the logical part; rows go later (`zetcd.mvcc.compaction`)."""
        error = check_compact(self.store, compact.revision)
        if error is not None:
            return self.fail(error)
        self.store.compact_revision = compact.revision
        self.outcome.compacted = True
        return Done(self.store.revision)

    # -- leases ----------------------------------------------------------------------------------------------------
    def lease_grant(self, grant: LeaseGrant) -> Result:
        """etcd Lease.LeaseGrant."""
        granted = self.leases.grant(grant.id, grant.ttl, self.index)
        if isinstance(granted, Error):
            return self.fail(granted)
        self.outcome.granted.append(granted)
        return LeaseGranted(self.store.revision, grant.id, grant.ttl)

    def lease_revoke(self, revoke: LeaseRevoke) -> Result:
        """etcd Lease.LeaseRevoke; from expiry only while its term and grant still stand (rule 12)."""
        store, found = self.store, self.leases.find(revoke.id)
        if revoke.term and (found is None or revoke.term != self.term or revoke.grant_index != found.grant_index):
            return Done(store.revision)
        if found is None:
            return self.fail(LEASE_NOT_FOUND)
        keys: list[bytes] = []
        scan = self.leases.keys_of(revoke.id)
        while not scan.done:
            keys += [attached_key(key) for key, _ in scan.take(1_000)]
            store.alive()
        scan.close()
        for key, former in zip(keys, store.delete_keys(keys), strict=True):
            self.leases.move(key, former, 0)
        self.leases.remove(revoke.id)
        self.outcome.revoked.append(revoke.id)
        return Done(store.commit())

    def lease_checkpoint(self, checkpoint: LeaseCheckpoint) -> Result:
        """Remaining TTLs, so that a restart or a new leader does not make every lease full again (design rule 11)."""
        for lease, remaining in checkpoint.leases:
            row = self.leases.checkpoint(lease, remaining)
            if row is not None:
                self.outcome.checkpointed.append(row)
        return Done(self.store.revision)

    # -- the cluster -----------------------------------------------------------------------------------------------
    def alarm(self, alarm: Alarm) -> Result:
        """etcd Maintenance.Alarm, actions ACTIVATE and DEACTIVATE; the alarm NONE cannot be raised."""
        told = [(alarm.member, alarm.alarm)] if alarm.alarm and alarm.action == ACTIVATE else []
        if alarm.alarm and self.alarms.change(alarm.action, alarm.member, alarm.alarm):
            told = [(alarm.member, alarm.alarm)]
            self.outcome.alarms_changed = True
            self._choose_handlers()
        return Alarmed(self.store.revision, told)

    def member_change(self, change: MemberChange) -> Result:
        """Accept or reject a membership change (rule 14)."""
        error = self.members.change(change)
        if error is not None:
            return self.fail(error)
        self.outcome.members_changed = True
        self.outcome.conf = self.members.configuration()
        return MembersAre(self.store.revision, self.members.rows())

    def auth(self, command: AuthCommand) -> Result:
        """etcd Auth: users, roles and permissions. No revision of the store comes of it."""
        self.store.alive()  # rewriting the largest record takes 2 ms, and a block may hold tens of thousands of changes
        error = self.users.change(command)
        return Done(self.store.revision) if error is None else self.fail(error)

    def noop(self, _noop: NoOp) -> Result:
        """The first entry of a term changes nothing."""
        return Done(self.store.revision)
