"""Alarms (semantics 6.4) and members (design rule 14) as replicated state."""

import pytest

from tests.unit.state.replica import Replica
from zetcd.base.errors import (
    CORRUPT,
    MEMBER_EXISTS,
    MEMBER_NOT_FOUND,
    MEMBER_NOT_LEARNER,
    NO_SPACE,
    NOT_ENOUGH_STARTED,
    PEER_URL_EXISTS,
    TOO_MANY_LEARNERS,
    Error,
)
from zetcd.mvcc.engine import MemoryEngine
from zetcd.state.members import ACTIVATE, ADD, ADD_LEARNER, BOOTSTRAP, DEACTIVATE, PROMOTE, PUBLISH, REMOVE, UPDATE
from zetcd.wire.entry import (
    Alarm,
    Command,
    Compact,
    DeleteRange,
    LeaseCheckpoint,
    LeaseGrant,
    LeaseRevoke,
    MemberChange,
    Put,
    Range,
    Txn,
)
from zetcd.wire.local import ConfState
from zetcd.wire.queries import StoreStatus
from zetcd.wire.results import Alarmed, Failed, MembersAre, Result, Status

NOSPACE, CORRUPTED = 1, 2


@pytest.fixture
def replica() -> Replica:
    made = Replica(MemoryEngine())
    made.run(Put(b"a", b"1"), LeaseGrant(1, 10), LeaseGrant(2, 10))
    return made


def errors_of(results: list[Result], error: Error) -> list[bool]:
    return [isinstance(result, Failed) and (result.code, result.message) == error for result in results]


def status(replica: Replica) -> Status:
    answer = replica.read(StoreStatus())
    assert isinstance(answer, Status)
    return answer


def reopened(replica: Replica) -> Replica:
    replica.flush()
    replica.open(replica.engine)
    return replica


def test_no_space_refuses_what_needs_space(replica: Replica) -> None:
    assert replica.execute(Alarm(ACTIVATE, 77, NOSPACE)).alarms_changed
    refused: list[Command] = [
        Put(b"b", b""), LeaseGrant(3, 10), Txn([], [Put(b"b", b"")], []), Txn([], [], [Put(b"b", b"")]),
        Txn([], [Txn([], [Put(b"b", b"")], [])], []),
    ]  # fmt: skip
    allowed: list[Command] = [
        DeleteRange(b"a"), Txn([], [Range(b"a"), DeleteRange(b"x")], []), LeaseCheckpoint([(1, 5)]), LeaseRevoke(1),
        Compact(2),
    ]  # fmt: skip
    for _ in range(2):  # the alarm outlives a restart
        assert errors_of(replica.run(*refused), NO_SPACE) == [True] * len(refused)
        reopened(replica)
    assert errors_of(replica.run(*allowed), NO_SPACE) == [False] * len(allowed)
    assert status(replica).alarms == [(77, NOSPACE)]
    assert replica.execute(Alarm(DEACTIVATE, 77, NOSPACE), Put(b"b", b"")).alarms_changed
    assert status(replica).alarms == []
    assert errors_of([replica.one(Put(b"b", b""))], NO_SPACE) == [False]


def test_corrupt_refuses_all_writes(replica: Replica) -> None:
    replica.run(Alarm(ACTIVATE, 77, NOSPACE), Alarm(ACTIVATE, 78, CORRUPTED))
    refused: list[Command] = [
        Put(b"b", b""), DeleteRange(b"a"), Txn([], [Range(b"a")], []), Compact(2), LeaseGrant(3, 10), LeaseRevoke(1),
    ]  # fmt: skip
    assert errors_of(replica.run(*refused), CORRUPT) == [True] * len(refused)
    assert not isinstance(replica.read(Range(b"a")), Failed), "reads do not pass through the log"
    replica.run(Alarm(DEACTIVATE, 78, CORRUPTED))
    assert errors_of([replica.one(Put(b"b", b""))], NO_SPACE) == [True], "the other alarm still stands"


def test_alarms_in_the_same_block_take_effect_at_once(replica: Replica) -> None:
    put = Put(b"b", b"")
    results = replica.run(put, Alarm(ACTIVATE, 1, NOSPACE), put, Alarm(DEACTIVATE, 1, NOSPACE), put)
    assert errors_of(results, NO_SPACE) == [False, False, True, False, False]


def test_repeated_alarms_change_nothing(replica: Replica) -> None:
    replica.run(Alarm(ACTIVATE, 1, NOSPACE))
    outcome = replica.execute(Alarm(ACTIVATE, 1, NOSPACE), Alarm(DEACTIVATE, 2, NOSPACE))
    assert not outcome.alarms_changed
    assert [result for _, _, result in outcome.replies] == [Alarmed(2, [(1, NOSPACE)]), Alarmed(2, [])]


def test_members(replica: Replica) -> None:
    assert replica.machine.configuration is None
    outcome = replica.execute(MemberChange(BOOTSTRAP, 5, "m5", ["p5"]))
    assert (outcome.members_changed, outcome.conf) == (True, ConfState([5]))
    replica.run(MemberChange(PUBLISH, 5, "m5", [], ["c5"]), MemberChange(BOOTSTRAP, 5, "m5", ["p5"]))
    assert status(replica).members == [(5, "m5", ["p5"], ["c5"], False)], "a second bootstrap entry changes nothing"
    outcome = replica.execute(MemberChange(ADD_LEARNER, 4, "", ["p4"]))
    assert outcome.conf == ConfState([5], [4])
    assert replica.execute(MemberChange(PROMOTE, 4)).conf == ConfState([4, 5])
    replica.run(MemberChange(UPDATE, 4, "", ["q4"]))
    assert status(replica).members[0] == (4, "", ["q4"], [], False)
    assert replica.execute(MemberChange(REMOVE, 4)).conf == ConfState([5])
    assert reopened(replica).machine.configuration == ConfState([5])
    assert status(replica).members == [(5, "m5", ["p5"], ["c5"], False)]


def test_rule_14_apply_rejects_changes_that_do_not_hold(replica: Replica) -> None:
    """The decision is a function of the log: every member takes the same one, also after a restart."""
    peers = ["p5", "tcp://p5:1"]
    replica.run(MemberChange(BOOTSTRAP, 5, "m5", peers), MemberChange(ADD, 6, "m6", ["p6"]), MemberChange(REMOVE, 6))
    for _ in range(2):
        for change, error in (
            (MemberChange(ADD, 5, "", ["p9"]), MEMBER_EXISTS),
            (MemberChange(ADD, 6, "", ["p9"]), MEMBER_EXISTS),  # ids are never used twice
            (MemberChange(ADD, 7, "", ["p9", "p5"]), PEER_URL_EXISTS),
            (MemberChange(ADD, 7, "", ["http://p5:1"]), PEER_URL_EXISTS),  # the same address
            (MemberChange(REMOVE, 5), NOT_ENOUGH_STARTED),  # nobody would be left to decide
            (MemberChange(PROMOTE, 5), MEMBER_NOT_LEARNER),
            (MemberChange(PROMOTE, 7), MEMBER_NOT_FOUND),
            (MemberChange(REMOVE, 7), MEMBER_NOT_FOUND),
            (MemberChange(UPDATE, 7), MEMBER_NOT_FOUND),
            (MemberChange(PUBLISH, 7), MEMBER_NOT_FOUND),
        ):
            outcome = replica.execute(change)
            assert errors_of([outcome.replies[0][2]], error) == [True]
            assert (outcome.members_changed, outcome.conf) == (False, None)
        reopened(replica)
    assert status(replica).members == [(5, "m5", peers, [], False)]
    assert status(replica).removed == [6]


def test_rule_14_the_bound_on_learners_travels_with_the_change(replica: Replica) -> None:
    """Members may be configured differently, and must decide alike."""
    replica.run(MemberChange(BOOTSTRAP, 5, "m5", ["p5"]), MemberChange(ADD_LEARNER, 6, "", ["p6"], learners_max=1))
    assert status(replica).members[1] == (6, "", ["p6"], [], True)
    refused = replica.execute(MemberChange(ADD_LEARNER, 7, "", ["p7"], learners_max=1)).replies[0][2]
    assert errors_of([refused], TOO_MANY_LEARNERS) == [True]
    accepted = replica.run(
        MemberChange(ADD, 8, "", ["p8"], learners_max=1),
        MemberChange(ADD_LEARNER, 7, "", ["p7"], learners_max=2),
        MemberChange(ADD_LEARNER, 9, "", ["p9"]),
    )
    assert [len(result.members) for result in accepted if isinstance(result, MembersAre)] == [3, 4, 5]
