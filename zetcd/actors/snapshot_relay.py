"""raft's part in moving whole stores between members (rule 7): it carries what the two applies say to each other, and
puts the installation in order.

    core: snapshots_wanted --SnapshotWanted--> apply --Relay--> lane snapshot --> raft --Relay--> apply there
    apply --SnapshotArrived--> core --mark and hard state--> wal --Persisted--> Install --> apply switches, all restart

Nothing more goes to apply once an installation is on its way: the process group starts anew on the new store.
"""

from collections.abc import Callable

from zetcd.actors.peers import Log
from zetcd.raft.core import Core
from zetcd.raft.ready import SnapshotMark
from zetcd.wire.local import (
    Install,
    Message,
    Opened,
    Relay,
    SnapshotArrived,
    SnapshotSent,
    SnapshotUnwanted,
    SnapshotWanted,
)
from zetcd.wire.peer import AppendReply, BetweenMembers, Snapshot, SnapshotPart


class SnapshotRelay:
    """to_apply and to_peer send. installing: the mark is on its way to the disk, or there."""

    def __init__(
        self, to_apply: Callable[[Message], None], to_peer: Callable[[BetweenMembers], bool], log: Log
    ) -> None:
        self._to_apply = to_apply
        self._to_peer = to_peer
        self._log = log
        self._wanted: dict[int, int] = {}  # member -> term
        self._mark: tuple[int, int, int] | None = None  # Ready number, index, term
        self._arrived: tuple[int, int] | None = None
        self._greeted = False

    @property
    def installing(self) -> bool:
        """Whether the store is about to be replaced."""
        return self._mark is not None

    def at_start(self, opened: Opened, base: tuple[int, int]) -> None:
        """A complete snapshot that a former life left: finish the switch where wal's mark stands at it, base; remove it
        otherwise."""
        if not opened.arrived_index:
            return
        arrived = opened.arrived_index, opened.arrived_term
        if arrived == base and base[0] > opened.index:
            self._mark = (0, *arrived)
            self._to_apply(Install(*arrived))
        else:
            self._to_apply(Install(0, 0))

    # -- leader ------------------------------------------------------------------------------------------------------
    def wanted(self, core: Core, members: list[int]) -> None:
        """The log does not hold what members need."""
        for member in members:
            self._wanted[member] = core.term
            self._to_apply(SnapshotWanted(member, core.term))

    def check(self, core: Core) -> None:
        """Who leads, or the term, has changed: leadership may have ended, or this life follows for the first time."""
        if core.leader and not core.is_leader and not self._greeted:
            self._greeted = True
            # It may stand on a snapshot that the leader believes on its way: it goes on with its log at once, and need
            # not wait until its apply asks again. What is committed is in every leader's log.
            core.after.append(AppendReply(core.term, core.id, core.leader, core.log.committed))
        if self._wanted and not (core.is_leader and all(term == core.term for term in self._wanted.values())):
            self._wanted = {}
            self._to_apply(SnapshotUnwanted(0))

    def on_sent(self, core: Core, message: SnapshotSent) -> None:
        """Apply has begun with a transfer, or ended it."""
        member, index = f"{message.member:x}", message.index
        if message.pinned:
            self._log.info("sending a snapshot", peer=member, index=index)
            core.snapshot_started(message.member, index)
        else:
            if index:
                self._log.info("snapshot installed by a peer", peer=member, index=index)
            else:
                self._log.warn("a snapshot was not delivered", peer=member)
            self._wanted.pop(message.member, None)
            core.snapshot_finished(message.member, message.index)

    # -- both --------------------------------------------------------------------------------------------------------
    def on_relay(self, core: Core, message: Relay) -> None:
        """From our apply to another member's."""
        self._to_peer(SnapshotPart(core.id, message.member, message.data))

    def on_part(self, message: SnapshotPart) -> None:
        """From another member's apply to ours."""
        self._to_apply(Relay(message.source, message.data))

    # -- follower ----------------------------------------------------------------------------------------------------
    def on_arrived(self, core: Core, message: SnapshotArrived) -> None:
        """The whole snapshot is here: the core decides whether it is needed."""
        self._arrived = message.index, message.term
        core.step(Snapshot(message.leader_term, message.source, core.id, message.index, message.term, message.conf))

    def on_persist(self, number: int, mark: SnapshotMark | None) -> None:
        """A Ready goes to wal."""
        if mark is not None:
            self._mark = (number, mark.index, mark.term)
            self._arrived = None
            self._log.info("installing a snapshot", index=mark.index, term=mark.term)

    def on_persisted(self, number: int) -> None:
        """Wal has answered: the mark is durable."""
        if self._mark is not None and 0 < self._mark[0] <= number:
            _, index, term = self._mark
            self._mark = (0, index, term)
            self._to_apply(Install(index, term))

    def settle(self, core: Core) -> None:
        """End of a turn: a snapshot that the core did not take is not needed."""
        if self._arrived is not None and core.snapshot is None:
            self._arrived = None
            self._to_apply(Install(0, 0))
