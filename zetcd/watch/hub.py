"""The watch hub of one api process: pure, driven by the api actor.

How the actor drives it:

- link to apply up and `Ready` seen -> `ready()`; link lost -> `lost()`. In between nothing is answered, nothing lost.
- every turn, after all input: `take_subscribe()` (send it to apply), `take_reads()` (send each History as a
  non-linearizable Read under a sequence of its own, remember sequence -> token), `take()` (send to clients),
  `take_woken()` (hand to the recipes).
- `Subscribed` -> `on_subscribed`, `Feed` -> `on_feed`, answer to a History -> `on_history(token, result)`.
- `on_tick(now_ms)`: deadlines of polls, periodic progress, lowering of the feed level.
- a client whose pipe is full -> `pause(stream)`; writable again -> `resume(stream)`; gone -> `drop(stream)`.

Streams and tokens are any hashable (the client's envelope); a stream exists from its first watch to `drop`.

What holds (design rule 16): a LIVE watcher has been given everything up to the cursor. A frame that does not start at
the cursor, or says gap, turns every LIVE watcher into one that is BEHIND at cursor + 1. Progress is only ever told from
the cursor, and only while no watcher of the stream is elsewhere.
"""

from collections import deque
from collections.abc import Callable, Hashable

from zetcd.base.errors import (
    COMPACTED,
    TOO_MANY_REQUESTS,
    UNAVAILABLE,
    WATCH_COMPACTED,
    WATCH_DUPLICATE_ID,
    WATCH_EMPTY_RANGE,
    Error,
    invalid,
)
from zetcd.base.limits import WATCH_POLLS_MAX, WATCH_STREAMS_MAX, WATCHERS_MAX
from zetcd.watch.delivery import Delivery, Woken
from zetcd.watch.places import Places
from zetcd.watch.ranges import is_empty
from zetcd.watch.subscription import Subscription
from zetcd.watch.watchers import (
    CANCELED,
    FRAGMENT,
    NO_DELETE,
    NO_PUT,
    ONE_SHOT,
    POLL,
    PREV_KV,
    PROGRESS,
    WAIT,
    Index,
    Schedule,
    State,
    Stream,
    Watcher,
)
from zetcd.wire.client import WatchCancelRequest, WatchCreateRequest, WatchPollRequest
from zetcd.wire.codec import decode_events
from zetcd.wire.local import Feed, Subscribe, Subscribed
from zetcd.wire.queries import History
from zetcd.wire.replies import KeyValue
from zetcd.wire.results import Failed, Histories, HistoryCompacted

__all__ = ["STORE_BEHIND", "Hub", "Woken"]

STORE_BEHIND = Error(
    UNAVAILABLE, "zetcd: the store is behind what this watch has seen; read the keys again and watch from there"
)


class Hub:
    """All watchers, long polls and waits of one api process."""

    def __init__(
        self, decode_row: Callable[[bytes, bytes], KeyValue], *, progress_interval_ms: int, fragment_bytes: int
    ) -> None:
        """decode_row(key, row) builds the KeyValue of a stored row; fragment_bytes is --max-request-bytes."""
        self._compact_revision = 0
        self._delivery = Delivery(decode_row, fragment_bytes)
        self._replies = self._delivery.replies
        self._subscription = Subscription()
        self._serial = 0
        self._streams: dict[Hashable, Stream] = {}
        self._polls: dict[Hashable, Watcher] = {}
        self._waits: dict[Hashable, Watcher] = {}
        self._places = Places(self._maybe_progress)
        self._deadlines = Schedule()
        self._pending: deque[Watcher | tuple[Hashable, str]] = deque()  # creations, and refusals between them
        self._count = [0, 0]  # watchers without and with PREV_KV
        self._progress_watchers: dict[Watcher, None] = {}
        self._progress_interval_ms = progress_interval_ms
        self._progress_at: int | None = None

    def set_header(self, cluster_id: int, member_id: int, raft_term: int) -> None:
        """What reply headers carry besides the revision; call on Welcome and when the term changes."""
        self._replies.set_header(cluster_id, member_id, raft_term)

    @property
    def cursor(self) -> int:
        """The matched cursor: every live watcher has been given everything up to this revision."""
        return self._places.cursor

    @property
    def wanted_level(self) -> int:
        """Feed level that the present watchers need: 0 revisions, 1 events, 2 events with former rows."""
        return self._subscription.wanted

    def counts(self) -> dict[str, int]:
        """For metrics: streams, watchers, polls, waits, those not live, those paused, and events sent to watchers."""
        behind = sum(stream.behind for stream in self._streams.values())
        paused = sum(stream.paused for stream in self._streams.values())
        return {
            "watch_streams": len(self._streams),
            "watchers": sum(self._count) - len(self._polls) - len(self._waits),
            "watch_polls": len(self._polls),
            "watch_waits": len(self._waits),
            "slow_watchers": behind,
            "paused_watch_streams": paused,
            "events": self._delivery.events,
        }

    # -- clients ---------------------------------------------------------------------------------------------------
    def create(self, stream: Hashable, request: WatchCreateRequest) -> None:
        """A new watch; its created (or refused) reply comes out of `take` when "from now" is fixed (rule 16)."""
        key, range_end = _bounds(request.key, request.range_end)
        known = self._streams.get(stream)
        reason = ""
        if is_empty(key, range_end):
            reason = WATCH_EMPTY_RANGE
        elif request.start_revision < 0:
            reason = WATCH_COMPACTED
        elif known is not None and request.watch_id in known.watchers and request.watch_id:
            reason = WATCH_DUPLICATE_ID
        elif sum(self._count) >= WATCHERS_MAX or (known is None and not self._room_for_stream()):
            reason = TOO_MANY_REQUESTS.message
        if reason:
            self._refuse(stream, reason)
            return
        if known is None:
            known = self._streams[stream] = Stream(stream)
        watch_id = request.watch_id or _next_id(known)
        flags = _flags(request.filters, request.prev_kv)
        flags |= FRAGMENT * request.fragment | PROGRESS * request.progress_notify
        self._admit(Watcher(known, watch_id, (key, range_end), request.start_revision, flags))

    def refuse(self, stream: Hashable, reason: str) -> None:
        """A watch that may not be (permission): created and canceled with id -1, in the order of creations."""
        self._refuse(stream, reason)

    def cancel(self, stream: Hashable, request: WatchCancelRequest) -> None:
        """A canceled reply; none for an unknown id."""
        known = self._streams.get(stream)
        watcher = known.watchers.get(request.watch_id) if known is not None else None
        if watcher is None:
            return
        if watcher.state is State.PENDING:
            watcher.flags |= CANCELED  # its replies come when its creation would have been answered
        else:
            self._say(stream, self._replies.canceled(self.cursor, watcher.id))
        self._remove(watcher)
        self._activate_pending()

    def has_watches(self, stream: Hashable) -> bool:
        """Whether any watch is left on stream."""
        known = self._streams.get(stream)
        return known is not None and bool(known.watchers)

    def progress(self, stream: Hashable) -> None:
        """Progress request: one reply with watch_id -1 as soon as all watches of stream are at the cursor."""
        known = self._streams.get(stream)
        if known is not None and known.watchers:
            known.progress_asked = True
            self._maybe_progress(known)

    def poll(self, token: Hashable, request: WatchPollRequest, deadline_ms: int) -> None:
        """Long poll, answered once through `take` as (token, reply): events, compacted error, or nothing by
        deadline_ms (the clock of `on_tick`)."""
        key, range_end = _bounds(request.key, request.range_end)
        if is_empty(key, range_end):
            self._say(token, self._replies.poll_error(invalid(WATCH_EMPTY_RANGE)))
        elif request.start_revision < 0:
            self._say(token, self._replies.poll_error(COMPACTED, self._compact_revision))
        elif len(self._polls) >= WATCH_POLLS_MAX or token in self._polls:
            self._say(token, self._replies.poll_error(TOO_MANY_REQUESTS))
        else:
            flags = _flags(request.filters, request.prev_kv) | POLL
            watcher = Watcher(Stream(token), 0, (key, range_end), request.start_revision, flags)
            self._polls[token] = watcher
            self._deadlines.add(watcher, deadline_ms)
            self._admit(watcher)

    def drop(self, stream: Hashable) -> None:
        """The client is gone: forget its watches, and its poll if stream is the token of one."""
        known = self._streams.pop(stream, None)
        if known is not None:
            known.progress_asked = False
            for watcher in list(known.watchers.values()):
                self._remove(watcher)
        poll = self._polls.get(stream)
        if poll is not None:
            self._remove(poll)

    def pause(self, stream: Hashable) -> None:
        """The client does not read: its watches keep their place (a number each) and get nothing."""
        known = self._streams.get(stream)
        if known is None or known.paused:
            return
        known.paused = True
        for watcher in known.watchers.values():
            if watcher.state in (State.LIVE, State.BEHIND, State.READING):
                self._places.leave(watcher)
                self._places.enter(watcher, State.PAUSED)

    def resume(self, stream: Hashable) -> None:
        """Catch the stream's watches up from history, or cancel them with the compact revision."""
        known = self._streams.get(stream)
        if known is None or not known.paused:
            return
        known.paused = False
        for watcher in known.watchers.values():
            if watcher.state is State.PAUSED:
                self._places.place(watcher)

    # -- recipes ---------------------------------------------------------------------------------------------------
    def wait(self, token: Hashable, key: bytes, range_end: bytes, start_revision: int, *, deletes_only: bool) -> None:
        """One-shot: wakes token through `take_woken` with the first matching events at or after start_revision
        (0: from now). token must not be waiting already."""
        assert token not in self._waits
        flags = WAIT | (NO_PUT if deletes_only else 0)
        watcher = self._waits[token] = Watcher(Stream(token), 0, (key, range_end), start_revision, flags)
        self._admit(watcher)

    def unwait(self, token: Hashable) -> None:
        """Forget that wait."""
        watcher = self._waits.get(token)
        if watcher is not None:
            self._remove(watcher)

    # -- apply -----------------------------------------------------------------------------------------------------
    def lost(self) -> None:
        """The link to apply is gone: nothing in flight will be answered."""
        self._subscription.lost()
        self._places.frozen = True
        for watcher in self._places.catch_up.abandon():
            self._places.place_behind(watcher)
        self._places.fall_behind()

    def ready(self) -> None:
        """A (new) apply has caught up with its log: subscribe, then catch up from the cursors (rule 16)."""
        self._subscription.ready()

    def on_subscribed(self, message: Subscribed) -> None:
        """Fixes "from now" of the creations that waited; a store behind the cursor cancels all watches."""
        resync = self._subscription.resync
        if not self._subscription.on_subscribed(message):
            return
        self._compact_revision = message.compact_revision
        if resync:
            self._subscription.resync = False
            if message.revision < self.cursor:
                self._places.cursor = message.revision
                self._cancel_all()
        if message.revision > self.cursor:
            self._places.fall_behind()
            self._places.advance(message.revision)
        if resync:
            self._places.settle()
        self._activate_pending()

    def on_feed(self, feed: Feed) -> None:
        """Match one frame; a gap, stated or noticed by previous > cursor, sends the live watchers to history."""
        if self._subscription.resync:
            return  # before Subscribed the cursor is not comparable: history brings it
        self._compact_revision = max(self._compact_revision, feed.compact_revision)
        if feed.revision <= self.cursor:
            return
        if feed.gap or feed.previous > self.cursor:
            self._places.fall_behind()
        elif self._places.live.count:
            events = decode_events(feed.events)
            if feed.previous < self.cursor:
                events = [event for event in events if event.revision > self.cursor]
            plan = self._places.live.plan(events)
            if plan:
                for watcher in self._delivery.deliver(events, plan, feed.revision, feed.revision):
                    self._remove(watcher)
        self._places.advance(feed.revision)

    def on_history(self, token: int, result: Histories | HistoryCompacted | Failed) -> None:
        """Answer to a History of `take_reads`; Failed is tried again."""
        group = self._places.catch_up.answered(token)
        if group is None:
            return
        if isinstance(result, HistoryCompacted):
            self._compact_revision = max(self._compact_revision, result.compact_revision)
            for watcher in group.watchers:
                if watcher.next < result.compact_revision:
                    self._compacted(watcher)
                else:
                    self._places.place_behind(watcher)
            return
        if isinstance(result, Failed) or result.upto < group.first:
            for watcher in group.watchers:
                self._places.enter(watcher, State.BEHIND)
                self._places.catch_up.rest(watcher)
            return
        self._deliver_history(group.watchers, result)

    def on_tick(self, now_ms: int) -> None:
        """Monotonic milliseconds."""
        self._subscription.on_tick(now_ms)
        self._places.catch_up.wake()
        for watcher in self._deadlines.pop(now_ms):
            following = self.cursor + 1 if watcher.state is State.LIVE else watcher.next  # 0: still "from now"
            self._say(watcher.stream.key, self._replies.empty_poll(self.cursor, following))
            self._remove(watcher)
        if self._progress_at is None:
            self._progress_at = now_ms + self._progress_interval_ms
        if now_ms >= self._progress_at:
            self._progress_at = now_ms + self._progress_interval_ms
            self._periodic_progress()

    # -- output ----------------------------------------------------------------------------------------------------
    @property
    def stirred(self) -> bool:
        """Whether any of the following may have something; most turns of a member that nobody watches are done here."""
        delivery, subscription = self._delivery, self._subscription
        quiet = not delivery.out and not delivery.woken and subscription.wanted == subscription.asked
        return not quiet or self._places.catch_up.waiting

    def take(self) -> list[tuple[Hashable, bytes]]:
        """(stream or poll token, encoded reply) in order; equal replies are the same bytes object."""
        out, self._delivery.out = self._delivery.out, []
        return out

    def take_woken(self) -> list[tuple[Hashable, Woken]]:
        """Waits that ended."""
        woken, self._delivery.woken = self._delivery.woken, []
        return woken

    def take_subscribe(self) -> Subscribe | None:
        """The Subscribe to send now, if any."""
        subscribe = self._subscription.take(self._serial + 1)
        if subscribe is not None:
            self._serial += 1
        return subscribe

    def take_reads(self) -> list[tuple[int, History]]:
        """(token, History) to read from apply, at most `HISTORIES_INFLIGHT` unanswered."""
        return [] if self._subscription.resync else self._places.catch_up.reads()

    # -- inside: admission -----------------------------------------------------------------------------------------
    def _admit(self, watcher: Watcher) -> None:
        stream = watcher.stream
        stream.watchers[watcher.id] = watcher
        stream.behind += 1
        self._count[watcher.flags & PREV_KV] += 1
        self._set_wanted()
        if watcher.flags & PROGRESS:
            self._progress_watchers[watcher] = None
        self._pending.append(watcher)
        self._activate_pending()

    def _activate_pending(self) -> None:
        """In the order of their requests, as far as the certain level reaches."""
        while self._pending:
            head = self._pending[0]
            if isinstance(head, Watcher):
                if head.state is State.PENDING and head.level() > self._subscription.certain:
                    break
                self._pending.popleft()
                if head.state is State.PENDING:
                    self._activate(head)
                elif head.flags & CANCELED and self._streams.get(head.stream.key) is head.stream:
                    self._say(head.stream.key, self._replies.created(self.cursor, head.id))
                    self._say(head.stream.key, self._replies.canceled(self.cursor, head.id))
            else:
                self._pending.popleft()
                self._say(head[0], self._replies.refused(self.cursor, head[1]))

    def _activate(self, watcher: Watcher) -> None:
        """The feed carries what it needs: "from now" is the cursor."""
        if not watcher.flags & ONE_SHOT:
            self._say(watcher.stream.key, self._replies.created(self.cursor, watcher.id))
        if not watcher.next:
            watcher.next = self.cursor + 1
        self._places.place(watcher)  # what is compacted apply says: the newest word of it may not have come here yet

    def _refuse(self, stream: Hashable, reason: str) -> None:
        self._pending.append((stream, reason))
        self._activate_pending()

    def _room_for_stream(self) -> bool:
        if len(self._streams) >= WATCH_STREAMS_MAX:
            for stream in [stream for stream in self._streams.values() if not stream.watchers]:
                del self._streams[stream.key]
        return len(self._streams) < WATCH_STREAMS_MAX

    def _set_wanted(self) -> None:
        self._subscription.wanted = 2 if self._count[1] else 1 if self._count[0] else 0

    def _remove(self, watcher: Watcher) -> None:
        """Gone for good."""
        self._places.leave(watcher)
        stream = watcher.stream
        if watcher.state is not State.LIVE:
            stream.behind -= 1
        watcher.state = State.GONE
        del stream.watchers[watcher.id]
        self._count[watcher.flags & PREV_KV] -= 1
        self._set_wanted()
        if watcher.flags & POLL:
            del self._polls[stream.key]
            self._deadlines.remove(watcher)
        elif watcher.flags & WAIT:
            del self._waits[stream.key]
        elif watcher.flags & PROGRESS:
            del self._progress_watchers[watcher]
        if stream.progress_asked and not stream.behind:
            self._maybe_progress(stream)
        if self._pending and self._pending[0] is watcher:
            self._activate_pending()

    # -- inside: replies -------------------------------------------------------------------------------------------
    def _say(self, stream: Hashable, reply: bytes) -> None:
        self._delivery.out.append((stream, reply))

    def _deliver_history(self, watchers: list[Watcher], result: Histories) -> None:
        slice_index = Index()
        for watcher in watchers:
            slice_index.add(watcher, watcher.next)
        events = decode_events(result.events)
        plan = slice_index.plan(events)
        revision = max(self.cursor, result.upto)
        answered = self._delivery.deliver(events, plan, revision, result.upto)
        for watcher in answered:
            self._remove(watcher)
        for watcher in watchers:
            if watcher.state is State.READING:
                watcher.next = max(watcher.next, result.upto + 1)
                self._places.place(watcher)

    def _compacted(self, watcher: Watcher) -> None:
        token = watcher.stream.key
        if watcher.flags & POLL:
            self._say(token, self._replies.poll_error(COMPACTED, self._compact_revision))
        elif watcher.flags & WAIT:
            self._delivery.woken.append((token, Woken([], 0, self._compact_revision)))
        else:
            self._say(token, self._replies.compacted(watcher.id, self._compact_revision))
        self._remove(watcher)

    def _cancel_all(self) -> None:
        """The store fell behind: what watchers have seen did not happen here, or not yet."""
        watchers = [watcher for stream in self._streams.values() for watcher in stream.watchers.values()]
        watchers += [*self._polls.values(), *self._waits.values()]
        for watcher in watchers:
            if watcher.state is State.PENDING:
                continue
            token = watcher.stream.key
            if watcher.flags & POLL:
                self._say(token, self._replies.poll_error(STORE_BEHIND))
            elif watcher.flags & WAIT:
                self._delivery.woken.append((token, Woken([], 0, lost=True)))
            else:
                self._say(token, self._replies.canceled(self.cursor, watcher.id, STORE_BEHIND.message))
            self._remove(watcher)

    def _maybe_progress(self, stream: Stream) -> None:
        if not stream.behind:
            stream.progress_asked = False
            if stream.watchers:
                self._say(stream.key, self._replies.progress(self.cursor, -1))

    def _periodic_progress(self) -> None:
        for watcher in self._progress_watchers:
            if watcher.state is State.LIVE and not watcher.active:
                self._say(watcher.stream.key, self._replies.progress(self.cursor, watcher.id))
            watcher.active = False


def _bounds(key: bytes, range_end: bytes) -> tuple[bytes, bytes]:
    """etcd: an empty key is ``00``."""
    return key or b"\0", range_end


def _next_id(stream: Stream) -> int:
    while stream.next_id in stream.watchers:
        stream.next_id += 1
    stream.next_id += 1
    return stream.next_id - 1


def _flags(filters: list[int], prev_kv: bool) -> int:
    flags = PREV_KV if prev_kv else 0
    for kind in filters:
        flags |= (NO_PUT, NO_DELETE)[kind] if kind in {0, 1} else 0
    return flags
