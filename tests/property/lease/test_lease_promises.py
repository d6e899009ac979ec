"""What a client is told about a lease holds, whoever leads: rules 11 and 12 under lost and late proposals, restarts of
the lease process, changes of leader, stalls, and clocks that have nothing in common."""

from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from zetcd.actors.actor import Peer
from zetcd.actors.lease_actor import LeaseActor
from zetcd.base.settings import Settings
from zetcd.wire.entry import Entry, LeaseCheckpoint, LeaseRevoke, decode_entries
from zetcd.wire.local import (
    KeepAlive,
    LeaseAnswer,
    LeaseChanges,
    LeaseLoad,
    LeaseRow,
    Message,
    Propose,
    ReadConfirmed,
    ReadIndex,
    Replies,
    Standing,
)
from zetcd.wire.results import Done

ELECTION_MS = 1_000
TICK_MS = 100
SETTINGS = Settings(election_timeout_ms=ELECTION_MS, lease_checkpoint_interval_ms=10_000)


@dataclass
class Appended:
    """An entry of the simulated log."""

    term: int
    entry: Entry


class LeaseMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.real_ms = 0
        self.offset_ms = 0
        self.term = 1
        self.index = 0
        self.rows: dict[int, LeaseRow] = {}
        self.log: list[Appended] = []
        self.links: list[Message] = []  # apply -> lease, in order
        self.reads: list[int] = []
        self.promised: dict[int, int] = {}  # lease -> real time before which it may not end
        self.asked: dict[int, tuple[LeaseRow, int]] = {}  # sequence -> (lease as it was, when)
        self.sequence = self.lives = 0
        self.start_process()

    # -- processes -------------------------------------------------------------------------------------------------
    def start_process(self) -> None:
        self.lives += 1
        self.actor = LeaseActor(SETTINGS, incarnation=self.lives)
        self.raft, self.apply, self.api = Peer("raft", 0, 1), Peer("apply", 0, 1), Peer("api", 0, 1)
        for peer in (self.raft, self.apply, self.api):
            self.actor.on_peer(peer)
        self.reads, self.asked = [], {}
        self.links = [LeaseLoad(list(self.rows.values()), done=True)]

    def turn(self, tick: bool = False, propose: bool = True) -> None:
        """One turn of the actor; its proposals reach the log or are lost."""
        if tick:
            self.actor.on_tick(self.real_ms + self.offset_ms)
        self.actor.end_turn()
        outbox, self.actor.outbox = self.actor.outbox, {}
        for messages in outbox.values():
            for message in messages:
                if isinstance(message, Propose) and propose:
                    entries: list[Entry] = decode_entries(message.count, message.data)
                    self.log += [Appended(self.term, entry) for entry in entries]
                elif isinstance(message, ReadIndex):
                    self.reads.append(message.context)
                elif isinstance(message, LeaseAnswer):
                    self.answered(message)

    def answered(self, answer: LeaseAnswer) -> None:
        asked, at_ms = self.asked.pop(answer.sequence)
        lease = asked.id
        if not answer.code and answer.ttl:
            assert lease in self.rows, "renewed a lease that is gone"
            self.promised[lease] = max(self.promised[lease], at_ms + answer.ttl * 1_000)
        elif not answer.code:
            granted_anew = lease not in self.rows or self.rows[lease].grant_index != asked.grant_index
            assert granted_anew or self.promised[lease] <= self.real_ms, "called a living lease ended"

    @initialize(offset=st.integers(0, 10**9))
    def standing(self, offset: int) -> None:
        self.offset_ms = offset
        self.lead()

    def lead(self) -> None:
        self.actor.on_batch(self.raft, [Standing(self.term, 1, True, False, 0, 0, 0)])

    # -- the world -------------------------------------------------------------------------------------------------
    @rule(ticks=st.sampled_from([1, 10, 30, 50, 100]), busy=st.booleans())
    def pass_time(self, ticks: int, busy: bool) -> None:
        """Busy: whatever is under way arrives at once; otherwise nothing does."""
        for _ in range(ticks):
            self.real_ms += TICK_MS
            self.turn(tick=True)
            if busy:
                self.settle()

    def settle(self) -> None:
        while self.reads:
            self.confirm()
        self.execute(10_000)
        self.settle_grants()

    @rule(ms=st.integers(200, 8_000))
    def stall(self, ms: int) -> None:
        self.real_ms += ms

    @rule(entries=st.integers(1, 20))
    def execute(self, entries: int) -> None:
        for _ in range(min(entries, len(self.log))):
            self.execute_one(self.log.pop(0))

    def execute_one(self, appended: Appended) -> None:
        self.index += 1
        command = appended.entry.command
        if isinstance(command, LeaseCheckpoint):
            found = []
            for lease, remaining in command.leases:
                row = self.rows.get(lease)
                if row is not None:
                    self.rows[lease] = LeaseRow(lease, row.ttl, row.grant_index, remaining)
                    found.append(self.rows[lease])
            self.links.append(LeaseChanges([], found, []))
        elif isinstance(command, LeaseRevoke):
            row = self.rows.get(command.id)
            if row is not None and command.term == appended.term and command.grant_index == row.grant_index:
                assert self.real_ms >= self.promised[command.id], "a promised lease was revoked"
                del self.rows[command.id]
                self.links.append(LeaseChanges([], [], [command.id]))
        if appended.entry.origin == self.actor._origin:
            self.links.append(Replies([(appended.entry.sequence, Done(1))]))

    @rule(lease=st.integers(1, 3), ttl=st.sampled_from([2, 8, 30]))
    def grant(self, lease: int, ttl: int) -> None:
        if lease not in self.rows:
            self.index += 1
            self.rows[lease] = LeaseRow(lease, ttl, self.index)
            self.promised[lease] = self.real_ms + ttl * 1_000
            self.links.append(LeaseChanges([self.rows[lease]], [], []))

    @rule(frames=st.integers(1, 5))
    def deliver(self, frames: int) -> None:
        for _ in range(min(frames, len(self.links))):
            self.actor.on_batch(self.apply, [self.links.pop(0)])
        self.turn()

    @precondition(lambda self: self.rows)
    @rule(data=st.data())
    def keep_alive(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(sorted(self.rows)))
        self.settle_grants()
        self.sequence += 1
        self.asked[self.sequence] = (self.rows[lease], self.real_ms)
        self.actor.on_batch(self.api, [KeepAlive(self.sequence, lease)])
        self.turn()

    def settle_grants(self) -> None:
        """apply tells lease of a grant before the client can hear of it."""
        while self.links:
            self.actor.on_batch(self.apply, [self.links.pop(0)])
        self.turn()

    @precondition(lambda self: self.reads)
    @rule()
    def confirm(self) -> None:
        self.actor.on_batch(self.raft, [ReadConfirmed(self.reads.pop(0), self.term)])
        self.turn()

    @rule(lose=st.booleans())
    def restart_process(self, lose: bool) -> None:
        self.turn(propose=not lose)
        self.start_process()
        self.lead()

    @rule(keep=st.integers(0, 5), offset=st.integers(0, 10**9))
    def change_leader(self, keep: int, offset: int) -> None:
        """Another member leads: it has a clock of its own and part of what was not yet committed."""
        self.log = self.log[:keep]
        self.term += 1
        self.real_ms += ELECTION_MS
        self.offset_ms = offset
        self.start_process()
        self.lead()

    def teardown(self) -> None:
        """Nobody renews any more: every lease ends."""
        for _ in range(8):
            self.pass_time(60, busy=True)
        assert not self.rows


TestLeasePromises = LeaseMachine.TestCase
TestLeasePromises.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
