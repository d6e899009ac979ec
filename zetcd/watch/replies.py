"""Building watch replies out of parts that are encoded once.

A reply is a map ``{header, watch_id | watch_ids, [fragment], events}``. The header is encoded once a frame, every event
at most twice (with and without its former row), the list of ids once per group of watches; a reply is the
concatenation of such parts, and equal replies of many streams are one bytes object. What a reader decodes is exactly
an encoded `zetcd.wire.replies.WatchReply`.
"""

from collections.abc import Callable, Iterator, Sequence

from zetcd.base.errors import Error
from zetcd.base.limits import WATCH_FRAME_BYTES
from zetcd.wire.codec import encode
from zetcd.wire.local import Event
from zetcd.wire.replies import ErrorMap, EventMap, Header, KeyValue, WatchPollReply, WatchReply

_HEADER, _EVENTS = encode("header"), encode("events")
_IDS_ONE, _IDS_MANY, _FRAGMENT = encode("watch_id"), encode("watch_ids"), encode("fragment") + encode(True)
_NEXT = encode("next_revision")
_MAP = [bytes((0x80 | fields,)) + _HEADER for fields in range(6)]


def array_header(count: int) -> bytes:
    """MessagePack array header."""
    if count < 16:
        return bytes((0x90 | count,))
    if count < 65536:
        return b"\xdc" + count.to_bytes(2, "big")
    return b"\xdd" + count.to_bytes(4, "big")


def ids_part(ids: Sequence[int]) -> bytes:
    """Encoded ``watch_id`` or ``watch_ids`` field; empty for the one id 0, which is the default."""
    if len(ids) == 1:
        return _IDS_ONE + encode(ids[0]) if ids[0] else b""
    return _IDS_MANY + encode(ids)


class Batch:
    """Events of one frame or history slice and their encodings."""

    __slots__ = ("_bare", "_decode_row", "_full", "events")

    def __init__(self, events: list[Event], decode_row: Callable[[bytes, bytes], KeyValue]) -> None:
        self.events = events
        self._decode_row = decode_row
        self._bare: dict[int, bytes] = {}
        self._full: dict[int, bytes] = {}

    def encoded(self, place: int, prev_kv: int) -> bytes:
        """Event number `place` as an EventMap, with its former row if prev_kv."""
        cache = self._full if prev_kv else self._bare
        data = cache.get(place)
        if data is None:
            event = self.events[place]
            if event.row is None:
                key_value, kind = KeyValue(event.key, mod_revision=event.revision), 1
            else:
                key_value, kind = self._decode_row(event.key, event.row), 0
            former = None
            if prev_kv and event.prev is not None:
                former = self._decode_row(event.key, event.prev)
            data = cache[place] = encode(EventMap(key_value, kind, former))
        return data

    def pieces(self, places: Sequence[int], prev_kv: int, fragment_bytes: int) -> Iterator[tuple[int, bytes, bool]]:
        """The events at places as (last revision, encoded list, more of that revision follows) to be sent in turn.

        Cut between revisions above WATCH_FRAME_BYTES; within one only where fragment_bytes is not 0.
        """
        events = self.events
        parts: list[bytes] = []
        size = 0
        revision = 0
        for place in places:
            data = self.encoded(place, prev_kv)
            if parts:
                same = events[place].revision == revision
                limit = fragment_bytes if same else min(fragment_bytes or WATCH_FRAME_BYTES, WATCH_FRAME_BYTES)
                if limit and size + len(data) > limit:
                    yield revision, array_header(len(parts)) + b"".join(parts), same
                    parts, size = [], 0
            parts.append(data)
            size += len(data)
            revision = events[place].revision
        yield revision, array_header(len(parts)) + b"".join(parts), False


class Replies:
    """The replies of one hub: who answers, and the spliced forms."""

    __slots__ = ("_cluster", "_header", "_member", "_revision", "_term")

    def __init__(self) -> None:
        self.set_header(0, 0, 0)

    def set_header(self, cluster_id: int, member_id: int, raft_term: int) -> None:
        """The fields of ResponseHeader besides the revision."""
        self._cluster, self._member, self._term = cluster_id, member_id, raft_term
        self._revision = -1
        self._header = b""

    def header(self, revision: int) -> Header:
        """As a message; revision 0 is left out."""
        return Header(self._cluster, self._member, revision, self._term)

    def encoded_header(self, revision: int) -> bytes:
        """Kept for the next call with the same revision."""
        if revision != self._revision:
            self._header = encode(self.header(revision))
            self._revision = revision
        return self._header

    def events(self, revision: int, ids: bytes, events: bytes, fragment: bool) -> bytes:
        """A reply with events; ids from `ids_part`, events an encoded list."""
        header = self.encoded_header(revision)
        if not fragment:
            return b"".join((_MAP[3 if ids else 2], header, ids, _EVENTS, events))
        return b"".join((_MAP[4 if ids else 3], header, ids, _FRAGMENT, _EVENTS, events))

    def poll(self, revision: int, next_revision: int, events: bytes) -> bytes:
        """Answer to a long poll; events an encoded list."""
        header = self.encoded_header(revision)
        return b"".join((_MAP[3], header, _NEXT, encode(next_revision), _EVENTS, events))

    def empty_poll(self, revision: int, next_revision: int) -> bytes:
        """A long poll that ran out."""
        return encode(WatchPollReply(self.header(revision), next_revision, []))

    def poll_error(self, error: Error, compact_revision: int = 0) -> bytes:
        """A long poll that failed."""
        body: dict[str, object] = {"error": ErrorMap(error.code, error.status, error.message)}
        if compact_revision:
            body["compact_revision"] = compact_revision
        return encode(body)

    def created(self, revision: int, watch_id: int) -> bytes:
        """The watch exists; all its events have a greater revision, or at least its start revision."""
        return encode(WatchReply(self.header(revision), watch_id, created=True))

    def refused(self, revision: int, reason: str) -> bytes:
        """The watch never came to be."""
        return encode(WatchReply(self.header(revision), -1, created=True, canceled=True, cancel_reason=reason))

    def canceled(self, revision: int, watch_id: int, reason: str = "") -> bytes:
        """The watch is over."""
        return encode(WatchReply(self.header(revision), watch_id, canceled=True, cancel_reason=reason))

    def compacted(self, watch_id: int, compact_revision: int) -> bytes:
        """The watch is over because what it needs next is compacted; etcd's header has no revision here."""
        return encode(WatchReply(self.header(0), watch_id, canceled=True, compact_revision=compact_revision))

    def progress(self, revision: int, watch_id: int) -> bytes:
        """No event up to revision is still to come."""
        return encode(WatchReply(self.header(revision), watch_id))
