"""Reads that wait in raft for their index."""

from zetcd.actors.actor import Peer
from zetcd.actors.asked_reads import AskedReads
from zetcd.base.settings import Settings
from zetcd.raft.ready import ReadState, Ready
from zetcd.wire.local import Message, ReadConfirmed, ReadIndex

LEASE, API = Peer("lease", 0, 9), Peer("api", 0, 8)


class Raft:
    """What was sent."""

    def __init__(self) -> None:
        self.settings = Settings()
        self.sent: list[tuple[Peer, Message]] = []

    def send(self, peer: Peer, message: Message) -> None:
        self.sent.append((peer, message))


def test_rule_11_lease_hears_of_its_confirmation_once_the_index_is_executed() -> None:
    raft = Raft()
    parked: list[Message] = []
    reads = AskedReads(raft, parked.append)
    for context in (1, 2):
        reads._waiting[9, context] = LEASE
    reads.answer(Ready(read_states=[ReadState(40, 5, [(9, 1)]), ReadState(50, 5, [(9, 2)])]))
    reads.end_turn(39, granted=False)
    assert raft.sent == []
    reads.end_turn(40, granted=False)
    assert raft.sent == [(LEASE, ReadConfirmed(1, 5))]
    reads.end_turn(40, granted=True)
    assert raft.sent[1:] == [(LEASE, ReadConfirmed(2, 5))]
    assert parked == []


def test_a_lease_process_that_is_gone_is_told_nothing() -> None:
    raft = Raft()
    reads = AskedReads(raft, lambda _message: None)
    reads.ask(LEASE, ReadIndex(1, reply=True))
    raft.sent.clear()
    reads._waiting[9, 2] = LEASE
    reads.answer(Ready(read_states=[ReadState(40, 5, [(9, 2)])]))
    reads.forget(LEASE)
    reads.end_turn(40, granted=False)
    assert raft.sent == []


def test_contexts_without_a_leader_for_as_long_as_a_request_may_take_are_counted() -> None:
    class Leaderless:
        leader = 0

    told: list[Message] = []
    raft = Raft()
    reads = AskedReads(raft, told.append)
    reads.ask(API, ReadIndex(1))
    assert reads.counters == {"failed": 1, "slow": 0}, "raft has not begun"
    reads.start(Leaderless())  # type: ignore[arg-type]  # a core that has no leader
    reads.on_tick(1_000)
    reads.ask(API, ReadIndex(2))
    reads.on_tick(1_000 + raft.settings.request_timeout_ms)
    assert reads.counters == {"failed": 2, "slow": 1}
    assert len(told) == 2
