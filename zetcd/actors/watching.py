"""Everything in an api process that waits for events: watch streams, long polls, and the steps of lock and election.

Thin: the rules live in `zetcd.watch` (the hub) and `zetcd.concurrency` (the recipes); this carries their requests to
apply and their output to the clients. A watch stream is an envelope; a client that does not read pauses its streams,
a client that is gone takes them with it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from zetcd.actors.calls import Call
from zetcd.actors.clients import Envelope, Ticket
from zetcd.actors.recipes import Recipes
from zetcd.base import errors, limits
from zetcd.base.settings import Settings
from zetcd.service import replies
from zetcd.watch.hub import Hub
from zetcd.wire import client as api
from zetcd.wire.local import Feed, FeedCredit
from zetcd.wire.results import Failed, Histories, HistoryCompacted

if TYPE_CHECKING:
    from zetcd.actors.actor import Peer
    from zetcd.actors.api_actor import ApiActor


RECIPES = (
    api.LockRequest,
    api.UnlockRequest,
    api.CampaignRequest,
    api.ProclaimRequest,
    api.LeaderRequest,
    api.ObserveRequest,
    api.ResignRequest,
)
PUTTING = (api.LockRequest, api.CampaignRequest, api.ProclaimRequest)
"""Those that need space."""
PUT_COST = 256


class Watching:
    """The hub and its surroundings."""

    def __init__(self, actor: ApiActor, settings: Settings) -> None:
        self._actor = actor
        self.hub = Hub(
            replies.key_value,
            progress_interval_ms=settings.watch_progress_notify_interval_ms,
            fragment_bytes=settings.max_request_bytes,
        )
        self._streams: dict[bytes, dict[Envelope, None]] = {}
        self._polls: dict[int, Ticket] = {}
        self._next_poll = 1
        self._stream_count = 0
        self._uncredited = 0
        self._unread = 0
        self._requiring: dict[Envelope, None] = {}  # streams that end where no leader is known
        self._told: dict[Envelope, None] = {}  # streams that were sent something since the last probe
        self._probe_at: int | None = None
        self._pruned_at: int | None = None
        self.recipes = Recipes(actor, self.hub)
        self._handlers: dict[type, Callable[[Ticket, int, api.Request], None]] = {
            api.WatchCreateRequest: self._create,
            api.WatchCancelRequest: self._cancel,
            api.WatchProgressRequest: self._progress,
            api.WatchPollRequest: self._poll,
            api.CancelRequest: self._give_up,
            **dict.fromkeys(RECIPES, self._recipe),
        }

    @property
    def waiting(self) -> int:
        """Long polls and recipe steps that wait: they count against admission."""
        return len(self._polls) + self.recipes.count

    # -- requests --------------------------------------------------------------------------------------------------
    def on_request(self, ticket: Ticket, index: int, request: api.Request) -> None:
        """Dispatch by type."""
        self._handlers[type(request)](ticket, index, request)

    def _create(self, ticket: Ticket, _index: int, request: api.Request) -> None:
        assert isinstance(request, api.WatchCreateRequest)
        envelope = ticket.envelope
        self._actor.release(ticket)
        if envelope not in self._streams.get(envelope[0], ()):
            if self._stream_count >= limits.WATCH_STREAMS_MAX:
                self._forget_empty()
            if self._stream_count >= limits.WATCH_STREAMS_MAX:
                self._actor.clients.send(envelope, replies.encode(replies.error(errors.TOO_MANY_REQUESTS)))
                return
            self._stream_count += 1
            self._streams.setdefault(envelope[0], {})[envelope] = None
        if request.require_leader:
            self._requiring[envelope] = None
        self.hub.create(envelope, request)

    def _cancel(self, ticket: Ticket, _index: int, request: api.Request) -> None:
        assert isinstance(request, api.WatchCancelRequest)
        self._actor.release(ticket)
        if not self.recipes.cancel(ticket.envelope):
            self.hub.cancel(ticket.envelope, request)

    def _progress(self, ticket: Ticket, index: int, _request: api.Request) -> None:
        envelope = ticket.envelope
        if envelope not in self._streams.get(envelope[0], ()):
            # A client learns from this that its stream ended with a former life of this process.
            self._actor.refuse(ticket, index, errors.NO_WATCH_STREAM)
            return
        self._actor.release(ticket)
        self.hub.progress(envelope)

    def _poll(self, ticket: Ticket, index: int, request: api.Request) -> None:
        assert isinstance(request, api.WatchPollRequest)
        if self.waiting >= limits.WATCH_POLLS_MAX:
            self._actor.refuse(ticket, index, errors.TOO_MANY_REQUESTS)
            return
        token = self._next_poll
        self._next_poll += 1
        self._polls[token] = ticket
        wait = min(max(0, request.wait_ms), limits.WATCH_POLL_WAIT_MAX_MS)
        self.hub.poll(token, request, self._actor.now_ms + wait)

    def _give_up(self, ticket: Ticket, _index: int, _request: api.Request) -> None:
        self._actor.release(ticket)
        self.recipes.give_up(ticket.envelope)

    def _recipe(self, ticket: Ticket, index: int, request: api.Request) -> None:
        if self.waiting >= limits.WATCH_POLLS_MAX:
            self._actor.refuse(ticket, index, errors.TOO_MANY_REQUESTS)
            return
        size = len(getattr(request, "name", b"")) + len(getattr(request, "value", b""))
        if size > self._actor.settings.max_request_bytes:
            self._actor.refuse(ticket, index, errors.REQUEST_TOO_LARGE)  # from a batch, whose frame may be larger
        elif not isinstance(request, PUTTING) or self._actor.within_quota(ticket, index, PUT_COST + size):
            self.recipes.start(ticket, index, request)  # type: ignore[arg-type]

    # -- clients ---------------------------------------------------------------------------------------------------
    def pause(self, client: bytes) -> None:
        """The client does not read."""
        for stream in self._streams.get(client, ()):
            self.hub.pause(stream)

    def resume(self, client: bytes) -> None:
        """It reads again."""
        for stream in self._streams.get(client, ()):
            self.hub.resume(stream)

    def drop(self, client: bytes) -> None:
        """It is gone, or was dropped."""
        for stream in self._streams.pop(client, ()):
            self._let_go(stream)
        self.recipes.drop(client)

    def _let_go(self, stream: Envelope) -> None:
        self._stream_count -= 1
        self._told.pop(stream, None)
        self._requiring.pop(stream, None)
        self.hub.drop(stream)

    def end_requiring(self) -> None:
        """No leader is in sight: end the streams that asked for one, with an error and nothing behind it."""
        for stream in list(self._requiring):
            streams = self._streams[stream[0]]
            del streams[stream]
            if not streams:
                del self._streams[stream[0]]
            self._let_go(stream)
            self._actor.clients.send(stream, replies.encode(replies.error(errors.NO_LEADER)))
        self.recipes.end_requiring()

    # -- apply -----------------------------------------------------------------------------------------------------
    def lost(self) -> None:
        """The link to apply is gone, and its windows with it."""
        self._uncredited = self._unread = 0
        self.hub.lost()

    def on_feed(self, feed: Feed) -> None:
        """Match, and count what apply may send more."""
        self._uncredited += len(bytes(feed.events)) if feed.previous != feed.revision and not feed.gap else 0
        self.hub.on_feed(feed)

    def count_answer(self, size: int) -> None:
        """A large answer has been taken in."""
        self._unread += size

    def on_tick(self, now_ms: int) -> None:
        """Deadlines of polls, progress, and a word on quiet streams, so that a client that is gone is noticed."""
        self.hub.on_tick(now_ms)
        if self._probe_at is None:
            self._probe_at = now_ms + limits.CLIENT_IDLE_PROBE_MS
        elif now_ms >= self._probe_at:
            self._probe_at = now_ms + limits.CLIENT_IDLE_PROBE_MS
            self._forget_empty()
            self.recipes.probe()
            for streams in self._streams.values():
                for stream in streams:
                    if stream not in self._told:
                        self.hub.progress(stream)
            self._told.clear()

    def _forget_empty(self) -> None:
        """Let go of streams on which no watch is left: nothing is sent on them, so nobody would hear of their end."""
        if self._pruned_at == self._actor.now_ms:
            return
        self._pruned_at = self._actor.now_ms
        for client, streams in list(self._streams.items()):
            for stream in [stream for stream in streams if not self.hub.has_watches(stream)]:
                del streams[stream]
                self._let_go(stream)
            if not streams:
                del self._streams[client]

    def end_turn(self, apply: Peer | None) -> None:
        """Requests of the hub go to apply, its output to the clients."""
        if apply is not None and self._uncredited + self._unread > limits.FEED_CREDIT_BYTES:
            self._actor.send(apply, FeedCredit(self._uncredited, self._unread))
            self._uncredited = self._unread = 0
        if self.hub.stirred:
            if apply is not None:
                self._ask(apply)
            self._tell()

    def _ask(self, apply: Peer) -> None:
        actor, hub = self._actor, self.hub
        subscribe = hub.take_subscribe()
        if subscribe is not None:
            actor.send(apply, subscribe)
        for token, history in hub.take_reads():
            call = Call(_NOBODY, 0, partial(self._history_done, token), history)
            call.on_failed = partial(self._history_failed, token)
            actor.read(call, history)

    def _tell(self) -> None:
        actor, hub = self._actor, self.hub
        for wait, woken in hub.take_woken():
            assert isinstance(wait, tuple)
            self.recipes.on_woken(wait, woken)
        for target, data in hub.take():
            if isinstance(target, tuple):
                self._told[target] = None
                actor.clients.send(target, data)
            else:
                assert isinstance(target, int)
                ticket = self._polls.pop(target)
                actor.release(ticket)
                actor.clients.send(ticket.envelope, data)

    def _history_done(self, token: int, _actor: ApiActor, _call: Call, result: Histories | HistoryCompacted) -> None:
        self.hub.on_history(token, result)

    def _history_failed(self, token: int, _call: Call, failed: Failed) -> None:
        self.hub.on_history(token, failed)


_NOBODY = Ticket((), 0)
