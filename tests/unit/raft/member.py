"""A raft actor between a wal and an apply of the test: what they answer, and when, is the test's to decide."""

from random import Random
from typing import TypeVar

from zetcd.actors.actor import Peer
from zetcd.actors.raft_actor import RaftActor
from zetcd.base.settings import Settings
from zetcd.cluster.membership import cluster_id, member_id
from zetcd.wire.entry import Block, Entry, Put, encode_entries
from zetcd.wire.local import (
    Applied,
    Blocks,
    Commit,
    ConfState,
    HardState,
    Message,
    Opened,
    Persist,
    Persisted,
    Propose,
    Recover,
    Recovered,
    Release,
    Revoke,
    Revoked,
)

URL = "tcp://127.0.0.1:2380"
ID = member_id([URL], "etcd-cluster")
SETTINGS = Settings(cluster_id=cluster_id([ID]), member_id=ID, advertise_client_urls=("tcp://127.0.0.1:2378",))

M = TypeVar("M", bound=Message)


def put(sequence: int, size: int = 8) -> bytes:
    return encode_entries([Entry(77, sequence, Put(b"k%d" % sequence, bytes(size)))])


def stored(first: int, last: int, term: int) -> Block:
    """Entries first to last, a put each."""
    return Block(first, last, term, b"".join(put(index) for index in range(first, last + 1)))


class Rig:
    """The actor, its peers, and the disk and store they stand for: entries by index, as (term, block data)."""

    def __init__(
        self,
        recovered: Recovered | None = None,
        opened: Opened | None = None,
        settings: Settings = SETTINGS,
        start: bool = True,
    ) -> None:
        self.actor = RaftActor(settings, Random(7))
        self.wal = Peer("wal", 0, 1, settings.cluster_id, ID)
        self.apply = Peer("apply", 0, 2)
        self.api = Peer("api", 0, 3)
        self.lease = Peer("lease", 0, 4)
        self.durable: list[Block] = []
        self.base = (0, 0)
        self.hard = HardState()
        self.held: list[Block] = []  # in apply
        self.commit = Commit(0, 0)
        self.applied = 0
        self.number = 0
        self.now_ms = 1000
        self.sent: list[tuple[Peer, Message]] = []
        self.actor.on_tick(self.now_ms)
        if start:
            self.link(recovered, opened)

    def link(self, recovered: Recovered | None = None, opened: Opened | None = None) -> None:
        """Wal and apply come up and say what they have."""
        actor = self.actor
        actor.on_peer(self.wal)
        actor.on_peer(self.apply)
        assert self.take(Recover, self.wal) == [Recover()]
        recovered = recovered or Recovered(HardState(), 0, 0, [], done=True)
        opened = opened or Opened(0, 0)
        if opened.index and opened.conf is None:
            opened = Opened(opened.index, opened.term, ConfState([ID]))
        self.durable = list(recovered.blocks)
        self.applied = opened.index
        actor.on_batch(self.wal, [recovered])
        actor.on_batch(self.apply, [opened])
        self.turn()

    def turn(self, peer: Peer | None = None, *messages: Message) -> list[tuple[Peer, Message]]:
        """One turn, in which peer's frame arrived; what it sent, which also stays in `sent`."""
        if peer is not None:
            self.actor.on_batch(peer, list(messages))
        self.actor.end_turn()
        out = [(to, message) for to, queue in self.actor.outbox.items() for message in queue]
        self.actor.outbox.clear()
        self.sent += out
        for to, message in out:
            if to is self.wal and isinstance(message, Persist):
                self._write(message)
            elif to is self.wal and isinstance(message, Release):
                if self.durable and message.index > self.durable[-1].last:
                    self.durable = []  # the log goes on behind the mark
                    self.base = message.index, message.term
            elif to is self.apply and isinstance(message, Blocks):
                self._hand(message.blocks)
            elif to is self.apply and isinstance(message, Commit):
                assert message.index > self.commit.index
                self.commit = message
        return out

    def _hand(self, blocks: list[Block]) -> None:
        """To apply, from raft or, under the grant, from wal; nothing may come twice."""
        for block in blocks:
            assert not self.held or block.first <= self.held[-1].last + 1
            assert all(
                (each.first, each.last, each.term) != (block.first, block.last, block.term) for each in self.held
            )
            self.held = [each for each in self.held if each.last < block.first] + [block]

    def _write(self, message: Persist) -> None:
        if message.forward:
            self._hand(message.blocks)
        assert message.number == self.number + 1
        self.number = message.number
        self.hard = message.hard_state or self.hard
        for block in message.blocks:
            assert not self.durable or block.first <= self.durable[-1].last + 1
            self.durable = [each for each in self.durable if each.last < block.first] + [block]

    def take(self, kind: type[M], peer: Peer | None = None) -> list[M]:
        """Everything of kind sent so far (to peer), oldest first; it is taken out of `sent`. Runs no turn, but looks at
        what the handlers have queued."""
        self.sent += [(to, message) for to, queue in self.actor.outbox.items() for message in queue]
        self.actor.outbox.clear()
        taken: list[M] = [m for to, m in self.sent if isinstance(m, kind) and peer in (None, to)]
        self.sent = [(to, m) for to, m in self.sent if not (isinstance(m, kind) and peer in (None, to))]
        return taken

    def persisted(self) -> list[tuple[Peer, Message]]:
        """Wal answers everything it has."""
        index, term = (self.durable[-1].last, self.durable[-1].term) if self.durable else self.base
        return self.turn(self.wal, Persisted(self.number, index, term))

    def execute(self, upto: int | None = None, flushed: int = 0) -> list[tuple[Peer, Message]]:
        """Apply executes what is committed, or up to an index it may by itself, and answers Revoke."""
        self.applied = self.commit.index if upto is None else upto
        size = sum(len(b.data) for b in self.held if b.last <= self.applied)
        self.held = [b for b in self.held if b.last > self.applied]
        answers: list[Message] = [Revoked(m.serial) for m in self.take(Revoke)]
        return self.turn(self.apply, *answers, Applied(self.applied, flushed, 1 if flushed else 0, size))

    def settle(self) -> None:
        """Answer everything until nothing more happens."""
        for _ in range(20):
            self.persisted()
            if self.commit.index > self.applied:
                self.execute()

    def tick(self, count: int = 1) -> None:
        """Time passes, one tick a turn."""
        for _ in range(count):
            self.now_ms += 100
            self.actor.on_tick(self.now_ms)
            self.turn()

    def propose(self, sequence: int, size: int = 8, peer: Peer | None = None) -> list[tuple[Peer, Message]]:
        """One proposal in a turn of its own."""
        return self.turn(peer or self.api, Propose(sequence, 1, put(sequence, size)))


def serving(settings: Settings = SETTINGS) -> Rig:
    """A fresh member after its election, with the grant given and api and lease linked."""
    rig = Rig(settings=settings)
    rig.settle()
    assert rig.actor.ready
    rig.actor.on_peer(rig.api)
    rig.actor.on_peer(rig.lease)
    rig.turn()
    rig.sent.clear()
    return rig
