"""The Raft log in memory: a run of blocks, none of them opened unless a conflict or an overlap forces it.

    base          oldest block ...                         newest block   open tail
    (index,term]  [first..last t1] [first..last t2] ...    [first..last]  parts of one block to be
                            ^applied      ^committed   ^stable   ^offered

- Blocks are contiguous and their terms never fall. Entries are compared, never block bounds (rule 15): cutting the same
  entries differently changes no answer of this class.
- The tail takes what a leader appends; `seal` joins it into one block, so that the proposals of a turn travel as one.
- offered: handed to the wal in some Ready; stable: known durable; neither survives the replacement of its entries.
- base is the entry before the first block: the one a snapshot or the store stands at, (0, 0) for a fresh log.
"""

from bisect import bisect_left, bisect_right

from zetcd.base import limits
from zetcd.base.errors import Fatal
from zetcd.wire.entry import Block, BlockKind, cut_block, split_block


class Log:
    """Blocks above a base. Index lookups cost one bisection over blocks."""

    __slots__ = (
        "_base_bytes",
        "_blocks",
        "_committed_bytes",
        "_ends",
        "_firsts",
        "_parts",
        "_tail_bytes",
        "_tail_first",
        "applied",
        "base_index",
        "base_term",
        "block_bytes_max",
        "committed",
        "last_index",
        "last_term",
        "membership_index",
        "offered",
        "stable",
    )

    def __init__(self, index: int = 0, term: int = 0, block_bytes_max: int = limits.BLOCK_BYTES_MAX) -> None:
        self.block_bytes_max = block_bytes_max
        self._blocks: list[Block] = []
        self._firsts: list[int] = []  # first index of each block
        self._ends: list[int] = []  # bytes of all blocks up to each one, since the birth of the log
        self._base_bytes = 0
        self._committed_bytes = 0
        self._parts: list[bytes] = []
        self._tail_first = 0
        self._tail_bytes = 0
        self.reset(index, term)

    def reset(self, index: int, term: int) -> None:
        """Forget everything: the log stands at (index, term), which is committed, applied and durable."""
        self._blocks.clear()
        self._firsts.clear()
        self._ends.clear()
        self._parts.clear()
        self._tail_bytes = 0
        self._committed_bytes = self._base_bytes
        self.base_index = self.last_index = index
        self.base_term = self.last_term = term
        self.committed = self.applied = self.stable = self.offered = index
        self.membership_index = 0  # newest MEMBERSHIP block, or 0

    # -- growing ---------------------------------------------------------------------------------------------------
    def extend(self, term: int, kind: int, count: int, data: bytes) -> tuple[int, int]:
        """Append count entries as leader of term and return their (first, last) index. They join the open tail; a
        MEMBERSHIP entry stands alone (rule 14)."""
        first = self.last_index + 1
        last = self.last_index + count
        if kind:
            self.seal()
            self._push(Block(first, last, term, data, kind))
            return first, last
        size = len(data)
        if self._parts:
            if term != self.last_term or self._tail_bytes + size > self.block_bytes_max:
                self.seal()
                self._tail_first = first
        else:
            self._tail_first = first
        self._parts.append(data)
        self._tail_bytes += size
        self.last_index = last
        self.last_term = term
        return first, last

    def seal(self) -> None:
        """Make one block of the open tail."""
        parts = self._parts
        if parts:
            data = parts[0] if len(parts) == 1 else b"".join(parts)
            self._parts = []
            self._tail_bytes = 0
            self._push(Block(self._tail_first, self.last_index, self.last_term, data))

    def append(self, block: Block) -> None:
        """Append a block that starts at or below last_index + 1; it replaces everything from its first index on."""
        self.seal()
        if block.first <= self.last_index:
            self.truncate(block.first)
        if block.first != self.last_index + 1 or block.last < block.first:
            raise Fatal(f"raft log: block {block.first}..{block.last} does not follow {self.last_index}")
        if block.term < self.last_term:
            raise Fatal(f"raft log: term {block.term} of entry {block.first} is below {self.last_term}")
        self._push(block)

    def truncate(self, first: int) -> None:
        """Drop the entries from index first on. Fatal where one of them is committed."""
        self.seal()
        if first <= self.committed:
            raise Fatal(f"raft log: entry {first} is committed (up to {self.committed}) and would be replaced")
        blocks = self._blocks
        while blocks and blocks[-1].first >= first:
            self._pop()
        if blocks and blocks[-1].last >= first:
            block = cut_block(blocks[-1], first - 1)
            self._pop()
            self._push(block)
        self.last_index = first - 1
        self.last_term = blocks[-1].term if blocks else self.base_term
        self.offered = min(self.offered, first - 1)
        self.stable = min(self.stable, first - 1)
        if self.membership_index >= first:
            self.membership_index = next((b.first for b in reversed(blocks) if b.kind == BlockKind.MEMBERSHIP), 0)

    def _push(self, block: Block) -> None:
        self._firsts.append(block.first)
        self._ends.append((self._ends[-1] if self._ends else self._base_bytes) + len(block.data))
        self._blocks.append(block)
        self.last_index = block.last
        self.last_term = block.term
        if block.kind:
            self.membership_index = block.last

    def _pop(self) -> None:
        self._blocks.pop()
        self._firsts.pop()
        self._ends.pop()

    # -- asking ----------------------------------------------------------------------------------------------------
    @property
    def first_index(self) -> int:
        """The oldest entry held here; last_index + 1 where there is none."""
        return self.base_index + 1

    @property
    def bytes(self) -> int:
        """Of all entries held here."""
        return (self._ends[-1] if self._ends else self._base_bytes) - self._base_bytes + self._tail_bytes

    @property
    def uncommitted_bytes(self) -> int:
        """Of the entries beyond committed; a block committed in part counts in full."""
        return (self._ends[-1] if self._ends else self._base_bytes) - self._committed_bytes + self._tail_bytes

    def term_at(self, index: int) -> int | None:
        """Term of the entry at index; None where it is not known here any more, or not yet."""
        if index == self.last_index:
            return self.last_term
        if index > self.last_index or index < self.base_index:
            return None
        if index == self.base_index:
            return self.base_term
        if self._parts and index >= self._tail_first:
            return self.last_term
        return self._blocks[bisect_right(self._firsts, index) - 1].term

    def first_membership(self, first: int) -> int:
        """Index of the first membership change at or above first, as far as that is held; 0 where there is none."""
        if first > self.membership_index:
            return 0
        blocks = self._blocks
        for position in range(max(bisect_right(self._firsts, first) - 1, 0), len(blocks)):
            block = blocks[position]
            if block.kind and block.first >= first:
                return block.first
        return 0

    def is_current(self, index: int, term: int) -> bool:
        """Whether a log that ends in (index, term) is at least as up to date as this one (Raft section 5.4.1)."""
        return term > self.last_term or (term == self.last_term and index >= self.last_index)

    def last_within(self, index: int, term: int) -> int:
        """The highest index up to `index` whose term is at most term; at or below the base the search ends, since what
        is there is committed."""
        self.seal()
        index = min(index, self.last_index)
        while index > self.base_index:
            block = self._blocks[bisect_right(self._firsts, index) - 1]
            if block.term <= term:
                return index
            index = block.first - 1
        return index

    def first_difference(self, block: Block) -> int:
        """The first index of block that this log does not hold with block's term; block.last + 1 where it holds all.

        By the Log Matching property (Raft section 5.3) entries of equal index and term are equal, so no block is
        opened to find out. What is below the base is committed and therefore equal.
        """
        self.seal()
        index = max(block.first, self.base_index + 1)
        position = bisect_right(self._firsts, index) - 1
        while index <= min(block.last, self.last_index):
            own = self._blocks[position]
            if own.term != block.term:
                return index
            index = own.last + 1
            position += 1
        return min(index, block.last + 1)

    def blocks_from(self, first: int, bytes_max: int | None = None) -> list[Block]:
        """The entries from index first on (above base_index), as blocks of together at most bytes_max but at least
        one. Only where first lies inside a block is that one opened."""
        self.seal()
        if first > self.last_index:
            return []
        if first <= self.base_index:
            raise Fatal(f"raft log: entry {first} is gone (up to {self.base_index})")
        start = bisect_right(self._firsts, first) - 1
        stop = len(self._blocks)
        if bytes_max is not None:
            before = self._ends[start - 1] if start else self._base_bytes
            stop = min(stop, max(start + 1, bisect_right(self._ends, before + bytes_max)))
        blocks = self._blocks[start:stop]
        if blocks[0].first < first:
            blocks[0] = split_block(blocks[0], first)
        return blocks

    def start_below(self, index: int, entries: int, bytes_max: int) -> int:
        """The entry behind which a log may begin that keeps `entries` entries up to index, in whole blocks, as far as
        all that follows is at most bytes_max; from base_index to index. What is behind index is kept in any case."""
        firsts, ends = self._firsts, self._ends
        position = max(bisect_right(firsts, index - entries + 1) - 1, 0)
        before = self._base_bytes + self.bytes - bytes_max
        if before > self._base_bytes:
            position = max(position, bisect_left(ends, before) + 1)
        start = firsts[position] - 1 if position < len(firsts) else index
        return min(start, index)

    def recovered(self, committed: int, applied: int) -> None:
        """All that was appended came from the disk and is durable there (rule 1)."""
        self.offered = self.stable = self.last_index
        self.applied = applied
        self.commit_to(committed)

    # -- settling --------------------------------------------------------------------------------------------------
    def commit_to(self, index: int) -> None:
        """Raise committed; it never falls."""
        if index <= self.committed:
            return
        if index > self.last_index:
            raise Fatal(f"raft log: commit {index} is beyond the last entry {self.last_index}")
        self.committed = index
        blocks = self._blocks
        if blocks and blocks[-1].last == index:
            self._committed_bytes = self._ends[-1]
            return
        position = bisect_right(self._firsts, index) - 1
        if position >= 0 and blocks[position].last > index:
            position -= 1
        self._committed_bytes = self._ends[position] if position >= 0 else self._base_bytes

    def compact(self, index: int) -> None:
        """Drop the blocks that lie wholly at or below index, which must be applied."""
        index = min(index, self.applied)
        blocks = self._blocks
        count = bisect_right(self._firsts, index)
        if count and blocks[count - 1].last > index:
            count -= 1
        if count:
            self.base_index = blocks[count - 1].last
            self.base_term = blocks[count - 1].term
            self._base_bytes = self._ends[count - 1]
            self._committed_bytes = max(self._committed_bytes, self._base_bytes)
            del blocks[:count], self._firsts[:count], self._ends[:count]
