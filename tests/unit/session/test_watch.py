"""Watches across streams, connections and restarts, without sockets or clocks."""

from typing import Any

import msgpack

from tests.unit.session.wires import Wire, refusal
from zetcd.base import errors as etcd
from zetcd.session.errors import Error
from zetcd.session.lane import PROBE_ID, Lane
from zetcd.session.options import Options
from zetcd.session.watch import PAUSED, Watch, Watches
from zetcd.wire.client import WatchCreateRequest
from zetcd.wire.replies import WatchReply


class Taker:
    """Takes what one watch brings."""

    def __init__(self, request: WatchCreateRequest) -> None:
        self.replies: list[WatchReply] = []
        self.created: list[int] = []
        self.over: list[Error | None] = []
        self.watch = Watch(request, self.replies.append, self.over.append, self.created.append)

    @property
    def revisions(self) -> list[int]:
        return [event.kv.mod_revision for reply in self.replies for event in reply.events]


class World:
    """The watches of one client, and the time."""

    def __init__(self) -> None:
        self.now = 100.0
        self.wires: list[Wire] = []
        self.stream = b""
        self.watches = Watches(Options.of(["one:1", "two:2"], 5, 2, 1, 1), self.dial)

    def dial(self, lane: Lane) -> Wire:
        self.wires.append(Wire(lane))
        return self.wires[-1]

    def open(self, start_revision: int = 0, **fields: Any) -> Taker:
        taker = Taker(WatchCreateRequest(b"k", start_revision=start_revision, **fields))
        self.watches.open(taker.watch, self.now)
        return taker

    def raw(self, stream: bytes, reply: dict[str, Any]) -> None:
        self.watches.on_frames(self.wires[-1].lane, [stream, msgpack.packb(reply)], self.now)

    def connect(self) -> list[dict[str, Any]]:
        """Answer the newest wire's probe; the creations it then got."""
        self.raw(PROBE_ID, refusal(*etcd.NO_WATCH_STREAM))
        return self.asked()

    def asked(self) -> list[dict[str, Any]]:
        sent, self.wires[-1].sent = self.wires[-1].sent, []
        self.stream = sent[-1][0] if sent else self.stream
        return [request for _, request in sent]

    def say(self, watch_id: int = 1, revision: int = 10, **reply: Any) -> None:
        self.raw(self.stream, {"header": {"revision": revision}, "watch_id": watch_id, **reply})

    def events(self, *revisions: int, watch_id: int = 1, **reply: Any) -> None:
        events = [{"kv": {"key": b"k", "mod_revision": revision}} for revision in revisions]
        self.say(watch_id, max(revisions), events=events, **reply)

    def pass_time(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.05)):
            self.now += 0.05
            self.watches.tick(self.now)

    def lose(self) -> None:
        self.watches.on_lost(self.wires[-1].lane, self.now, "disconnected")


def test_from_now_is_fixed_by_the_created_reply() -> None:
    world = World()
    taker = world.open()
    assert world.connect() == [{"op": "watch_create", "key": b"k", "watch_id": 1}]
    world.say(created=True, revision=10)
    assert taker.created == [10]
    world.lose()
    assert world.connect() == [{"op": "watch_create", "key": b"k", "watch_id": 1, "start_revision": 11}]


def test_resumes_behind_the_last_event_and_drops_what_comes_twice() -> None:
    world = World()
    taker = world.open(start_revision=3)
    world.connect()
    world.say(created=True, revision=10)
    world.events(4, 5, 5)
    world.lose()
    assert world.connect()[0]["start_revision"] == 6
    world.say(created=True, revision=12)
    world.events(5, 6, 7)
    world.events(7)
    world.events(8)
    assert taker.revisions == [4, 5, 5, 6, 7, 8]


def test_frames_of_an_older_stream_are_ignored() -> None:
    world = World()
    taker = world.open()
    world.connect()
    world.say(created=True)
    old = world.stream
    world.raw(old, refusal(*etcd.NO_WATCH_STREAM))
    assert world.asked()[0]["start_revision"] == 11, "the server lost the stream: created again on another"
    assert world.stream != old
    world.raw(old, {"header": {"revision": 20}, "watch_id": 1, "events": [{"kv": {"key": b"k", "mod_revision": 20}}]})
    assert taker.revisions == []


def test_one_reply_for_many_watches() -> None:
    world = World()
    takers = [world.open() for _ in range(3)]
    world.connect()
    for number in (1, 2, 3):
        world.say(number, created=True)
    world.events(11, watch_id=0, watch_ids=[1, 3])
    assert [taker.revisions for taker in takers] == [[11], [], [11]]


def test_fragments_are_joined_and_a_broken_off_one_is_fetched_again() -> None:
    world = World()
    taker = world.open(start_revision=5)
    world.connect()
    world.say(created=True)
    world.events(5, fragment=True)
    world.events(5, fragment=True)
    assert taker.replies == []
    world.lose()
    assert world.connect()[0]["start_revision"] == 5
    world.say(created=True)
    world.events(5, 5, fragment=True)
    world.events(5)
    assert len(taker.replies) == 1
    assert taker.revisions == [5, 5, 5]


def test_progress_moves_the_place_forward_and_reaches_who_wants_it() -> None:
    world = World()
    quiet, wants = world.open(), world.open(progress_notify=True)
    world.connect()
    for number in (1, 2):
        world.say(number, created=True)
    world.say(2, revision=40)
    assert [len(quiet.replies), len(wants.replies)] == [0, 1]
    world.say(-1, revision=50)
    assert [len(quiet.replies), len(wants.replies)] == [0, 1], "an answer to our own heartbeat is nobody's"
    world.watches.request_progress(quiet.watch)
    assert world.asked() == [{"op": "watch_progress"}]
    world.say(-1, revision=60)
    assert [len(quiet.replies), len(wants.replies)] == [1, 1]
    world.lose()
    assert [request["start_revision"] for request in world.connect()] == [61, 61]


def test_compacted_ends_the_watch_with_the_revision() -> None:
    world = World()
    taker = world.open(start_revision=3)
    world.connect()
    world.say(created=True)
    world.say(canceled=True, compact_revision=9, cancel_reason=etcd.COMPACTED.message)
    (error,) = taker.over
    assert error is not None
    assert (error.code, error.compact_revision) == (etcd.OUT_OF_RANGE, 9)
    world.lose()
    assert len(world.wires) == 1, "nothing is left to watch"


def test_a_refused_creation_ends_the_oldest_unanswered_one() -> None:
    world = World()
    first, second = world.open(), world.open()
    world.connect()
    world.say(1, created=True)
    world.say(-1, created=True, canceled=True, cancel_reason=etcd.WATCH_EMPTY_RANGE)
    assert first.over == []
    assert second.over[0] is not None
    assert second.over[0].message == etcd.WATCH_EMPTY_RANGE
    third = world.open()
    world.asked()
    world.raw(world.stream, refusal(*etcd.TOO_MANY_REQUESTS))
    assert third.over[0] is not None
    assert third.over[0].code == etcd.RESOURCE_EXHAUSTED


def test_closing_cancels_at_the_server_and_delivers_nothing_more() -> None:
    world = World()
    taker = world.open()
    world.connect()
    world.say(created=True)
    world.watches.close(taker.watch)
    assert world.asked() == [{"op": "watch_cancel", "watch_id": 1}]
    world.events(11)
    assert taker.replies == []
    assert taker.over == [None]
    world.watches.close(taker.watch)
    assert taker.over == [None]
    world.pass_time(0.1)
    assert world.wires[-1].closed, "a client without watches has no watch connection"


def test_a_taker_that_lags_is_paused_and_resumed_where_it_was() -> None:
    world = World()
    taker = world.open()
    world.connect()
    world.say(created=True, revision=10)
    world.events(11)
    world.watches.pause(taker.watch)
    assert world.asked() == [{"op": "watch_cancel", "watch_id": 1}]
    world.events(12)
    assert taker.watch.state == PAUSED
    world.watches.resume(taker.watch, world.now)
    assert world.asked() == [{"op": "watch_create", "key": b"k", "watch_id": 2, "start_revision": 12}]
    world.say(2, created=True, revision=13)
    world.events(12, watch_id=2)
    assert taker.revisions == [11, 12]


def test_a_silent_stream_is_asked_and_a_dead_one_left() -> None:
    world = World()
    world.open()
    world.connect()
    world.say(created=True)
    world.pass_time(5.2)
    assert world.asked() == [{"op": "watch_progress"}]
    assert world.wires[0].probes == 2
    world.raw(PROBE_ID, refusal(*etcd.NO_WATCH_STREAM))
    world.pass_time(4)
    assert len(world.wires) == 1, "alive; its progress may take as long as the watch needs to catch up"
    world.pass_time(4)
    assert len(world.wires) == 2, "dead"
    assert world.wires[1].lane.endpoint == "tcp://two:2"
    assert world.connect()[0]["start_revision"] == 11


def test_events_without_gap_through_many_losses() -> None:
    """Every loss in every position of a stream of events: each event exactly once, in order."""
    for lost_after in range(6):
        world = World()
        taker = world.open(start_revision=2)
        server = list(range(2, 40))
        for _ in range(4):
            start = world.connect()[0]["start_revision"]
            world.say(created=True, revision=20)
            rest = [revision for revision in server if revision >= start]
            for revision in rest[:lost_after]:
                world.events(revision)
            world.lose()
        world.connect()
        world.say(created=True, revision=20)
        world.events(*[revision for revision in server if revision >= taker.watch.next_revision])
        assert taker.revisions == server


def test_a_stream_without_a_leader_takes_the_watches_that_require_one_and_no_other() -> None:
    world = World()
    strict, patient = world.open(5, require_leader=True), world.open(7)
    first, second = world.connect()
    assert (first["require_leader"], "require_leader" in second) == (True, False)
    world.say(1, created=True)
    world.say(2, created=True)
    world.raw(world.stream, refusal(*etcd.NO_LEADER))
    (error,) = strict.over
    assert error is not None
    assert (error.code, error.message) == etcd.NO_LEADER
    assert patient.over == []
    assert [request["start_revision"] for request in world.asked()] == [7], "created again, on another stream"
