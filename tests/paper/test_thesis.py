"""Membership, reads, transfer, CheckQuorum and PreVote: the paper's sections 6 and 8, and the thesis."""

from tests.paper.stepping import TICKS, acknowledge, data, drain, leader, make, only
from zetcd.raft.leader import NO_OP
from zetcd.raft.reads import Reads
from zetcd.wire.entry import Block, BlockKind
from zetcd.wire.local import ConfState
from zetcd.wire.peer import Append, AppendReply, Heartbeat, HeartbeatReply, TimeoutNow, Vote, VoteReply


# -- section 6 and thesis chapter 4: membership ----------------------------------------------------------------
def test_6_a_joint_configuration_needs_both_majorities() -> None:
    core = leader()
    acknowledge(core, 2)
    core.conf_applied(ConfState([1, 4, 5], [], [1, 2, 3]))
    core.propose(BlockKind.NORMAL, 1, data(1))
    drain(core)
    core.step(AppendReply(1, 2, 1, 2))
    assert core.log.committed == 1
    core.step(AppendReply(1, 4, 1, 2))
    assert core.log.committed == 2


def test_thesis_4_2_1_a_learner_receives_the_log_and_counts_for_nothing() -> None:
    core = leader(voters=(1, 2, 3), learners=(4,))
    assert 4 in {a.target for a in only(drain(core), Append)}
    core.step(AppendReply(1, 4, 1, 1))
    assert core.log.committed == 0
    learner = make(member=4, learners=(4,))
    for _ in range(5 * TICKS):
        learner.tick()
    assert learner.term == 0


def test_thesis_4_2_2_a_removed_leader_hands_over_to_a_voter_with_its_whole_log() -> None:
    core = leader()
    acknowledge(core, 2, 3)
    core.applied(1, 0)
    core.conf_applied(ConfState([2, 3]))
    assert [append.commit for append in only(drain(core), Append)] == [1, 1]
    assert not core.let_go
    core.step(AppendReply(1, 3, 1, 2))
    assert not only(drain(core), TimeoutNow)  # of two voters both have to know, durably, that it has left
    core.step(AppendReply(1, 2, 1, 2))
    assert only(drain(core), TimeoutNow)
    core.step(VoteReply(1, 2, 1, granted=True))
    core.step(Append(2, 2, 1, 2, 1, 2, []))
    assert core.let_go
    assert not core.is_leader
    for _ in range(5 * TICKS):
        core.tick()
    assert core.term == 2  # it does not disturb those that remain


def test_thesis_4_2_3_who_hears_its_leader_helps_nobody_to_depose_it() -> None:
    core = make(term=1, check_quorum=True)
    core.step(Heartbeat(1, 2, 1, 0, 1))
    core.step(Vote(9, 3, 1, 9, 9))
    assert core.term == 1
    assert not only(drain(core), VoteReply)
    core.step(Vote(9, 3, 1, 9, 9, transfer=True))  # unless the leader itself asked for it
    assert core.vote == 3


# -- section 8 and thesis 6.4: reads ---------------------------------------------------------------------------
def test_8_a_leader_begins_with_a_no_op() -> None:
    core = leader(terms=(1, 2))
    [append, _] = only(drain(core), Append)
    assert append.blocks == [Block(3, 3, 3, NO_OP)]


def test_8_reads_wait_until_an_entry_of_the_own_term_is_committed() -> None:
    core = leader(terms=(1, 2), commit=1)
    core.read_index((9, 1))
    drain(core)
    assert not core.read_states
    core.step(AppendReply(3, 2, 1, 3))
    [beat, _] = only(drain(core), Heartbeat)
    core.step(HeartbeatReply(3, 2, 1, beat.round))
    assert [state.index for state in core.read_states] == [3]


def test_thesis_6_4_and_rule_10_a_read_needs_a_round_sent_after_it() -> None:
    core = leader()
    acknowledge(core, 2, 3)
    drain(core)
    core.tick()
    [former, _] = only(drain(core), Heartbeat)
    core.read_index((9, 1))
    core.step(HeartbeatReply(1, 2, 1, former.round))
    assert not core.read_states
    [beat, _] = only(drain(core), Heartbeat)  # at once, not with the next tick
    assert beat.round > former.round
    core.step(HeartbeatReply(1, 3, 1, former.round))
    assert not core.read_states
    core.step(HeartbeatReply(1, 3, 1, beat.round))
    assert [state.contexts for state in core.read_states] == [[(9, 1)]]


def test_rule_10_reads_of_a_turn_share_a_round_and_stepping_down_fails_them() -> None:
    core = leader()
    acknowledge(core, 2, 3)
    drain(core)
    for context in range(5):
        core.read_index((9, context))
    assert len(only(drain(core), Heartbeat)) == 2
    core.step(Heartbeat(7, 2, 1, 0, 1))
    ready = core.ready()
    assert ready is not None
    assert ready.reads_failed == [(9, context) for context in range(5)]


def test_8_no_round_of_a_tick_confirms_reads_before_that_commit() -> None:
    core = leader(terms=(1, 2), commit=1)
    core.read_index((9, 1))
    drain(core)
    core.tick()
    [beat, _] = only(drain(core), Heartbeat)
    core.step(HeartbeatReply(3, 2, 1, beat.round))
    assert not core.read_states


def test_rule_10_echoes_of_older_or_unknown_rounds_change_nothing() -> None:
    reads = Reads()
    for _ in range(3):
        reads.open_round(1, 5)
    reads.echo(2, 3)
    reads.echo(2, 1)
    assert reads.echoed[2] == 3
    reads.echo(3, 99)
    assert 3 not in reads.echoed


def test_thesis_3_10_only_the_leader_hands_over() -> None:
    core = make(term=1)
    core.step(Heartbeat(1, 2, 1, 0, 1))
    core.step(TimeoutNow(1, 3, 1))
    assert core.term == 1
    core.step(TimeoutNow(1, 2, 1))
    assert core.term == 2


def test_thesis_4_2_3_who_may_not_campaign_does_not_seem_to_hear_a_leader_for_ever() -> None:
    core = make(term=1, voters=(2, 3), check_quorum=True)
    core.step(Heartbeat(1, 2, 1, 0, 1))
    for _ in range(TICKS):
        core.tick()
    for _ in range(3 * TICKS):
        assert not core.role.leased
        core.tick()
    core.step(Vote(2, 3, 1, 0, 0, pre=True))
    assert [reply.granted for reply in only(drain(core), VoteReply)] == [True]


# -- thesis 3.10: leadership transfer --------------------------------------------------------------------------
def test_thesis_3_10_a_transfer_waits_for_the_log_and_ends_with_the_targets_election() -> None:
    core = leader()
    acknowledge(core, 3)
    drain(core)
    assert core.transfer(2) is None
    assert not only(drain(core), TimeoutNow)
    assert type(core.propose(BlockKind.NORMAL, 1, data(1))) is not tuple  # nothing new meanwhile
    core.step(AppendReply(1, 2, 1, 1))
    assert [now.target for now in only(drain(core), TimeoutNow)] == [2]
    target = make((1,), term=1, member=2, check_quorum=True, pre_vote=True)
    target.step(Heartbeat(1, 1, 2, 0, 1))
    target.step(TimeoutNow(1, 1, 2))
    assert all(vote.transfer and not vote.pre and vote.term == 2 for vote in only(drain(target), Vote))


def test_thesis_3_10_a_transfer_that_does_not_come_about_is_given_up() -> None:
    core = leader()
    acknowledge(core, 3)
    core.transfer(2)
    for _ in range(TICKS):
        core.tick()
    assert type(core.propose(BlockKind.NORMAL, 1, data(1))) is tuple


# -- thesis 6.2: CheckQuorum -----------------------------------------------------------------------------------
def test_thesis_6_2_a_leader_that_no_majority_answers_steps_down() -> None:
    core = leader(check_quorum=True)
    acknowledge(core, 2, 3)
    for _ in range(3 * TICKS):
        core.tick()
        core.step(HeartbeatReply(1, 2, 1, 0))
    assert core.is_leader
    for _ in range(2 * TICKS):
        core.tick()
    assert not core.is_leader


# -- thesis 9.6: PreVote ---------------------------------------------------------------------------------------
def test_thesis_9_6_a_member_that_cannot_win_does_not_raise_the_term() -> None:
    core = make(term=3, pre_vote=True)
    for _ in range(20 * TICKS):
        core.tick()
    assert core.term == 3
    assert all(vote.pre and vote.term == 4 for vote in only(drain(core), Vote))


def test_thesis_9_6_granting_a_pre_vote_promises_nothing() -> None:
    core = make(term=3)
    core.step(Vote(4, 2, 1, 0, 0, pre=True))
    core.step(Vote(4, 3, 1, 0, 0, pre=True))
    assert [reply.granted for reply in only(drain(core), VoteReply)] == [True, True]
    assert (core.term, core.vote) == (3, 0)


def test_thesis_9_6_a_majority_of_pre_votes_opens_the_election() -> None:
    core = make(term=3, pre_vote=True)
    core.campaign()
    drain(core)
    core.step(VoteReply(4, 2, 1, granted=True, pre=True))
    assert (core.term, core.vote, core.is_leader) == (4, 1, False)
    assert all(not vote.pre for vote in only(drain(core), Vote))
    core.step(VoteReply(4, 2, 1, granted=True, pre=True))  # a late pre-vote elects nobody
    assert not core.is_leader
    core.step(VoteReply(4, 3, 1, granted=True))
    assert core.is_leader


def test_thesis_9_6_a_pre_vote_is_granted_for_a_later_term_only_and_whatever_was_voted_before() -> None:
    core = make(term=3, vote=3)
    core.step(Vote(4, 2, 1, 0, 0, pre=True))
    assert [reply.granted for reply in only(drain(core), VoteReply)] == [True]
    core.step(Vote(3, 2, 1, 0, 0, pre=True))
    assert [reply.granted for reply in only(drain(core), VoteReply)] == [False]
