"""The raft actor: feeds the core, and turns each Ready into messages to wal, apply, api and lease.

    api, lease --Propose, ReadIndex--> core --Ready--> Persist to wal, Blocks and Commit to apply, both at once
    wal --Persisted--> core            apply --Applied, Revoked--> core, grant, windows

- It never touches a disk and never waits: a stalled sync must not cost a heartbeat.
- What wal and apply have not answered is bounded in bytes (rule 17) and watched by age (rule 20); what does not fit
  stays in the core's log.
- While apply holds the one-voter grant (rule 9) it executes on wal's own word; Commit then only travels along with the
  next Blocks, or at the next tick.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from zetcd.actors.actor import Actor, Peer
from zetcd.actors.windows import Window
from zetcd.base import limits
from zetcd.base.errors import (
    LEADER_CHANGED,
    NO_LEADER,
    STOPPED,
    UNHEALTHY,
    UNIMPLEMENTED,
    Error,
    Fatal,
    WireError,
)
from zetcd.base.settings import Settings
from zetcd.cluster.membership import ChangeKind, bootstrap_blocks, bootstrap_members, publish
from zetcd.raft.config import Config
from zetcd.raft.core import Core, Random
from zetcd.raft.ready import Context, Ready
from zetcd.raft.recovery import Recovery
from zetcd.wire.entry import Block, BlockKind, MemberChange, decode_entries
from zetcd.wire.local import (
    Applied,
    Blocks,
    Commit,
    ConfState,
    Grant,
    Message,
    MoveLeader,
    Opened,
    Persist,
    Persisted,
    Propose,
    ReadConfirmed,
    ReadFailed,
    ReadIndex,
    ReadState,
    Recover,
    Recovered,
    Refused,
    Release,
    Revoke,
    Revoked,
    Standing,
)

ONE_MEMBER_ONLY = Error(UNIMPLEMENTED, "zetcd: this version runs clusters of one member")


class RaftActor(Actor):
    """Role raft: dials wal; apply, api and lease dial it. core is None until wal and apply have told where they are."""

    role: ClassVar[str] = "raft"

    def __init__(self, settings: Settings, random: Random) -> None:
        super().__init__()
        self.tick_ms = settings.heartbeat_interval_ms
        self.settings = settings
        self.member = settings.member_id  # wal's, once it is linked
        self.core: Core | None = None
        self._random = random
        self._wal: Peer | None = None
        self._apply: Peer | None = None
        self._askers: dict[Peer, None] = {}  # api and lease processes, in the order in which they came
        self._recovery = Recovery()
        self._opened: Opened | None = None
        self._now_ms = 0
        self._stopping = False
        self._healthy = True
        self._refusal: Error | None = NO_LEADER
        self._persists = Window(limits.PERSIST_INFLIGHT_BYTES_MAX)  # by Ready number
        self._blocks = Window(limits.APPLY_INFLIGHT_BYTES_MAX)  # by last index
        self._commits = Window()  # by commit index
        self._next = 0  # first entry that apply has not been sent
        self._commit = self._commit_sent = 0
        self._commit_due = False
        self._applied = self._flushed = 0
        self._conf: ConfState | None = None  # accepted by apply, not in force yet
        self._published = False
        self._caught_up = False
        self._grant: Grant | None = None
        self._revoking = False
        self._serial = 0
        self._waiting_reads: dict[Context, Peer] = {}  # of those that want ReadConfirmed
        self._standing_due = False
        self._handlers: dict[type, Callable[[Peer, Any], None]] = {
            Propose: self._on_propose,
            MoveLeader: self._on_move_leader,
            Persisted: self._on_persisted,
            Applied: self._on_applied,
            ReadIndex: self._on_read_index,
            Recovered: self._on_recovered,
            Opened: self._on_opened,
            Revoked: self._on_revoked,
        }

    # -- links -----------------------------------------------------------------------------------------------------
    def on_peer(self, peer: Peer) -> None:
        """Ask wal for the log; tell api and lease where this member stands."""
        if peer.role == "wal":
            self._wal = peer
            self.member = peer.member or self.member
            self.send(peer, Recover())
        elif peer.role == "apply":
            self._apply = peer
        else:
            self._askers[peer] = None
            self.send(peer, self._standing())

    def on_lost(self, peer: Peer) -> None:
        """An api or lease process is gone; wal and apply take this process with them."""
        if peer.role in ("wal", "apply"):
            raise Fatal(f"raft shares fate with {peer.role}, which is gone")
        self._askers.pop(peer, None)
        gone = [context for context, asker in self._waiting_reads.items() if asker is peer]
        for context in gone:
            del self._waiting_reads[context]

    def on_batch(self, peer: Peer, messages: list[Message]) -> None:
        """One frame."""
        handlers = self._handlers
        for message in messages:
            handler = handlers.get(type(message))
            if handler is None:
                raise Fatal(f"raft does not take {type(message).__name__} from {peer.role}")
            handler(peer, message)

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
        joins = settings.initial_cluster_state != "new"
        members = [] if joins else bootstrap_members(settings.initial_cluster, settings.initial_cluster_token)
        log = recovery.build(opened.index, opened.term, bootstrap_blocks(members))
        # Until the store knows the members, the founding ones are the configuration.
        conf = opened.conf or ConfState([member for member, _, _ in members])
        self._require_alone(conf)
        config = Config(
            self.member,
            election_ticks=max(1, settings.election_timeout_ms // settings.heartbeat_interval_ms),
            catchup_entries=settings.snapshot_catchup_entries,
        )
        self.core = Core(config, log, recovery.hard_state, conf, self._random, recovery.suspect_cut)
        self._caught_up = not recovery.suspect_cut
        self._applied = self._flushed = opened.index
        self._next = opened.index + 1
        self._commit_sent = opened.index
        self._commit = min(log.committed, log.stable)
        self._refusal = STOPPED if self._stopping else None
        self._standing_due = True
        if opened.index:
            # wal's mark: also where a log shorter than the store goes on from (rule 3).
            assert self._wal is not None
            self.send(self._wal, Release(opened.index, opened.term))

    def _require_alone(self, conf: ConfState) -> None:
        if conf != ConfState([self.member]):
            raise Fatal(
                f"member {self.member:x} is to run in a cluster of {[f'{m:x}' for m in conf.voters]}; "
                "this version runs clusters of one member"
            )

    # -- from api and lease --------------------------------------------------------------------------------------------
    def _on_propose(self, peer: Peer, message: Propose) -> None:
        error = self._refusal
        if error is None and message.kind:
            error = self._check_membership(message)
        if error is None:
            assert self.core is not None
            result = self.core.propose(message.kind, message.count, message.data)
            if not isinstance(result, Error):
                return
            error = result
        self.send(peer, Refused(message.first_sequence, message.count, error.code, error.message))

    def _check_membership(self, message: Propose) -> Error | None:
        """A change of members ends the grant before it can reach apply (rule 9)."""
        try:
            [entry] = decode_entries(message.count, message.data)
        except (WireError, ValueError):
            raise Fatal("raft: a membership proposal that is not one entry") from None
        change = entry.command
        if not isinstance(change, MemberChange):
            raise Fatal("raft: a membership proposal without a MemberChange")
        if change.kind not in (ChangeKind.REMOVE, ChangeKind.UPDATE, ChangeKind.PUBLISH):
            return ONE_MEMBER_ONLY
        self._revoke()
        return None

    def _on_move_leader(self, peer: Peer, message: MoveLeader) -> None:
        """Hand over; api sees in Standing that it has come about."""
        error = NO_LEADER if self.core is None else self.core.transfer(message.target)
        if error is not None:
            self.send(peer, Refused(message.first_sequence, 1, error.code, error.message))

    def _on_read_index(self, peer: Peer, message: ReadIndex) -> None:
        context = (peer.incarnation, message.context)
        if message.reply:
            self._waiting_reads[context] = peer
        error = NO_LEADER if self.core is None else self.core.read_index(context)
        if error is not None:
            self._fail_reads([context], error)

    def _fail_reads(self, contexts: list[Context], error: Error) -> None:
        """Tell who asked: lease itself, or apply, which holds an api's parked reads."""
        parked = []
        for context in contexts:
            asker = self._waiting_reads.pop(context, None)
            if asker is None:
                parked.append(context)
            else:
                self.send(asker, ReadFailed([context], error.code, error.message))
        if parked and self._apply is not None:
            self.send(self._apply, ReadFailed(parked, error.code, error.message))

    # -- from wal and apply ----------------------------------------------------------------------------------------
    def _on_persisted(self, _peer: Peer, message: Persisted) -> None:
        core = self.core
        assert core is not None
        if message.number == core.number and message.index != core.log.offered:
            raise Fatal(f"wal ends at entry {message.index}, raft has handed it everything up to {core.log.offered}")
        self._persists.answered(message.number)
        core.persisted(message.number)

    def _on_applied(self, _peer: Peer, message: Applied) -> None:
        index = message.index
        self._applied = index
        self._blocks.answered(index)
        self._commits.answered(index)
        if message.conf is not None:
            self._require_alone(message.conf)
            self._conf = message.conf
        if message.flushed_index > self._flushed:
            self._flushed = message.flushed_index
            assert self._wal is not None
            self.send(self._wal, Release(message.flushed_index, message.flushed_term))

    def _on_revoked(self, _peer: Peer, message: Revoked) -> None:
        if message.serial == self._serial:
            self._revoking = False

    # -- the grant (rule 9) ------------------------------------------------------------------------------------------
    def _maybe_grant(self, core: Core) -> None:
        """Sole voter and leader, with the first entry of the term and every membership change applied."""
        log = core.log
        since = core.leads_since
        if self._revoking or not since or not core.alone or not log.applied >= max(since, log.membership_index):
            return
        if not self._published and not self._stopping:
            data = publish(self.member, self.settings.name, self.settings.advertise_client_urls)
            self._published = not isinstance(core.propose(BlockKind.MEMBERSHIP, 1, data), Error)
            return
        self._serial += 1
        self._grant = Grant(self._serial, core.term)
        assert self._apply is not None
        self.send(self._apply, self._grant)
        self._standing_due = True

    def _revoke(self) -> None:
        if self._grant is not None:
            assert self._apply is not None
            self.send(self._apply, Revoke(self._grant.serial))
            self._grant = None
            self._revoking = True
            self._standing_due = True

    # -- the turn --------------------------------------------------------------------------------------------------
    def on_tick(self, now_ms: int) -> None:
        """Time for the core; ages of what wal and apply owe."""
        self._now_ms = now_ms
        self._standing_due = True
        self._commit_due = True
        if self.core is None:
            return
        age = max(self._persists.age_ms(now_ms), self._commits.age_ms(now_ms))
        self._healthy = age <= limits.PERSIST_AGE_MAX_MS
        self._refusal = STOPPED if self._stopping else None if self._healthy else UNHEALTHY
        self.core.tick()

    def end_turn(self) -> None:
        """What happened to the core in this turn, as messages."""
        core = self.core
        if core is not None:
            self._settle(core)
            ready = core.ready(self._persists.room > 0)
            if ready is not None:
                self._act(core, ready)
            if self._next <= core.log.offered or self._commit > self._commit_sent:
                self._feed_apply(core)
        if self._standing_due:
            self._standing_due = False
            standing = self._standing()
            for peer in self._askers:
                self.send(peer, standing)

    def _settle(self, core: Core) -> None:
        """Applied and its consequences. Under the grant apply may be ahead of what wal has told us."""
        log = core.log
        applied = min(self._applied, log.committed)
        if applied > log.applied or self._conf is not None:
            if self._conf is not None and not self._revoking:
                core.conf_applied(self._conf)
                self._conf = None
            core.applied(applied, self._flushed)
        grant = self._grant
        if grant is None:
            self._maybe_grant(core)
        elif grant.term != core.term or not core.is_leader or not core.alone:
            self._revoke()
        if self._stopping:
            core.settle()
            self._commit_due = True

    def _act(self, core: Core, ready: Ready) -> None:
        if ready.soft_state is not None:
            self._standing_due = True
        if ready.number:
            blocks = ready.blocks
            size = 0
            for block in blocks:
                size += len(block.data)
            caught_up = not self._caught_up and not core.votes_withheld
            self._caught_up = self._caught_up or caught_up
            if blocks and blocks[0].first < self._next:
                self._next = blocks[0].first
                self._blocks.replaced(self._next)
            # One wake of apply less for each put: wal hands it the blocks together with the word that they are durable.
            forward = (
                self._grant is not None
                and not self._stopping
                and bool(blocks)
                and blocks[0].first == self._next
                and self._blocks.room > 0
            )
            persist = Persist(
                ready.number, ready.hard_state, blocks, ready.must_sync, caught_up=caught_up, forward=forward
            )
            if forward:
                self._add_blocks(blocks)
            assert self._wal is not None
            self.send(self._wal, persist)
            self._persists.add(ready.number, size, self._now_ms)
        if ready.commit is not None:
            self._commit = ready.commit.index
        if ready.read_states or ready.reads_failed:
            self._answer_reads(ready)
        if ready.messages or ready.snapshots_wanted or ready.snapshot is not None:
            raise Fatal("raft: the core of a sole voter has something for other members")

    def _answer_reads(self, ready: Ready) -> None:
        for state in ready.read_states:
            parked = []
            for context in state.contexts:
                asker = self._waiting_reads.pop(context, None)
                if asker is None:
                    parked.append(context)
                else:
                    self.send(asker, ReadConfirmed(context[1], state.term))
            if parked:
                assert self._apply is not None
                self.send(self._apply, ReadState(parked, state.index))
                self._commit_due = True
        if ready.reads_failed:
            self._fail_reads(ready.reads_failed, LEADER_CHANGED)

    def _feed_apply(self, core: Core) -> None:
        """Blocks as the window allows, ahead of their commit; then how far they are committed and durable here."""
        log = core.log
        apply = self._apply
        assert apply is not None
        sent = False
        if self._next <= log.offered and self._blocks.room > 0:
            blocks = log.blocks_from(self._next, self._blocks.room)
            self._add_blocks(blocks)
            self.send(apply, Blocks(core.number, blocks))
            sent = True
        commit = min(self._commit, self._next - 1)
        if commit > self._commit_sent and (sent or self._grant is None or self._commit_due):
            self._commit_sent = commit
            if commit > self._applied:
                self._commits.raise_to(commit, self._now_ms)
            self.send(apply, Commit(commit, log.term_at(commit) or 0))
        self._commit_due = False

    def _add_blocks(self, blocks: Sequence[Block]) -> None:
        for block in blocks:
            self._blocks.add(block.last, len(block.data), self._now_ms)
        self._next = blocks[-1].last + 1

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
            self._applied,
            log.last_index,
            self._healthy,
            self._grant is not None,
        )

    # -- stop (rule 21) ------------------------------------------------------------------------------------------------
    @property
    def ready(self) -> bool:
        """Whether this member can serve: it knows a leader, and has applied what was committed before it started."""
        core = self.core
        return core is not None and core.leader != 0 and (self._grant is not None or not core.is_leader)

    def on_stop(self) -> None:
        """Refuse proposals, and let what is in flight come to its end."""
        self._stopping = True
        self._refusal = STOPPED

    def stopped(self) -> bool:
        """Whether all is durable, all that is committed is executed, and the log says so."""
        core = self.core
        return core is None or (not self._persists and core.settled and self._applied >= core.log.committed)
