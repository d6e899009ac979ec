"""Snapshot streams in api: a chunk for a credit, one at a time, and an end for each way it can end."""

from typing import Any

import pytest

from tests.unit.actors.front import Front
from zetcd.actors.actor import Peer
from zetcd.base import errors, limits
from zetcd.wire.local import ReadBatch
from zetcd.wire.queries import CloseExport, Defragment, OpenExport, Query, ReadExport
from zetcd.wire.results import Done, Exported, Failed


@pytest.fixture
def front() -> Front:
    return Front()


def asked(front: Front) -> list[tuple[int, Query]]:
    return [(read.sequence, read.query) for batch in front.take(ReadBatch) for read in batch.reads]


def begin(front: Front, credit: int, name: bytes = b"s") -> int:
    """A stream that is planned; the id of its export."""
    front.ask({"op": "snapshot", "credit": credit}, name)
    ((sequence, query),) = asked(front)
    assert isinstance(query, OpenExport)
    front.answer(sequence, Exported(7, 100))
    return query.id


def test_a_chunk_for_each_credit(front: Front) -> None:
    export = begin(front, 2)
    for left in (90, 80):
        ((sequence, query),) = asked(front)
        assert query == ReadExport(export)
        front.answer(sequence, Exported(7, left, bytes(10)))
        (reply,) = front.replies()
        assert (reply["remaining_bytes"], reply["blob"], reply["header"]["revision"]) == (left, bytes(10), 7)
    assert asked(front) == []
    front.ask({"op": "snapshot_credit", "chunks": 10**15}, b"s")
    ((sequence, _),) = asked(front)
    front.answer(sequence, Exported(7, 0, bytes(80), b"sum"))
    last, checksum = front.replies()
    assert (last["blob"], "done" in last) == (bytes(80), False)
    assert (checksum["blob"], checksum["done"], "remaining_bytes" in checksum) == (b"sum", True, False)
    assert [query for _, query in asked(front)] == [CloseExport(export)]
    assert front.actor.exporting.count == 0


def test_no_credit_nothing_is_read(front: Front) -> None:
    begin(front, 0)
    assert asked(front) == []


@pytest.mark.parametrize("way", ["cancel", "gone", "failed", "stalled", "stopped"])
def test_ends(front: Front, way: str) -> None:
    export = begin(front, 1)
    ((sequence, _),) = asked(front)
    words: list[Any] = []
    if way == "cancel":
        front.ask({"op": "snapshot_cancel"}, b"s")
    elif way == "gone":
        front.actor.clients.on_gone((b"c1", b"s"))
        front.turn()
    elif way == "failed":
        front.answer(sequence, Failed(errors.EXPORT_LOST.code, errors.EXPORT_LOST.message))
        words = [errors.EXPORT_LOST.message]
    elif way == "stalled":
        front.tick()
        front.answer(sequence, Exported(7, 50, b"x"))
        front.replies()
        for _ in range(limits.EXPORT_STALL_MAX_MS // limits.CLIENT_IDLE_PROBE_MS):
            front.tick(limits.CLIENT_IDLE_PROBE_MS)
        probes = len(front.out) - 1
        assert probes == 9, "a client that is gone shows when it is spoken to"
        front.out = front.out[probes:]
        words = [errors.EXPORT_STALLED.message]
    else:
        front.actor.on_stop()
        front.turn()
        words = [errors.STOPPED.message]
    assert [query for _, query in asked(front)] == [CloseExport(export)]
    assert [reply["error"]["message"] for reply in front.replies()] == words
    assert front.actor.exporting.count == 0
    front.answer(sequence, Exported(7, 40, b"late"))
    assert front.replies() == []


def test_a_stream_is_one_snapshot_and_a_process_has_a_few(front: Front) -> None:
    for number in range(limits.EXPORTS_MAX):
        begin(front, 0, b"%d" % number)
    for name in (b"0", b"other"):
        front.ask({"op": "snapshot"}, name)
        assert front.replies()[0]["error"]["message"] == errors.TOO_MANY_REQUESTS.message
    front.ask({"op": "snapshot_credit", "chunks": 1}, b"other")
    assert front.replies()[0]["error"]["message"] == errors.NO_SNAPSHOT_STREAM.message


def test_what_may_take_any_time_has_no_deadline_and_is_asked_again_of_a_new_store(front: Front) -> None:
    front.ask({"op": "defragment"})
    ((sequence, query),) = asked(front)
    assert query == Defragment()
    for _ in range(300):
        front.tick()
    assert front.replies() == []
    front.actor.on_lost(front.apply)
    front.apply = Peer("apply", 0, 99, 5, 9)
    front.actor.on_peer(front.apply)
    for _ in range(300):
        front.tick()
    assert (sequence, query) in asked(front)
    front.answer(sequence, Done(1))
    assert [list(reply) for reply in front.replies()] == [["header"]]


def test_a_stop_waits_for_nothing_that_may_take_any_time(front: Front) -> None:
    front.ask({"op": "defragment"})
    front.actor.on_stop()
    front.turn()
    assert [reply["error"]["message"] for reply in front.replies()] == [errors.STOPPED.message]
    front.tick(limits.DRAIN_LINGER_MS)
    assert front.actor.stopped()
