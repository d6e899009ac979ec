"""Passwords that have to be hashed before their commands can be proposed: 50 ms of work and more, done elsewhere.

What waits here has not been proposed, so whoever is refused knows that nothing happened (rule 8).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from zetcd.base import errors, limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from zetcd.actors.api_actor import ApiActor
    from zetcd.actors.clients import Ticket
    from zetcd.base.errors import Error


@dataclass(slots=True, eq=False)
class Job:
    """One password. then: goes on with bcrypt's text. wanted: nobody has been refused yet."""

    password: bytes
    ticket: Ticket
    index: int
    then: Callable[[bytes], None]
    due_ms: int
    wanted: bool = True


class Hasher(Protocol):
    """The port: `zetcd.host.hasher`."""

    def submit(self, job: Job) -> None:
        """Have job hashed, unless it is not wanted any more by then; `Hashing.on_hashed` comes for it in a later turn,
        either way."""


class Hashing:
    """Of one api process. hasher: attached by the host."""

    def __init__(self, actor: ApiActor) -> None:
        self._actor = actor
        self._waiting: deque[Job] = deque()
        self._submitted = 0  # and not back: also those that were refused meanwhile, while the thread is at one before
        self.hasher: Hasher | None = None

    @property
    def count(self) -> int:
        """How many the hasher has."""
        return self._submitted

    def hash(self, ticket: Ticket, index: int, password: str, then: Callable[[bytes], None]) -> None:
        """Go on with then in a later turn, or refuse."""
        actor = self._actor
        if self.hasher is None or self._submitted >= limits.PASSWORDS_WAITING_MAX:
            actor.counters["too_many_requests"] += 1
            actor.refuse(ticket, index, errors.TOO_MANY_REQUESTS)
            return
        job = Job(password.encode(), ticket, index, then, actor.now_ms + actor.settings.request_timeout_ms)
        self._waiting.append(job)
        self._submitted += 1
        self.hasher.submit(job)

    def on_hashed(self, job: Job, hashed: bytes) -> None:
        """Jobs come back in the order they went."""
        self._submitted -= 1
        if job.wanted:
            first = self._waiting.popleft()
            assert first is job
            job.then(hashed)

    def on_tick(self, now_ms: int) -> None:
        """Refuse whoever has waited as long as a request may."""
        while self._waiting and self._waiting[0].due_ms <= now_ms:
            self._refuse(errors.TOO_MANY_REQUESTS)

    def refuse_all(self, error: Error) -> None:
        """Nothing of it is going to happen."""
        while self._waiting:
            self._refuse(error)

    def _refuse(self, error: Error) -> None:
        job = self._waiting.popleft()
        job.wanted = False
        self._actor.refuse(job.ticket, job.index, error)
