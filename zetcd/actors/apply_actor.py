"""apply: executes committed entries in log order, serves reads, and feeds what changed to the api processes.

What may be executed (rule 3): only entries that a Commit of raft names by (index, term); or, under the one-voter Grant
(rule 9), entries of the grant's term that wal has reported as durable, because a sole voter's durable entry is a
committed one. Blocks arrive ahead of Commit, from raft; under the grant wal hands them over with its Persisted.

A turn executes first and reads afterwards, so a read sees every write that was executable when it arrived. What an api
process gets in a turn is one frame: Feed, then Replies (rule 16). Long reads are cursors resumed across turns, small
work first (rule 19). Nothing unsynced enters LevelDB: the overlay goes down in one synced batch, written by the port
`flusher`, which reports back through `on_flushed`.
"""

from collections import deque
from collections.abc import Callable

import msgspec

from zetcd.actors.actor import Actor, Peer
from zetcd.actors.api_link import ApiLink
from zetcd.actors.deferred_reads import DeferredReads
from zetcd.actors.flushing import Flusher
from zetcd.actors.lease_load import Load
from zetcd.actors.measuring import COMPACTION, COMPACTION_BOUNDS, Meters, measured, meters_of_apply, of_apply
from zetcd.actors.parked_reads import Context, ParkedReads
from zetcd.actors.reads import Reads
from zetcd.actors.snapshots import Snapshots
from zetcd.base import errors, limits
from zetcd.base.errors import Fatal
from zetcd.base.meter import Meter
from zetcd.state.machine import Flush, Machine, Outcome
from zetcd.wire import codec
from zetcd.wire.entry import Block, cut_block, split_block
from zetcd.wire.local import (
    Applied,
    Blocks,
    Commit,
    ConfState,
    Feed,
    FeedCredit,
    Grant,
    IndexWanted,
    Measure,
    Message,
    Persisted,
    ReadBatch,
    ReadFailed,
    ReadState,
    Ready,
    Replies,
    Revoke,
    Revoked,
    Serve,
    Space,
    Subscribe,
    Subscribed,
)
from zetcd.wire.queries import Read
from zetcd.wire.results import Failed

NEVER = 2**63
_NO_EVENTS = msgspec.Raw(b"\x90")


class ApplyActor(Actor):
    """Role apply: dials wal and raft, owner for api and lease."""

    role = "apply"

    def __init__(
        self,
        machine: Machine,
        flusher: Flusher,
        compaction_batch: int = limits.COMPACTION_BATCH,
        compaction_pause_ms: int = limits.COMPACTION_PAUSE_MS,
    ) -> None:
        super().__init__()
        self._compaction_batch = compaction_batch
        self._compaction_pause_ms = compaction_pause_ms
        self.machine = machine
        self.flusher = flusher
        self.snapshots = Snapshots(self, machine)
        self.counters = {
            "entries": 0,
            "blocks": 0,
            "reads": 0,
            "flushes": 0,
            "feed_gaps": 0,
            "granted": 0,
            "revoked": 0,
            "slow_turns": 0,
        }
        self.meters: Meters = {COMPACTION: Meter(COMPACTION_BOUNDS)}
        self._sweeping_since: int | None = None
        self.compacted_ms: int | None = None  # when a compaction ended last
        self._raft: Peer | None = None
        self._wal: Peer | None = None
        self._apis: dict[int, ApiLink] = {}
        self._loads: dict[Peer, Load] = {}
        self._blocks: deque[Block] = deque()
        self._ahead: list[Block] = []
        self._commit = (machine.applied, machine.applied_term)
        self._durable = (0, 0)
        self._grant: Grant | None = None
        self._credit = 0
        self._conf: ConfState | None = None
        self._report_due = False
        self._report_at = 0  # raft waits for this index to be executed
        self._reported = machine.applied, machine.flushed_index
        self._parked = ParkedReads()
        self.deferred = DeferredReads(machine)
        self._reads = Reads(machine, self.deferred)
        self.long_reads = self._reads.long
        self._serve_from = NEVER  # the applied index from which on reads are answered (rule 21)
        self._recovered = False
        self._flushing: Flush | None = None
        self._unasked = 0  # bytes executed since machine.freeze was last asked for a flush
        self._now_ms = 0
        self._stopping = False
        self._handlers: dict[type, Callable[..., None]] = {
            Blocks: self._on_blocks,
            Commit: self._on_commit,
            Persisted: self._on_persisted,
            Grant: self._on_grant,
            Revoke: self._on_revoke,
            Serve: self._on_serve,
            ReadState: self._on_read_state,
            ReadFailed: self._on_read_failed,
            ReadBatch: self._on_read_batch,
            Subscribe: self._on_subscribe,
            FeedCredit: self._on_feed_credit,
            Measure: self._on_measure,
            **self.snapshots.handlers,
        }

    # -- links -----------------------------------------------------------------------------------------------------
    def on_peer(self, peer: Peer) -> None:
        """Tell each new peer where the store stands."""
        if peer.role in ("raft", "wal"):
            if peer.role == "raft":
                self._raft = peer
            else:
                self._wal = peer
            if self._raft is not None and self._wal is not None:
                # Not before wal can be heard: under the grant blocks come from there alone.
                self.send(self._raft, self.machine.opened(*self.snapshots.arrived))
        elif peer.role == "api":
            api = self._apis[peer.incarnation] = ApiLink(peer)
            self.send(peer, self._feed_of(api, self.machine.revision, _NO_EVENTS))
            if self._recovered:
                self.send(peer, Ready(self.machine.revision, self.machine.compact_revision))
        elif peer.role == "lease":
            self._loads[peer] = Load()

    def on_lost(self, peer: Peer) -> None:
        """Forget what was meant for an api or lease process that is gone; raft goes before us at a clean stop."""
        if peer is self._raft:
            self._raft = None
            return
        self._loads.pop(peer, None)
        api = self._apis.get(peer.incarnation)
        if api is None or api.peer is not peer:
            return
        del self._apis[peer.incarnation]
        self._reads.forget(api)
        self.deferred.forget(api)
        self._parked.forget(peer.incarnation)
        self._set_level()

    def on_batch(self, peer: Peer, messages: list[Message]) -> None:
        """Sort the messages; the work is done at the end of the turn."""
        handlers = self._handlers
        for message in messages:
            handlers[type(message)](peer, message)

    # -- from raft and wal -----------------------------------------------------------------------------------------
    def _on_blocks(self, _peer: Peer, message: Blocks) -> None:
        for block in message.blocks:
            self._add_block(block)
        ahead, self._ahead = self._ahead, []
        for block in ahead:
            self._add_block(block)

    def _add_block(self, block: Block) -> None:
        blocks = self._blocks
        last = blocks[-1].last if blocks else self.machine.applied
        if block.last <= self.machine.applied or self._holds(block):
            return
        if block.first > last + 1:
            # Blocks come from raft, and under the grant from wal: one link may be ahead of the other. raft's window
            # bounds what is kept.
            self._ahead.append(block)
            return
        while blocks and blocks[-1].first >= block.first:
            blocks.pop()
        if blocks and blocks[-1].last >= block.first:
            blocks[-1] = cut_block(blocks[-1], block.first - 1)
        blocks.append(split_block(block, self.machine.applied + 1))

    def _holds(self, block: Block) -> bool:
        """Whether these very entries are held: same index and term means same entry (Log Matching)."""
        blocks = self._blocks
        if not blocks or block.last > blocks[-1].last:
            return False
        return all(held.term == block.term for held in blocks if held.last >= block.first and held.first <= block.last)

    def _on_commit(self, _peer: Peer, message: Commit) -> None:
        if message.index > self._commit[0]:
            self._commit = (message.index, message.term)
        if message.report:
            self._report_at = message.index

    def _on_persisted(self, _peer: Peer, message: Persisted) -> None:
        self._durable = (message.index, message.term)

    def _on_grant(self, _peer: Peer, message: Grant) -> None:
        self._grant = message
        self._take_up(self._parked.release_all())
        self._serve_from = self.machine.applied

    def _on_serve(self, _peer: Peer, message: Serve) -> None:
        self._serve_from = message.index

    def _tell_ready(self) -> None:
        self._recovered = True
        for api in self._apis.values():
            self.send(api.peer, Ready(self.machine.revision, self.machine.compact_revision))

    def _on_revoke(self, peer: Peer, message: Revoke) -> None:
        if self._grant is not None and self._grant.serial == message.serial:
            self._grant = None
        self.send(peer, Revoked(message.serial))

    def _on_read_state(self, _peer: Peer, message: ReadState) -> None:
        for context in message.contexts:
            api = self._apis.get(context[0])
            self._parked.confirm(context, message.index, api is not None and context[1] > api.context)

    def _on_read_failed(self, _peer: Peer, message: ReadFailed) -> None:
        for context in message.contexts:
            reads = self._parked.drop(context)
            if reads:
                failed = Failed(message.code, message.message, self.machine.revision)
                self._apis[context[0]].replies.extend((read.sequence, failed) for read in reads)

    # -- from api --------------------------------------------------------------------------------------------------
    def _on_read_batch(self, peer: Peer, message: ReadBatch) -> None:
        api = self._apis[peer.incarnation]
        api.context = message.context
        context = (peer.incarnation, message.context)
        if not message.linearizable or self._grant is not None:
            self._reads.add(api, message.reads)
            self._parked.drop(context)
            return
        if self._parked.count + len(message.reads) > limits.READS_PARKED_MAX:
            error = errors.TOO_MANY_REQUESTS
            failed = Failed(error.code, error.message, self.machine.revision)
            api.replies.extend((read.sequence, failed) for read in message.reads)
            self._parked.drop(context)
            return
        known = self._parked.park(context, message.reads)
        if not known and not message.asked:
            self.send(peer, IndexWanted(message.context))

    def _on_subscribe(self, peer: Peer, message: Subscribe) -> None:
        api = self._apis[peer.incarnation]
        api.level = message.level
        self._set_level()
        machine = self.machine
        self.send(peer, Subscribed(message.serial, message.level, machine.revision, machine.compact_revision))

    def _on_feed_credit(self, peer: Peer, message: FeedCredit) -> None:
        api = self._apis[peer.incarnation]
        api.unacked -= message.bytes
        api.unread -= message.answers
        self._reads.on_credit(api)

    def _on_measure(self, peer: Peer, message: Measure) -> None:
        self.send(peer, measured(message, "apply", of_apply(self), meters_of_apply(self)))

    def _set_level(self) -> None:
        self.machine.event_level = max((api.level for api in self._apis.values()), default=0)

    # -- the turn --------------------------------------------------------------------------------------------------
    def on_tick(self, now_ms: int) -> None:
        """Repeat the revision (rule 16), sweep a compaction slice, age the overlay."""
        self._now_ms = now_ms
        self._report_due = True
        self._unasked = limits.FLUSH_ASK_BYTES
        for api in self._apis.values():
            if api.quiet:
                self.send(api.peer, self._feed_of(api, self.machine.revision, _NO_EVENTS))
            self.send(api.peer, Space(self.machine.db_bytes))
            api.quiet = True
        self._sweep()
        self.snapshots.on_tick(now_ms)

    def end_turn(self) -> None:
        """Execute, read, answer."""
        if self._blocks:
            self._execute()
        if not self._recovered and self.machine.applied >= self._serve_from:
            self._tell_ready()
        if self._parked.indexed:
            self._take_up(self._parked.release(self.machine.applied))
        reads = self._reads
        if reads.due and self._recovered:
            self.counters["reads"] += reads.answer()
        if reads.long:
            reads.step_long()
        self.deferred.end_turn()
        for peer, load in self._loads.items():
            if not load.done:
                self.send(peer, load.next_slice(self.machine))
        for api in self._apis.values():
            if api.replies:
                self.send(api.peer, Replies(api.replies))
                api.replies = []
        self.snapshots.end_turn()
        self._maybe_flush()
        self._report()

    def busy(self) -> bool:
        """Whether reads, cursors, lease loads, executable blocks or chunks to send are left over from the turn."""
        reads = self._reads
        if (reads.due and self._recovered) or self.machine.building or self._executable():
            return True
        for load in self._loads.values():
            if not load.done:
                return True
        return self.snapshots.busy or self.deferred.exports.busy or (bool(reads.long) and reads.long.busy())

    def _upto(self, block: Block) -> int:
        """Highest index up to which block may be executed now: committed by raft's word (rule 3); or durable, under the
        grant, and of its term (rule 9)."""
        index, grant = self._commit[0], self._grant
        if grant is not None and self._durable[1] == grant.term == block.term:
            return max(index, self._durable[0])
        return index

    def _overfull(self) -> bool:
        return self._flushing is not None and self.machine.overlay_bytes > limits.OVERLAY_BYTES_HARD_MAX

    def _executable(self) -> bool:
        blocks = self._blocks
        return bool(blocks) and blocks[0].first <= self._upto(blocks[0]) and not self._overfull()

    def _execute(self) -> None:
        blocks, machine, commit = self._blocks, self.machine, self._commit
        before, size, full = machine.revision, 0, False
        while size < limits.EXECUTE_TURN_BYTES and not full and self._executable():
            block = blocks.popleft()
            upto = self._upto(block)
            if block.last > upto:
                blocks.appendleft(split_block(block, upto + 1))
                block = cut_block(block, upto)
            if block.first <= commit[0] <= block.last and block.term != commit[1]:
                raise Fatal(f"entry {commit[0]} is committed in term {commit[1]}, held in term {block.term}")
            outcome = machine.apply(block)
            if machine.applied < block.last:
                # The answers so far are large: they leave, so that a block of many such transactions finds room.
                blocks.appendleft(split_block(block, machine.applied + 1))
                block = cut_block(block, machine.applied)
                full = True
            size += len(block.data)
            self.counters["entries"] += block.count
            self.counters["blocks"] += 1
            self._hand_out(outcome, before)
            before = machine.revision
        self._credit += size
        self._unasked += size

    def _hand_out(self, outcome: Outcome, before: int) -> None:
        if self.machine.revision != before:
            self._send_feed(outcome, before)
        apis = self._apis
        for origin, sequence, result in outcome.replies:
            api = apis.get(origin)
            if api is not None:
                api.replies.append((sequence, result))
        if outcome.conf is not None:
            self._conf = outcome.conf
        if outcome.granted or outcome.checkpointed or outcome.revoked:
            self.counters["granted"] += len(outcome.granted)
            self.counters["revoked"] += len(outcome.revoked)
            for peer, load in self._loads.items():
                self.send(peer, load.changes(outcome))
        for peer in self._loads:
            # After the changes: lease must know its own checkpoints from those of a former life (rule 11).
            own = [(sequence, result) for origin, sequence, result in outcome.replies if origin == peer.incarnation]
            if own:
                self.send(peer, Replies(own))

    def _send_feed(self, outcome: Outcome, before: int) -> None:
        events = _NO_EVENTS
        if self.machine.event_level:
            events = codec.encode_events(outcome.events)
        for api in self._apis.values():
            if not api.level:
                continue  # nobody watches there: the revision of the next tick is enough
            api.quiet = False
            if api.replies:
                # An earlier block of this turn has answers that must not overtake this block's events (rule 16).
                self.send(api.peer, Replies(api.replies))
                api.replies = []
            self.send(api.peer, self._feed_of(api, before, events))

    def _feed_of(self, api: ApiLink, previous: int, events: msgspec.Raw) -> Feed:
        revision, size = self.machine.revision, len(bytes(events))
        gap = previous != revision and (
            not api.level or size > limits.FEED_FRAME_BYTES_MAX or api.unacked + size > limits.FEED_UNACKED_BYTES_MAX
        )
        if gap:
            self.counters["feed_gaps"] += bool(api.level)
            events = _NO_EVENTS
        elif previous != revision:
            api.unacked += size
        return Feed(previous, revision, self.machine.compact_revision, gap, events)

    def _take_up(self, released: list[tuple[Context, list[Read]]]) -> None:
        for context, reads in released:
            self._reads.add(self._apis[context[0]], reads)

    # -- upkeep ----------------------------------------------------------------------------------------------------
    def _sweep(self) -> None:
        pause = limits.TICK_MS if not self._recovered or self.machine.warm() else limits.WARMING_PAUSE_MS
        swept = self.machine.swept_revision
        more = self.machine.sweep(self._compaction_batch)
        self.tick_ms = max(1, self._compaction_pause_ms) if more else pause
        if more and self._sweeping_since is None:
            self._sweeping_since = self._now_ms
        if self.machine.swept_revision != swept:
            since, self._sweeping_since = self._sweeping_since, None
            took_ms = 0 if since is None else self._now_ms - since
            self.compacted_ms = self._now_ms
            self.meters[COMPACTION].observe_ns(took_ms * 1_000_000_000)  # its unit is the millisecond
        self.deferred.on_swept()

    # -- going down to LevelDB, and telling raft -------------------------------------------------------------------
    def _maybe_flush(self) -> None:
        soon = self.deferred.wants_flush
        asking = soon or self._unasked >= limits.FLUSH_ASK_BYTES or self._stopping or self.machine.building
        if asking and self._flushing is None:
            self._unasked = 0
            flush = self.machine.freeze(self._now_ms, force=self._stopping, soon=soon)
            if flush is not None:
                self._flushing = flush
                self.flusher.submit(flush)

    def on_flushed(self) -> None:
        """The flush under way is synced."""
        flush = self._flushing
        assert flush is not None
        self._flushing = None
        self.machine.flushed(flush)
        self.counters["flushes"] += 1

    def _report(self) -> None:
        """Tell raft. Where nothing waits for it, raft is told in steps or with the next tick: a message each turn would
        wake raft once more for every put of a lone client."""
        raft, machine = self._raft, self.machine
        if raft is None:
            return
        applied, flushed = machine.applied, machine.flushed_index
        if (
            not self._report_due
            and not self._reported[0] < self._report_at <= applied
            and self._conf is None
            and self._credit < limits.REPORT_STEP_BYTES
            and applied - self._reported[0] < limits.REPORT_STEP_ENTRIES
            and flushed == self._reported[1]
        ):
            return
        self._report_due = False
        if (applied, flushed) != self._reported or self._credit:
            self._reported = applied, flushed
            members = machine.member_list if self._conf is not None else None
            self.send(raft, Applied(applied, flushed, machine.flushed_term, self._credit, self._conf, members))
            self._credit, self._conf = 0, None

    @property
    def ready(self) -> bool:
        """Whether the store has caught up with what was committed before this life."""
        return self._recovered

    # -- the end ---------------------------------------------------------------------------------------------------
    def on_stop(self) -> None:
        """Flush what has been executed; raft has drained before (rule 21), and nothing is lost if not."""
        self._stopping = True

    def stopped(self) -> bool:
        """Whether raft, which stops before us (rule 21), has left, and everything executed is synced."""
        return self._raft is None and self._flushing is None and self.machine.flushed_index >= self.machine.applied
