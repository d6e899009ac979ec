"""The raft actor: feeds the core, and turns each Ready into messages to wal, apply, the peers, api and lease.

    api, lease --Propose, ReadIndex--> core --Ready--> Persist to wal, Blocks and Commit to apply, Append to the peers,
    peers --Append, votes, ...-------> core            all at once
    wal --Persisted--> core            apply --Applied, Revoked--> core, grant, windows

- It never touches a disk and never waits: a stalled sync must not cost a heartbeat.
- Its rooms: `pipeline` (what goes to wal and apply), `granting` (rule 9), `peers` (lanes to other members),
  `proposals` and `forwarding` (rule 8), `asked_reads` (rule 10), `snapshot_relay` (rule 7), `handover` (rules 20, 21).
"""

from collections.abc import Callable
from typing import Any, ClassVar

from msgspec import structs

from zetcd.actors.actor import Actor, Peer
from zetcd.actors.asked_reads import AskedReads
from zetcd.actors.founding import found
from zetcd.actors.granting import Granting
from zetcd.actors.handover import Handover
from zetcd.actors.lease_relay import LeaseRelay
from zetcd.actors.measuring import measured, meters_of_raft, of_raft
from zetcd.actors.peers import Peers
from zetcd.actors.pipeline import Pipeline
from zetcd.actors.proposals import Proposals
from zetcd.actors.reconfiguring import Reconfiguring
from zetcd.actors.snapshot_relay import SnapshotRelay
from zetcd.actors.standstill import Standstill
from zetcd.base import limits
from zetcd.base.errors import NO_LEADER, STOPPED, UNHEALTHY, Error, Fatal, Refusal
from zetcd.base.settings import Settings
from zetcd.host.logs import Logger, configure
from zetcd.raft.config import Config
from zetcd.raft.core import Core, Random
from zetcd.raft.ready import Ready
from zetcd.raft.recovery import Recovery
from zetcd.wire.entry import BlockKind
from zetcd.wire.local import (
    Applied,
    ConfState,
    LeaseAnswers,
    LeaseAsks,
    Measure,
    Measured,
    MemberList,
    Message,
    MoveLeader,
    Opened,
    Persisted,
    Propose,
    ReadIndex,
    Recover,
    Recovered,
    Refused,
    Relay,
    Revoked,
    Serve,
    SnapshotArrived,
    SnapshotSent,
    Standing,
)
from zetcd.wire.peer import Append, Forward, ForwardRefused, Health, LeaseForward, LeaseReply, SnapshotPart


class RaftActor(Actor):
    """Role raft: dials wal; apply, api and lease dial it. core is None until wal and apply have told where they are."""

    role: ClassVar[str] = "raft"

    def __init__(
        self,
        settings: Settings,
        random: Random,
        incarnation: int = 1,
        logger: Logger | None = None,
        clock_ms: Callable[[], int] | None = None,
    ) -> None:
        """clock_ms: see `Standstill`; without it no reads are leased."""
        super().__init__()
        self.tick_ms = settings.heartbeat_interval_ms
        self.settings = settings
        self.member = settings.member_id  # wal's, once it is linked
        self.core: Core | None = None
        self.logger = logger or configure(settings, "raft")
        self.peers = Peers(settings.name, settings.initial_advertise_peer_urls, incarnation, self.logger)
        self.pipeline = Pipeline()
        self.granting = Granting(self._to_apply)
        self.proposals = Proposals(self, incarnation)
        self.reconfiguring = Reconfiguring(settings)
        self.reads = AskedReads(self, self._to_apply)
        self.leases = LeaseRelay(self.send, self.peers.send)
        self.handover = Handover(self.peers, settings.election_timeout_ms, self.logger)
        self.snapshots = SnapshotRelay(self._to_apply, self.peers.send, self.logger)
        self._standstill = Standstill(clock_ms, self.tick_ms) if settings.lease_reads and clock_ms else None
        self.leader_changes = 0
        self._leader = 0
        self._measuring: dict[Peer, Measure] = {}  # who waits for wal's series
        self._random = random
        self._wal: Peer | None = None
        self._apply: Peer | None = None
        self._askers: dict[Peer, None] = {}  # api and lease processes, in the order in which they came
        self._recovery = Recovery()
        self._opened: Opened | None = None
        self._stopping = False
        self._healthy = True
        self._conf: ConfState | None = None  # accepted by apply, not in force yet
        self._conf_from = 0  # see `founding.Start`
        self._serving = False  # apply knows from where on it may serve
        self._caught_up = False
        self._standing_due = False
        self._handlers: dict[type, Callable[[Peer, Any], None]] = {
            Propose: self.proposals.on_propose,
            MoveLeader: self._on_move_leader,
            Persisted: self._on_persisted,
            Applied: self._on_applied,
            ReadIndex: self._on_read_index,
            Recovered: self._on_recovered,
            Opened: self._on_opened,
            Revoked: self._on_revoked,
            LeaseAsks: self.leases.on_asks,
            LeaseAnswers: self.leases.on_answers,
            Relay: self._on_relay,
            SnapshotSent: self._on_snapshot_sent,
            SnapshotArrived: self._on_snapshot_arrived,
            Measure: self._on_measure,
            Measured: self._on_measured,
        }
        self._peer_handlers: dict[type, Callable[[Any], None]] = {
            Forward: self.proposals.on_forward,
            ForwardRefused: self.proposals.on_forward_refused,
            SnapshotPart: self.snapshots.on_part,
            Health: self.handover.on_health,
            LeaseForward: self.leases.on_forward,
            LeaseReply: self.leases.on_reply,
        }

    def _to_apply(self, message: Message) -> None:
        assert self._apply is not None
        self.send(self._apply, message)

    def _to_wal(self, message: Message) -> None:
        assert self._wal is not None
        self.send(self._wal, message)

    # -- links -----------------------------------------------------------------------------------------------------
    def on_peer(self, peer: Peer) -> None:
        """Ask wal for the log; tell api and lease where this member stands."""
        if peer.role == "wal":
            self._wal = peer
            self.member = peer.member or self.member
            self.peers.identify(peer.cluster or self.settings.cluster_id, self.member)
            self.send(peer, Recover())
        elif peer.role == "apply":
            self._apply = peer
        else:
            self._askers[peer] = None
            if peer.role == "lease":
                self.leases.lease = peer
            self.send(peer, self._standing())

    def on_lost(self, peer: Peer) -> None:
        """An api or lease process is gone; wal and apply take this process with them."""
        if peer.role in ("wal", "apply"):
            raise Fatal(f"raft shares fate with {peer.role}, which is gone")
        self._askers.pop(peer, None)
        self._measuring.pop(peer, None)
        if peer is self.leases.lease:
            self.leases.lease = None
        self.proposals.forget(peer)
        self.reads.forget(peer)

    def on_batch(self, peer: Peer, messages: list[Message]) -> None:
        """One frame."""
        handlers = self._handlers
        for message in messages:
            handler = handlers.get(type(message))
            if handler is None:
                raise Fatal(f"raft does not take {type(message).__name__} from {peer.role}")
            handler(peer, message)

    def on_peer_frame(self, routing_id: bytes, data: bytes) -> None:
        """One frame of another member."""
        messages = self.peers.on_frame(routing_id, data)
        core = self.core
        if core is None or self.snapshots.installing:
            return  # lost, as anything between members may be
        if self._standstill is not None:
            self._standstill.look(core)
        handlers, step = self._peer_handlers, core.step
        for message in messages:
            handler = handlers.get(type(message))
            if handler is not None:
                handler(message)
            elif not (self._stopping and type(message) is Append):  # what is durable here shall come to rest
                step(message)  # type: ignore[arg-type]  # all others are the core's

    def on_peer_gone(self, member: int) -> None:
        """The process that spoke for member is gone: its connection broke, and nobody listens there any more."""
        core = self.core
        if core is not None and core.leader == member:
            core.forget_leader()

    # -- start -------------------------------------------------------------------------------------------------------
    def _on_recovered(self, peer: Peer, message: Recovered) -> None:
        self._recovery.add(message)
        if not message.done:
            self.send(peer, Recover())
        self._maybe_start()

    def _on_opened(self, _peer: Peer, message: Opened) -> None:
        self._opened = message
        self._maybe_start()

    def _maybe_start(self) -> None:
        opened, recovery, settings = self._opened, self._recovery, self.settings
        if opened is None or not recovery.done or self.core is not None:
            return
        self.snapshots.at_start(opened, recovery.base)
        if self.snapshots.installing:
            return
        start = found(settings, recovery, opened, self.member)
        log = start.log
        self._conf_from = start.conf_from
        config = Config(
            self.member,
            election_ticks=max(1, settings.election_timeout_ms // settings.heartbeat_interval_ms),
            catchup_entries=settings.snapshot_catchup_entries,
            snapshot_count=settings.snapshot_count,
            lease_reads=self._standstill is not None,
        )
        core = self.core = Core(config, log, recovery.hard_state, start.conf, self._random, recovery.suspect_cut)
        self._caught_up = not recovery.suspect_cut
        self.pipeline.start(opened.index, min(log.committed, log.stable))
        self.proposals.start(core)
        self.reads.start(core)
        self.leases.core = core
        self._on_members(start.known)
        self._standing_due = True
        if opened.index:
            # wal's mark: also where a log shorter than the store goes on from (rule 3).
            self._release(core, opened.index, opened.term)

    # -- from api and lease --------------------------------------------------------------------------------------------
    @property
    def refusal(self) -> Error | None:
        """Why proposals are refused now."""
        if self._stopping:
            return STOPPED
        if self.core is None:
            return NO_LEADER
        return None if self._healthy else UNHEALTHY

    def _on_move_leader(self, peer: Peer, message: MoveLeader) -> None:
        """Hand over; api sees in Standing that it has come about."""
        error = NO_LEADER if self.core is None else self.core.transfer(message.target)
        if error is not None:
            self.send(peer, Refused(message.first_sequence, 1, error.code, error.message))

    def _on_measure(self, peer: Peer, message: Measure) -> None:
        self.send(peer, measured(message, "raft", of_raft(self), meters_of_raft(self)))
        self._measuring[peer] = message
        if self._wal is not None:
            self.send(self._wal, message)

    def _on_measured(self, _peer: Peer, message: Measured) -> None:
        for peer, asked in self._measuring.items():
            self.send(peer, structs.replace(message, serial=asked.serial))
        self._measuring = {}

    def _on_read_index(self, peer: Peer, message: ReadIndex) -> None:
        if self._standstill is not None and self.core is not None:
            self._standstill.look(self.core)
        self.reads.ask(peer, message)

    # -- from wal and apply ----------------------------------------------------------------------------------------
    def _on_persisted(self, _peer: Peer, message: Persisted) -> None:
        core = self.core
        assert core is not None
        number = message.number
        if number == core.number and message.index != core.log.offered:
            raise Fatal(f"wal ends at entry {message.index}, raft has handed it everything up to {core.log.offered}")
        self.pipeline.persisted(number)
        core.persisted(number)
        self.snapshots.on_persisted(number)

    def _on_applied(self, _peer: Peer, message: Applied) -> None:
        index = message.index
        pipeline = self.pipeline
        pipeline.executed(index)
        if message.conf is not None and index >= self._conf_from:
            self._conf = message.conf
            self._on_members(message.members)
        if message.flushed_index > pipeline.flushed:
            pipeline.flushed = message.flushed_index
            assert self.core is not None
            self._release(self.core, message.flushed_index, message.flushed_term)

    def _release(self, core: Core, index: int, term: int) -> None:
        self._to_wal(self.pipeline.release(core.log, index, term, core.config.catchup_entries))

    def _on_members(self, known: MemberList | None) -> None:
        if known is not None:
            self.peers.set_members(known)
            self.proposals.on_members(known)
            self.reconfiguring.on_members(known.members)

    def _on_revoked(self, _peer: Peer, message: Revoked) -> None:
        self.granting.revoked(message.serial)

    def _on_relay(self, _peer: Peer, message: Relay) -> None:
        if self.core is not None:
            self.snapshots.on_relay(self.core, message)

    def _on_snapshot_sent(self, _peer: Peer, message: SnapshotSent) -> None:
        if self.core is not None:
            self.snapshots.on_sent(self.core, message)

    def _on_snapshot_arrived(self, _peer: Peer, message: SnapshotArrived) -> None:
        if self.core is not None:
            self.snapshots.on_arrived(self.core, message)

    def revoke(self) -> None:
        """Take the grant back (rule 9)."""
        if self.granting.granted:
            self.granting.revoke()
            self._standing_due = True

    # -- the turn --------------------------------------------------------------------------------------------------
    def on_tick(self, now_ms: int) -> None:
        """Time for the core; ages of what wal and apply owe."""
        self.pipeline.now_ms = now_ms
        self.peers.on_tick(now_ms)
        self._standing_due = True
        self.pipeline.commit_due = True
        core = self.core
        if core is None:
            return
        age_ms = self.pipeline.age_ms()
        self._healthy = age_ms <= limits.PERSIST_AGE_MAX_MS
        self._check_removed(core)
        if self._standstill is not None:
            self._standstill.on_tick(core)
        core.tick()
        self.handover.on_tick(core, now_ms, age_ms)
        self.proposals.on_tick(now_ms)
        promotion = self.reconfiguring.on_tick(core, now_ms)
        if promotion is not None and self.refusal is None:
            self.append(BlockKind.MEMBERSHIP, 1, promotion)
        self.reads.on_tick(now_ms)

    def _check_removed(self, core: Core) -> None:
        if core.let_go or self.peers.removed:
            raise Refusal(
                f"member {self.member:x} was removed from the cluster and does not come back: to join again, remove "
                f"{self.settings.data_dir} and add it as a new member"
            )

    def end_turn(self) -> None:
        """What happened to the core in this turn, as messages."""
        core = self.core
        if core is not None and not self.snapshots.installing:
            self._settle(core)
            ready = core.ready(self.pipeline.room_for_wal)
            if ready is not None:
                self._act(core, ready)
            self.reads.end_turn(self.pipeline.applied, granted=self.granting.granted)
            self.snapshots.settle(core)
            granted = self.granting.granted
            report = not granted and self._awaits_apply(core)
            if self.pipeline.behind(core.log, report=report) and not (self.snapshots.installing or core.snapshot):
                for message in self.pipeline.feed(core.log, core.number, granted=granted, report=report):
                    self._to_apply(message)
        if self._standing_due:
            self._standing_due = False
            standing = self._standing()
            for peer in self._askers:
                self.send(peer, standing)

    def _awaits_apply(self, core: Core) -> bool:
        """Whether somebody waits for what apply executes: the next membership change too (rule 14)."""
        changing = core.log.membership_index > core.log.applied
        return changing or self._stopping or self.reads.unapplied or not self.ready

    def _settle(self, core: Core) -> None:
        """Applied and its consequences. Under the grant apply may be ahead of what wal has told us."""
        log = core.log
        pipeline, granting = self.pipeline, self.granting
        applied = min(pipeline.applied, log.committed)
        if applied > log.applied or self._conf is not None:
            if self._conf is not None and not granting.revoking:
                core.conf_applied(self._conf)
                self._conf = None
                self._standing_due = True  # a learner knows at once that it is one
            core.applied(applied, pipeline.flushed)
        if not self._serving and not core.alone:
            self._serving = True
            self._to_apply(Serve(log.committed))
        if granting.granted:
            if not granting.stands(core):
                self.revoke()
        elif granting.due(core) and not self.proposals.publish_first(stopping=self._stopping):
            granting.give(core)
            self._standing_due = True
        self.proposals.end_turn()
        if self._stopping:
            core.settle()
            pipeline.commit_due = True

    def _act(self, core: Core, ready: Ready) -> None:
        if ready.soft_state is not None:
            self._on_soft_state(core)
        if ready.number:
            caught_up = not self._caught_up and not core.votes_withheld
            self._caught_up = self._caught_up or caught_up
            granted = self.granting.granted and not self._stopping
            self._to_wal(self.pipeline.persist(ready, granted=granted, caught_up=caught_up))
            self.snapshots.on_persist(ready.number, ready.snapshot)
        if ready.commit is not None:
            self.pipeline.commit = ready.commit.index
        if ready.messages:
            send = self.peers.send
            for message in ready.messages:
                send(message)
        if ready.read_states or ready.reads_failed:
            self.reads.answer(ready)
            self.pipeline.commit_due = True
        if ready.snapshots_wanted:
            self.snapshots.wanted(core, ready.snapshots_wanted)

    def _on_soft_state(self, core: Core) -> None:
        self._standing_due = True
        if core.leader and core.leader != self._leader:
            self._leader = core.leader
            self.leader_changes += 1
        self.proposals.on_leader()
        self.reads.on_leader()
        self.snapshots.check(core)
        if not core.alone:
            leader = self.peers.name_of(core.leader) if core.leader else "none"
            self.logger.info("leader", leader=leader, term=core.term, itself=core.is_leader)

    def _standing(self) -> Standing:
        core = self.core
        if core is None:
            return Standing(0, 0, False, False, 0, 0, 0, self._healthy)
        log = core.log
        return Standing(
            core.term,
            core.leader,
            core.is_leader,
            core.is_learner,
            log.committed,
            self.pipeline.applied,
            log.last_index,
            self._healthy,
            self.granting.granted,
        )

    def append(self, kind: int, count: int, data: bytes) -> Error | None:
        """Propose to the own core, which leads; why it was not appended. A change of members must be one that the
        cluster can bear, and first takes the grant back, so that it cannot reach apply under it (rule 9)."""
        assert self.core is not None
        if kind == BlockKind.MEMBERSHIP:
            error = self.reconfiguring.check(self.core, data)
            if error is not None:
                return error
            self.revoke()
        result = self.core.propose(kind, count, data)
        return result if isinstance(result, Error) else None

    # -- stop (rule 21) ------------------------------------------------------------------------------------------------
    @property
    def ready(self) -> bool:
        """Whether this member can serve: it knows a leader, has applied what was committed before it started, and is in
        the member list with its URLs, so that who waited for it finds it there (etcd's order). The grant comes behind
        all of that."""
        core = self.core
        if core is None or not core.leader:
            return False
        led = not core.is_leader or core.log.applied >= core.leads_since
        return self.granting.granted or (not core.alone and led and self.proposals.published)

    def on_stop(self) -> None:
        """Refuse proposals, hand over, and let what is in flight come to its end."""
        self._stopping = True
        if self.core is not None:
            self.handover.on_stop(self.core)

    def stopped(self) -> bool:
        """Whether somebody else leads, all is durable, all that is committed is executed, and the log says so."""
        core = self.core
        if core is None or self.snapshots.installing:
            return True
        if not self.handover.done(core):
            return False
        return not self.pipeline.persisting and core.settled and self.pipeline.applied >= core.log.committed
