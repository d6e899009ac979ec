"""Proposals on their way to a leader (rule 8), and those that wait until there is one.

    api --Propose--> raft of a follower --Forward--> raft of the leader --> its log --> everybody's apply
                                         <--ForwardRefused-- only where it certainly was not appended

- The leader takes a Forward once for each (term, source, incarnation, sequence), and only in the very term it names.
  Sequences ascend; one at or below the highest seen is a repetition, or late, and gets no answer: the first one may
  have been appended. What it never took it refuses.
- Nobody repeats a proposal of unknown outcome. One that was certainly not appended, because leadership moved, may be
  offered to the next leader: it is kept for a moment for that.
- Whether one was appended that nobody answers, because the leader died, is known once an entry of a later term is
  committed: see `Forwarding.settle`.
- While nobody leads, or leadership is being handed over, proposals wait here: as in etcd, an election costs clients
  time and no error. api's deadline runs on.
- Expiry is never forwarded (rule 12): it is the leader's word alone.
"""

from collections import deque
from dataclasses import dataclass

from zetcd.actors.actor import Peer
from zetcd.base import limits
from zetcd.raft.log import Log
from zetcd.wire.entry import decode_entries
from zetcd.wire.local import Propose
from zetcd.wire.peer import Forward, ForwardRefused


@dataclass(frozen=True, slots=True)
class Proposal:
    """A Propose of one of this member's processes; until_ms: then nobody waits for it any more."""

    peer: Peer
    message: Propose
    until_ms: int


@dataclass(frozen=True, slots=True)
class _Forwarded:
    """committed: what of the log was committed when it left. Its entries did not exist then, so they stand behind."""

    proposal: Proposal
    term: int
    committed: int


class Held:
    """Proposals that wait for a leader, oldest first, bounded in bytes."""

    def __init__(self) -> None:
        self.bytes = 0
        self._proposals: deque[Proposal] = deque()

    def __len__(self) -> int:
        return len(self._proposals)

    def add(self, proposal: Proposal) -> bool:
        """Whether there is room for it."""
        size = len(proposal.message.data)
        if self.bytes and self.bytes + size > limits.PROPOSALS_HELD_BYTES_MAX:
            return False
        self.bytes += size
        self._proposals.append(proposal)
        return True

    def take(self) -> list[Proposal]:
        """All of them."""
        taken = list(self._proposals)
        self._proposals.clear()
        self.bytes = 0
        return taken

    def _keep(self, kept: list[Proposal]) -> None:
        self._proposals = deque(kept)
        self.bytes = sum(len(proposal.message.data) for proposal in kept)

    def overdue(self, now_ms: int) -> list[Proposal]:
        """Take out those for which nobody waits any more."""
        late = [proposal for proposal in self._proposals if proposal.until_ms <= now_ms]
        if late:
            self._keep([proposal for proposal in self._proposals if proposal.until_ms > now_ms])
        return late

    def forget(self, peer: Peer) -> None:
        """That process is gone."""
        if any(proposal.peer is peer for proposal in self._proposals):
            self._keep([proposal for proposal in self._proposals if proposal.peer is not peer])


class Forwarding:
    """Both ends: what this member forwards as a follower, and what it has taken as a leader."""

    def __init__(self, incarnation: int) -> None:
        self._incarnation = incarnation
        self._sequence = 0
        self._kept: dict[int, _Forwarded] = {}  # lately, by sequence
        self._kept_bytes = 0
        self._term = 0  # of the leadership `_seen` is about
        self._seen: dict[tuple[int, int], int] = {}  # (source, incarnation) -> highest sequence

    # -- follower ----------------------------------------------------------------------------------------------------
    def forward(self, proposal: Proposal, term: int, source: int, leader: int, committed: int) -> Forward:
        """What to send to leader of term; committed: the commit index known here."""
        message = proposal.message
        self._sequence += 1
        self._kept[self._sequence] = _Forwarded(proposal, term, committed)
        self._kept_bytes += len(message.data)
        while self._kept_bytes > limits.FORWARDS_KEPT_BYTES_MAX and len(self._kept) > 1:
            self._drop(next(iter(self._kept)))
        return Forward(
            term, source, leader, self._incarnation, self._sequence,
            proposal.peer.incarnation, message.first_sequence, message.count, message.data, message.kind,
        )  # fmt: skip

    def refused(self, message: ForwardRefused | Forward) -> Proposal | None:
        """The proposal that was refused, or did not even leave; None where it is not kept any more: its outcome remains
        unknown."""
        if message.incarnation != self._incarnation:
            return None
        return self._drop(message.sequence)

    def on_tick(self, now_ms: int) -> None:
        """A refusal comes within a moment or never."""
        while self._kept:
            sequence, forwarded = next(iter(self._kept.items()))
            if forwarded.proposal.until_ms > now_ms:
                return
            self._drop(sequence)

    def forget(self, peer: Peer) -> None:
        """That process is gone."""
        for sequence in [sequence for sequence, each in self._kept.items() if each.proposal.peer is peer]:
            self._drop(sequence)

    def settle(self, log: Log, entries: int) -> list[tuple[Proposal, int]]:
        """Proposals that were forwarded to leaders whose terms are over, each with how many of its last entries were
        not appended and never will be. entries: so far back the log is read.

        A committed entry of a later term decides: terms in a log never fall, so no entry of theirs is ever committed
        behind it, and what is committed before it stands in this log already, in the place between what was committed
        when they left and that entry. (The leader appends all entries of a proposal at once, so a part that survived is
        a beginning.) Those that left further back than the log is read are given up: their outcome remains unknown.
        """
        term = log.term_at(log.committed) or 0
        if self.unsettled_term >= term:
            return []
        over = [(sequence, each) for sequence, each in self._kept.items() if each.term < term]
        for sequence, _ in over:
            self._drop(sequence)
        start = max(log.base_index, log.committed - entries)
        over = [(sequence, each) for sequence, each in over if each.committed >= start]
        found: set[tuple[int, int]] = set()
        if over:
            for block in log.blocks_from(min(each.committed for _, each in over) + 1):
                if block.term >= term:
                    break
                found.update((entry.origin, entry.sequence) for entry in decode_entries(block.count, block.data))
        return [(each.proposal, _missing(each.proposal, found)) for _, each in over]

    @property
    def unsettled_term(self) -> int:
        """The oldest term of those that are kept; 0 where none is."""
        return next(iter(self._kept.values())).term if self._kept else 0

    def _drop(self, sequence: int) -> Proposal | None:
        forwarded = self._kept.pop(sequence, None)
        if forwarded is None:
            return None
        self._kept_bytes -= len(forwarded.proposal.message.data)
        return forwarded.proposal

    # -- leader ------------------------------------------------------------------------------------------------------
    def lead(self, term: int) -> None:
        """The own leadership of term begins: nothing has been forwarded to it in that term."""
        if term != self._term:
            self._term = term
            self._seen = {}

    def first_seen(self, message: Forward) -> bool:
        """Whether this is the first time that message comes, in the leadership it means or meant: then it was not
        appended, and will not be unless the caller does it now. False also where that is not known here."""
        if message.term != self._term:
            return False
        key = (message.source, message.incarnation)
        if message.sequence <= self._seen.get(key, 0):
            return False
        if key not in self._seen and len(self._seen) >= limits.FORWARD_SOURCES_MAX:
            return False
        self._seen[key] = message.sequence
        return True


def _missing(proposal: Proposal, found: set[tuple[int, int]]) -> int:
    origin, message = proposal.peer.incarnation, proposal.message
    first = message.first_sequence
    return sum((origin, sequence) not in found for sequence in range(first, first + message.count))
