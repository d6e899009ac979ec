"""The helper thread of apply: writes one synced batch at a time, so that the actor's turn never waits for the disk.

It does only that one write. plyvel releases the GIL for it (6.2 us a put against 9.3 us inline, half the p99); no other
thread may run beside storage, since a busy one turns a 0.1 ms write into 5 ms.
"""

import os
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Protocol

from zetcd.base.errors import Fatal
from zetcd.base.meter import Meter
from zetcd.host import clock
from zetcd.host.process import unpin


class Writable(Protocol):
    """A frozen overlay."""

    def write(self) -> None:
        """One synced batch."""


class Flusher:
    """`submit` starts a write, `done_fd` becomes readable when it has ended, `drain` hands the end over."""

    def __init__(self, meter: Meter | None = None) -> None:
        """meter is told how long each write took."""
        self._meter = meter
        self._jobs: SimpleQueue[Writable] = SimpleQueue()
        self._failure: BaseException | None = None
        self.done_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        threading.Thread(target=self._work, name="flush", daemon=True).start()

    def submit(self, flush: Writable) -> None:
        """Write flush; one at a time."""
        self._jobs.put(flush)

    def drain(self, on_done: Callable[[], None]) -> None:
        """Call on_done for a write that has ended. Raises Fatal where it failed (rule 22: never retried)."""
        try:
            os.eventfd_read(self.done_fd)
        except BlockingIOError:
            return
        if self._failure is not None:
            raise Fatal(f"LevelDB write failed: {self._failure}") from self._failure
        on_done()

    def _work(self) -> None:
        unpin()
        while True:
            flush = self._jobs.get()
            began = clock.monotonic_ns()
            try:
                flush.write()
            except BaseException as error:  # noqa: BLE001 - whatever it was, the process ends by it
                self._failure = error
            if self._meter is not None:
                self._meter.observe_ns(clock.monotonic_ns() - began)
            os.eventfd_write(self.done_fd, 1)
