"""gRPC on frames by hand: framing, heads, deadlines, statuses; the texts are what etcd 3.4.23 and 3.5.1 answered."""

# ruff: noqa: E501  (a table with one case a line)

import gc
import gzip
import struct
from collections.abc import Callable

import hpack
import pytest
from google.protobuf.wrappers_pb2 import BytesValue

from tests.unit.gateway.grpc.toy import MIB, Down, Toy
from tests.unit.gateway.h2.peer import Frame, cut
from zetcd.base import limits
from zetcd.gateway.grpc.deadlines import STEP_S, Deadlines
from zetcd.gateway.grpc.service import MESSAGE_BYTES_MAX, Service
from zetcd.gateway.grpc.status import percent_encoded
from zetcd.gateway.h2 import frames, settings
from zetcd.gateway.h2.codes import Code
from zetcd.gateway.h2.connection import Connection
from zetcd.gateway.h2.fields import encode
from zetcd.gateway.h2.policing import Policy
from zetcd.gateway.held import Held

FIELDS = {
    ":method": "POST",
    ":scheme": "http",
    ":path": "/toy.T/Put",
    ":authority": "x",
    "content-type": "application/grpc",
}


def framed(value: bytes, compressed: int = 0) -> bytes:
    data = BytesValue(value=value).SerializeToString()
    return prefixed(gzip.compress(data) if compressed else data, compressed)


def prefixed(data: bytes, compressed: int = 0) -> bytes:
    return struct.pack(">BI", compressed, len(data)) + data


class Clock:
    """Time that the test moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.due: list[tuple[float, Callable[[], object]]] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], object], /) -> "Due":
        self.due.append((when, callback))
        return Due(self, (when, callback))

    def move(self, to: float) -> None:
        self.now = to
        for when, callback in [one for one in self.due if one[0] <= to]:
            self.due.remove((when, callback))
            callback()


class Due:
    """What the clock gives."""

    def __init__(self, clock: Clock, entry: tuple[float, Callable[[], object]]) -> None:
        self.clock = clock
        self.entry = entry

    def cancel(self) -> None:
        self.clock.due.remove(self.entry)


class Caller:
    """A client of a connection with the toy behind it."""

    def __init__(self, held: int = limits.GATEWAY_HELD_BYTES_MAX, unsent: Held | None = None) -> None:
        self.toy = Toy()
        self.clock = Clock()
        self.deadlines = Deadlines(self.clock)
        self.held = Held(held)
        self.service = Service(self.toy.methods, self.deadlines, "1.2.3.4:5", held=self.held)
        self.connection = Connection(self.service, lambda: None, 0.0, Policy(), unsent)
        self.say(frames.PREFACE + frames.settings([(settings.INITIAL_WINDOW_SIZE, 1 << 30)]))
        self.say(frames.window_update(0, 1 << 30))
        self.decoder = hpack.Decoder()
        self.last = -1

    def say(self, *data: bytes) -> list[Frame]:
        for one in data:
            self.connection.receive(one, self.clock.now)
        return self.read()

    def read(self) -> list[Frame]:
        out = []
        while self.connection.has_output:
            out += cut(self.connection.take())
        return out

    def call(self, *body: bytes, end: bool = True, **fields: str) -> "Answer":
        self.last += 2
        head = {name.replace("_", "-"): value for name, value in fields.items()}
        head = FIELDS | {(":" + name if name in ("path", "method") else name): value for name, value in head.items()}
        block = encode([(name.encode(), value.encode()) for name, value in head.items() if value])
        out = self.say(frames.headers(self.last, block, end=end and not body))
        for number, part in enumerate(body, 1):
            flags = int(end and number == len(body))
            for at in range(0, len(part) or 1, 16_384):
                final = at + 16_384 >= len(part)
                out += self.say(frames.frame(0, flags if final else 0, self.last, part[at : at + 16_384]))
        return self.answer(out)

    def answer(self, out: list[Frame]) -> "Answer":
        return Answer([one for one in out if one.stream_id == self.last], self.decoder)


class Answer:
    """What came back on one stream."""

    def __init__(self, got: list[Frame], decoder: hpack.Decoder) -> None:
        self.resets = [Code(one.number) for one in got if one.kind == frames.RST_STREAM]
        self.blocks = [dict(decoder.decode(one.payload, raw=True)) for one in got if one.kind == frames.HEADERS]
        self.body = b"".join(one.payload for one in got if one.kind == frames.DATA)
        last = self.blocks[-1] if self.blocks else {}
        self.code = int(last[b"grpc-status"]) if b"grpc-status" in last else None
        self.message = last.get(b"grpc-message", b"").decode()

    @property
    def status(self) -> tuple[int | None, str]:
        return self.code, self.message


def test_a_whole_answer() -> None:
    answer = Caller().call(framed(b"abc"))
    assert answer.body == framed(b"abc")
    assert answer.blocks == [
        {b":status": b"200", b"content-type": b"application/grpc"},
        {b"grpc-status": b"0", b"grpc-message": b""},
    ]


@pytest.mark.parametrize("step", [1, 4, 5, 6, 100, 20_000])
def test_messages_are_cut_anywhere(step: int) -> None:
    text = framed(b"x" * 300)
    answer = Caller().call(*(text[at : at + step] for at in range(0, len(text), step)))
    assert (answer.code, answer.body) == (0, text)


def test_several_messages_in_one_frame() -> None:
    caller = Caller()
    answer = caller.call(framed(b"a") + framed(b"") + framed(b"bc")[:3], framed(b"bc")[3:], path="/toy.T/Chat")
    assert (answer.code, answer.body) == (0, framed(b"a") + framed(b"") + framed(b"bc"))
    assert caller.toy.inbound[0].ended


REFUSED: dict[str, tuple[dict[str, str], bytes, tuple[int, str]]] = {
    "unknown method": ({"path": "/toy.T/Nope"}, b"", (12, "unknown method Nope for service toy.T")),
    "unknown service": ({"path": "/toy.U/Put"}, b"", (12, "unknown service toy.U")),
    "no service": ({"path": "/nope"}, b"", (8, 'malformed method name: "/nope"')),
    "no slash": ({"path": "nope"}, b"", (8, 'malformed method name: "nope"')),
    "unknown encoding": ({"grpc_encoding": "snappy"}, framed(b"a"), (12, 'grpc: Decompressor is not installed for grpc-encoding "snappy"')),
    "compressed without encoding": ({}, framed(b"a", 1), (13, "grpc: compressed flag set with identity or empty encoding")),
    "unknown format": ({}, prefixed(b"a", 2), (13, "grpc: received unexpected payload format 2")),
    "no protobuf": ({}, prefixed(b"\xff\xff\xff"), (13, "grpc: error unmarshalling request: unexpected EOF")),
    "no protobuf in a stream": ({"path": "/toy.T/Chat"}, prefixed(b"\xff\xff\xff"), (13, "grpc: failed to unmarshal the received message unexpected EOF")),
    "half a prefix": ({}, b"\0\0\0", (2, "unexpected EOF")),
    "half a message": ({}, framed(b"abc")[:-1], (2, "unexpected EOF")),
    "half a message in a stream": ({"path": "/toy.T/Chat"}, framed(b"abc")[:-1], (2, "unexpected EOF")),
    "no message": ({}, b"", (13, "EOF")),
    "no message for a stream of answers": ({"path": "/toy.T/Down"}, b"", (13, "EOF")),
    "too large": ({}, struct.pack(">BI", 0, MESSAGE_BYTES_MAX + 1), (8, "grpc: received message larger than max (2097153 vs. 2097152)")),
    "too large unpacked": ({"grpc_encoding": "gzip"}, prefixed(gzip.compress(bytes(3 * MIB)), 1), (8, "grpc: received message after decompression larger than max (2097153 vs. 2097152)")),
    "no gzip": ({"grpc_encoding": "gzip"}, prefixed(b"abc", 1), (13, "grpc: failed to decompress the received message gzip: invalid data")),
    "half a gzip": ({"grpc_encoding": "gzip"}, prefixed(gzip.compress(b"abc")[:-9], 1), (13, "grpc: failed to decompress the received message unexpected EOF")),
    "refused by the service": ({}, framed(b"refuse"), (9, "nicht jetzt: 100 %25 %C3%BC%0A")),
    "failed by the service": ({}, framed(b"fail"), (5, "etcdserver: key not found")),
    "refused in a stream": ({"path": "/toy.T/Chat"}, framed(b"refuse"), (9, "nein")),
    "a timeout that is none": ({"grpc_timeout": "5x"}, framed(b"a"), (13, 'malformed grpc-timeout: "5x"')),
    "a timeout too long": ({"grpc_timeout": "123456789S"}, framed(b"a"), (13, 'malformed grpc-timeout: "123456789S"')),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_fails_is_answered_as_etcd_does_it(case: str) -> None:
    fields, body, status = REFUSED[case]
    caller = Caller()
    answer = caller.call(*([body] if body else []), end=True, **fields)
    assert answer.status == status
    (only,) = answer.blocks
    assert only[b":status"] == b"200"
    assert not caller.connection.streams
    assert caller.held.bytes == 0
    assert caller.call(framed(b"next")).code == 0


@pytest.mark.parametrize(
    ("content", "answered"),
    [
        ("application/grpc", b"application/grpc"),
        ("application/grpc+proto", b"application/grpc+proto"),
        ("application/grpc;x", b"application/grpc+x"),
    ],
)
def test_the_content_type_is_repeated(content: str, answered: bytes) -> None:
    assert Caller().call(framed(b"a"), content_type=content).blocks[0][b"content-type"] == answered


@pytest.mark.parametrize("content", ["application/json", "application/grpcx", ""])
def test_another_content_type_is_refused(content: str) -> None:
    answer = Caller().call(framed(b"a"), content_type=content)
    assert answer.blocks[0][b":status"] == b"415"
    assert answer.status == (3, f'invalid gRPC request content-type "{content}"')


def test_another_method_than_post_is_refused() -> None:
    assert Caller().call(framed(b"a"), method="GET").blocks[0][b":status"] == b"405"


def test_gzip_is_understood() -> None:
    """As by etcd 3.5; 3.4 knows no encoding."""
    answer = Caller().call(framed(b"x" * 1000, 1), grpc_encoding="gzip")
    assert (answer.code, answer.body) == (0, framed(b"x" * 1000))
    assert Caller().call(framed(b"a"), grpc_encoding="gzip").code == 0


def test_metadata() -> None:
    caller = Caller()
    caller.call(framed(b"a"), token="t", x_bin="AP8", grpc_timeout="1S", te="trailers", user_agent="u")
    (call,) = caller.toy.calls
    assert dict(call.metadata) == {":authority": "x", "token": "t", "x-bin": "\0\xff", "user-agent": "u"}
    assert (call.deadline, call.peer) == (1.0, "1.2.3.4:5")


def test_an_answer_does_not_wait_for_the_end_of_the_request() -> None:
    answer = Caller().call(framed(b"a"), end=False)
    assert answer.code == 0
    assert answer.resets == [Code.NO_ERROR]


def test_what_comes_behind_a_request_belongs_to_nothing() -> None:
    caller = Caller()
    assert caller.call(framed(b"a") + framed(b"b")).body == framed(b"a")
    assert len(caller.toy.calls) == 1


@pytest.mark.parametrize(("text", "seconds"), [("1S", 1), ("1500m", 1.5), ("2000000u", 2), ("1M", 60), ("1H", 3600)])
def test_a_deadline_is_never_early_and_hardly_late(text: str, seconds: float) -> None:
    caller = Caller()
    caller.call(framed(b"hang"), grpc_timeout=text)
    caller.clock.move(seconds - 0.001)
    assert caller.read() == []
    caller.clock.move(seconds + STEP_S + 0.001)
    assert caller.answer(caller.read()).status == (4, "context deadline exceeded")
    assert caller.toy.cancelled == 1
    caller.toy.calls[0].reply(BytesValue())
    assert caller.read() == []


def test_calls_that_have_ended_leave_nothing_behind_their_deadline() -> None:
    caller = Caller()
    for _ in range(100):
        caller.call(framed(b"a"), grpc_timeout="5S")
    assert len(caller.deadlines) == 0
    assert len(caller.clock.due) == 1
    caller.clock.move(10)
    assert not caller.deadlines._buckets
    assert caller.read() == []


def test_far_deadlines_leave_nothing_behind_at_all() -> None:
    """Each would otherwise keep a timer until its day comes."""
    caller = Caller()
    for number in range(100):
        caller.clock.move(number)
        caller.call(framed(b"a"), grpc_timeout="24H")
    assert not caller.deadlines._buckets
    assert not caller.clock.due


def test_a_deadline_ends_a_stream_that_has_begun() -> None:
    caller = Caller()
    answer = caller.call(framed(b"a"), end=False, path="/toy.T/Chat", grpc_timeout="1S")
    assert answer.body == framed(b"a")
    caller.clock.move(2)
    assert caller.answer(caller.read()).status == (4, "context deadline exceeded")
    assert caller.toy.inbound[0].cancels == 1


def test_cancelling() -> None:
    caller = Caller()
    caller.call(framed(b"hang"))
    caller.say(frames.rst_stream(caller.last, Code.CANCEL))
    assert caller.toy.cancelled == 1
    caller.call(framed(b"a"), end=False, path="/toy.T/Chat")
    caller.say(frames.rst_stream(caller.last, Code.CANCEL))
    assert caller.toy.inbound[0].cancels == 1
    caller.toy.calls[0].reply(BytesValue())
    assert caller.toy.inbound[0].stream.send(BytesValue())
    assert caller.read() == []


def test_a_call_in_the_middle_of_its_request_holds_nothing_when_it_is_gone() -> None:
    caller = Caller()
    for path in ("/toy.T/Put", "/toy.T/Chat"):
        caller.call(framed(b"x" * 5000)[:4000], end=False, path=path)
        assert caller.held.bytes == 4000
        caller.say(frames.rst_stream(caller.last, Code.CANCEL))
        assert caller.held.bytes == 0


@pytest.mark.parametrize("path", ["/toy.T/Put", "/toy.T/Chat"])
def test_incomplete_requests_are_bounded(path: str) -> None:
    caller = Caller(held=10_000)
    part = framed(b"x" * 5000)[:4000]
    assert [caller.call(part, end=False, path=path).code for _ in range(3)] == [None, None, 8]
    assert caller.held.bytes == 8000


def test_a_stream_that_the_service_ends() -> None:
    caller = Caller()
    answer = caller.call(framed(b"a"), framed(b"end"), framed(b"b"), end=False, path="/toy.T/Chat")
    assert (answer.code, answer.body, answer.resets) == (0, framed(b"a"), [Code.NO_ERROR])
    assert caller.toy.inbound[0].cancels == 0


def test_a_paused_stream_keeps_what_came_and_goes_on() -> None:
    caller = Caller()
    answer = caller.call(framed(b"pause") + framed(b"a"), framed(b"b"), path="/toy.T/Chat")
    (chat,) = caller.toy.inbound
    assert (answer.blocks, chat.got, chat.ended) == ([], [b"pause"], False)
    chat.stream.resume()
    answer = caller.answer(caller.read())
    assert (answer.code, answer.body) == (0, framed(b"a") + framed(b"b"))
    assert chat.ended


def test_a_stream_of_answers_waits_for_its_client() -> None:
    caller = Caller()
    caller.say(frames.settings([(settings.INITIAL_WINDOW_SIZE, 0)]))
    caller.call(framed(b"100"), path="/toy.T/Down")
    (down,) = caller.toy.inbound
    assert isinstance(down, Down)
    assert down.sent * 65_536 <= limits.STREAM_UNSENT_BYTES_MAX + 65_536
    got = b""
    while caller.connection.streams:
        got += caller.answer(caller.say(frames.window_update(caller.last, 100_000))).body
        assert caller.connection.unsent <= limits.STREAM_UNSENT_BYTES_MAX + 65_536 + 100
    assert got == framed(bytes(65_536)) * 100


def test_answers_that_nobody_reads_are_bounded_over_all_connections() -> None:
    """Calls that are under way at once are all answered at once: refusing further ones is no bound."""
    whole = Held(3_000_000)
    one, other = (Caller(unsent=Held(limits.GATEWAY_UNSENT_BYTES_MAX, whole)) for _ in range(2))
    for caller in (one, other):
        caller.say(frames.settings([(settings.INITIAL_WINDOW_SIZE, 0)]))
    body = framed(bytes(1_200_000))
    assert [one.call(body).code for _ in range(2)] == [None, None], "they wait"
    refused = one.call(body)
    assert (refused.code, refused.message) == (8, "answers are not read")
    assert other.call(body).code is None, "one answer always goes, whatever others leave unread"
    assert whole.bytes == 3 * len(body)
    for caller in (one, other):
        caller.connection.lost()
    assert whole.bytes == 0


def test_collecting() -> None:
    answer = Caller().call(framed(b"abc"), framed(b"de"), path="/toy.T/Up")
    assert (answer.code, answer.body) == (0, framed(b"5"))
    assert Caller().call(path="/toy.T/Up").body == framed(b"0")


def test_messages_travel_percent_encoded() -> None:
    assert percent_encoded("a b~%\x7fé\n") == b"a b~%25%7F%C3%A9%0A"
    assert len(percent_encoded("ü" * 10_000)) <= 4096


@pytest.mark.parametrize("path", ["/toy.T/Put", "/toy.T/Up", "/toy.T/Nope"])
def test_a_call_that_has_ended_leaves_nothing_to_the_garbage_collector(path: str) -> None:
    """A circle for each call would make every hundredth one wait."""
    caller = Caller()
    caller.call(framed(b"a"), path=path, grpc_timeout="5S")
    gc.collect()
    gc.disable()
    try:
        caller.call(framed(b"b"), path=path, grpc_timeout="6S")
        caller.toy.calls.clear()
        caller.toy.inbound.clear()
        assert gc.collect() == 0
    finally:
        gc.enable()
