"""What executing a block of the log brings about, for the actor to send on."""

from zetcd.wire.local import ConfState, Event, LeaseRow
from zetcd.wire.results import Result


class Outcome:
    """replies: (origin, sequence, result) in log order. events: changes of (previous, revision], only where the event
    level asks for them. granted, checkpointed, revoked: what the lease process has to know, in log order. The flags
    say that the compact revision, the alarms or the member list changed; conf is the configuration after an accepted
    membership change."""

    __slots__ = (
        "alarms_changed", "checkpointed", "compacted", "conf", "events", "granted", "members_changed", "previous",
        "replies", "revision", "revoked",
    )  # fmt: skip

    def __init__(self, revision: int) -> None:
        self.replies: list[tuple[int, int, Result]] = []
        self.events: list[Event] = []
        self.previous = revision
        self.revision = revision
        self.granted: list[LeaseRow] = []
        self.checkpointed: list[LeaseRow] = []
        self.revoked: list[int] = []
        self.compacted = False
        self.alarms_changed = False
        self.members_changed = False
        self.conf: ConfState | None = None
