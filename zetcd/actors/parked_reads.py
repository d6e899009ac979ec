"""Linearizable reads that wait in apply for their read index (Raft section 6.4; rules 7 and 10).

They come from api under a context, their index from raft under the same context, in either order. A context is
(incarnation of the api process, number) and never used twice. Reads leave when the store has applied their index.
"""

from collections import deque

from zetcd.wire.queries import Read

Context = tuple[int, int]


class ParkedReads:
    """Reads by context. count: how many reads there are."""

    __slots__ = ("_early", "_indexed", "_reads", "count")

    def __init__(self) -> None:
        self.count = 0
        self._reads: dict[Context, list[Read]] = {}
        self._indexed: deque[tuple[int, Context]] = deque()
        self._early: dict[Context, int] = {}

    def __len__(self) -> int:
        """Contexts that are known, with their reads or ahead of them."""
        return len(self._reads) + len(self._early)

    @property
    def indexed(self) -> bool:
        """Whether some context has its index."""
        return bool(self._indexed)

    def park(self, context: Context, reads: list[Read]) -> bool:
        """Keep reads until their index is applied. Returns whether raft has told that index already."""
        self._reads[context] = reads
        self.count += len(reads)
        index = self._early.pop(context, None)
        if index is None:
            return False
        self._indexed.append((index, context))
        return True

    def confirm(self, context: Context, index: int, expected: bool) -> None:
        """The index of context. expected: its reads may still come, since raft was faster than the api's own frame."""
        if context in self._reads:
            self._indexed.append((index, context))
        elif expected:
            self._early[context] = index

    def drop(self, context: Context) -> list[Read]:
        """Take back the reads of context, whatever it waits for; none where it is not known."""
        self._early.pop(context, None)
        reads = self._reads.pop(context, [])
        self.count -= len(reads)
        return reads

    def release(self, applied: int) -> list[tuple[Context, list[Read]]]:
        """Reads whose index is at or below applied."""
        released, waiting = [], deque[tuple[int, Context]]()
        for index, context in self._indexed:
            if index > applied:
                waiting.append((index, context))
            elif context in self._reads:
                released.append((context, self.drop(context)))
        self._indexed = waiting
        return released

    def release_all(self) -> list[tuple[Context, list[Read]]]:
        """Every read: under the one-voter grant none needs an index (rule 9)."""
        released = list(self._reads.items())
        self._reads.clear()
        self._indexed.clear()
        self.count = 0
        return released

    def forget(self, incarnation: int) -> None:
        """The api process of that incarnation is gone."""
        for context in [context for context in self._reads if context[0] == incarnation]:
            self.drop(context)
        self._early = {context: index for context, index in self._early.items() if context[0] != incarnation}
