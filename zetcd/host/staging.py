"""The stage of a snapshot that is being received: a LevelDB of its own beside the store (`zetcd.snapshot.receiving`).

Every job runs on one helper thread, one at a time; all but opening, closing and syncing is a write that gives the
interpreter lock away. Writes are not synced one by one: at the end the store is closed and its files are synced,
before it gets the name under which it counts.
"""

from collections.abc import Callable
from dataclasses import dataclass

from zetcd.host.flusher import Flusher
from zetcd.host.leveldb import LevelEngine
from zetcd.host.stores import Stores
from zetcd.snapshot.receiving import Staged
from zetcd.state.machine import Machine


@dataclass(frozen=True, slots=True)
class _Job:
    run: Callable[[], None]

    def write(self) -> None:
        """See `zetcd.host.flusher.Writable`."""
        self.run()


class HostStage:
    """See `zetcd.snapshot.receiving.Stage`. `done_fd` becomes readable when a job has ended, `drain` hands it over."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._thread = Flusher()
        self._engine: LevelEngine | None = None
        self._place = (0, 0)
        self._staged: Staged | None = None
        self.done_fd = self._thread.done_fd

    def drain(self, on_staged: Callable[[Staged | None], None]) -> None:
        """Call on_staged for a job that has ended. Raises Fatal where it failed (rule 22)."""
        self._thread.drain(lambda: on_staged(self._staged))

    # -- jobs ------------------------------------------------------------------------------------------------------
    def begin(self, index: int, term: int) -> None:
        """See `Stage`."""
        self._submit(lambda: self._begin(index, term))

    def write(self, rows: list[bytes]) -> None:
        """See `Stage`. The batch is made here: a busy thread would fight the actor for the interpreter."""
        assert self._engine is not None
        batch = self._engine.batch()
        pairs = iter(rows)
        for key, value in zip(pairs, pairs, strict=True):
            batch.put(key, value)
        self._submit(batch.write)

    def finish(self) -> None:
        """See `Stage`."""
        self._submit(self._finish)

    def discard(self) -> None:
        """See `Stage`."""
        self._submit(self._discard)

    def _submit(self, job: Callable[[], None]) -> None:
        self._staged = None
        self._thread.submit(_Job(job))

    # -- on the thread ---------------------------------------------------------------------------------------------
    def _begin(self, index: int, term: int) -> None:
        self._close()
        self._engine = LevelEngine(self._stores.begin(index, term), sync=False)
        self._place = (index, term)

    def _finish(self) -> None:
        assert self._engine is not None
        machine = Machine(self._engine)
        staged = Staged(machine.applied, machine.applied_term, machine.configuration)
        self._close()
        self._stores.complete(*self._place)
        self._staged = staged

    def _discard(self) -> None:
        self._close()
        self._stores.discard()

    def _close(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()
