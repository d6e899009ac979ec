"""Calls: requests on their way through the member, by sequence, and the batches that carry them.

Three lanes: writes go to raft and come back from apply, reads go to apply, lease calls to lease. Sequences are drawn
from counters of this process's incarnation and never repeat (rule 8): writes count upwards from 1, so that those of a
Propose are consecutive, everything else downwards from -1. Deadlines cost nothing per call: sequences grow with time,
so a mark per tick tells which are overdue.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from zetcd.actors.clients import Ticket
from zetcd.base import limits
from zetcd.wire.entry import BlockKind, Command, Entry, encode_entries
from zetcd.wire.local import KeepAlive, MoveLeader, Propose, ReadBatch, TimeToLive
from zetcd.wire.queries import Query, Read
from zetcd.wire.results import Done, Failed

if TYPE_CHECKING:
    from zetcd.actors.api_actor import ApiActor

Continue = Callable[..., None]
"""(actor, call, result): continues a call, usually by building its reply."""


@dataclass(slots=True, eq=False)
class Call:
    """One request in flight. subject: the command or query it stands for. on_failed (call, Failed) replaces the error
    reply where the call is a step of something larger."""

    ticket: Ticket
    index: int
    done: Continue
    subject: Any
    linearizable: bool = False
    on_failed: Callable[["Call", Failed], None] | None = None


def header_only_done(actor: "ApiActor", call: Call, result: Done) -> None:
    """Continues a call whose reply is nothing but its header."""
    actor.answer(call.ticket, call.index, {"header": actor.header(result.revision)})


@dataclass(slots=True)
class Calls:
    """Everything in flight in this process."""

    origin: int
    timeout_ms: int
    writes: dict[int, Call] = field(default_factory=dict)
    reads: dict[int, Call] = field(default_factory=dict)
    leases: dict[int, Call] = field(default_factory=dict)
    patient: dict[int, Call] = field(default_factory=dict)
    in_doubt_below: int = 0
    _next: int = 1
    _last: int = 0
    _turn_writes: list[Entry] = field(default_factory=list)
    _turn_bytes: int = 0
    _proposals: list[Propose | MoveLeader] = field(default_factory=list)
    _turn_reads: tuple[list[Read], list[Read]] = field(default_factory=lambda: ([], []))
    _turn_leases: list[KeepAlive | TimeToLive] = field(default_factory=list)
    _marks: deque[tuple[int, int, int]] = field(default_factory=deque)
    _contexts: int = 0

    def __len__(self) -> int:
        return len(self.writes) + len(self.reads) + len(self.leases)

    # -- new calls -------------------------------------------------------------------------------------------------
    def write(self, call: Call, command: Command, size: int) -> int:
        """Propose command; size is what it counts against the block bound."""
        if self._turn_bytes + size > limits.BLOCK_BYTES_MAX:
            self._cut()
        sequence = self._next
        self._next = sequence + 1
        self.writes[sequence] = call
        self._turn_writes.append(Entry(self.origin, sequence, command))
        self._turn_bytes += size
        return sequence

    def change_members(self, call: Call, command: Command) -> int:
        """Propose a membership change, which stands alone (rule 14)."""
        self._cut()
        sequence = self.write(call, command, 0)
        self._cut(BlockKind.MEMBERSHIP)
        return sequence

    def move_leader(self, call: Call, target: int) -> int:
        """Ask raft to hand over to target. Where raft refuses it answers as it refuses a write."""
        self._cut()
        sequence = self._next
        self._next = sequence + 1
        self.writes[sequence] = call
        self._proposals.append(MoveLeader(sequence, target))
        return sequence

    def read(self, call: Call, query: Query) -> int:
        """Ask apply."""
        self._last = sequence = self._last - 1
        self.reads[sequence] = call
        self._turn_reads[call.linearizable].append(Read(sequence, query))
        return sequence

    def ask(self, call: Call, query: Query) -> int:
        """Ask apply for what may take any time: such a call has no deadline, and does not hold up a stop."""
        self._last = sequence = self._last - 1
        self.patient[sequence] = call
        self._turn_reads[0].append(Read(sequence, query))
        return sequence

    def lease(self, call: Call, lease_id: int, *, renew: bool) -> int:
        """Ask lease: renew (KeepAlive) or what remains (TimeToLive)."""
        self._last = sequence = self._last - 1
        self.leases[sequence] = call
        self._turn_leases.append(KeepAlive(sequence, lease_id) if renew else TimeToLive(sequence, lease_id))
        return sequence

    def _cut(self, kind: int = BlockKind.NORMAL) -> None:
        entries = self._turn_writes
        if entries:
            self._proposals.append(Propose(entries[0].sequence, len(entries), encode_entries(entries), kind))
            self._turn_writes, self._turn_bytes = [], 0

    # -- what the turn sends ---------------------------------------------------------------------------------------
    def take_proposals(self) -> list[Propose | MoveLeader]:
        """Never-sent writes."""
        self._cut()
        out, self._proposals = self._proposals, []
        return out

    def take_reads(self, *, asked: bool = False) -> Iterator[ReadBatch]:
        """Never-sent reads: one batch that is serializable, one that is not, for which raft is asked if asked."""
        for linearizable, reads in enumerate(self._turn_reads):
            if reads:
                self._contexts += 1
                yield ReadBatch(self._contexts, bool(linearizable), reads, asked and bool(linearizable))
        if self._turn_reads[0] or self._turn_reads[1]:
            self._turn_reads = ([], [])

    def take_leases(self) -> list[KeepAlive | TimeToLive]:
        """Never-sent lease calls."""
        out, self._turn_leases = self._turn_leases, []
        return out

    # -- the other side was restarted ------------------------------------------------------------------------------
    def on_raft_lost(self) -> None:
        """Every write sent so far is in doubt; those never sent stay where they are."""
        self._cut()
        unsent = self._proposals[0].first_sequence if self._proposals else self._next
        self.in_doubt_below = max(self.in_doubt_below, unsent)

    def take_doubtful(self) -> list[Call]:
        """Writes whose outcome nobody will tell any more: a new epoch has replayed what it had."""
        doubtful = [sequence for sequence in self.writes if sequence < self.in_doubt_below]
        return [self.writes.pop(sequence) for sequence in doubtful]

    def ask_reads_again(self) -> None:
        """apply is new: it has seen none of the unanswered reads."""
        lanes: tuple[list[Read], list[Read]] = ([], [])
        for sequence, call in self.reads.items():
            lanes[call.linearizable].append(Read(sequence, call.subject))
        lanes[0].extend([Read(sequence, call.subject) for sequence, call in self.patient.items()])
        self._turn_reads = lanes

    def ask_leases_again(self) -> None:
        """lease is new; renewing twice does no harm."""
        self._turn_leases = [
            KeepAlive(sequence, call.subject) if call.linearizable else TimeToLive(sequence, call.subject)
            for sequence, call in self.leases.items()
        ]

    # -- deadlines -------------------------------------------------------------------------------------------------
    def overdue(self, now_ms: int) -> list[Call]:
        """Calls that have waited longer than the request timeout, within one tick."""
        marks = self._marks
        marks.append((now_ms, self._next, -self._last))
        upto = upto_rest = 0
        while marks and marks[0][0] <= now_ms - self.timeout_ms:
            _, upto, upto_rest = marks.popleft()
        late: list[Call] = []
        for lane, bound in ((self.writes, upto - 1), (self.reads, upto_rest), (self.leases, upto_rest)):
            while lane:
                sequence = next(iter(lane))
                if abs(sequence) > bound:
                    break
                late.append(lane.pop(sequence))
        if upto:
            self._forget_unsent(upto, upto_rest)
        return late

    def _forget_unsent(self, upto: int, upto_rest: int) -> None:
        """Overdue calls that were never sent must not gather while there is nobody to ask, nor writes happen much
        later."""
        self._proposals = [each for each in self._proposals if each.first_sequence + each.count > upto]
        kept = self._turn_writes
        if kept and kept[0].sequence < upto:
            self._turn_writes = [entry for entry in kept if entry.sequence >= upto]
        for reads in self._turn_reads:
            if reads and -reads[0].sequence <= upto_rest:
                patient = self.patient
                reads[:] = [read for read in reads if -read.sequence > upto_rest or read.sequence in patient]
        leases = self._turn_leases
        if leases and -leases[0].sequence <= upto_rest:
            self._turn_leases = [ask for ask in leases if -ask.sequence > upto_rest]
