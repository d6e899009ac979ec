"""The ops of Cluster and Maintenance as api does them: what is proposed, what waits, what a learner refuses."""

from typing import Any

import pytest
from msgspec import structs

from tests.unit.actors.front import LEADING, Front
from zetcd.base import errors
from zetcd.base.errors import Error
from zetcd.base.settings import Settings
from zetcd.cluster.membership import ChangeKind
from zetcd.wire.entry import BlockKind, MemberChange, Put, decode_entries
from zetcd.wire.local import MoveLeader, Propose, Refused, Standing
from zetcd.wire.results import Failed, MembersAre, Status

MEMBER, OTHER = 9, 12
FOLLOWING = structs.replace(LEADING, leader=OTHER, is_leader=False, sole=False)
ROW = (MEMBER, "m9", ["tcp://a:1"], ["tcp://a:2"], False)
SHOWN = {"ID": MEMBER, "name": "m9", "peerURLs": ["tcp://a:1"], "clientURLs": ["tcp://a:2"]}


@pytest.fixture
def front() -> Front:
    return Front(Settings(max_learners=3))


def error_of(front: Front) -> str:
    (reply,) = front.replies()
    message: str = reply["error"]["message"]
    return message


def refused(error: Error) -> dict[str, Any]:
    return {"error": {"code": error.code, "status": error.status, "message": error.message}}


# -- members -------------------------------------------------------------------------------------------------------
def test_rule_14_a_membership_change_stands_alone_between_other_writes(front: Front) -> None:
    put = {"op": "put", "key": b"k"}
    front.ask({"op": "batch", "requests": [put, {"op": "member_remove", "ID": 5}, put, put]})
    proposals = front.take(Propose)
    assert [(propose.count, propose.kind) for propose in proposals] == [
        (1, BlockKind.NORMAL), (1, BlockKind.MEMBERSHIP), (2, BlockKind.NORMAL),
    ]  # fmt: skip
    entries = [entry for propose in proposals for entry in decode_entries(propose.count, propose.data)]
    assert [entry.sequence for entry in entries] == [1, 2, 3, 4]
    assert [type(entry.command) for entry in entries] == [Put, MemberChange, Put, Put]


def test_member_add(front: Front) -> None:
    for learner in (False, True):
        front.ask({"op": "member_add", "peerURLs": ["tcp://c:1", "http://b:1"], "isLearner": learner})
        (entry,) = front.proposed()
        change = entry.command
        assert isinstance(change, MemberChange)
        kind = ChangeKind.ADD_LEARNER if learner else ChangeKind.ADD
        assert change == MemberChange(kind, change.member, "", ["http://b:1", "tcp://c:1"], learners_max=3)
        front.answer(entry.sequence, MembersAre(4, [(change.member, "", change.peer_urls, [], learner), ROW]))
        (reply,) = front.replies()
        added = {"ID": change.member, "peerURLs": change.peer_urls} | ({"isLearner": True} if learner else {})
        assert reply["member"] == added
        assert sorted(reply["members"], key=lambda row: row["ID"] != MEMBER) == [SHOWN, added]
        assert "revision" not in reply["header"], "etcd's way"


def test_the_same_member_added_again_gets_another_id(front: Front) -> None:
    for _ in range(2):
        front.ask({"op": "member_add", "peerURLs": ["tcp://c:1"]})
    first, second = (entry.command for entry in front.proposed())
    assert isinstance(first, MemberChange)
    assert isinstance(second, MemberChange)
    assert first.member != second.member


@pytest.mark.parametrize(
    ("request_", "change"),
    [
        ({"op": "member_remove", "ID": 2**64 - 1}, MemberChange(ChangeKind.REMOVE, 2**64 - 1)),
        ({"op": "member_promote", "ID": 5}, MemberChange(ChangeKind.PROMOTE, 5)),
        (
            {"op": "member_update", "ID": 5, "peerURLs": ["tcp://c:1"]},
            MemberChange(ChangeKind.UPDATE, 5, "", ["tcp://c:1"]),
        ),
    ],
    ids=lambda value: value["op"] if isinstance(value, dict) else "",
)
def test_other_changes_answer_with_the_members_there_are(
    front: Front, request_: dict[str, Any], change: MemberChange
) -> None:
    front.ask(request_)
    (entry,) = front.proposed()
    assert entry.command == change
    front.answer(entry.sequence, MembersAre(4, [ROW]))
    (reply,) = front.replies()
    assert (reply["members"], "member" in reply) == ([SHOWN], False)
    front.ask(request_)
    (entry,) = front.proposed()
    front.answer(entry.sequence, Failed(errors.MEMBER_NOT_FOUND.code, errors.MEMBER_NOT_FOUND.message))
    assert front.replies() == [refused(errors.MEMBER_NOT_FOUND)]
    front.ask(request_)
    (entry,) = front.proposed()
    front.turn(front.raft, Refused(entry.sequence, 1, errors.UNHEALTHY.code, errors.UNHEALTHY.message))
    assert front.replies() == [refused(errors.UNHEALTHY)]


def test_wrong_peer_urls_never_reach_the_log(front: Front) -> None:
    for urls in ([], ["bogus"], ["tcp://a"], ["https://a:1"]):
        front.ask({"op": "member_add", "peerURLs": urls})
        assert front.replies() == [refused(errors.BAD_MEMBER_URLS)]
    assert not front.proposed()


def test_of_an_update_the_member_is_looked_at_before_the_urls(front: Front) -> None:
    for at, (member, error) in enumerate(((MEMBER, errors.BAD_MEMBER_URLS), (OTHER, errors.MEMBER_NOT_FOUND))):
        for nth, urls in enumerate(([], ["bogus"], ["tcp://a"], ["https://a:1"])):
            front.ask({"op": "member_update", "ID": member, "peerURLs": urls})
            front.answer(-1 - 4 * at - nth, Status(4, -1, 3, 100, 50, 0, 0, [], [ROW], []))
            assert front.replies() == [refused(error)]
    assert not front.proposed()


def test_member_list_tells_who_was_removed(front: Front) -> None:
    front.ask({"op": "member_list", "linearizable": False})
    front.answer(-1, Status(4, -1, 3, 100, 50, 0, 0, [], [ROW], [5]))
    (reply,) = front.replies()
    assert (reply["members"], reply["removed"]) == ([SHOWN], [5])


# -- handing over --------------------------------------------------------------------------------------------------
def ask_to_move(front: Front) -> MoveLeader:
    front.ask({"op": "move_leader", "targetID": OTHER})
    (message,) = front.take(MoveLeader)
    assert message.target == OTHER
    assert not front.replies()
    return message


def test_handing_over_is_answered_when_the_target_leads(front: Front) -> None:
    ask_to_move(front)
    front.turn(front.raft, structs.replace(FOLLOWING, leader=0))
    front.turn(front.raft, structs.replace(FOLLOWING, leader=77))
    assert not front.replies()
    front.turn(front.raft, FOLLOWING)
    (reply,) = front.replies()
    assert "error" not in reply
    front.turn(front.raft, LEADING)
    front.turn(front.raft, FOLLOWING)
    assert not front.replies(), "once"
    assert front.actor.stopped()


def test_handing_over_may_be_refused_or_take_too_long(front: Front) -> None:
    message = ask_to_move(front)
    error = errors.BAD_LEADER_TRANSFEREE
    front.turn(front.raft, Refused(message.first_sequence, 1, error.code, error.message))
    assert front.replies() == [refused(error)]
    ask_to_move(front)
    for _ in range(80):
        front.tick()
    assert front.replies() == [refused(errors.LEADER_TRANSFER_TIMEOUT)]
    front.turn(front.raft, FOLLOWING)
    assert not front.replies()
    assert front.actor.stopped()


def test_only_the_leader_hands_over(front: Front) -> None:
    front.ask({"op": "move_leader", "targetID": MEMBER})
    assert "error" not in front.replies()[0], "to itself: it leads already"
    front.turn(front.raft, FOLLOWING)
    front.ask({"op": "move_leader", "targetID": OTHER})
    assert error_of(front) == "etcdserver: not leader"
    front.turn(front.raft, structs.replace(FOLLOWING, leader=0))
    front.ask({"op": "move_leader", "targetID": OTHER})
    assert error_of(front) == "etcdserver: no leader"
    assert not front.take(MoveLeader)


def test_a_request_to_hand_over_stands_between_the_writes_of_its_turn(front: Front) -> None:
    """Its sequence is one of theirs, so a Propose must not run across it."""
    put = {"op": "put", "key": b"k"}
    front.ask({"op": "batch", "requests": [put, {"op": "move_leader", "targetID": OTHER}, put]})
    sent = [message for _, message in front.sent if isinstance(message, Propose | MoveLeader)]
    assert [(type(each), each.first_sequence, each.count) for each in sent] == [
        (Propose, 1, 1), (MoveLeader, 2, 1), (Propose, 3, 1),
    ]  # fmt: skip


# -- status, downgrade, learners -------------------------------------------------------------------------------------
def test_status_tells_commit_and_applied_and_what_is_wrong(front: Front) -> None:
    standing = Standing(3, 0, is_leader=False, is_learner=True, commit=20, applied=15, last_index=30)
    front.turn(front.raft, standing)
    front.ask({"op": "status"})
    front.answer(-1, Status(4, -1, 15, 100, 50, 0, 0, [(OTHER, 1)], [ROW]))
    (reply,) = front.replies()
    assert (reply["raftIndex"], reply["raftAppliedIndex"], reply["raftTerm"]) == (20, 15, 3)
    assert (reply["leader"], reply["isLearner"], reply["dbSize"], reply["dbSizeInUse"]) == (0, True, 100, 50)
    assert reply["errors"] == ["etcdserver: no leader", f"memberID:{OTHER} alarm:NOSPACE "]


def test_there_is_nothing_to_downgrade_to(front: Front) -> None:
    for request, error in (
        ({"version": "3.4"}, errors.BAD_DOWNGRADE_TARGET),
        ({"action": "ENABLE", "version": "3.4.0"}, errors.BAD_DOWNGRADE_TARGET),
        ({"action": 0, "version": "three"}, errors.BAD_DOWNGRADE_VERSION),
        ({"action": 2}, errors.NO_DOWNGRADE),
    ):
        front.ask({"op": "downgrade", **request})
        assert front.replies() == [refused(error)]


def test_a_learner_answers_for_nothing_but_what_it_has(front: Front) -> None:
    """etcd: only Status, Snapshot and serializable Range."""
    front.turn(front.raft, structs.replace(FOLLOWING, is_learner=True))
    for request in (
        {"op": "put", "key": b"k"},
        {"op": "range", "key": b"k"},
        {"op": "member_list", "linearizable": False},
        {"op": "lease_grant", "TTL": 5},
        {"op": "hash_kv"},
        {"op": "hash"},
        {"op": "defragment"},
        {"op": "user_list"},
        {"op": "alarm"},
        {"op": "watch_create", "key": b"k"},
        {"op": "lock", "name": b"n"},
    ):
        front.ask(request)
        assert error_of(front) == "etcdserver: rpc not supported for learner", request
    assert not front.proposed()
    front.ask({"op": "range", "key": b"k", "serializable": True})
    front.ask({"op": "status"})
    assert len(front.actor.calls.reads) == 2
    front.ask({"op": "snapshot"}, b"s")
    assert front.actor.exporting.count == 1
    front.turn(front.raft, FOLLOWING)
    front.ask({"op": "put", "key": b"k"})
    assert len(front.proposed()) == 1, "promoted"
