"""What the leader checks before it proposes a membership change: whether the cluster, as it lives now, can bear it.

Apply decides by replicated state whether a change holds at all (rule 14, `zetcd.state.members`); who answers and how
far a learner has come is known to the leader alone. The order of the checks and their errors are etcd's
(`server/etcdserver/server.go`, mayAddMember, mayRemoveMember, mayPromoteMember), with three deliberate differences:

- active means heard of within the last election timeout; etcd wants five seconds without a break, so that a cluster
  that has just started refuses.
- Adding asks for a majority of the voters that will then be (as newer etcd does), not for all of them (etcd 3.4):
  a dead member must not stop its own replacement.
- A learner that is promoted must itself be active: it will count.
"""

from collections.abc import Collection, Mapping, Sequence

from zetcd.base import limits
from zetcd.base.errors import LEARNER_NOT_READY, NOT_ENOUGH_STARTED, UNHEALTHY, Error
from zetcd.cluster.membership import ChangeKind
from zetcd.wire.entry import MemberChange
from zetcd.wire.results import MemberRow

READY_PERCENT = 90
"""A learner is in sync from this share of the leader's match index on (etcd's figure)."""


def check_change(
    change: MemberChange,
    members: Sequence[MemberRow],
    active: Collection[int],
    match: Mapping[int, int],
    leader: int,
    *,
    strict: bool = True,
) -> Error | None:
    """Why the leader must not propose change, or None.

    members: as applied, all changes before this one included. active: ids heard of within the last election timeout;
    the leader is always counted. match: the log index each member is known to hold, the leader's own included.
    strict: --strict-reconfig-check; without it only a learner's progress is checked. An unknown member, a taken id and
    the like pass: apply refuses those.
    """
    kind = change.kind
    if kind == ChangeKind.PROMOTE:
        error = _not_in_sync(change.member, members, match, leader)
        return error or (_check_promote(change.member, members, active, leader) if strict else None)
    if not strict:
        return None
    if kind == ChangeKind.ADD:
        return _check_add(members, active, leader)
    if kind == ChangeKind.ADD_LEARNER:
        voters = _voters(members)
        return None if _count(voters, active, leader) >= _majority(len(voters)) else UNHEALTHY
    if kind == ChangeKind.REMOVE:
        return _check_remove(change.member, members, active, leader)
    return None


def caught_up(
    members: Sequence[MemberRow], active: Collection[int], match: Mapping[int, int], leader: int
) -> int | None:
    """For --auto-promote: the first learner that `check_change` lets become a voter and that lacks at most
    PROMOTE_LAG_ENTRIES_MAX entries; None where there is none."""
    newest = match.get(leader, 0)
    for member, name, _, _, is_learner in sorted(members):
        near = is_learner and name and newest - match.get(member, 0) <= limits.PROMOTE_LAG_ENTRIES_MAX
        change = MemberChange(ChangeKind.PROMOTE, member)
        if near and check_change(change, members, active, match, leader) is None:
            return member
    return None


def _voters(members: Sequence[MemberRow]) -> list[MemberRow]:
    return [row for row in members if not row[4]]


def _started(rows: Sequence[MemberRow]) -> int:
    """A member has a name once it has published itself."""
    return sum(1 for row in rows if row[1])


def _count(rows: Sequence[MemberRow], active: Collection[int], leader: int) -> int:
    return sum(1 for row in rows if row[0] == leader or row[0] in active)


def _majority(voters: int) -> int:
    return voters // 2 + 1


def _check_add(members: Sequence[MemberRow], active: Collection[int], leader: int) -> Error | None:
    voters = _voters(members)
    if len(voters) == 1:
        return None  # the second member of a cluster: there is no other way to it
    majority = _majority(len(voters) + 1)
    if _started(voters) < majority:
        return NOT_ENOUGH_STARTED
    return None if _count(voters, active, leader) >= majority else UNHEALTHY


def _check_remove(member: int, members: Sequence[MemberRow], active: Collection[int], leader: int) -> Error | None:
    voters = _voters(members)
    if any(row[0] == member and row[4] for row in members):
        return None
    rest = [row for row in voters if row[0] != member]
    if not rest or _started(rest) < _majority(len(rest)):
        return NOT_ENOUGH_STARTED
    if member != leader and member not in active:
        return None  # it is not part of the majority that works
    return None if _count(rest, active, leader) >= _majority(len(rest)) else UNHEALTHY


def _not_in_sync(member: int, members: Sequence[MemberRow], match: Mapping[int, int], leader: int) -> Error | None:
    known = any(row[0] == member for row in members)
    if known and match.get(member, 0) * 100 < match.get(leader, 0) * READY_PERCENT:
        return LEARNER_NOT_READY
    return None


def _check_promote(member: int, members: Sequence[MemberRow], active: Collection[int], leader: int) -> Error | None:
    if not any(row[0] == member and row[4] for row in members):
        return None  # apply says what is wrong with it
    voters = _voters(members)
    majority = _majority(len(voters) + 1)
    if _started(voters) + 1 < majority:
        return NOT_ENOUGH_STARTED
    if member not in active or _count(voters, active, leader) + 1 < majority:
        return UNHEALTHY
    return None
