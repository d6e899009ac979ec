"""Rule 7 under any network and any crash: what is installed is what was sent, whole, or nothing is."""

from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, given, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.unit.snapshot.pairing import POSITION, Pairing
from zetcd.base import limits
from zetcd.snapshot.receiving import Phase
from zetcd.wire.snapshot import (
    Chunk,
    End,
    Manifest,
    Offer,
    Receipt,
    SnapshotMessage,
    decode_rows,
    decode_snapshot,
    encode_rows,
    encode_snapshot,
)

ROWS = [(b"k%05d" % number, b"v" * (number % 90)) for number in range(20 * limits.SNAPSHOT_CHUNK_ROWS + 17)]


class Transfers(RuleBasedStateMachine):
    """A transfer in a network that loses, repeats and reorders, between processes that die at any step."""

    def __init__(self) -> None:
        super().__init__()
        self.pairing = Pairing([])

    @initialize(count=st.sampled_from((0, 1, 1_000, 1_001, 5_000, len(ROWS))))
    def begin(self, count: int) -> None:
        self.pairing = Pairing(ROWS[:count])
        self.pairing.collect()

    @rule(at=st.integers(0, 50), keep=st.booleans(), forward=st.booleans())
    def deliver(self, at: int, keep: bool, forward: bool) -> None:
        """Any message on the way, in any order, once or more often."""
        pairing = self.pairing
        way = pairing.to_receiver if forward else pairing.to_sender
        if not way:
            return
        data = way[at % len(way)] if keep else way.pop(at % len(way))
        del way[:-200]
        (pairing.hear if forward else pairing.answer)(data)

    @rule(forward=st.booleans())
    def deliver_in_order(self, forward: bool) -> None:
        pairing = self.pairing
        for data in pairing._take("to_receiver" if forward else "to_sender"):
            (pairing.hear if forward else pairing.answer)(data)

    @rule(forward=st.booleans())
    def lose(self, forward: bool) -> None:
        way = self.pairing.to_receiver if forward else self.pairing.to_sender
        way.clear()

    @rule(jobs=st.integers(1, 10))
    def stage_works(self, jobs: int) -> None:
        for _ in range(jobs):
            self.pairing.stage.end(self.pairing.receiver)
        self.pairing.collect()

    @rule(steps=st.integers(1, 10))
    def sender_works(self, steps: int) -> None:
        for _ in range(steps):
            self.pairing.sender.step()
        self.pairing.collect()

    @rule(ms=st.sampled_from((100, limits.SNAPSHOT_RETRY_MS, limits.SNAPSHOT_SILENCE_MAX_MS)))
    def time_passes(self, ms: int) -> None:
        self.pairing.tick(ms)
        if self.pairing.sender.done:
            self.pairing.sender = self.pairing.new_sender()

    @rule()
    def receiver_dies(self) -> None:
        self.pairing.crash_receiver()

    @rule()
    def sender_dies(self) -> None:
        self.pairing.crash_sender()

    @rule(needed=st.booleans())
    def raft_decides(self, needed: bool) -> None:
        """It has stepped what arrived, or found that its log is further."""
        pairing = self.pairing
        if pairing.receiver.phase != Phase.ARRIVED:
            return
        if needed:
            pairing.receiver.arrival = None
            pairing.install()
        else:
            pairing.receiver.settle()

    @invariant()
    def both_sides_are_bounded(self) -> None:
        assert self.pairing.sender.held <= limits.SNAPSHOT_WINDOW_CHUNKS
        assert self.pairing.receiver.held <= limits.SNAPSHOT_WINDOW_CHUNKS

    @invariant()
    def what_is_complete_is_whole(self) -> None:
        complete = self.pairing.stage.complete
        assert complete is None or complete == dict(self.pairing.pairs)

    @invariant()
    def the_sender_believes_only_what_is_so(self) -> None:
        assert self.pairing.sender.installed in (0, self.pairing.applied)

    def teardown(self) -> None:
        """Once nothing fails any more it comes to its end."""
        if self.pairing.sender.done and not self.pairing.sender.installed:
            self.pairing.sender = self.pairing.new_sender()
        for _ in range(3):
            self.pairing.smooth()
            if self.pairing.sender.installed:
                break
            self.pairing.sender = self.pairing.new_sender()  # as raft asks again
        assert self.pairing.applied == POSITION[0]


TestTransfers = Transfers.TestCase
TestTransfers.settings = settings(
    max_examples=150, stateful_step_count=60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)

numbers = st.integers(0, 2**64 - 1) | st.integers(0, 20)
messages: st.SearchStrategy[SnapshotMessage] = st.one_of(
    st.builds(Offer, numbers, numbers, numbers, numbers),
    st.builds(
        Chunk, numbers, numbers, numbers, numbers,
        st.binary(max_size=40) | st.lists(st.binary(max_size=5), max_size=5).map(encode_rows),
    ),
    st.builds(End, numbers, numbers, st.builds(Manifest, numbers, numbers, numbers, numbers)),
    st.builds(Receipt, numbers, numbers, numbers, numbers, numbers, numbers, st.text(max_size=9)),
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(messages, st.booleans()), max_size=30))
def test_no_message_of_a_peer_can_end_the_process(said: list[tuple[SnapshotMessage, bool]]) -> None:
    """Rule 17 of the edge: what a peer sends may be nonsense, and costs that transfer at most."""
    pairing = Pairing(ROWS[:3_000])
    for message, forward in said:
        known: Any = message
        if forward:
            pairing.hear(encode_snapshot(message))
        elif isinstance(known, Receipt):
            pairing.answer(encode_snapshot(known))
        pairing.stage.end(pairing.receiver)
        pairing.sender.step()
        pairing.collect()
        assert pairing.receiver.held <= limits.SNAPSHOT_WINDOW_CHUNKS


@given(st.lists(st.tuples(st.binary(max_size=9), st.binary(max_size=9)), max_size=9))
def test_rows_survive_their_encoding(pairs: list[tuple[bytes, bytes]]) -> None:
    rows = [part for pair in pairs for part in pair]
    assert decode_rows(encode_rows(rows)) == rows


@given(messages)
def test_messages_survive_their_encoding(message: SnapshotMessage) -> None:
    assert decode_snapshot(encode_snapshot(message)) == message
