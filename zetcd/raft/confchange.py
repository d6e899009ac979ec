"""From one configuration to the next (Raft section 6; thesis chapter 4; etcd-io/raft `confchange`).

- simple: at most one voter comes or goes, so that any majority before and any after share a member.
- joint: any change, through a configuration that needs majorities of both the outgoing and the incoming voters
  (`enter_joint`), until the outgoing ones are let go (`leave_joint`).
- A voter that is to become a learner, while it still votes in the outgoing half, waits in learners_next.

The state machine decides on changes (rule 14); these functions say what follows from one. Refusals are values.
"""

import enum
from collections.abc import Sequence
from typing import NamedTuple

from zetcd.base.errors import FAILED_PRECONDITION, Error
from zetcd.wire.local import ConfState


class ChangeType(enum.IntEnum):
    """What happens to one member."""

    ADD_VOTER, ADD_LEARNER, REMOVE = 0, 1, 2


class Change(NamedTuple):
    """Of one member."""

    type: ChangeType
    member: int


def _refused(text: str) -> Error:
    return Error(FAILED_PRECONDITION, "zetcd: " + text)


IN_TRANSITION = _refused("a joint configuration is in force")
NOT_IN_TRANSITION = _refused("no joint configuration is in force")
MORE_THAN_ONE = _refused("more than one voter changes without a joint configuration")
NO_VOTER = _refused("no voter would remain")


def simple(conf: ConfState, changes: Sequence[Change]) -> ConfState | Error:
    """Change at most one voter, and any number of learners."""
    if conf.outgoing:
        return IN_TRANSITION
    result = _apply(conf, changes)
    if not result.voters:
        return NO_VOTER
    if len(set(conf.voters) ^ set(result.voters)) > 1:
        return MORE_THAN_ONE
    return result


def enter_joint(conf: ConfState, changes: Sequence[Change], auto_leave: bool) -> ConfState | Error:
    """Begin a transition. auto_leave: the leader ends it as soon as it is applied."""
    if conf.outgoing:
        return IN_TRANSITION
    if not conf.voters:
        return NO_VOTER
    result = _apply(ConfState(conf.voters, conf.learners, conf.voters, []), changes)
    if not result.voters:
        return NO_VOTER
    return ConfState(result.voters, result.learners, result.outgoing, result.learners_next, auto_leave)


def leave_joint(conf: ConfState) -> ConfState | Error:
    """End a transition: the outgoing voters are let go."""
    if not conf.outgoing:
        return NOT_IN_TRANSITION
    return ConfState(conf.voters, sorted({*conf.learners, *conf.learners_next}))


def _apply(conf: ConfState, changes: Sequence[Change]) -> ConfState:
    voters, learners, waiting = set(conf.voters), set(conf.learners), set(conf.learners_next)
    outgoing = set(conf.outgoing)
    for change in changes:
        member = change.member
        voters.discard(member)
        learners.discard(member)
        waiting.discard(member)
        if change.type == ChangeType.ADD_VOTER:
            voters.add(member)
        elif change.type == ChangeType.ADD_LEARNER:
            (waiting if member in outgoing else learners).add(member)
    return ConfState(sorted(voters), sorted(learners), sorted(outgoing), sorted(waiting), conf.auto_leave)
