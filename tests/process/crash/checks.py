"""What must hold after any number of crashes, whatever died."""

from typing import Any

from tests.process.crash.workload import PREFIX, PREFIX_END, Acked, Event, Load, event_of
from tests.process.member import Member


def history(member: Member) -> list[Event]:
    """Every event since the first revision, as a fresh watcher reads it."""
    events: list[Event] = []
    start = 2
    while True:
        reply = member.call(
            {"op": "watch_poll", "key": PREFIX, "range_end": PREFIX_END, "start_revision": start, "wait_ms": 1}
        )
        assert "error" not in reply, reply
        events += [event_of(event) for event in reply["events"]]
        start = reply["next_revision"]
        if start > reply["header"]["revision"]:  # a short poll may be empty although history remains
            return events


def check_all(member: Member, load: Load) -> dict[str, Any]:
    """Every promise at once; a summary for people. Raises AssertionError naming what broke."""
    events = history(member)
    acked = sorted((each for writer in load.writers for each in writer.acked), key=lambda each: each.revision)
    check_no_acknowledged_write_is_lost(acked, events)
    check_revisions_follow_real_time(acked)
    check_revisions_are_unique_and_grow(events)
    check_store_is_what_the_events_say(member, events)
    check_watcher("long poll", load.poll.events, events)
    check_watcher("client library", load.library.events, events)
    return {
        "acknowledged": len(acked),
        "unknown": sum(writer.unknown for writer in load.writers),
        "refused": sum(writer.refused for writer in load.writers),
        "events": len(events),
        "outages": [(outage.what, round(outage.seconds, 3)) for outage in load.outages],
    }


def check_no_acknowledged_write_is_lost(acked: list[Acked], events: list[Event]) -> None:
    """Each acknowledged write stands at exactly its revision."""
    at = {event[0]: event for event in events}
    for each in acked:
        event = at.get(each.revision)
        assert event is not None, f"acknowledged {each} is gone"
        assert (event[1], event[2]) == (each.key, each.value), f"{each} became {event}"


def check_revisions_follow_real_time(acked: list[Acked]) -> None:
    """A write that began after another had been acknowledged has the higher revision (linearizability of writes)."""
    latest_start = float("-inf")
    for each in acked:  # by revision
        assert each.ended >= latest_start, f"{each} was acknowledged before a write of a lower revision had begun"
        latest_start = max(latest_start, each.started)


def check_revisions_are_unique_and_grow(events: list[Event]) -> None:
    """The workload changes one key a revision."""
    revisions = [event[0] for event in events]
    assert revisions == sorted(set(revisions))


def check_store_is_what_the_events_say(member: Member, events: list[Event]) -> None:
    """The current keys are the result of replaying the events."""
    expected: dict[bytes, bytes] = {}
    for _, key, value, deleted in events:
        if deleted:
            expected.pop(key, None)
        else:
            expected[key] = value
    reply = member.call({"op": "range", "key": PREFIX, "range_end": PREFIX_END})
    assert {kv["key"]: kv.get("value", b"") for kv in reply.get("kvs", [])} == expected


def check_watcher(name: str, seen: list[Event], events: list[Event]) -> None:
    """Ordered, unique, complete: the watcher saw the history, nothing more, nothing twice."""
    if seen != events:
        for position, (one, other) in enumerate(zip(seen, events, strict=False)):
            assert one == other, f"{name}: event {position} is {one}, history says {other}"
        raise AssertionError(f"{name}: saw {len(seen)} events, history has {len(events)}")
