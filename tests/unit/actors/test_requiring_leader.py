"""require_leader: requests that would rather be refused than wait, and streams that end without a leader in sight."""

from typing import Any

import pytest
from msgspec import structs

from tests.unit.actors.front import LEADING, Front
from zetcd.base import errors
from zetcd.base.settings import Settings
from zetcd.wire.local import Standing

ALONE: Standing = structs.replace(LEADING, leader=0, is_leader=False, sole=False)
REFUSED = {"error": {"code": 14, "status": "UNAVAILABLE", "message": "etcdserver: no leader"}}


@pytest.fixture
def front() -> Front:
    return Front(Settings(election_timeout_ms=1_000))


@pytest.mark.parametrize(
    "request_",
    [
        {"op": "put", "key": b"k"},
        {"op": "range", "key": b"k", "serializable": True},
        {"op": "lease_keep_alive", "ID": 5},
        {"op": "watch_create", "key": b"k"},
        {"op": "status"},
    ],
    ids=lambda each: str(each["op"]),
)
def test_refused_at_once_where_no_leader_is_known(front: Front, request_: dict[str, Any]) -> None:
    front.ask(request_ | {"require_leader": True})
    assert REFUSED not in front.replies()
    front.turn(front.raft, ALONE)
    front.ask(request_ | {"require_leader": True})
    assert front.replies() == [REFUSED]
    front.ask(request_)
    assert REFUSED not in front.replies(), "whoever does not ask for it waits, as before"


def test_each_request_of_a_batch_for_itself(front: Front) -> None:
    front.turn(front.raft, ALONE)
    front.ask({"op": "batch", "requests": [{"op": "put", "key": b"k", "require_leader": True}, {"op": "auth_disable"}]})
    (reply,) = front.replies()
    assert reply["responses"][0] == REFUSED
    assert list(reply["responses"][1]) == ["header"]


def test_streams_that_require_a_leader_end_after_three_election_timeouts(front: Front) -> None:
    front.ask({"op": "watch_create", "key": b"a", "require_leader": True}, b"one")
    front.ask({"op": "watch_create", "key": b"b"}, b"two")
    front.tick()
    front.turn(front.raft, ALONE)
    front.replies()
    for _ in range(29):
        front.tick()
    assert REFUSED not in front.replies()
    front.turn(front.raft, LEADING)
    front.tick()
    front.turn(front.raft, ALONE)
    for _ in range(29):
        front.tick()
    assert REFUSED not in front.replies(), "a leader in between begins the count anew"
    front.tick()
    assert front.replies() == [REFUSED]
    front.ask({"op": "watch_progress"}, b"one")
    told = front.replies()
    assert told[-1]["error"]["message"] == errors.NO_WATCH_STREAM.message
    front.ask({"op": "watch_progress"}, b"two")
    assert all("error" not in reply for reply in front.replies())


def test_observe_streams_that_require_a_leader_end_so_too(front: Front) -> None:
    front.ask({"op": "observe", "name": b"e", "require_leader": True}, b"one")
    front.ask({"op": "observe", "name": b"e"}, b"two")
    front.turn(front.raft, ALONE)
    front.tick()
    front.out.clear()
    for _ in range(28):
        front.tick()
    assert front.out == []
    front.tick()
    ((envelope, _),) = front.out
    assert envelope == (b"c1", b"one")
    assert front.replies() == [REFUSED]
    assert front.actor.watching.recipes.count == 1


def test_a_stream_that_ends_is_told_so_once(front: Front) -> None:
    front.ask({"op": "watch_create", "key": b"a", "require_leader": True}, b"one")
    front.tick()
    front.turn(front.raft, ALONE)
    front.replies()
    for _ in range(100):
        front.tick()
    assert front.replies().count(REFUSED) == 1


def test_a_lost_raft_is_no_leader(front: Front) -> None:
    front.actor.on_lost(front.raft)
    front.ask({"op": "put", "key": b"k", "require_leader": True})
    assert front.replies() == [REFUSED]
