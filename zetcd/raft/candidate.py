"""A candidate, before and in an election (Raft section 5.2; PreVote: thesis section 9.6)."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from zetcd.raft.quorum import VoteResult, joint_vote_result
from zetcd.wire.peer import Append, Heartbeat, PeerMessage, Snapshot, Vote, VoteReply

if TYPE_CHECKING:
    from zetcd.raft.core import Core


class Candidate:
    """pre: asks whether it would win, without opening a term, so that a member that was cut off disturbs nobody."""

    leased = False

    def __init__(self, core: "Core", pre: bool = True, transfer: bool = False) -> None:
        self.core = core
        self.pre = pre
        self.transfer = transfer
        self.elapsed = 0
        self.timeout = core.config.election_ticks + core.random.randrange(core.config.election_ticks)
        self.votes: dict[int, bool] = {}
        self.handlers: dict[type[PeerMessage], Callable[[Any], None]] = {
            VoteReply: self.on_vote_reply,
            Append: self._on_leader,
            Heartbeat: self._on_leader,
            Snapshot: self._on_leader,
        }

    def begin(self) -> None:
        """Ask every voter. The own vote counts at once only where it promises nothing (rule 5)."""
        self.core.log.seal()
        self._ask()
        if self.pre:
            self._count(self.core.id, granted=True)

    def _ask(self) -> None:
        """Whoever has not answered (Raft section 5.1: requests are repeated): the question or its answer was lost, or
        the other one still heard the leader then. For a vote it asks once its term is durable, and with that the log it
        names (rule 5): another life would ask in the same term with less, and might be given what this one was."""
        core = self.core
        log = core.log
        out = core.messages if self.pre else core.after
        term = core.term + 1 if self.pre else core.term
        commit = core.announced
        commit_term = log.term_at(commit) or 0
        for member in sorted({*core.conf.voters, *core.conf.outgoing}):
            if member != core.id and member not in self.votes:
                last = (log.last_index, log.last_term)
                vote = Vote(term, core.id, member, *last, self.pre, self.transfer, commit, commit_term)
                out.append(vote)

    def leave(self) -> None:
        """Nothing waits here."""

    def tick(self) -> None:
        """Ask again those that owe an answer; no majority in time: try again after a fresh random timeout."""
        self.elapsed += 1
        if self.elapsed >= self.timeout:
            self.core.become_follower(self.core.term, 0)
            self.core.campaign()
        elif (self.pre or self.core.id in self.votes) and self.elapsed % self.core.config.heartbeat_ticks == 0:
            self._ask()

    def flush(self) -> None:
        """Nothing is sent but the requests."""

    def on_persisted(self, vote: int, last: int) -> None:  # noqa: ARG002
        """The own vote of this term is durable and counts."""
        if not self.pre and vote == self.core.id:
            self._count(vote, granted=True)

    def on_conf(self) -> None:
        """Another configuration may decide the election, or let this member go."""
        if not self.core.may_campaign(self.transfer):
            self.core.become_follower(self.core.term, 0)
        elif self.votes:
            self._decide()

    def on_applied(self) -> None:
        """Nothing depends on it here."""

    def on_vote_reply(self, message: VoteReply) -> None:
        """A voter's answer."""
        if message.pre == self.pre and (not message.granted or message.term == self.core.term + self.pre):
            self._count(message.source, message.granted)

    def _count(self, member: int, granted: bool) -> None:
        self.votes.setdefault(member, granted)
        self._decide()

    def _decide(self) -> None:
        core = self.core
        result = joint_vote_result(core.conf.voters, core.conf.outgoing, self.votes)
        if result == VoteResult.WON:
            if self.pre:
                core.stand()
            else:
                core.become_leader()
        elif result == VoteResult.LOST:
            core.become_follower(core.term, 0)
            if not self.pre:
                core.take_turns()  # a split vote: it costs less than a timeout, and is not split again

    def _on_leader(self, message: Append | Heartbeat | Snapshot) -> None:
        """Somebody else won this term."""
        core = self.core
        core.become_follower(core.term, message.source)
        handler = core.role.handlers[type(message)]
        handler(message)
