"""Websockets: the handshake, frames of any shape in any order, and what is bounded; beside a client of `websockets`."""

import random

import pytest
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side

from tests.unit.gateway.http1 import site as plain
from tests.unit.gateway.http1.site import HOST, answer, get
from zetcd.base import limits
from zetcd.gateway.http1.exchange import Exchange, Request
from zetcd.gateway.http1.websocket import Socket

ASK = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
"""The example of RFC 6455, section 1.3."""


class Site(plain.Site):
    """A connection, made a websocket at /ws. eager: whatever comes is taken at once."""

    def __init__(self, *, eager: bool = True) -> None:
        super().__init__()
        self.eager = eager
        self.socket: Socket | None = None
        self.heard: list[bytes] = []
        self.writable = 0
        self.client = Protocol(Side.CLIENT, max_size=None)
        self.frames: list[Frame] = []

    def serve(self, request: Request, exchange: Exchange) -> None:
        if request.path != "/ws" or request.upgrade is None:
            super().serve(request, exchange)
            return
        self.socket = request.upgrade([])
        self.socket.on_readable = self.listen if self.eager else None
        self.socket.on_cancel = self.cancel
        self.socket.on_writable = self._room
        if self.eager:
            self.listen()

    def listen(self) -> None:
        assert self.socket is not None
        while (message := self.socket.take()) is not None:
            self.heard.append(message)

    def _room(self) -> None:
        self.writable += 1

    def open(self) -> Socket:
        assert self.say(get(b"/ws", ASK + KEY)) == SWITCHED
        assert self.socket is not None
        return self.socket

    def send(self, *, step: int = 1 << 20) -> None:
        """What the client's protocol has to say, and back to it what is answered."""
        data = b"".join(self.client.data_to_send())
        for at in range(0, len(data), step):
            self.wire.receive(data[at : at + step], self.now)
        self.hear()

    def hear(self) -> None:
        if out := self.read():
            self.client.receive_data(out)
            self.frames += [one for one in self.client.events_received() if isinstance(one, Frame)]

    @property
    def texts(self) -> list[bytes]:
        return [bytes(one.data) for one in self.frames if one.opcode is Opcode.TEXT]

    @property
    def closed_with(self) -> int | None:
        return self.client.close_rcvd.code if self.client.close_rcvd is not None else None


@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_messages_both_ways_cut_anywhere(step: int) -> None:
    site = Site()
    socket = site.open()
    site.client.send_text(b"one")
    site.client.send_binary(bytes(70_000))
    site.client.send_text(b"th", fin=False)
    site.client.send_ping(b"hey")
    site.client.send_continuation(b"", fin=False)
    site.client.send_continuation(b"ree", fin=True)
    site.send(step=step)
    assert site.heard == [b"one", bytes(70_000), b"three"]
    assert [(one.opcode, bytes(one.data)) for one in site.frames] == [(Opcode.PONG, b"hey")]
    assert socket.send(b"a" * 70_000)
    assert socket.send(b"")
    site.hear()
    assert site.texts == [b"a" * 70_000, b""]
    assert site.held.bytes == 0
    assert not site.wire.closing


def test_messages_may_come_with_the_handshake() -> None:
    site = Site()
    site.client.send_text(b"one")
    out = site.say(get(b"/ws", ASK + KEY) + b"".join(site.client.data_to_send()))
    assert out == SWITCHED
    assert site.heard == [b"one"]


def test_a_handshake_waits_its_turn() -> None:
    site = Site()
    assert site.say(get(b"/later") + get(b"/ws", ASK + KEY)) == b""
    assert site.socket is None
    site.kept[0].respond(200, [("X", "y")], b"now")
    assert site.read() == answer(b"now") + SWITCHED


def test_who_does_not_upgrade_goes_on_with_http() -> None:
    site = Site()
    assert site.say(get(b"/a", ASK + KEY) + get(b"/b")) == answer(b"/a") + answer(b"/b")
    assert not site.wire.closing


@pytest.mark.parametrize(
    "request_",
    [
        b"POST /ws HTTP/1.1\r\n" + HOST + ASK + KEY + b"Content-Length: 3\r\n\r\nabc",
        b"GET /ws HTTP/1.1\r\n" + HOST + ASK + KEY + b"Content-Length: 3\r\n\r\nabc",
        b"GET /ws HTTP/1.1\r\n" + HOST + ASK + KEY + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /ws HTTP/1.1\r\n" + HOST + ASK.replace(b"websocket", b"h2c") + KEY + b"\r\n",
        b"GET /ws HTTP/1.1\r\n" + HOST + ASK.replace(b"Connection: Upgrade", b"X: y") + KEY + b"\r\n",
        b"GET /ws HTTP/1.0\r\n" + HOST + ASK.replace(b"Upgrade\r\n", b"Upgrade, keep-alive\r\n") + KEY + b"\r\n",
    ],
)
def test_what_has_a_body_or_another_wish_is_read_as_http(request_: bytes) -> None:
    site = Site()
    out = site.say(request_ + get(b"/b"))
    assert site.socket is None
    assert out.startswith(b"HTTP/1.1 200 OK\r\n")
    assert out.endswith(b"\r\n\r\n/b")
    assert out.count(b"HTTP/1.1 200 OK") == 2


def test_the_client_closes_and_what_came_before_is_heard() -> None:
    site = Site(eager=False)
    socket = site.open()
    site.client.send_text(b"one")
    site.client.send_close(4000, "bye")
    site.send()
    assert site.cancelled == 0
    assert socket.take() == b"one"
    assert socket.take() is None
    assert site.cancelled == 1
    site.hear()
    assert site.closed_with == 4000
    assert site.wire.finished
    assert site.held.bytes == 0


def test_the_end_waits_for_the_clients_close() -> None:
    site = Site()
    socket = site.open()
    socket.send(b"last")
    socket.end()
    socket.send(b"never")
    socket.end()
    site.client.send_text(b"on its way")
    site.send()
    assert (site.texts, site.closed_with) == ([b"last"], 1000)
    assert not site.wire.closing
    site.send()  # Close, as the client's protocol answers by itself
    assert site.wire.finished
    assert site.cancelled == 0
    assert site.heard == []
    assert site.held.bytes == 0


def test_a_client_that_does_not_answer_close_or_never_speaks_is_given_up() -> None:
    site = Site()
    site.open()
    assert site.wire.tick(site.now + limits.HTTP_IDLE_MS / 2000) < site.now + limits.HTTP_IDLE_MS / 1000
    site.wire.tick(site.now + limits.HTTP_IDLE_MS / 1000)
    site.hear()
    assert site.closed_with == 1000
    site.wire.tick(site.now + limits.HTTP_IDLE_MS / 1000 + 1)
    assert not site.wire.closing
    site.wire.tick(site.now + limits.HTTP_IDLE_MS / 1000 + 1 + limits.HTTP_REQUEST_MS / 1000)
    assert site.wire.finished


@pytest.mark.parametrize("path", [b"/ws", b"/later"])
def test_a_client_that_does_not_read_the_end_is_given_up(path: bytes) -> None:
    """It kept its connection for ever, and what was left of a websocket was told 408 with each tick."""
    site = Site()
    exchange: Exchange | Socket
    if path == b"/ws":
        exchange = site.open()
        assert exchange.send(b"one")
    else:
        site.say(get(path))
        (exchange,) = site.kept
        exchange.start(200, [])
        exchange.write(b"one")
    site.read()
    site.wire.congested = True
    exchange.end()
    unsent = site.wire.unsent
    for second in range(1, limits.HTTP_IDLE_MS // 1000):
        site.wire.tick(site.now + second)
    assert site.wire.unsent == unsent > 0
    assert not site.wire.finished
    site.wire.tick(site.now + 2 * limits.HTTP_IDLE_MS / 1000)
    assert site.wire.finished


def test_a_connection_that_was_quiet_before_its_handshake_has_the_whole_time_to_speak() -> None:
    site = Site()
    idle_s = limits.HTTP_IDLE_MS / 1000
    site.now += idle_s - 1
    site.open()
    site.wire.tick(site.now + 1)
    site.hear()
    assert site.closed_with is None
    site.wire.tick(site.now + idle_s)
    site.hear()
    assert site.closed_with == 1000


def test_a_socket_in_use_may_be_quiet_for_ever() -> None:
    site = Site()
    site.open()
    site.client.send_text(b"one")
    site.send()
    for hour in range(100):
        site.wire.tick(site.now + 3_600 * hour)
    site.hear()
    assert site.closed_with is None
    assert not site.wire.closing


def test_a_gateway_that_stops_lets_calls_end() -> None:
    used, unused = Site(), Site()
    for site in (used, unused):
        site.open()
    used.client.send_text(b"one")
    used.send()
    for site in (used, unused):
        site.wire.close()
        site.hear()
    assert (used.closed_with, unused.closed_with) == (None, 1000)
    assert used.socket is not None
    used.socket.end()
    for site in (used, unused):
        site.hear()
        site.send()
        assert site.wire.finished


def test_a_lost_connection_is_told() -> None:
    site = Site(eager=False)
    site.open()
    site.client.send_text(b"one")
    site.send()
    site.wire.lost()
    assert site.cancelled == 1
    assert site.held.bytes == 0


@pytest.mark.parametrize(
    "data",
    [
        b"\x81\x02{}",  # no mask
        b"\xc1\x80abcd",  # a reserved bit
        b"\x83\x80abcd",  # an unknown opcode
        b"\x89\xfe\x00\x80abcd" + bytes(128),  # a long ping
        b"\x09\x80abcd",  # a ping in fragments
        b"\x80\x80abcd",  # a continuation of nothing
        b"\x01\x80abcd\x81\x80abcd",  # a message within a message
        b"\x88\x81abcd\x00",  # half a code
    ],
)
@pytest.mark.parametrize("eager", [True, False])
def test_frames_that_break_the_rules_end_the_connection(data: bytes, eager: bool) -> None:
    site = Site(eager=eager)
    socket = site.open()
    site.wire.receive(data + b"\x81\x80abcd" * 10, site.now)
    site.hear()
    if not eager:
        site.listen()
        site.hear()
    assert site.closed_with == 1002
    assert site.heard == []
    assert site.cancelled == 1
    assert site.wire.finished
    assert socket.done
    assert site.held.bytes == 0


@pytest.mark.parametrize("fragments", [1, 10])
def test_a_message_over_the_bound_is_refused_before_it_is_here(fragments: int) -> None:
    site = Site()
    site.open()
    size = limits.WEBSOCKET_MESSAGE_BYTES_MAX // fragments + 1
    for number in range(fragments):
        head = bytes([0x01 if number == 0 else 0x00, 0xFF]) + size.to_bytes(8, "big") + bytes(4)
        site.wire.receive(head, site.now)
        if number < fragments - 1:
            site.wire.receive(bytes(size), site.now)
        assert site.held.bytes <= limits.WEBSOCKET_MESSAGE_BYTES_MAX + 100
    site.hear()
    assert site.closed_with == 1009
    assert site.wire.finished
    assert site.held.bytes == 0


def test_a_message_at_the_bound_is_heard() -> None:
    site = Site()
    site.open()
    site.client.send_text(bytes(limits.WEBSOCKET_MESSAGE_BYTES_MAX))
    site.send()
    assert [len(one) for one in site.heard] == [limits.WEBSOCKET_MESSAGE_BYTES_MAX]


@pytest.mark.parametrize("frame", [b"\x89\x80abcd", b"\x8a\x80abcd", b"\x81\x80abcd"], ids=["pings", "pongs", "empty"])
def test_floods_of_frames_that_carry_nothing_end_the_connection(frame: bytes) -> None:
    site = Site()
    site.open()
    site.say(frame * limits.GATEWAY_CONTROL_FRAMES_MAX)
    assert not site.wire.closing
    site.now += 1
    site.say(frame * limits.GATEWAY_CONTROL_FRAMES_PER_S)
    assert not site.wire.closing
    site.wire.receive(frame * 1_000, site.now)
    site.hear()
    assert site.closed_with == 1008
    assert site.wire.finished
    assert site.heard == []


def test_floods_of_fragments_end_the_connection() -> None:
    site = Site()
    site.open()
    site.say(b"\x01\x80abcd")
    site.wire.receive(b"\x00\x80abcd" * (limits.GATEWAY_CONTROL_FRAMES_MAX + 1_000), site.now)
    site.hear()
    assert site.closed_with == 1008


def test_a_client_that_does_not_read_gets_no_pongs() -> None:
    site = Site()
    socket = site.open()
    site.wire.congested = True
    assert not socket.send(bytes(limits.STREAM_UNSENT_BYTES_MAX))
    waiting = site.wire.unsent
    site.client.send_ping(b"hey")
    site.send()
    assert site.wire.unsent == waiting
    site.wire.congested = False
    site.hear()
    assert site.writable == 1
    assert [len(text) for text in site.texts] == [limits.STREAM_UNSENT_BYTES_MAX]


def test_who_takes_nothing_is_sent_nothing_more() -> None:
    """The connection says full, and wakes its owner when there is room again."""
    site = Site(eager=False)
    socket = site.open()
    count = 0
    while not site.wire.full:
        site.client.send_text(b"x" * 1_000)
        site.send()
        count += 1
    assert count * 1_000 < limits.WEBSOCKET_UNREAD_BYTES_MAX + 2_000
    wakes = site.wakes
    assert [socket.take() for _ in range(count)] == [b"x" * 1_000] * count
    assert socket.take() is None
    assert not site.wire.full
    assert site.wakes == wakes + 1


def test_what_all_hold_together_is_bounded() -> None:
    site = Site()
    site.open()
    site.held.most = 100_000
    site.wire.receive(b"\x81\xff" + (1_000_000).to_bytes(8, "big") + bytes(4) + bytes(120_000), site.now)
    site.hear()
    assert site.closed_with == 1013
    assert site.held.bytes == 0


def test_ignored_messages_are_dropped_and_pings_answered() -> None:
    site = Site(eager=False)
    socket = site.open()
    socket.ignore()
    for _ in range(100):
        site.client.send_text(bytes(10_000))
        site.send()
    assert not site.wire.full
    assert site.held.bytes == 0
    site.client.send_ping(b"hey")
    site.send()
    assert [one.opcode for one in site.frames] == [Opcode.PONG]
    assert socket.take() is None


def test_floods_of_messages_that_nobody_wants_end_the_connection() -> None:
    site = Site()
    site.open().ignore()
    site.wire.receive(b"\x81\x82\0\0\0\0{}" * (limits.GATEWAY_CONTROL_FRAMES_MAX + 1_000), site.now)
    site.hear()
    assert site.closed_with == 1008
    assert site.held.bytes == 0


@pytest.mark.parametrize("seed", range(20))
def test_random_exchanges(seed: int) -> None:
    """What either says arrives in order, whatever the shape and cut of its frames; nothing is held afterwards."""
    dice = random.Random(seed)
    site = Site()
    socket = site.open()
    said: list[bytes] = []
    sent: list[bytes] = []
    for _ in range(200):
        kind = dice.randrange(4)
        if kind == 0:
            sent.append(dice.randbytes(dice.choice([0, 1, 125, 126, 70_000])))
            socket.send(sent[-1])
        elif kind == 1:
            site.client.send_ping(dice.randbytes(dice.randrange(126)))
        else:
            message = b"x" + dice.randbytes(dice.choice([0, 1, 124, 125, 65_534, 65_535]))
            said.append(message)
            cuts = sorted(dice.randrange(len(message) + 1) for _ in range(dice.randrange(4)))
            parts = [message[a:b] for a, b in zip([0, *cuts], [*cuts, len(message)], strict=True)]
            site.client.send_text(parts[0], fin=len(parts) == 1)
            for number, part in enumerate(parts[1:], 2):
                site.client.send_continuation(part, fin=number == len(parts))
        if dice.randrange(3) == 0:
            site.send(step=dice.choice([1 << 20, 10_000, 777]))
    site.send()
    assert site.heard == said
    assert site.texts == sent
    assert site.held.bytes == 0
