"""A wal actor on a disk in memory, and what a test needs to drive it: turns, restarts, and its log as entries."""

from zetcd.actors.actor import Peer
from zetcd.actors.wal_actor import WalActor
from zetcd.base.settings import Settings
from zetcd.host.logs import Logger
from zetcd.wal.memory import MemoryFiles
from zetcd.wire.entry import Block, Entry, Put, decode_entries, encode_entries
from zetcd.wire.local import HardState, Message, Persist, Persisted, Recover, Recovered

SETTINGS = Settings(name="m1", data_dir="/d", cluster_id=7, member_id=9)
QUIET = Logger(2, "fatal", {})
WAL_DIR = "/d/member/wal"


def block(first: int, count: int, term: int, size: int = 20, mark: int = 0) -> Block:
    """count entries whose values tell index, term and mark, size bytes each."""
    entries = [
        Entry(1, index, Put(b"k%d" % index, b"%d.%d.%d." % (index, term, mark) + b"v" * size))
        for index in range(first, first + count)
    ]
    return Block(first, first + count - 1, term, encode_entries(entries))


def entries_of(blocks: list[Block]) -> dict[int, tuple[int, Entry]]:
    """index -> (term, entry); asserts that the blocks are contiguous."""
    found: dict[int, tuple[int, Entry]] = {}
    for part in blocks:
        assert not found or part.first == max(found) + 1
        for index, entry in enumerate(decode_entries(part.count, part.data), part.first):
            found[index] = (part.term, entry)
    return found


class Member:
    """One life of the actor with raft and apply linked to it."""

    def __init__(self, files: MemoryFiles, segment_bytes: int = 4096, settings: Settings = SETTINGS) -> None:
        self.files = files
        self.actor = WalActor(settings, files, QUIET, segment_bytes=segment_bytes)
        self.raft = Peer("raft", 0, 1)
        self.apply = Peer("apply", 0, 1)
        self.actor.on_peer(self.raft)
        self.actor.on_peer(self.apply)
        self.number = 0
        self.recovered: list[Recovered] = []
        while not self.recovered or not self.recovered[-1].done:
            (answer,) = self.turn(Recover())
            assert isinstance(answer, Recovered)
            self.recovered.append(answer)

    @property
    def state(self) -> HardState:
        return self.recovered[-1].hard_state

    @property
    def blocks(self) -> list[Block]:
        return [part for answer in self.recovered for part in answer.blocks]

    @property
    def base(self) -> tuple[int, int]:
        return (self.recovered[-1].snapshot_index, self.recovered[-1].snapshot_term)

    def turn(self, *messages: Message) -> list[Message]:
        """One turn with these messages from raft; what raft hears."""
        self.actor.on_batch(self.raft, list(messages))
        self.actor.end_turn()
        heard = self.actor.outbox.pop(self.raft, [])
        assert not self.actor.outbox.pop(self.apply, []), "apply goes by raft's word"
        return heard

    def ready(self, *blocks: Block, state: HardState | None = None, sync: bool = True) -> Persist:
        """The next numbered Persist."""
        self.number += 1
        return Persist(self.number, state, list(blocks), sync)

    def persist(self, *blocks: Block, state: HardState | None = None) -> Persisted:
        """One Persist in a turn of its own; its answer."""
        (answer,) = self.turn(self.ready(*blocks, state=state))
        assert isinstance(answer, Persisted)
        return answer


def newest(files: MemoryFiles) -> str:
    """Path of the newest segment."""
    return max(f"{WAL_DIR}/{name}" for name in files.list_dir(WAL_DIR) if name.endswith(".wal"))
