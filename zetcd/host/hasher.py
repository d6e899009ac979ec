"""The helper thread of api: hashes passwords with bcrypt, one at a time, so that no turn waits for it.

bcrypt gives the interpreter lock away while it works. The library is loaded, and the thread started, by the first
password: most members never see one.
"""

import os
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, Protocol, TypeVar

from zetcd.base.errors import Fatal
from zetcd.host.process import unpin

PREFIX = b"2a"
"""Of the text, as etcd's own library writes it."""


class Hashable(Protocol):
    """A password that waits; see `zetcd.actors.hashing.Job`, which bounds how many there are."""

    password: bytes
    wanted: bool


J = TypeVar("J", bound=Hashable)


class Hasher(Generic[J]):
    """`submit` starts one, `done_fd` becomes readable when some have ended, `drain` hands them over, each once."""

    def __init__(self, cost: int) -> None:
        """cost: bcrypt's, 4 to 31; each step doubles the time."""
        self._cost = cost
        self._jobs: SimpleQueue[J] = SimpleQueue()
        self._done: deque[tuple[J, bytes]] = deque()
        self._failure: BaseException | None = None
        self._started = False
        self.done_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def submit(self, job: J) -> None:
        """Hash its password; if it is not wanted any more by then, hand it back without."""
        if not self._started:
            self._started = True
            threading.Thread(target=self._work, name="hash", daemon=True).start()
        self._jobs.put(job)

    def drain(self, on_hashed: Callable[[J, bytes], None]) -> None:
        """Call on_hashed for those that have ended, in order. Raises Fatal where the thread has failed."""
        try:
            os.eventfd_read(self.done_fd)
        except BlockingIOError:
            return
        while self._done:
            on_hashed(*self._done.popleft())
        if self._failure is not None:
            raise Fatal(f"bcrypt failed: {self._failure}") from self._failure

    def _work(self) -> None:
        unpin()
        try:
            import bcrypt  # noqa: PLC0415 - a megabyte that other members need not hold

            while True:
                job = self._jobs.get()
                hashed = bcrypt.hashpw(job.password, bcrypt.gensalt(self._cost, PREFIX)) if job.wanted else b""
                self._done.append((job, hashed))
                os.eventfd_write(self.done_fd, 1)
        except BaseException as error:  # noqa: BLE001 - whatever it was: nobody else would hear of it
            self._failure = error
            os.eventfd_write(self.done_fd, 1)
