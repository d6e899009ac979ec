"""Reads that may be answered: whatever they had to wait for has happened, and they are served in their order.

A turn answers so many of them and so many bytes; what takes longer than a slice becomes a cursor (`long_reads`), what
something else has to happen for first goes to `deferred_reads`. An api process that has not read what it was answered
gets no further large answer: its reads are held until it has (rule 17).
"""

from collections import deque
from collections.abc import Iterable

from zetcd.actors.api_link import ApiLink
from zetcd.actors.deferred_reads import DeferredReads
from zetcd.actors.long_reads import LongReads
from zetcd.base import errors, limits
from zetcd.state.machine import Cursor, Machine
from zetcd.wire.entry import Range
from zetcd.wire.queries import Read
from zetcd.wire.results import MAY_BE_LARGE, Failed, Result, answer_bytes


class Reads:
    """due: in the order of their arrival. The way out is `ApiLink.replies`."""

    __slots__ = ("_deferred", "_machine", "due", "long")

    def __init__(self, machine: Machine, deferred: DeferredReads) -> None:
        self._machine = machine
        self._deferred = deferred
        self.due: deque[tuple[ApiLink, Read]] = deque()
        self.long = LongReads()

    def add(self, api: ApiLink, reads: Iterable[Read]) -> None:
        """They may be answered now."""
        self.due.extend([(api, read) for read in reads])

    def on_credit(self, api: ApiLink) -> None:
        """That process has read something of what it was answered."""
        if api.held and api.unread < limits.ANSWERS_UNREAD_BYTES_MAX:
            self.add(api, api.held)
            api.held = []

    def forget(self, api: ApiLink) -> None:
        """That process is gone."""
        self.due = deque(item for item in self.due if item[0] is not api)
        self.long.forget(api)

    def answer(self) -> int:
        """A turn's worth; how many were taken up."""
        due, query, seen = self.due, self._machine.query, dict[object, Result]()
        deferred = self._deferred.handlers
        count, size = 0, 0
        while due and count < limits.READS_PER_TURN and size < limits.READ_TURN_BYTES:
            api, read = due.popleft()
            if api.unread >= limits.ANSWERS_UNREAD_BYTES_MAX:
                api.held.append(read)  # until it has read what it was answered
                continue
            count += 1
            what = read.query
            plain = type(what) is Range
            result = seen.get(what) if plain else None
            if result is None:
                if type(what) in deferred:
                    deferred[type(what)](api, read.sequence, what)
                    continue
                answer = query(what)
                if isinstance(answer, Cursor):
                    self._pin(api, read.sequence, answer)
                    continue
                result = answer
                if plain:
                    seen[what] = result  # equal reads of a turn are done once
            if type(result) in MAY_BE_LARGE:
                large = answer_bytes(result)
                api.unread += large
                size += large
            api.replies.append((read.sequence, result))
        return count

    def _pin(self, api: ApiLink, sequence: int, cursor: Cursor) -> None:
        if not self.long.add(api, sequence, cursor):
            error = errors.TOO_MANY_REQUESTS
            api.replies.append((sequence, Failed(error.code, error.message, self._machine.revision)))

    def step_long(self) -> None:
        """A few slices of those that take longer."""
        for api, sequence, result in self.long.step():
            assert isinstance(api, ApiLink)
            api.unread += answer_bytes(result)
            api.replies.append((sequence, result))
