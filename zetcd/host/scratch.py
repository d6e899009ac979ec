"""Engines for notes that are needed for a while: LevelDBs of their own below the member directory, unsynced.

Opened and closed on a thread: LevelDB syncs its manifest, and removing files takes as long as it takes.
"""

import os
import shutil
import tempfile
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue

from zetcd.base.errors import Fatal
from zetcd.base.meter import Meter
from zetcd.host import clock
from zetcd.host.leveldb import LevelEngine
from zetcd.host.process import unpin

_PREFIX = "scratch-"


class Scratches:
    """Makes them, and tells so by `done_fd` and `drain`; what a killed process has left goes first."""

    def __init__(self, directory: str, meter: Meter | None = None) -> None:
        """meter is told how long each was in use."""
        self._directory = directory
        self._meter = meter
        self._jobs: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._made: deque[tuple[Scratch | None, Callable[[Scratch | None], None]]] = deque()
        self.done_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        for left in Path(directory).glob(f"{_PREFIX}*"):
            shutil.rmtree(left, ignore_errors=True)
        threading.Thread(target=self._work, name="scratch", daemon=True).start()

    def make(self, done: "Callable[[Scratch | None], None]") -> None:
        """Done is called by `drain` with an empty one, or with None where the disk refused."""
        self._jobs.put(lambda: self._make(done))

    def drain(self) -> None:
        """Hand over what has been made."""
        try:
            os.eventfd_read(self.done_fd)
        except BlockingIOError:
            return
        while self._made:
            scratch, done = self._made.popleft()
            done(scratch)

    def remove(self, close: Callable[[], None], path: str, since_ns: int) -> None:
        """Close one of them, made then, and remove its files."""
        if self._meter is not None:
            self._meter.observe_ns(clock.monotonic_ns() - since_ns)

        def job() -> None:
            close()
            shutil.rmtree(path, ignore_errors=True)

        self._jobs.put(job)

    def _make(self, done: "Callable[[Scratch | None], None]") -> None:
        try:
            path = tempfile.mkdtemp(prefix=_PREFIX, dir=self._directory)
            made: Scratch | None = Scratch(path, self)
        except (OSError, Fatal):
            made = None
        self._made.append((made, done))
        os.eventfd_write(self.done_fd, 1)

    def _work(self) -> None:
        unpin()
        while True:
            self._jobs.get()()


class Scratch(LevelEngine):
    """One of them; its files go when it is closed."""

    def __init__(self, path: str, owner: Scratches) -> None:
        super().__init__(path, sync=False)
        self._owner = owner
        self._closed = False
        self._since_ns = clock.monotonic_ns()

    def close(self) -> None:
        """See `Engine`; may be called twice."""
        if not self._closed:
            self._closed = True
            self._owner.remove(super().close, self.path, self._since_ns)
