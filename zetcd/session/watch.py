"""Watches that outlive connections: one stream of the server at a time, many watches on it.

Rules:

1. A watch knows `next_revision`, the lowest revision it has not been given. "From now" is pinned by the created reply.
   Whatever ends the stream, the watch is created again from there, on a stream with a new name; frames that name an
   old one are ignored. Events below next_revision are dropped. So nothing is lost and nothing comes twice.
2. Events of one revision are delivered together: fragments are joined first.
3. A progress reply promises that everything up to its revision was sent, so it moves next_revision forward: a quiet
   watch is not overtaken by compaction.
4. A watch whose taker has too much undelivered is cancelled at the server and created again when there is room.
5. A stream that has ended for want of a leader takes with it the watches that require one.
6. A stream that is silent is asked for progress; "no watch on this stream" means that the server has lost it.
"""

from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import structs

from zetcd.base import errors as etcd
from zetcd.session.call import decode_error
from zetcd.session.errors import Error
from zetcd.session.lane import CLOSED, DIALING, PROBE_ID, UP, Endpoints, Lane, Port, encode
from zetcd.session.options import PROBE_AFTER_S, Options
from zetcd.wire import client as wire
from zetcd.wire.replies import EventMap, WatchReply

WAITING, CREATING, LIVE, PAUSED, OVER = 0, 1, 2, 3, 4

_decode = msgspec.msgpack.Decoder(WatchReply).decode
_PROGRESS: Final = encode(wire.WatchProgressRequest())


class Watch:
    """One watch. request is as first asked; on_reply gets replies with events or wanted progress, on_over the error
    that ended it (None: closed), on_created the header revision of the first creation."""

    __slots__ = (
        "id", "next_revision", "on_created", "on_over", "on_reply", "parts", "progress_wanted", "request", "state",
    )  # fmt: skip

    def __init__(
        self,
        request: wire.WatchCreateRequest,
        on_reply: Callable[[WatchReply], None],
        on_over: Callable[[Error | None], None],
        on_created: Callable[[int], None],
    ) -> None:
        self.request = request
        self.on_reply = on_reply
        self.on_over = on_over
        self.on_created = on_created
        self.id = 0
        self.next_revision = request.start_revision
        self.parts: list[EventMap] = []
        self.progress_wanted = False
        self.state = WAITING

    def create_request(self) -> wire.WatchCreateRequest:
        """Created again, or for the first time."""
        return structs.replace(self.request, watch_id=self.id, start_revision=self.next_revision)


class Watches:
    """All watches of one client."""

    def __init__(self, options: Options, dial: Callable[[Lane], Port]) -> None:
        self._options = options
        self._dial = dial
        self._endpoints = Endpoints(options.endpoints)
        self._watches: dict[int, Watch] = {}  # by id on the stream; waiting, creating and live ones
        self._paused: set[Watch] = set()
        self._lane: Lane | None = None
        self._stream = b""
        self._streams = 0
        self._serial = 0
        self._asked_at = 0.0  # when the stream was last asked for progress

    @property
    def last_error(self) -> str:
        """Why the last connection ended."""
        return self._endpoints.last_error

    # -- what takers do --------------------------------------------------------------------------------------------
    def open(self, watch: Watch, now: float) -> None:
        """Begin; the outcome comes through the watch's callbacks."""
        self._enter(watch)
        if self._lane is None:
            self._connect(now)
        else:
            self._create(watch)

    def close(self, watch: Watch) -> None:
        """End it; nothing is delivered any more."""
        if watch.state == OVER:
            return
        self._leave(watch)
        self._end(watch, None)

    def pause(self, watch: Watch) -> None:
        """Its taker has enough undelivered: stop the server's sending."""
        if watch.state == LIVE:
            self._leave(watch)
            watch.state = PAUSED
            self._paused.add(watch)

    def resume(self, watch: Watch, now: float) -> None:
        """Its taker has room again."""
        if watch.state == PAUSED:
            self._paused.discard(watch)
            self.open(watch, now)

    def request_progress(self, watch: Watch) -> None:
        """A progress reply for watch, once everything up to it has been delivered."""
        watch.progress_wanted = True
        self._say(_PROGRESS)

    def _enter(self, watch: Watch) -> None:
        self._serial += 1
        watch.id = self._serial
        watch.state = WAITING
        watch.parts.clear()
        self._watches[watch.id] = watch

    def _leave(self, watch: Watch) -> None:
        self._paused.discard(watch)
        if self._watches.pop(watch.id, None) is not None and watch.state in {CREATING, LIVE}:
            self._say(encode(wire.WatchCancelRequest(watch.id)))

    def _end(self, watch: Watch, error: Error | None) -> None:
        watch.state = OVER
        watch.on_over(error)

    def _say(self, body: bytes) -> bool:
        lane = self._lane
        return lane is not None and lane.state == UP and lane.send([self._stream, body])

    # -- the stream ------------------------------------------------------------------------------------------------
    def _connect(self, now: float) -> None:
        if now < self._endpoints.not_before:
            return
        lane = self._lane = Lane(self._endpoints.current, now)
        lane.port = self._dial(lane)
        lane.probe(now)

    def _create(self, watch: Watch) -> None:
        if self._say(encode(watch.create_request())):
            watch.state = CREATING

    def _restart(self, now: float) -> None:
        """All watches on a stream with a new name."""
        self._streams += 1
        self._stream = b"w%d" % self._streams
        self._asked_at = now
        for watch in list(self._watches.values()):
            watch.state = WAITING
            watch.parts.clear()
            self._create(watch)

    def on_lost(self, lane: Lane, now: float, why: str) -> None:
        """The connection broke, or was never made."""
        if lane.state == CLOSED:
            return
        lane.close()
        if lane is not self._lane:
            return
        self._lane = None
        self._endpoints.leave(lane.endpoint, now, why)
        for watch in self._watches.values():
            watch.state = WAITING
        if self._watches:
            self._connect(now)

    def tick(self, now: float) -> bool:
        """Health. Returns whether there are watches."""
        lane = self._lane
        if lane is None:
            if self._watches:
                self._connect(now)
        elif not self._watches and not self._paused:
            self._lane = None
            lane.close()
        elif lane.state == DIALING:
            lane.probe(now)
            if now - lane.born > self._options.connect_timeout:
                self.on_lost(lane, now, f"no answer for {self._options.connect_timeout:g} s")
        elif lane.probe_at and now - lane.probe_at > self._options.try_timeout:
            self.on_lost(lane, now, f"no answer to a probe for {self._options.try_timeout:g} s")
        elif now - max(lane.last_heard, self._asked_at) > PROBE_AFTER_S and self._watches:
            self._asked_at = now
            self._say(_PROGRESS)
            lane.probe(now)
        return bool(self._watches or self._paused or self._lane)

    # -- what the server says --------------------------------------------------------------------------------------
    def on_frames(self, lane: Lane, frames: list[bytes], now: float) -> None:
        """One message of the watch connection."""
        lane.heard(now)
        stream = frames[0]
        if stream == PROBE_ID:
            if lane.state == DIALING:
                lane.state = UP
                self._endpoints.answered()
                self._restart(now)
            return
        if stream != self._stream:
            return
        try:
            reply = _decode(frames[-1])
        except msgspec.MsgspecError:
            self._on_error(lane, frames[-1], now)
            return
        if reply.events and not reply.fragment:
            self._on_events(reply)
        elif reply.created or reply.canceled:
            self._on_state(reply)
        elif reply.fragment:
            for watch in self._named(reply):
                watch.parts.extend(reply.events)
        else:
            self._on_progress(reply)

    def _named(self, reply: WatchReply) -> list[Watch]:
        found = map(self._watches.get, reply.watch_ids or (reply.watch_id,))
        return [watch for watch in found if watch is not None]

    def _on_events(self, reply: WatchReply) -> None:
        events = reply.events
        first, after = events[0].kv.mod_revision, events[-1].kv.mod_revision + 1
        get = self._watches.get
        for watch_id in reply.watch_ids or (reply.watch_id,):
            watch = get(watch_id)
            if watch is None:
                continue
            if watch.parts or first < watch.next_revision:
                self._deliver_part(watch, reply)
                continue
            watch.next_revision = after
            watch.on_reply(reply)

    def _deliver_part(self, watch: Watch, reply: WatchReply) -> None:
        """Joins fragments, drops what was delivered before."""
        events = [event for event in [*watch.parts, *reply.events] if event.kv.mod_revision >= watch.next_revision]
        watch.parts.clear()
        if events:
            watch.next_revision = events[-1].kv.mod_revision + 1
            watch.on_reply(structs.replace(reply, events=events))

    def _on_state(self, reply: WatchReply) -> None:
        if reply.canceled:
            if reply.watch_id == -1:
                self._refuse(Error(etcd.INVALID_ARGUMENT, reply.cancel_reason, compact_revision=reply.compact_revision))
            for watch in self._named(reply):
                del self._watches[watch.id]
                self._end(watch, cancelled(reply))
            return
        for watch in self._named(reply):
            watch.state = LIVE
            if watch.next_revision == 0:
                watch.next_revision = reply.header.revision + 1
            watch.on_created(reply.header.revision)

    def _refuse(self, error: Error) -> None:
        """A creation failed. Its reply has no id; creations are answered in order, and only these can fail so."""
        for watch in self._watches.values():
            if watch.state == CREATING:
                del self._watches[watch.id]
                self._end(watch, error)
                return

    def _on_progress(self, reply: WatchReply) -> None:
        after = reply.header.revision + 1
        whole = reply.watch_id == -1 and not reply.watch_ids
        for watch in list(self._watches.values()) if whole else self._named(reply):
            if watch.state != LIVE:
                continue
            watch.next_revision = max(watch.next_revision, after)
            if watch.progress_wanted or (watch.request.progress_notify and not whole):
                watch.progress_wanted = False
                watch.on_reply(reply)

    def _on_error(self, lane: Lane, body: bytes, now: float) -> None:
        try:
            error = decode_error(body).error
        except msgspec.MsgspecError:
            error = None
        if error is None:
            self.on_lost(lane, now, "a reply that does not decode")
        elif error.message == etcd.NO_WATCH_STREAM.message:
            if self._watches:
                self._restart(now)
        elif error.message == etcd.NO_LEADER.message:
            self._end_requiring(Error(error.code, error.message), now)
        elif any(watch.state == CREATING for watch in self._watches.values()):
            self._refuse(Error(error.code, error.message))
        elif self._watches:
            self._restart(now)

    def _end_requiring(self, error: Error, now: float) -> None:
        """The member knows no leader: the stream is over, and with it the watches that wanted one."""
        for watch in [each for each in self._watches.values() if each.request.require_leader]:
            del self._watches[watch.id]
            self._end(watch, error)
        if self._watches:
            self._restart(now)

    def close_all(self) -> None:
        """End everything and hang up."""
        for watch in [*self._watches.values(), *self._paused]:
            self._end(watch, None)
        self._watches.clear()
        self._paused.clear()
        if self._lane is not None:
            self._lane.close()
            self._lane = None


def cancelled(reply: WatchReply) -> Error:
    """Why the server ended a watch."""
    if reply.compact_revision:
        return Error(
            etcd.OUT_OF_RANGE,
            etcd.COMPACTED.message,
            compact_revision=reply.compact_revision,
            detail=f"the lowest revision to watch from is {reply.compact_revision}",
        )
    return Error(etcd.CANCELED, reply.cancel_reason or "etcdserver: watch canceled")
