"""What becomes of proposals that were forwarded to a leader that died (rule 8)."""

from tests.paper.stepping import make
from zetcd.actors.actor import Peer
from zetcd.actors.forwarding import Forwarding, Proposal
from zetcd.actors.peers import Peers
from zetcd.actors.proposals import Proposals
from zetcd.base.errors import LEADER_CHANGED, Error
from zetcd.base.settings import Settings
from zetcd.raft.log import Log
from zetcd.wire.entry import Block, Entry, NoOp, Put, encode_entries
from zetcd.wire.local import MemberList, Message, Propose
from zetcd.wire.peer import Forward, ForwardRefused, Heartbeat, decode_peer_frame

API = Peer("api", 0, 77)
NO_OP = encode_entries([Entry(0, 0, NoOp())])


def entries(first: int, count: int) -> bytes:
    return encode_entries([Entry(77, first + n, Put(b"k", b"v")) for n in range(count)])


def proposal(first: int, count: int = 1) -> Proposal:
    return Proposal(API, Propose(first, count, entries(first, count)), 9_000)


def log_of(*blocks: tuple[int, int, bytes], committed: int) -> Log:
    """(term, count, data) each."""
    log = Log()
    for term, count, data in blocks:
        log.append(Block(log.last_index + 1, log.last_index + count, term, data))
    log.recovered(committed, 0)
    return log


def forwarded(*proposals: Proposal, term: int = 2, committed: int = 1) -> Forwarding:
    forwarding = Forwarding(5)
    for each in proposals:
        forwarding.forward(each, term, 1, 2, committed)
    return forwarding


def test_rule_08_nothing_is_known_before_an_entry_of_a_later_term_is_committed() -> None:
    forwarding = forwarded(proposal(1))
    log = log_of((1, 1, NO_OP), (2, 1, NO_OP), (3, 1, NO_OP), committed=2)
    assert not forwarding.settle(log, 100)
    assert forwarding.unsettled_term == 2
    log.commit_to(3)
    [(lost, missing)] = forwarding.settle(log, 100)
    assert (lost.message.first_sequence, missing) == (1, 1)
    assert not forwarding.settle(log, 100)


def test_rule_08_what_stands_before_it_was_appended_and_is_not_offered_again() -> None:
    forwarding = forwarded(proposal(1), proposal(2, 2), proposal(4, 3), proposal(7))
    log = log_of(
        (1, 1, NO_OP), (2, 1, entries(1, 1)), (2, 2, entries(2, 2)), (2, 1, entries(4, 1)), (3, 1, NO_OP), committed=6
    )  # fmt: skip
    settled = {each.message.first_sequence: missing for each, missing in forwarding.settle(log, 100)}
    assert settled == {1: 0, 2: 0, 4: 2, 7: 1}


def test_rule_08_what_left_further_back_than_the_log_goes_remains_unknown() -> None:
    log = log_of((1, 1, NO_OP), (2, 1, NO_OP), (2, 1, NO_OP), (3, 1, NO_OP), committed=4)
    assert not forwarded(proposal(1), committed=1).settle(log, 2)
    assert forwarded(proposal(1), committed=2).settle(log, 2)
    log.applied = log.stable = 4
    log.compact(2)
    assert not forwarded(proposal(1), committed=1).settle(log, 100)
    assert forwarded(proposal(1), committed=2).settle(log, 100)


def test_rule_08_a_refusal_that_comes_after_the_decision_is_not_a_second_one() -> None:
    forwarding = forwarded(proposal(1))
    assert forwarding.settle(log_of((1, 1, NO_OP), (3, 1, NO_OP), committed=2), 100)
    assert forwarding.refused(ForwardRefused(3, 2, 1, 5, 1, 14, "")) is None


def test_rule_08_what_was_refused_or_belongs_to_the_present_term_is_not_decided_again() -> None:
    forwarding = forwarded(proposal(1))
    assert forwarding.refused(ForwardRefused(2, 2, 1, 5, 1, 14, "")) is not None
    forwarding.forward(proposal(1), 3, 1, 3, 1)
    assert not forwarding.settle(log_of((1, 1, NO_OP), (3, 1, NO_OP), committed=2), 100)


class Raft:
    """What `Proposals` needs of a follower."""

    settings = Settings()
    member = 1
    refusal: Error | None = None

    def __init__(self) -> None:
        self.peers = Peers("m1", [], 5, Silent())
        self.peers.identify(9, 1)
        self.peers.set_members(MemberList([(n, f"m{n}", [f"tcp://h{n}:1"], [], False) for n in (1, 2, 3)], []))
        self.told: list[Message] = []

    def append(self, _kind: int, _count: int, _data: bytes) -> Error | None:
        raise AssertionError("it does not lead")

    def send(self, _peer: Peer, message: Message) -> None:
        self.told.append(message)

    def forwards(self) -> list[Forward]:
        found = []
        for key, data in self.peers.take_frames():
            self.peers.on_sent(key)
            found += [
                message for message in decode_peer_frame(data) if isinstance(message, Forward) and not message.kind
            ]
        return found


class Silent:
    def info(self, msg: str, **fields: object) -> None: ...

    warn = info


def test_rule_08_what_a_former_leader_refuses_goes_to_the_present_one_at_once() -> None:
    raft, core = Raft(), make((1,))
    proposals = Proposals(raft, 5)
    proposals.start(core)
    core.step(Heartbeat(2, 2, 1, 0, 1))
    proposals.on_propose(API, proposal(1).message)
    [forward] = raft.forwards()
    assert forward.target == 2
    refused = ForwardRefused(2, 2, 1, 5, forward.sequence, LEADER_CHANGED.code, LEADER_CHANGED.message)

    proposals.on_forward_refused(refused)  # it still seems to lead, and is handing over
    proposals.end_turn()
    assert raft.forwards() == []
    proposals.on_tick(100)
    proposals.end_turn()
    [forward] = raft.forwards()

    core.step(Heartbeat(3, 3, 1, 0, 1))
    proposals.on_leader()
    proposals.end_turn()
    assert raft.forwards() == []
    proposals.on_forward_refused(ForwardRefused(3, 2, 1, 5, forward.sequence, refused.code, refused.message))
    proposals.end_turn()
    [forward] = raft.forwards()
    assert (forward.target, forward.term, forward.first_sequence) == (3, 3, 1)
    assert raft.told == []
