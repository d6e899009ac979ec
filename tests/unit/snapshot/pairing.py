"""A sender and a receiver of snapshots with a network of the test between them, and a stage in memory."""

from collections.abc import Callable
from dataclasses import dataclass, field

from zetcd.snapshot.receiving import Receiver, Staged
from zetcd.snapshot.sending import Sender
from zetcd.wire.local import ConfState
from zetcd.wire.snapshot import SnapshotMessage, decode_snapshot, encode_snapshot

CONF = ConfState([1, 2, 3])
POSITION = (100, 7)
Pair = tuple[bytes, bytes]


class View:
    """A pinned view of pairs. read: how often each position was read."""

    def __init__(self, pairs: list[Pair]) -> None:
        self.pairs = sorted(pairs)
        self.at = 0
        self.closed = False

    def take(self, count: int) -> list[Pair]:
        assert not self.closed
        taken = self.pairs[self.at : self.at + count]
        self.at += len(taken)
        return taken

    def seek(self, key: bytes) -> None:
        self.at = sum(1 for found, _ in self.pairs if found < key)

    def close(self) -> None:
        self.closed = True


@dataclass
class MemoryStage:
    """Jobs end when the test says so. disk: what a crash leaves: the pending rows go, a complete store stays."""

    says: tuple[int, int] = POSITION
    pending: dict[bytes, bytes] | None = None
    complete: dict[bytes, bytes] | None = None
    job: Callable[[], Staged | None] | None = None
    jobs: int = 0

    def _start(self, job: Callable[[], Staged | None]) -> None:
        assert self.job is None, "one job at a time"
        self.job = job
        self.jobs += 1

    def begin(self, index: int, term: int) -> None:
        def work() -> None:
            self.pending, self.complete = {}, None

        self._start(work)

    def write(self, rows: list[bytes]) -> None:
        def work() -> None:
            assert self.pending is not None
            self.pending.update(zip(rows[::2], rows[1::2], strict=True))

        self._start(work)

    def finish(self) -> None:
        def work() -> Staged:
            assert self.pending is not None
            self.complete, self.pending = self.pending, None
            return Staged(*self.says, CONF)

        self._start(work)

    def discard(self) -> None:
        def work() -> None:
            self.pending = self.complete = None

        self._start(work)

    def end(self, receiver: Receiver) -> bool:
        """The job under way ends."""
        job, self.job = self.job, None
        if job is None:
            return False
        receiver.on_staged(job())
        return True


@dataclass
class Pairing:
    """Both sides, and what is on the way between them, in bytes."""

    pairs: list[Pair]
    term: int = 7
    position: tuple[int, int] = POSITION
    applied: int = 3
    now_ms: int = 0
    serial: int = 0
    stage: MemoryStage = field(default_factory=MemoryStage)
    to_receiver: list[bytes] = field(default_factory=list)
    to_sender: list[bytes] = field(default_factory=list)
    held_most: int = 0

    def __post_init__(self) -> None:
        self.stage.says = self.position
        self.sender = self.new_sender()
        self.receiver = self.new_receiver()

    def _next_serial(self) -> int:
        self.serial += 1
        return self.serial

    def new_sender(self) -> Sender:
        return Sender(self.term, self._next_serial, self.position, View(self.pairs), self.now_ms)

    def new_receiver(self) -> Receiver:
        return Receiver(self.stage, lambda: self.applied, arrived=self.stage.complete is not None)

    def collect(self) -> None:
        """What both sides have said is on its way now."""
        self.to_receiver += [encode_snapshot(message) for message in self.sender.out]
        self.to_sender += [encode_snapshot(receipt) for _, receipt in self.receiver.out]
        self.sender.out, self.receiver.out = [], []
        self.held_most = max(self.held_most, self.sender.held, self.receiver.held)

    def hear(self, data: bytes) -> None:
        self.receiver.on_message(9, decode_snapshot(data), self.now_ms)
        self.collect()

    def answer(self, data: bytes) -> None:
        message: SnapshotMessage = decode_snapshot(data)
        self.sender.on_receipt(message, self.now_ms)  # type: ignore[arg-type]  # receipts alone go this way
        self.collect()

    def tick(self, ms: int = 100) -> None:
        self.now_ms += ms
        self.sender.on_tick(self.now_ms)
        self.receiver.on_tick(self.now_ms)
        self.collect()

    def crash_receiver(self) -> None:
        """Its process ends: what is complete stays, what is pending goes at the next start."""
        self.stage.job = None
        self.stage.pending = None
        self.receiver = self.new_receiver()

    def crash_sender(self) -> None:
        """Its member starts anew, leads again in a later term, and begins with a later view."""
        self.term += 1
        self.sender = self.new_sender()

    def install(self) -> None:
        """raft and wal have done their part, and the process starts anew on the store."""
        assert self.stage.complete == dict(self.pairs), "what is installed is exactly what was sent"
        self.applied = self.position[0]
        self.stage.complete = None
        self.crash_receiver()

    def smooth(self, rounds: int = 10_000) -> None:
        """A faultless network, to the end."""
        for _ in range(rounds):
            self.collect()
            if self.sender.done:
                return
            self.round()
        raise AssertionError("the transfer does not end")

    def round(self) -> None:
        """Everything on the way arrives, everybody does what he can."""
        for data in self._take("to_receiver"):
            self.hear(data)
        self.stage.end(self.receiver)
        self.collect()
        for data in self._take("to_sender"):
            self.answer(data)
        self.sender.step()
        self.collect()
        if self.receiver.arrival is not None:
            self.receiver.arrival = None
            self.install()
        elif self.receiver.phase == self.receiver.phase.ARRIVED:
            self.receiver.settle()
        self.tick()

    def _take(self, name: str) -> list[bytes]:
        taken: list[bytes] = getattr(self, name)
        setattr(self, name, [])
        return taken
