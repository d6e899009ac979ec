"""From what the wal has kept and the store has applied to the log the core starts with (rules 3, 15, 21).

- A later block replaces everything from its first index on.
- commit = max(the hard state's, applied), as far as the log reaches: a hard state may have outlived the entries that
  were written after it in the same, unacknowledged turn.
- A log shorter than applied is reset to (applied, term): the store holds only what was durable once.
- A founding member's log begins with the bootstrap entries, whether or not the first start got that far.
"""

from collections.abc import Sequence

from zetcd.base.errors import Refusal
from zetcd.raft.log import Log
from zetcd.wire.entry import Block, split_block
from zetcd.wire.local import HardState, Recovered


class Recovery:
    """Collects `Recovered` slices until one says done, then builds the log."""

    def __init__(self) -> None:
        self.hard_state = HardState()
        self.suspect_cut = False
        self.done = False
        self._log: Log | None = None

    @property
    def base(self) -> tuple[int, int]:
        """(index, term) below the first recovered entry: wal's mark."""
        log = self._log
        return (log.base_index, log.base_term) if log is not None else (0, 0)

    def add(self, slice_: Recovered) -> None:
        """The next slice."""
        log = self._log
        if log is None:
            log = self._log = Log(slice_.snapshot_index, slice_.snapshot_term)
        for block in slice_.blocks:
            if block.last > log.base_index:
                log.append(split_block(block, log.base_index + 1))
        self.hard_state = slice_.hard_state
        self.suspect_cut = self.suspect_cut or slice_.suspect_cut
        self.done = slice_.done

    def build(self, applied: int, term: int, bootstrap: Sequence[Block]) -> Log:
        """The log, given the store's (applied, term) and the bootstrap entries (none where the member joins)."""
        log = self._log
        assert log is not None
        assert self.done
        if applied > log.last_index:
            log.reset(applied, term)
        elif applied < log.base_index:
            raise Refusal(
                f"the store is at entry {applied}, but the log begins behind {log.base_index}: the store was lost"
            )
        elif log.term_at(applied) != term:
            raise Refusal(
                f"the store applied entry {applied} of term {term}, the log holds it in term {log.term_at(applied)}: "
                "store and log are not of one member"
            )
        log.recovered(max(min(self.hard_state.commit, log.last_index), applied), applied)
        if log.base_index == 0 and log.last_index < len(bootstrap):
            # Not durable yet, so it is handed to the wal like any other entry; committed, since every founder has it.
            for block in bootstrap[log.last_index :]:
                log.append(block)
            log.commit_to(log.last_index)
        return log
