"""An api actor between a raft, an apply and a lease of the test, and clients whose frames are lists."""

import random
from typing import Any, TypeVar

import msgpack

from zetcd.actors.actor import Peer
from zetcd.actors.api_actor import ApiActor
from zetcd.base.settings import Settings
from zetcd.wire.entry import Entry, decode_entries
from zetcd.wire.local import Message, Propose, Ready, Replies, Standing
from zetcd.wire.results import Result

M = TypeVar("M", bound=Message)
ORIGIN = 31
LEADING = Standing(2, 9, is_leader=True, is_learner=False, commit=0, applied=0, last_index=0, sole=True)


class Front:
    """The actor and what it has sent, to inside and to clients."""

    def __init__(self, settings: Settings | None = None, *, linked: bool = True) -> None:
        self.actor = ApiActor(settings or Settings(), 0, ORIGIN, random.Random(7))
        self.raft, self.apply, self.lease = (
            Peer(role, 0, at, 5, 9) for at, role in enumerate(("raft", "apply", "lease"), 1)
        )
        self.sent: list[tuple[Peer, Message]] = []
        self.out: list[tuple[tuple[bytes, ...], bytes]] = []
        self.now_ms = 0
        if linked:
            self.link()
            self.turn(self.raft, LEADING)
            self.turn(self.apply, Ready(1, -1))
            self.sent = []

    def link(self) -> None:
        """New lives of all three."""
        for peer in (self.raft, self.apply, self.lease):
            self.actor.on_peer(peer)

    def turn(self, peer: Peer | None = None, *messages: Message) -> None:
        if peer is not None:
            self.actor.on_batch(peer, list(messages))
        self.actor.end_turn()
        self.sent += [(to, message) for to, messages in self.actor.outbox.items() for message in messages]
        self.actor.outbox = {}
        self.out += self.actor.clients.take()

    def tick(self, passed_ms: int = 100) -> None:
        self.now_ms += passed_ms
        self.actor.on_tick(self.now_ms)
        self.turn()

    def ask(self, request: dict[str, Any], *address: bytes, client: bytes = b"c1") -> None:
        """A frame of a client, and the turn it comes in."""
        self.actor.on_client((client, *address), msgpack.packb(request))
        self.turn()

    def take(self, kind: type[M]) -> list[M]:
        """Messages of one kind sent so far; everything sent is forgotten."""
        found: list[M] = [message for _, message in self.sent if isinstance(message, kind)]
        self.sent = []
        return found

    def proposed(self) -> list[Entry]:
        """Entries proposed so far, in order."""
        return [entry for message in self.take(Propose) for entry in decode_entries(message.count, message.data)]

    def answer(self, sequence: int, result: Result) -> None:
        self.turn(self.apply, Replies([(sequence, result)]))

    def replies(self) -> list[Any]:
        """Bodies sent to clients so far."""
        out, self.out = self.out, []
        return [msgpack.unpackb(data) for _, data in out]
