"""Drives the recipes of lock and election (`zetcd.concurrency`): carries their steps out, one at a time, in order."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from zetcd.actors.calls import Call
from zetcd.actors.clients import Envelope, Ticket
from zetcd.base import errors
from zetcd.concurrency.election import Observe, Request, recipe
from zetcd.concurrency.queue import Queued
from zetcd.concurrency.steps import Fail, Finish, Propose, Query, Recipe, Send, Step, Wait
from zetcd.service import replies
from zetcd.wire.replies import WatchReply
from zetcd.wire.results import Failed, Result

if TYPE_CHECKING:
    from zetcd.actors.api_actor import ApiActor
    from zetcd.watch.hub import Hub, Woken


@dataclass(slots=True, eq=False)
class Run:
    """One request under way. waits: tokens of its present wait in the hub. own_lease: the client's, not made for it.
    requires_leader: as the request says. leaving: nobody waits for it any more, but a step of it is under way, and only
    what comes of that tells what is left to clear away."""

    ticket: Ticket
    index: int
    recipe: Recipe
    queue: deque[Step] = field(default_factory=deque)
    waits: list[tuple[str, int]] = field(default_factory=list)
    asking: bool = False
    over: bool = False
    own_lease: bool = False
    requires_leader: bool = False
    leaving: bool = False


class Recipes:
    """All lock and election requests of one api process."""

    def __init__(self, actor: ApiActor, hub: Hub) -> None:
        self._actor = actor
        self._hub = hub
        self._runs: dict[bytes, dict[Envelope, dict[Run, None]]] = {}  # by client, then by address
        self._waits: dict[tuple[str, int], Run] = {}
        self._next_wait = 1
        self.count = 0

    def start(self, ticket: Ticket, index: int, request: Request) -> None:
        """A new request."""
        actor = self._actor
        run = Run(ticket, index, recipe(request, actor.rng.randrange(1, 2**63), replies.key_value))
        run.own_lease = bool(getattr(request, "lease", 0))
        run.requires_leader = request.require_leader
        self._runs.setdefault(ticket.envelope[0], {}).setdefault(ticket.envelope, {})[run] = None
        self.count += 1
        self._take(run, run.recipe.start())

    def cancel(self, envelope: Envelope) -> bool:
        """End the observe stream of envelope; whether there was one."""
        for run in self._at(envelope):
            if isinstance(run.recipe, Observe):
                self._actor.answer(
                    run.ticket, run.index, WatchReply(self._actor.header(self._actor.revision), canceled=True)
                )
                self._end(run, abandon=True)
                return True
        return False

    def give_up(self, envelope: Envelope) -> None:
        """End the locks and campaigns of envelope, and their places in the queues."""
        for run in self._at(envelope):
            if isinstance(run.recipe, Queued):
                self._actor.refuse(run.ticket, run.index, errors.REQUEST_CANCELED)
                self._end(run, abandon=True)

    def _at(self, envelope: Envelope) -> list[Run]:
        return list(self._runs.get(envelope[0], {}).get(envelope, ()))

    def _all(self) -> list[Run]:
        return [run for addresses in self._runs.values() for runs in addresses.values() for run in runs]

    def probe(self) -> None:
        """A word on every observe stream, so that one whose client is gone ends."""
        actor = self._actor
        word = replies.encode({"header": actor.header(actor.revision)})
        for run in self._all():
            if isinstance(run.recipe, Observe):
                actor.clients.send(run.ticket.envelope, word)

    def end_requiring(self) -> None:
        """No leader is in sight: end the observe streams that asked for one."""
        for run in self._all():
            if run.requires_leader and isinstance(run.recipe, Observe):
                self._actor.refuse(run.ticket, run.index, errors.NO_LEADER)
                self._end(run)

    def drop(self, client: bytes) -> None:
        """The client is gone. What hangs on a lease of its own stays as long as that: it may have been asked for again
        on another connection, and the place in the queue, or the lock itself, is the same."""
        for envelope in list(self._runs.get(client, ())):
            for run in self._at(envelope):
                self._actor.refuse(run.ticket, run.index, errors.REQUEST_CANCELED)
                self._end(run, abandon=not run.own_lease)

    def on_woken(self, token: tuple[str, int], woken: Woken) -> None:
        """A wait has ended."""
        run = self._waits.get(token)
        if run is not None:
            self._unwait(run)
            self._take(run, run.recipe.on_woken(woken.events, woken.next_revision))

    # -- steps -----------------------------------------------------------------------------------------------------
    def _take(self, run: Run, steps: list[Step]) -> None:
        run.queue.extend(steps)
        while run.queue and not run.asking and not run.over:
            self._do(run, run.queue.popleft())

    def _do(self, run: Run, step: Step) -> None:
        actor = self._actor
        if isinstance(step, Propose | Query):
            run.asking = True
            subject = step.command if isinstance(step, Propose) else step.range
            call = Call(
                run.ticket,
                run.index,
                lambda _actor, _call, result: self._on_result(run, result),
                subject,
                linearizable=True,
                on_failed=lambda _call, failed: self._on_result(run, failed),
            )
            if isinstance(step, Propose):
                actor.calls.write(call, step.command, len(replies.encode(step.command)))
            else:
                actor.read(call, step.range)
        elif isinstance(step, Wait):
            for key, range_end in step.ranges:
                token = ("wait", self._next_wait)
                self._next_wait += 1
                self._waits[token] = run
                run.waits.append(token)
                self._hub.wait(token, key, range_end, step.from_revision, deletes_only=step.deletes_only)
        elif isinstance(step, Send):
            actor.clients.send(
                run.ticket.envelope, replies.encode({"header": actor.header(step.revision), **step.fields})
            )
        elif isinstance(step, Finish):
            actor.answer(run.ticket, run.index, {"header": actor.header(step.revision), **step.fields})
            self._end(run)
        else:
            assert isinstance(step, Fail)
            actor.refuse(run.ticket, run.index, step.error)
            self._end(run)

    def _on_result(self, run: Run, result: Result | Failed) -> None:
        run.asking = False
        if run.leaving:
            run.recipe.on_result(result)
            self._abandon(run)
        elif not run.over:
            self._take(run, run.recipe.on_result(result))

    def _end(self, run: Run, *, abandon: bool = False) -> None:
        run.over = True
        self.count -= 1
        self._unwait(run)
        envelope = run.ticket.envelope
        addresses = self._runs[envelope[0]]
        runs = addresses[envelope]
        del runs[run]
        if not runs:
            del addresses[envelope]
            if not addresses:
                del self._runs[envelope[0]]
        run.leaving = abandon and run.asking
        if abandon and not run.asking:
            self._abandon(run)

    def _abandon(self, run: Run) -> None:
        for step in run.recipe.abandon():
            assert isinstance(step, Propose)
            self._actor.propose(step.command)

    def _unwait(self, run: Run) -> None:
        for token in run.waits:
            del self._waits[token]
            self._hub.unwait(token)
        run.waits.clear()
