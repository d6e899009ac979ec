"""The lease actor: keeps deadlines while its member leads, and proposes what follows from them.

    api --KeepAlive, TimeToLive--> lease --ReadIndex, Propose(LeaseRevoke, LeaseCheckpoint)--> raft
    apply --LeaseLoad, LeaseChanges--> lease

Nothing here is durable and nothing here decides: a lease ends when apply executes its revocation. The rules of time
are the lessor's. Of the actor's own:

- It answers only while raft says this member leads, all leases are loaded, and a tick has given it the time. Until
  then requests wait, EARLY_MS at most; on a follower they go to the leader's lease process (`lease_forwarding`).
- Rule 11: keep-alives wait for a ReadIndex of their own, all of a turn under one context.
- An answer that raft or the log never gives is given up after LEASE_RETRY_MS: the client's renewal is repeatable.
- After a stall of its own (frozen, starved) it looks at its queue before it lets anything expire.
"""

from collections.abc import Callable
from typing import Any, ClassVar

from msgspec import structs

from zetcd.actors.actor import Actor, Peer
from zetcd.actors.lease_forwarding import VISITOR, Away, Visitors
from zetcd.actors.lease_forwarding import Ask as _Ask
from zetcd.actors.measuring import LEASE_TTL, LEASE_TTL_BOUNDS, measured, of_lease
from zetcd.base import limits
from zetcd.base.errors import LEADER_CHANGED, NO_LEADER, NOT_LEADER, TIMEOUT, Error
from zetcd.base.meter import Meter
from zetcd.base.settings import Settings
from zetcd.lease.lessor import Lessor
from zetcd.wire.entry import Command, Entry, LeaseCheckpoint, encode_entries
from zetcd.wire.local import (
    KeepAlive,
    LeaseAnswer,
    LeaseAnswers,
    LeaseAsks,
    LeaseChanges,
    LeaseLoad,
    Measure,
    Message,
    Propose,
    ReadConfirmed,
    ReadFailed,
    ReadIndex,
    Refused,
    Replies,
    Standing,
    TimeToLive,
)
from zetcd.wire.results import Failed

EARLY_MS = 3_000
STALL_MS = 1_000
STOP_MS = 1_000


class LeaseActor(Actor):
    """Role lease: dials raft and apply; owner for api."""

    role: ClassVar[str] = "lease"
    tick_ms: int = limits.LEASE_SCAN_MS

    def __init__(self, settings: Settings, incarnation: int) -> None:
        super().__init__()
        self.lessor = Lessor(settings.election_timeout_ms, settings.lease_checkpoint_interval_ms)
        self.ttls = Meter(LEASE_TTL_BOUNDS)  # of leases granted in this life
        self.counters = {"keep_alives": 0, "revocations": 0, "checkpointed": 0, "resets": 0, "refused": 0}
        self._origin = incarnation
        self._sequence = 1
        self._raft: Peer | None = None
        self._apply: Peer | None = None
        self._loaded = False
        self._standing: Standing | None = None
        self._now_ms = 0
        self._ticked = False
        self._early: list[_Ask] = []
        self._away = Away()
        self._visitors = Visitors()
        self._unconfirmed: list[_Ask] = []  # keep-alives that no ReadIndex covers yet
        self._confirming: list[_Ask] = []  # covered by the one in flight
        self._context = 0
        self._asked_at: int | None = None  # when the ReadIndex in flight was sent
        self._resets: dict[int, list[_Ask]] = {}  # lease -> confirmed keep-alives that wait for it to be full
        self._reset_ids: list[int] = []  # to propose at the end of the turn
        self._proposed: dict[int, tuple[int, list[int]]] = {}  # sequence -> (when, leases) of checkpoints to 0
        self._revoking: dict[int, int] = {}  # lease -> when its revocation was proposed
        self._commands: list[Command] = []
        self._stopping_since: int | None = None
        self._stop_asked = False
        self._unsaved: dict[int, None] | None = None  # checkpoints of the stop not yet applied
        self._handlers: dict[type, Callable[[Peer, Any], None]] = {
            KeepAlive: self._on_ask,
            TimeToLive: self._on_ask,
            LeaseAsks: self._on_asks,
            LeaseAnswers: self._on_answers,
            LeaseChanges: self._on_changes,
            LeaseLoad: self._on_load,
            ReadConfirmed: self._on_confirmed,
            ReadFailed: self._on_read_failed,
            Refused: self._on_refused,
            Replies: self._on_replies,
            Standing: self._on_standing,
            Measure: self._on_measure,
        }

    # -- links -----------------------------------------------------------------------------------------------------
    def on_peer(self, peer: Peer) -> None:
        """A new apply loads everything anew; a new raft tells its standing."""
        if peer.role == "raft":
            self._raft = peer
            self._standing = None
        elif peer.role == "apply":
            self._apply = peer
            self._loaded = False
            self._demote(LEADER_CHANGED)
            self.lessor.clear()

    def on_lost(self, peer: Peer) -> None:
        """Without raft or apply nothing can be promised; an api takes its requests with it."""
        if peer is self._raft:
            self._raft = self._standing = None
            self._demote(NO_LEADER)
        elif peer is self._apply:
            self._apply = None
            self._loaded = False
            self._demote(NO_LEADER)
        elif peer.role == "api":
            for name in ("_early", "_unconfirmed", "_confirming"):
                setattr(self, name, [ask for ask in getattr(self, name) if ask.peer is not peer])
            self._away.forget(peer)
            for asks in self._resets.values():
                asks[:] = [ask for ask in asks if ask.peer is not peer]

    def on_batch(self, peer: Peer, messages: list[Message]) -> None:
        """Dispatch by type."""
        handlers = self._handlers
        for message in messages:
            handlers[type(message)](peer, message)

    @property
    def ready(self) -> bool:
        """Whether all leases are known here, and who leads."""
        return self._loaded and self._standing is not None and self._standing.leader != 0

    def _on_measure(self, peer: Peer, message: Measure) -> None:
        self.send(peer, measured(message, "lease", of_lease(self), {LEASE_TTL: self.ttls}))

    # -- requests --------------------------------------------------------------------------------------------------
    def _on_ask(self, peer: Peer, message: KeepAlive | TimeToLive) -> None:
        self._sort(_Ask(peer, message, self._now_ms))

    def _sort(self, ask: _Ask) -> None:
        """Here, to the leader, or until it is clear who that is."""
        standing = self._standing
        if self.lessor.primary:
            self._take(ask)
        elif standing is None or not standing.leader or standing.is_leader:
            self._early.append(ask)
        elif ask.peer.role == VISITOR:
            self._refuse([ask], NOT_LEADER)
        else:
            self._away.add(ask)

    def _on_asks(self, _peer: Peer, message: LeaseAsks) -> None:
        """Of a follower's lease process."""
        for ask in self._visitors.asks(message, self._now_ms):
            self._sort(ask)

    def _on_answers(self, _peer: Peer, message: LeaseAnswers) -> None:
        """Of the leader's lease process. Where leadership has moved, the question follows it."""
        for answer in message.answers:
            ask = self._away.answered(answer.sequence)
            if ask is None:
                continue
            if (answer.code, answer.message) in (NOT_LEADER, LEADER_CHANGED, NO_LEADER):
                self._early.append(ask)  # sorted again with the next standing
            else:
                self.send(ask.peer, structs.replace(answer, sequence=ask.message.sequence))

    def _take(self, ask: _Ask) -> None:
        message, lessor = ask.message, self.lessor
        if isinstance(message, TimeToLive):
            lease = lessor.leases.get(message.id)
            ttl = lessor.remaining_s(message.id, self._now_ms)
            self.send(ask.peer, LeaseAnswer(message.sequence, message.id, ttl, lease.ttl if lease else 0))
            return
        self._maybe_reset(message.id)
        self._unconfirmed.append(ask)

    def _maybe_reset(self, lease_id: int) -> None:
        """Commit that the lease is full, unless that is certain or on its way (rule 11)."""
        lessor = self.lessor
        lease = lessor.find(lease_id)
        if lease is not None and not lessor.is_full(lease) and not lessor.is_resetting(lease):
            lessor.resetting(lease)
            self._reset_ids.append(lease_id)

    def _on_confirmed(self, _peer: Peer, message: ReadConfirmed) -> None:
        if message.context != self._context or self._asked_at is None:
            return
        asks, self._confirming, self._asked_at = self._confirming, [], None
        lessor = self.lessor
        if message.term != lessor.term:
            self._move(asks, LEADER_CHANGED)
            return
        for ask in asks:
            lease = lessor.find(ask.message.id)
            if lease is None or lessor.is_full(lease):
                self._renew(ask)
            else:
                self._maybe_reset(lease.id)
                self._resets.setdefault(lease.id, []).append(ask)

    def _renew(self, ask: _Ask) -> None:
        """Leadership is confirmed, and the lease full for certain, or gone: its TTL then is 0."""
        self.counters["keep_alives"] += 1
        lease = self.lessor.find(ask.message.id)
        if lease is not None:
            self.lessor.renew(lease)
        self.send(ask.peer, LeaseAnswer(ask.message.sequence, ask.message.id, lease.ttl if lease is not None else 0))

    def _on_read_failed(self, _peer: Peer, message: ReadFailed) -> None:
        if self._asked_at is not None and (self._origin, self._context) in message.contexts:
            asks, self._confirming, self._asked_at = self._confirming, [], None
            error = Error(message.code, message.message)
            if error in (LEADER_CHANGED, NO_LEADER):
                self._move(asks, error)
            else:
                self._refuse(asks, error)

    def _move(self, asks: list[_Ask], error: Error) -> None:
        """Not here any more: what came from here looks for the leader, visitors are told."""
        self._early += [ask for ask in asks if ask.peer.role != VISITOR]
        self._refuse([ask for ask in asks if ask.peer.role == VISITOR], error)

    def _refuse(self, asks: list[_Ask], error: Error) -> None:
        for ask in asks:
            self.counters["refused"] += 1
            code, text = error
            self.send(ask.peer, LeaseAnswer(ask.message.sequence, ask.message.id, 0, 0, code, text))

    # -- replicated state ------------------------------------------------------------------------------------------
    def _on_load(self, _peer: Peer, message: LeaseLoad) -> None:
        for row in message.leases:
            self.lessor.granted(row)
        self._loaded = message.done

    def _on_changes(self, _peer: Peer, message: LeaseChanges) -> None:
        lessor = self.lessor
        for row in message.granted:
            self.ttls.observe_ns(row.ttl * 1_000_000_000)
            self._revoking.pop(row.id, None)
            lessor.granted(row)
        for row in message.checkpointed:
            lessor.checkpointed(row)
            if self._unsaved is not None:
                self._unsaved.pop(row.id, None)
        for lease_id in message.revoked:
            lessor.revoked(lease_id)
            self._revoking.pop(lease_id, None)
            for ask in self._resets.pop(lease_id, ()):
                self._renew(ask)

    def _on_replies(self, _peer: Peer, message: Replies) -> None:
        """Outcomes of our own proposals; they follow the changes they made. Only checkpoints to 0 are waited for."""
        for sequence, result in message.replies:
            _, lease_ids = self._proposed.pop(sequence, (0, ()))
            if isinstance(result, Failed):
                self._give_up(lease_ids, Error(result.code, result.message))
                continue
            for lease_id in lease_ids:
                lease = self.lessor.find(lease_id)
                if lease is not None:
                    self.lessor.reset(lease)
                for ask in self._resets.pop(lease_id, ()):
                    self._renew(ask)

    # -- leadership ------------------------------------------------------------------------------------------------
    def _on_standing(self, _peer: Peer, message: Standing) -> None:
        former, self._standing = self._standing, message
        if not message.is_leader or message.term != self.lessor.term:
            self._demote(LEADER_CHANGED)
        if former is None or (former.leader, former.term) != (message.leader, message.term):
            self._early += self._away.take_all()
        if message.leader and not message.is_leader and self._early:
            early, self._early = self._early, []
            for ask in early:
                self._sort(ask)

    def _demote(self, error: Error) -> None:
        if not self.lessor.primary:
            return
        self.lessor.demote()
        asks = self._unconfirmed + self._confirming + [ask for asks in self._resets.values() for ask in asks]
        self._unconfirmed, self._confirming, self._resets = [], [], {}
        self._asked_at = None
        self._reset_ids, self._commands = [], []
        self._proposed, self._revoking = {}, {}
        self._move(asks, error)

    def _maybe_promote(self) -> None:
        standing = self._standing
        if self.lessor.primary or not self._loaded or standing is None or not standing.is_leader:
            return
        self.lessor.promote(standing.term, self._now_ms)

    def _on_refused(self, _peer: Peer, message: Refused) -> None:
        """Revocations and other checkpoints come again by themselves; keep-alives that wait are told."""
        for sequence in range(message.first_sequence, message.first_sequence + message.count):
            _, lease_ids = self._proposed.pop(sequence, (0, ()))
            self._give_up(lease_ids, Error(message.code, message.message))

    def _give_up(self, lease_ids: list[int] | tuple[()], error: Error) -> None:
        for lease_id in lease_ids:
            lease = self.lessor.find(lease_id)
            if lease is not None:
                self.lessor.forget_reset(lease)
            if lease is None or not self.lessor.is_full(lease):
                self._refuse(self._resets.pop(lease_id, []), error)

    # -- time ------------------------------------------------------------------------------------------------------
    def on_tick(self, now_ms: int) -> None:
        """Stamp, expire, checkpoint, give up."""
        stalled = self._ticked and now_ms - self._now_ms > STALL_MS
        self._now_ms = now_ms
        self._ticked = True
        self._maybe_promote()
        if self.lessor.primary and self._early:
            early, self._early = self._early, []
            for ask in early:
                self._take(ask)
        self._expire_waits()
        lessor = self.lessor
        if not lessor.primary:
            return
        lessor.stamp(now_ms)
        if not stalled:
            lessor.scan(now_ms)
            self._revoke()
        marks = lessor.checkpoints(now_ms)
        if marks:
            self._checkpoint(marks)
        if self._stop_asked and self._unsaved is None:
            self._save()

    def _revoke(self) -> None:
        revoking, now_ms = self._revoking, self._now_ms
        for lease_id in [i for i, at_ms in revoking.items() if now_ms - at_ms >= limits.LEASE_RETRY_MS]:
            del revoking[lease_id]
        room = limits.LEASE_REVOKES_INFLIGHT_MAX - len(revoking)
        for revocation in self.lessor.revocations(min(limits.LEASE_REVOKES_PER_SCAN, room), now_ms):
            revoking[revocation.id] = now_ms
            self.counters["revocations"] += 1
            self._commands.append(revocation)

    def _checkpoint(self, marks: list[tuple[int, int]]) -> None:
        self.counters["checkpointed"] += len(marks)
        self._commands.append(LeaseCheckpoint(marks))

    def _expire_waits(self) -> None:
        now_ms = self._now_ms
        if self._early:
            late = [ask for ask in self._early if now_ms - ask.at_ms >= EARLY_MS]
            self._early = [ask for ask in self._early if now_ms - ask.at_ms < EARLY_MS]
            self._refuse(late, NO_LEADER)
        self._refuse(self._away.take_late(now_ms - EARLY_MS), TIMEOUT)
        self._away.again(now_ms)
        if self._asked_at is not None and now_ms - self._asked_at >= limits.LEASE_RETRY_MS:
            asks, self._confirming, self._asked_at = self._confirming, [], None
            self._refuse(asks, TIMEOUT)
        late_proposals = [
            sequence for sequence, (at_ms, _) in self._proposed.items() if now_ms - at_ms >= limits.LEASE_RETRY_MS
        ]
        for sequence in late_proposals:
            self._give_up(self._proposed.pop(sequence)[1], TIMEOUT)

    # -- the end of a turn -----------------------------------------------------------------------------------------
    def end_turn(self) -> None:
        """One ReadIndex for the keep-alives that wait, one Propose for all commands."""
        raft = self._raft
        if raft is None:
            return
        for answers in self._visitors.take_answers(self.outbox):
            self.send(raft, answers)
        asks = self._away.take_unsent(self._now_ms)
        if asks:
            self.send(raft, LeaseAsks(0, self._origin, asks))
        if not self.lessor.primary:
            return
        if self._unconfirmed and self._asked_at is None:
            self._confirming, self._unconfirmed = self._unconfirmed, []
            self._context += 1
            self._asked_at = self._now_ms
            self.send(raft, ReadIndex(self._context, reply=True))
        if self._reset_ids:
            self._propose_resets()
        if self._commands:
            commands, self._commands = self._commands, []
            first = self._sequence
            self._sequence += len(commands)
            entries = [Entry(self._origin, first + place, command) for place, command in enumerate(commands)]
            self.send(raft, Propose(first, len(entries), encode_entries(entries)))

    def _propose_resets(self) -> None:
        lease_ids, self._reset_ids = self._reset_ids, []
        self.counters["resets"] += len(lease_ids)
        for start in range(0, len(lease_ids), limits.LEASE_CHECKPOINTS_PER_PROPOSAL):
            part = lease_ids[start : start + limits.LEASE_CHECKPOINTS_PER_PROPOSAL]
            self._proposed[self._sequence + len(self._commands)] = (self._now_ms, part)
            self._commands.append(LeaseCheckpoint([(lease_id, 0) for lease_id in part]))

    # -- stop ------------------------------------------------------------------------------------------------------
    def on_stop(self) -> None:
        """Checkpoint every lease, so that an orderly restart lengthens none."""
        self._stop_asked = True
        self._stopping_since = self._now_ms

    def _save(self) -> None:
        marks = self.lessor.checkpoint_all(self._now_ms)
        self._unsaved = {lease_id: None for lease_id, _ in marks}
        size = limits.LEASE_CHECKPOINTS_PER_PROPOSAL
        for start in range(0, len(marks), size):
            self._checkpoint(marks[start : start + size])

    def stopped(self) -> bool:
        """All checkpoints applied, or STOP_MS gone, or not the leader."""
        if self._stopping_since is None or not self.lessor.primary:
            return True
        if self._unsaved is not None and not self._unsaved:
            return True
        return self._now_ms - self._stopping_since >= STOP_MS
