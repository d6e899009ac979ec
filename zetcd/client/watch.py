"""Watchers: what a user holds of a watch. They resume by themselves; see `zetcd.session.watch`.

What is delivered and not yet taken is bounded: beyond WATCH_QUEUE_EVENTS_MAX events the watch is taken off the server
and put back, from where it was, when half of them are gone.
"""

import asyncio
import contextlib
import queue
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Self

from msgspec import structs

from zetcd.base import errors as etcd
from zetcd.client.background import Background
from zetcd.client.reactor import Engine
from zetcd.session.errors import CLIENT_CLOSED, DEADLINE, Error
from zetcd.session.options import WATCH_QUEUE_EVENTS_MAX
from zetcd.session.watch import Watch
from zetcd.wire.client import WatchCreateRequest
from zetcd.wire.replies import EventMap, WatchReply

ReplyCallback = Callable[[WatchReply], None]
OverCallback = Callable[[Error | None], None]


class _Handle:
    """A watch in its loop: created, paused, resumed, closed."""

    def __init__(
        self, engine: Engine, request: WatchCreateRequest, on_reply: ReplyCallback, on_over: OverCallback
    ) -> None:
        self._engine = engine
        self._created: asyncio.Future[int] = engine.loop.create_future()
        self._on_over = on_over
        self.watch = Watch(request, on_reply, self._over, self._made)

    async def open(self, timeout_s: float) -> int:
        """The revision at which the watch began. Raises Error."""
        self._engine.watches.open(self.watch, time.monotonic())
        self._engine.settle()
        try:
            async with asyncio.timeout(timeout_s):
                return await self._created
        except TimeoutError:
            detail = self._engine.watches.last_error or "the watch was not created"
            raise Error(etcd.DEADLINE_EXCEEDED, DEADLINE, detail=detail) from None
        finally:
            if not self._created.done() or self._created.cancelled():
                self.close()

    def _made(self, revision: int) -> None:
        if not self._created.done():
            self._created.set_result(revision)

    def _over(self, error: Error | None) -> None:
        if not self._created.done():
            self._created.set_exception(error or Error(etcd.CANCELED, CLIENT_CLOSED))
        self._on_over(error)

    def pause(self) -> None:
        self._engine.watches.pause(self.watch)

    def resume(self) -> None:
        self._engine.watches.resume(self.watch, time.monotonic())
        self._engine.settle()

    def progress(self) -> None:
        self._engine.watches.request_progress(self.watch)
        self._engine.settle()

    def close(self) -> None:
        self._engine.watches.close(self.watch)
        self._engine.settle()


class _OpenReply:
    """A reply whose events are taken one by one: what a loop that broke off has left is there for the next."""

    __slots__ = ("_next", "_reply")

    def __init__(self, reply: WatchReply | None) -> None:
        self._reply = reply
        self._next = 0

    def event(self) -> EventMap | None:
        """The next one."""
        reply, place = self._reply, self._next
        if reply is None or place == len(reply.events):
            return None
        self._next = place + 1
        return reply.events[place]

    def rest(self) -> WatchReply | None:
        """All that is left."""
        reply, place = self._reply, self._next
        self._reply = None
        return structs.replace(reply, events=reply.events[place:]) if reply and place < len(reply.events) else None


class AsyncWatcher:
    """Iterate it for events; `replies` gives whole replies. Raises Error where the watch cannot go on, see
    `Error.compact_revision`. revision: the header revision of its creation."""

    def __init__(self, engine: Engine, request: WatchCreateRequest, callback: ReplyCallback | None) -> None:
        self._handle = _Handle(engine, request, callback or self._on_reply, self._on_over)
        self._loop = engine.loop
        self._replies: deque[WatchReply] = deque()
        self._open_reply = _OpenReply(None)
        self._queued = 0
        self._waiter: asyncio.Future[None] | None = None
        self._over = False
        self._error: Error | None = None
        self.revision = 0

    @classmethod
    async def open(
        cls, engine: Engine, request: WatchCreateRequest, callback: ReplyCallback | None, timeout_s: float | None
    ) -> Self:
        """Use `AsyncClient.watch`."""
        watcher = cls(engine, request, callback)
        watcher.revision = await watcher._handle.open(engine.options.timeout if timeout_s is None else timeout_s)
        return watcher

    @property
    def next_revision(self) -> int:
        """The lowest revision not delivered yet: where another watch would go on."""
        return self._handle.watch.next_revision

    def _on_reply(self, reply: WatchReply) -> None:
        self._replies.append(reply)
        self._queued += len(reply.events)
        if self._queued > WATCH_QUEUE_EVENTS_MAX:
            self._handle.pause()
        if self._waiter is not None:
            self._wake()

    def _on_over(self, error: Error | None) -> None:
        self._over, self._error = True, error
        self._wake()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def next_reply(self) -> WatchReply | None:
        """The next reply with events or progress; None once closed. Raises Error."""
        return self._open_reply.rest() or await self._take()

    async def _take(self) -> WatchReply | None:
        while not self._replies:
            if self._over:
                if self._error is not None:
                    raise self._error
                return None
            waiter = self._waiter = self._loop.create_future()
            await waiter
        reply = self._replies.popleft()
        before, self._queued = self._queued, self._queued - len(reply.events)
        if self._queued <= WATCH_QUEUE_EVENTS_MAX // 2 < before:
            self._handle.resume()
        return reply

    async def replies(self) -> AsyncIterator[WatchReply]:
        """Events of a revision together, and progress where it was asked for."""
        while (reply := await self.next_reply()) is not None:
            yield reply

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> EventMap:
        while (event := self._open_reply.event()) is None:
            reply = await self._take()
            if reply is None:
                raise StopAsyncIteration
            self._open_reply = _OpenReply(reply)
        return event

    def request_progress(self) -> None:
        """Ask for a progress reply: a revision up to which everything has been delivered."""
        self._handle.progress()

    def close(self) -> None:
        """Cancel it; what was delivered can still be taken, then iteration ends."""
        self._handle.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()


class Watcher:
    """Iterate it for events; `replies` gives whole replies. Raises Error where the watch cannot go on, see
    `Error.compact_revision`. revision: the header revision of its creation."""

    def __init__(self, background: Background, request: WatchCreateRequest, callback: ReplyCallback | None) -> None:
        self._background = background
        self._handle = _Handle(background.engine, request, callback or self._on_reply, self._on_over)
        self._box: queue.SimpleQueue[WatchReply | None] = queue.SimpleQueue()
        self._open_reply = _OpenReply(None)
        self._put = 0  # events; written by the loop's thread alone
        self._taken = 0  # events; written by the taker alone
        self._paused = False
        self._error: Error | None = None
        self._ended = False
        self.revision = 0

    @classmethod
    def open(
        cls,
        background: Background,
        request: WatchCreateRequest,
        callback: ReplyCallback | None,
        timeout_s: float | None,
    ) -> Self:
        """Use `Client.watch`."""

        async def begin() -> Self:
            watcher = cls(background, request, callback)
            patience = background.engine.options.timeout if timeout_s is None else timeout_s
            watcher.revision = await watcher._handle.open(patience)
            return watcher

        return background.run(begin())

    @property
    def next_revision(self) -> int:
        """The lowest revision not delivered yet: where another watch would go on."""
        return self._handle.watch.next_revision

    def _on_reply(self, reply: WatchReply) -> None:
        self._box.put(reply)
        self._put += len(reply.events)
        if self._put - self._taken > WATCH_QUEUE_EVENTS_MAX:
            self._paused = True
            self._handle.pause()

    def _on_over(self, error: Error | None) -> None:
        self._error = error
        self._box.put(None)

    def next_reply(self, timeout: float | None = None) -> WatchReply | None:
        """The next reply with events or progress; None once closed, or after timeout seconds. Raises Error."""
        return self._open_reply.rest() or self._take(timeout)

    def _take(self, timeout: float | None = None) -> WatchReply | None:
        if self._ended:
            return None
        try:
            reply = self._box.get(timeout=timeout)
        except queue.Empty:
            return None
        if reply is None:
            self._ended = True
            if self._error is not None:
                raise self._error
            return None
        self._taken += len(reply.events)
        if self._paused and self._put - self._taken <= WATCH_QUEUE_EVENTS_MAX // 2:
            self._paused = False
            self._background.tell(self._handle.resume)
        return reply

    def replies(self) -> Iterator[WatchReply]:
        """Events of a revision together, and progress where it was asked for."""
        while (reply := self.next_reply()) is not None:
            yield reply

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> EventMap:
        while (event := self._open_reply.event()) is None:
            reply = self._take()
            if reply is None:
                raise StopIteration
            self._open_reply = _OpenReply(reply)
        return event

    def request_progress(self) -> None:
        """Ask for a progress reply: a revision up to which everything has been delivered."""
        self._background.tell(self._handle.progress)

    def close(self) -> None:
        """Cancel it; what was delivered can still be taken, then iteration ends."""
        with contextlib.suppress(Error):  # the client is closed, and its watches with it
            self._background.tell(self._handle.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
