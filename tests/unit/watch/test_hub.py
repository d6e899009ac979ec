"""The hub, reply by reply: ids, refusals, start revisions, progress, grouping, fragments, polls."""

from typing import Any

import msgspec
import pytest

from zetcd.base.errors import COMPACTED, WATCH_COMPACTED, WATCH_DUPLICATE_ID, WATCH_EMPTY_RANGE
from zetcd.base.limits import WATCH_FRAME_BYTES
from zetcd.watch.hub import STORE_BEHIND, Hub, Woken
from zetcd.watch.subscription import LINGER_MS
from zetcd.wire.client import WatchCancelRequest, WatchCreateRequest, WatchPollRequest
from zetcd.wire.codec import encode_events
from zetcd.wire.local import Event, Feed, Subscribe, Subscribed
from zetcd.wire.queries import History
from zetcd.wire.replies import KeyValue, WatchReply
from zetcd.wire.results import Histories, HistoryCompacted

FRAGMENT_BYTES = 1_000


def decode_row(key: bytes, row: bytes) -> KeyValue:
    return KeyValue(key, 1, int(row[:8]), 1, row[8:])


def put(revision: int, key: bytes, value: bytes = b"v", prev: bytes | None = None) -> Event:
    return Event(revision, 0, key, b"%08d" % revision + value, prev)


def delete(revision: int, key: bytes, prev: bytes | None = None) -> Event:
    return Event(revision, 0, key, None, prev)


class Rig:
    """A hub subscribed at revision 10, level 2, compacted at 5."""

    def __init__(self) -> None:
        self.hub = Hub(decode_row, progress_interval_ms=600_000, fragment_bytes=FRAGMENT_BYTES)
        self.hub.set_header(111, 222, 3)
        self.hub.ready()
        self.hub.create("keeper", WatchCreateRequest(b"\xff", prev_kv=True))
        subscribe = self.hub.take_subscribe()
        assert subscribe == Subscribe(1, 2)
        self.hub.on_subscribed(Subscribed(1, 2, 10, 5))
        self.hub.take()

    def create(self, stream: str, key: bytes, **options: Any) -> list[WatchReply]:
        self.hub.create(stream, WatchCreateRequest(key, **options))
        return self.replies(stream)

    def feed(self, *events: Event, previous: int | None = None) -> None:
        previous = self.hub.cursor if previous is None else previous
        self.hub.on_feed(Feed(previous, events[-1].revision, 5, gap=False, events=encode_events(list(events))))

    def replies(self, stream: str) -> list[WatchReply]:
        return [msgspec.msgpack.decode(data, type=WatchReply) for name, data in self.hub.take() if name == stream]

    def compacted(self, revision: int) -> None:
        """The store's answer to what the hub reads: that is gone."""
        token, _ = self.history()
        self.hub.on_history(token, HistoryCompacted(self.hub.cursor, revision))

    def history(self) -> tuple[int, History]:
        [(token, history)] = [read for read in self.hub.take_reads() if not read[1].prev_kv]  # not the keeper's
        return token, history


def test_created_carries_the_header_and_the_revision_of_now() -> None:
    [reply] = Rig().create("s", b"a")
    assert reply.created
    header = reply.header
    assert (header.cluster_id, header.member_id, header.revision, header.raft_term) == (111, 222, 10, 3)


def test_ids_count_up_and_skip_what_is_used() -> None:
    rig = Rig()
    assert [reply.watch_id for reply in rig.create("s", b"a", watch_id=1)] == [1]
    assert [rig.create("s", b"a")[0].watch_id for _ in range(3)] == [0, 2, 3]
    assert rig.create("t", b"a")[0].watch_id == 0


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"watch_id": 4}, WATCH_DUPLICATE_ID),
        ({"range_end": b"a"}, WATCH_EMPTY_RANGE),
        ({"start_revision": -1}, WATCH_COMPACTED),
    ],
)
def test_refusals_are_created_and_canceled_with_id_minus_1(options: dict[str, Any], reason: str) -> None:
    rig = Rig()
    rig.create("s", b"x", watch_id=4)
    [reply] = rig.create("s", b"a", **options)
    assert (reply.created, reply.canceled, reply.watch_id, reply.cancel_reason) == (True, True, -1, reason)


def test_an_empty_key_is_the_zero_byte() -> None:
    rig = Rig()
    rig.create("s", b"")
    rig.feed(put(11, b"a"))
    assert rig.replies("s") == []
    rig.feed(put(12, b"\0"))
    assert [event.kv.key for event in rig.replies("s")[0].events] == [b"\0"]


def test_a_compacted_start_is_created_then_canceled_without_a_revision() -> None:
    """With the compact revision of the store, which may be newer than the last one that came with the feed."""
    rig = Rig()
    [created] = rig.create("s", b"a", start_revision=4)
    assert created.created
    rig.compacted(8)
    [canceled] = rig.replies("s")
    assert (canceled.canceled, canceled.compact_revision, canceled.header.revision) == (True, 8, 0)


def test_the_compact_revision_itself_may_be_watched() -> None:
    rig = Rig()
    rig.create("s", b"a", start_revision=5)
    token, history = rig.history()
    assert history == History(5, 0, [(b"a", b"")])
    rig.hub.on_history(token, Histories(10, 10, encode_events([put(7, b"a"), put(9, b"a")])))
    [reply] = rig.replies("s")
    assert [event.kv.mod_revision for event in reply.events] == [7, 9]
    assert reply.header.revision == 10
    rig.feed(put(11, b"a"))
    assert [event.kv.mod_revision for event in rig.replies("s")[0].events] == [11]


def test_a_future_start_waits_silently() -> None:
    rig = Rig()
    rig.create("s", b"a", start_revision=13)
    rig.hub.progress("s")
    rig.feed(put(11, b"a"))
    rig.feed(put(12, b"a"))
    [progress] = rig.replies("s")  # from here on it misses nothing
    assert (progress.watch_id, progress.header.revision) == (-1, 12)
    rig.feed(put(13, b"a"))
    assert [event.kv.mod_revision for event in rig.replies("s")[0].events] == [13]


def test_watches_with_the_same_events_share_one_reply() -> None:
    rig = Rig()
    for _ in range(3):
        rig.create("s", b"a")
    rig.create("s", b"a", range_end=b"b")
    rig.create("s", b"a", filters=[0])
    rig.feed(put(11, b"a"))
    [reply] = rig.replies("s")
    assert (reply.watch_id, sorted(reply.watch_ids)) == (0, [0, 1, 2, 3])


def test_streams_with_equal_replies_share_the_bytes() -> None:
    rig = Rig()
    for stream in ("s", "t"):
        rig.create(stream, b"a")
    rig.feed(put(11, b"a"))
    (_, one), (_, other) = rig.hub.take()
    assert one is other


def test_filters_and_prev_kv() -> None:
    rig = Rig()
    rig.create("puts", b"a", filters=[1])
    rig.create("deletes", b"a", filters=[0], prev_kv=True)
    rig.feed(put(11, b"a"), delete(12, b"a", b"00000011v"))
    out = {str(name): msgspec.msgpack.decode(data, type=WatchReply) for name, data in rig.hub.take()}
    assert [(event.type, event.kv.mod_revision, event.prev_kv) for event in out["puts"].events] == [(0, 11, None)]
    assert [(event.type, event.kv) for event in out["deletes"].events] == [(1, KeyValue(b"a", mod_revision=12))]
    assert out["deletes"].events[0].prev_kv == KeyValue(b"a", 1, 11, 1, b"v")


def test_one_revision_is_split_only_with_fragment() -> None:
    rig = Rig()
    rig.create("whole", b"k", range_end=b"l")
    rig.create("parts", b"k", range_end=b"l", fragment=True)
    rig.feed(*(Event(11, sub, b"k%d" % sub, b"00000011" + b"x" * 300) for sub in range(7)))
    out: dict[str, list[WatchReply]] = {"whole": [], "parts": []}
    for name, data in rig.hub.take():
        out[str(name)].append(msgspec.msgpack.decode(data, type=WatchReply))
        assert name == "whole" or len(data) < FRAGMENT_BYTES + 200
    assert [len(reply.events) for reply in out["whole"]] == [7]
    assert [len(reply.events) for reply in out["parts"]] == [2, 2, 2, 1]
    assert [reply.fragment for reply in out["parts"]] == [True, True, True, False]


def test_long_replies_are_cut_between_revisions() -> None:
    rig = Rig()
    rig.create("s", b"k", range_end=b"l")
    value = b"x" * (WATCH_FRAME_BYTES // 3)
    rig.feed(*(put(revision, b"k", value) for revision in range(11, 21)))
    replies = rig.replies("s")
    assert [len(reply.events) for reply in replies] == [2, 2, 2, 2, 2]
    assert not any(reply.fragment for reply in replies)


def test_cancel_answers_once() -> None:
    rig = Rig()
    rig.create("s", b"a")
    rig.hub.cancel("s", WatchCancelRequest(0))
    [reply] = rig.replies("s")
    assert (reply.canceled, reply.watch_id, reply.header.revision) == (True, 0, 10)
    rig.hub.cancel("s", WatchCancelRequest(0))
    rig.hub.cancel("nobody", WatchCancelRequest(0))
    rig.feed(put(11, b"a"))
    assert rig.hub.take() == []


def test_a_watch_canceled_before_it_began_is_answered_in_its_turn() -> None:
    """Clients match creations by their order."""
    hub = Hub(decode_row, progress_interval_ms=1, fragment_bytes=1)
    hub.ready()
    hub.create("s", WatchCreateRequest(b"a"))
    hub.create("s", WatchCreateRequest(b"b"))
    hub.cancel("s", WatchCancelRequest(1))
    hub.create("s", WatchCreateRequest(b"c"))
    hub.create("gone", WatchCreateRequest(b"a"))
    hub.cancel("gone", WatchCancelRequest(0))
    hub.drop("gone")
    assert hub.take() == []
    subscribe = hub.take_subscribe()
    assert subscribe is not None
    hub.on_subscribed(Subscribed(1, subscribe.level, 42, 0))
    replies = [(name, msgspec.msgpack.decode(data, type=WatchReply)) for name, data in hub.take()]
    assert [(name, reply.watch_id, reply.created, reply.canceled) for name, reply in replies] == [
        ("s", 0, True, False), ("s", 1, True, False), ("s", 1, False, True), ("s", 2, True, False),
    ]  # fmt: skip


def test_rule_16_now_is_the_revision_of_the_subscription() -> None:
    """A first watch is created only when apply has said from which revision on the feed carries events."""
    hub = Hub(decode_row, progress_interval_ms=1, fragment_bytes=1)
    hub.ready()
    hub.create("s", WatchCreateRequest(b"a"))
    hub.create("s", WatchCreateRequest(b"b", range_end=b"a"))
    assert hub.take() == []
    subscribe = hub.take_subscribe()
    assert subscribe == Subscribe(1, 1)
    hub.on_subscribed(Subscribed(1, 1, 42, 0))
    replies = [msgspec.msgpack.decode(data, type=WatchReply) for _, data in hub.take()]
    assert [(reply.watch_id, reply.header.revision) for reply in replies] == [(0, 42), (-1, 42)]


def test_rule_16_a_lost_frame_is_noticed_by_the_next_and_read_from_history() -> None:
    rig = Rig()
    rig.create("s", b"a")
    rig.hub.progress("s")
    rig.replies("s")
    rig.hub.on_feed(Feed(12, 12, 5, gap=False, events=encode_events([])))  # the tick after two lost frames
    rig.hub.progress("s")
    assert rig.replies("s") == []
    token, history = rig.history()
    assert history.first == 11
    rig.hub.on_history(token, Histories(12, 12, encode_events([put(12, b"a")])))
    events, progress = rig.replies("s")
    assert [event.kv.mod_revision for event in events.events] == [12]
    assert (progress.watch_id, progress.header.revision) == (-1, 12)


def test_rule_16_a_compacted_gap_cancels_with_the_revision_to_read_from() -> None:
    rig = Rig()
    rig.create("s", b"a")
    rig.hub.on_feed(Feed(10, 30, 20, gap=True, events=encode_events([])))
    token, _ = rig.history()
    rig.hub.on_history(token, HistoryCompacted(30, 20))
    [reply] = rig.replies("s")
    assert (reply.canceled, reply.compact_revision) == (True, 20)


def test_rule_16_a_store_behind_the_cursor_cancels_all() -> None:
    rig = Rig()
    rig.create("s", b"a")
    rig.create("s", b"b", start_revision=99)
    rig.hub.lost()
    assert rig.hub.take_subscribe() is None
    rig.hub.ready()
    subscribe = rig.hub.take_subscribe()
    assert subscribe is not None
    rig.hub.on_subscribed(Subscribed(subscribe.serial, 2, 9, 5))
    assert [(r.watch_id, r.canceled, r.cancel_reason) for r in rig.replies("s")] == [
        (0, True, STORE_BEHIND.message),
        (1, True, STORE_BEHIND.message),
    ]


def test_after_a_restart_without_writes_nobody_reads_history() -> None:
    rig = Rig()
    rig.create("s", b"a")
    rig.hub.lost()
    rig.hub.ready()
    subscribe = rig.hub.take_subscribe()
    assert subscribe is not None
    rig.hub.on_subscribed(Subscribed(subscribe.serial, 2, 10, 5))
    assert rig.hub.take_reads() == []
    rig.feed(put(11, b"a"))
    assert len(rig.replies("s")) == 1


def test_a_paused_stream_gets_nothing_and_keeps_a_number() -> None:
    rig = Rig()
    rig.create("s", b"a")
    rig.hub.pause("s")
    for revision in range(11, 60):
        rig.feed(put(revision, b"a"))
    assert rig.hub.take() == []
    assert rig.hub.take_reads() == []
    rig.hub.resume("s")
    assert rig.history()[1].first == 11


def test_history_reads_are_shared_and_bounded() -> None:
    rig = Rig()
    for number in range(2_000):
        rig.create("s", b"%04d" % number)
        rig.create("t", b"%04d" % number)
    rig.hub.on_feed(Feed(10, 30, 5, gap=True, events=encode_events([])))
    reads = rig.hub.take_reads()
    assert [len(history.ranges) for _, history in reads] == [1, 512, 512, 512]  # the first is the keeper's
    assert rig.hub.take_reads() == []


def test_periodic_progress_only_where_nothing_came() -> None:
    rig = Rig()
    rig.create("s", b"a", progress_notify=True)
    rig.create("s", b"b", progress_notify=True)
    rig.create("s", b"c")
    rig.hub.on_tick(0)
    rig.feed(put(11, b"a"))
    rig.replies("s")
    rig.hub.on_tick(600_000)
    assert [(reply.watch_id, reply.header.revision) for reply in rig.replies("s")] == [(1, 11)]
    rig.hub.on_tick(1_200_000)
    assert sorted(reply.watch_id for reply in rig.replies("s")) == [0, 1]


def test_progress_without_watches_is_silent() -> None:
    rig = Rig()
    rig.hub.progress("s")
    assert rig.hub.take() == []


def test_the_level_falls_only_after_a_while() -> None:
    rig = Rig()
    rig.hub.drop("keeper")
    assert rig.hub.wanted_level == 0
    rig.hub.on_tick(0)
    rig.hub.on_tick(LINGER_MS - 1)
    assert rig.hub.take_subscribe() is None
    rig.hub.on_tick(LINGER_MS)
    assert rig.hub.take_subscribe() == Subscribe(2, 0)
    rig.hub.create("s", WatchCreateRequest(b"a"))  # the lower level is on its way: this one waits for its own
    assert rig.hub.take() == []
    assert rig.hub.take_subscribe() == Subscribe(3, 1)


def test_a_poll_is_answered_by_the_first_events_with_the_place_to_go_on() -> None:
    rig = Rig()
    rig.hub.poll("p", WatchPollRequest(b"a"), 1_000)
    rig.feed(put(11, b"b"))
    assert rig.hub.take() == []
    rig.feed(put(12, b"a"))
    [(token, data)] = rig.hub.take()
    reply = msgspec.msgpack.decode(data)
    assert (token, reply["next_revision"], len(reply["events"])) == ("p", 13, 1)
    rig.feed(put(13, b"a"))
    assert rig.hub.take() == []


def test_a_poll_runs_out_with_the_place_to_go_on() -> None:
    rig = Rig()
    rig.hub.poll("p", WatchPollRequest(b"a"), 1_000)
    rig.feed(put(11, b"b"))
    rig.hub.on_tick(1_000)
    [(_, data)] = rig.hub.take()
    reply = msgspec.msgpack.decode(data)
    assert (reply["next_revision"], reply["events"]) == (12, [])


def test_a_compacted_poll_says_from_where_to_read() -> None:
    rig = Rig()
    rig.hub.poll("p", WatchPollRequest(b"a", start_revision=2), 1_000)
    rig.compacted(5)
    [(_, data)] = rig.hub.take()
    reply = msgspec.msgpack.decode(data)
    assert (reply["error"]["message"], reply["compact_revision"]) == (COMPACTED.message, 5)


def test_a_wait_wakes_once() -> None:
    rig = Rig()
    rig.hub.wait("w", b"a", b"", 11, deletes_only=True)
    rig.hub.wait("v", b"a", b"", 3, deletes_only=True)
    rig.compacted(5)
    assert rig.hub.take_woken() == [("v", Woken([], 0, 5))]
    rig.feed(put(11, b"a"))
    assert rig.hub.take_woken() == []
    rig.feed(delete(12, b"a"))
    assert rig.hub.take_woken() == [("w", Woken([delete(12, b"a")], 13))]
    rig.hub.unwait("w")
