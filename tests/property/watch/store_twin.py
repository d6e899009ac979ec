"""A store that keeps everything in lists, and the apply process in front of it, as the hub sees them."""

import msgspec

from zetcd.watch.ranges import contains
from zetcd.wire.codec import encode_events
from zetcd.wire.local import Event, Feed, Subscribe, Subscribed
from zetcd.wire.queries import History
from zetcd.wire.replies import KeyValue
from zetcd.wire.results import Failed, Histories, HistoryCompacted

SLICE_REVISIONS = 3


def row_of(create: int, mod: int, version: int, value: bytes) -> bytes:
    return msgspec.msgpack.encode((create, mod, version, value))


def decode_row(key: bytes, row: bytes) -> KeyValue:
    create, mod, version, value = msgspec.msgpack.decode(row)
    return KeyValue(key, create, mod, version, value)


class Store:
    """All events ever, by revision; the current rows; the compact revision."""

    def __init__(self) -> None:
        self.revision = 1
        self.compact_revision = 0
        self.events: list[Event] = []
        self.rows: dict[bytes, bytes] = {}

    def write(self, operations: list[tuple[bytes, bytes | None]]) -> None:
        """One transaction; None deletes. A key at most once."""
        revision, sub = self.revision + 1, 0
        for key, value in operations:
            prev = self.rows.get(key)
            if value is None:
                if prev is None:
                    continue
                del self.rows[key]
                self.events.append(Event(revision, sub, key, None, prev))
            else:
                old = decode_row(key, prev) if prev is not None else None
                create, version = (old.create_revision, old.version + 1) if old else (revision, 1)
                self.rows[key] = row_of(create, revision, version, value)
                self.events.append(Event(revision, sub, key, self.rows[key], prev))
            sub += 1
        if sub:
            self.revision = revision

    def between(self, previous: int, revision: int) -> list[Event]:
        return [event for event in self.events if previous < event.revision <= revision]


def without_prev(events: list[Event]) -> list[Event]:
    return [Event(event.revision, event.sub, event.key, event.row) for event in events]


class Apply:
    """Sends frames in FIFO order, as apply would; a test may lose or blur some of them."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.sent: list[Subscribed | Feed | tuple[int, Histories | HistoryCompacted | Failed]] = []
        self._level = -1
        self._fed = store.revision

    def subscribe(self, message: Subscribe) -> None:
        self.feed()
        self._level = message.level
        store = self.store
        self.sent.append(Subscribed(message.serial, message.level, store.revision, store.compact_revision))

    def feed(self, gap: bool = False, lose: bool = False) -> None:
        """The frame of what happened since the last one; an empty one is the tick of rule 16."""
        if self._level < 0:
            self._fed = self.store.revision
            return
        store = self.store
        events = store.between(self._fed, store.revision) if self._level and not gap else []
        if self._level < 2:
            events = without_prev(events)
        frame = Feed(self._fed, store.revision, store.compact_revision, gap, encode_events(events))
        self._fed = store.revision
        if not lose:
            self.sent.append(frame)

    def read(self, token: int, query: History, fail: bool = False) -> None:
        store = self.store
        if fail:
            self.sent.append((token, Failed(14, "try again", store.revision)))
        elif query.first < store.compact_revision:
            self.sent.append((token, HistoryCompacted(store.revision, store.compact_revision)))
        else:
            self.feed()
            upto = min(store.revision, query.first + SLICE_REVISIONS - 1)
            events = [
                event
                for event in store.between(query.first - 1, upto)
                if any(contains(key, end, event.key) for key, end in query.ranges)
            ]
            if not query.prev_kv:
                events = without_prev(events)
            self.sent.append((token, Histories(store.revision, upto, encode_events(events))))
