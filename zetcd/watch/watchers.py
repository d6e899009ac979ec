"""Watchers, the streams they live on, and the index of the live ones.

A watcher is in exactly one state:

| state | meaning | place it keeps |
|---|---|---|
| PENDING | waits for a Subscribed that fixes "from now" | start revision, or 0 |
| LIVE | in the index; has everything up to the cursor | none: the cursor is its place |
| FUTURE | its next revision lies beyond cursor + 1 | next |
| BEHIND | in line for a history read | next |
| READING | part of a history read in flight | next |
| PAUSED | its client does not read | next |
| GONE | cancelled, dropped, answered | - |
"""

import enum
from collections.abc import Hashable, Iterator, Sequence
from heapq import heapify, heappop, heappush

from zetcd.watch.ranges import RangeIndex
from zetcd.watch.replies import ids_part
from zetcd.wire.local import Event

PREV_KV, NO_PUT, NO_DELETE, FRAGMENT, PROGRESS, POLL, WAIT, CANCELED = 1, 2, 4, 8, 16, 32, 64, 128
FILTERS = NO_PUT | NO_DELETE
ONE_SHOT = POLL | WAIT
KIND = PREV_KV | FRAGMENT | ONE_SHOT  # what decides the form of a reply, given its events


class State(enum.IntEnum):
    """See the table above."""

    PENDING, LIVE, FUTURE, BEHIND, READING, PAUSED, GONE = range(7)


class Stream:
    """Watchers of one client socket; or, for a poll or a wait, the one watcher behind a token."""

    __slots__ = ("behind", "key", "next_id", "paused", "progress_asked", "watchers")

    def __init__(self, key: Hashable) -> None:
        self.key = key
        self.watchers: dict[int, Watcher] = {}
        self.next_id = 0
        self.behind = 0  # watchers that are not LIVE
        self.paused = False
        self.progress_asked = False


class Watcher:
    """One watch, poll or wait."""

    __slots__ = ("active", "flags", "id", "key", "next", "range_end", "state", "stream")

    def __init__(self, stream: Stream, watch_id: int, bounds: tuple[bytes, bytes], start: int, flags: int) -> None:
        self.stream = stream
        self.id = watch_id
        self.key, self.range_end = bounds
        self.next = start
        self.flags = flags
        self.state = State.PENDING
        self.active = False  # got an event since the last periodic progress

    def level(self) -> int:
        """Feed level it needs."""
        return 2 if self.flags & PREV_KV else 1


class Cohort:
    """Watchers of one stream that always get the same replies."""

    __slots__ = ("_part", "watchers")

    def __init__(self) -> None:
        self.watchers: dict[int, Watcher] = {}
        self._part: bytes | None = None

    def add(self, watcher: Watcher) -> None:
        """Its id is not among them."""
        self.watchers[watcher.id] = watcher
        self._part = None

    def remove(self, watcher: Watcher) -> None:
        """Its id is among them."""
        del self.watchers[watcher.id]
        self._part = None

    def part(self) -> bytes:
        """Encoded ids."""
        part = self._part
        if part is None:
            part = self._part = ids_part(list(self.watchers))
        return part


Trait = tuple[int, int]
"""(flags, since): watchers of one range with equal traits see the same events; since cuts a history slice."""
Cohorts = dict[Stream, Cohort]


class Bucket:
    """All watchers of one range."""

    __slots__ = ("traits",)

    def __init__(self) -> None:
        self.traits: dict[Trait, Cohorts] = {}


Receivers = dict[Stream, Cohort] | dict[Stream, list[Cohort]]
Plan = dict[tuple[tuple[int, ...], int], Receivers]
"""(places of events, KIND flags) -> who gets them."""


class Index:
    """Watchers by range; matches a batch of events once for all of them."""

    __slots__ = ("_ranges", "count")

    def __init__(self) -> None:
        self._ranges: RangeIndex[Bucket] = RangeIndex()
        self.count = 0

    def add(self, watcher: Watcher, since: int = 0) -> None:
        """Since: events before this revision are not for it."""
        bucket = self._ranges.get(watcher.key, watcher.range_end)
        if bucket is None:
            bucket = Bucket()
            self._ranges.add(watcher.key, watcher.range_end, bucket)
        cohorts = bucket.traits.setdefault((watcher.flags, since), {})
        cohort = cohorts.get(watcher.stream)
        if cohort is None:
            cohort = cohorts[watcher.stream] = Cohort()
        cohort.add(watcher)
        self.count += 1

    def remove(self, watcher: Watcher) -> None:
        """Inverse of add with since 0."""
        bucket = self._ranges.get(watcher.key, watcher.range_end)
        assert bucket is not None
        cohorts = bucket.traits[watcher.flags, 0]
        cohort = cohorts[watcher.stream]
        cohort.remove(watcher)
        self.count -= 1
        if not cohort.watchers:
            del cohorts[watcher.stream]
            if not cohorts:
                del bucket.traits[watcher.flags, 0]
                if not bucket.traits:
                    self._ranges.remove(watcher.key, watcher.range_end)

    def watchers(self) -> Iterator[Watcher]:
        """All, in a fixed order."""
        for bucket in self._ranges.items():
            for cohorts in bucket.traits.values():
                for cohort in cohorts.values():
                    yield from cohort.watchers.values()

    def clear(self) -> None:
        """Remove all."""
        self._ranges = RangeIndex()
        self.count = 0

    def plan(self, events: Sequence[Event]) -> Plan:
        """Who gets which events; places ascend."""
        plan: Plan = {}
        owned: set[tuple[tuple[int, ...], int]] = set()
        for bucket, hit in self._hits(events).items():
            for (flags, since), cohorts in bucket.traits.items():
                places = hit if not flags & FILTERS and not since else _choose(events, hit, flags, since)
                if not places:
                    continue
                if flags & PROGRESS:
                    _mark_active(cohorts)
                key = (tuple(places), flags & KIND)
                known = plan.get(key)
                if known is None:
                    plan[key] = cohorts
                elif key in owned:
                    _merge(known, cohorts)  # type: ignore[arg-type]
                else:
                    owned.add(key)
                    merged: dict[Stream, list[Cohort]] = {}
                    _merge(merged, known)  # type: ignore[arg-type]
                    _merge(merged, cohorts)
                    plan[key] = merged
        return plan

    def _hits(self, events: Sequence[Event]) -> dict[Bucket, list[int]]:
        hits: dict[Bucket, list[int]] = {}
        exact = self._ranges.exact.get
        stab = self._ranges.stab if self._ranges.has_ranges else None
        for place, event in enumerate(events):
            key = event.key
            bucket = exact(key)
            if bucket is not None:
                hits.setdefault(bucket, []).append(place)
            if stab is not None:
                for bucket in stab(key):
                    hits.setdefault(bucket, []).append(place)
        return hits


def _choose(events: Sequence[Event], places: list[int], flags: int, since: int) -> list[int]:
    return [
        place
        for place in places
        if events[place].revision >= since and not flags & (NO_DELETE if events[place].row is None else NO_PUT)
    ]


def _mark_active(cohorts: Cohorts) -> None:
    for cohort in cohorts.values():
        for watcher in cohort.watchers.values():
            watcher.active = True


def _merge(into: dict[Stream, list[Cohort]], cohorts: Cohorts) -> None:
    for stream, cohort in cohorts.items():
        known = into.get(stream)
        if known is None:
            into[stream] = [cohort]
        else:
            known.append(cohort)


class Schedule:
    """Watchers by a number that falls due, each at most once; removal costs nothing, memory follows the live ones."""

    __slots__ = ("_heap", "_serial", "_valid")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Watcher]] = []
        self._valid: dict[Watcher, int] = {}
        self._serial = 0

    def add(self, watcher: Watcher, due: int) -> None:
        """Replaces a former entry."""
        self._serial += 1
        self._valid[watcher] = self._serial
        heappush(self._heap, (due, self._serial, watcher))
        if len(self._heap) > 64 + 2 * len(self._valid):
            self._heap = [entry for entry in self._heap if self._valid.get(entry[2]) == entry[1]]
            heapify(self._heap)

    def remove(self, watcher: Watcher) -> None:
        """Nothing where it is not scheduled."""
        self._valid.pop(watcher, None)

    def pop(self, limit: int) -> list[Watcher]:
        """Take out those due at or below limit, in order of their number."""
        heap = self._heap
        due: list[Watcher] = []
        while heap and heap[0][0] <= limit:
            _, serial, watcher = heappop(heap)
            if self._valid.get(watcher) == serial:
                del self._valid[watcher]
                due.append(watcher)
        return due
