"""The one-voter grant (rule 9): given to apply while this member is the sole voter and leads, taken back before anybody
else votes.

Given once the first entry of the term and every membership change are applied: then a durable entry is a committed one,
and an executed one is all there is to read. Taken back when a membership change is proposed, so that it is back before
the change can take effect; a configuration takes effect only once apply has answered.
"""

from collections.abc import Callable

from zetcd.raft.core import Core
from zetcd.wire.local import Grant, Revoke


class Granting:
    """send: to apply. revoking: apply has not answered the last Revoke yet."""

    def __init__(self, send: Callable[[Grant | Revoke], None]) -> None:
        self._send = send
        self._serial = 0
        self._grant: Grant | None = None
        self.revoking = False

    @property
    def granted(self) -> bool:
        """Whether apply holds a grant."""
        return self._grant is not None

    def due(self, core: Core) -> bool:
        """Whether a grant may be given now."""
        log = core.log
        since = core.leads_since
        return (
            self._grant is None
            and not self.revoking
            and since > 0
            and core.alone
            and log.applied >= max(since, log.membership_index)
        )

    def give(self, core: Core) -> None:
        """Only where it is `due`."""
        self._serial += 1
        self._grant = Grant(self._serial, core.term)
        self._send(self._grant)

    def stands(self, core: Core) -> bool:
        """Whether the grant that was given still holds."""
        grant = self._grant
        return grant is not None and grant.term == core.term and core.is_leader and core.alone

    def revoke(self) -> None:
        """Take it back; nothing where there is none."""
        if self._grant is not None:
            self._send(Revoke(self._grant.serial))
            self._grant = None
            self.revoking = True

    def revoked(self, serial: int) -> None:
        """Apply has answered."""
        if serial == self._serial:
            self.revoking = False
