"""An apply actor on an engine in memory, between a raft, a wal and clients of the test: what they say, and when, is the
test's to decide."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from zetcd.actors.actor import Peer
from zetcd.actors.apply_actor import ApplyActor
from zetcd.mvcc.engine import Engine, MemoryEngine
from zetcd.state.machine import Flush, Machine
from zetcd.wire.entry import Block, Command, Entry, Put, Range, encode_entries
from zetcd.wire.local import Blocks, Commit, Feed, Grant, Message, Persisted, ReadBatch, Replies, Serve, Subscribe
from zetcd.wire.queries import Query, Read
from zetcd.wire.results import Result

M = TypeVar("M", bound=Message)
API = 31
"""Incarnation of the api process."""


class HeldFlusher:
    """Keeps what it is given until the test lets it be written."""

    def __init__(self) -> None:
        self.held: list[Flush] = []

    def submit(self, flush: Flush) -> None:
        self.held.append(flush)


class HeldScratches:
    """Makes an engine when the test says so."""

    def __init__(self) -> None:
        self.asked: list[Callable[[Engine | None], None]] = []

    def make(self, done: Callable[[Engine | None], None], /) -> None:
        self.asked.append(done)


class Store:
    """The actor, its peers, and everything it has sent, frame by frame."""

    def __init__(self, engine: MemoryEngine | None = None) -> None:
        self.engine = engine or MemoryEngine()
        self.flusher = HeldFlusher()
        self.actor = ApplyActor(Machine(self.engine), self.flusher)
        self.raft = Peer("raft", 0, 1)
        self.wal = Peer("wal", 0, 2)
        self.api = Peer("api", 0, API)
        self.frames: list[tuple[Peer, list[Message]]] = []
        self.last = self.actor.machine.applied
        self.now_ms = 0
        self.context = 0
        self.sequence = 0
        self.actor.on_peer(self.raft)
        self.actor.on_peer(self.wal)
        self.actor.on_peer(self.api)
        self.turn()

    def turn(self, peer: Peer | None = None, *messages: Message) -> None:
        """One turn with one frame of input."""
        if peer is not None:
            self.actor.on_batch(peer, list(messages))
        self.actor.end_turn()
        self.frames += list(self.actor.outbox.items())
        self.actor.outbox = {}

    def tick(self) -> None:
        self.now_ms += 100
        self.actor.on_tick(self.now_ms)
        self.turn()

    def settle(self, limit: int = 10_000) -> None:
        """Turns while there is work."""
        for _ in range(limit):
            if not self.actor.busy():
                return
            self.turn()
        raise AssertionError("the actor does not come to rest")

    def block(self, *commands: Command, term: int = 1, origin: int = API) -> Block:
        """The next entries of the log."""
        first = self.last + 1
        entries = [Entry(origin, first + at, command) for at, command in enumerate(commands)]
        self.last = first + len(entries) - 1
        return Block(first, self.last, term, encode_entries(entries))

    def execute(self, *commands: Command, term: int = 1) -> None:
        """As after a Commit of raft."""
        block = self.block(*commands, term=term)
        self.turn(self.raft, Blocks(block.last, [block]), Commit(block.last, term))
        self.settle()

    def fill(self, count: int, size: int = 8) -> None:
        """Keys k000000 on."""
        for start in range(0, count, 2_000):
            self.execute(*(Put(b"k%06d" % number, bytes(size)) for number in range(start, min(start + 2_000, count))))

    def grant(self, term: int = 1) -> None:
        self.turn(self.raft, Grant(1, term))

    def serve(self, index: int = 0) -> None:
        """raft: what was acknowledged before ends at index."""
        self.turn(self.raft, Serve(index))

    def persisted(self, term: int = 1) -> Persisted:
        """wal has everything up to the last entry."""
        return Persisted(self.last, self.last, term)

    def batch(self, *queries: Query, linearizable: bool = True, asked: bool = False) -> ReadBatch:
        """Reads with fresh sequences, downwards from -1, and a fresh context."""
        reads = []
        for query in queries:
            self.sequence -= 1
            reads.append(Read(self.sequence, query))
        self.context += 1
        return ReadBatch(self.context, linearizable, reads, asked)

    def subscribe(self, level: int = 1, peer: Peer | None = None) -> None:
        self.turn(peer or self.api, Subscribe(1, level))

    def take(self, kind: type[M], peer: Peer | None = None) -> list[M]:
        """Messages of one kind sent to peer (the api) so far; everything sent is forgotten."""
        to = peer or self.api
        found: list[M] = [
            each for at, messages in self.frames if at is to for each in messages if isinstance(each, kind)
        ]
        self.frames = []
        return found

    def answers(self) -> list[tuple[int, Result]]:
        """Replies to the api so far, in order."""
        return [reply for message in self.take(Replies) for reply in message.replies]

    def events(self) -> list[Feed]:
        """Feed frames that tell of a change."""
        return [feed for feed in self.take(Feed) if feed.previous != feed.revision]


def get(key: bytes) -> Range:
    return Range(key)


def everything() -> Range:
    return Range(b"\0", b"\0")


def sequences(answers: Sequence[tuple[int, Result]]) -> list[int]:
    return [sequence for sequence, _ in answers]
