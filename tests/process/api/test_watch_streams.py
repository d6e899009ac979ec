"""Watch streams on a DEALER, and long polls on REQ."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from tests.process.api.dealer import Dealer, Frames, etcds
from tests.process.member import Member

_names = itertools.count()


@pytest.fixture
def key() -> bytes:
    """A prefix that no other test uses."""
    return b"watch%d/" % next(_names)


class Stream:
    """One watch stream: a dealer and an address."""

    def __init__(self, dealer: Dealer, name: bytes) -> None:
        self.dealer = dealer
        self.address: Frames = (b"stream", name)

    def send(self, op: str, **fields: Any) -> None:
        self.dealer.send({"op": op, **fields}, *self.address)

    def next(self) -> dict[str, Any]:
        return self.dealer.reply(self.address)

    def create(self, **fields: Any) -> dict[str, Any]:
        self.send("watch_create", **fields)
        return self.next()

    def events(self, count: int) -> Iterator[tuple[int, str, bytes, bytes]]:
        """count events as (revision, PUT or DELETE, key, value); other replies are a mistake."""
        got: list[tuple[int, str, bytes, bytes]] = []
        while len(got) < count:
            reply = self.next()
            assert reply.get("events"), reply
            got += [plain(event) for event in reply["events"]]
        assert len(got) == count
        return iter(got)


def plain(event: dict[str, Any]) -> tuple[int, str, bytes, bytes]:
    kv = event["kv"]
    return kv["mod_revision"], "DELETE" if event.get("type") == 1 else "PUT", kv["key"], kv.get("value", b"")


@pytest.fixture
def stream(dealer: Dealer, key: bytes) -> Stream:
    return Stream(dealer, key)


def put(dealer: Dealer, key: bytes, value: bytes = b"v", **fields: Any) -> int:
    revision: int = dealer.call({"op": "put", "key": key, "value": value, **fields})["header"]["revision"]
    return revision


def test_created_then_exactly_what_is_later_than_its_revision(dealer: Dealer, stream: Stream, key: bytes) -> None:
    put(dealer, key + b"a", b"before")
    created = stream.create(key=key, range_end=key[:-1] + b"0")
    assert created["created"] is True
    assert "watch_id" not in created, "id 0 is the default"
    first = put(dealer, key + b"a", b"1")
    assert first == created["header"]["revision"] + 1
    dealer.call({"op": "delete_range", "key": key + b"a"})
    put(dealer, b"elsewhere" + key)
    last = put(dealer, key + b"b", b"2")
    assert list(stream.events(3)) == [
        (first, "PUT", key + b"a", b"1"),
        (first + 1, "DELETE", key + b"a", b""),
        (last, "PUT", key + b"b", b"2"),
    ]


def test_from_the_past_and_from_the_future(dealer: Dealer, stream: Stream, key: bytes) -> None:
    revisions = [put(dealer, key, b"%d" % number) for number in range(5)]
    assert stream.create(key=key, start_revision=revisions[1])["created"]
    assert [event[0] for event in stream.events(4)] == revisions[1:]
    ahead = revisions[-1] + 3
    assert stream.create(key=key, start_revision=ahead, watch_id=9)["watch_id"] == 9
    later = [put(dealer, key, b"later") for _ in range(4)]
    seen: dict[int, list[int]] = {0: [], 9: []}
    while len(seen[0]) < 4 or len(seen[9]) < 2:
        reply = stream.next()
        for watch_id in reply.get("watch_ids", [reply.get("watch_id", 0)]):
            seen[watch_id] += [event["kv"]["mod_revision"] for event in reply["events"]]
    assert seen == {0: later, 9: [revision for revision in later if revision >= ahead]}


def test_filters_and_prev_kv(dealer: Dealer, stream: Stream, key: bytes) -> None:
    stream.create(key=key, filters=["NOPUT"], prev_kv=True, watch_id=1)
    stream.create(key=key, filters=[1], watch_id=2)
    first = put(dealer, key, b"x")
    dealer.call({"op": "delete_range", "key": key})
    replies = {reply["watch_id"]: reply["events"] for reply in (stream.next(), stream.next())}
    (deleted,), (written,) = replies[1], replies[2]
    assert (deleted["type"], deleted["prev_kv"]["value"], deleted["prev_kv"]["mod_revision"]) == (1, b"x", first)
    assert plain(written) == (first, "PUT", key, b"x")
    assert "prev_kv" not in written


def test_prev_kv_of_history_is_there_until_it_is_compacted(dealer: Dealer, stream: Stream, key: bytes) -> None:
    revisions = [put(dealer, key, b"%d" % number) for number in range(3)]
    stream.create(key=key, start_revision=revisions[0], prev_kv=True)
    events: list[dict[str, Any]] = []
    while len(events) < 3:
        events += stream.next()["events"]
    assert [event.get("prev_kv", {}).get("value") for event in events] == [None, b"0", b"1"]


def test_watches_with_the_same_events_share_a_reply(dealer: Dealer, stream: Stream, key: bytes) -> None:
    for number in range(1000):
        stream.send("watch_create", key=key, watch_id=number + 1)
    assert {stream.next()["watch_id"] for _ in range(1000)} == set(range(1, 1001))
    revision = put(dealer, key, b"all")
    reply = stream.next()
    assert "watch_id" not in reply
    assert sorted(reply["watch_ids"]) == list(range(1, 1001))
    assert [plain(event) for event in reply["events"]] == [(revision, "PUT", key, b"all")]


def test_ids_are_unique_in_a_stream(dealer: Dealer, stream: Stream, key: bytes) -> None:
    assert stream.create(key=key, watch_id=5)["watch_id"] == 5
    refused = stream.create(key=key, watch_id=5)
    assert (refused["watch_id"], refused["created"], refused["canceled"]) == (-1, True, True)
    assert refused["cancel_reason"] == "mvcc: duplicate watch ID provided on the WatchStream"
    other = Stream(dealer, key + b"other")
    assert other.create(key=key, watch_id=5)["watch_id"] == 5


def test_an_empty_range_is_refused(stream: Stream) -> None:
    refused = stream.create(key=b"b", range_end=b"a")
    assert (refused["watch_id"], refused["cancel_reason"]) == (-1, "mvcc: watcher range is empty")


def test_cancel_ends_one_watch(dealer: Dealer, stream: Stream, key: bytes) -> None:
    stream.create(key=key, watch_id=1)
    stream.create(key=key, watch_id=2)
    stream.send("watch_cancel", watch_id=1)
    canceled = stream.next()
    assert (canceled["watch_id"], canceled["canceled"]) == (1, True)
    assert not canceled.get("created")
    put(dealer, key)
    assert stream.next()["watch_id"] == 2


def test_a_compacted_start_cancels_with_the_lowest_that_can_be(dealer: Dealer, stream: Stream, key: bytes) -> None:
    revisions = [put(dealer, key, b"%d" % number) for number in range(4)]
    dealer.call({"op": "compact", "revision": revisions[2]})
    created = stream.create(key=key, start_revision=revisions[0])
    canceled = created if created.get("canceled") else stream.next()
    assert (canceled["canceled"], canceled["compact_revision"]) == (True, revisions[2])
    assert stream.create(key=key, start_revision=revisions[2], watch_id=3)["created"]
    assert [event[0] for event in stream.events(2)] == revisions[2:]


def test_progress_for_the_whole_stream(dealer: Dealer, stream: Stream, key: bytes) -> None:
    stream.create(key=key)
    revision = put(dealer, b"elsewhere" + key)
    while True:  # what has been matched may lag behind what was written
        stream.send("watch_progress")
        progress = stream.next()
        assert (progress["watch_id"], "events" in progress) == (-1, False)
        if progress["header"]["revision"] >= revision:
            break


def test_progress_on_a_stream_without_watches_is_an_error(dealer: Dealer) -> None:
    reply = dealer.call({"op": "watch_progress"})
    assert reply["error"]["code"] == 5
    assert reply["error"]["message"].startswith("zetcd: no watch on this stream")


def test_all_events_of_a_revision_come_in_one_reply_unless_fragments_are_asked_for(
    dealer: Dealer, stream: Stream, key: bytes
) -> None:
    stream.create(key=key, range_end=key[:-1] + b"0", watch_id=1)
    stream.create(key=key, range_end=key[:-1] + b"0", watch_id=2, fragment=True)
    value = bytes(60_000)
    puts = [{"request_put": {"key": key + b"%d" % number, "value": value}} for number in range(25)]
    revisions = []
    for _ in range(2):  # two revisions of 1.5 MB: fragments are cut at --max-request-bytes
        reply = dealer.call({"op": "txn", "success": puts})
        revisions.append(reply["header"]["revision"])
    whole: list[list[int]] = []
    parts: list[tuple[int, bool]] = []
    while sum(map(len, whole)) < 50 or sum(count for count, _ in parts) < 50:
        reply = stream.next()
        ids = reply.get("watch_ids", [reply.get("watch_id")])
        if 1 in ids:
            whole.append([event["kv"]["mod_revision"] for event in reply["events"]])
            assert not reply.get("fragment")
        if 2 in ids:
            parts.append((len(reply["events"]), reply.get("fragment", False)))
    for revision in revisions:
        assert sum(revision in each for each in whole) == 1
    assert parts[-1][1] is False


def test_a_closed_connection_takes_its_watches_along(member: Member, dealer: Dealer, key: bytes) -> None:
    with Dealer(member.endpoint) as other:
        assert Stream(other, key).create(key=key)["created"]
    for number in range(3):
        put(dealer, key, b"%d" % number)
    assert dealer.call({"op": "metrics"})["metrics"]["clients_unreachable"] >= 1


def test_a_poll_waits_for_the_first_event(dealer: Dealer, key: bytes) -> None:
    address = dealer.send({"op": "watch_poll", "key": key, "wait_ms": 60_000})
    dealer.call({"op": "status"})
    revision = put(dealer, key, b"now")
    reply = dealer.reply(address)
    assert [plain(event) for event in reply["events"]] == [(revision, "PUT", key, b"now")]
    assert reply["next_revision"] == revision + 1


def test_polls_in_a_row_miss_nothing_and_repeat_nothing(member: Member, dealer: Dealer, key: bytes) -> None:
    puts = [{"op": "put", "key": key, "value": b"%d" % number} for number in range(3000)]
    replies = dealer.call({"op": "batch", "requests": puts})["responses"]
    written = sorted(reply["header"]["revision"] for reply in replies)
    seen: list[int] = []
    start, answers = written[0], 0
    while True:
        reply = member.call({"op": "watch_poll", "key": key, "start_revision": start, "wait_ms": 0})
        seen += [event["kv"]["mod_revision"] for event in reply["events"]]
        start, answers = reply["next_revision"], answers + 1
        if start > reply["header"]["revision"]:  # not: no events, as history may not have been read in wait_ms
            break
    assert seen == written
    assert answers > 2, "a long history comes in several answers"


def test_a_poll_that_runs_out_says_where_to_go_on(member: Member, dealer: Dealer, key: bytes) -> None:
    revision = put(dealer, b"elsewhere" + key)
    reply = member.call({"op": "watch_poll", "key": key, "start_revision": revision, "wait_ms": 1})
    assert (reply["events"], reply["next_revision"] > revision) == ([], True)
    ahead = member.call({"op": "watch_poll", "key": key, "start_revision": revision + 1000, "wait_ms": 1})
    assert (ahead["events"], ahead["next_revision"]) == ([], revision + 1000)


def test_a_compacted_poll(member: Member, dealer: Dealer, key: bytes) -> None:
    revisions = [put(dealer, key, b"%d" % number) for number in range(3)]
    dealer.call({"op": "compact", "revision": revisions[2]})
    reply = member.call({"op": "watch_poll", "key": key, "start_revision": revisions[0], "wait_ms": 1})
    expected = etcds(11, "OUT_OF_RANGE", "mvcc: required revision has been compacted")
    assert reply == expected | {"compact_revision": revisions[2]}
