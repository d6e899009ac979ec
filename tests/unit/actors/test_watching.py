"""Streams, recipes and their bounds in an api process: what clients that come and go leave behind."""

import msgpack
import pytest

from tests.unit.actors.front import Front
from tests.unit.actors.pair import Pair
from zetcd.base import limits
from zetcd.base.settings import Settings
from zetcd.wire.local import Propose, ReadBatch, Space, Subscribe, Subscribed
from zetcd.wire.results import RangeDone


def watching() -> Front:
    """With a watch of its own, so that the feed is up."""
    front = Front()
    front.ask({"op": "watch_create", "key": b"a"}, b"own", client=b"own")
    (subscribe,) = front.take(Subscribe)
    front.turn(front.apply, Subscribed(1, 0, 1, -1), Subscribed(subscribe.serial, subscribe.level, 1, -1))
    assert front.replies()[0]["created"]
    return front


def come_and_go(front: Front, client: bytes) -> list[str]:
    """A watch, and its end; the errors of the two replies."""
    front.ask({"op": "watch_create", "key": b"a"}, b"s", client=client)
    front.ask({"op": "watch_cancel", "watch_id": 0}, b"s", client=client)
    return [reply["error"]["message"] for reply in front.replies() if "error" in reply]


def test_streams_without_watches_do_not_use_up_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is sent on them, so nobody hears that their clients are gone."""
    monkeypatch.setattr(limits, "WATCH_STREAMS_MAX", 3)
    front = watching()
    for number in range(10):
        front.tick()
        assert come_and_go(front, b"c%d" % number) == []
    front.ask({"op": "watch_progress"}, b"own", client=b"own")
    assert "error" not in front.replies()[0]


def test_streams_without_watches_are_forgotten_in_time() -> None:
    front = watching()
    for number in range(10):
        come_and_go(front, b"c%d" % number)
    for _ in range(limits.CLIENT_IDLE_PROBE_MS // 1_000 + 2):
        front.tick(1_000)
    front.out = []
    front.ask({"op": "watch_progress"}, b"s", client=b"c3")
    assert "no watch on this stream" in front.replies()[0]["error"]["message"]


def test_an_observer_that_is_gone_ends() -> None:
    front = Front()
    before = front.actor.watching.waiting
    front.ask({"op": "observe", "name": b"e"}, b"o")
    (batch,) = front.take(ReadBatch)
    for read in batch.reads:
        front.answer(read.sequence, RangeDone(5, [], more=False, count=0))
    assert front.actor.watching.waiting == before + 1
    for _ in range(limits.CLIENT_IDLE_PROBE_MS // 1_000 + 2):
        front.tick(1_000)
    (envelope, word), *_ = front.out
    assert list(msgpack.unpackb(word)) == ["header"]
    front.actor.clients.on_gone(envelope)
    assert front.actor.watching.waiting == before


def test_watch_cancel_ends_no_lock_that_waits_on_the_same_address() -> None:
    front = watching()
    front.ask({"op": "watch_create", "key": b"a", "watch_id": 7}, b"x")
    front.ask({"op": "lock", "name": b"n", "lease": 3}, b"x")
    front.out = []
    front.ask({"op": "watch_cancel", "watch_id": 7}, b"x")
    assert [(reply["watch_id"], reply["canceled"]) for reply in front.replies()] == [(7, True)]
    assert front.actor.watching.waiting == 1


@pytest.mark.parametrize("request_", [{"op": "lock", "name": b"n"}, {"op": "campaign", "name": b"n", "lease": 3}])
def test_cancel_gives_up_the_place_that_waits_at_its_address(request_: dict[str, object]) -> None:
    """The place of who had given up stayed until its lease ended, a minute later, and held up everybody behind it."""
    pair = Pair()
    pair.ask(msgpack.packb({"op": "lease_grant", "ID": 3, "TTL": 100}), b"c", b"1")
    for client, address in ((b"holder", b"1"), (b"waiter", b"1"), (b"waiter", b"2")):
        pair.settle()
        asked = {"op": "lock", "name": b"n"} if client == b"holder" or address == b"2" else request_
        pair.ask(msgpack.packb(asked), client, address)
    pair.settle()
    pair.front.out = []
    pair.ask(msgpack.packb({"op": "cancel"}), b"waiter", b"1")
    pair.settle()
    ((envelope, body),) = pair.front.out
    assert envelope == (b"waiter", b"1")
    assert msgpack.unpackb(body)["error"]["message"] == "etcdserver: request canceled"
    pair.front.out = []
    pair.ask(msgpack.packb({"op": "range", "key": b"n/", "range_end": b"n0", "count_only": True}), b"c", b"1")
    pair.settle()
    assert pair.front.replies()[-1]["count"] == 2
    assert pair.front.actor.watching.waiting == 1


def test_a_place_that_is_being_taken_when_it_is_given_up_is_given_up_too() -> None:
    pair = Pair()
    pair.ask(msgpack.packb({"op": "lease_grant", "ID": 3, "TTL": 100}), b"c", b"1")
    pair.settle()
    pair.ask(msgpack.packb({"op": "lock", "name": b"n", "lease": 3}), b"c", b"1")
    pair.ask(msgpack.packb({"op": "cancel"}), b"c", b"1")
    pair.settle()
    pair.front.replies()
    pair.ask(msgpack.packb({"op": "range", "key": b"n/3"}), b"c", b"1")
    pair.settle()
    reply = pair.front.replies()[-1]
    assert (reply["header"]["revision"], reply.get("count", 0)) == (3, 0), "taken, and deleted again"
    assert pair.front.actor.watching.waiting == 0


def test_proposals_of_recipes_are_cut_at_the_block_bound() -> None:
    """Together they could be more than a record of the log may have."""
    front = Front()
    for number in range(4):
        request = {"op": "campaign", "name": b"e", "lease": 5, "value": bytes(400_000)}
        front.actor.on_client((b"c", b"%d" % number), msgpack.packb(request))
    front.turn()
    assert all(len(proposal.data) <= limits.BLOCK_BYTES_MAX + 400_000 for proposal in front.take(Propose))


def test_recipes_are_held_to_the_bounds_of_a_put() -> None:
    front = Front(Settings(quota_backend_bytes=1_000_000, max_request_bytes=500))
    campaign = {"op": "campaign", "name": b"e", "lease": 5, "value": bytes(600)}
    front.ask({"op": "batch", "requests": [campaign]})
    (reply,) = front.replies()
    assert reply["responses"][0]["error"]["message"] == "etcdserver: request is too large"
    front.turn(front.apply, Space(1_000_000))
    for op in ("lock", "campaign"):
        front.ask({"op": op, "name": b"e", "lease": 5})
        assert front.replies()[0]["error"]["message"] == "etcdserver: mvcc: database space exceeded"


def test_a_lock_asked_for_again_on_another_connection_outlives_the_first_one() -> None:
    pair = Pair()

    def ask(request: dict[str, object], client: bytes) -> None:
        pair.ask(msgpack.packb(request), client, b"1")
        pair.settle()

    for lease in (3, 4):
        ask({"op": "lease_grant", "ID": lease, "TTL": 100}, b"holder")
    ask({"op": "lock", "name": b"n", "lease": 4}, b"holder")
    for client in (b"old", b"new"):
        ask({"op": "lock", "name": b"n", "lease": 3}, client)
    pair.front.replies()
    pair.front.actor.clients.on_gone((b"old", b"1"))
    pair.front.turn()
    pair.settle()
    ask({"op": "unlock", "key": b"n/4"}, b"holder")
    assert [reply["key"] for reply in pair.front.replies() if "key" in reply] == [b"n/3"]


def test_a_lock_without_a_lease_of_its_own_ends_with_its_connection() -> None:
    pair = Pair()
    for client in (b"holder", b"waiter"):
        pair.ask(msgpack.packb({"op": "lock", "name": b"n"}), client, b"1")
        pair.settle()
    pair.front.actor.clients.on_gone((b"waiter", b"1"))
    pair.front.turn()
    pair.settle()
    pair.front.replies()
    pair.ask(msgpack.packb({"op": "range", "key": b"n/", "range_end": b"n0", "count_only": True}), b"c", b"1")
    pair.settle()
    assert pair.front.replies()[-1]["count"] == 1
