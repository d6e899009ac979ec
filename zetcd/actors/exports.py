"""Snapshots for clients, in apply: the store as a file, planned and read in slices between turns (design rule 19).

    api --OpenExport--> waits for the flush of what was executed by then --> planned in slices --Exported(size)--> api
    api --ReadExport--> rendered in slices --Exported(chunk)--> api, as often as its client has room

The api process asks for each chunk, so what a slow client does not take is not made: what it holds here is the pinned
view and its notes. With that process, or at CloseExport, they go.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from zetcd.actors.api_link import ApiLink
from zetcd.base import limits
from zetcd.base.errors import EXPORT_FAILED, EXPORT_LOST, TOO_MANY_REQUESTS, Error, Fatal
from zetcd.mvcc.engine import Engine
from zetcd.state.export import Export
from zetcd.state.machine import Machine
from zetcd.wire.queries import CloseExport, OpenExport, ReadExport
from zetcd.wire.results import Done, Exported, Failed


class Scratches(Protocol):
    """Where notes are kept; `zetcd.host.scratch` has this shape."""

    def make(self, done: Callable[[Engine | None], None], /) -> None:
        """Done is called in a later turn, with an empty engine that goes with its `close`, or with None."""


@dataclass(slots=True, eq=False)
class _Open:
    """flush: the one that has to be over first; asked: sequence of the read that waits, 0 for none; scratch: made and
    not taken into an export yet; making: it is on its way."""

    flush: int
    asked: int
    export: Export | None = None
    scratch: Engine | None = None
    making: bool = True


class Exports:
    """All of them."""

    def __init__(self, machine: Machine, scratches: Scratches | None) -> None:
        self._machine = machine
        self._scratches = scratches
        self._open: dict[tuple[ApiLink, int], _Open] = {}

    @property
    def count(self) -> int:
        """How many are open."""
        return len(self._open)

    # -- from api --------------------------------------------------------------------------------------------------
    def open(self, api: ApiLink, sequence: int, query: OpenExport) -> None:
        """A new snapshot."""
        if self._scratches is None or len(self._open) >= limits.EXPORTS_MAX:
            self._fail(api, sequence, TOO_MANY_REQUESTS)
            return
        opened = self._open[api, query.id] = _Open(self._machine.next_flush, sequence)
        self._scratches.make(lambda scratch: self._made((api, query.id), opened, scratch))

    def _made(self, key: tuple[ApiLink, int], opened: _Open, scratch: Engine | None) -> None:
        opened.making = False
        if self._open.get(key) is not opened:
            if scratch is not None:
                scratch.close()
        elif scratch is None:
            self._give_up(key, opened)
        else:
            opened.scratch = scratch

    def _give_up(self, key: tuple[ApiLink, int], opened: _Open) -> None:
        self._fail(key[0], opened.asked, EXPORT_FAILED)
        self._drop(key)

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
        elif found is not None and found.scratch is not None:
            found.scratch.close()

    # -- the turn --------------------------------------------------------------------------------------------------
    @property
    def wants_flush(self) -> bool:
        """Whether one waits for what is not synced yet."""
        flushes = self._machine.flushes
        return any(each.export is None and each.flush > flushes for each in self._open.values())

    def _ready(self, each: _Open) -> bool:
        if not each.asked or each.making:
            return False
        return each.export is not None or each.flush <= self._machine.flushes

    @property
    def busy(self) -> bool:
        """Whether `end_turn` would do something."""
        return any(self._ready(each) for each in self._open.values())

    def end_turn(self) -> None:
        """One slice, of them in turn."""
        for key, each in self._open.items():
            if self._ready(each):
                self._open[key] = self._open.pop(key)  # to the end of the line
                self._step(key, each)
                return

    def _step(self, key: tuple[ApiLink, int], each: _Open) -> None:
        api, export = key[0], each.export
        if export is None:
            assert each.scratch is not None
            each.export, each.scratch = self._machine.export(each.scratch), None
        elif not export.planned:
            try:
                export.plan()
            except Fatal:  # of the notes, which nobody else needs: the disk is full, perhaps with them
                self._give_up(key, each)
                return
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
