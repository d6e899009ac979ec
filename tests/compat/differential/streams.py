"""Steps on streams of a gateway: watches from any revision with any filter, watch ids, renewals of several leases."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Protocol

Answer = dict[str, Any]
NO_PUT, NO_DELETE = 0, 1
CREATED = ("watch_id", "created", "canceled", "cancel_reason", "compact_revision")


class Streams(Protocol):
    """A side that has streams."""

    def call(self, op: str, request: dict[str, Any]) -> Answer:
        """One request; the answer, or ``{"error": {...}}``."""
        ...

    def watch(self, requests: list[dict[str, Any]]) -> AbstractContextManager[Iterator[Answer]]:
        """The answers of one watch stream, as they come."""
        ...

    def keep_alives(self, ids: list[int]) -> list[Answer]:
        """Renewals of one stream, one after another."""
        ...


def history(side: Streams, request: dict[str, Any], last: int) -> Answer:
    """As `sides.Side.history`."""
    with side.watch([{"create_request": request}]) as answers:
        found = until(answers, last)
    return {"compact_revision": found["ended"].get("compact_revision", 0)} if "ended" in found else found


def watch(side: Streams, request: dict[str, Any]) -> Answer:
    """One watch. The key it begins at is put and deleted, so that its last event is known."""
    key = request["key"] or b"\x00"
    with side.watch([{"create_request": request}]) as answers:
        created = next(answers)
        put = side.call("put", {"key": key, "value": b"last"})
        deleted = side.call("delete_range", {"key": key})
        shown = {"header": deleted["header"], "created": {name: created.get(name) for name in CREATED}}
        ends = [(NO_PUT, put), (NO_DELETE, deleted)]
        last = [answer["header"]["revision"] for kind, answer in ends if kind not in request["filters"]]
        if created.get("canceled") or not last or request["start_revision"] > last[-1]:
            return shown
        return {**shown, **until(answers, last[-1])}


def until(answers: Iterator[Answer], last: int) -> Answer:
    """Events up to revision last, or the end of the watch."""
    events: list[Any] = []
    for answer in answers:
        if "error" in answer:
            return {"events": events, "ended": answer}
        if answer.get("canceled"):
            return {"events": events, "ended": {name: answer.get(name) for name in CREATED}}
        events += answer.get("events", [])
        if events and events[-1]["kv"]["mod_revision"] >= last:
            break
    return {"events": events}


def watch_ids(side: Streams, request: dict[str, Any]) -> Answer:
    """Several watches of one stream, of keys that nobody writes, and ends of some."""
    with side.watch(request["requests"]) as answers:
        heard = itertools.islice(answers, request["answers"])
        return {"answers": [{name: answer.get(name) for name in CREATED} for answer in heard]}


def keep_alives(side: Streams, request: dict[str, Any]) -> Answer:
    """Renewals of one stream."""
    return {"answers": side.keep_alives(request["ids"])}


MACROS: dict[str, Callable[[Streams, dict[str, Any]], Answer]] = {
    "+watch": watch,
    "+watch_ids": watch_ids,
    "+keep_alives": keep_alives,
}
