"""A follower: takes the leader's entries, answers once they are durable, and waits for its silence (Raft section 5)."""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from zetcd.base.errors import NO_LEADER, Error
from zetcd.raft.ready import Context, ReadState, SnapshotMark
from zetcd.wire.entry import Block, split_block
from zetcd.wire.peer import (
    Append,
    AppendReply,
    Heartbeat,
    HeartbeatReply,
    PeerMessage,
    ReadIndexAnswer,
    ReadIndexAsk,
    Snapshot,
    TimeoutNow,
)

if TYPE_CHECKING:
    from zetcd.raft.core import Core


class Follower:
    """elapsed: ticks since the leader, or a granted vote, was last heard of; timeout: drawn anew each time; agreed: up
    to where an Append has shown that the log is the leader's."""

    def __init__(self, core: "Core") -> None:
        self.core = core
        self.elapsed = 0
        self.timeout = core.config.election_ticks + core.random.randrange(core.config.election_ticks)
        self.agreed = 0
        self._ticks = 0
        self._asking: list[Context] = []  # for the next turn's ReadIndexAsk
        self._asked: deque[tuple[int, list[Context]]] = deque()  # (tick, contexts)
        self.handlers: dict[type[PeerMessage], Callable[[Any], None]] = {
            Append: self.on_append,
            Heartbeat: self.on_heartbeat,
            Snapshot: self.on_snapshot,
            TimeoutNow: self.on_timeout_now,
            ReadIndexAnswer: self.on_read_index_answer,
        }

    @property
    def leased(self) -> bool:
        """Whether the leader was heard of within the shortest election timeout."""
        return self.elapsed < self.core.config.election_ticks

    def begin(self) -> None:
        """Nothing to do."""

    def leave(self) -> None:
        """Another role or another leader: what was asked of the old one will not be answered."""
        for _, contexts in self._asked:
            self.core.reads_failed += contexts
        self.core.reads_failed += self._asking

    def tick(self) -> None:
        """Campaign after a whole timeout of silence; give up reads that nobody answered."""
        self._ticks += 1
        self.elapsed += 1
        limit = self._ticks - 2 * self.core.config.election_ticks
        while self._asked and self._asked[0][0] <= limit:
            self.core.reads_failed += self._asked.popleft()[1]
        if self.elapsed >= self.timeout and self.core.may_campaign():
            self.elapsed = 0  # only now: who may not campaign must not seem to have heard of a leader
            self.core.campaign()

    def hasten(self, ticks: int) -> None:
        """Campaign at the latest in the tick after so many: only who asks beforehand, and so deposes nobody."""
        if self.core.config.pre_vote:
            self.timeout = min(self.timeout, self.elapsed + 1 + ticks)

    def flush(self) -> None:
        """Ask the leader for the reads of this turn, all at once."""
        core = self.core
        if self._asking:
            core.messages.append(ReadIndexAsk(core.term, core.id, core.leader, self._asking))
            self._asked.append((self._ticks, self._asking))
            self._asking = []

    def read_index(self, context: Context) -> Error | None:
        """Through the leader."""
        if not self.core.leader:
            return NO_LEADER
        self._asking.append(context)
        return None

    def on_persisted(self, vote: int, last: int) -> None:
        """Replies are what waited, and the core has sent them."""

    def on_conf(self) -> None:
        """Nothing depends on it here."""

    def on_applied(self) -> None:
        """A membership change may have waited for this."""
        self.core.maybe_campaign_alone()

    def _follow(self, leader: int, commit: int) -> "Follower":
        core = self.core
        if core.leader != leader:
            core.become_follower(core.term, leader)
        core.role.elapsed = 0
        core.told = max(core.told, commit)
        if core.config.lease_reads:
            core.promised_until = core.ticks + core.config.election_ticks
        assert isinstance(core.role, Follower)
        return core.role

    def on_append(self, message: Append) -> None:
        """Raft section 5.3. Entries that are there already stay; only a conflict cuts the log."""
        core = self.core
        log = core.log
        role = self._follow(message.source, message.commit)
        if message.previous_index < log.committed:
            if not message.quiet:
                core.after.append(AppendReply(core.term, core.id, message.source, log.committed))
            return
        if log.term_at(message.previous_index) != message.previous_term:
            self._refuse(message.source, message.previous_index, message.previous_term)
            return
        if not _adjacent(message.previous_index, message.previous_term, message.term, message.blocks):
            return
        last = message.previous_index
        for block in message.blocks:
            last = block.last
            self._take(block)
        role.agreed = max(role.agreed, last)
        log.commit_to(min(message.commit, last))
        if not message.quiet:
            core.after.append(AppendReply(core.term, core.id, message.source, last))

    def _refuse(self, leader: int, index: int, term: int) -> None:
        core = self.core
        hint = core.log.last_within(index, term)
        core.messages.append(AppendReply(core.term, core.id, leader, index, True, hint, core.log.term_at(hint) or 0))

    def _take(self, block: Block) -> None:
        log = self.core.log
        first = log.first_difference(block)
        if first > block.last:
            return
        if first <= log.last_index:
            self.core.rewrite(first)
        log.append(split_block(block, first))

    def on_heartbeat(self, message: Heartbeat) -> None:
        """The echo confirms that this member followed the sender's term when the round arrived (rule 10)."""
        core = self.core
        role = self._follow(message.source, message.commit)
        # Who may have lost what it acknowledged (rule 2) may hold something else there until an Append has compared it.
        reached = role.agreed if core.votes_withheld else core.log.last_index
        if message.commit <= reached:
            core.log.commit_to(message.commit)
        elif message.commit > core.log.last_index:
            self._refuse(message.source, message.commit, message.term)  # it was acknowledged, and lost (rule 2)
        promised = core.config.lease_reads
        core.messages.append(HeartbeatReply(core.term, core.id, message.source, message.round, promised))

    def on_snapshot(self, message: Snapshot) -> None:
        """Rule 7: ignored unless newer than what is committed; not needed where the log holds its position."""
        core = self.core
        log = core.log
        self._follow(message.source, 0)
        if message.index > log.committed:
            if log.term_at(message.index) == message.last_term:
                log.commit_to(message.index)
            else:
                core.restore(SnapshotMark(message.index, message.last_term, message.conf))
        core.after.append(AppendReply(core.term, core.id, message.source, log.committed))

    def on_timeout_now(self, message: TimeoutNow) -> None:
        """Thesis section 3.10: the leader wants this member to lead."""
        if message.source == self.core.leader:
            self.core.campaign(transfer=True)

    def on_read_index_answer(self, message: ReadIndexAnswer) -> None:
        """Only contexts that still wait count: an answer may be late or repeated."""
        for entry in self._asked:
            if entry[1] == message.contexts:
                self._asked.remove(entry)
                self.core.read_states.append(ReadState(message.index, message.term, message.contexts))
                return


def _adjacent(index: int, term: int, term_max: int, blocks: list[Block]) -> bool:
    """Whether blocks follow (index, term) and each other, with terms that never fall nor pass the sender's."""
    for block in blocks:
        if block.first != index + 1 or block.last < block.first or not term <= block.term <= term_max:
            return False
        index, term = block.last, block.term
    return True
