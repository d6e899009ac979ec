"""Watchers: iterators of events that resume by themselves."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, Self
from zetcd.wire.client import EventMap, WatchReply


class Watcher:
    """Iterate for events; `replies` gives whole replies (events of a revision together, and progress)."""

    @classmethod
    def open(cls, *parts: Any) -> Self:
        raise NotImplementedError

    revision: int
    """Header revision of the reply that created it."""

    def __iter__(self) -> Iterator[EventMap]:
        raise NotImplementedError

    def next_reply(self, timeout: float | None = None) -> WatchReply | None:
        """The next reply, None after timeout seconds or when closed. Raises Error (compact_revision)."""
        raise NotImplementedError

    def replies(self) -> Iterator[WatchReply]:
        raise NotImplementedError

    def request_progress(self) -> None:
        """Ask the server for a progress reply."""

    def close(self) -> None:
        """Cancel it; iteration ends."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class AsyncWatcher:
    """Iterate for events; `replies` gives whole replies."""

    @classmethod
    async def open(cls, *parts: Any) -> Self:
        raise NotImplementedError

    def __aiter__(self) -> AsyncIterator[EventMap]:
        raise NotImplementedError

    def close(self) -> None: ...
