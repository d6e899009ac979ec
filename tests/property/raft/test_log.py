"""Rule 15: the log of blocks against a plain list of entries; how entries were cut into blocks changes no answer."""

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from zetcd.raft.log import Log
from zetcd.wire.entry import Block, Entry, Put, decode_entries, encode_entries

Model = list[tuple[int, int]]
"""(term, serial) of each entry from index 1 on; serial tells apart what was written at different times."""


def encoded(serials: list[int]) -> bytes:
    return encode_entries([Entry(1, serial, Put(b"k", b"v" * (serial % 7))) for serial in serials])


def entries(blocks: list[Block]) -> list[tuple[int, int, int]]:
    """(index, term, serial)"""
    return [
        (block.first + offset, block.term, entry.sequence)
        for block in blocks
        for offset, entry in enumerate(decode_entries(block.count, block.data))
    ]


class LogMachine(RuleBasedStateMachine):
    """Every operation of the log, beside the list."""

    def __init__(self) -> None:
        super().__init__()
        self.log = Log(block_bytes_max=40)
        self.model: Model = []
        self.base = 0
        self.serial = 0

    def fresh(self, count: int) -> list[int]:
        self.serial += count
        return list(range(self.serial - count, self.serial))

    @property
    def last_term(self) -> int:
        return self.model[-1][0] if self.model else 0

    @rule(count=st.integers(1, 4), newer=st.booleans())
    def extend(self, count: int, newer: bool) -> None:
        term = max(1, self.last_term) + newer
        serials = self.fresh(count)
        first, last = self.log.extend(term, 0, count, encoded(serials))
        assert (first, last) == (len(self.model) + 1, len(self.model) + count)
        self.model += [(term, serial) for serial in serials]

    @rule()
    def seal(self) -> None:
        self.log.seal()

    @precondition(lambda self: len(self.model) > self.log.committed)
    @rule(data=st.data(), count=st.integers(1, 5))
    def replace(self, data: st.DataObject, count: int) -> None:
        first = data.draw(st.integers(self.log.committed + 1, len(self.model)))
        term = self.last_term + 1
        serials = self.fresh(count)
        self.log.append(Block(first, first + count - 1, term, encoded(serials)))
        self.model[first - 1 :] = [(term, serial) for serial in serials]

    @precondition(lambda self: len(self.model) > self.log.committed)
    @rule(data=st.data())
    def truncate(self, data: st.DataObject) -> None:
        first = data.draw(st.integers(self.log.committed + 1, len(self.model)))
        self.log.truncate(first)
        del self.model[first - 1 :]

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def commit_and_apply(self, data: st.DataObject) -> None:
        self.log.seal()
        self.log.commit_to(data.draw(st.integers(0, len(self.model))))
        self.log.applied = data.draw(st.integers(self.log.applied, self.log.committed))

    @rule(data=st.data())
    def compact(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, self.log.applied))
        before = self.log.base_index
        self.log.compact(index)
        assert before <= self.log.base_index <= max(index, before)

    @rule(data=st.data())
    def offer(self, data: st.DataObject) -> None:
        self.log.seal()
        self.log.offered = self.log.last_index
        self.log.stable = data.draw(st.integers(self.log.stable, self.log.offered))

    @invariant()
    def same_terms(self) -> None:
        log, model = self.log, self.model
        assert log.last_index == len(model)
        assert log.last_term == self.last_term
        assert log.stable <= log.offered <= log.last_index
        for index in range(len(model) + 2):
            known = log.base_index <= index <= len(model)
            expected = (model[index - 1][0] if index else 0) if known else None
            assert log.term_at(index) == expected

    @invariant()
    def same_bytes(self) -> None:
        size = {index: len(encoded([serial])) for index, (_, serial) in enumerate(self.model, 1)}
        assert self.log.bytes == sum(size[i] for i in range(self.log.base_index + 1, len(self.model) + 1))
        assert self.log.uncommitted_bytes >= sum(size[i] for i in range(self.log.committed + 1, len(self.model) + 1))

    @precondition(lambda self: self.log.last_index > self.log.base_index)
    @rule(data=st.data(), bytes_max=st.none() | st.integers(0, 200))
    def read(self, data: st.DataObject, bytes_max: int | None) -> None:
        first = data.draw(st.integers(self.log.base_index + 1, self.log.last_index))
        blocks = self.log.blocks_from(first, bytes_max)
        found = entries(blocks)
        expected = [(i, *self.model[i - 1]) for i in range(first, first + len(found))]
        assert found
        assert found == expected
        if bytes_max is None:
            assert found[-1][0] == self.log.last_index
        elif len(blocks) > 1:
            assert sum(len(block.data) for block in blocks) <= bytes_max

    @rule(data=st.data(), count=st.integers(0, 12), bytes_max=st.integers(0, 300))
    def begin_later(self, data: st.DataObject, count: int, bytes_max: int) -> None:
        log = self.log
        index = data.draw(st.integers(log.base_index, log.applied) if log.applied > log.base_index else st.just(0))
        index = max(index, log.base_index)
        start = log.start_below(index, count, bytes_max)
        assert log.base_index <= start <= index
        following = len(encoded([serial for _, serial in self.model[start:]]))
        assert start == index or following <= bytes_max
        if start > max(index - count, log.base_index):  # fewer than asked for: the block before has no room
            block = log.blocks_from(log.base_index + 1)
            [before] = [each for each in block if each.first <= start <= each.last]
            size = sum(len(each.data) for each in block if each.first >= before.first) + log.bytes
            assert size - sum(len(each.data) for each in block) > bytes_max

    @rule(index=st.integers(0, 40), term=st.integers(0, 12))
    def search_by_term(self, index: int, term: int) -> None:
        start = min(index, self.log.last_index)
        found = self.log.last_within(index, term)
        expected = next((i for i in range(start, self.log.base_index, -1) if self.model[i - 1][0] <= term), None)
        assert found == (min(start, self.log.base_index) if expected is None else expected)


TestLog = LogMachine.TestCase
TestLog.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)

TERMS = st.lists(st.integers(1, 3), min_size=1, max_size=12).map(sorted)


def cut(terms: list[int], cuts: set[int], serial: int = 0, first: int = 1) -> list[Block]:
    """The entries of terms as blocks that end after each index of cuts and at each change of term."""
    blocks: list[Block] = []
    start = 0
    for end in range(1, len(terms) + 1):
        if end == len(terms) or terms[end] != terms[start] or first + end - 1 in cuts:
            serials = [serial + first + i for i in range(start, end)]
            blocks.append(Block(first + start, first + end - 1, terms[start], encoded(serials)))
            start = end
    return blocks


@settings(max_examples=200, deadline=None)
@given(TERMS, st.sets(st.integers(1, 12)), st.sets(st.integers(1, 12)), st.integers(1, 12))
def test_rule_15_recutting_changes_nothing(terms: list[int], cuts: set[int], others: set[int], first: int) -> None:
    one, other = Log(), Log()
    for block in cut(terms, cuts):
        one.append(block)
    for block in cut(terms, others):
        other.append(block)
    if first <= len(terms):
        assert entries(one.blocks_from(first)) == entries(other.blocks_from(first))
    for block in cut(terms, others):
        assert one.first_difference(block) == block.last + 1
    for index in range(len(terms) + 2):
        assert one.term_at(index) == other.term_at(index)


@settings(max_examples=200, deadline=None)
@given(TERMS, TERMS, st.sets(st.integers(1, 12)), st.sets(st.integers(1, 12)))
def test_the_first_difference_is_found_without_opening_a_block(
    held: list[int], offered: list[int], cuts: set[int], others: set[int]
) -> None:
    """By the Log Matching property equal (index, term) means equal entries, so only terms are compared."""
    log = Log()
    for block in cut(held, cuts):
        log.append(block)
    for block in cut(offered, others):
        blind = Block(block.first, block.last, block.term, b"not to be opened")
        expected = next(
            (i for i in range(block.first, block.last + 1) if i > len(held) or held[i - 1] != block.term),
            block.last + 1,
        )
        assert log.first_difference(blind) == expected
        if expected <= block.last:
            break
