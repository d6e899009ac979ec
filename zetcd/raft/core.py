"""The Raft core: consensus of one member as a pure state machine (Raft; thesis; etcd-io/raft, asynchronous storage).

Inputs: `tick`, `propose`, `read_index`, `transfer`, `step` (a peer's message), `persisted`, `applied`, `conf_applied`.
Output: `ready`, once a turn. The core knows no clock, socket, disk or dice: time is ticks, randomness is injected.

    Follower --timeout--> Candidate(pre) --majority would vote--> Candidate --majority voted--> Leader
        ^-------------------- a higher term, or a leader of this one ------------------------------'

- A Ready's blocks and messages go out in parallel. What promises that something is durable, a reply, a request for
  votes, or the own vote and match, waits here until `persisted` covers its Ready (rules 4 and 5).
- Only an entry of the leader's own term is committed by counting (Raft section 5.4.2), so a leader starts with a no-op.
- A member that is its own majority campaigns at once, without waiting for a timeout.
- No campaign while a committed membership change is not applied (rule 14).
- That a membership change is committed is durable here before it is executed here or told to anybody: no restart falls
  back to a configuration in which the member that was removed, and may be gone, had to be asked.
- Votes and their answers carry what is known to be committed, for the same reason: of two members the one that does
  not know yet that the other has left would wait for its vote for ever.
"""

from collections import deque
from typing import Protocol

from zetcd.base.errors import NO_LEADER, NOT_LEADER, Error, Fatal
from zetcd.raft.candidate import Candidate
from zetcd.raft.config import Config
from zetcd.raft.follower import Follower
from zetcd.raft.leader import Leader
from zetcd.raft.log import Log
from zetcd.raft.ready import Context, Position, ReadState, Ready, SnapshotMark, SoftState
from zetcd.wire.local import ConfState, HardState
from zetcd.wire.peer import Append, AppendReply, Heartbeat, PeerMessage, Snapshot, Vote, VoteReply

_FROM_LEADER = (Append, Heartbeat, Snapshot)


class Random(Protocol):
    """The part of `random.Random` the core uses."""

    def randrange(self, stop: int, /) -> int:
        """An integer in [0, stop)."""


class Record:
    """One Ready on its way to the disk. last: the newest entry it makes durable that still stands and that no later
    Ready rewrites (rule 4); after: messages that wait for it."""

    __slots__ = ("after", "commit", "last", "number", "term", "vote")

    def __init__(self, number: int, hard: HardState, last: int, after: list[PeerMessage]) -> None:
        self.number = number
        self.term = hard.term
        self.vote = hard.vote
        self.commit = hard.commit
        self.last = last
        self.after = after


class Core:
    """One member's consensus. Its public attributes are for reading; log is shared with the actor, which takes blocks
    from it."""

    def __init__(  # noqa: PLR0917
        self,
        config: Config,
        log: Log,
        hard_state: HardState,
        conf: ConfState,
        random: Random,
        suspect_cut: bool = False,
    ) -> None:
        """log: recovered, with base, committed and applied set; all in it is durable. suspect_cut: acknowledged entries
        may be missing from it (rule 2)."""
        self.config = config
        self.id = config.member
        self.log = log
        self.conf = conf
        self.random = random
        self.term = hard_state.term
        self.vote = hard_state.vote
        self.leader = 0
        self.number = 0  # of the newest Ready that was to be persisted
        self.messages: list[PeerMessage] = []
        self.after: list[PeerMessage] = []  # wait for the next Ready's sync
        self.read_states: list[ReadState] = []
        self.reads_failed: list[Context] = []
        self.snapshots_wanted: list[int] = []
        self.snapshot: SnapshotMark | None = None
        self._withheld_term = hard_state.term if suspect_cut and not _alone(conf, config.member) else 0
        self._records: deque[Record] = deque()
        self._hard = hard_state  # as last handed out
        self._soft = SoftState(self.term, 0, False)
        self._commit_due = False
        self._commit_given = log.applied
        self._commit_durable = max(log.applied, min(hard_state.commit, log.committed))
        self._flushed = 0
        self._removed_at = 0  # commit index when the own removal took effect
        self._removed_tick = 0
        self.told = 0  # highest commit index another leader has told of
        self.ticks = 0
        # A promise to an earlier leader does not end with the process that gave it.
        self.promised_until = config.election_ticks if config.lease_reads else 0
        if log.last_term > self.term:
            # A fresh member's bootstrap entries, or a store ahead of a lost log.
            self.term, self.vote = log.last_term, 0
        self.role: Follower | Candidate | Leader = Follower(self)
        self.maybe_campaign_alone()

    # -- what the actor asks -----------------------------------------------------------------------------------------
    @property
    def is_leader(self) -> bool:
        """Whether this member leads its term."""
        return type(self.role) is Leader

    @property
    def alone(self) -> bool:
        """Whether this member is the only voter."""
        return _alone(self.conf, self.id)

    @property
    def is_learner(self) -> bool:
        """Whether this member only learns."""
        return self.id in self.conf.learners

    @property
    def leads_since(self) -> int:
        """Index of the no-op that opened the own leadership; 0 where this member does not lead."""
        return self.role.since if isinstance(self.role, Leader) else 0

    @property
    def announced(self) -> int:
        """The commit index as far as this member acts on it and tells it: not beyond a membership change that is not
        durably known to be committed."""
        log = self.log
        held = log.first_membership(self._commit_durable + 1)
        return min(log.committed, held - 1) if held else log.committed

    @property
    def let_go(self) -> bool:
        """Whether this member, once it was removed, may stop for good: it does not lead, and those that remain need it
        no more to know of the removal: something behind it is committed, or nobody has told of that for three election
        timeouts. In those a leader that died after it told this member alone is missed, and who then asks for a vote
        is told. A member that restarts after its removal learns that from its peers' refusal."""
        if self.is_leader or not 0 < self._removed_at <= self.told:
            return False
        return self.told > self._removed_at or self.ticks >= self._removed_tick + 3 * self.config.election_ticks

    @property
    def votes_withheld(self) -> bool:
        """Whether this member neither votes nor campaigns, because it may have lost what it acknowledged (rule 2):
        until it durably holds a committed entry of a later term."""
        if self._withheld_term:
            term = self.log.term_at(min(self.log.committed, self.log.stable)) or 0
            if term > self._withheld_term:
                self._withheld_term = 0
        return self._withheld_term != 0

    @property
    def settled(self) -> bool:
        """Whether the disk has everything, the commit index included."""
        log = self.log
        done = log.offered == log.last_index and log.stable >= log.offered and not self._records
        return done and self._hard == HardState(self.term, self.vote, log.committed)

    # -- inputs ------------------------------------------------------------------------------------------------------
    def tick(self) -> None:
        """One unit of time has passed."""
        self.ticks += 1
        self.settle()
        self.role.tick()

    def settle(self) -> None:
        """Let the next Ready write the commit index even if it has nothing else for the disk."""
        self._commit_due = self._hard.commit != self.log.committed

    def propose(self, kind: int, count: int, data: bytes) -> tuple[int, int] | Error:
        """Append count encoded entries; their (first, last) index, or why they were not appended."""
        role = self.role
        if type(role) is Leader:
            return role.propose(kind, count, data)
        return NOT_LEADER if self.leader else NO_LEADER

    def read_index(self, context: Context) -> Error | None:
        """Ask for a read index; it comes in a Ready, as ReadState or among reads_failed, unless refused here."""
        if isinstance(self.role, Candidate):
            return NO_LEADER
        return self.role.read_index(context)

    def transfer(self, target: int) -> Error | None:
        """Hand leadership over to voter target (thesis section 3.10)."""
        return self.role.transfer(target) if isinstance(self.role, Leader) else NOT_LEADER

    def forget_leader(self) -> None:
        """There is reason to think that the leader is gone, its process does not listen any more: help to elect another
        one without waiting for the timeout, and campaign soon, the voters one after the other so that they do not split
        the vote. Its next message is followed as ever; who alone has lost it gets no pre-vote of those that hear it."""
        if type(self.role) is Follower and self.leader:
            gone = self.leader
            self.become_follower(self.term, 0)
            self.take_turns(gone)

    def void_lease(self) -> None:
        """Time has passed that no tick told of: leased reads wait for a round that is sent from now on."""
        if isinstance(self.role, Leader):
            self.role.void_lease()

    def take_turns(self, gone: int = 0) -> None:
        """A follower without a leader campaigns soon: the voters, without one that is gone, two ticks apart each."""
        voters = sorted({*self.conf.voters, *self.conf.outgoing} - {gone})
        if isinstance(self.role, Follower) and self.id in voters:
            self.role.hasten(2 * voters.index(self.id))

    @property
    def flushed(self) -> int:
        """The store is synced up to here: no snapshot of it stands below."""
        return self._flushed

    def snapshot_started(self, member: int, index: int) -> None:
        """A snapshot as of index is on its way to member: the log behind it is kept for it (rule 7)."""
        if isinstance(self.role, Leader):
            self.role.snapshot_started(member, index)

    def snapshot_finished(self, member: int, index: int) -> None:
        """A snapshot was installed by member at index, or failed (0)."""
        if isinstance(self.role, Leader):
            self.role.snapshot_finished(member, index)

    def persisted(self, number: int) -> None:
        """The Readys up to number are durable."""
        records = self._records
        log = self.log
        while records and records[0].number <= number:
            record = records.popleft()
            log.stable = max(log.stable, record.last)
            self._commit_durable = max(self._commit_durable, record.commit)
            if record.after:
                self.messages += record.after
            if record.term == self.term:
                self.role.on_persisted(record.vote, record.last)

    def applied(self, index: int, flushed: int) -> None:
        """The state machine has executed everything up to index, which is committed, and synced it up to flushed: the
        log keeps what a restart or a slow follower would need."""
        log = self.log
        if not log.applied <= index <= log.committed:
            raise Fatal(f"raft: applied {index} is not in {log.applied}..{log.committed}")
        log.applied = index
        if flushed > self._flushed:
            self._flushed = flushed
            config = self.config
            keep = min(flushed, self.role.keep if isinstance(self.role, Leader) else flushed)
            if index - log.base_index > config.snapshot_count + config.catchup_entries:
                log.compact(min(keep, index - config.catchup_entries))
            if log.bytes > config.log_bytes_max:
                log.compact(keep if log.bytes <= 2 * config.log_bytes_max else flushed)
        self.role.on_applied()

    def conf_applied(self, conf: ConfState) -> None:
        """The state machine has accepted a membership change; conf is in force from now on (rule 14)."""
        if conf == self.conf:
            return
        if _names(self.conf, self.id):
            self._removed_at = 0 if _names(conf, self.id) else self.log.committed
            self._removed_tick = self.ticks
        self.conf = conf
        self.role.on_conf()
        self.maybe_campaign_alone()

    def step(self, message: PeerMessage) -> None:
        """A message from another member; anything stale, repeated or from a stranger is harmless."""
        if message.target != self.id or message.source == self.id:
            return
        kind = type(message)
        if kind is Vote or kind is VoteReply:
            assert isinstance(message, Vote | VoteReply)
            self._learn_commit(message.commit, message.commit_term)
        if message.term > self.term:
            if not self._admit_term(message):
                return
        elif message.term < self.term:
            self._answer_stale(message)
            return
        if kind is Vote:
            assert isinstance(message, Vote)
            self._on_vote(message)
        else:
            handler = self.role.handlers.get(kind)
            if handler is not None:
                handler(message)

    # -- terms and votes (Raft sections 5.1, 5.2, 5.4.1) ---------------------------------------------------------------
    def _admit_term(self, message: PeerMessage) -> bool:
        kind = type(message)
        if kind is Vote:
            assert isinstance(message, Vote)
            if self._keeps_leader(message):
                return False  # thesis section 4.2.3: a member that hears its leader does not help to depose it
            if message.pre:
                return True  # asking does not move the term
        elif kind is VoteReply:
            assert isinstance(message, VoteReply)
            if message.pre and message.granted:
                return True  # it names the term to come
        self.become_follower(message.term, message.source if kind in _FROM_LEADER else 0)
        return True

    def _keeps_leader(self, message: Vote) -> bool:
        if message.transfer or not self.config.check_quorum:
            return False
        return (self.leader != 0 and self.role.leased) or self.ticks < self.promised_until

    def _learn_commit(self, index: int, term: int) -> None:
        """A committed entry is committed for ever, and equal (index, term) means equal logs up to it."""
        log = self.log
        if index > log.committed and not self.is_leader and log.term_at(index) == term:
            log.commit_to(index)
            if type(self.role) is Candidate and not self.may_campaign(self.role.transfer):
                self.become_follower(self.term, 0)

    def _answer_stale(self, message: PeerMessage) -> None:
        if isinstance(message, Append | Heartbeat | Snapshot):
            # A leader that was cut off learns the new term from this; without it a member whose pre-votes are refused
            # could neither follow nor win.
            self.messages.append(AppendReply(self.term, self.id, message.source, 0, rejected=True))
        elif isinstance(message, Vote):
            self.messages.append(self._refusal(message))

    def _refusal(self, message: Vote) -> VoteReply:
        commit = self.announced
        term = self.log.term_at(commit) or 0
        return VoteReply(self.term, self.id, message.source, False, message.pre, commit, term)

    def _on_vote(self, message: Vote) -> None:
        if message.pre:
            free = message.term > self.term
        elif self.ticks < self.promised_until and not message.transfer:
            free = False
        else:
            free = self.vote == message.source or (not self.vote and not self.leader)
        if free and self.log.is_current(message.last_index, message.last_term) and not self.votes_withheld:
            if not message.pre:
                self.vote = message.source
                self.role.elapsed = 0
            self.after.append(VoteReply(message.term, self.id, message.source, granted=True, pre=message.pre))
        else:
            self.messages.append(self._refusal(message))
            if message.pre and free and type(self.role) is Follower:
                self.role.hasten(0)  # nobody leads, and the one that asks lacks entries: this one may win

    # -- roles -------------------------------------------------------------------------------------------------------
    def become_follower(self, term: int, leader: int) -> None:
        """Follow leader (0: none known yet) in term, which never falls."""
        if term > self.term:
            self.term = term
            self.vote = 0
        self.leader = leader
        former = self.role
        self._leave(Follower)
        if isinstance(former, Follower) and not leader:
            # Only a leader or a granted vote starts the timeout anew (Raft section 5.2): otherwise a member that cannot
            # win, but campaigns often, could keep the others from ever trying.
            self.role.elapsed = former.elapsed

    def become_leader(self) -> None:
        """A majority voted for this member."""
        self.leader = self.id
        self._leave(Leader)

    def may_campaign(self, transfer: bool = False) -> bool:
        """Whether this member may stand for election now."""
        log = self.log
        waiting = 0 < log.first_membership(log.applied + 1) <= log.committed
        voter = self.id in self.conf.voters or self.id in self.conf.outgoing
        promised = self.ticks < self.promised_until and not transfer
        return voter and not waiting and not promised and not self.votes_withheld

    def campaign(self, transfer: bool = False) -> None:
        """Stand for election. After a transfer, and alone, asking beforehand is pointless."""
        if self.is_leader or not self.may_campaign(transfer):
            return
        self.leader = 0
        if self.config.pre_vote and not transfer and not self.alone:
            self._leave(Candidate)
            return
        self.stand(transfer)

    def stand(self, transfer: bool = False) -> None:
        """Open a new term with a vote for oneself, which counts once it is durable (rule 5)."""
        self.term += 1
        self.vote = self.id
        self.leader = 0
        self.role.leave()
        self.role = Candidate(self, pre=False, transfer=transfer)
        self.role.begin()

    def _leave(self, role: type[Follower | Candidate | Leader]) -> None:
        self.role.leave()
        self.log.seal()
        self.role = role(self)
        self.role.begin()

    def maybe_campaign_alone(self) -> None:
        """Who is its own majority need not wait."""
        if type(self.role) is Follower and self.alone:
            self.campaign()

    # -- the log -----------------------------------------------------------------------------------------------------
    def rewrite(self, first: int) -> None:
        """Entries from index first on are about to be replaced: no Ready in flight makes them durable any more."""
        for record in self._records:
            record.last = min(record.last, first - 1)

    def restore(self, mark: SnapshotMark) -> None:
        """Replace the whole log by a snapshot newer than it (rule 7)."""
        self.rewrite(1)
        self.log.reset(mark.index, mark.term)
        self.conf = mark.conf
        self.snapshot = mark
        self._commit_given = mark.index

    # -- output ------------------------------------------------------------------------------------------------------
    def ready(self, persist: bool = True) -> Ready | None:
        """What is to be done, or None. persist False: the wal is behind, hand out nothing more for it."""
        log = self.log
        self.role.flush()
        ready = Ready()
        anything = False
        if persist and self._fill_persist(ready):
            anything = True
        elif self.after and persist:
            self._release_after()
        if self._soft.term != self.term or self._soft.leader != self.leader or self._soft.is_leader != self.is_leader:
            ready.soft_state = self._soft = SoftState(self.term, self.leader, self.is_leader)
            anything = True
        executable = min(self.announced, log.stable)
        if executable > self._commit_given:
            self._commit_given = executable
            ready.commit = Position(executable, log.term_at(executable) or 0)
            anything = True
        if self.messages:
            ready.messages, self.messages = self.messages, []
            anything = True
        if self.read_states or self.reads_failed or self.snapshots_wanted:
            ready.read_states, self.read_states = self.read_states, []
            ready.reads_failed, self.reads_failed = self.reads_failed, []
            ready.snapshots_wanted, self.snapshots_wanted = self.snapshots_wanted, []
            anything = True
        return ready if anything else None

    def _fill_persist(self, ready: Ready) -> bool:
        log = self.log
        hard = self._hard
        entries = log.offered < log.last_index
        voted = hard.term != self.term or hard.vote != self.vote
        moved = hard.commit != log.committed
        held = log.first_membership(self._commit_durable + 1)
        waiting = hard.commit < held <= log.committed  # for this to be durable; see the module
        if not (entries or voted or waiting or self.snapshot is not None or (moved and self._commit_due)):
            return False
        self._commit_due = False
        self.number = ready.number = self.number + 1
        if voted or moved:
            # Rule 5: the commit index is written no later than the entries that arrived with it.
            ready.hard_state = self._hard = HardState(self.term, self.vote, log.committed)
        if entries:
            ready.blocks = log.blocks_from(log.offered + 1)
            log.offered = log.last_index
        ready.snapshot, self.snapshot = self.snapshot, None
        ready.must_sync = entries or voted or waiting or ready.snapshot is not None
        self._records.append(Record(self.number, self._hard, log.offered, self.after))
        self.after = []
        return True

    def _release_after(self) -> None:
        """Nothing new is to be persisted: replies wait for what is already on its way, if anything."""
        if self._records:
            self._records[-1].after += self.after
        else:
            self.messages += self.after
        self.after = []


def _names(conf: ConfState, member: int) -> bool:
    return member in conf.voters or member in conf.learners or member in conf.outgoing


def _alone(conf: ConfState, member: int) -> bool:
    return not conf.outgoing and len(conf.voters) == 1 and conf.voters[0] == member
