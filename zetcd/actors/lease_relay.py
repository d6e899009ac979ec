"""raft's part in leases: what the lease process of a follower asks goes to that of the leader, and back.

Nothing is kept here: a lost question is asked again by the lease process that has it.
"""

from collections.abc import Callable

from zetcd.actors.actor import Peer
from zetcd.raft.core import Core
from zetcd.wire.local import LeaseAnswers, LeaseAsks, Message
from zetcd.wire.peer import BetweenMembers, LeaseForward, LeaseReply


class LeaseRelay:
    """send: to a process of this member; to_peer: to another member. lease: our own process, while it is linked."""

    def __init__(self, send: Callable[[Peer, Message], None], to_peer: Callable[[BetweenMembers], bool]) -> None:
        self.lease: Peer | None = None
        self.core: Core | None = None
        self._send = send
        self._to_peer = to_peer

    def on_asks(self, _peer: Peer, message: LeaseAsks) -> None:
        """Of our own lease process, for the leader's."""
        core = self.core
        if core is not None and core.leader and not core.is_leader:
            self._to_peer(LeaseForward(core.id, core.leader, message.incarnation, message.asks))

    def on_answers(self, _peer: Peer, message: LeaseAnswers) -> None:
        """Of our own lease process, for another member's."""
        if self.core is not None:
            self._to_peer(LeaseReply(self.core.id, message.member, message.incarnation, message.answers))

    def on_forward(self, message: LeaseForward) -> None:
        """Of another member's lease process, for ours."""
        if self.lease is not None:
            self._send(self.lease, LeaseAsks(message.source, message.incarnation, message.asks))

    def on_reply(self, message: LeaseReply) -> None:
        """Of another member's lease process, for the life of ours that asked."""
        if self.lease is not None and self.lease.incarnation == message.incarnation:
            self._send(self.lease, LeaseAnswers(0, message.incarnation, message.answers))
