"""What speaks no ZMTP, or stops in the middle of it: the member goes on serving everybody else."""

import contextlib
import random
import socket
import struct
from collections.abc import Iterator

import msgpack
import pytest

from tests.process.api.dealer import Dealer
from tests.process.member import Member

GREETING = b"\xff" + bytes(8) + b"\x7f" + b"\x03\x00" + b"NULL".ljust(20, b"\0") + b"\0" + bytes(31)
"""ZMTP 3.0, NULL mechanism, as a client (RFC 23)."""
READY = b"\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER\x08Identity\x00\x00\x00\x00"
IDLE = 300


@pytest.fixture
def serving(member: Member) -> Iterator[Member]:
    """The same process serves before and after the test."""
    api = member.processes()["api-0"].pid
    yield member
    with Dealer(member.endpoint) as dealer:
        assert dealer.call({"op": "put", "key": b"still", "value": b"serving"}).keys() == {"header"}
    assert member.processes()["api-0"].pid == api


def connect(member: Member) -> socket.socket:
    return socket.create_connection(("127.0.0.1", member.port), timeout=30)


def command(body: bytes) -> bytes:
    return b"\x04" + bytes([len(body)]) + body


def shaken(member: Member) -> socket.socket:
    """A connection by hand that has completed the handshake."""
    sock = connect(member)
    sock.sendall(GREETING + command(READY))
    received = b""
    while b"READY" not in received:
        received += sock.recv(4096)
    return sock


def test_random_bytes(serving: Member) -> None:
    dice = random.Random(1)
    for size in (1, 9, 10, 11, 63, 64, 65, 1_000, 100_000):
        for _ in range(5):
            with connect(serving) as sock, contextlib.suppress(OSError):
                sock.sendall(dice.randbytes(size))


@pytest.mark.parametrize("cut", [1, 9, 10, 11, 12, 40, 64])
def test_a_greeting_that_is_cut_short(serving: Member, cut: int) -> None:
    with connect(serving) as sock:
        sock.sendall(GREETING[:cut])


@pytest.mark.parametrize(
    "greeting",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",  # an etcd client at the wrong port
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),  # TLS
        GREETING[:12] + b"PLAIN".ljust(20, b"\0") + bytes(32),
        GREETING[:12] + b"CURVE".ljust(20, b"\0") + bytes(32),
        GREETING + command(b"\x05READY\xff" + bytes(20)),
        GREETING + command(b"\x05ERROR\x05hello"),
        GREETING + b"\x06" + struct.pack(">Q", 2**63),
        GREETING[:10] + b"\x01\x00" + bytes(52),  # ZMTP 1 or 2
    ],
)  # fmt: skip
def test_a_greeting_of_something_else(serving: Member, greeting: bytes) -> None:
    with connect(serving) as sock, contextlib.suppress(OSError):
        sock.sendall(greeting)
        sock.settimeout(0.05)
        sock.recv(4096)


def test_frames_by_hand_then_half_of_one(serving: Member) -> None:
    body = msgpack.packb({"op": "range", "key": b"k"})
    with shaken(serving) as sock:
        sock.sendall(b"\x01\x00" + b"\x00" + bytes([len(body)]) + body)
        assert b"header" in sock.recv(4096)
        sock.sendall(b"\x01\x00" + b"\x00" + bytes([len(body)]) + body[: len(body) // 2])
    with shaken(serving) as sock:
        sock.sendall(b"\x01\x00" * 100_000)  # a message that never ends


def test_a_frame_that_claims_more_than_there_may_be_ends_the_connection(serving: Member) -> None:
    with shaken(serving) as sock:
        sock.sendall(b"\x02" + struct.pack(">Q", 1 << 40) + bytes(1000))
        with contextlib.suppress(ConnectionResetError):
            while sock.recv(4096):
                pass


def test_300_idle_connections_that_never_speak(serving: Member) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(IDLE):
            stack.enter_context(connect(serving))
        with Dealer(serving.endpoint) as dealer:
            for number in range(20):
                assert dealer.call({"op": "put", "key": b"idle", "value": b"%d" % number}).keys() == {"header"}


def test_bodies_that_are_no_requests_are_answered_and_counted(serving: Member) -> None:
    bodies = [
        b"",
        b"\xc1",
        b"\xdf\xff\xff\xff\xff",
        b"\x91" * 100_000,
        b"\x81\xa2op",
        msgpack.packb([1]),
        b"\xff" * 1000,
    ]
    with Dealer(serving.endpoint) as dealer:
        before = dealer.call({"op": "metrics"})["metrics"]["undecodable"]
        for body in bodies:
            dealer.socket.send_multipart([b"x", body])
            _, reply = dealer.receive()
            assert (reply["error"]["code"], reply["error"]["status"]) == (3, "INVALID_ARGUMENT")
        assert dealer.call({"op": "metrics"})["metrics"]["undecodable"] == before + len(bodies)
