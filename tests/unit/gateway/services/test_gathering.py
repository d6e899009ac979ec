"""Events on their way to a client that is slower than the writers: what becomes one response, and what does not."""

from collections.abc import Sequence
from typing import Any

import pytest

from tests.unit.gateway.services.fakes import FakeLink, say
from tests.unit.gateway.services.test_streams import watching
from zetcd_pb import rpc_pb2 as pb


def revisions(sent: Sequence[pb.WatchResponse]) -> list[tuple[int, int, list[int]]]:
    return [(one.watch_id, one.header.revision, [event.kv.mod_revision for event in one.events]) for one in sent]


def event(revision: int) -> dict[str, Any]:
    return {"header": {"revision": revision}, "events": [{"kv": {"key": b"k", "mod_revision": revision}}]}


def test_events_of_one_turn_for_the_same_watches_are_one_response() -> None:
    link = FakeLink()
    stream, _ = watching(link, 0, 1)
    line, link.loop.held = link.line()[1], []
    say(line, watch_ids=[0, 1], **event(5))
    say(line, watch_ids=[0, 1], **event(6))
    say(line, watch_id=1, **event(7))
    say(line, header={"revision": 8}, watch_id=1)  # progress, after what came before it
    say(line, watch_id=1, **event(9))
    for due in link.loop.held:
        due()
    assert revisions(stream.take()) == [(0, 6, [5, 6]), (1, 6, [5, 6]), (1, 7, [7]), (1, 8, []), (1, 9, [9])]


def test_fragments_and_large_events_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    link = FakeLink()
    stream, watch = watching(link, 0)
    line, link.loop.held = link.line()[1], []
    monkeypatch.setattr("zetcd.gateway.services.watch.MERGED_BYTES_MAX", 10)
    say(line, watch_ids=[0, 1], **event(5))
    say(line, watch_ids=[0, 1], **event(6))
    monkeypatch.undo()
    create = pb.WatchCreateRequest(key=b"k", fragment=True)
    watch.message(pb.WatchRequest(create_request=create))
    say(line, watch_ids=[0, 1], **event(7))
    for due in link.loop.held:
        due()
    assert [found for watch_id, _, found in revisions(stream.take()) if watch_id == 0] == [[5], [6], [7]]


def test_a_response_that_took_long_gives_others_their_turn_before_the_next() -> None:
    link = FakeLink()
    stream, _ = watching(link, 0)
    line, link.loop.step = link.line()[1], 0.01  # by this clock everything takes 10 ms
    say(line, **event(5))
    assert revisions(stream.take()) == [(0, 5, [5])]
    say(line, **event(6))
    say(line, **event(7))
    assert stream.take() == []
    for due in link.loop.later:
        due()
    assert revisions(stream.take()) == [(0, 7, [6, 7])]
