"""What apply has told a lease process: all leases, a slice a turn, and the changes of those told before."""

from dataclasses import dataclass

from zetcd.base import limits
from zetcd.state.machine import Machine, Outcome
from zetcd.wire.local import LeaseChanges, LeaseLoad, LeaseRow


@dataclass(slots=True, eq=False)
class Load:
    """One lease process. It has the leases with ids up to `upto`; done: all of them."""

    upto: int = -(2**63) - 1
    done: bool = False

    def next_slice(self, machine: Machine) -> LeaseLoad:
        """The leases that follow, as they are now."""
        rows: list[LeaseRow] = machine.lease_rows(self.upto, limits.LEASE_LOAD_SLICE)
        self.done = len(rows) < limits.LEASE_LOAD_SLICE
        if rows:
            self.upto = rows[-1].id
        return LeaseLoad(rows, self.done)

    def changes(self, outcome: Outcome) -> LeaseChanges:
        """Only of leases it has been told; the others it will be told as they are when their turn comes."""
        if self.done:
            return LeaseChanges(outcome.granted, outcome.checkpointed, outcome.revoked)
        upto = self.upto
        return LeaseChanges(
            [row for row in outcome.granted if row.id <= upto],
            [row for row in outcome.checkpointed if row.id <= upto],
            [lease for lease in outcome.revoked if lease <= upto],
        )
