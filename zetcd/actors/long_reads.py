"""Reads that take more than one turn (rule 19): pinned cursors, stepped a slice at a time, small work first.

Only the first few in line gather rows, the others hold nothing but their pinned view, and nobody steps a cursor whose
api process has not read what it was answered: so what they hold together is bounded, however many there are.
"""

from collections import deque
from typing import Protocol

from zetcd.base import limits
from zetcd.mvcc.cursor import Cursor
from zetcd.wire.results import Result


class Reader(Protocol):
    """An api process; unread: bytes of large answers it has not returned credit for."""

    unread: int


class LongReads:
    """The line of cursors."""

    __slots__ = ("_line",)

    def __init__(self) -> None:
        self._line: deque[tuple[Reader, int, Cursor]] = deque()

    def __len__(self) -> int:
        return len(self._line)

    def add(self, reader: Reader, sequence: int, cursor: Cursor) -> bool:
        """Line up; false, and cursor is closed, where the line is full."""
        if len(self._line) >= limits.RANGES_PINNED_MAX:
            cursor.close()
            return False
        self._line.append((reader, sequence, cursor))
        return True

    def forget(self, reader: Reader) -> None:
        """That process is gone."""
        kept: deque[tuple[Reader, int, Cursor]] = deque()
        for item in self._line:
            if item[0] is reader:
                item[2].close()
            else:
                kept.append(item)
        self._line = kept

    def busy(self) -> bool:
        """Whether `step` would do something."""
        return any(self._may_step(self._line[at][0]) for at in range(min(len(self._line), limits.RANGES_GATHERING_MAX)))

    def step(self) -> list[tuple[Reader, int, Result]]:
        """A few slices, in turn; the answers that are complete."""
        line, answers, steps = self._line, list[tuple[Reader, int, Result]](), 0
        gathering = [line.popleft() for _ in range(min(len(line), limits.RANGES_GATHERING_MAX))]
        waiting, stepped = list[tuple[Reader, int, Cursor]](), list[tuple[Reader, int, Cursor]]()
        for item in gathering:
            reader, sequence, cursor = item
            if steps == limits.CURSOR_STEPS_PER_TURN or not self._may_step(reader):
                waiting.append(item)
                continue
            steps += 1
            result = cursor.step()
            if result is None:
                stepped.append(item)
            else:
                answers.append((reader, sequence, result))
        line.extendleft(reversed(waiting + stepped))
        return answers

    @staticmethod
    def _may_step(reader: Reader) -> bool:
        return reader.unread < limits.ANSWERS_UNREAD_BYTES_MAX
