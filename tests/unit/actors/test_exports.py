"""Snapshots in apply: what they wait for, in which order, and what lets go of them."""

import pytest

from tests.unit.actors.store import HeldScratches, Store
from tests.unit.bolt.reading import buckets
from zetcd.base import errors, limits
from zetcd.base.errors import Fatal
from zetcd.mvcc.engine import MemoryBatch, MemoryEngine
from zetcd.wire.entry import Put
from zetcd.wire.local import ReadBatch, Replies
from zetcd.wire.queries import CloseExport, Defragment, OpenExport, Query, Read, ReadExport
from zetcd.wire.results import Done, Exported, Failed, Result


class Notes(MemoryEngine):
    """An engine that knows whether it was closed, and may have no room."""

    def __init__(self, *, full: bool = False) -> None:
        super().__init__()
        self.full = full
        self.closed = False

    def batch(self) -> MemoryBatch:
        if self.full:
            raise Fatal("no space left on device")
        return super().batch()

    def close(self) -> None:
        self.closed = True


class HeldThread:
    """Runs a job when the test says so."""

    def __init__(self) -> None:
        self.jobs: list[object] = []

    def submit(self, job: object, /) -> None:
        self.jobs.append(job)


class Apply(Store):
    """With notes and a thread for defragmentation."""

    def __init__(self) -> None:
        super().__init__()
        self.scratches, self.files = HeldScratches(), HeldThread()
        self.actor.deferred.attach(self.files, self.scratches)
        self.grant()
        self.execute(Put(b"a", b"1"), Put(b"b", b"2"))
        self.turn()
        self.frames.clear()

    def ask(self, sequence: int, query: Query) -> None:
        self.context += 1
        batch = ReadBatch(self.context, linearizable=False, reads=[Read(sequence, query)])
        self.turn(self.api, batch)

    def told(self) -> dict[int, Result]:
        found = [m for _, messages in self.frames for m in messages if isinstance(m, Replies)]
        self.frames.clear()
        return {sequence: result for message in found for sequence, result in message.replies}

    def flush(self) -> None:
        """Until nothing is unsynced."""
        while self.actor.machine.next_flush > self.actor.machine.flushes:
            self.turn()
            held, self.flusher.held = self.flusher.held, []
            for flush in held:
                flush.write()
                self.actor.on_flushed()


@pytest.fixture
def store() -> Apply:
    return Apply()


def run(store: Apply) -> None:
    for _ in range(100):
        store.turn()


def test_it_waits_for_the_flush_of_what_was_executed_and_for_its_notes(store: Apply) -> None:
    store.ask(-1, OpenExport(1))
    run(store)
    notes = Notes()
    store.scratches.asked.pop()(notes)
    run(store)
    assert store.told() == {}
    store.flush()
    run(store)
    answer = store.told()[-1]
    assert isinstance(answer, Exported)
    assert (answer.revision, answer.data) == (3, b"")
    data = b""
    for sequence in range(-2, -100, -1):
        store.ask(sequence, ReadExport(1))
        run(store)
        part = store.told()[sequence]
        assert isinstance(part, Exported)
        data += part.data
        if part.digest:
            break
    assert len(buckets(data)[b"key"]) == 2
    store.ask(-200, CloseExport(1))
    assert store.told() == {-200: Done(3)}
    assert notes.closed


@pytest.mark.parametrize("when", ["before the notes", "before the flush", "planned"])
@pytest.mark.parametrize("way", ["closed", "gone"])
def test_nothing_is_left_of_one_that_ends_early(store: Apply, when: str, way: str) -> None:
    notes = Notes()
    store.ask(-1, OpenExport(1))
    if when != "before the notes":
        store.scratches.asked.pop()(notes)
    if when == "planned":
        store.flush()
        run(store)
    if way == "closed":
        store.ask(-2, CloseExport(1))
    else:
        store.actor.on_lost(store.api)
    if when == "before the notes":
        store.scratches.asked.pop()(notes)
    store.flush()
    run(store)
    assert notes.closed
    assert not store.actor.busy()


def test_no_room_for_notes_fails_the_snapshot_and_nothing_else(store: Apply) -> None:
    for number, notes in enumerate((None, Notes(full=True))):
        store.ask(-1 - number, OpenExport(number))
        store.scratches.asked.pop()(notes)
        store.flush()
        run(store)
        assert store.told() == {-1 - number: Failed(errors.EXPORT_FAILED.code, errors.EXPORT_FAILED.message, 3)}
        assert notes is None or notes.closed


def test_an_unknown_one_and_too_many(store: Apply) -> None:
    store.ask(-1, ReadExport(5))
    for number in range(limits.EXPORTS_MAX + 1):
        store.ask(-10 - number, OpenExport(number))
    assert store.told() == {
        -1: Failed(errors.EXPORT_LOST.code, errors.EXPORT_LOST.message, 3),
        -10 - limits.EXPORTS_MAX: Failed(errors.TOO_MANY_REQUESTS.code, errors.TOO_MANY_REQUESTS.message, 3),
    }


def test_defragment_runs_once_for_all_who_ask_after_what_is_written_is_synced(store: Apply) -> None:
    store.ask(-1, Defragment())
    run(store)
    assert store.files.jobs == []
    store.flush()
    run(store)
    assert len(store.files.jobs) == 1
    store.ask(-2, Defragment())
    run(store)
    assert (len(store.files.jobs), store.told()) == (1, {})
    store.actor.deferred.on_defragmented()
    store.turn()
    assert store.told() == {-1: Done(3), -2: Done(3)}
    store.ask(-3, Defragment())
    run(store)
    assert len(store.files.jobs) == 2
