"""Reads that wait for their index: who asked, and whom to tell (rule 10).

apply parks the reads of an api under their context and is told ReadState; lease is told itself. While nobody leads the
contexts of an api wait here, and those that a change of leader has failed are asked again: such a read began before
either question, so the answer to any of them confirms it. A context never stands for another read.

lease is told only once apply has executed the index: a lease that was granted through a follower, which may have been
faster, would otherwise be unknown to it. (Under the one-voter grant apply is ahead of what raft knows, and nobody else
can have been faster.)
"""

from collections import deque
from collections.abc import Callable
from typing import Protocol

from zetcd.actors.actor import Peer
from zetcd.base import limits
from zetcd.base.errors import LEADER_CHANGED, NO_LEADER, TOO_MANY_REQUESTS, Error
from zetcd.base.settings import Settings
from zetcd.raft.core import Core
from zetcd.raft.ready import Context, Ready
from zetcd.wire.local import Message, ReadConfirmed, ReadFailed, ReadIndex, ReadState


class Raft(Protocol):
    """What this room needs of the raft actor."""

    settings: Settings

    def send(self, peer: Peer, message: Message) -> None: ...


class AskedReads:
    """Contexts by asker."""

    def __init__(self, raft: Raft, to_apply: Callable[[Message], None]) -> None:
        self._raft = raft
        self._to_apply = to_apply
        self._core: Core | None = None
        self.counters = {
            "failed": 0,
            "slow": 0,
        }  # contexts; slow: for as long as a request may take there was no leader
        self._waiting: dict[Context, Peer] = {}  # of those that want ReadConfirmed
        self._held: dict[Context, int] = {}  # for the next leader, until then
        self._asked_again: dict[Context, int] = {}
        self._unapplied: deque[tuple[int, Peer, ReadConfirmed]] = deque()  # by index
        self._now_ms = 0

    def start(self, core: Core) -> None:
        """From now on reads are taken."""
        self._core = core

    def ask(self, peer: Peer, message: ReadIndex) -> None:
        """A new context of an api or of lease."""
        context = (peer.incarnation, message.context)
        core = self._core
        if message.reply:
            self._waiting[context] = peer
        elif core is not None and not core.leader:
            self._hold([context])
            return
        error = NO_LEADER if core is None else core.read_index(context)
        if error is not None:
            self._fail([context], error)

    def _hold(self, contexts: list[Context]) -> None:
        until_ms = self._now_ms + self._raft.settings.request_timeout_ms
        for context in contexts:
            if len(self._held) >= limits.READS_HELD_MAX:
                self._fail([context], TOO_MANY_REQUESTS)
            else:
                self._held[context] = self._asked_again.get(context, until_ms)

    def _fail(self, contexts: list[Context], error: Error) -> None:
        """Tell who asked: lease itself, or apply, which holds an api's parked reads."""
        parked = []
        self.counters["failed"] += len(contexts)
        for context in contexts:
            asker = self._waiting.pop(context, None)
            if asker is None:
                parked.append(context)
            else:
                self._raft.send(asker, ReadFailed([context], error.code, error.message))
        if parked:
            self._to_apply(ReadFailed(parked, error.code, error.message))

    def answer(self, ready: Ready) -> None:
        """What the core says about them."""
        for state in ready.read_states:
            parked = []
            for context in state.contexts:
                asker = self._waiting.pop(context, None)
                if asker is None:
                    parked.append(context)
                    if self._asked_again:
                        self._asked_again.pop(context, None)
                else:
                    self._unapplied.append((state.index, asker, ReadConfirmed(context[1], state.term)))
            if parked:
                self._to_apply(ReadState(parked, state.index))
        if ready.reads_failed:
            self._fail([context for context in ready.reads_failed if context in self._waiting], LEADER_CHANGED)
            self._hold([context for context in ready.reads_failed if context not in self._waiting])

    def end_turn(self, applied: int, *, granted: bool) -> None:
        """Tell lease what is confirmed and executed."""
        while self._unapplied and (granted or self._unapplied[0][0] <= applied):
            _, asker, confirmed = self._unapplied.popleft()
            self._raft.send(asker, confirmed)

    @property
    def unapplied(self) -> bool:
        """Whether somebody waits for apply to execute an index."""
        return bool(self._unapplied)

    def on_leader(self) -> None:
        """Term or leader changed: ask the new one."""
        core = self._core
        assert core is not None
        if not core.leader or not self._held:
            return
        held, self._held = self._held, {}
        for context, until_ms in held.items():
            self._asked_again[context] = until_ms
            if core.read_index(context) is not None:
                self._held[context] = until_ms

    def on_tick(self, now_ms: int) -> None:
        """Give up those for which nobody waits any more; ask again."""
        self._now_ms = now_ms
        if self._held:
            late = [context for context, until_ms in self._held.items() if until_ms <= now_ms]
            for context in late:
                del self._held[context]
            self.counters["slow"] += len(late)
            self._fail(late, LEADER_CHANGED)
            self.on_leader()
        if self._asked_again:
            self._asked_again = {c: until_ms for c, until_ms in self._asked_again.items() if until_ms > now_ms}

    def forget(self, peer: Peer) -> None:
        """That process is gone."""
        self._unapplied = deque(each for each in self._unapplied if each[1] is not peer)
        self._waiting = {context: asker for context, asker in self._waiting.items() if asker is not peer}
        self._held = {context: until for context, until in self._held.items() if context[0] != peer.incarnation}
