"""Return addresses: REQ, REQ_CORRELATE, DEALER with any id frames, and frames beyond every bound."""

from typing import Any

import msgpack
import pytest
import zmq

from tests.process.api.dealer import Dealer, Frames, etcds
from tests.process.member import Member

PUT = {"op": "put", "key": b"envelope", "value": b"v"}


def test_req_with_correlate_and_relaxed_ignores_a_late_reply(member: Member) -> None:
    with member.req() as sock:
        sock.setsockopt(zmq.REQ_CORRELATE, 1)
        sock.setsockopt(zmq.REQ_RELAXED, 1)
        sock.send(msgpack.packb({"op": "watch_poll", "key": b"never", "wait_ms": 300}))
        sock.send(msgpack.packb(PUT))
        assert sock.poll(10_000)
        assert set(msgpack.unpackb(sock.recv())) == {"header"}
        sock.send(msgpack.packb({"op": "status"}))
        assert sock.poll(10_000)
        assert "version" in msgpack.unpackb(sock.recv())


@pytest.mark.parametrize(
    "address", [(b"",), (b"1", b""), (b"a", b"b", b"c"), (b"\xff" * 200,), tuple(b"%d" % n for n in range(15))]
)
def test_a_dealer_gets_its_frames_back_as_they_were(dealer: Dealer, address: tuple[bytes, ...]) -> None:
    dealer.send(PUT, *address)
    frames, reply = dealer.receive()
    assert frames == address
    assert set(reply) == {"header"}


def test_a_dealer_without_any_address_frame(dealer: Dealer) -> None:
    dealer.socket.send(msgpack.packb(PUT))
    frames, reply = dealer.receive()
    assert frames == ()
    assert set(reply) == {"header"}


def test_replies_to_many_outstanding_requests_find_their_requests(dealer: Dealer) -> None:
    for number in range(500):
        dealer.send(
            {"op": "put", "key": b"pipelined/%d" % number, "value": b"%d" % number, "prev_kv": True},
            b"p",
            b"%d" % number,
        )
    for number in range(500):
        dealer.send({"op": "range", "key": b"pipelined/%d" % number}, b"r", b"%d" % number)
    answered: dict[Frames, dict[str, Any]] = {}
    while len(answered) < 1000:
        frames, reply = dealer.receive()
        assert frames not in answered
        answered[frames] = reply
    revisions = [answered[b"p", b"%d" % number]["header"]["revision"] for number in range(500)]
    assert len(set(revisions)) == 500
    for number in range(500):
        for kv in answered[b"r", b"%d" % number].get("kvs", []):
            assert (kv["key"], kv["value"]) == (b"pipelined/%d" % number, b"%d" % number)


@pytest.mark.parametrize("address", [tuple(b"%d" % n for n in range(16)), (b"x" * 1024,)])
def test_an_address_over_its_bound_is_dropped_and_counted(dealer: Dealer, address: tuple[bytes, ...]) -> None:
    before = dealer.call({"op": "metrics"})["metrics"]["malformed"]
    dealer.send(PUT, *address)
    assert dealer.call({"op": "metrics"})["metrics"]["malformed"] == before + 1
    assert dealer.call(PUT).keys() == {"header"}


def test_a_known_routing_id_may_return(member: Member) -> None:
    """As soon as its former connection has been noticed to be gone: until then ZeroMQ refuses the new one, since who
    may take over a routing id may take over its replies."""
    for _ in range(2):
        for attempt in range(10):
            with Dealer(member.endpoint, identity=b"always the same") as dealer:
                dealer.send(PUT)
                if dealer.socket.poll(2_000):
                    assert dealer.receive()[-1].keys() == {"header"}
                    break
            assert attempt < 9


def test_requests_over_max_request_bytes_get_etcds_error(dealer: Dealer) -> None:
    too_large = etcds(3, "INVALID_ARGUMENT", "request is too large")
    just = 1_572_864 - 200
    assert dealer.call({"op": "put", "key": b"large", "value": bytes(just)}).keys() == {"header"}
    assert dealer.call({"op": "put", "key": b"large", "value": bytes(1_572_865)}) == too_large
    assert dealer.call({"op": "put", "key": b"large", "value": bytes(4_000_000)}) == too_large
    in_batch = dealer.call({"op": "batch", "requests": [PUT, {"op": "put", "key": b"l", "value": bytes(1_600_000)}]})
    assert in_batch["responses"][1] == too_large
    assert in_batch["responses"][0].keys() == {"header"}
    dealer.call({"op": "delete_range", "key": b"large"})


def test_a_frame_over_four_times_that_ends_its_connection_alone(member: Member, dealer: Dealer) -> None:
    with Dealer(member.endpoint, RECONNECT_IVL=-1) as large:
        assert large.call(PUT).keys() == {"header"}
        monitor = large.socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        large.send({"op": "put", "key": b"k", "value": bytes(7_000_000)})
        assert monitor.poll(30_000), "the connection is still there"
        large.socket.disable_monitor()
    assert dealer.call(PUT).keys() == {"header"}


def test_max_request_bytes_is_a_flag(tmp_path_factory: pytest.TempPathFactory) -> None:
    flags = ("--max-request-bytes", "1000")
    with Member(tmp_path_factory.mktemp("small"), *flags) as small, Dealer(small.endpoint) as dealer:
        refused = dealer.call({"op": "put", "key": b"k", "value": bytes(1001)})
        assert refused == etcds(3, "INVALID_ARGUMENT", "request is too large")
        assert dealer.call({"op": "put", "key": b"k", "value": bytes(900)}).keys() == {"header"}
