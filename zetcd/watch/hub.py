"""The watch hub of one api process: pure, driven by the api actor.

How the actor drives it:

- link to apply up and `Ready` seen -> `ready()`; link lost -> `lost()`. Nothing is answered in between, nothing is lost.
- every turn, after all input: `take_subscribe()` (send it to apply), `take_reads()` (send each History as a
  non-linearizable Read under a sequence of its own, remember sequence -> token), `take()` (send to clients),
  `take_woken()` (hand to the recipes).
- `Subscribed` -> `on_subscribed`, `Feed` -> `on_feed`, answer to a History -> `on_history(token, result)`.
- `on_tick(now_ms)`: deadlines of polls, periodic progress, lowering of the feed level.
- a client whose pipe is full -> `pause(stream)`; writable again -> `resume(stream)`; gone -> `drop(stream)`.

Streams and tokens are any hashable (the client's envelope); a stream exists from its first watch to `drop`.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from zetcd.wire.client import (
    KeyValue,
    WatchCancelRequest,
    WatchCreateRequest,
    WatchPollRequest,
)
from zetcd.wire.local import Event, Failed, Feed, Histories, History, HistoryCompacted, Subscribe, Subscribed


@dataclass(frozen=True, slots=True)
class Woken:
    """What a one-shot `wait` saw. events: matching events of complete revisions, in order; next_revision: where to
    wait from next. compact_revision > 0: the start revision is gone (no events). lost: the store fell behind."""

    events: list[Event]
    next_revision: int
    compact_revision: int = 0
    lost: bool = False


class Hub:
    """All watchers, long polls and waits of one api process."""

    def __init__(
        self,
        decode_row: Callable[[bytes, bytes], KeyValue],
        *,
        progress_interval_ms: int,
        fragment_bytes: int,
    ) -> None:
        """decode_row(key, row) builds the KeyValue of a stored row; fragment_bytes is --max-request-bytes."""

    def set_header(self, cluster_id: int, member_id: int, raft_term: int) -> None:
        """What reply headers carry besides the revision; call on Welcome and when the term changes."""

    @property
    def cursor(self) -> int:
        """The matched cursor: every live watcher has been given everything up to this revision."""
        raise NotImplementedError

    @property
    def wanted_level(self) -> int:
        """Feed level that the present watchers need: 0 revisions, 1 events, 2 events with former rows."""
        raise NotImplementedError

    # -- clients ---------------------------------------------------------------------------------------------------
    def create(self, stream: Hashable, request: WatchCreateRequest) -> None:
        """A new watch; its created (or refused) reply comes out of `take` when "from now" is fixed (rule 16)."""

    def cancel(self, stream: Hashable, request: WatchCancelRequest) -> None:
        """canceled reply; none for an unknown id."""

    def progress(self, stream: Hashable) -> None:
        """Progress request: one reply with watch_id -1 as soon as all watches of stream are at the cursor."""

    def poll(self, token: Hashable, request: WatchPollRequest, deadline_ms: int) -> None:
        """Long poll, answered once through `take` as (token, reply): events, compacted error, or nothing by
        deadline_ms (the clock of `on_tick`)."""

    def drop(self, stream: Hashable) -> None:
        """The client is gone: forget its watches, and its poll if stream is the token of one."""

    def pause(self, stream: Hashable) -> None:
        """The client does not read: its watches keep their place (a number each) and get nothing."""

    def resume(self, stream: Hashable) -> None:
        """Catch the stream's watches up from history, or cancel them with the compact revision."""

    # -- recipes ---------------------------------------------------------------------------------------------------
    def wait(self, token: Hashable, key: bytes, range_end: bytes, start_revision: int, *, deletes_only: bool) -> None:
        """One-shot: wakes token through `take_woken` with the first matching events at or after start_revision."""

    def unwait(self, token: Hashable) -> None:
        """Forget that wait."""

    # -- apply -----------------------------------------------------------------------------------------------------
    def lost(self) -> None:
        """The link to apply is gone: nothing in flight will be answered."""

    def ready(self) -> None:
        """A (new) apply has caught up with its log: subscribe, then catch up from the cursors (rule 16)."""

    def on_subscribed(self, message: Subscribed) -> None:
        """Fixes "from now" of the creations that waited; a store behind the cursor cancels all watches."""

    def on_feed(self, feed: Feed) -> None:
        """Match one frame; a gap, stated or noticed by previous > cursor, sends the live watchers to history."""

    def on_history(self, token: int, result: Histories | HistoryCompacted | Failed) -> None:
        """Answer to a History of `take_reads`; Failed is tried again."""

    def on_tick(self, now_ms: int) -> None:
        """Monotonic milliseconds."""

    # -- output ----------------------------------------------------------------------------------------------------
    def take(self) -> list[tuple[Hashable, bytes]]:
        """(stream or poll token, encoded reply) in order; equal replies are the same bytes object."""
        raise NotImplementedError

    def take_woken(self) -> list[tuple[Hashable, Woken]]:
        """Waits that ended."""
        raise NotImplementedError

    def take_subscribe(self) -> Subscribe | None:
        """The Subscribe to send now, if any."""
        raise NotImplementedError

    def take_reads(self) -> list[tuple[int, History]]:
        """(token, History) to read from apply, at most `HISTORIES_INFLIGHT` unanswered."""
        raise NotImplementedError
