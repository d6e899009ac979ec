"""Reads that may take more than one turn (design rule 19)."""

from collections.abc import Callable

from zetcd.base import limits
from zetcd.wire.results import Result


class Cursor:
    """A read in slices on a consistent view: `step` until it answers, `close` at the end or to give up.

    The store answers at once where the first step does; otherwise it pins the cursor, and the actor resumes it in later
    turns, whatever is written in between.
    """

    __slots__ = ()

    def step(self) -> Result | None:
        """One slice of work, at most about READ_SLICE_KEYS rows and READ_SLICE_BYTES; the answer when it is complete.
        The cursor closes itself with its answer."""
        raise NotImplementedError

    def pin(self) -> None:
        """Make the view independent of later writes."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of what is pinned; may be called twice."""
        raise NotImplementedError


class Slice:
    """The budget of one step: how many rows to ask for next, by rows and by the bytes that rows turn out to have."""

    __slots__ = ("_bytes", "_next", "_rows")

    FIRST_ROWS = 16
    GROWTH = 8

    def __init__(self) -> None:
        self._rows = limits.READ_SLICE_KEYS
        self._bytes = limits.READ_SLICE_BYTES
        self._next = self.FIRST_ROWS

    def ask(self) -> int:
        """Rows to read next; 0 when the slice is used up."""
        return max(0, min(self._next, self._rows)) if self._bytes > 0 else 0

    def ask_keys(self) -> int:
        """The same where no values are read, so that their size is no reason for caution."""
        return max(0, self._rows) if self._bytes > 0 else 0

    def spend(self, rows: int, size: int) -> None:
        """So many rows were read, so many bytes they had."""
        self._rows -= rows or 1
        self._bytes -= size
        affordable = max(1, self._bytes * rows // size) if size else self._rows
        self._next = min(self._next * self.GROWTH, affordable)


def finish(cursor: Cursor, alive: Callable[[], None] = lambda: None) -> Result:
    """All steps at once, for reads inside a transaction. alive: called between them."""
    while (result := cursor.step()) is None:
        alive()
    return result
