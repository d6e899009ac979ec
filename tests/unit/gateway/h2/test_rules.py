"""RFC 9113, rule by rule: what a client may not do, and what it gets for it; and what it may do, and must not hurt."""

# ruff: noqa: E501  (tables with one rule a line)

import struct

import pytest

from tests.unit.gateway.h2.peer import BLOCK, REQUEST, START, Peer
from zetcd.gateway.h2 import frames, settings
from zetcd.gateway.h2.codes import Code
from zetcd.gateway.h2.fields import encode
from zetcd.gateway.h2.policing import Policy

HEAD = frames.headers(1, BLOCK, end=False)
WHOLE = frames.headers(1, BLOCK, end=True)


def frame(kind: int, flags: int = 0, stream_id: int = 0, payload: bytes = b"") -> bytes:
    return frames.frame(kind, flags, stream_id, payload)


def data(stream_id: int, payload: bytes = b"", *, end: bool = False) -> bytes:
    return frame(frames.DATA, int(end), stream_id, payload)


def pair(name: int, value: int) -> bytes:
    return frames.settings([(name, value)])


CONNECTION_FAULTS = {
    "3.4 something else than the preface": (b"", b"GET / HTTP/1.1\r\n", Code.PROTOCOL_ERROR),
    "3.4 no SETTINGS behind the preface": (b"", frames.PREFACE + frames.ping(b"12345678", ack=False), Code.PROTOCOL_ERROR),
    "3.4 an ack behind the preface": (b"", frames.PREFACE + frames.SETTINGS_ACK, Code.PROTOCOL_ERROR),
    "4.2 longer than SETTINGS_MAX_FRAME_SIZE": (START + HEAD, frame(frames.DATA, 0, 1, b"x" * 16385), Code.FRAME_SIZE_ERROR),
    "4.3 a block that refers to nothing": (START, frame(frames.HEADERS, 5, 1, b"\xff\x7f"), Code.COMPRESSION_ERROR),
    "4.3 a block that breaks off": (START, frame(frames.HEADERS, 5, 1, b"\x40\x05ab"), Code.COMPRESSION_ERROR),
    "4.3 index 0": (START, frame(frames.HEADERS, 5, 1, b"\x80"), Code.COMPRESSION_ERROR),
    "5.1 DATA on an idle stream": (START, data(1), Code.PROTOCOL_ERROR),
    "5.1 RST_STREAM on an idle stream": (START, frames.rst_stream(1, 8), Code.PROTOCOL_ERROR),
    "5.1 WINDOW_UPDATE on an idle stream": (START, frames.window_update(1, 5), Code.PROTOCOL_ERROR),
    "5.1 CONTINUATION on an idle stream": (START, frame(frames.CONTINUATION, 4, 1, BLOCK), Code.PROTOCOL_ERROR),
    "5.1.1 an even stream": (START, frames.headers(2, BLOCK, end=True), Code.PROTOCOL_ERROR),
    "5.1.1 a lower stream than before": (START + frames.headers(5, BLOCK, end=False), frames.headers(3, BLOCK, end=True), Code.PROTOCOL_ERROR),
    "6.1 DATA on stream 0": (START, data(0, b"x"), Code.PROTOCOL_ERROR),
    "6.1 padding longer than the frame": (START + HEAD, frame(frames.DATA, frames.PADDED, 1, b"\x05abc"), Code.PROTOCOL_ERROR),
    "6.1 no pad length": (START + HEAD, frame(frames.DATA, frames.PADDED, 1), Code.FRAME_SIZE_ERROR),
    "6.2 HEADERS on stream 0": (START, frames.headers(0, BLOCK, end=True), Code.PROTOCOL_ERROR),
    "6.2 padding longer than the frame": (START, frame(frames.HEADERS, 0xD, 1, b"\xff" + BLOCK), Code.PROTOCOL_ERROR),
    "6.2 too short for its priority": (START, frame(frames.HEADERS, 0x25, 1, b"abc"), Code.FRAME_SIZE_ERROR),
    "6.2 another frame inside a block": (START + frame(frames.HEADERS, 1, 1, BLOCK), frames.ping(b"12345678", ack=False), Code.PROTOCOL_ERROR),
    "6.3 PRIORITY on stream 0": (START, frame(frames.PRIORITY, 0, 0, bytes(5)), Code.PROTOCOL_ERROR),
    "6.3 PRIORITY of broken length": (START + HEAD, frame(frames.PRIORITY, 0, 1, bytes(4)), Code.FRAME_SIZE_ERROR),
    "6.4 RST_STREAM on stream 0": (START, frames.rst_stream(0, 8), Code.PROTOCOL_ERROR),
    "6.4 RST_STREAM of broken length": (START + HEAD, frame(frames.RST_STREAM, 0, 1, b"abc"), Code.FRAME_SIZE_ERROR),
    "6.5 SETTINGS on a stream": (START, frame(frames.SETTINGS, 0, 1), Code.PROTOCOL_ERROR),
    "6.5 SETTINGS of broken length": (START, frame(frames.SETTINGS, 0, 0, b"abc"), Code.FRAME_SIZE_ERROR),
    "6.5 ack with a payload": (START, frame(frames.SETTINGS, 1, 0, bytes(6)), Code.FRAME_SIZE_ERROR),
    "6.5.2 ENABLE_PUSH": (START, pair(settings.ENABLE_PUSH, 2), Code.PROTOCOL_ERROR),
    "6.5.2 INITIAL_WINDOW_SIZE": (START, pair(settings.INITIAL_WINDOW_SIZE, 2**31), Code.FLOW_CONTROL_ERROR),
    "6.5.2 MAX_FRAME_SIZE too small": (START, pair(settings.MAX_FRAME_SIZE, 16383), Code.PROTOCOL_ERROR),
    "6.5.2 MAX_FRAME_SIZE too large": (START, pair(settings.MAX_FRAME_SIZE, 2**24), Code.PROTOCOL_ERROR),
    "6.6 PUSH_PROMISE": (START + HEAD, frame(frames.PUSH_PROMISE, 4, 1, bytes(4) + BLOCK), Code.PROTOCOL_ERROR),
    "6.7 PING on a stream": (START, frame(frames.PING, 0, 1, bytes(8)), Code.PROTOCOL_ERROR),
    "6.7 PING of broken length": (START, frame(frames.PING, 0, 0, bytes(7)), Code.FRAME_SIZE_ERROR),
    "6.8 GOAWAY on a stream": (START, frame(frames.GOAWAY, 0, 1, bytes(8)), Code.PROTOCOL_ERROR),
    "6.8 GOAWAY of broken length": (START, frame(frames.GOAWAY, 0, 0, bytes(7)), Code.FRAME_SIZE_ERROR),
    "6.9 WINDOW_UPDATE by nothing": (START, frames.window_update(0, 0), Code.PROTOCOL_ERROR),
    "6.9 WINDOW_UPDATE of broken length": (START, frame(frames.WINDOW_UPDATE, 0, 0, b"abc"), Code.FRAME_SIZE_ERROR),
    "6.9.1 the window above 2^31-1": (START, frames.window_update(0, 2**31 - 1), Code.FLOW_CONTROL_ERROR),
    "6.9.2 a stream's window above 2^31-1 by SETTINGS": (START + HEAD + frames.window_update(1, 2**31 - 65536), pair(settings.INITIAL_WINDOW_SIZE, 65537), Code.FLOW_CONTROL_ERROR),
    "7541 4.2 a table larger than allowed": (START, frame(frames.HEADERS, 5, 1, b"\x3f\xe2\x1f" + BLOCK), Code.COMPRESSION_ERROR),
    "7541 4.2 a size update inside a block": (START, frame(frames.HEADERS, 5, 1, BLOCK + b"\x20"), Code.COMPRESSION_ERROR),
    "7541 5.1 an endless integer": (START, frame(frames.HEADERS, 5, 1, b"\xff" + b"\xff" * 9), Code.COMPRESSION_ERROR),
    "7541 5.2 bad Huffman padding": (START, frame(frames.HEADERS, 5, 1, b"\x00\x81\x00\x01a"), Code.COMPRESSION_ERROR),
}  # fmt: skip


@pytest.mark.parametrize("rule", CONNECTION_FAULTS)
@pytest.mark.parametrize("bytewise", [False, True])
def test_a_connection_error_ends_the_connection_with_its_code(rule: str, bytewise: bool) -> None:
    before, fault, code = CONNECTION_FAULTS[rule]
    peer = Peer()
    assert peer.fault(before) is None
    pieces = [fault[at : at + 1] for at in range(len(fault))] if bytewise else [fault]
    assert peer.fault(*pieces) == code
    assert all(call.resets == 1 for call in peer.calls)
    assert not peer.connection.streams
    assert peer.connection.finished
    assert peer.say(WHOLE) == []


STREAM_FAULTS = {
    "5.1 DATA behind END_STREAM": (WHOLE, data(1, b"x"), Code.STREAM_CLOSED),
    "5.1 HEADERS behind END_STREAM": (WHOLE, frames.headers(1, encode([(b"x", b"y")]), end=True), Code.STREAM_CLOSED),
    "6.9 WINDOW_UPDATE of a stream by nothing": (HEAD, frames.window_update(1, 0), Code.PROTOCOL_ERROR),
    "6.9.1 a stream's window above 2^31-1": (HEAD, frames.window_update(1, 2**31 - 1), Code.FLOW_CONTROL_ERROR),
    "8.1 HEADERS inside a body": (HEAD, frames.headers(1, encode([(b"x", b"y")]), end=False), Code.PROTOCOL_ERROR),
    "8.1 pseudo-fields in trailers": (HEAD, WHOLE, Code.PROTOCOL_ERROR),
    "8.1.1 less than content-length": (frames.headers(1, encode([*REQUEST, (b"content-length", b"4")]), end=False), data(1, b"abc", end=True), Code.PROTOCOL_ERROR),
    "8.1.1 more than content-length": (frames.headers(1, encode([*REQUEST, (b"content-length", b"4")]), end=False), data(1, b"abcde"), Code.PROTOCOL_ERROR),
    "8.1.1 content-length without a body": (b"", frames.headers(1, encode([*REQUEST, (b"content-length", b"4")]), end=True), Code.PROTOCOL_ERROR),
}  # fmt: skip


@pytest.mark.parametrize("rule", STREAM_FAULTS)
def test_a_stream_error_ends_the_stream_with_its_code_and_no_other(rule: str) -> None:
    before, fault, code = STREAM_FAULTS[rule]
    peer = Peer()
    peer.say(START + before)
    assert peer.resets(fault) == [(1, code)]
    assert all(call.resets == 1 for call in peer.calls if call.head.content_length is None)
    other = peer.open(3, end=True)
    assert other.ended
    assert not peer.connection.closing


MALFORMED = {
    "8.2 an upper-case name": [*REQUEST, (b"X-a", b"b")],
    "8.2.1 a space in a name": [*REQUEST, (b"x a", b"b")],
    "8.2.1 a line end in a value": [*REQUEST, (b"x", b"a\r\nb")],
    "8.2.1 a zero in a value": [*REQUEST, (b"x", b"a\0b")],
    "8.2.1 an empty name": [*REQUEST, (b"", b"b")],
    "8.2.2 connection": [*REQUEST, (b"connection", b"close")],
    "8.2.2 transfer-encoding": [*REQUEST, (b"transfer-encoding", b"chunked")],
    "8.2.2 te other than trailers": [*REQUEST, (b"te", b"gzip")],
    "8.3 an unknown pseudo-field": [*REQUEST, (b":status", b"200")],
    "8.3 a pseudo-field behind others": [REQUEST[0], (b"x", b"y"), *REQUEST[1:]],
    "8.3 the same twice": [*REQUEST, (b":path", b"/b")],
    "8.3.1 no method": REQUEST[1:],
    "8.3.1 no scheme": [REQUEST[0], *REQUEST[2:]],
    "8.3.1 no path": [*REQUEST[:2], *REQUEST[3:]],
    "8.3.1 an empty path": [*REQUEST[:2], (b":path", b"")],
    "8.1.1 a content-length that is none": [*REQUEST, (b"content-length", b"4x")],
    "8.1.1 two different content-lengths": [*REQUEST, (b"content-length", b"4"), (b"content-length", b"5")],
}


@pytest.mark.parametrize("rule", MALFORMED)
def test_a_malformed_request_is_reset_and_reaches_nobody(rule: str) -> None:
    peer = Peer().begin()
    assert peer.resets(frames.headers(1, encode(MALFORMED[rule]), end=True)) == [(1, Code.PROTOCOL_ERROR)]
    assert not peer.calls
    assert peer.open(3, end=True).ended


def test_a_malformed_field_is_malformed_again_when_it_is_referred_to() -> None:
    """RFC 7541: the table keeps what was sent, whatever HTTP thinks of it."""
    peer = Peer().begin()
    bad = BLOCK + b"\x40\x01X\x01b"
    assert peer.resets(frames.headers(1, bad, end=True)) == [(1, Code.PROTOCOL_ERROR)]
    assert peer.resets(frames.headers(3, BLOCK + b"\xbe", end=True)) == [(3, Code.PROTOCOL_ERROR)]
    assert peer.resets(frames.headers(5, BLOCK, end=True)) == []


HARMLESS = {
    "4.1 an unknown type": frame(0x77, 0xFF, 5, b"whatever"),
    "4.1 unknown flags, the reserved bit": frames.pack_head(8 << 8 | frames.PING, 0xFE, 1 << 31) + b"12345678",
    "5.1 PRIORITY of an idle stream": frame(frames.PRIORITY, 0, 7, bytes(5)),
    "6.5.2 an unknown setting": pair(0x99, 7),
    "6.8 GOAWAY": frames.goaway(0, 0, b"bye"),
}


@pytest.mark.parametrize("rule", HARMLESS)
def test_what_is_to_be_ignored_is(rule: str) -> None:
    peer = Peer().begin()
    peer.say(HARMLESS[rule])
    assert not peer.connection.closing
    assert peer.open(1, end=True).ended


def test_frames_on_their_way_to_a_stream_that_we_reset_are_no_fault() -> None:
    peer = Peer().begin()
    call = peer.open(1)
    call.stream.reset(Code.CANCEL)
    assert [one.kind for one in peer.read()] == [frames.RST_STREAM]
    late = data(1, b"x"), frames.headers(1, encode([(b"x", b"y")]), end=True), frames.window_update(1, 5)
    assert peer.say(*late, frames.rst_stream(1, 8)) == []
    assert call.data == b""
    assert not peer.connection.closing


def test_frames_on_a_stream_that_both_sides_ended_are_a_fault() -> None:
    for late in (data(1, b"x"), WHOLE):
        peer = Peer().begin()
        peer.open(1, end=True).stream.finish(BLOCK)
        assert peer.fault(late) == Code.STREAM_CLOSED


def test_window_updates_and_resets_of_a_closed_stream_are_no_fault() -> None:
    peer = Peer().begin()
    peer.open(1, end=True).stream.finish(BLOCK)
    peer.read()
    assert peer.say(frames.window_update(1, 10), frames.rst_stream(1, 8)) == []


def test_padding_and_priority_are_taken_off() -> None:
    peer = Peer().begin()
    peer.say(frame(frames.HEADERS, 0x2C, 1, b"\x03" + bytes(5) + BLOCK + b"pad"))
    peer.say(frame(frames.DATA, frames.PADDED, 1, b"\x02abc\0\0"), data(1, b"d", end=True))
    (call,) = peer.calls
    assert (call.head.path, bytes(call.data), call.ended) == (b"/a", b"abcd", True)


def test_a_block_comes_in_pieces() -> None:
    peer = Peer().begin()
    pieces = [BLOCK[at : at + 3] for at in range(0, len(BLOCK), 3)]
    peer.say(frame(frames.HEADERS, 1, 1, pieces[0]), *(frame(frames.CONTINUATION, 0, 1, one) for one in pieces[1:-1]))
    assert not peer.calls
    peer.say(frame(frames.CONTINUATION, 4, 1, pieces[-1]))
    assert peer.calls[0].ended


def test_trailers_end_the_body() -> None:
    peer = Peer().begin()
    call = peer.open(1)
    peer.say(data(1, b"abc"), frames.headers(1, encode([(b"x", b"y")]), end=True))
    assert (bytes(call.data), call.ended) == (b"abc", True)


def test_settings_and_pings_are_answered() -> None:
    peer = Peer()
    answers = peer.say(START)
    assert [one.kind for one in answers] == [frames.SETTINGS, frames.WINDOW_UPDATE, frames.SETTINGS]
    told = dict(struct.iter_unpack(">HI", answers[0].payload))
    assert told[settings.MAX_CONCURRENT_STREAMS] == peer.policy.streams_max
    assert (answers[2].flags, answers[2].payload) == (frames.ACK, b"")
    (pong,) = peer.say(frames.ping(b"12345678", ack=False))
    assert (pong.kind, pong.flags, pong.payload) == (frames.PING, frames.ACK, b"12345678")


def test_a_client_that_makes_our_table_smaller_is_told_that_we_use_none() -> None:
    """RFC 7541 4.2: the update opens the next block, and only that."""
    peer = Peer().begin((settings.HEADER_TABLE_SIZE, 100))
    answers = []
    for number in (1, 3):
        peer.open(number, end=True).stream.respond(BLOCK, b"x", BLOCK)
        answers += peer.read()
    blocks = [one.payload for one in answers if one.kind == frames.HEADERS]
    assert [one[:1] == b"\x20" for one in blocks] == [True, False, False, False]


def test_the_table_of_the_client_follows_its_size_updates() -> None:
    peer = Peer().begin()
    entry = b"\x40\x01x\x01y"
    peer.say(frames.headers(1, BLOCK + entry, end=True), frames.headers(3, BLOCK + b"\xbe", end=True))
    assert [call.head.fields for call in peer.calls] == [[(b"x", b"y")]] * 2
    assert peer.fault(frames.headers(5, b"\x20" + BLOCK + b"\xbe", end=True)) == Code.COMPRESSION_ERROR


def test_entries_leave_the_table_oldest_first() -> None:
    peer = Peer().begin()
    big = b"".join(b"\x40\x01%c\x7f\xe1\x02" % (97 + number) + b"v" * 480 for number in range(9))  # 9 x 513 > 4096
    peer.say(frames.headers(1, BLOCK + big, end=True))
    peer.say(frames.headers(3, BLOCK + b"\xbe\xc4", end=True))
    assert [name for name, _ in peer.calls[-1].head.fields] == [b"i", b"c"]
    assert peer.fault(frames.headers(5, BLOCK + b"\xc5", end=True)) == Code.COMPRESSION_ERROR


def test_equal_blocks_mean_the_same_head_until_the_table_changes() -> None:
    peer = Peer().begin()
    entry = b"\x40\x01x\x01"
    peer.say(frames.headers(1, BLOCK + entry + b"1", end=True))
    for number in (3, 5):
        peer.say(frames.headers(number, BLOCK + b"\xbe", end=True))
    assert peer.calls[1].head is peer.calls[2].head
    peer.say(frames.headers(7, BLOCK + entry + b"2", end=True), frames.headers(9, BLOCK + b"\xbe", end=True))
    assert [call.head.fields[0][1] for call in peer.calls] == [b"1", b"1", b"1", b"2", b"2"]


def test_blocks_that_belong_to_no_request_change_the_table_too() -> None:
    """Trailers, refused and malformed requests: an equal block means something else behind them."""
    entry = b"\x40\x01x\x01"
    more = {
        "trailers": frames.headers(1, entry + b"2", end=True),
        "malformed": frames.headers(5, BLOCK + b"\x00\x01X\x01b" + entry + b"2", end=True),
        "refused": frames.headers(5, BLOCK + entry + b"2", end=True),
    }
    for kind, change in more.items():
        peer = Peer(Policy(streams_max=2)).begin()
        peer.say(
            frames.headers(1, BLOCK + entry + b"1", end=False),
            frames.headers(3, BLOCK + b"\xbe", end=kind != "refused"),
        )
        if kind != "refused":
            peer.calls[-1].stream.finish(BLOCK)
        peer.say(change)
        peer.calls[-1].stream.finish(BLOCK)
        peer.say(frames.headers(7, BLOCK + b"\xbe", end=True))
        assert [call.head.fields for call in peer.calls] == [[(b"x", b"1")]] * 2 + [[(b"x", b"2")]], kind
