"""Keep-alives and questions of a follower's clients, on their way to the lease process of the leader.

    api -> lease (here) -> raft -> raft of the leader -> its lease, and back

`Away` holds what was sent and is not answered: each is asked again after LEASE_FORWARD_RETRY_MS, and of another leader
at once, since asking twice does no harm. `Visitors` are the others' lease processes, as this one sees them while its
member leads: they ask and are answered like a process of the own member. What comes from a visitor is never sent on.
"""

from dataclasses import dataclass

from zetcd.actors.actor import Peer
from zetcd.base import limits
from zetcd.wire.local import KeepAlive, LeaseAnswer, LeaseAnswers, LeaseAsk, LeaseAsks, Message, TimeToLive

VISITOR = "visitor"


@dataclass(frozen=True, slots=True)
class Ask:
    """A request of an api process, or of a visitor."""

    peer: Peer
    message: KeepAlive | TimeToLive
    at_ms: int


class Away:
    """By number."""

    def __init__(self) -> None:
        self._asks: dict[int, Ask] = {}
        self._sent_ms: dict[int, int] = {}
        self._number = 0
        self._unsent: list[int] = []

    def add(self, ask: Ask) -> None:
        """To be sent with this turn."""
        self._number += 1
        self._asks[self._number] = ask
        self._unsent.append(self._number)

    def take_unsent(self, now_ms: int) -> list[LeaseAsk]:
        """What is to be sent now."""
        numbers, self._unsent = self._unsent, []
        found = []
        for number in numbers:
            ask = self._asks.get(number)
            if ask is not None:
                self._sent_ms[number] = now_ms
                found.append(LeaseAsk(number, ask.message.id, isinstance(ask.message, KeepAlive)))
        return found

    def answered(self, number: int) -> Ask | None:
        """The ask that an answer is for; None where it is not waited for any more."""
        self._sent_ms.pop(number, None)
        return self._asks.pop(number, None)

    def again(self, now_ms: int) -> None:
        """Ask again what has waited long enough for a lost message."""
        for number, sent_ms in self._sent_ms.items():
            if now_ms - sent_ms >= limits.LEASE_FORWARD_RETRY_MS:
                self._unsent.append(number)

    def take_late(self, before_ms: int) -> list[Ask]:
        """Those that came before before_ms."""
        late = [number for number, ask in self._asks.items() if ask.at_ms <= before_ms]
        return [ask for number in late if (ask := self.answered(number)) is not None]

    def take_all(self) -> list[Ask]:
        """All of them: there is another leader, or none."""
        asks = list(self._asks.values())
        self._asks, self._sent_ms, self._unsent = {}, {}, []
        return asks

    def forget(self, peer: Peer) -> None:
        """That process is gone."""
        for number in [number for number, ask in self._asks.items() if ask.peer is peer]:
            self.answered(number)


class Visitors:
    """The lease processes of other members that have asked this one."""

    def __init__(self) -> None:
        self._peers: dict[tuple[int, int], Peer] = {}

    def asks(self, message: LeaseAsks, now_ms: int) -> list[Ask]:
        """As if a process of our own had asked."""
        key = (message.member, message.incarnation)
        peer = self._peers.get(key)
        if peer is None:
            while len(self._peers) >= limits.LEASE_VISITORS_MAX:
                del self._peers[next(iter(self._peers))]
            peer = self._peers[key] = Peer(VISITOR, 0, message.incarnation, member=message.member)
        return [
            Ask(peer, KeepAlive(ask.number, ask.id) if ask.renew else TimeToLive(ask.number, ask.id), now_ms)
            for ask in message.asks
        ]

    def take_answers(self, outbox: dict[Peer, list[Message]]) -> list[LeaseAnswers]:
        """What outbox holds for visitors, as messages for raft."""
        found = []
        for peer in [peer for peer in outbox if peer.role == VISITOR]:
            answers = [message for message in outbox.pop(peer) if isinstance(message, LeaseAnswer)]
            found.append(LeaseAnswers(peer.member, peer.incarnation, answers))
        return found
