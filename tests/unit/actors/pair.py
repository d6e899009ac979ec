"""An api actor with a real apply actor behind it; raft and wal are a list, committed at once; lease knows nothing."""

import msgpack

from tests.unit.actors.front import LEADING, Front
from tests.unit.actors.store import HeldScratches, Store
from zetcd.actors.actor import Peer
from zetcd.wire.entry import Block
from zetcd.wire.local import (
    Blocks,
    Commit,
    KeepAlive,
    LeaseAnswer,
    Message,
    Propose,
    TimeToLive,
)


class Disk(Store):
    """With a disk that is done with everything whenever it is asked to be."""

    def __init__(self) -> None:
        super().__init__()
        self._jobs: list[object] = []
        self.actor.deferred.attach(self, HeldScratches())

    def submit(self, job: object, /) -> None:
        """A defragmentation."""
        self._jobs.append(job)

    def work(self) -> None:
        """What was to be written is, and so is what was to be compacted."""
        held, self.flusher.held = self.flusher.held, []
        for flush in held:
            flush.write()
            self.actor.on_flushed()
        self.turn()
        jobs, self._jobs = self._jobs, []
        for _ in jobs:
            self.actor.deferred.on_defragmented()
        self.turn()


class Pair:
    """Frames in, replies out, and everything between them."""

    def __init__(self) -> None:
        self.store = Disk()
        self.front = Front(linked=False)
        self.log: list[Block] = []
        self._link()

    def _link(self) -> None:
        front = self.front
        front.link()
        front.turn(front.raft, LEADING)
        self.store.grant()
        self.settle()

    def ask(self, body: bytes, *envelope: bytes) -> None:
        """A frame of a client."""
        self.front.actor.on_client(envelope, body)
        self.front.turn()

    def settle(self) -> None:
        """Until nothing is under way between the two."""
        for _ in range(1_000):
            sent, self.front.sent = self.front.sent, []
            for peer, message in sent:
                self._deliver(peer.role, message)
            self.store.settle()
            told = [message for peer, messages in self.store.frames if peer is self.store.api for message in messages]
            self.store.frames = []
            if not told and not sent:
                return
            self.front.turn(self.front.apply, *told)
        raise AssertionError("the two never come to rest")

    def _deliver(self, role: str, message: Message) -> None:
        front, store = self.front, self.store
        if isinstance(message, Propose):
            first = store.last + 1
            store.last += message.count
            block = Block(first, store.last, 1, message.data)
            self.log.append(block)
            store.turn(store.raft, Blocks(store.last, [block]), Commit(store.last, 1))
        elif role == "apply":
            store.turn(store.api, message)
        elif isinstance(message, KeepAlive | TimeToLive):
            front.turn(front.lease, LeaseAnswer(message.sequence, message.id, -1))

    def restart(self) -> None:
        """raft, wal and apply begin anew; apply has flushed nothing and executes the whole log again."""
        front = self.front
        before = self.store.actor.machine.revision
        front.actor.on_lost(front.raft)
        front.actor.on_lost(front.apply)
        self.store = store = Disk()
        front.raft = Peer("raft", 0, front.raft.incarnation + 10, 5, 9)
        front.apply = Peer("apply", 0, front.apply.incarnation + 10, 5, 9)
        front.sent = []
        for block in self.log:
            store.turn(store.raft, Blocks(block.last, [block]), Commit(block.last, 1))
        store.last = self.log[-1].last if self.log else 0
        assert store.actor.machine.revision == before, "the log says the same again"
        self._link()

    def check(self) -> None:
        """All is answered by its deadline at the latest, and nothing is left of it."""
        front = self.front
        self.settle()
        for client in (b"c0", b"c1"):
            front.actor.clients.on_gone((client,))
        for _ in range(4):
            self.settle()
            self.store.tick()
            self.store.work()
            front.tick(60_000)
        for _, reply in front.out:
            decoded = msgpack.unpackb(reply, strict_map_key=False)
            assert isinstance(decoded, dict)
            if "error" in decoded:
                assert decoded["error"]["code"] in range(1, 17), decoded
        actor = front.actor
        assert not len(actor.calls), "a call without a deadline"
        assert actor._inflight_bytes == 0, actor._inflight_bytes
        assert actor.watching.waiting == 0
