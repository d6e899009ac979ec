"""How soon the voters that are left elect a leader, in ticks."""

from collections.abc import Sequence

import pytest

from tests.paper.stepping import TICKS, drain, make, only
from tests.scenarios.cluster import Cluster
from zetcd.raft.core import Core
from zetcd.raft.follower import Follower
from zetcd.wire.peer import Heartbeat, Vote, VoteReply


def ticks_until_led(cluster: Cluster, nodes: Sequence[int]) -> int:
    for count in range(1, 10 * TICKS):
        for member in nodes:
            cluster.nodes[member].core.tick()
        cluster.settle()
        if any(cluster.nodes[member].core.is_leader for member in nodes):
            return count
    raise AssertionError("nobody leads")


def test_5_1_a_vote_request_is_repeated_to_those_that_owe_an_answer_only() -> None:
    core = make(pre_vote=True, voters=(1, 2, 3, 4, 5))
    core.campaign()
    assert {vote.target for vote in only(drain(core), Vote)} == {2, 3, 4, 5}
    core.step(VoteReply(1, 2, 1, granted=True, pre=True))
    core.tick()
    assert {vote.target for vote in only(drain(core), Vote)} == {3, 4, 5}
    core.step(VoteReply(1, 3, 1, granted=True, pre=True))
    drain(core)
    core.tick()
    votes = only(drain(core), Vote)
    assert {vote.target for vote in votes} == {2, 3, 4, 5}
    assert not any(vote.pre for vote in votes)


def test_thesis_4_2_3_who_asks_while_another_one_still_hears_the_leader_need_not_wait_for_its_next_timeout() -> None:
    """Ticks of two members differ: the first one's timeout may end just before the other one may answer."""
    asking, asked = make(pre_vote=True, check_quorum=True), make(pre_vote=True, check_quorum=True, member=2)
    asked.step(Heartbeat(0, 3, 2, 0, 1))
    for _ in range(TICKS - 1):
        asked.tick()
    asking.campaign()
    for count in range(3):
        for vote in only(drain(asking), Vote):
            asked.step(vote)
        granted = only(drain(asked), VoteReply)
        assert bool(granted) == (count > 0)
        asking.tick()
        asked.tick()


def test_who_refuses_a_pre_vote_for_lack_of_entries_stands_itself_at_once() -> None:
    core = make((1, 1), pre_vote=True, check_quorum=True)
    core.step(Vote(2, 2, 1, 1, 1, pre=True))
    [reply] = only(drain(core), VoteReply)
    assert not reply.granted
    core.tick()
    assert {vote.target for vote in only(drain(core), Vote)} == {2, 3}


def test_a_member_that_hears_its_leader_is_not_hurried_by_pre_votes() -> None:
    core = make((1, 1), pre_vote=True, check_quorum=True)
    core.step(Heartbeat(1, 3, 1, 0, 1))
    core.step(Vote(2, 2, 1, 1, 1, pre=True))
    core.tick()
    assert core.leader == 3
    assert not only(drain(core), Vote)


def test_5_2_after_a_split_vote_the_candidates_take_turns_and_need_no_further_timeout() -> None:
    def split(member: int, other: int) -> Core:
        core = make(pre_vote=True, check_quorum=True, member=member)
        core.campaign()
        core.step(VoteReply(1, other, member, granted=True, pre=True))
        drain(core)
        core.step(VoteReply(1, other, member, granted=False))
        core.step(VoteReply(1, 1, member, granted=False))
        assert type(core.role) is Follower
        return core

    second, third = split(2, 3), split(3, 2)
    asked = []
    for _ in range(5):
        for core in (second, third):
            core.tick()
            asked.append(any(vote.pre and vote.term == 2 for vote in only(drain(core), Vote)))
    assert asked.index(True) == 4  # the second's, in its third tick
    assert asked[1::2].index(True) == 4


@pytest.mark.parametrize("size", [3, 5, 7])
def test_members_that_know_that_their_leader_is_gone_elect_within_ticks(size: int) -> None:
    for seed in range(20):
        cluster = Cluster(size)
        for node in cluster.nodes.values():
            node.lives = seed
            node.start()
        chief = cluster.elect()
        chief.crash()
        rest = [member for member in cluster.nodes if member != chief.core.id]
        for member in rest:
            cluster.nodes[member].core.forget_leader()
        term = max(cluster.nodes[member].core.term for member in rest)
        assert ticks_until_led(cluster, rest) <= 2
        led = [cluster.nodes[member].core for member in rest if cluster.nodes[member].core.is_leader]
        assert [core.term for core in led] == [term + 1]


def test_thesis_9_6_who_alone_takes_its_leader_for_gone_deposes_nobody_and_follows_it_again() -> None:
    """Only the link between the two has broken."""
    cluster = Cluster(3)
    chief = cluster.elect()
    term = chief.core.term
    other = next(node for node in cluster.nodes.values() if node is not chief)
    for _ in range(3):
        other.core.forget_leader()
        for _ in range(4):
            other.core.tick()
            cluster.settle()
        assert chief.core.is_leader
        chief.core.tick()
        cluster.settle()
        assert other.core.leader == chief.core.id
    assert {node.core.term for node in cluster.nodes.values()} == {term}
