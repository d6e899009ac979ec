"""Where every watcher stands, and the only moves between those places (states: see `zetcd.watch.watchers`).

A place follows from the watcher's next revision and the cursor alone: beyond cursor + 1 it is FUTURE, at cursor + 1 it
is LIVE, below it needs history; unless its client is paused, which parks everything but FUTURE.
"""

from collections.abc import Callable

from zetcd.watch.catchup import CatchUp
from zetcd.watch.watchers import Index, Schedule, State, Stream, Watcher


class Places:
    """The cursor, the index of live watchers, the schedule of future ones, the line of those behind."""

    __slots__ = ("_on_synced", "catch_up", "cursor", "frozen", "future", "live")

    def __init__(self, on_synced: Callable[[Stream], None]) -> None:
        """on_synced(stream) is called when progress was asked for and every watcher of the stream is live."""
        self._on_synced = on_synced
        self.cursor = 0
        self.frozen = True  # no feed: the cursor stands, and nobody goes live
        self.live = Index()
        self.future = Schedule()
        self.catch_up = CatchUp()

    def leave(self, watcher: Watcher) -> None:
        """Out of whatever holds it; its next revision is right afterwards."""
        state = watcher.state
        if state is State.LIVE:
            self.live.remove(watcher)
            watcher.next = self.cursor + 1
        elif state is State.BEHIND:
            self.catch_up.remove(watcher)
        elif state is State.FUTURE:
            self.future.remove(watcher)

    def enter(self, watcher: Watcher, state: State) -> None:
        """The new state; the caller has put it into the structure that belongs to it."""
        stream = watcher.stream
        stream.behind += (watcher.state is State.LIVE) - (state is State.LIVE)
        watcher.state = state
        if not stream.behind and stream.progress_asked:
            self._on_synced(stream)

    def place(self, watcher: Watcher) -> None:
        """Where its next revision belongs; it is in no structure now."""
        if watcher.next > self.cursor + 1:
            self.future.add(watcher, watcher.next)
            self.enter(watcher, State.FUTURE)
        elif watcher.stream.paused:
            self.enter(watcher, State.PAUSED)
        elif watcher.next == self.cursor + 1 and not self.frozen:
            self.live.add(watcher)
            self.enter(watcher, State.LIVE)
        else:
            self.place_behind(watcher)

    def place_behind(self, watcher: Watcher) -> None:
        """Into the line for history."""
        self.catch_up.add(watcher)
        self.enter(watcher, State.BEHIND)

    def fall_behind(self) -> None:
        """Every live watcher needs history from cursor + 1 on."""
        live = list(self.live.watchers())
        self.live.clear()
        for watcher in live:
            watcher.next = self.cursor + 1
            self.place_behind(watcher)

    def advance(self, revision: int) -> None:
        """The frames up to revision have been matched, or their live watchers sent behind."""
        self.cursor = revision
        for watcher in self.future.pop(revision + 1):
            self.place(watcher)

    def settle(self) -> None:
        """Nothing may have happened while frozen: whoever misses nothing goes live without a read."""
        self.frozen = False
        for watcher in self.catch_up.drain():
            self.place(watcher)
