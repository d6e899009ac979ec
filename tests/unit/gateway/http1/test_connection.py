"""HTTP/1.1: what is a request, how answers look, what is refused, and what is bounded."""

# ruff: noqa: E501  (a table with one case a line)

import pytest

from tests.unit.gateway.http1.site import HOST, Site, answer, get
from zetcd.base import limits
from zetcd.gateway.held import Held

CLOSE = b"Connection: close\r\n"


@pytest.mark.parametrize("step", [1, 3, 1000])
def test_requests_are_cut_anywhere(step: int) -> None:
    site = Site()
    body = b"4\r\nabcd\r\n2;x=y\r\nef\r\n0\r\nTrailer: z\r\n\r\n"
    text = get(b"/a?b=c&d", b"X-One: 1\r\nx-one: 2\r\n")
    text += b"POST /p HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\nxyz"
    text += b"POST /c HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + body
    out = site.say(*(text[at : at + step] for at in range(0, len(text), step)))
    first, second, third = site.requests
    assert (first.method, first.path, first.query, first.peer) == ("GET", "/a", "b=c&d", "p")
    assert first.headers == {"host": "a", "x-one": "1, 2"}
    assert [one.body for one in site.requests] == [b"", b"xyz", b"abcdef"]
    assert out == answer(b"/a") + answer(b"/p") + answer(b"/c")
    assert second.method == third.method == "POST"
    assert "trailer" not in third.headers
    assert site.held.bytes == 0
    assert not site.wire.closing


def test_answers_keep_the_order_of_requests() -> None:
    site = Site()
    assert site.say(get(b"/later"), get(b"/b") + get(b"/c")) == b""
    assert [one.path for one in site.requests] == ["/later"]
    site.kept[0].respond(200, [("X", "y")], b"now")
    assert site.wakes == 1
    assert site.read() == answer(b"now") + answer(b"/b") + answer(b"/c")


def test_what_waits_behind_an_answer_is_bounded() -> None:
    site = Site()
    site.say(get(b"/later"))
    count = 0
    while not site.wire.full:
        site.say(get(b"/b") * 100)
        count += 100
    assert count * len(get(b"/b")) < limits.HTTP_PIPELINED_BYTES_MAX + 10_000
    site.kept[0].respond(200, [], b"")
    assert not site.wire.full
    assert site.read().count(b"HTTP/1.1 200 OK") == count + 1


def test_an_answer_in_parts() -> None:
    site = Site()
    site.say(get(b"/later"))
    (exchange,) = site.kept
    exchange.start(200, [("X", "y")])
    assert exchange.write(b"ab")
    assert exchange.write(b"")
    assert exchange.write(b"c" * 16)
    exchange.end()
    head, _, body = site.read().partition(b"\r\n\r\n")
    assert b"Transfer-Encoding: chunked" in head
    assert b"Content-Length" not in head
    assert body == b"2\r\nab\r\n10\r\n" + b"c" * 16 + b"\r\n0\r\n\r\n"
    assert site.say(get(b"/b")) == answer(b"/b")


def test_head_has_no_body() -> None:
    site = Site()
    assert site.say(b"HEAD /a HTTP/1.1\r\n" + HOST + b"\r\n") == answer(b"/a")[:-2]


def test_connections_end_as_the_client_asks() -> None:
    site = Site()
    assert site.say(get(b"/a", CLOSE) + get(b"/b")) == answer(b"/a", more=CLOSE)
    assert site.wire.finished
    site = Site()
    assert site.say(b"GET /a HTTP/1.0\r\n\r\n") == answer(b"/a", more=CLOSE)
    assert site.wire.finished
    site = Site()
    asked = b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    assert site.say(asked) == answer(b"/a", more=b"Connection: keep-alive\r\n")
    assert not site.wire.finished


def test_a_stream_to_a_client_of_http_1_0_ends_with_the_connection() -> None:
    site = Site()
    site.say(b"GET /later HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    site.kept[0].start(200, [])
    site.kept[0].write(b"ab")
    site.kept[0].end()
    out = site.read()
    assert out.endswith(b"\r\n\r\nab")
    assert b"chunked" not in out
    assert site.wire.finished


def test_a_large_body_is_announced_and_let_in() -> None:
    site = Site()
    head = b"POST /a HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    assert site.say(head) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert site.say(b"12345") == answer(b"/a")
    assert site.requests[0].body == b"12345"


def test_a_wish_for_another_protocol_is_ignored() -> None:
    site = Site()
    wish = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"
    assert site.say(get(b"/a", wish) + get(b"/b")) == answer(b"/a") + answer(b"/b")
    body = b"POST /p HTTP/1.1\r\n" + HOST + wish + b"Content-Length: 29\r\n\r\n" + get(b"/no")
    assert len(get(b"/no")) == 29
    assert site.say(body + get(b"/b")) == answer(b"/p") + answer(b"/b")
    assert site.requests[2].body == get(b"/no")
    chunked = b"POST /c HTTP/1.1\r\n" + HOST + wish + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    assert site.say(chunked) == answer(b"/c")
    assert site.requests[4].body == b"abc"


def test_requests_wait_for_the_answers_before_them_to_be_read() -> None:
    site = Site()
    site.wire.congested = True
    large = b"/" + b"a" * 60_000
    site.say(get(large) * 100)
    assert site.read() == b""
    assert len(site.requests) * len(large) <= limits.STREAM_UNSENT_BYTES_MAX + len(large)
    assert site.wire.full
    site.wire.congested = False
    out = b""
    while site.wire.has_output:
        out += site.wire.take()
    assert out == answer(large) * 100
    assert not site.wire.full


REFUSED = {
    "smuggling: both lengths": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "smuggling: both lengths, the other way": (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400),
    "smuggling: two lengths": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
    "smuggling: the same length twice": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
    "smuggling: a list of lengths": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3, 3\r\n\r\nabc", 400),
    "smuggling: a signed length": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: +3\r\n\r\nabc", 400),
    "smuggling: a negative length": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: -3\r\n\r\nabc", 400),
    "smuggling: a hexadecimal length": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 0x3\r\n\r\nabc", 400),
    "smuggling: a space before the colon": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length : 3\r\n\r\nabc", 400),
    "smuggling: an obscured coding": (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
    "smuggling: two codings": (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
    "smuggling: chunked and something": (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400),
    "smuggling: the coding twice": (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "smuggling: a coding in HTTP/1.0": (b"POST / HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "smuggling: a chunk size that is none": (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n", 400),
    "smuggling: a huge chunk size": (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 17 + b"\r\n", 400),
    "smuggling: a chunk longer than its size": (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n", 400),
    "smuggling: a folded header": (get(b"/", b"X: a\r\n b\r\n"), 400),
    "smuggling: a bare CR in a value": (get(b"/", b"X: a\rb\r\n"), 400),
    "smuggling: a zero in a value": (get(b"/", b"X: a\0b\r\n"), 400),
    "smuggling: bare LFs": (b"GET / HTTP/1.1\nHost: a\nContent-Length: 0\n\n", 400),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    "no method": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "an unknown method": (b"FOO / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "an unknown version": (b"GET / HTTP/3.7\r\n" + HOST + b"\r\n", 400),
    "a tunnel": (b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 405),
    "an unknown expectation": (get(b"/", b"Expect: gold\r\n"), 417),
    "a large header": (get(b"/", b"X: " + b"a" * limits.HTTP_HEAD_BYTES_MAX + b"\r\n"), 431),
    "many headers": (get(b"/", b"".join(b"x-%d: a\r\n" % number for number in range(10_000))), 431),
    "an endless target": (b"GET /" + b"a" * (2 * limits.HTTP_HEAD_BYTES_MAX), 431),
    "an endless header": (b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * (2 * limits.HTTP_HEAD_BYTES_MAX), 431),
    "a large body": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % (limits.HTTP_BODY_BYTES_MAX + 1), 413),
    "a length beyond 64 bits": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n", 400),
}  # fmt: skip


@pytest.mark.parametrize("step", [7, 100_000])
@pytest.mark.parametrize("case", REFUSED)
def test_what_could_be_read_in_two_ways_or_is_too_large_is_refused(case: str, step: int) -> None:
    text, status = REFUSED[case]
    site = Site()
    out = site.say(*(text[at : at + step] for at in range(0, len(text), step)), get(b"/b"))
    assert out.startswith(b"HTTP/1.1 %d " % status), out
    assert out.count(b"HTTP/1.1") == 1
    assert CLOSE in out
    assert site.requests == []
    assert site.wire.finished


def test_a_fault_behind_good_requests_is_answered_in_turn() -> None:
    site = Site()
    out = site.say(get(b"/a") + get(b"/later") + b"NONSENSE\r\n\r\n")
    assert out == answer(b"/a")
    site.kept[0].respond(200, [("X", "y")], b"now")
    out = site.read()
    assert out.startswith(answer(b"now") + b"HTTP/1.1 400 ")
    assert site.wire.finished


def test_an_endless_body_is_refused_where_the_bound_is() -> None:
    site = Site()
    site.say(b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n")
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    count = 0
    while not site.wire.closing:
        out = site.say(chunk)
        count += 1
        assert count < 100
    assert out.startswith(b"HTTP/1.1 413 ")
    assert count == limits.HTTP_BODY_BYTES_MAX // 0x10000 + 1
    assert site.held.bytes <= limits.HTTP_BODY_BYTES_MAX + 0x10000
    site.wire.lost()
    assert site.held.bytes == 0


def test_incomplete_bodies_of_all_connections_are_bounded() -> None:
    held = Held(100)
    first, second = Site(), Site()
    first.wire._held = second.wire._held = held
    part = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1000\r\n\r\n" + b"x" * 60
    assert first.say(part) == b""
    assert second.say(part).startswith(b"HTTP/1.1 503 ")
    second.wire.lost()
    first.wire.lost()
    assert held.bytes == 0


def test_a_slow_request_is_given_up_and_an_idle_client_too() -> None:
    site = Site(now=0.0)
    site.say(b"GET / HT")
    due = site.wire.tick(0.0)
    while due < limits.HTTP_REQUEST_MS / 1000:
        site.say(b"T")
        due = site.wire.tick(due)
    site.wire.tick(due)
    assert site.read().startswith(b"HTTP/1.1 408 ")
    assert site.wire.finished
    site = Site(now=0.0)
    site.say(get(b"/a"))
    due = site.wire.tick(0.0)
    while not site.wire.closing:
        assert due <= limits.HTTP_IDLE_MS / 1000
        due = site.wire.tick(due)


def test_a_request_that_is_being_answered_has_all_the_time() -> None:
    site = Site(now=0.0)
    site.say(get(b"/later"))
    site.wire.tick(10 * limits.HTTP_IDLE_MS / 1000)
    assert not site.wire.closing


def test_a_stream_says_when_enough_waits_and_when_there_is_room_again() -> None:
    site = Site()
    site.say(get(b"/later"))
    (exchange,) = site.kept
    rooms: list[int] = []
    exchange.on_writable = lambda: rooms.append(1)
    exchange.start(200, [])
    site.wire.congested = True
    piece = b"x" * (limits.STREAM_UNSENT_BYTES_MAX // 2)
    assert exchange.write(piece[:-100])
    assert exchange.write(piece[:-100])
    assert not exchange.write(piece)
    assert site.read() == b""
    assert rooms == []
    site.wire.congested = False
    assert len(site.read()) > limits.STREAM_UNSENT_BYTES_MAX
    assert rooms == [1]


def test_a_client_that_goes_away_cancels_what_it_asked_for() -> None:
    site = Site()
    site.say(get(b"/later") + get(b"/later"))
    site.wire.lost()
    site.wire.lost()
    assert site.cancelled == 1
    site.kept[0].respond(200, [], b"")
    assert site.wire.take() == b""


def test_an_answer_that_nobody_has_read_goes_with_its_connection() -> None:
    """It stayed until the garbage collector came: 11 MB of each client that asked for much and left."""
    site = Site()
    site.wire.congested = True
    site.wire.put(b"unread")
    site.wire.lost()
    site.wire.congested = False
    assert site.wire.take() == b""


def test_closing_answers_what_is_under_way_and_takes_no_more() -> None:
    site = Site()
    site.say(get(b"/later") + get(b"/b"))
    site.wire.close()
    assert not site.wire.finished
    site.kept[0].respond(200, [("X", "y")], b"now")
    assert site.read() == answer(b"now", more=CLOSE)
    assert site.wire.finished
    idle = Site()
    idle.wire.close()
    assert idle.wire.finished


def test_a_header_of_an_answer_cannot_begin_another() -> None:
    site = Site()
    site.say(get(b"/later"))
    site.kept[0].respond(200, [("X", "a\r\nSet-Cookie: b")], b"")
    assert b"\r\nSet-Cookie" not in site.read()


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"http://h:1/a/b?c=d", "/a/b", "c=d"),
        (b"https://h", "/", ""),
        (b"http://h?c=/d", "/", "c=/d"),
        (b"/http://h/", "/http://h/", ""),
        (b"*", "*", ""),
    ],
)
def test_targets_of_every_form(target: bytes, path: str, query: str) -> None:
    site = Site()
    site.say(b"OPTIONS %b HTTP/1.1\r\n%b\r\n" % (target, HOST))
    (request,) = site.requests
    assert (request.path, request.query) == (path, query)
