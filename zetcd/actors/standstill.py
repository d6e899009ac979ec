"""Time that passed without ticks, for leased reads (`zetcd.raft.config.Config.lease_reads`): a process that was
stopped, or starved, or slept with its machine, must not go by a lease that ended meanwhile.

Whoever takes a read looks at the clock after the read has arrived. A stop between that look and the answer does no
harm: the read began before the look, and the lease held then.
"""

from collections.abc import Callable

from zetcd.raft.core import Core


class Standstill:
    """clock_ms: milliseconds that go on while the process, or the machine, sleeps."""

    def __init__(self, clock_ms: Callable[[], int], tick_ms: int) -> None:
        self._clock_ms = clock_ms
        self._longest_ms = tick_ms * 3 // 2  # half an election timeout of such ticks is within a whole one of others
        self._ticked_ms = clock_ms()

    def look(self, core: Core) -> None:
        """Void the lease where the next tick is overdue."""
        if self._clock_ms() - self._ticked_ms > self._longest_ms:
            core.void_lease()

    def on_tick(self, core: Core) -> None:
        """The core is about to be ticked."""
        self.look(core)
        self._ticked_ms = self._clock_ms()
