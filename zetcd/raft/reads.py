"""Linearizable reads in rounds (thesis section 6.4; rule 10).

    registered --(next round is sent)--> in flight --(a quorum echoes this round or a later one)--> confirmed

A read joins the round sent after it registered, never one already under way: an echo of an older round says nothing
about the time after the read arrived. The read index is the commit index at the moment the round is sent. No round is
opened before the leader has committed an entry of its own term, since until then its commit index may be behind.
"""

from collections import deque
from collections.abc import Sequence

from msgspec import Struct

from zetcd.raft.quorum import joint_committed
from zetcd.raft.ready import Context


class Read(Struct, frozen=True):
    """requester: the member that asked on behalf of its reads; 0 for this one."""

    requester: int
    contexts: list[Context]


class Round(Struct, frozen=True):
    """Reads that are confirmed together."""

    number: int
    index: int
    reads: list[Read]


class Reads:
    """The waiting reads of one leadership. Rounds count from 1; echoed holds the newest round of each member."""

    __slots__ = ("echoed", "number", "rounds", "waiting")

    def __init__(self) -> None:
        self.number = 0
        self.waiting: list[Read] = []
        self.rounds: deque[Round] = deque()
        self.echoed: dict[int, int] = {}

    def register(self, requester: int, contexts: list[Context]) -> None:
        """Let contexts wait for the next round."""
        self.waiting.append(Read(requester, contexts))

    def open_round(self, member: int, index: int | None) -> int:
        """Number of the round about to be sent by member itself. index: the commit index, which all waiting reads get;
        None while no read may join a round."""
        self.number += 1
        self.echoed[member] = self.number
        if index is not None and self.waiting:
            self.rounds.append(Round(self.number, index, self.waiting))
            self.waiting = []
        return self.number

    def echo(self, member: int, number: int) -> None:
        """Member has answered round number."""
        if self.echoed.get(member, 0) < number <= self.number:
            self.echoed[member] = number

    def confirmed(self, voters: Sequence[int], outgoing: Sequence[int]) -> list[Round]:
        """Take out the rounds that a quorum has answered, oldest first."""
        rounds = self.rounds
        if not rounds:
            return []
        number = joint_committed(voters, outgoing, self.echoed)
        taken: list[Round] = []
        while rounds and rounds[0].number <= number:
            taken.append(rounds.popleft())
        return taken

    def drain(self) -> list[Read]:
        """Take out all that wait: leadership is lost, so they fail."""
        reads = [read for opened in self.rounds for read in opened.reads] + self.waiting
        self.rounds.clear()
        self.waiting = []
        return reads


class Lease:
    """The time for which a majority has promised to elect nobody else (`Config.lease_reads`). ticks: how long from when
    the round it rests on was sent; 0 where there is none. promised: the newest round of each member that promises.

    TimeoutNow ends it for the rest of the leadership: whoever gets that, however late, campaigns against all promises.
    """

    __slots__ = ("_number", "_sent", "_until", "promised", "ticks")

    def __init__(self, ticks: int) -> None:
        self.ticks = ticks
        self.promised: dict[int, int] = {}
        self._number = 0  # of the round that will renew it; 0 while none is out
        self._sent = 0
        self._until = 0

    def sent(self, number: int, now: int) -> None:
        """A round goes out at tick now."""
        if not self._number:
            self._number = number
            self._sent = now

    def promise(self, member: int, number: int) -> None:
        """Member has answered round number and keeps promises."""
        self.promised[member] = max(number, self.promised.get(member, 0))

    def echoed(self, number: int) -> None:
        """A quorum has promised with round number."""
        if 0 < self._number <= number:
            self._until = self._sent + self.ticks
            self._number = 0

    def holds(self, now: int) -> bool:
        """Whether a read that arrives at tick now needs no round."""
        return now < self._until

    def void(self) -> None:
        """Until a quorum has answered a round that is sent from now on."""
        self._number = self._until = 0

    def end(self) -> None:
        """For good."""
        self.ticks = self._until = 0
