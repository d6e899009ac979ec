"""The judge catches what it is there for: each promise broken once in a history made up by hand."""

import pytest

from tests.process.crash.workload import Event
from tests.process.failover.calls import OK, REFUSED, UNKNOWN, Answer, answer_of
from tests.process.failover.judge import Asked, check_reads, check_real_time, check_writes

EVENTS: list[Event] = [(2, b"k", b"a", False), (3, b"k", b"b", False), (4, b"l", b"c", False)]


def put(value: bytes, revision: int, started: float, ended: float, outcome: str = OK) -> Asked:
    return Asked(b"l" if value == b"c" else b"k", value, started, ended, Answer(outcome, revision))


def get(value: bytes | None, mod: int, revision: int, started: float, ended: float) -> Asked:
    return Asked(b"k", None, started, ended, Answer(OK, revision, value, mod))


def check(*asked: Asked, events: list[Event] = EVENTS) -> None:
    check_writes(asked, events)
    check_reads(asked, events)
    check_real_time(asked)


def test_what_overlaps_may_stand_in_any_order() -> None:
    writes = (put(b"a", 2, 0, 5), put(b"b", 3, 0, 1), put(b"c", 0, 1, 2, UNKNOWN))
    check(*writes, get(b"a", 2, 2, 0, 9), get(None, 0, 1, 0, 1))


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ("lost", [put(b"x", 5, 0, 1)]),
        ("became", [put(b"a", 3, 0, 1)]),
        ("refused for certain", [put(b"a", 0, 0, 1, REFUSED)]),
        ("held", [get(b"a", 2, 3, 0, 1)]),
        ("held", [get(None, 0, 3, 0, 1)]),
        ("stale by 1", [put(b"b", 3, 0, 1), get(b"a", 2, 2, 2, 3)]),
        ("stale by 1", [get(b"b", 3, 3, 0, 1), get(b"a", 2, 2, 2, 3)]),
        ("told before", [put(b"b", 3, 0, 1), put(b"a", 2, 2, 3)]),
        ("told before", [get(b"b", 3, 3, 0, 1), put(b"b", 3, 2, 3)]),
    ],
)
def test_a_broken_promise_is_named(words: str, asked: list[Asked]) -> None:
    with pytest.raises(AssertionError, match=words):
        check(*asked)


def test_a_put_that_was_applied_twice_is_named() -> None:
    with pytest.raises(AssertionError, match="applied before"):
        check(events=[*EVENTS, (5, b"k", b"a", False)])


@pytest.mark.parametrize(
    ("code", "message", "outcome"),
    [
        (14, "etcdserver: request timed out", UNKNOWN),
        (14, "etcdserver: leader changed", UNKNOWN),
        (14, "etcdserver: no leader", REFUSED),
        (8, "etcdserver: too many requests", REFUSED),
        (2, "anything", UNKNOWN),
    ],
)
def test_what_an_error_says_of_a_write(code: int, message: str, outcome: str) -> None:
    assert answer_of({"error": {"code": code, "message": message}}).outcome == outcome
