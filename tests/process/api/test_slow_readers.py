"""A client that does not read: bounded memory, nobody else is slowed, and it is caught up or told where to go on."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.process.api.dealer import LIMIT_S, Dealer
from tests.process.member import Member

VALUE = bytes(64 * 1024)
PUT = {"op": "put", "key": b"hot", "value": VALUE}
STALLED_WITHIN = 6_000
"""Puts after which a client's pipe, the kernel's buffers included, must be full."""
MORE = 600
"""Puts of 64 KiB after that: 37 MiB of events that must cost nothing."""
GROWTH_MAX = 16 << 20


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Member]:
    with Member(tmp_path / "m") as one:
        yield one


def pipeline(dealer: Dealer, requests: list[dict[str, Any]], outstanding: int = 32) -> int:
    """All requests, at most so many at a time; each must succeed. The highest revision."""
    waiting: list[tuple[bytes, ...]] = []
    last = 0
    for request in requests:
        waiting.append(dealer.send(request))
        if len(waiting) >= outstanding:
            last = max(last, dealer.reply(waiting.pop(0))["header"]["revision"])
    for address in waiting:
        last = max(last, dealer.reply(address)["header"]["revision"])
    return last


def rss(member: Member) -> int:
    size: int = member.processes()["api-0"].memory_info().rss
    return size


def metrics(dealer: Dealer) -> dict[str, int]:
    counters: dict[str, int] = dealer.call({"op": "metrics"})["metrics"]
    return counters


def small_pipes(member: Member) -> Dealer:
    """A client whose own buffers hold next to nothing."""
    return Dealer(member.endpoint, RCVHWM=1, RCVBUF=4096)


class Watch:
    """A watch on the hot key and what it has delivered."""

    def __init__(self, dealer: Dealer) -> None:
        self.dealer = dealer
        self.address = dealer.send({"op": "watch_create", "key": b"hot"}, b"w")
        self.first = dealer.reply(self.address)["header"]["revision"] + 1
        self.seen: list[int] = []

    def read(self, upto: int) -> dict[str, Any] | None:
        """Until revision upto, or until it is canceled: the reply that says so."""
        while not self.seen or self.seen[-1] < upto:
            reply = self.dealer.reply(self.address)
            if reply.get("canceled"):
                return reply
            self.seen += [event["kv"]["mod_revision"] for event in reply.get("events", [])]
        return None


def watch_without_reading(own: Member, quick: Watch, writer: Dealer) -> int:
    """Puts until the watch that nobody reads stalls its client, and MORE; quick is read all the while. The last
    revision."""
    for _ in range(STALLED_WITHIN // 100):
        quick.read(pipeline(writer, [PUT] * 100))
        if metrics(writer)["clients_stalled"]:
            break
    assert metrics(writer)["clients_stalled"] == 1
    before, last = rss(own), 0
    for _ in range(MORE // 100):
        last = pipeline(writer, [PUT] * 100)
        quick.read(last)
    growth = rss(own) - before
    assert growth < GROWTH_MAX, f"api grew by {growth >> 20} MiB after the client had stalled"
    assert metrics(writer)["backlog_bytes"] <= 16 << 20
    assert quick.seen == list(range(quick.first, last + 1)), "who reads gets everything at once"
    return last


def test_a_stalled_watch_costs_bounded_memory_and_is_caught_up(own: Member) -> None:
    with small_pipes(own) as slow, Dealer(own.endpoint) as other, Dealer(own.endpoint) as writer:
        watch = Watch(slow)
        last = watch_without_reading(own, Watch(other), writer)
        assert watch.read(last) is None
        assert watch.seen == list(range(watch.first, last + 1)), "nothing lost, nothing twice"


def test_a_stalled_watch_that_compaction_overtook_is_canceled_with_the_revision_to_go_on_from(own: Member) -> None:
    with small_pipes(own) as slow, Dealer(own.endpoint) as other, Dealer(own.endpoint) as writer:
        watch = Watch(slow)
        last = watch_without_reading(own, Watch(other), writer)
        assert "error" not in writer.call({"op": "compact", "revision": last, "physical": True})
        canceled = watch.read(last + 1)
        assert canceled is not None
        assert canceled["compact_revision"] == last
        assert watch.seen == list(range(watch.first, watch.first + len(watch.seen))), "no gap before the end"
        assert watch.seen[-1] < last


def test_replies_that_nobody_reads_are_bounded_by_bytes_and_cost_others_nothing(own: Member) -> None:
    """A pipe holds 512 frames whatever their size; what does not fit waits within a bound of bytes, then is dropped."""
    with small_pipes(own) as slow, Dealer(own.endpoint) as quick:
        assert "error" not in quick.call({"op": "put", "key": b"large", "value": bytes(200 << 10)})
        api = own.processes()["api-0"].pid
        for _ in range(3_000):
            slow.send({"op": "range", "key": b"large", "serializable": True})
        until = time.monotonic() + LIMIT_S
        counters: dict[str, int] = {}
        while not counters.get("clients_dropped") or counters["inflight"]:
            assert time.monotonic() < until, counters
            assert "error" not in quick.call({"op": "put", "key": b"small"}), "others are served"
            counters = metrics(quick)
        assert counters["backlog_bytes"] <= 16 << 20
        assert own.processes()["api-0"].pid == api, "a turn that answers so much still feeds the watchdog"


def test_many_large_answers_at_once_take_turns(own: Member) -> None:
    """Rule 17: what apply may send an api process and has no credit for waits as requests, not as answers."""
    with Dealer(own.endpoint) as reader, Dealer(own.endpoint) as quick:
        assert "error" not in quick.call({"op": "put", "key": b"large", "value": bytes(1 << 20)})
        apply = own.processes()["apply"]
        before = apply.memory_info().rss
        addresses = [reader.send({"op": "range", "key": b"large"}) for _ in range(500)]
        for address in addresses:
            assert len(reader.reply(address)["kvs"][0]["value"]) == 1 << 20
        assert apply.memory_info().rss - before < 200 << 20
        assert own.processes()["apply"].pid == apply.pid
