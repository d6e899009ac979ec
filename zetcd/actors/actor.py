"""What every actor is: a reactor driven in turns.

A turn is: `on_peer`/`on_lost`/`on_batch` for whatever the links brought, `on_tick` when the tick is due, then
`end_turn`, after which the host sends what `outbox` holds, at most one frame per peer. Actors name their ports (file,
engine) in their constructors; the host, a simulator or a test supplies them.
"""

from dataclasses import dataclass
from typing import ClassVar

from zetcd.base import limits
from zetcd.wire.local import Message


@dataclass(slots=True, eq=False)
class Peer:
    """One life of the process at the other end of a link; a restarted process is another Peer."""

    role: str
    number: int
    incarnation: int
    cluster: int = 0  # from Welcome; 0 on the owner's side
    member: int = 0


class Actor:
    """Base of the five actors: an outbox and empty handlers."""

    role: ClassVar[str]
    tick_ms: int = limits.TICK_MS
    """How often the host calls `on_tick`; may change from turn to turn."""

    def __init__(self) -> None:
        self.outbox: dict[Peer, list[Message]] = {}

    def send(self, peer: Peer, message: Message) -> None:
        """Queue message for the frame that this turn sends to peer."""
        queue = self.outbox.get(peer)
        if queue is None:
            self.outbox[peer] = [message]
        else:
            queue.append(message)

    def on_peer(self, peer: Peer) -> None:
        """A link to a new life of peer is open (Hello and Welcome have been exchanged)."""

    def on_lost(self, peer: Peer) -> None:
        """That life is gone: nothing more comes from it, and nothing sent to it is known to have arrived."""

    def on_batch(self, peer: Peer, messages: list[Message]) -> None:
        """The messages of one frame, in order."""

    def on_tick(self, now_ms: int) -> None:
        """Monotonic milliseconds; about every `limits.TICK_MS`, never twice with a lower value."""

    def end_turn(self) -> None:
        """All input of the turn has been seen: do the batched work and queue the answers."""

    def busy(self) -> bool:
        """Whether work is left that needs no input: the next turn then does not wait."""
        return False

    def on_stop(self) -> None:
        """SIGTERM: stop taking new work; `stopped` says when the process may end."""

    def stopped(self) -> bool:
        """Whether the actor, asked to stop, has finished."""
        return True
