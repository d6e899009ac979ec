"""The port through which apply has the overlay written to LevelDB; `zetcd.host.flusher` is it."""

from typing import Protocol

from zetcd.state.machine import Flush


class Flusher(Protocol):
    """Writes one Flush at a time, off the actor's thread; its end comes back as `ApplyActor.on_flushed`."""

    def submit(self, flush: Flush) -> None:
        """Start writing; never called while another one is under way."""
