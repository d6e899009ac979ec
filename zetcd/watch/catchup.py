"""Catching up watchers that are behind, by history reads shared between them.

Watchers wait in line. A read takes the first one and those near its revision, up to RANGES_PER_READ distinct ranges,
asks apply for everything from the smallest revision on, and gets a slice. Whoever is still behind after it goes to the
end of the line, so a watcher ten million revisions back does not hold up those that miss a few.
"""

from collections import OrderedDict
from dataclasses import dataclass

from zetcd.base.limits import HISTORY_SLICE_REVISIONS
from zetcd.watch.watchers import PREV_KV, State, Watcher
from zetcd.wire.queries import History

HISTORIES_INFLIGHT = 4
RANGES_PER_READ = 512
LOOKED_AT = 4_096  # watchers considered for one read, so that forming it stays short


@dataclass(slots=True)
class Group:
    """A read in flight."""

    first: int
    watchers: list[Watcher]


class CatchUp:
    """The line, and the reads in flight."""

    __slots__ = ("_inflight", "_resting", "_token", "_waiting")

    def __init__(self) -> None:
        self._waiting: OrderedDict[Watcher, None] = OrderedDict()
        self._inflight: dict[int, Group] = {}
        self._resting: list[Watcher] = []  # after a failed read, until the next tick
        self._token = 0

    def add(self, watcher: Watcher) -> None:
        """To the end of the line; its state is BEHIND."""
        self._waiting[watcher] = None

    def remove(self, watcher: Watcher) -> None:
        """A BEHIND watcher goes elsewhere. (Those in flight are told by their state when the answer comes.)"""
        self._waiting.pop(watcher, None)

    @property
    def waiting(self) -> bool:
        """Whether some watcher stands in line."""
        return bool(self._waiting)

    def rest(self, watcher: Watcher) -> None:
        """In line again from the next tick on; its state is BEHIND."""
        self._resting.append(watcher)

    def wake(self) -> None:
        """A tick."""
        for watcher in self._resting:
            if watcher.state is State.BEHIND:
                self._waiting[watcher] = None
        self._resting = []

    def drain(self) -> list[Watcher]:
        """Take everyone out of the line."""
        self.wake()
        watchers = list(self._waiting)
        self._waiting.clear()
        return watchers

    def abandon(self) -> list[Watcher]:
        """Forget the reads in flight; returns their watchers."""
        watchers = [watcher for group in self._inflight.values() for watcher in group.watchers]
        self._inflight = {}
        return [watcher for watcher in watchers if watcher.state is State.READING]

    def answered(self, token: int) -> Group | None:
        """The read that token named, with the watchers that still want its answer."""
        group = self._inflight.pop(token, None)
        if group is not None:
            group.watchers = [watcher for watcher in group.watchers if watcher.state is State.READING]
        return group

    def reads(self) -> list[tuple[int, History]]:
        """New reads, as many as may be in flight."""
        found: list[tuple[int, History]] = []
        while self._waiting and len(self._inflight) < HISTORIES_INFLIGHT:
            self._token += 1
            found.append((self._token, self._form(self._token)))
        return found

    def _form(self, token: int) -> History:
        waiting = self._waiting
        lead, _ = waiting.popitem(last=False)
        prev_kv = lead.flags & PREV_KV
        watchers = [lead]
        ranges = {(lead.key, lead.range_end): None}
        passed: list[Watcher] = []
        for _ in range(min(len(waiting), LOOKED_AT)):
            watcher, _ = waiting.popitem(last=False)
            bounds = (watcher.key, watcher.range_end)
            near = abs(watcher.next - lead.next) < HISTORY_SLICE_REVISIONS
            fits = bounds in ranges or len(ranges) < RANGES_PER_READ
            if near and fits and watcher.flags & PREV_KV == prev_kv:
                watchers.append(watcher)
                ranges[bounds] = None
            else:
                passed.append(watcher)
        for watcher in reversed(passed):  # back to the front, in their order: only who was read goes to the end
            waiting[watcher] = None
            waiting.move_to_end(watcher, last=False)
        first = min(watcher.next for watcher in watchers)
        for watcher in watchers:
            watcher.state = State.READING
        self._inflight[token] = Group(first, watchers)
        return History(first, 0, list(ranges), bool(prev_kv))
