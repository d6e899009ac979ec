"""The leader's word on membership changes, before they are proposed: what `zetcd.cluster.reconfigure` needs to know.

Who is active is sampled with every tick: the core marks whom it has heard, and wipes the marks each election timeout.
A new leader counts only members that have acknowledged something in its own term.
"""

from zetcd.base.errors import TOO_MANY_REQUESTS, Error, Fatal
from zetcd.base.settings import Settings
from zetcd.cluster.membership import ChangeKind
from zetcd.cluster.reconfigure import caught_up, check_change
from zetcd.raft.core import Core
from zetcd.raft.leader import Leader
from zetcd.wire.entry import Entry, MemberChange, decode_entries, encode_entries
from zetcd.wire.results import MemberRow


class Reconfiguring:
    """A room of the raft actor."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._members: list[MemberRow] = []
        self._heard_ms: dict[int, int] = {}
        self._now_ms = 0

    def on_members(self, members: list[MemberRow]) -> None:
        """As applied."""
        self._members = members

    def check(self, core: Core, data: bytes) -> Error | None:
        """Why this member, which leads, must not propose the encoded MemberChange; None where it may."""
        if core.log.membership_index > core.log.applied:
            return TOO_MANY_REQUESTS  # rule 14, and the members known here are those before it
        [entry] = decode_entries(1, data)
        change, leader = entry.command, core.role
        if not isinstance(change, MemberChange) or not isinstance(leader, Leader):
            raise Fatal("raft: a membership proposal without a MemberChange, or without a leader")
        strict = self._settings.strict_reconfig_check
        return check_change(change, self._members, self._active(leader), leader.match, core.id, strict=strict)

    def on_tick(self, core: Core, now_ms: int) -> bytes | None:
        """Who is there; with --auto-promote the encoded promotion that is due, if one is."""
        self._now_ms = now_ms
        leader = core.role
        if not isinstance(leader, Leader):
            self._heard_ms.clear()
            return None
        for member, progress in leader.peers.items():
            if progress.active and member in leader.match:
                self._heard_ms[member] = now_ms
        if not self._settings.auto_promote or core.log.membership_index > core.log.applied:
            return None
        learner = caught_up(self._members, self._active(leader), leader.match, core.id)
        return None if learner is None else encode_entries([Entry(0, 0, MemberChange(ChangeKind.PROMOTE, learner))])

    def _active(self, leader: Leader) -> list[int]:
        since = self._now_ms - self._settings.election_timeout_ms
        return [member for member in leader.peers if self._heard_ms.get(member, -1) >= max(0, since)]
