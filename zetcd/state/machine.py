"""The replicated state machine: committed blocks in, replies, events and flushes out.

`apply` executes a block into the overlay, or answers it and leaves the rest to `settle`; `query` reads; `freeze`,
`flushed` and `sweep` are the upkeep that the actor drives between blocks. State is a function of the log prefix alone:
the same blocks give the same rows, results and revisions on every member, wherever the block bounds fall (rule 15) and
whenever flushes and sweeps happen.

After a crash the engine holds the state as of `flushed_index`, exactly (rule 23); entries above it are
applied again from the log, entries at or below it are skipped.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

from zetcd.base import limits
from zetcd.base.errors import ROLE_NOT_FOUND, USER_NOT_FOUND, Fatal, WireError
from zetcd.mvcc.compaction import Sweeper
from zetcd.mvcc.cursor import Cursor
from zetcd.mvcc.engine import Engine, EngineScan
from zetcd.mvcc.hashing import open_hash
from zetcd.mvcc.history import KeySet, read_history
from zetcd.mvcc.keys import State, lease_id
from zetcd.mvcc.overlay import Flush, Overlay
from zetcd.mvcc.reads import open_range
from zetcd.mvcc.store import Store
from zetcd.mvcc.txn import reads_only
from zetcd.state.execution import Execution
from zetcd.state.export import Export
from zetcd.state.hashing import StoreHash
from zetcd.state.leases import Leases, attached_key
from zetcd.state.lists import ListCursor
from zetcd.state.members import Alarms, Members
from zetcd.state.outcome import Outcome
from zetcd.state.users import Users
from zetcd.wire import results
from zetcd.wire.codec import encode_events
from zetcd.wire.entry import Block, Entry, Put, Range, Txn, decode_entries
from zetcd.wire.local import ConfState, LeaseRow, MemberList, Opened
from zetcd.wire.queries import (
    AuthStatus,
    CompactWait,
    Hash,
    HashKv,
    History,
    LeaseInfo,
    LeaseList,
    Query,
    RoleInfo,
    RoleList,
    StoreStatus,
    UserInfo,
    UserList,
)
from zetcd.wire.results import (
    AuthIs,
    Done,
    Histories,
    HistoryCompacted,
    LeaseIs,
    Named,
    Permitted,
    PutDone,
    Result,
    Status,
    TxnDone,
    answer_bytes,
)

__all__ = ["Cursor", "Flush", "Machine", "Outcome"]

BUILD_ROWS = 2_000
"""Rows of a frozen overlay put into its batch in one turn (about 0.4 us each), if no more were written meanwhile."""
DRAIN_ROWS = 4_000
"""Rows of a flushed overlay freed in one turn (about 0.1 us each)."""


class Machine:
    """The store, leases, members, alarms and users of one member above one engine."""

    __slots__ = (
        "_alarms", "_building", "_dirty_since", "_execution", "_flushing", "_leases", "_members", "_overlay",
        "_promised", "_promised_bytes", "_queries", "_store", "_sweeper", "_users", "applied", "applied_term",
        "commands", "flushed_index", "flushed_term", "flushes",
    )  # fmt: skip

    def __init__(
        self, engine: Engine, alive: Callable[[], None] = lambda: None, cache_bytes: int = limits.ROW_CACHE_BYTES
    ) -> None:
        """alive: called every now and then within a long change; see `Store`. cache_bytes: for rows of the present."""
        self._overlay = overlay = Overlay(engine, cache_bytes)
        state = overlay.state()
        self.applied = self.flushed_index = state.applied
        self.applied_term = self.flushed_term = state.term
        self._store = Store(overlay, state, alive)
        self._sweeper = Sweeper(self._store, state)
        self._leases = Leases(overlay, state.leases)
        self._members = Members(overlay)
        self._alarms = Alarms(overlay)
        self._users = Users(overlay)
        self._execution = Execution(self._store, self._leases, self._members, self._alarms, self._users)
        self.flushes = 0  # completed in this life
        self._promised: list[Put] = []  # answered, to be executed by `settle`
        self._promised_bytes = 0
        self._building: Flush | None = None  # frozen, batch not yet complete
        self._flushing: Flush | None = None  # handed out, not yet flushed
        self._dirty_since: int | None = None
        self.commands: Counter[type] = Counter()  # executed in this life, by kind; those inside a transaction are its
        self._queries: dict[type, Callable[[Any], Result | Cursor]] = {
            Range: self._range,
            Txn: self._txn,
            HashKv: self._hash_kv,
            Hash: self._hash,
            LeaseInfo: self._lease_info,
            LeaseList: self._lease_list,
            StoreStatus: self._status,
            CompactWait: self._compact_wait,
            History: self._history,
            AuthStatus: self._auth_status,
            UserInfo: self._user_info,
            UserList: self._user_list,
            RoleInfo: self._role_info,
            RoleList: self._role_list,
        }

    # -- where the store stands ------------------------------------------------------------------------------------
    @property
    def revision(self) -> int:
        """The current revision; 1 in a fresh store."""
        return self._store.revision + len(self._promised)

    @property
    def compact_revision(self) -> int:
        """The logical compact revision; -1 before the first compaction."""
        return self._store.compact_revision

    @property
    def swept_revision(self) -> int:
        """Rows up to this compact revision are physically gone."""
        return self._sweeper.swept

    @property
    def swept_rows(self) -> int:
        """Former rows of keys that this life of the process has removed."""
        return self._sweeper.rows

    @property
    def event_level(self) -> int:
        """What `Outcome.events` carries: 0 nothing, 1 events, 2 events with the former rows."""
        return self._store.event_level

    @event_level.setter
    def event_level(self, level: int) -> None:
        self.settle()  # what was done before has no events
        self._store.event_level = level

    @property
    def overlay_bytes(self) -> int:
        """Memory of what is executed and not known to be synced, to be held against OVERLAY_BYTES_HARD_MAX."""
        return self._overlay.bytes + self._promised_bytes

    @property
    def db_bytes(self) -> int:
        """What the store takes: bytes on disk, and those on their way there."""
        return self._overlay.disk_bytes + self._overlay.bytes

    @property
    def auth_revision(self) -> int:
        """How often users and roles have changed, from 1 on."""
        return self._users.revision

    @property
    def configuration(self) -> ConfState | None:
        """Who votes; None while the store knows no member."""
        return self._members.configuration()

    @property
    def member_list(self) -> MemberList | None:
        """Who they are, and who was removed; None while the store knows no member."""
        rows = self._members.rows()
        return MemberList(rows, self._members.removed()) if rows else None

    def opened(self, arrived_index: int, arrived_term: int) -> Opened:
        """What raft is told at the start."""
        conf = self.configuration
        return Opened(self.applied, self.applied_term, conf, arrived_index, arrived_term, self.member_list)

    # -- the log ---------------------------------------------------------------------------------------------------
    def apply(self, block: Block) -> Outcome:
        """Execute the entries of a committed, locally durable block that have not been executed yet (design rule 3),
        or, where their answers are large, the first of them: `applied` says how far it got; come again with the rest.
        Raises Fatal where entries are missing before it or its bytes do not decode."""
        index = self.applied
        outcome = Outcome(self.revision)
        if block.last <= index:
            return outcome
        if block.first > index + 1:
            raise Fatal(f"block [{block.first}, {block.last}] after applied index {index}: entries are missing")
        try:
            entries = decode_entries(block.count, block.data)
        except WireError as error:
            raise Fatal(f"committed block [{block.first}, {block.last}] of term {block.term}: {error}") from None
        if block.first <= index:
            entries = entries[index + 1 - block.first :]
        if self._promise(entries, outcome):
            self._promised_bytes += len(block.data)
            self.applied = block.last
        else:
            self.settle()
            self.applied = self._execute(entries, block.term, outcome)
        self.applied_term = block.term
        outcome.revision = self.revision
        return outcome

    def _promise(self, entries: list[Entry], outcome: Outcome) -> bool:
        """Answer entries now, if all of them are plain puts, whose results are known: each takes the next revision.
        `settle` reads the rows that they overwrite when the answers have left: of a large keyspace that is most of the
        work, and nobody who waits needs it."""
        execution = self._execution
        if self._store.event_level or not execution.puts_hold:
            return False
        revision, puts, replies = self.revision, list[Put](), outcome.replies
        for entry in entries:
            put = entry.command
            if type(put) is not Put or put.lease or put.flags:
                replies.clear()
                return False
            puts.append(put)
            revision += 1
            if entry.origin:
                replies.append((entry.origin, entry.sequence, PutDone(revision, None)))
        self._promised += puts
        self.commands[Put] += len(puts)
        return True

    def settle(self) -> None:
        """Execute what has been answered already. Call at the end of a turn; everything that looks at the store or
        changes it does it first. A process that ends before finds them in the log, like all that is not flushed."""
        if self._promised:
            promised, self._promised, self._promised_bytes = self._promised, [], 0
            for key, row in self._store.put_all(promised):
                self._leases.move(key, row, 0)
            self._overlay.keep_ordered()

    def _execute(self, entries: list[Entry], term: int, outcome: Outcome) -> int:
        """The index that it got to."""
        store, execution, index, before, large = self._store, self._execution, self.applied, self.applied, 0
        execution.outcome, execution.term = outcome, term
        if store.event_level:
            store.events = outcome.events
        handlers, replies = execution.handlers, outcome.replies
        for entry in entries:
            index += 1
            execution.index = index
            command = entry.command
            result = handlers[type(command)](command)
            if entry.origin:
                replies.append((entry.origin, entry.sequence, result))
                if type(result) is TxnDone:
                    large += answer_bytes(result)
                    if large > limits.READ_TURN_BYTES:
                        break
        self._overlay.keep_ordered()
        self.commands.update([type(entry.command) for entry in entries[: index - before]])
        return index

    # -- reads -----------------------------------------------------------------------------------------------------
    def query(self, query: Query) -> Result | Cursor:
        """The answer, if one slice of work gives it; otherwise a cursor, pinned on the state as it is now."""
        self.settle()
        answer = self._queries[type(query)](query)
        if isinstance(answer, Cursor):
            result = answer.step()
            if result is not None:
                return result
            answer.pin()
        return answer

    def _range(self, query: Range) -> Result | Cursor:
        return open_range(self._store, query)

    def _txn(self, txn: Txn) -> Result:
        """Of ranges alone: it changes nothing, and no alarm forbids it."""
        assert reads_only(txn)
        return self._execution.txn(txn)

    def _hash_kv(self, query: HashKv) -> Result | Cursor:
        return open_hash(self._store, query)

    def _hash(self, _query: Hash) -> Result | Cursor:
        history = open_hash(self._store, HashKv())
        if not isinstance(history, Cursor):
            return history
        lists = self._members.rows(), self._members.removed(), self._alarms.rows()
        return StoreHash(history, [self._leases.scan(-(2**63) - 1), *self._users.scans()], lists)

    def _history(self, query: History) -> Result:
        store = self._store
        if query.first < store.compact_revision:
            return HistoryCompacted(store.revision, store.compact_revision)
        last = min(query.last, store.revision) if query.last > 0 else store.revision
        upto, events = read_history(store, query.first, last, KeySet(query.ranges), prev=query.prev_kv)
        return Histories(store.revision, upto, encode_events(events))

    def _lease_info(self, query: LeaseInfo) -> Result | Cursor:
        revision, found = self._store.revision, self._leases.find(query.id)
        if found is None:
            return LeaseIs(revision, query.id, 0, [])
        if not query.keys:
            return LeaseIs(revision, query.id, found.ttl, [])
        ttl = found.ttl
        scan = self._leases.keys_of(query.id)
        return ListCursor(scan, lambda keys: LeaseIs(revision, query.id, ttl, [attached_key(key) for key in keys]))

    def _lease_list(self, _query: LeaseList) -> Cursor:
        revision = self._store.revision
        scan = self._leases.scan(-(2**63) - 1)
        return ListCursor(scan, lambda keys: results.Leases(revision, [lease_id(key) for key in keys]))

    def _status(self, _query: StoreStatus) -> Status:
        return self.figures()

    def figures(self) -> Status:
        """What a status says."""
        self.settle()
        store = self._store
        return Status(
            revision=store.revision,
            compact_revision=store.compact_revision,
            applied=self.applied,
            db_bytes=self.db_bytes,
            db_bytes_in_use=store.row_bytes,
            keys=store.keys,
            leases=self._leases.count,
            alarms=self._alarms.rows(),
            members=self._members.rows(),
            removed=self._members.removed(),
        )

    def _auth_status(self, _query: AuthStatus) -> Result:
        return AuthIs(self._store.revision, self._users.revision)

    def _user_info(self, query: UserInfo) -> Result:
        roles = self._users.roles_of(query.name)
        return self._execution.fail(USER_NOT_FOUND) if roles is None else Named(self._store.revision, roles)

    def _user_list(self, _query: UserList) -> Result:
        return Named(self._store.revision, self._users.names())

    def _role_info(self, query: RoleInfo) -> Result:
        grants = self._users.grants_of(query.name)
        return self._execution.fail(ROLE_NOT_FOUND) if grants is None else Permitted(self._store.revision, grants)

    def _role_list(self, _query: RoleList) -> Result:
        return Named(self._store.revision, self._users.role_names())

    def _compact_wait(self, query: CompactWait) -> Result:
        """The actor parks these until `swept_revision` has got there; a direct call says that it has."""
        assert self.swept_revision >= query.revision
        return Done(self._store.revision)

    def lease_rows(self, after: int, count: int) -> list[LeaseRow]:
        """Leases with ids above after, ascending, at most count; fewer only at the end."""
        self.settle()
        return self._leases.rows(after, count)

    # -- upkeep ----------------------------------------------------------------------------------------------------
    def sweep(self, count: int = limits.COMPACTION_BATCH) -> bool:
        """One slice of physical compaction; true while there is more to do."""
        self.settle()
        return self._sweeper.sweep(count)

    def warm(self, count: int = limits.WARMING_ROWS) -> bool:
        """One slice of reading the store into the cache of rows; true when there is no more to do."""
        return self._store.current.warm(count)

    @property
    def building(self) -> bool:
        """Whether a frozen overlay waits for more calls of `freeze`: do not wait for input then."""
        return self._building is not None

    def freeze(self, now_ms: int, *, force: bool = False, soon: bool = False) -> Flush | None:
        """Call with every tick, and after turns that write much, while no flush is under way. A Flush that is due (by
        bytes, by age, because it is wanted soon, or by force, which builds it at once) and complete: have it written
        (`Flush.write`, on a thread of its own), then call `flushed`."""
        assert self._flushing is None, "one flush at a time"
        overlay = self._overlay
        flush = self._building
        if flush is None:
            overlay.drain(DRAIN_ROWS)
            if not self._is_due(now_ms, force=force or soon):
                return None
            self.settle()
            flush = self._building = overlay.freeze(self._state())
            self._dirty_since = None
        # Turns that write much build much, so that the next overlay does not outgrow the one on its way.
        if not flush.build(flush.rows if force else max(BUILD_ROWS, 2 * overlay.take_written())):
            return None
        self._building, self._flushing = None, flush
        return flush

    def _is_due(self, now_ms: int, *, force: bool) -> bool:
        size = self._overlay.active_bytes + self._promised_bytes
        if not size and self.applied == self.flushed_index:
            return False
        if self._dirty_since is None:
            self._dirty_since = now_ms
        return force or size >= limits.OVERLAY_BYTES_MAX or now_ms - self._dirty_since >= limits.OVERLAY_AGE_MAX_MS

    def flushed(self, flush: Flush) -> None:
        """The flush has been written and synced."""
        assert flush is self._flushing
        self._flushing = None
        self._overlay.flushed()
        self.flushed_index, self.flushed_term = flush.index, flush.term
        self.flushes += 1

    @property
    def next_flush(self) -> int:
        """What `flushes` will say when everything written until now is synced: entries, and what the sweep removed."""
        under_way = self._building is not None or self._flushing is not None
        dirty = self._overlay.active_bytes + self._promised_bytes
        return self.flushes + under_way + bool(dirty)

    def _state(self) -> State:
        store = self._store
        swept, target, cursor, cursor_sub = self._sweeper.place
        return State(
            applied=self.applied,
            term=self.applied_term,
            revision=store.revision,
            compact_revision=store.compact_revision,
            swept=swept,
            target=target,
            cursor=cursor,
            cursor_sub=cursor_sub,
            keys=store.keys,
            leases=self._leases.count,
            row_bytes=store.row_bytes,
        )

    def pin(self) -> tuple[tuple[int, int], EngineScan]:
        """The store as it is on the disk, for another member: log (index, term), and all its rows, pinned there. What
        has been executed since then is in the log."""
        scan, state = self._overlay.pin()
        return (state.applied, state.term), scan

    def export(self, scratch: Engine) -> Export:
        """The same, for a client, as a file that etcd reads; scratch is closed with it."""
        return Export(*self._overlay.pin(), scratch)

    def compact_files(self) -> None:
        """Bring the engine's files into their smallest form; takes long, and may run on a thread of its own."""
        self._overlay.compact_files()

    def close(self) -> None:
        """Close the engine; what is not flushed is in the log."""
        self._overlay.close()
