"""Thesis section 6.4.1: reads without a round, under promises that are kept by clocks (`Config.lease_reads`)."""

from random import Random

import pytest

from tests.paper.stepping import TICKS, data, drain, only
from zetcd.actors.standstill import Standstill
from zetcd.base.errors import Refusal
from zetcd.raft.config import Config
from zetcd.raft.core import Core
from zetcd.raft.log import Log
from zetcd.raft.ready import ReadState
from zetcd.wire.entry import BlockKind
from zetcd.wire.local import ConfState, HardState
from zetcd.wire.peer import (
    AppendReply,
    Heartbeat,
    HeartbeatReply,
    ReadIndexAnswer,
    ReadIndexAsk,
    TimeoutNow,
    Vote,
    VoteReply,
)


def member(number: int = 1, term: int = 0) -> Core:
    config = Config(number, election_ticks=TICKS, pre_vote=False, lease_reads=True)
    return Core(config, Log(), HardState(term), ConfState([1, 2, 3]), Random(1))


def leader() -> Core:
    """With its first entry committed, and no lease yet."""
    core = member()
    for _ in range(2 * TICKS):
        if type(core.role).__name__ == "Follower":
            core.tick()
    drain(core)
    core.step(VoteReply(core.term, 2, 1, granted=True))
    drain(core)
    core.step(AppendReply(core.term, 2, 1, 1))
    drain(core)
    assert core.log.committed == core.leads_since == 1
    return core


def reads(core: Core) -> list[ReadState]:
    """What one more read is answered with at once."""
    core.read_index((7, core.ticks))
    ready = core.ready()
    assert ready is not None
    if ready.number:
        core.persisted(ready.number)
    return ready.read_states


def round_of(core: Core) -> int:
    core.tick()
    [one, _] = only(drain(core), Heartbeat)
    return one.round


def test_it_is_off_by_default_and_needs_check_quorum() -> None:
    assert not Config(1).lease_reads
    with pytest.raises(Refusal, match="CheckQuorum"):
        Config(1, check_quorum=False, lease_reads=True)


def test_thesis_6_4_1_a_lease_lasts_half_an_election_timeout_from_when_its_round_was_sent() -> None:
    core = leader()
    assert reads(core) == []
    number = round_of(core)
    core.tick()
    core.step(HeartbeatReply(core.term, 2, 1, number, promised=True))
    drain(core)
    answered = []
    for _ in range(TICKS):
        answered.append(bool(reads(core)))
        core.tick()
        drain(core)
    assert answered == [True] * (TICKS // 2 - 2) + [False] * (TICKS - TICKS // 2 + 2)


def test_thesis_6_4_1_the_answer_is_what_is_committed_and_followers_share_it() -> None:
    core = leader()
    core.step(HeartbeatReply(core.term, 2, 1, round_of(core), promised=True))
    core.propose(BlockKind.NORMAL, 1, data(1))
    drain(core)
    core.step(AppendReply(core.term, 3, 1, 2))
    assert reads(core) == [ReadState(2, core.term, [(7, core.ticks)])]
    core.step(ReadIndexAsk(core.term, 3, 1, [(8, 8)]))
    assert only(drain(core), ReadIndexAnswer) == [ReadIndexAnswer(core.term, 1, 3, [(8, 8)], 2)]


def test_thesis_6_4_1_echoes_of_learners_or_strangers_or_older_rounds_make_no_lease() -> None:
    core = leader()
    number = round_of(core)
    core.step(HeartbeatReply(core.term, 9, 1, number, promised=True))
    core.step(HeartbeatReply(core.term, 2, 1, number - 1, promised=True))
    assert reads(core) == []


def test_thesis_6_4_1_handing_over_ends_the_lease_for_good() -> None:
    core = leader()
    core.step(HeartbeatReply(core.term, 2, 1, round_of(core), promised=True))
    assert reads(core)
    core.transfer(2)
    assert only(drain(core), TimeoutNow)
    assert reads(core) == []
    for _ in range(TICKS - 1):
        core.step(HeartbeatReply(core.term, 2, 1, round_of(core), promised=True))
    core.step(HeartbeatReply(core.term, 2, 1, round_of(core), promised=True))
    core.propose(BlockKind.NORMAL, 1, data(1))  # the transfer was given up, but its word may still be on its way
    core.read_index((9, 9))
    ready = core.ready()
    assert ready is not None
    assert not ready.read_states


def test_thesis_6_4_1_a_promise_outlives_the_leader_it_named_and_the_process_that_gave_it() -> None:
    follower = member(2, term=1)
    for _ in range(TICKS):
        follower.tick()
    drain(follower)
    follower.step(Heartbeat(5, 1, 2, 0, 1))
    follower.step(AppendReply(6, 3, 2, 0))  # somewhere a later term exists
    assert follower.leader == 0
    drain(follower)
    for vote in (Vote(6, 3, 2, 9, 9), Vote(7, 3, 2, 9, 9), Vote(7, 3, 2, 9, 9, pre=True)):
        follower.step(vote)
    follower.campaign()
    assert not any(reply.granted for reply in only(drain(follower), VoteReply))
    assert follower.term == 6
    reborn = member(2, term=6)
    reborn.step(Vote(7, 3, 2, 9, 9))
    assert drain(reborn) == []
    for core in (follower, reborn):
        for _ in range(TICKS):
            core.role.elapsed = 0
            core.tick()
        drain(core)
        core.step(Vote(8, 3, 2, 9, 9))
        assert [reply.granted for reply in only(drain(core), VoteReply)] == [True]


def test_thesis_6_4_1_whom_the_leader_itself_asks_is_elected_against_all_promises() -> None:
    follower = member(2, term=1)
    follower.step(Heartbeat(5, 1, 2, 0, 1))
    drain(follower)
    follower.step(Vote(6, 3, 2, 9, 9, transfer=True))
    assert [reply.granted for reply in only(drain(follower), VoteReply)] == [True]


def test_thesis_6_4_1_members_that_promise_nothing_make_no_lease() -> None:
    core = leader()
    core.step(HeartbeatReply(core.term, 2, 1, round_of(core)))
    assert reads(core) == []
    plain = Core(Config(2, election_ticks=TICKS), Log(), HardState(0), ConfState([1, 2, 3]), Random(1))
    plain.step(Heartbeat(5, 1, 2, 0, 1))
    promising = member(2)
    promising.step(Heartbeat(5, 1, 2, 0, 1))
    assert [only(drain(one), HeartbeatReply)[0].promised for one in (plain, promising)] == [False, True]


def test_thesis_6_4_1_a_void_lease_waits_for_a_round_that_is_sent_afterwards() -> None:
    core = leader()
    core.step(HeartbeatReply(core.term, 2, 1, round_of(core), promised=True))
    late = round_of(core)
    core.void_lease()
    assert reads(core) == []
    core.step(HeartbeatReply(core.term, 2, 1, late, promised=True))
    assert reads(core) == []
    core.step(HeartbeatReply(core.term, 2, 1, round_of(core), promised=True))
    assert reads(core)


def test_rule_10_a_leader_that_stood_still_goes_by_no_lease_until_it_is_ticked_and_promised_again() -> None:
    now = 0
    core = leader()
    standstill = Standstill(lambda: now, 100)

    def tick() -> int:
        standstill.on_tick(core)
        return round_of(core)

    core.step(HeartbeatReply(core.term, 2, 1, tick(), promised=True))
    now += 150
    standstill.look(core)
    assert reads(core)
    now += 1  # for longer than half an election timeout of such ticks would last
    standstill.look(core)
    assert reads(core) == []
    drain(core)
    core.step(HeartbeatReply(core.term, 2, 1, tick(), promised=True))
    assert reads(core)
    now += 5_000
    number = tick()
    assert reads(core) == []
    core.step(HeartbeatReply(core.term, 2, 1, number, promised=True))
    assert reads(core)
