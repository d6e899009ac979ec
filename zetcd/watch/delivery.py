"""Turning a plan (who gets which events) into replies, and collecting all output of the hub."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from zetcd.watch.replies import Batch, Replies, ids_part
from zetcd.watch.watchers import FRAGMENT, ONE_SHOT, POLL, PREV_KV, Cohort, Plan, Receivers, Watcher
from zetcd.wire.local import Event
from zetcd.wire.replies import KeyValue


@dataclass(frozen=True, slots=True)
class Woken:
    """What a one-shot `wait` saw. events: matching events of complete revisions, in order; next_revision: where to
    wait from next. compact_revision > 0: the start revision is gone (no events). lost: the store fell behind."""

    events: list[Event]
    next_revision: int
    compact_revision: int = 0
    lost: bool = False


class Delivery:
    """Output queues of one turn. events: sent to watchers of streams so far, one for each that gets it."""

    __slots__ = ("_decode_row", "_fragment_bytes", "events", "out", "replies", "woken")

    def __init__(self, decode_row: Callable[[bytes, bytes], KeyValue], fragment_bytes: int) -> None:
        self._decode_row = decode_row
        self._fragment_bytes = fragment_bytes
        self.replies = Replies()
        self.events = 0
        self.out: list[tuple[Hashable, bytes]] = []
        self.woken: list[tuple[Hashable, Woken]] = []

    def deliver(self, events: list[Event], plan: Plan, revision: int, covered: int) -> list[Watcher]:
        """Send the planned events. revision: what headers show; covered: revisions up to it are now complete.
        Returns the one-shot watchers that have been answered."""
        batch = Batch(events, self._decode_row)
        answered: list[Watcher] = []
        for (places, kind), receivers in plan.items():
            if kind & ONE_SHOT:
                for cohorts in receivers.values():
                    for cohort in (cohorts,) if isinstance(cohorts, Cohort) else cohorts:
                        answered.extend(cohort.watchers.values())
                self._answer(batch, (places, kind), receivers, revision, covered)
                continue
            fragment_bytes = self._fragment_bytes if kind & FRAGMENT else 0
            watchers = 0
            for _, data, more in batch.pieces(places, kind & PREV_KV, fragment_bytes):
                watchers = self._send(data, more, receivers, revision)
            self.events += len(places) * watchers
        return answered

    def _send(self, data: bytes, more: bool, receivers: Receivers, revision: int) -> int:
        """One reply to each stream; equal ids share the bytes. How many watchers it goes to."""
        known: dict[bytes, bytes] = {}
        watchers = 0
        append = self.out.append
        for stream, cohorts in receivers.items():
            if isinstance(cohorts, Cohort):
                part = cohorts.part()
                watchers += len(cohorts.watchers)
            else:
                ids = [watch_id for cohort in cohorts for watch_id in cohort.watchers]
                part = ids_part(ids)
                watchers += len(ids)
            reply = known.get(part)
            if reply is None:
                reply = known[part] = self.replies.events(revision, part, data, more)
            append((stream.key, reply))
        return watchers

    def _answer(
        self, batch: Batch, key: tuple[tuple[int, ...], int], receivers: Receivers, revision: int, covered: int
    ) -> None:
        places, kind = key
        if kind & POLL:
            pieces = batch.pieces(places, kind & PREV_KV, 0)
            last, data, _ = next(pieces)
            if next(pieces, None) is None:
                last = covered
            reply = self.replies.poll(revision, last + 1, data)
            self.out.extend((stream.key, reply) for stream in receivers)
        else:
            woken = Woken([batch.events[place] for place in places], covered + 1)
            self.woken.extend((stream.key, woken) for stream in receivers)
