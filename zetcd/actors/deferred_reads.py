"""Reads that something else has to happen for first: a sweep, a compaction of the files, a slice of a snapshot."""

from collections.abc import Callable
from typing import Any, Protocol

from zetcd.actors.api_link import ApiLink
from zetcd.actors.exports import Exports, Scratches
from zetcd.state.machine import Machine
from zetcd.wire.queries import CloseExport, CompactWait, Defragment, OpenExport, ReadExport
from zetcd.wire.results import Done


class Job(Protocol):
    """What the thread that defragments is given."""

    def write(self) -> None:
        """Do it."""


class Thread(Protocol):
    """It; `zetcd.host.flusher` has this shape."""

    def submit(self, job: Job, /) -> None:
        """Start; never called while another one is under way."""


class _Files:
    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def write(self) -> None:
        self._machine.compact_files()


class DeferredReads:
    """What waits in apply. `take` is their only way in, `ApiLink.replies` the way out."""

    def __init__(self, machine: Machine) -> None:
        self.exports = Exports(machine, None)
        self._machine = machine
        self._files: Thread | None = None
        self._sweeps: list[tuple[ApiLink, int, int]] = []
        self._defragments: list[tuple[ApiLink, int]] = []
        self.defragmenting = False
        self._defragment_from = 0  # the flush that has to be over first
        self.handlers: dict[type, Callable[[ApiLink, int, Any], None]] = {
            CompactWait: self._on_compact_wait,
            Defragment: self._on_defragment,
            OpenExport: self.exports.open,
            ReadExport: self.exports.read,
            CloseExport: self.exports.close,
        }

    def attach(self, files: Thread, scratches: Scratches) -> None:
        """files: a thread that compacts, and tells `on_defragmented`; scratches: see `Exports`."""
        self._files = files
        self.exports = Exports(self._machine, scratches)
        self.handlers |= {
            OpenExport: self.exports.open, ReadExport: self.exports.read, CloseExport: self.exports.close,
        }  # fmt: skip

    def forget(self, api: ApiLink) -> None:
        """That process is gone."""
        self._sweeps = [item for item in self._sweeps if item[0] is not api]
        self._defragments = [item for item in self._defragments if item[0] is not api]
        self.exports.forget(api)

    def _on_compact_wait(self, api: ApiLink, sequence: int, query: CompactWait) -> None:
        self._sweeps.append((api, sequence, query.revision))

    def on_swept(self) -> None:
        """A slice of the sweep is done."""
        if self._sweeps:
            swept, revision = self._machine.swept_revision, self._machine.revision
            for api, sequence, wanted in self._sweeps:
                if wanted <= swept:
                    api.replies.append((sequence, Done(revision)))
            self._sweeps = [item for item in self._sweeps if item[2] > swept]

    def _on_defragment(self, api: ApiLink, sequence: int, _query: Defragment) -> None:
        if not self.defragmenting:
            self._defragment_from = self._machine.next_flush
        self._defragments.append((api, sequence))

    @property
    def wants_flush(self) -> bool:
        """Whether something waits for what is executed and not synced yet."""
        return self._defragment_from > self._machine.flushes or self.exports.wants_flush

    def end_turn(self) -> None:
        """A slice of a snapshot; the compaction of the files, once they hold what was written when it was asked for."""
        self.exports.end_turn()
        if self._defragments and not self.defragmenting and self._defragment_from <= self._machine.flushes:
            self.defragmenting = True
            if self._files is not None:
                self._files.submit(_Files(self._machine))

    def on_defragmented(self) -> None:
        """All files have been compacted once; whoever asked in the meantime is answered, too."""
        self.defragmenting = False
        revision = self._machine.revision
        for api, sequence in self._defragments:
            api.replies.append((sequence, Done(revision)))
        self._defragments = []
