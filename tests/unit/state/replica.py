"""A machine with its log, for tests: run commands, flush, crash, read."""

from collections.abc import Sequence

import msgspec

from zetcd.mvcc.cursor import finish
from zetcd.mvcc.engine import Engine
from zetcd.mvcc.keys import header_of, value_of
from zetcd.state.machine import Cursor, Flush, Machine, Outcome
from zetcd.wire.codec import decode_events
from zetcd.wire.entry import Block, Command, Entry, encode_entries
from zetcd.wire.local import Event
from zetcd.wire.queries import Query
from zetcd.wire.results import Histories, RangeDone, Result

Logged = tuple[int, Entry]
"""(term, entry); the entry's index is its place in the log, from 1."""


class Replica:
    """One member's state machine and the log it executes."""

    def __init__(self, engine: Engine, log: list[Logged] | None = None, event_level: int = 2) -> None:
        self.log: list[Logged] = log if log is not None else []
        self.event_level = event_level
        self.open(engine)

    def open(self, engine: Engine) -> None:
        """A new life on engine: everything that was not flushed is gone from memory, and is executed again."""
        self.engine = engine
        self.machine = Machine(engine)
        self.machine.event_level = self.event_level
        self.catch_up()

    def catch_up(self, upto: int | None = None) -> None:
        """Execute the log up to upto (default: all of it)."""
        upto = len(self.log) if upto is None else upto
        for index in range(self.machine.applied + 1, upto + 1):
            term, entry = self.log[index - 1]
            self.machine.apply(Block(index, index, term, encode_entries([entry])))

    def propose(self, commands: Sequence[Command], term: int = 1) -> Block:
        """Append commands to the log as one block."""
        first = len(self.log) + 1
        entries = [Entry(7, first + at, command) for at, command in enumerate(commands)]
        self.log += [(term, entry) for entry in entries]
        return Block(first, first + len(entries) - 1, term, encode_entries(entries))

    def execute(self, *commands: Command, term: int = 1) -> Outcome:
        """Append and execute; the whole outcome."""
        return self.machine.apply(self.propose(commands, term))

    def run(self, *commands: Command, term: int = 1) -> list[Result]:
        """Append and execute; the results in order."""
        outcome = self.execute(*commands, term=term)
        first = len(self.log) - len(commands) + 1
        assert [(origin, sequence) for origin, sequence, _ in outcome.replies] == [
            (7, first + at) for at in range(len(commands))
        ]
        return [result for _, _, result in outcome.replies]

    def one(self, command: Command, term: int = 1) -> Result:
        """Append and execute one command."""
        (result,) = self.run(command, term=term)
        return result

    def read(self, query: Query) -> Result:
        """The answer, however many steps it takes."""
        answer = self.machine.query(query)
        return finish(answer) if isinstance(answer, Cursor) else answer

    def freeze(self) -> Flush:
        """Everything executed, as one batch ready to be written."""
        flush = self.machine.freeze(0, force=True)
        assert flush is not None
        return flush

    def flush(self) -> None:
        """Everything executed and swept is in the engine."""
        flush = self.machine.freeze(0, force=True)
        if flush is not None:
            flush.write()
            self.machine.flushed(flush)

    def history(self, query: Query) -> tuple[int, list[Event]]:
        """A slice of history: (upto, events)."""
        answer = self.read(query)
        assert isinstance(answer, Histories)
        return answer.upto, decode_events(msgspec.Raw(bytes(answer.events)))


def shown(result: Result) -> list[tuple[bytes, bytes, int, int, int, int]]:
    """Rows of a range as (key, value, create, mod, version, lease)."""
    assert isinstance(result, RangeDone), result
    found = []
    for key, row in result.rows:
        header = header_of(row)
        found.append((key, value_of(row), header.create, header.mod, header.version, header.lease))
    return found


def keys_of(result: Result) -> list[bytes]:
    """Keys of a range in the order of the answer."""
    assert isinstance(result, RangeDone), result
    return [key for key, _ in result.rows]
