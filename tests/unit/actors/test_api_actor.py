"""api as an actor: ids, doubt, holding, admission, and what a frame that is no request does to it."""

import msgpack
import pytest

from tests.unit.actors.front import LEADING, ORIGIN, Front
from zetcd.actors.actor import Peer
from zetcd.base import limits
from zetcd.base.settings import Settings
from zetcd.wire.entry import Alarm, Put, Range, Txn
from zetcd.wire.local import (
    FeedCredit,
    IndexWanted,
    LeaseAnswer,
    Propose,
    ReadBatch,
    ReadIndex,
    Ready,
    Refused,
    Replies,
    Space,
    Standing,
)
from zetcd.wire.results import Alarmed, Named, PutDone, RangeDone, TxnDone, answer_bytes

PUT = {"op": "put", "key": b"k", "value": b"v"}
GET = {"op": "range", "key": b"k"}


@pytest.fixture
def front() -> Front:
    return Front()


def message_of(reply: dict[str, dict[str, str]]) -> str:
    return reply["error"]["message"]


@pytest.mark.parametrize(("own", "other", "linearizable"), [(True, True, False), (True, False, True)])
def test_a_transaction_of_ranges_is_a_read(front: Front, own: bool, other: bool, linearizable: bool) -> None:
    get = {"key": b"k"}
    success, failure = ([{"request_range": get | {"serializable": each}}] for each in (own, other))
    front.ask({"op": "txn", "compare": [], "success": success, "failure": failure})
    assert not [message for _, message in front.sent if isinstance(message, Propose)]
    (batch,) = front.take(ReadBatch)
    (read,) = batch.reads
    assert (batch.linearizable, read.query) == (linearizable, Txn([], [Range(b"k")], [Range(b"k")]))
    front.answer(read.sequence, TxnDone(5, True, [RangeDone(5, [], more=False, count=0)]))
    (reply,) = front.replies()
    assert reply["header"]["revision"] == 5
    assert list(reply["responses"][0]) == ["response_range"]


@pytest.mark.parametrize(
    "op", [{"request_delete_range": {"key": b"d"}}, {"request_txn": {}}], ids=lambda op: next(iter(op))
)
def test_any_other_transaction_goes_through_the_log(front: Front, op: dict[str, object]) -> None:
    front.ask({"op": "txn", "success": [{"request_range": {"key": b"k"}}], "failure": [op]})
    assert not [message for _, message in front.sent if isinstance(message, ReadBatch)]
    assert len(front.proposed()) == 1


# -- rule 8 --------------------------------------------------------------------------------------------------------
def test_rule_08_every_write_has_an_id_of_its_own_through_every_restart(front: Front) -> None:
    ids = []
    for life in range(3):
        for _ in range(5):
            front.ask(PUT)
        ids += [(entry.origin, entry.sequence) for entry in front.proposed()]
        front.actor.on_lost(front.raft)
        front.raft = Peer("raft", 0, 100 + life)
        front.actor.on_peer(front.raft)
        front.turn(front.raft, LEADING)
        assert not front.proposed(), "nobody retries a write"
    assert len(ids) == len(set(ids)) == 15
    assert {origin for origin, _ in ids} == {ORIGIN}
    assert Front().actor.calls.origin == ORIGIN, "the incarnation is the caller's: 62 random bits a life"


def test_rule_08_a_refused_write_was_never_appended_and_gets_a_definite_error(front: Front) -> None:
    front.ask(PUT)
    (entry,) = front.proposed()
    front.turn(front.raft, Refused(entry.sequence, 1, 8, "etcdserver: too many requests"))
    assert front.replies() == [
        {"error": {"code": 8, "status": "RESOURCE_EXHAUSTED", "message": "etcdserver: too many requests"}}
    ]
    front.answer(entry.sequence, PutDone(2))
    assert not front.replies(), "one request, one reply"


def test_rule_08_a_sent_write_is_in_doubt_when_raft_dies_and_says_so_once_the_log_is_replayed(front: Front) -> None:
    front.ask(PUT, b"1")
    front.ask(PUT, b"2")
    first, _ = front.proposed()
    front.actor.on_lost(front.raft)
    front.actor.on_lost(front.apply)
    front.turn()
    assert not front.replies()
    front.link()
    front.turn(front.raft, LEADING)
    front.answer(first.sequence, PutDone(2))  # replayed from the log
    assert [set(reply) for reply in front.replies()] == [{"header"}]
    front.turn(front.apply, Ready(2, -1))
    assert [message_of(reply) for reply in front.replies()] == [
        "etcdserver: request timed out, possibly due to previous leader failure"
    ]


def test_rule_08_an_overdue_write_is_in_doubt(front: Front) -> None:
    front.tick()
    front.ask(PUT)
    front.tick(7_000)
    front.tick(7_000)
    assert [message_of(reply) for reply in front.replies()] == ["etcdserver: request timed out"]


def test_what_was_never_sent_waits_for_a_leader_and_is_sent_then(front: Front) -> None:
    front.actor.on_lost(front.raft)
    front.ask(PUT)
    front.actor.on_peer(front.raft)
    front.turn(front.raft, Standing(2, 0, is_leader=False, is_learner=False, commit=0, applied=0, last_index=0))
    front.ask(PUT)
    assert not front.take(Propose), "raft would refuse it: there is no leader yet"
    front.turn(front.raft, LEADING)
    assert [entry.sequence for entry in front.proposed()] == [1, 2]
    assert not front.replies()


def test_overdue_writes_that_were_never_sent_are_forgotten(front: Front) -> None:
    front.actor.on_lost(front.raft)
    front.tick()
    for _ in range(3):
        front.ask({"op": "put", "key": b"k", "value": bytes(limits.BLOCK_BYTES_MAX)})
    front.tick(7_100)
    front.ask(PUT)
    front.tick(7_000)
    front.replies()
    front.actor.on_peer(front.raft)
    front.turn(front.raft, LEADING)
    assert [entry.command for entry in front.proposed()] == [Put(b"k", b"v")]


# -- reads ---------------------------------------------------------------------------------------------------------
def test_rule_09_only_while_raft_says_sole_may_a_linearizable_read_go_without_an_index(front: Front) -> None:
    front.ask(GET)
    (batch,) = front.take(ReadBatch)
    assert (batch.linearizable, batch.asked) == (True, False)
    front.turn(front.raft, Standing(2, 9, is_leader=True, is_learner=False, commit=0, applied=0, last_index=0))
    front.ask(GET)
    sent = front.sent
    (batch,) = front.take(ReadBatch)
    front.sent = sent
    assert batch.asked
    assert front.take(ReadIndex) == [ReadIndex(batch.context)]


def test_an_index_that_apply_wants_is_asked_for_as_soon_as_there_is_a_raft_to_ask(front: Front) -> None:
    front.actor.on_lost(front.raft)
    front.turn(front.apply, IndexWanted(7))
    assert not front.take(ReadIndex)
    front.actor.on_peer(front.raft)
    front.turn(front.raft, LEADING)
    assert front.take(ReadIndex) == [ReadIndex(7)]
    front.turn()
    assert not front.take(ReadIndex)


def test_unanswered_reads_are_asked_again_of_a_new_apply_under_another_context(front: Front) -> None:
    front.ask(GET)
    (first,) = front.take(ReadBatch)
    front.actor.on_lost(front.apply)
    front.actor.on_peer(front.apply)
    front.turn()
    (again,) = front.take(ReadBatch)
    assert again.reads == first.reads
    assert again.context > first.context


def test_rule_17_large_answers_return_credit_even_if_nobody_waits_for_them(front: Front) -> None:
    large = RangeDone(1, [(b"k", bytes(300_000))], False, 1)
    front.answer(-99, large)
    assert front.take(FeedCredit) == [FeedCredit(0, 300_001)]
    names = Named(1, ["u" * 100] * 3_000)
    front.answer(-99, names)
    assert front.take(FeedCredit) == [FeedCredit(0, answer_bytes(names))]
    front.actor.on_batch(front.apply, [Replies([(-99, large)])])
    front.actor.on_lost(front.apply)
    front.actor.on_peer(front.apply)
    front.turn()
    assert not front.take(FeedCredit), "a new apply has lent nothing"


# -- admission -----------------------------------------------------------------------------------------------------
def test_requests_over_the_bound_are_refused_in_words_and_room_comes_back(
    front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "INFLIGHT_REQUESTS_MAX", 3)
    front.ask({"op": "batch", "requests": [PUT, GET]}, b"1")
    front.ask(PUT, b"2")
    assert not front.replies()
    front.ask(PUT, b"3")
    front.ask({"op": "watch_poll", "key": b"k"}, b"4")
    assert [message_of(reply) for reply in front.replies()] == ["etcdserver: too many requests"] * 2
    assert front.actor.counters["too_many_requests"] == 2
    front.answer(1, PutDone(2))
    front.answer(-1, RangeDone(2, [], False, 0))
    assert [set(reply) for reply in front.replies()] == [{"responses"}]
    front.ask(PUT, b"5")
    assert not front.replies()


def test_bytes_over_the_bound_too(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "INFLIGHT_BYTES_MAX", 5_000)
    for number in range(6):
        front.ask({"op": "put", "key": b"k", "value": bytes(900)}, b"%d" % number)
    assert len(front.replies()) == 1
    for sequence in range(1, 6):
        front.answer(sequence, PutDone(2))
    assert front.actor._inflight_bytes == 0
    front.ask({"op": "watch_create", "key": b"k"}, b"w")
    front.ask({"op": "watch_poll", "key": b"k", "wait_ms": 0}, b"p")
    front.tick()
    front.tick()
    assert front.actor._inflight_bytes == 0, "streams and answered polls hold nothing"


def test_writes_are_refused_while_apply_lags(front: Front) -> None:
    behind = Standing(2, 9, is_leader=True, is_learner=False, commit=9_000, applied=1, last_index=9_000)
    front.turn(front.raft, behind)
    front.ask(PUT)
    assert [message_of(reply) for reply in front.replies()] == ["etcdserver: too many requests"]
    front.ask(GET)
    assert not front.replies()


def test_rule_18_over_the_quota_the_alarm_goes_through_the_log() -> None:
    front = Front(Settings(quota_backend_bytes=1_000))
    front.turn(front.apply, Space(990))
    front.ask(PUT)
    assert [message_of(reply) for reply in front.replies()] == ["etcdserver: mvcc: database space exceeded"]
    (entry,) = front.proposed()
    assert entry.command == Alarm(1, 9, 1)
    front.ask(PUT)
    assert not front.proposed(), "one alarm is enough"
    front.answer(entry.sequence, Alarmed(2, [(9, 1)]))
    front.ask({"op": "delete_range", "key": b"k"})
    assert len(front.proposed()) == 1, "deleting makes room"
    front.tick(limits.ALARM_AGAIN_MS)
    front.ask(PUT)
    assert [entry.command for entry in front.proposed()] == [Alarm(1, 9, 1)], "somebody may have disarmed it meanwhile"


def test_rule_18_an_alarm_that_was_refused_is_raised_by_the_next_put() -> None:
    front = Front(Settings(quota_backend_bytes=100))
    front.turn(front.apply, Space(1000))
    front.ask({"op": "put", "key": b"a", "value": b"b"})
    (entry,) = front.proposed()
    front.turn(front.raft, Refused(entry.sequence, 1, 14, "etcdserver: unhealthy cluster"))
    front.ask({"op": "put", "key": b"a", "value": b"b"})
    assert [entry.command for entry in front.proposed()] == [Alarm(1, 9, 1)]


def test_rule_21_a_stopping_process_refuses_what_is_new_and_answers_what_is_old(front: Front) -> None:
    front.ask(PUT, b"1")
    front.actor.on_stop()
    assert not front.actor.stopped()
    front.ask(PUT, b"2")
    assert [message_of(reply) for reply in front.replies()] == ["etcdserver: server stopped"]
    front.answer(1, PutDone(2))
    assert [set(reply) for reply in front.replies()] == [{"header"}]
    front.tick(limits.DRAIN_LINGER_MS)
    assert front.actor.stopped()


def test_rule_21_an_idle_process_that_stops_tells_whoever_asks_for_a_while(front: Front) -> None:
    """A request that reaches a socket just before it closes would be in doubt."""
    front.tick()
    front.actor.on_stop()
    front.tick(limits.DRAIN_LINGER_MS - 1)
    assert not front.actor.stopped()
    front.ask(PUT, b"1")
    assert [message_of(reply) for reply in front.replies()] == ["etcdserver: server stopped"]
    front.tick(1)
    assert front.actor.stopped()


def test_lease_calls_are_asked_again_of_a_new_lease(front: Front) -> None:
    front.ask({"op": "lease_keep_alive", "ID": 7})
    first = front.sent[:]
    front.actor.on_lost(front.lease)
    front.sent = []
    front.actor.on_peer(front.lease)
    front.turn()
    assert front.sent == first
    front.turn(front.lease, LeaseAnswer(-1, 7, 30))
    (reply,) = front.replies()
    assert (reply["ID"], reply["TTL"]) == (7, 30)


# -- frames that are no requests -----------------------------------------------------------------------------------
def test_addresses_over_their_bounds_are_dropped_and_counted(front: Front) -> None:
    body = msgpack.packb(PUT)
    front.actor.on_client((b"c1", *[b"x"] * 16), body)
    front.actor.on_client((b"c1", b"x" * 1024), body)
    front.turn()
    assert not front.replies()
    assert not front.take(Propose)
    assert front.actor.counters["malformed"] == 2


@pytest.mark.parametrize(
    "body", [b"", b"\xc1", b"\x81", b"\xdf\xff\xff\xff\xff", b"\x91" * 100_000, msgpack.packb([PUT])]
)
def test_bodies_that_are_no_requests_are_answered_and_counted(front: Front, body: bytes) -> None:
    front.actor.on_client((b"c1", b"1"), body)
    front.turn()
    (reply,) = front.replies()
    assert (reply["error"]["code"], reply["error"]["status"]) == (3, "INVALID_ARGUMENT")
    assert front.actor.counters["undecodable"] == 1
