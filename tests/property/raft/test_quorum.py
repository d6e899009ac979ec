"""Majorities against brute force."""

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from zetcd.raft.quorum import INFINITE, VoteResult, committed, joint_committed, joint_vote_result, vote_result

VOTERS = st.sets(st.integers(1, 7), max_size=7).map(sorted)
MATCH = st.dictionaries(st.integers(1, 9), st.integers(0, 5))
VOTES = st.dictionaries(st.integers(1, 9), st.booleans())


def majorities(voters: list[int]) -> list[tuple[int, ...]]:
    return [group for size in range(len(voters) // 2 + 1, len(voters) + 1) for group in combinations(voters, size)]


def reached(voters: list[int], match: dict[int, int]) -> int:
    """The highest value that every member of some majority has reached."""
    if not voters:
        return INFINITE
    return max(min(match.get(voter, 0) for voter in group) for group in majorities(voters))


def decided(voters: list[int], votes: dict[int, bool]) -> VoteResult:
    """WON or LOST only where no answer that is still out can change it."""
    if not voters:
        return VoteResult.WON
    if any(all(votes.get(voter) is True for voter in group) for group in majorities(voters)):
        return VoteResult.WON
    if any(all(votes.get(voter) is not False for voter in group) for group in majorities(voters)):
        return VoteResult.PENDING
    return VoteResult.LOST


@settings(deadline=None)
@given(VOTERS, MATCH)
def test_committed(voters: list[int], match: dict[int, int]) -> None:
    assert committed(voters, match) == reached(voters, match)


@settings(deadline=None)
@given(VOTERS, VOTERS, MATCH)
def test_joint_committed(voters: list[int], outgoing: list[int], match: dict[int, int]) -> None:
    assert joint_committed(voters, outgoing, match) == min(reached(voters, match), reached(outgoing, match))


@settings(deadline=None)
@given(VOTERS, VOTES)
def test_vote_result(voters: list[int], votes: dict[int, bool]) -> None:
    assert vote_result(voters, votes) == decided(voters, votes)


@settings(deadline=None)
@given(VOTERS, VOTERS, VOTES)
def test_joint_vote_result(voters: list[int], outgoing: list[int], votes: dict[int, bool]) -> None:
    results = (decided(voters, votes), decided(outgoing, votes))
    expected = (
        VoteResult.LOST
        if VoteResult.LOST in results
        else VoteResult.PENDING
        if VoteResult.PENDING in results
        else VoteResult.WON
    )
    assert joint_vote_result(voters, outgoing, votes) == expected


@settings(deadline=None)
@given(VOTERS, VOTES)
def test_a_joint_configuration_of_equal_halves_is_the_single_one(voters: list[int], votes: dict[int, bool]) -> None:
    assert joint_vote_result(voters, voters, votes) == vote_result(voters, votes)
    assert joint_vote_result(voters, [], votes) == vote_result(voters, votes)
