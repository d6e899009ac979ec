"""Entries on their way from the core to wal and apply, both at once, and how far they have come.

    core --Ready--> Persist to wal;  Blocks and Commit to apply, ahead of the sync

- What wal and apply have not answered is bounded in bytes (rule 17) and watched for standstill (rule 20); what does
  not fit stays in the core's log.
- A few small entries go to apply together with the word that they are committed, and what apply has executed comes
  back in steps unless somebody waits for it: a lone client's put costs apply and raft one wake less, on each member.
- While apply holds the one-voter grant (rule 9) it executes on wal's own word: wal hands it the blocks together with
  the word that they are durable, which spares a wake of apply for each put; Commit then only travels along with the
  next Blocks, or at the next tick.
"""

from collections.abc import Sequence

from zetcd.actors.windows import Window
from zetcd.base import limits
from zetcd.raft.log import Log
from zetcd.raft.ready import Ready
from zetcd.wire.entry import Block
from zetcd.wire.local import Blocks, Commit, Persist, Release


class Pipeline:
    """One life's progress. commit: as the core gave it out; applied and flushed: as apply has told."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.applied = self.flushed = 0
        self.commit = 0
        self.commit_due = False
        self._next = 0  # first entry that apply has not been sent
        self._commit_sent = 0
        self._report_asked = 0  # commit index whose execution apply tells at once
        self._own_last = 0  # last entry that apply has from here, and so executes on our word alone
        self._persists = Window(limits.PERSIST_INFLIGHT_BYTES_MAX)  # by Ready number
        self._blocks = Window(limits.APPLY_INFLIGHT_BYTES_MAX)  # by last index
        self._commits = Window()  # by commit index

    def start(self, applied: int, commit: int) -> None:
        """The store is at applied, which is synced there; commit: what of the log is committed and durable."""
        self.applied = self.flushed = self._commit_sent = applied
        self._next = applied + 1
        self.commit = commit

    @property
    def room_for_wal(self) -> bool:
        """Whether wal may be sent more."""
        return self._persists.room > 0

    @property
    def persisting(self) -> bool:
        """Whether wal has not answered everything."""
        return bool(self._persists)

    def age_ms(self) -> int:
        """For how long wal or apply has owed answers and given none."""
        return max(self._persists.age_ms(self.now_ms), self._commits.age_ms(self.now_ms))

    def persist(self, ready: Ready, *, granted: bool, caught_up: bool) -> Persist:
        """What wal is to write for ready. granted: apply executes on wal's word."""
        blocks, mark = ready.blocks, ready.snapshot
        if blocks and blocks[0].first < self._next:
            self._next = blocks[0].first
            self._blocks.replaced(self._next)
        forward = granted and bool(blocks) and blocks[0].first == self._next and self._blocks.room > 0
        if forward:
            self._sent_to_apply(blocks)
        size = 0
        for block in blocks:
            size += len(block.data)
        self._persists.add(ready.number, size, self.now_ms)
        index, term = (mark.index, mark.term) if mark is not None else (0, 0)
        return Persist(ready.number, ready.hard_state, blocks, ready.must_sync, index, term, caught_up, forward)

    def persisted(self, number: int) -> None:
        """Wal has answered everything up to number."""
        self._persists.answered(number, self.now_ms)

    def executed(self, index: int) -> None:
        """Apply has executed everything up to index."""
        self.applied = index
        self._blocks.answered(index, self.now_ms)
        self._commits.answered(index, self.now_ms)

    def behind(self, log: Log, *, report: bool) -> bool:
        """Whether `feed` may have something."""
        return self._next <= log.offered or self.commit > self._commit_sent or self._unasked(report=report)

    def _unasked(self, *, report: bool) -> bool:
        return report and max(self.applied, self._report_asked) < self._commit_sent

    def feed(self, log: Log, number: int, *, granted: bool, report: bool) -> list[Blocks | Commit]:
        """For apply: blocks as the window allows, ahead of their commit; then how far they are committed and durable
        here. number: of the newest Ready; report: apply is to tell at once when it has executed that."""
        found: list[Blocks | Commit] = []
        if self._next <= log.offered and self._blocks.room > 0:
            blocks = log.blocks_from(self._next, self._blocks.room)
            due = granted or self.commit_due or self.commit >= self._next
            if due or sum(len(block.data) for block in blocks) >= limits.BLOCKS_AHEAD_BYTES:
                self._sent_to_apply(blocks)
                found.append(Blocks(number, blocks))
                self._own_last = blocks[-1].last
        commit = min(self.commit, self._next - 1)
        awaited = self._commit_sent < self._own_last
        if commit > self._commit_sent and (awaited or not granted or self.commit_due):
            self._commit_sent = commit
            if commit > self.applied:
                self._commits.raise_to(commit, self.now_ms)
            found.append(self._commit_word(log, report=report))
        elif self._unasked(report=report):
            found.append(self._commit_word(log, report=True))
        self.commit_due = False
        return found

    def _commit_word(self, log: Log, *, report: bool) -> Commit:
        if report:
            self._report_asked = self._commit_sent
        return Commit(self._commit_sent, log.term_at(self._commit_sent) or 0, report)

    def release(self, log: Log, index: int, term: int, catchup_entries: int) -> Release:
        """The store has synced everything up to (index, term): what wal need not keep. It keeps catchup_entries below
        that, so that a restart does not cost every follower that is behind a whole snapshot; read again at each start,
        they are bounded in bytes."""
        start = log.start_below(index, catchup_entries, limits.CATCHUP_KEPT_BYTES_MAX)
        known = log.term_at(start) if start < index else None
        return Release(index, term) if known is None else Release(start, known)

    def _sent_to_apply(self, blocks: Sequence[Block]) -> None:
        for block in blocks:
            self._blocks.add(block.last, len(block.data), self.now_ms)
        self._next = blocks[-1].last + 1
