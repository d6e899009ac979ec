"""Proposals: from the processes of this member to the log of whoever leads (rule 8). The bookkeeping, and why, is in
`forwarding`; this room decides where each one goes.

    this member leads        append
    somebody else leads      forward, once
    nobody does, or it is    hold until somebody does: an election costs clients time, not errors
    handing over
"""

from typing import Protocol

from zetcd.actors.actor import Peer
from zetcd.actors.forwarding import Forwarding, Held, Proposal
from zetcd.actors.peers import Peers
from zetcd.base import limits
from zetcd.base.errors import (
    LEADER_CHANGED,
    NO_LEADER,
    NOT_LEADER,
    STOPPED,
    TOO_MANY_REQUESTS,
    Error,
    Fatal,
    WireError,
    invalid,
)
from zetcd.base.settings import Settings
from zetcd.cluster.membership import publish
from zetcd.raft.core import Core
from zetcd.wire.entry import BlockKind, MemberChange, decode_entries
from zetcd.wire.local import MemberList, Message, Propose, Refused
from zetcd.wire.peer import Forward, ForwardRefused

MOVED = (LEADER_CHANGED, NO_LEADER, NOT_LEADER, STOPPED)
"""Refusals that another leader would not give."""


class Raft(Protocol):
    """What this room needs of the raft actor."""

    settings: Settings
    member: int
    peers: Peers

    @property
    def refusal(self) -> Error | None: ...
    def append(self, kind: int, count: int, data: bytes) -> Error | None: ...
    def send(self, peer: Peer, message: Message) -> None: ...


class Proposals:
    """core is set by `start`; before that the actor refuses."""

    def __init__(self, raft: Raft, incarnation: int) -> None:
        self._raft = raft
        self.published = False
        """Whether our name and client URLs are in the member list as applied."""
        self._core: Core | None = None
        self._held = Held()
        self._forwarding = Forwarding(incarnation)
        self._release_due = False
        self._now_ms = 0
        self._published = False  # or there is nothing to publish
        self._publish_at_ms = 0
        self._itself = Peer("raft", 0, 0)  # proposes what no process waits for

    def start(self, core: Core) -> None:
        """From now on proposals are taken."""
        self._core = core

    # -- from our own processes ----------------------------------------------------------------------------------------
    def on_propose(self, peer: Peer, message: Propose) -> None:
        """From api or lease: where it was not appended, and will not be, Refused says why."""
        raft = self._raft
        error = raft.refusal
        if error is None and message.kind and not _is_change(message):
            raise Fatal("raft: a membership proposal that is not one MemberChange")
        if error is None:
            core = self._core
            assert core is not None
            if core.is_leader:
                error = raft.append(message.kind, message.count, message.data)
                if error is None:
                    return
            if error is None or error is LEADER_CHANGED:
                error = self._pass_on(Proposal(peer, message, self._now_ms + raft.settings.request_timeout_ms))
        if error is not None:
            self._refuse(peer, message, error)

    def _pass_on(self, proposal: Proposal) -> Error | None:
        """Not to the own log: this member does not lead, or hands over."""
        core = self._core
        assert core is not None
        if proposal.peer.role == "lease":
            return NOT_LEADER  # rule 12: its word counts only where it leads
        if core.leader and not core.is_leader:
            forward = self._forwarding.forward(proposal, core.term, core.id, core.leader, core.log.committed)
            if self._raft.peers.send(forward):
                return None
            self._forwarding.refused(forward)
        return self._hold(proposal)

    def _hold(self, proposal: Proposal) -> Error | None:
        if proposal.peer is self._itself:
            return None  # it comes again
        return None if self._held.add(proposal) else TOO_MANY_REQUESTS

    def _offer(self, proposal: Proposal) -> None:
        """One that was held."""
        core, message = self._core, proposal.message
        assert core is not None
        error: Error | None = LEADER_CHANGED
        if core.is_leader:
            error = self._raft.append(message.kind, message.count, message.data)
        if error is LEADER_CHANGED:
            error = self._pass_on(proposal)
        if error is not None:
            self._refuse(proposal.peer, message, error)

    def _refuse(self, peer: Peer, message: Propose, error: Error) -> None:
        if peer is not self._itself:
            self._raft.send(peer, Refused(message.first_sequence, message.count, error.code, error.message))

    def forget(self, peer: Peer) -> None:
        """That process is gone."""
        self._held.forget(peer)
        self._forwarding.forget(peer)

    # -- from other members ------------------------------------------------------------------------------------------
    def on_forward(self, message: Forward) -> None:
        """A proposal of a follower."""
        core, raft = self._core, self._raft
        assert core is not None
        if not self._forwarding.first_seen(message):
            return
        error: Error | None = LEADER_CHANGED
        if core.is_leader and core.term == message.term:
            error = raft.refusal or _complaint(message) or raft.append(message.kind, message.count, message.data)
        if error is not None:
            refused = ForwardRefused(
                core.term, core.id, message.source, message.incarnation, message.sequence, error.code, error.message
            )
            raft.peers.send(refused)

    def on_forward_refused(self, message: ForwardRefused) -> None:
        """The leader certainly did not take it: another one may."""
        proposal = self._forwarding.refused(message)
        if proposal is None:
            return
        error: Error | None = Error(message.code, message.message)
        if error in MOVED:
            error = self._hold(proposal)
            # Whoever refuses and still seems to lead is handing over, and would refuse it again.
            self._release_due |= self._core is not None and self._core.leader != message.source
        if error is not None:
            self._refuse(proposal.peer, proposal.message, error)

    # -- time, leadership, members -----------------------------------------------------------------------------------
    def on_leader(self) -> None:
        """Term or leader changed."""
        core = self._core
        assert core is not None
        self._release_due = True
        if core.is_leader:
            self._forwarding.lead(core.term)

    def on_tick(self, now_ms: int) -> None:
        """Offer again what another leader, or none, did not take; give up what nobody waits for."""
        self._now_ms = now_ms
        self._release_due = True
        self._forwarding.on_tick(now_ms)
        for proposal in self._held.overdue(now_ms):
            self._refuse(proposal.peer, proposal.message, NO_LEADER)
        core = self._core
        due = not self._published and self._publish_at_ms <= now_ms
        if due and core is not None and core.leader and not core.alone:
            self._publish_at_ms = now_ms + limits.PUBLISH_RETRY_MS
            self._publish()

    def end_turn(self) -> None:
        """What is held goes to the leader, if there is one now."""
        for forward in self._raft.peers.take_returned():
            proposal = self._forwarding.refused(forward)
            if proposal is not None and (error := self._hold(proposal)) is not None:
                self._refuse(proposal.peer, proposal.message, error)
        core = self._core
        if core is not None and 0 < self._forwarding.unsettled_term < core.term:
            self._settle(core)
        if self._release_due:
            self._release_due = False
            if self._held and core is not None and core.leader and self._raft.refusal is None:
                for proposal in self._held.take():
                    self._offer(proposal)

    def _settle(self, core: Core) -> None:
        """Forwards to a former leader that have come to nothing go to the present one."""
        for proposal, missing in self._forwarding.settle(core.log, self._raft.settings.snapshot_catchup_entries):
            message = proposal.message
            if missing == message.count:
                self._release_due = True
                if (error := self._hold(proposal)) is not None:
                    self._refuse(proposal.peer, message, error)
            elif missing and proposal.peer is not self._itself:
                first = message.first_sequence + message.count - missing
                self._raft.send(proposal.peer, Refused(first, missing, NO_LEADER.code, NO_LEADER.message))

    def on_members(self, known: MemberList) -> None:
        """The members as applied: whether our own name and URLs are among them."""
        settings = self._raft.settings
        own = next((row for row in known.members if row[0] == self._raft.member), None)
        self.published = own is not None and (own[1], own[3]) == (settings.name, list(settings.advertise_client_urls))
        self._published = own is None or self.published
        if not self._published:
            # Members that start together ask together, and changes go one by one (rule 14): the next is free now.
            self._publish_at_ms = 0

    def _publish(self) -> bool:
        """As etcd does at each start: name and client URLs into the log. Whether it is on its way."""
        core, settings = self._core, self._raft.settings
        assert core is not None
        data = publish(self._raft.member, settings.name, settings.advertise_client_urls)
        if core.is_leader:
            return self._raft.append(BlockKind.MEMBERSHIP, 1, data) is None
        propose = Propose(0, 1, data, BlockKind.MEMBERSHIP)
        return self._pass_on(Proposal(self._itself, propose, self._now_ms + limits.PUBLISH_RETRY_MS)) is None

    def publish_first(self, *, stopping: bool) -> bool:
        """Of a sole voter, once in each life: whether the grant has to wait for it."""
        if self._published or stopping:
            return False
        self._published = self._publish()
        return True


def _is_change(message: Propose | Forward) -> bool:
    """Whether it is one MemberChange, as a MEMBERSHIP proposal has to be (rule 14)."""
    try:
        [entry] = decode_entries(message.count, message.data)
    except (WireError, ValueError):
        return False
    return isinstance(entry.command, MemberChange)


def _complaint(message: Forward) -> Error | None:
    """What would end a process of this member must not come from another one."""
    kind = message.kind
    if message.count < 1 or kind not in (BlockKind.NORMAL, BlockKind.MEMBERSHIP) or (kind and not _is_change(message)):
        return invalid("a forwarded proposal that is none")
    return None
