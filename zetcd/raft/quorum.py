"""Majorities, single and joint (Raft sections 5.2, 5.4, 6).

A decision of a joint configuration needs a majority of both halves. The empty half decides nothing by itself: it
agrees with anything, so that a configuration outside a transition is a joint one with an empty outgoing half.
"""

import enum
from collections.abc import Mapping, Sequence

INFINITE = 2**64 - 1
"""What an empty half has committed: it never holds the other half back."""


class VoteResult(enum.IntEnum):
    """PENDING: neither is certain yet."""

    PENDING, LOST, WON = 0, 1, 2


def committed(voters: Sequence[int], match: Mapping[int, int]) -> int:
    """The highest value that a majority of voters has reached; absent voters count as 0, no voters as INFINITE."""
    if len(voters) == 1:
        return match.get(voters[0], 0)
    if not voters:
        return INFINITE
    reached = sorted(match.get(voter, 0) for voter in voters)
    return reached[(len(voters) - 1) // 2]


def joint_committed(voters: Sequence[int], outgoing: Sequence[int], match: Mapping[int, int]) -> int:
    """The highest value that a majority of either half has reached."""
    if not outgoing:
        return committed(voters, match)
    return min(committed(voters, match), committed(outgoing, match))


def vote_result(voters: Sequence[int], votes: Mapping[int, bool]) -> VoteResult:
    """Outcome of votes, which hold only who has answered; without voters it is WON."""
    needed = len(voters) // 2 + 1 if voters else 0
    granted = sum(1 for voter in voters if votes.get(voter) is True)
    if granted >= needed:
        return VoteResult.WON
    refused = sum(1 for voter in voters if votes.get(voter) is False)
    return VoteResult.PENDING if len(voters) - refused >= needed else VoteResult.LOST


def joint_vote_result(voters: Sequence[int], outgoing: Sequence[int], votes: Mapping[int, bool]) -> VoteResult:
    """Won only where both halves are won, lost where one is lost."""
    first, second = vote_result(voters, votes), vote_result(outgoing, votes)
    if first == second:
        return first
    return VoteResult.LOST if VoteResult.LOST in (first, second) else VoteResult.PENDING
