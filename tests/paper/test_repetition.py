"""Raft sections 5.2 (timeouts), 5.5 (messages are idempotent) and 7 (snapshots), on several cores."""

import pytest

from tests.paper.stepping import TICKS, drain, leader, make, only, runs, terms_of
from tests.scenarios.cluster import Cluster
from zetcd.raft.config import Config
from zetcd.wire.local import ConfState
from zetcd.wire.peer import Append, AppendReply, Heartbeat, Snapshot, Vote, VoteReply


def test_5_2_random_timeouts_make_split_votes_rare() -> None:
    """Elections from scratch: in most of them one member times out before all others, and wins the first term."""
    first = 0
    for round_ in range(60):
        cluster = Cluster(3, lambda member: Config(member, election_ticks=TICKS, pre_vote=False))
        for node in cluster.nodes.values():
            node.lives = round_
            node.start()
        first += cluster.elect().core.term == 1
    assert first > 45


@pytest.mark.parametrize("size", [3, 5, 7])
def test_5_2_the_members_that_are_left_elect_as_long_as_they_are_a_majority(size: int) -> None:
    cluster = Cluster(size, flush_always=True)
    for lost in range(size // 2):
        chief = cluster.elect()
        assert chief.propose(b"%d" % lost)
        cluster.settle()
        chief.crash()
    assert cluster.elect().propose(b"last")
    cluster.settle()
    cluster.tick(2)
    cluster.alike()
    leader_ = cluster.leader
    assert leader_ is not None
    leader_.crash()
    cluster.tick(10 * TICKS)
    assert cluster.leader is None


def test_5_5_a_repeated_request_changes_nothing_and_is_answered_alike() -> None:
    follower = make((1, 1), term=1, member=2)
    append = Append(2, 1, 2, 2, 1, 1, runs(2, 2, first=3))
    for message in (append, append, append):
        follower.step(message)
    replies = only(drain(follower), AppendReply)
    assert {reply.index for reply in replies} == {4}
    assert terms_of(follower) == [1, 1, 2, 2]
    voter = make((1,), term=1, member=2)
    vote = Vote(2, 1, 2, 1, 1)
    for _ in range(3):
        voter.step(vote)
    assert [reply.granted for reply in only(drain(voter), VoteReply)] == [True] * 3
    assert (voter.term, voter.vote) == (2, 1)


def test_5_5_an_older_append_that_comes_late_takes_nothing_back() -> None:
    follower = make((1,), term=1, member=2)
    first = Append(1, 1, 2, 1, 1, 0, runs(1, first=2))
    second = Append(1, 1, 2, 2, 1, 2, runs(1, 1, first=3))
    for message in (first, second, first, Heartbeat(1, 1, 2, 1, 1)):
        follower.step(message)
    drain(follower)
    assert (follower.log.last_index, follower.log.committed) == (4, 2)


def test_5_5_a_leader_sends_again_to_one_that_was_down_for_long() -> None:
    cluster = Cluster(3, flush_always=True)
    chief = cluster.elect(1)
    cluster.nodes[3].crash()
    for _ in range(3):
        chief.propose(b"x")
        cluster.tick(4 * TICKS)
    cluster.nodes[3].start()
    cluster.tick(3)
    cluster.alike()


def test_7_what_follows_the_snapshot_is_kept_where_the_log_agrees_and_discarded_where_not() -> None:
    agrees = make((1, 1, 2), term=2, member=2, commit=1)
    agrees.step(Snapshot(3, 1, 2, 2, 1, ConfState([1, 2, 3])))
    drain(agrees)
    assert (agrees.log.last_index, agrees.log.committed) == (3, 2)
    differs = make((1, 1, 2), term=2, member=2, commit=1)
    differs.step(Snapshot(3, 1, 2, 3, 3, ConfState([1, 2, 4])))
    drain(differs)
    assert (differs.log.base_index, differs.log.base_term, differs.log.last_index) == (3, 3, 3)
    assert differs.conf == ConfState([1, 2, 4])


def test_7_a_leader_sends_a_snapshot_only_where_its_log_does_not_reach() -> None:
    core = leader()
    core.step(AppendReply(core.term, 3, 1, 1))
    drain(core)
    core.applied(1, 1)
    core.log.compact(1)
    core.step(AppendReply(core.term, 2, 1, 0, rejected=True))
    ready = core.ready()
    assert ready is not None
    assert ready.snapshots_wanted == [2]
    assert [append.target for append in only(ready.messages, Append)] == []
