"""Configurations: whatever the changes, a majority before and a majority after share a member."""

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from zetcd.base.errors import Error
from zetcd.raft.confchange import (
    IN_TRANSITION,
    MORE_THAN_ONE,
    NO_VOTER,
    NOT_IN_TRANSITION,
    Change,
    ChangeType,
    enter_joint,
    leave_joint,
    simple,
)
from zetcd.raft.quorum import VoteResult, joint_vote_result
from zetcd.wire.local import ConfState

MEMBERS = st.integers(1, 6)
CHANGES = st.lists(st.builds(Change, st.sampled_from(ChangeType), MEMBERS), max_size=5)


@st.composite
def confs(draw: st.DrawFn) -> ConfState:
    voters = draw(st.sets(MEMBERS, min_size=1, max_size=4))
    return ConfState(sorted(voters), sorted(draw(st.sets(MEMBERS)) - voters))


def quorums(conf: ConfState) -> list[set[int]]:
    """Every set of members that can decide."""
    members = range(1, 7)
    sets = (set(group) for size in range(1, 7) for group in combinations(members, size))
    return [
        group
        for group in sets
        if joint_vote_result(conf.voters, conf.outgoing, {m: m in group for m in members}) == VoteResult.WON
    ]


def share_a_member(one: ConfState, other: ConfState) -> bool:
    return all(a & b for a in quorums(one) for b in quorums(other))


def well_formed(conf: ConfState) -> bool:
    """Nobody both votes and learns, except that an outgoing voter may wait to learn."""
    voters, learners, waiting = set(conf.voters), set(conf.learners), set(conf.learners_next)
    return (
        bool(voters)
        and not voters & (learners | waiting)
        and not learners & (waiting | set(conf.outgoing))
        and waiting <= set(conf.outgoing)
        and all(ids == sorted(set(ids)) for ids in (conf.voters, conf.learners, conf.outgoing, conf.learners_next))
    )


@settings(deadline=None)
@given(confs(), CHANGES)
def test_simple_changes_keep_quorums_overlapping(conf: ConfState, changes: list[Change]) -> None:
    result = simple(conf, changes)
    if isinstance(result, Error):
        assert result in (MORE_THAN_ONE, NO_VOTER)
    else:
        assert well_formed(result)
        assert share_a_member(conf, result)


@settings(deadline=None)
@given(confs(), CHANGES, st.booleans())
def test_joint_changes_keep_quorums_overlapping_at_both_ends(
    conf: ConfState, changes: list[Change], auto_leave: bool
) -> None:
    joint = enter_joint(conf, changes, auto_leave)
    if isinstance(joint, Error):
        assert joint == NO_VOTER
        return
    assert well_formed(joint)
    assert joint.auto_leave == auto_leave
    assert share_a_member(conf, joint)
    assert simple(joint, changes) == IN_TRANSITION
    assert enter_joint(joint, changes, auto_leave) == IN_TRANSITION
    last = leave_joint(joint)
    assert isinstance(last, ConfState)
    assert well_formed(last)
    assert share_a_member(joint, last)
    # What the changes say, they say of the end: the last word on each member counts.
    for change in {change.member: change for change in changes}.values():
        expected = (change.type == ChangeType.ADD_VOTER, change.type == ChangeType.ADD_LEARNER)
        assert (change.member in last.voters, change.member in last.learners) == expected


@given(confs())
def test_only_a_joint_configuration_can_be_left(conf: ConfState) -> None:
    assert leave_joint(conf) == NOT_IN_TRANSITION


def test_a_demoted_voter_waits_until_it_votes_no_more() -> None:
    joint = enter_joint(ConfState([1, 2, 3]), [Change(ChangeType.ADD_LEARNER, 3)], auto_leave=False)
    assert joint == ConfState([1, 2], [], [1, 2, 3], [3])
    assert isinstance(joint, ConfState)
    assert leave_joint(joint) == ConfState([1, 2], [3])
