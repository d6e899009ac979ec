"""Admission and deadlines: what a client hears while a process of the member does not answer."""

from pathlib import Path

import pytest

from tests.process.api.dealer import Dealer, etcds, stopped
from tests.process.member import Member

TOO_MANY = etcds(8, "RESOURCE_EXHAUSTED", "too many requests")
TIMED_OUT = etcds(14, "UNAVAILABLE", "request timed out")
INFLIGHT_REQUESTS_MAX = 20_000
BATCH = 4_000


@pytest.fixture
def own(tmp_path: Path) -> Member:
    """A member of the test's own, not started. Its request timeout is 5.1 s."""
    return Member(tmp_path / "m", "--heartbeat-interval", "10", "--election-timeout", "50")


def test_beyond_the_bound_of_outstanding_requests_clients_hear_too_many_requests(own: Member) -> None:
    with own, Dealer(own.endpoint) as dealer:
        gets = {"op": "batch", "requests": [{"op": "range", "key": b"k", "serializable": True}] * BATCH}
        with stopped(own, "apply"):
            admitted = [dealer.send(gets) for _ in range(INFLIGHT_REQUESTS_MAX // BATCH)]
            assert dealer.call(gets) == TOO_MANY
            assert dealer.call({"op": "range", "key": b"k"}) == TOO_MANY
            assert dealer.call({"op": "watch_poll", "key": b"k"}) == TOO_MANY
        for address in admitted:
            assert len(dealer.reply(address)["responses"]) == BATCH
        assert dealer.call({"op": "range", "key": b"k"}).keys() == {"header"}
        metrics = dealer.call({"op": "metrics"})["metrics"]
        assert metrics["too_many_requests"] >= BATCH + 2
        assert metrics["inflight"] == 0


def test_a_write_that_is_not_answered_in_time_is_in_doubt_and_says_so(own: Member) -> None:
    with own, Dealer(own.endpoint) as dealer:
        with stopped(own, "raft"):
            put = dealer.send({"op": "put", "key": b"late", "value": b"v"})
            get = dealer.send({"op": "range", "key": b"late", "serializable": True})
            assert dealer.reply(get).keys() == {"header"}, "a serializable read does not need raft"
            assert dealer.reply(put) == TIMED_OUT
        # It was on its way: now it is done, and nobody hears of it.
        assert "error" not in dealer.call({"op": "put", "key": b"after", "value": b"v"})
        assert dealer.call({"op": "range", "key": b"late"})["count"] == 1
        assert dealer.call({"op": "metrics"})["metrics"]["timeouts"] >= 1


def test_a_read_that_is_not_answered_in_time(own: Member) -> None:
    with own, Dealer(own.endpoint) as dealer:
        with stopped(own, "apply"):
            batch = {"op": "batch", "requests": [{"op": "range", "key": b"k"}, {"op": "status"}]}
            assert dealer.call(batch)["responses"] == [TIMED_OUT, TIMED_OUT]
        assert "error" not in dealer.call({"op": "range", "key": b"k"})
