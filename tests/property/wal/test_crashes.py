"""Random histories on a disk that dies, fails and loses power: what was persisted is recovered, nothing is invented."""

import random
from dataclasses import dataclass, field, replace
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.wal.member import Member, block, entries_of
from zetcd.base import limits
from zetcd.base.errors import Fatal
from zetcd.wal.memory import MemoryFiles
from zetcd.wire.entry import Entry, decode_entries
from zetcd.wire.local import HardState, Persist, Persisted, Release

INITIAL = HardState()


@dataclass(frozen=True)
class State:
    """What a log says: hard state, base, entries behind it."""

    hard: HardState = INITIAL
    base: tuple[int, int] = (0, 0)
    entries: dict[int, tuple[int, Entry]] = field(default_factory=dict)

    @property
    def last(self) -> tuple[int, int]:
        if not self.entries:
            return self.base
        index = max(self.entries)
        return (index, self.entries[index][0])

    def seen(self) -> tuple[HardState, tuple[int, int], dict[int, tuple[int, Entry]]]:
        """As recovery shows it: the commit within the log."""
        commit = max(min(self.hard.commit, self.last[0]), self.base[0])
        return (HardState(self.hard.term, self.hard.vote, commit), self.base, self.entries)


def steps(state: State, turn: list[Persist | Release]) -> list[State]:
    """The states after each record of a turn; a crash in it may leave any of them, or state itself."""
    states = []
    for message in turn:
        if isinstance(message, Release):
            if message.index > state.last[0]:
                state = replace(state, base=(message.index, message.term), entries={})
                states.append(state)
            elif message.index > state.base[0]:
                kept = {index: entry for index, entry in state.entries.items() if index > message.index}
                state = replace(state, base=(message.index, message.term), entries=kept)
                states.append(state)
            continue
        if message.snapshot_index:
            base = (message.snapshot_index, message.snapshot_term)
            state = State(message.hard_state or state.hard, base, {})
            states.append(state)
        elif message.hard_state is not None:
            state = replace(state, hard=message.hard_state)
            states.append(state)
        for part in message.blocks:
            kept = {index: entry for index, entry in state.entries.items() if index < part.first}
            opened = decode_entries(part.count, part.data)
            kept |= {index: (part.term, entry) for index, entry in enumerate(opened, part.first)}
            state = replace(state, entries=kept)
            states.append(state)
    return states


class History:
    """A member, the states its disk may be in, and the dice."""

    def __init__(self, seed: int, segment_bytes: int) -> None:
        self.dice = random.Random(seed)
        self.files = MemoryFiles(self.dice.randrange)
        self.segment_bytes = segment_bytes
        self.member = Member(self.files, segment_bytes)
        self.state = State()
        self.unsynced: list[State] = []  # states that a power loss may go back to, oldest first
        self.term = 1
        self.serial = 0

    def random_turn(self) -> list[Persist | Release]:
        turn: list[Persist | Release] = []
        state = self.state
        for _ in range(self.dice.randrange(1, 4)):
            kind = self.dice.randrange(12)
            last, last_term = state.last
            message: Persist | Release
            if kind < 3 and last > state.base[0]:
                index = self.dice.randrange(state.base[0] + 1, last + 1)
                message = Release(index, state.entries[index][0])
            elif kind < 5:
                message = self.member.ready(state=HardState(self.term, 9, self.dice.randrange(last + 3)), sync=False)
            elif kind == 5:
                self.term += 1
                message = Release(last + self.dice.randrange(1, 5), self.term)
            elif kind == 6:
                self.term += 1
                index = state.base[0] + self.dice.randrange(1, 9)
                voted = self.dice.choice((HardState(self.term, 9, index), None))
                ready = self.member.ready(block(index + 1, 1, self.term), state=voted)
                message = Persist(ready.number, ready.hard_state, ready.blocks, True, index, self.term)
            else:
                first = last + 1
                if kind < 8 and last > state.base[0]:
                    self.term += 1
                    first = self.dice.randrange(state.base[0] + 1, last + 2)
                self.serial += 1
                count, size = self.dice.randrange(1, 4), self.dice.choice((1, 30, 300, 900))
                part = block(first, count, max(self.term, last_term), size, self.serial)
                hard = HardState(self.term, self.dice.randrange(3), last) if self.dice.randrange(2) else None
                message = self.member.ready(part, state=hard)
            turn.append(message)
            state = steps(state, [message])[-1] if steps(state, [message]) else state
        return turn

    def play(self, fault: int) -> bool:
        """One turn; fault > 0: its fault-th changing call fails. Whether the member lives."""
        turn = self.random_turn()
        after = steps(self.state, turn)
        persists = [message for message in turn if isinstance(message, Persist)]
        synced = any(message.blocks or self.votes(message) for message in persists)
        self.files.fault_at = self.files.calls + fault if fault else 0
        try:
            answers = self.member.turn(*turn)
        except Fatal:
            self.unsynced = [*self.unsynced, self.state, *after]
            return False
        end = after[-1] if after else self.state
        if persists:
            assert answers == [Persisted(persists[-1].number, *end.last)]
        self.unsynced = [] if synced else [*self.unsynced, self.state, *after]
        self.state = end
        self.files.fault_at = 0
        return True

    def votes(self, message: Persist) -> bool:
        hard, former = message.hard_state, self.state.hard
        return hard is not None and (hard.term, hard.vote) != (former.term, former.vote)

    def tick(self) -> None:
        self.files.fault_at = 0
        self.member.actor.on_tick(0)

    def crash(self, power: bool, alive: bool) -> None:
        """Start again; the log must say one of the things it may say."""
        self.files.fault_at = 0
        if power:
            self.files.lose_power(self.dice.randrange)
        else:
            self.files.kill()
        possible = [self.state] if alive and not power else [*self.unsynced, self.state]
        self.member = Member(self.files, self.segment_bytes)
        assert not self.member.recovered[-1].suspect_cut
        found = (self.member.state, self.member.base, entries_of(self.member.blocks))
        matching = [state for state in possible if state.seen() == found]
        assert matching, (found, [state.seen() for state in possible])
        self.state = replace(matching[-1], hard=self.member.state)
        self.unsynced = []  # rule 1: recovered states are durable
        self.term += 1


OPERATIONS = st.lists(
    st.sampled_from(["turn", "turn", "turn", "tick", "kill", "power", "fault-kill", "fault-power"]),
    min_size=1,
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(
    OPERATIONS, st.integers(0, 2**32), st.sampled_from([1024, 4096]), st.sampled_from([0, limits.SEGMENT_FOLD_BYTES])
)
def test_rules_01_02_04_everything_persisted_is_recovered_and_nothing_invented(
    operations: list[str], seed: int, segment_bytes: int, fold_bytes: int
) -> None:
    with patch.object(limits, "SEGMENT_FOLD_BYTES", fold_bytes):
        run(History(seed, segment_bytes), operations)


def run(history: History, operations: list[str]) -> None:
    for operation in operations:
        if operation == "turn":
            history.play(0)
        elif operation == "tick":
            history.tick()
        elif operation.startswith("fault"):
            alive = history.play(history.dice.randrange(1, 8))
            history.crash(power=operation.endswith("power"), alive=alive)
        else:
            history.crash(power=operation == "power", alive=True)
