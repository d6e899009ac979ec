"""Who is removed, who has to know of it, and when the one that was removed may stop (rule 14)."""

import pytest

from tests.paper.stepping import TICKS, acknowledge, data, drain, leader, make, only
from tests.scenarios.cluster import Cluster, Node, noops
from zetcd.raft.config import Config
from zetcd.raft.leader import Leader
from zetcd.wire.entry import BlockKind
from zetcd.wire.local import ConfState
from zetcd.wire.peer import Append, AppendReply, Heartbeat, HeartbeatReply, TimeoutNow, Vote, VoteReply

REMOVE = 5


def two(leads: int) -> Cluster:
    cluster = Cluster(2, flush_always=True)
    cluster.elect(leads)
    return cluster


def serves(cluster: Cluster, *members: int) -> Node:
    """These have a leader that commits."""
    for _ in range(8 * TICKS):
        cluster.tick()
        node = cluster.leader
        if node is not None and node.member in members and node.propose(b"x"):
            before = cluster.executed_last
            cluster.settle()
            if cluster.executed_last > before:
                return node
    raise AssertionError("nobody leads")


def test_rule_14_a_committed_change_is_durable_before_it_is_executed_or_told() -> None:
    core = leader(voters=(1, 2))
    acknowledge(core, 2)
    drain(core)
    core.propose(BlockKind.MEMBERSHIP, 1, data(1))
    change = core.log.last_index
    acknowledge(core, 2)
    ready = core.ready()
    assert ready is not None
    assert core.log.committed == change
    assert ready.must_sync
    assert ready.hard_state is not None
    assert ready.hard_state.commit == change
    assert ready.commit is None
    assert not only(ready.messages, Append)
    core.tick()
    beat = core.ready()
    assert beat is not None
    assert not beat.number  # it is on its way already
    assert [heartbeat.commit for heartbeat in only(beat.messages, Heartbeat)] == [change - 1]
    core.persisted(ready.number)
    told = core.ready()
    assert told is not None
    assert told.commit is not None
    assert told.commit.index == change
    assert [append.commit for append in only(told.messages, Append)] == [change]


@pytest.mark.parametrize("leads", [1, 2])
@pytest.mark.parametrize("removed", [1, 2])
@pytest.mark.parametrize("written", [0, 9])
def test_rule_14_of_two_members_either_goes_at_any_moment_and_the_other_serves(
    leads: int, removed: int, written: int
) -> None:
    """After each single step of the removal: the one that stays crashes, with or without what it had not synced, and
    the other one stops as soon as it may."""
    stays = 3 - removed
    for moment in range(60):
        cluster = two(leads)
        cluster.nodes[leads].change(REMOVE, removed)
        for step in range(moment):
            node = cluster.nodes[1 + step % 2]
            node.act()
            node.sync()
            mail, cluster.mail = cluster.mail, []
            for message in mail:
                cluster.deliver(message)
        cluster.nodes[removed].retire()
        cluster.nodes[stays].crash(written)
        cluster.nodes[removed].retire()
        cluster.mail.clear()
        cluster.nodes[stays].start()
        node = serves(cluster, 1, 2)
        if cluster.left:
            assert serves(cluster, stays) is cluster.nodes[stays]
            assert cluster.nodes[stays].conf == ConfState([stays])
        else:
            assert node.conf == ConfState([1, 2])


def test_rule_14_a_refused_vote_tells_that_the_refusing_member_was_removed() -> None:
    cluster = two(2)
    one, other = cluster.nodes[1], cluster.nodes[2]
    other.change(REMOVE, 2)
    while not other.core.log.last_index == other.core.log.stable == one.core.log.stable == 2:
        assert one.act() or other.act() or one.sync() or other.sync() or cluster.mail
        mail, cluster.mail = cluster.mail, []
        for message in mail:
            if not (isinstance(message, Append) and message.commit > 1):
                cluster.deliver(message)
    cluster.isolate(1)
    cluster.settle()
    assert other.conf == ConfState([1])
    assert other.core.log.last_index > one.core.log.last_index  # its vote is not to be had
    cluster.tick(3 * TICKS)
    assert not other.core.is_leader
    assert not other.core.let_go  # nobody else knows yet
    other.crash(9)
    cluster.heal()
    other.start()
    one.crash()
    one.start()
    assert one.conf == ConfState([1, 2])
    assert serves(cluster, 1) is one


def test_a_hint_of_a_vote_counts_only_where_the_same_entry_is_held() -> None:
    core = make((1, 1, 2), commit=1)
    core.step(Vote(9, 2, 1, 9, 9, pre=True, commit=3, commit_term=1))
    assert core.log.committed == 1
    core.step(Vote(9, 2, 1, 9, 9, pre=True, commit=4, commit_term=2))
    assert core.log.committed == 1
    core.step(VoteReply(0, 2, 1, granted=False, pre=True, commit=3, commit_term=2))
    assert core.log.committed == 3


def test_a_removed_follower_is_told_and_then_let_go() -> None:
    cluster = Cluster(3, flush_always=True)
    chief = cluster.elect(1)
    assert not any(node.core.let_go for node in cluster.up())
    chief.change(REMOVE, 3)
    cluster.settle()
    assert [node.core.let_go for node in cluster.nodes.values()] == [False, False, True]
    assert cluster.nodes[3].conf == ConfState([1, 2])
    cluster.tick(2 * TICKS)
    cluster.mail.clear()
    chief.core.tick()
    chief.act()
    assert {message.target for message in cluster.mail} == {2}


def test_a_removed_member_disturbs_nobody_even_if_it_was_not_told() -> None:
    cluster = Cluster(3, flush_always=True)
    chief = cluster.elect(1)
    cluster.isolate(3)
    chief.change(REMOVE, 3)
    cluster.tick(5 * TICKS)
    cluster.heal()
    term = chief.core.term
    cluster.tick(10 * TICKS)
    assert chief.core.is_leader
    assert chief.core.term == term
    assert not cluster.nodes[3].core.let_go


def test_a_member_that_was_never_named_is_not_let_go() -> None:
    core = make(member=4)
    core.step(Append(1, 2, 4, 0, 0, 0, []))
    core.conf_applied(ConfState([1, 2]))
    core.step(Heartbeat(1, 2, 4, 9, 1))
    assert not core.let_go


def test_a_leader_that_was_removed_hands_over_once_those_that_remain_know() -> None:
    cluster = Cluster(3, flush_always=True)
    cluster.elect(1).change(REMOVE, 1)
    cluster.tick(TICKS)
    assert cluster.leader is not None
    assert cluster.leader.member in (2, 3)
    assert cluster.nodes[1].core.let_go
    assert not cluster.nodes[1].core.is_leader


def test_the_word_to_take_over_is_repeated() -> None:
    core = leader()
    acknowledge(core, 2, 3)
    core.transfer(2)
    assert len(only(drain(core), TimeoutNow)) == 1
    core.step(HeartbeatReply(1, 2, 1, 0))
    assert len(only(drain(core), TimeoutNow)) == 1
    core.conf_applied(ConfState([1, 3]))  # nor is anything handed to a member that votes no more
    core.step(HeartbeatReply(1, 2, 1, 0))
    assert not only(drain(core), TimeoutNow)
    assert type(core.propose(BlockKind.NORMAL, 1, data(1))) is tuple


# -- transitions (Raft section 6) ------------------------------------------------------------------------------------
def test_6_a_transition_ends_by_itself_or_when_told_to() -> None:
    cluster = Cluster(5, flush_always=True, conf=ConfState([1, 2, 3]))
    chief = cluster.elect(1)
    chief.change(20, 1 << 1 | 1 << 4 | 1 << 5)
    cluster.settle()
    assert chief.conf == ConfState([1, 4, 5])
    chief.change(21, 1 << 1 | 1 << 2 | 1 << 3)
    cluster.settle()
    assert chief.conf == ConfState([1, 2, 3], [], [1, 4, 5])
    assert type(chief.core.propose(BlockKind.MEMBERSHIP, 1, noops(1))) is tuple
    cluster.settle()
    assert chief.conf == ConfState([1, 2, 3])


def test_6_the_next_leader_ends_a_transition() -> None:
    cluster = Cluster(5, flush_always=True, conf=ConfState([1, 2, 3]))
    chief = cluster.elect(1)
    chief.change(20, 1 << 3 | 1 << 4 | 1 << 5)
    while not chief.conf.outgoing:
        for node in cluster.up():
            while node.act():
                pass
            node.sync()
        mail, cluster.mail = cluster.mail, []
        for message in mail:
            cluster.deliver(message)
    chief.crash()
    assert serves(cluster, 2, 3, 4, 5).conf == ConfState([3, 4, 5])


def test_6_a_candidate_that_learns_it_votes_no_more_gives_up() -> None:
    core = make((1,), term=1, pre_vote=True, commit=1)
    core.campaign()
    core.conf_applied(ConfState([2, 3]))
    assert type(core.role).__name__ == "Follower"


# -- rule 7: the log while a snapshot travels ----------------------------------------------------------------------
def behind(log_bytes_max: int) -> tuple[Leader, Node]:
    """A leader whose follower 3 needs a snapshot, and the entries of a while more."""
    cluster = Cluster(3, lambda member: Config(member, catchup_entries=0, log_bytes_max=log_bytes_max), True)
    chief = cluster.elect(1)
    cluster.isolate(3)
    for _ in range(20):
        chief.propose(b"x")
        cluster.settle()
    cluster.heal()
    chief.snapshot_for = lambda target: Heartbeat(0, 0, target, 0, 0)  # type: ignore[method-assign] # lost on its way
    cluster.tick(2)
    cluster.isolate(3)
    role = chief.core.role
    assert isinstance(role, Leader)
    for _ in range(20):
        chief.propose(b"x")
        cluster.settle()
    return role, chief


def test_rule_07_the_log_stays_from_the_snapshot_on_until_its_target_replicates() -> None:
    role, chief = behind(1 << 20)
    snapshot = role.keep
    assert chief.core.log.base_index <= snapshot < chief.applied
    chief.core.snapshot_finished(3, snapshot)
    chief.cluster.settle()
    assert chief.core.log.base_index <= snapshot
    chief.core.step(AppendReply(chief.core.term, 3, 1, snapshot))
    chief.propose(b"x")
    chief.cluster.settle()
    assert chief.core.log.base_index == chief.applied


def test_rule_07_a_failed_snapshot_and_a_log_too_long_let_go_of_the_log() -> None:
    role, chief = behind(1 << 20)
    chief.core.snapshot_finished(3, 0)
    assert role.keep == chief.applied
    role, chief = behind(20)
    assert chief.core.log.base_index > role.keep


def test_rule_14_a_removed_member_that_was_told_alone_stays_until_the_others_had_time_to_ask_it() -> None:
    """The leader dies when it has told the member that leaves that it was removed, and nobody else: those that remain
    need that member to hear of it, and are a majority of the new members only."""
    cluster = Cluster(4, flush_always=True)
    cluster.elect(1)
    one, two, three, four = (cluster.nodes[member] for member in (1, 2, 3, 4))
    assert one.change(5, 4)
    change = one.core.log.last_index
    for _ in range(10):
        for node in cluster.up():
            node.act()
            node.sync()
        mail, cluster.mail = cluster.mail, []
        for message in mail:
            if message.target == 4 or not (isinstance(message, Append | Heartbeat) and message.commit >= change):
                cluster.deliver(message)
    assert four.conf.voters == [1, 2, 3]
    assert two.conf.voters == three.conf.voters == [1, 2, 3, 4]
    one.crash()
    cluster.mail.clear()
    four.retire()
    cluster.elect()
    for _ in range(4):
        cluster.tick(10)
        four.retire()
    assert four.retired
    assert two.conf.voters == three.conf.voters == [1, 2, 3]
    assert cluster.leader in (two, three)
