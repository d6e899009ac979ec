"""Snapshots for clients, in apply: the store as a file, planned and read in slices between turns (design rule 19).

    api --OpenExport--> waits for the flush of what was executed by then --> planned in slices --Exported(size)--> api
    api --ReadExport--> rendered in slices --Exported(chunk)--> api, as often as its client has room

The api process asks for each chunk, so what a slow client does not take is not made: what it holds here is the pinned
view and its notes. With that process, or at CloseExport, they go.
"""

from collections.abc import Callable
from dataclasses import dataclass

from zetcd.actors.api_link import ApiLink
from zetcd.base import limits
from zetcd.base.errors import EXPORT_LOST, TOO_MANY_REQUESTS, Error
from zetcd.mvcc.engine import Engine
from zetcd.state.export import Export
from zetcd.state.machine import Machine
from zetcd.wire.queries import CloseExport, OpenExport, ReadExport
from zetcd.wire.results import Done, Exported, Failed


@dataclass(slots=True, eq=False)
class _Open:
    """flush: the one that has to be over first; asked: sequence of the read that waits, 0 for none."""

    flush: int
    asked: int
    export: Export | None = None


class Exports:
    """All of them. scratch makes an empty engine, which goes with its `close`."""

    def __init__(self, machine: Machine, scratch: Callable[[], Engine] | None) -> None:
        self._machine = machine
        self._scratch = scratch
        self._open: dict[tuple[ApiLink, int], _Open] = {}

    # -- from api --------------------------------------------------------------------------------------------------
    def open(self, api: ApiLink, sequence: int, query: OpenExport) -> None:
        """A new snapshot."""
        if self._scratch is None or len(self._open) >= limits.EXPORTS_MAX:
            self._fail(api, sequence, TOO_MANY_REQUESTS)
        else:
            self._open[api, query.id] = _Open(self._machine.next_flush, sequence)

    def read(self, api: ApiLink, sequence: int, query: ReadExport) -> None:
        """Its next chunk."""
        found = self._open.get((api, query.id))
        if found is None:
            self._fail(api, sequence, EXPORT_LOST)  # of an earlier life of this process
        else:
            found.asked = sequence

    def close(self, api: ApiLink, sequence: int, query: CloseExport) -> None:
        """Enough of it."""
        self._drop((api, query.id))
        api.replies.append((sequence, Done(self._machine.revision)))

    def forget(self, api: ApiLink) -> None:
        """That process is gone."""
        for key in [key for key in self._open if key[0] is api]:
            self._drop(key)

    def _fail(self, api: ApiLink, sequence: int, error: Error) -> None:
        api.replies.append((sequence, Failed(error.code, error.message, self._machine.revision)))

    def _drop(self, key: tuple[ApiLink, int]) -> None:
        found = self._open.pop(key, None)
        if found is not None and found.export is not None:
            found.export.close()

    # -- the turn --------------------------------------------------------------------------------------------------
    @property
    def wants_flush(self) -> bool:
        """Whether one waits for what is not synced yet."""
        flushes = self._machine.flushes
        return any(each.export is None and each.flush > flushes for each in self._open.values())

    def _ready(self, each: _Open) -> bool:
        return bool(each.asked) and (each.export is not None or each.flush <= self._machine.flushes)

    @property
    def busy(self) -> bool:
        """Whether `end_turn` would do something."""
        return any(self._ready(each) for each in self._open.values())

    def end_turn(self) -> None:
        """One slice, of them in turn."""
        for key, each in self._open.items():
            if self._ready(each):
                self._step(key[0], each)
                self._open[key] = self._open.pop(key)  # to the end of the line
                return

    def _step(self, api: ApiLink, each: _Open) -> None:
        export = each.export
        if export is None:
            assert self._scratch is not None
            each.export = self._machine.export(self._scratch())
        elif not export.planned:
            export.plan()
            if export.planned:
                self._answer(api, each, Exported(export.revision, export.remaining))
        else:
            chunk = export.read()
            if chunk is not None:
                self._answer(api, each, Exported(export.revision, export.remaining, chunk, export.digest))

    @staticmethod
    def _answer(api: ApiLink, each: _Open, answer: Exported) -> None:
        api.replies.append((each.asked, answer))
        each.asked = 0
