"""The leader's checks before a membership change, against etcd's rules (semantics 1.5) and against brute force."""

import itertools

import pytest

from zetcd.base.errors import LEARNER_NOT_READY, NOT_ENOUGH_STARTED, UNHEALTHY, Error
from zetcd.base.limits import PROMOTE_LAG_ENTRIES_MAX
from zetcd.cluster.membership import ChangeKind, added_member_id, complaint_of
from zetcd.cluster.reconfigure import caught_up, check_change
from zetcd.wire.entry import MemberChange
from zetcd.wire.results import MemberRow

LEADER = 1


def row(member: int, *, started: bool = True, learner: bool = False) -> MemberRow:
    return (member, f"m{member}" if started else "", [f"tcp://127.0.0.1:{member}"], [], learner)


def cluster(voters: int, *, unstarted: int = 0, learners: int = 0) -> list[MemberRow]:
    """Voters 1.., the last of them unstarted; learners from 101 on."""
    rows = [row(member, started=member <= voters - unstarted) for member in range(1, voters + 1)]
    return rows + [row(101 + number, learner=True) for number in range(learners)]


def check(
    kind: ChangeKind,
    member: int,
    members: list[MemberRow],
    active: set[int],
    match: dict[int, int] | None = None,
    *,
    strict: bool = True,
) -> Error | None:
    return check_change(MemberChange(kind, member), members, active, match or {LEADER: 100}, LEADER, strict=strict)


@pytest.mark.parametrize(
    ("members", "active", "error"),
    [
        (cluster(1), {1}, None),  # the second member cannot be there beforehand
        (cluster(2, unstarted=1), {1}, NOT_ENOUGH_STARTED),
        (cluster(2), {1, 2}, None),
        (cluster(3), {1, 2, 3}, None),
        (cluster(3), {1, 2}, UNHEALTHY),  # four voters need three
        (cluster(4, unstarted=1), {1, 2, 3}, None),  # five voters need three, and three there are
        (cluster(5, unstarted=2), {1, 2, 3}, NOT_ENOUGH_STARTED),
        (cluster(5), {1, 2, 3, 4}, None),
        (cluster(5), {1, 2, 3}, UNHEALTHY),
    ],
)
def test_adding_a_voter_leaves_a_majority_that_is_alive(
    members: list[MemberRow], active: set[int], error: Error | None
) -> None:
    assert check(ChangeKind.ADD, 9, members, active) == error
    assert check(ChangeKind.ADD, 9, members, active, strict=False) is None


def test_a_learner_may_join_while_a_voter_is_down() -> None:
    """It changes no majority; it is how a dead member is replaced."""
    assert check(ChangeKind.ADD_LEARNER, 9, cluster(3), {1, 2}) is None
    assert check(ChangeKind.ADD_LEARNER, 9, cluster(3), {1}) == UNHEALTHY


@pytest.mark.parametrize(
    ("members", "active", "removed", "error"),
    [
        (cluster(1), {1}, 1, NOT_ENOUGH_STARTED),
        (cluster(1), {1}, 9, None),  # apply: member not found
        (cluster(2), {1, 2}, 2, None),
        (cluster(2), {1, 2}, 1, None),
        (cluster(2), {1}, 2, None),
        (cluster(3), {1, 2, 3}, 3, None),
        (cluster(3), {1, 2}, 3, None),  # who is down takes nothing away
        (cluster(3), {1, 2}, 2, UNHEALTHY),
        (cluster(3), {1, 2}, 1, UNHEALTHY),  # the leader itself
        (cluster(3, unstarted=1), {1, 2}, 3, None),
        (cluster(3, unstarted=1), {1, 2}, 2, NOT_ENOUGH_STARTED),
        (cluster(3, learners=1), {1, 2}, 101, None),
        (cluster(5), {1, 2, 3}, 3, UNHEALTHY),
        (cluster(5), {1, 2, 3, 4}, 3, None),
    ],
)
def test_removing_a_voter_leaves_a_majority_that_is_alive(
    members: list[MemberRow], active: set[int], removed: int, error: Error | None
) -> None:
    assert check(ChangeKind.REMOVE, removed, members, active) == error
    assert check(ChangeKind.REMOVE, removed, members, active, strict=False) is None


def test_a_learner_is_promoted_when_it_holds_nine_tenths() -> None:
    members = cluster(3, learners=1)
    active = {1, 2, 3, 101}
    for strict in (True, False):
        found = [
            check(ChangeKind.PROMOTE, 101, members, active, {1: 100, 2: 100, 3: 100, 101: at}, strict=strict)
            for at in (0, 89, 90, 100)
        ]
        assert found == [LEARNER_NOT_READY, LEARNER_NOT_READY, None, None]
    assert check(ChangeKind.PROMOTE, 101, members, active, {1: 100}) == LEARNER_NOT_READY, "never heard of"
    assert check(ChangeKind.PROMOTE, 9, members, active) is None, "apply: member not found"
    assert check(ChangeKind.PROMOTE, 2, members, active, {1: 100, 2: 95}) is None, "apply: not a learner"


def test_a_learner_that_is_gone_is_not_promoted() -> None:
    match = {1: 100, 2: 100, 3: 100, 101: 100}
    assert check(ChangeKind.PROMOTE, 101, cluster(3, learners=1), {1, 2, 3}, match) == UNHEALTHY
    assert check(ChangeKind.PROMOTE, 101, cluster(3, learners=1), {1, 2, 101}, match) is None
    assert check(ChangeKind.PROMOTE, 101, cluster(3, learners=1), {1, 101}, match) == UNHEALTHY
    assert check(ChangeKind.PROMOTE, 101, cluster(4, unstarted=3, learners=1), {1, 101}, match) == NOT_ENOUGH_STARTED


def test_changes_of_names_and_urls_need_no_check() -> None:
    for kind in (ChangeKind.UPDATE, ChangeKind.PUBLISH, ChangeKind.BOOTSTRAP):
        assert check(kind, 2, cluster(3), {1}) is None


@pytest.mark.parametrize("kind", [ChangeKind.ADD, ChangeKind.REMOVE, ChangeKind.PROMOTE])
def test_no_accepted_change_ends_a_majority_that_works(kind: ChangeKind) -> None:
    """Every cluster of up to six voters, every set of living members with the leader: what passes leaves a living
    majority. The one exception is the second voter of a cluster, which nobody can start beforehand."""
    seen = 0
    for voters in range(1, 7):
        members = cluster(voters, learners=1)
        match = dict.fromkeys((each[0] for each in members), 100)
        others = [*range(2, voters + 1), 101]
        for alive in itertools.chain.from_iterable(itertools.combinations(others, n) for n in range(voters + 1)):
            active = {LEADER, *alive}
            if sum(1 for member in active if member <= voters) < voters // 2 + 1:
                continue  # it would not lead
            for member in {ChangeKind.ADD: [9], ChangeKind.PROMOTE: [101]}.get(kind, range(1, voters + 1)):
                if check(kind, member, members, active, match) is not None:
                    continue
                seen += 1
                after = set(range(1, voters + 1)) ^ {member}
                assert len(after & active) >= len(after) // 2 + 1 or (kind, voters) == (ChangeKind.ADD, 1)
    assert seen > 20


def test_auto_promotion_waits_for_a_started_learner_that_is_near() -> None:
    members = [*cluster(3), row(101, learner=True), row(102, learner=True)]
    active = {1, 2, 3, 101, 102}
    newest = 50_000
    at = {1: newest, 2: newest, 3: newest, 101: newest - PROMOTE_LAG_ENTRIES_MAX - 1, 102: newest}
    assert caught_up(members, active, at, LEADER) == 102
    assert caught_up(members, active - {102}, at, LEADER) is None
    at[101] += 1
    assert caught_up(members, active, at, LEADER) == 101
    unstarted = [*cluster(3), row(101, started=False, learner=True)]
    assert caught_up(unstarted, active, at, LEADER) is None
    assert caught_up(cluster(3), active, at, LEADER) is None


def test_an_added_member_gets_an_id_of_its_own_each_time() -> None:
    urls = ["tcp://b:2", "tcp://a:1"]
    assert added_member_id(urls, 5) == added_member_id(reversed(urls), 5)
    assert len({added_member_id(urls, salt) for salt in range(100)}) == 100


@pytest.mark.parametrize(
    ("urls", "complaint"),
    [
        (["tcp://10.0.0.1:2380", "http://host:1"], ""),
        (["tcp://[::1]:2380"], ""),
        ([], "no valid URLs given"),
        (["bogus"], "URL scheme must be tcp or http: bogus"),
        (["https://a:1"], "URL scheme must be tcp or http: https://a:1"),
        (["tcp://a"], 'URL address does not have the form "host:port": tcp://a'),
        (["tcp://a:b"], 'URL address does not have the form "host:port": tcp://a:b'),
        (["tcp://a:65536"], 'URL address does not have the form "host:port": tcp://a:65536'),
        (["tcp://:1"], 'URL address does not have the form "host:port": tcp://:1'),
        (["tcp://a:1/x"], "URL must not contain a path: tcp://a:1/x"),
    ],
)
def test_peer_urls(urls: list[str], complaint: str) -> None:
    assert complaint_of(urls) == complaint
