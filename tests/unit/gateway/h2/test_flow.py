"""Flow control both ways (RFC 9113 section 5.2), back-pressure, and the bounds against floods."""

import pytest

from tests.unit.gateway.h2.peer import BLOCK, REQUEST, Call, Frame, Peer
from zetcd.base import limits
from zetcd.gateway.h2 import frames, settings
from zetcd.gateway.h2.codes import Code
from zetcd.gateway.h2.fields import encode
from zetcd.gateway.h2.policing import Policy

INITIAL = settings.WINDOW_BYTES


def body(answers: list[Frame], stream_id: int = 1) -> int:
    return sum(len(one.payload) for one in answers if one.kind == frames.DATA and one.stream_id == stream_id)


def data(stream_id: int, payload: bytes = b"", *, end: bool = False) -> bytes:
    return frames.frame(frames.DATA, int(end), stream_id, payload)


# -- sending ---------------------------------------------------------------------------------------
def test_a_body_waits_for_the_windows_and_goes_on() -> None:
    peer = Peer().begin()
    stream = peer.open(1, end=True).stream
    stream.respond(BLOCK, b"x" * 200_000, BLOCK)
    answers = peer.read()
    assert body(answers) == INITIAL
    assert max(len(one.payload) for one in answers) <= frames.PAYLOAD_BYTES_MAX
    assert body(peer.say(frames.window_update(1, 50_000))) == 0  # the connection's is still empty
    assert body(peer.say(frames.window_update(0, 80_000))) == 50_000
    rest = peer.say(frames.window_update(0, 200_000), frames.window_update(1, 200_000))
    assert body(rest) == 200_000 - INITIAL - 50_000
    assert (rest[-1].kind, rest[-1].flags) == (frames.HEADERS, 5)
    assert not peer.connection.streams


def test_a_window_may_become_negative() -> None:
    """Section 6.9.2."""
    peer = Peer().begin()
    stream = peer.open(1, end=True).stream
    stream.respond(BLOCK, b"x" * 100_000, BLOCK)
    assert body(peer.read()) == INITIAL
    peer.say(frames.window_update(0, 1 << 20), frames.settings([(settings.INITIAL_WINDOW_SIZE, 10_000)]))
    assert stream.window == 10_000 - INITIAL
    assert body(peer.say(frames.window_update(1, INITIAL - 10_000))) == 0
    assert body(peer.say(frames.window_update(1, 1))) == 1
    assert body(peer.say(frames.settings([(settings.INITIAL_WINDOW_SIZE, 15_000)]))) == 5_000


def test_a_raised_initial_window_sets_waiting_streams_going() -> None:
    peer = Peer().begin((settings.INITIAL_WINDOW_SIZE, 0))
    peer.open(1, end=True).stream.respond(BLOCK, b"x" * 10, BLOCK)
    answers = peer.read()
    assert [one.kind for one in answers] == [frames.HEADERS]
    answers = peer.say(frames.settings([(settings.INITIAL_WINDOW_SIZE, 100)]))
    assert [one.kind for one in answers] == [frames.SETTINGS, frames.DATA, frames.HEADERS]


def test_streams_share_the_connection_by_turns() -> None:
    peer = Peer().begin((settings.INITIAL_WINDOW_SIZE, 1 << 20))
    streams = [peer.open(number, end=True).stream for number in (1, 3, 5)]
    for stream in streams:
        stream.respond(BLOCK, b"x" * 100_000, BLOCK)
    order = [one.stream_id for one in peer.read() if one.kind == frames.DATA]
    assert order[:4] == [1, 3, 5, 1]


def test_an_answer_without_a_body_needs_no_window() -> None:
    peer = Peer().begin((settings.INITIAL_WINDOW_SIZE, 0))
    peer.open(1, end=True).stream.finish(BLOCK)
    assert [(one.kind, one.flags) for one in peer.read()] == [(frames.HEADERS, 5)]


def test_a_stream_says_when_enough_waits_and_when_there_is_room_again() -> None:
    peer = Peer().begin((settings.INITIAL_WINDOW_SIZE, 0))
    call = peer.open(1, end=True)
    call.stream.start(BLOCK)
    piece = b"x" * (limits.STREAM_UNSENT_BYTES_MAX // 4)
    assert [call.stream.send(piece) for _ in range(5)] == [True] * 4 + [False]
    peer.say(frames.window_update(0, 1 << 30), frames.window_update(1, len(piece)))
    assert call.writable == 0
    peer.say(frames.window_update(1, 2 * len(piece)))
    assert call.writable == 1
    peer.say(frames.window_update(1, 2 * len(piece)))
    assert call.writable == 1


def test_what_the_client_does_not_read_stays_in_its_streams() -> None:
    """While the transport is full nothing is taken; streams that are over their bound say so."""
    peer = Peer().begin((settings.INITIAL_WINDOW_SIZE, 1 << 30))
    peer.say(frames.window_update(0, 1 << 30))
    call = peer.open(1, end=True)
    peer.connection.congested = True
    call.stream.start(BLOCK)
    assert not call.stream.send(b"x" * (limits.STREAM_UNSENT_BYTES_MAX + 1))
    assert peer.read() == []
    peer.connection.congested = False
    assert body(peer.read()) == limits.STREAM_UNSENT_BYTES_MAX + 1
    assert call.writable == 1


def test_one_take_gives_so_much_and_no_more() -> None:
    peer = Peer().begin((settings.INITIAL_WINDOW_SIZE, 1 << 30))
    peer.say(frames.window_update(0, 1 << 30))
    peer.open(1, end=True).stream.respond(BLOCK, b"x" * (4 * limits.GATEWAY_WRITE_BYTES), BLOCK)
    assert len(peer.connection.take()) < limits.GATEWAY_WRITE_BYTES + 2 * frames.PAYLOAD_BYTES_MAX
    assert peer.connection.has_output


def test_small_messages_share_frames() -> None:
    peer = Peer().begin()
    stream = peer.open(1, end=True).stream
    stream.start(BLOCK)
    for _ in range(1000):
        stream.send(b"0123456789")
    answers = peer.read()
    assert body(answers) == 10_000
    assert len(answers) == 2


def test_an_answer_to_an_incomplete_request_ends_it() -> None:
    """Section 8.1: RST_STREAM(NO_ERROR) behind the whole answer."""
    peer = Peer().begin()
    call = peer.open(1)
    call.stream.respond(BLOCK, b"x", BLOCK)
    assert [(one.kind, one.flags) for one in peer.read()] == [(1, 4), (0, 0), (1, 5), (frames.RST_STREAM, 0)]
    peer.say(data(1, b"more"))
    assert call.data == b""


def test_output_from_outside_wakes_the_owner_once() -> None:
    peer = Peer().begin()
    streams = [peer.open(number, end=True).stream for number in (1, 3)]
    before = peer.wakes
    for stream in streams:
        stream.respond(BLOCK, b"x", BLOCK)
    assert peer.wakes == before + 1
    peer.read()
    peer.open(5, end=True).stream.respond(BLOCK, b"x", BLOCK)
    assert peer.wakes == before + 2


# -- receiving -------------------------------------------------------------------------------------
def send(peer: Peer, call: Call, size: int) -> int:
    """As a client that heeds the windows: how much of size it can send before it must wait."""
    windows = {0: peer.connection._receive_window, call.stream.id: call.stream.receive_window}
    sent = 0
    while sent < size:
        step = min(size - sent, 16_384, *windows.values())
        if not step:
            break
        for answer in peer.say(data(call.stream.id, b"x" * step)):
            if answer.kind == frames.WINDOW_UPDATE:
                windows[answer.stream_id] += answer.number
        for key in windows:
            windows[key] -= step
        sent += step
    return sent


def test_a_body_larger_than_every_window_arrives() -> None:
    peer = Peer().begin()
    call = peer.open(1)
    assert send(peer, call, 9 << 20) == 9 << 20
    assert len(call.data) == 9 << 20


def test_a_paused_stream_holds_up_itself_only() -> None:
    peer = Peer().begin()
    paused, other = peer.open(1), peer.open(3)
    paused.stream.pause()
    assert send(peer, paused, 5 << 20) == limits.GATEWAY_STREAM_WINDOW_BYTES
    assert send(peer, other, 5 << 20) == 5 << 20
    paused.stream.resume()
    assert send(peer, paused, 5 << 20) == 5 << 20


def test_more_than_a_window_is_a_fault() -> None:
    peer = Peer().begin()
    call = peer.open(1)
    call.stream.pause()
    sent = send(peer, call, 1 << 20)
    assert sent == limits.GATEWAY_STREAM_WINDOW_BYTES
    assert peer.resets(data(1, b"x")) == [(1, Code.FLOW_CONTROL_ERROR)]
    assert call.resets == 1


def test_padding_counts_in_the_window() -> None:
    peer = Peer().begin()
    call = peer.open(1)
    call.stream.pause()
    padded = frames.frame(frames.DATA, frames.PADDED, 1, b"\xff" + bytes(255))
    for _ in range(limits.GATEWAY_STREAM_WINDOW_BYTES // 256):
        peer.say(padded)
    assert peer.resets(padded) == [(1, Code.FLOW_CONTROL_ERROR)]


# -- floods ----------------------------------------------------------------------------------------
FLOODS = {
    "settings": frames.settings([(settings.INITIAL_WINDOW_SIZE, 5)]),
    "settings acks": frames.SETTINGS_ACK,
    "pings": frames.ping(b"12345678", ack=False),
    "ping acks": frames.ping(b"12345678", ack=True),
    "window updates": frames.window_update(0, 1),
    "priority": frames.frame(frames.PRIORITY, 0, 9, bytes(5)),
    "empty data": data(1),
    "resets of closed streams": frames.rst_stream(1, 8),
    "unknown frames": frames.frame(0x50, 0, 0, b""),
    "goaway": frames.goaway(0, 0, b""),
}


@pytest.mark.parametrize("kind", FLOODS)
def test_frames_without_use_are_bounded(kind: str) -> None:
    peer = Peer(Policy(keepalive_min=0)).begin()
    call = peer.open(1)
    if kind == "resets of closed streams":
        call.stream.finish(BLOCK)
    flood = FLOODS[kind] * 100
    rounds = 0
    while not peer.connection.closing:
        peer.say(flood)
        rounds += 1
        assert rounds < 1000
    assert rounds >= limits.GATEWAY_CONTROL_FRAMES_MAX // 100 - 1


def test_the_same_frames_are_welcome_in_moderation() -> None:
    peer = Peer(Policy(keepalive_min=0)).begin()
    peer.open(1)
    for _ in range(10 * limits.GATEWAY_CONTROL_FRAMES_MAX // limits.GATEWAY_CONTROL_FRAMES_PER_S):
        peer.now += 1.1
        peer.say(frames.settings([]) * limits.GATEWAY_CONTROL_FRAMES_PER_S)
    assert not peer.connection.closing


def test_frames_that_answer_our_data_are_no_flood() -> None:
    """A client that reads a large answer sends a window update for each frame or two."""
    peer = Peer().begin()
    stream = peer.open(1, end=True).stream
    stream.start(BLOCK)
    for _ in range(2 * limits.GATEWAY_CONTROL_FRAMES_MAX):
        stream.send(b"x" * 100)
        peer.say(frames.window_update(1, 100) + frames.window_update(0, 100))
    assert not peer.connection.closing


def test_requests_taken_back_are_bounded() -> None:
    """CVE-2023-44487."""
    peer = Peer().begin()
    stream_id = 1
    while not peer.connection.closing:
        peer.say(frames.headers(stream_id, BLOCK, end=True) + frames.rst_stream(stream_id, 8))
        stream_id += 2
        assert stream_id < 10 * limits.GATEWAY_RESETS_MAX
    assert stream_id // 2 == limits.GATEWAY_RESETS_MAX + 1
    assert len(peer.calls) == limits.GATEWAY_RESETS_MAX + 1
    assert all(call.resets == 1 for call in peer.calls)


def test_streams_that_were_being_answered_are_taken_back_freely() -> None:
    peer = Peer().begin()
    for number in range(2 * limits.GATEWAY_RESETS_MAX):
        peer.open(2 * number + 1).stream.start(BLOCK)
        peer.say(frames.rst_stream(2 * number + 1, 8))
    assert not peer.connection.closing


def test_a_header_block_is_bounded_in_bytes_and_in_frames() -> None:
    """CVE-2024-27316."""
    for piece in (b"", b"\0" * 16_000):
        peer = Peer().begin()
        peer.say(frames.frame(frames.HEADERS, 0, 1, BLOCK))
        count = 0
        while not peer.connection.closing:
            peer.say(frames.frame(frames.CONTINUATION, 0, 1, piece))
            count += 1
            assert count <= limits.GATEWAY_CONTINUATIONS_MAX + 1
        assert not peer.calls


def test_a_small_block_that_means_a_large_list_is_refused_and_the_table_lives_on() -> None:
    """A reference of one byte may stand for 4 KB."""
    peer = Peer().begin()
    entry = b"\x40\x01x\x7f\xa1\x1e" + b"v" * 4000
    peer.say(frames.headers(1, BLOCK + entry, end=True))
    assert peer.resets(frames.headers(3, BLOCK + b"\xbe" * 1000, end=True)) == [(3, Code.ENHANCE_YOUR_CALM)]
    peer.say(frames.headers(5, BLOCK + b"\xbe", end=True))
    assert peer.calls[-1].head.fields[0][1] == b"v" * 4000


def test_streams_at_once_are_bounded() -> None:
    peer = Peer(Policy(streams_max=2)).begin()
    first = peer.open(1)
    peer.open(3)
    assert peer.resets(frames.headers(5, BLOCK, end=True)) == [(5, Code.REFUSED_STREAM)]
    first.stream.finish(BLOCK)
    assert peer.resets(frames.headers(7, BLOCK, end=True)) == [(1, Code.NO_ERROR)]
    assert len(peer.calls) == 3


def test_answers_that_a_client_does_not_read_are_bounded() -> None:
    peer = Peer().begin()
    number = 1
    while not peer.connection.closing:
        peer.connection.congested = True
        peer.connection.receive(frames.headers(number, BLOCK, end=True), peer.now)
        if peer.calls and not peer.connection.closing:
            peer.calls.pop().stream.finish(encode([(b"grpc-message", b"m" * 4000)]))
        number += 2
        assert number < 10_000
    assert sum(map(len, peer.connection._out)) < limits.GATEWAY_UNREAD_BYTES_MAX + 10_000


def test_bodies_that_a_client_does_not_read_are_bounded() -> None:
    peer = Peer().begin((settings.INITIAL_WINDOW_SIZE, 0))
    number = 1
    while True:
        refused = peer.resets(frames.headers(number, BLOCK, end=True))
        if refused:
            break
        peer.calls[-1].stream.respond(BLOCK, bytes(1 << 20), BLOCK)
        number += 2
    assert refused == [(number, Code.REFUSED_STREAM)]
    assert peer.connection.unsent <= limits.GATEWAY_UNSENT_BYTES_MAX + (1 << 20)
    assert [peer.say(frames.rst_stream(one.stream.id, 8)) for one in peer.calls[:2]] == [[], []]
    assert peer.resets(frames.headers(number + 2, BLOCK, end=True)) == []


def test_streams_of_a_connection_that_leaves_too_much_unread_are_told_so_after_each_message() -> None:
    """Each might keep its own bound otherwise, ten thousand times."""
    peer = Peer().begin((settings.INITIAL_WINDOW_SIZE, 0))
    for number in range(1, 201, 2):
        peer.say(frames.headers(number, BLOCK, end=True))
    message = bytes(1 << 16)
    for call in peer.calls:
        call.stream.start(BLOCK)
        while call.stream.send(message):
            pass
    bound = limits.GATEWAY_UNSENT_BYTES_MAX + len(peer.calls) * len(message)
    assert peer.connection.unsent <= bound < len(peer.calls) * limits.STREAM_UNSENT_BYTES_MAX
    last = peer.calls[-1]
    assert last.stream.pending_bytes == len(message)
    peer.say(frames.window_update(last.stream.id, 1 << 20), frames.window_update(0, 1 << 20))
    assert (last.stream.pending_bytes, last.writable) == (0, 1), "and when to go on"


# -- keepalive -------------------------------------------------------------------------------------
PING = frames.ping(b"12345678", ack=False)


def strikes(peer: Peer, every: float, *, most: int = 20) -> int:
    count = 0
    while not peer.connection.closing and count < most:
        peer.say(PING)
        peer.now += every
        count += 1
    return count


def test_pings_that_come_too_often_end_the_connection_as_in_etcd() -> None:
    peer = Peer().begin()
    peer.open(1)
    assert strikes(peer, 4.9) == 4  # the first is free, then two strikes are forgiven
    peer = Peer().begin()
    peer.open(1)
    assert strikes(peer, 5.1) == 20
    peer = Peer().begin()
    assert strikes(peer, 60) == 4  # no call is under way
    peer = Peer(Policy(keepalive_min=0)).begin()
    assert strikes(peer, 0.001) == 20


def test_the_client_is_told_why() -> None:
    peer = Peer().begin()
    answers = [answer for _ in range(4) for answer in peer.say(PING)]
    assert (answers[-1].kind, answers[-1].payload[8:]) == (frames.GOAWAY, b"too_many_pings")


def test_answers_forgive_pings() -> None:
    peer = Peer().begin()
    stream = peer.open(1).stream
    stream.start(BLOCK)
    for _ in range(20):
        stream.send(b"x")
        peer.read()
        assert strikes(peer, 0.001, most=2) == 2
    assert not peer.connection.closing


def test_a_quiet_client_is_pinged_and_then_given_up() -> None:
    policy = Policy(keepalive_interval=100, keepalive_timeout=20)
    peer = Peer(policy).begin()
    call = peer.open(1)
    start = peer.now
    assert peer.connection.tick(start) == start + 100
    assert peer.connection.tick(start + 100) == start + 120
    (ping,) = peer.read()
    assert (ping.kind, ping.flags) == (frames.PING, 0)
    peer.now = start + 110
    peer.say(frames.ping(ping.payload, ack=True))
    assert peer.connection.tick(start + 120) == start + 210
    assert peer.connection.tick(start + 210) == start + 230
    peer.connection.tick(start + 230)
    assert peer.connection.finished
    assert call.resets == 1


# -- closing ---------------------------------------------------------------------------------------
def test_closing_lets_calls_under_way_end() -> None:
    peer = Peer().begin()
    first = peer.open(1, end=True)
    peer.connection.close()
    going, ping = peer.read()
    assert (going.kind, going.number) == (frames.GOAWAY, frames.STREAM_ID_MAX)
    second = peer.open(3, end=True)  # sent before the client knew
    (final,) = peer.say(frames.ping(ping.payload, ack=True))
    assert (final.kind, final.number) == (frames.GOAWAY, 3)
    assert peer.say(frames.headers(5, encode(REQUEST), end=True)) == []
    assert len(peer.calls) == 2
    assert not peer.connection.finished
    first.stream.respond(BLOCK, b"x", BLOCK)
    second.stream.respond(BLOCK, b"x", BLOCK)
    assert peer.connection.finished
    assert body(peer.read(), 3) == 1


def test_a_client_that_says_goodbye_is_let_go_when_its_calls_have_ended() -> None:
    peer = Peer().begin()
    call = peer.open(1, end=True)
    peer.say(frames.goaway(0, 0, b""))
    assert not peer.connection.finished
    call.stream.respond(BLOCK, b"x", BLOCK)
    assert peer.connection.finished


def test_a_lost_connection_ends_every_call_once() -> None:
    peer = Peer().begin()
    calls = [peer.open(number) for number in (1, 3, 5)]
    peer.connection.lost()
    peer.connection.lost()
    assert [call.resets for call in calls] == [1, 1, 1]
    for call in calls:
        call.stream.respond(BLOCK, b"x", BLOCK)
        assert call.stream.send(b"x")
    assert peer.say(frames.headers(7, BLOCK, end=True)) == []
