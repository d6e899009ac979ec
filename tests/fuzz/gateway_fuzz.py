"""Coverage-guided fuzzing of the gateway: `python tests/fuzz/gateway_fuzz.py -runs=100000 -max_len=1024 [corpus]`.

An input is one connection of HTTP/2, HTTP/1.1 or a websocket with toy methods behind it: raw bytes, or frames and requests built
from the fuzzer's choices so that the code behind the parser is reached. Nothing raises, and nothing is held or kept
waiting when the connection has ended.
"""

# ruff: noqa: E501  (words of the protocols, many a line)

import struct
import sys

import atheris

with atheris.instrument_imports(include=["zetcd"]):
    from tests.unit.gateway.grpc.toy import Toy
    from zetcd.base import limits
    from zetcd.gateway.grpc.deadlines import Deadlines
    from zetcd.gateway.grpc.service import Service
    from zetcd.gateway.h2 import frames
    from zetcd.gateway.h2.connection import Connection as H2Connection
    from zetcd.gateway.h2.fields import encode
    from zetcd.gateway.h2.policing import Policy
    from zetcd.gateway.held import Held
    from zetcd.gateway.http1.connection import Connection as Http1Connection
    from zetcd.gateway.http1.exchange import Exchange, Request
    from zetcd.gateway.http1.websocket import Socket

NAMES = (
    b":method", b":scheme", b":path", b":authority", b"content-type", b"te", b"grpc-timeout", b"grpc-encoding",
    b"content-length", b"x-bin", b"x", b"X", b"", b"connection", b":status", b"cookie",
)  # fmt: skip
VALUES = (
    b"POST", b"GET", b"http", b"/toy.T/Put", b"/toy.T/Chat", b"/toy.T/Down", b"/toy.T/Up", b"/a?b", b"application/grpc",
    b"application/json", b"trailers", b"1S", b"0n", b"gzip", b"5", b"", b"\0", b"AP8",
)  # fmt: skip
GOOD = [(b":method", b"POST"), (b":scheme", b"http"), (b":authority", b"x"), (b"content-type", b"application/grpc")]
MESSAGES = (b"a", b"end", b"refuse", b"pause", b"hang", b"fail", b"3", b"\xff")
LINES = (
    b"GET /a HTTP/1.1\r\n", b"POST /p HTTP/1.1\r\n", b"POST /later HTTP/1.0\r\n", b"HEAD / HTTP/1.1\r\n", b"Host: a\r\n",
    b"Content-Length: 3\r\n", b"Content-Length: 9999999\r\n", b"Transfer-Encoding: chunked\r\n", b"Expect: 100-continue\r\n",
    b"Connection: Upgrade\r\nUpgrade: h2c\r\n", b"Connection: close\r\n", b"\r\n", b"abc", b"3\r\nabc\r\n", b"0\r\n\r\n",
    b"X: y\r\n", b"CONNECT a:1 HTTP/1.1\r\n", b"GET /socket HTTP/1.1\r\n",
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n",
)  # fmt: skip


SHAKE = b"GET /socket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n"


class Clock:
    """Time that moves when the fuzzer says so."""

    now = 0.0

    def time(self) -> float:
        """Seconds."""
        return self.now

    def call_at(self, when: float, callback: object, /) -> "Clock":
        """Deadlines are run by hand."""
        return self

    def cancel(self) -> None:
        """It is its own timer."""


def pick(source: "atheris.FuzzedDataProvider", words: tuple[bytes, ...]) -> bytes:
    """One of them."""
    return words[int(source.ConsumeIntInRange(0, len(words) - 1))]


def block(source: "atheris.FuzzedDataProvider") -> bytes:
    """A header block: mostly that of a call."""
    kind = source.ConsumeIntInRange(0, 7)
    if kind == 0:
        return bytes(source.ConsumeBytes(source.ConsumeIntInRange(0, 40)))
    fields = [*GOOD, (b":path", VALUES[3 + int(source.ConsumeIntInRange(0, 4))])]
    more = source.ConsumeIntInRange(0, 3) if kind == 1 else 0
    fields += [(pick(source, NAMES), pick(source, VALUES)) for _ in range(more)]
    fields.sort(key=lambda field: not field[0].startswith(b":"))
    return encode(fields)


def frame(source: "atheris.FuzzedDataProvider") -> bytes:
    """A frame, mostly of a kind that matters."""
    kind = int(source.ConsumeIntInRange(0, 12))
    stream_id = int(source.ConsumeIntInRange(0, 9)) if source.ConsumeIntInRange(0, 7) else 0x7FFFFFFF
    flags = int(source.ConsumeIntInRange(0, 255)) if source.ConsumeIntInRange(0, 3) == 0 else 0
    if kind in (frames.HEADERS, 10):
        return frames.frame(frames.HEADERS, flags or (4 if source.ConsumeBool() else 5), stream_id | 1, block(source))
    if kind in (frames.DATA, 11):
        text = pick(source, MESSAGES)
        message = b"\x0a" + bytes([len(text)]) + text
        body = struct.pack(">BI", int(source.ConsumeIntInRange(0, 16)) // 16, len(message)) + message
        return frames.frame(
            frames.DATA, flags or int(source.ConsumeBool()), stream_id, body[: 1 + int(source.ConsumeIntInRange(0, 30))]
        )
    if kind == frames.CONTINUATION:
        return frames.frame(kind, flags or 4, stream_id, block(source))
    if kind == frames.SETTINGS:
        value = struct.pack(">HI", source.ConsumeIntInRange(0, 7), source.ConsumeIntInRange(0, 2**32 - 1))
        return frames.frame(kind, flags & ~1, 0, value)
    if kind == frames.WINDOW_UPDATE:
        return frames.window_update(stream_id, int(source.ConsumeIntInRange(0, 2**31 - 1)))
    size = {frames.PRIORITY: 5, frames.RST_STREAM: 4, frames.PING: 8, frames.GOAWAY: 8}.get(kind)
    if size is None or source.ConsumeIntInRange(0, 7) == 0:
        size = int(source.ConsumeIntInRange(0, 20))
    return frames.frame(kind, flags, stream_id, bytes(source.ConsumeBytes(size)))


def http2(source: "atheris.FuzzedDataProvider") -> None:
    """One connection of HTTP/2."""
    clock, toy = Clock(), Toy()
    deadlines = Deadlines(clock)
    held = Held(limits.GATEWAY_HELD_BYTES_MAX)
    wire = H2Connection(Service(toy.methods, deadlines, "p", held=held), lambda: None, 0.0, Policy(streams_max=4))
    wire.receive(frames.PREFACE + frames.settings([]), 0.0)
    for _ in range(source.ConsumeIntInRange(0, 30)):
        kind = source.ConsumeIntInRange(0, 15)
        if kind == 0:
            wire.receive(bytes(source.ConsumeBytes(source.ConsumeIntInRange(0, 60))), clock.now)
        elif kind == 1:
            clock.now += 3.0
            for number in list(deadlines._buckets):
                deadlines._expire(number)
            wire.tick(clock.now)
        elif kind == 2:
            wire.congested = bool(source.ConsumeBool())
        elif kind == 3:
            for inbound in toy.inbound:
                inbound.stream.resume()
        elif kind == 4:
            wire.close()
        else:
            wire.receive(frame(source), clock.now)
        while wire.has_output:
            wire.take()
    wire.lost()
    assert not wire.streams
    assert wire.unsent == 0
    assert held.bytes == 0
    assert len(deadlines) == 0


def socket_frame(source: "atheris.FuzzedDataProvider") -> bytes:
    """A frame of a websocket, mostly a good one."""
    opcode = (1, 1, 2, 0, 0, 9, 10, 8)[int(source.ConsumeIntInRange(0, 7))]
    payload = bytes(source.ConsumeBytes(source.ConsumeIntInRange(0, 30)))
    first = opcode | (0x80 if opcode >= 8 or source.ConsumeBool() else 0)
    if source.ConsumeIntInRange(0, 15) == 0:
        first = int(source.ConsumeIntInRange(0, 255))
    length = len(payload)
    if source.ConsumeIntInRange(0, 15) == 0:
        return bytes([first, 0xFF]) + struct.pack(">Q", source.ConsumeIntInRange(0, 2**64 - 1)) + payload
    return bytes([first, length | 0x80]) + bytes(4) + payload


def http1(source: "atheris.FuzzedDataProvider") -> None:
    """One connection of HTTP/1.1, which may become a websocket; or it begins as one."""
    kept: list[Exchange] = []
    sockets: list[Socket] = []

    def serve(request: Request, exchange: Exchange) -> None:
        if request.path == "/later":
            kept.append(exchange)
        elif request.path == "/socket" and request.upgrade is not None:
            sockets.append(request.upgrade([]))
        else:
            exchange.respond(200, [("X", "y")], request.body)

    held = Held(limits.GATEWAY_HELD_BYTES_MAX)
    wire = Http1Connection(serve, lambda: None, 0.0, "p", date=lambda: "now", held=held)
    now = 0.0
    if source.ConsumeBool():
        wire.receive(SHAKE, now)
    for _ in range(source.ConsumeIntInRange(0, 30)):
        kind = source.ConsumeIntInRange(0, 15)
        if kind == 0:
            wire.receive(bytes(source.ConsumeBytes(source.ConsumeIntInRange(0, 60))), now)
        elif kind == 1:
            now += 10.0
            wire.tick(now)
        elif kind == 2 and kept:
            exchange = kept.pop()
            exchange.start(200, [])
            exchange.write(b"abc")
            exchange.end()
        elif kind == 3:
            wire.congested = bool(source.ConsumeBool())
        elif sockets:
            use(source, sockets[0], kind)
            wire.receive(socket_frame(source), now)
        else:
            wire.receive(pick(source, LINES), now)
        while wire.has_output:
            wire.take()
    wire.lost()
    assert held.bytes == 0
    assert all(one.done for one in sockets)


def use(source: "atheris.FuzzedDataProvider", socket: Socket, kind: int) -> None:
    """What a call does with its websocket."""
    if kind < 8:
        while socket.take():
            pass
    elif kind == 8:
        socket.send(bytes(source.ConsumeBytes(source.ConsumeIntInRange(0, 9))))
    elif kind == 9:
        socket.ignore()
    elif kind == 10:
        socket.end()


def one(data: bytes) -> None:
    """One input."""
    source = atheris.FuzzedDataProvider(data)
    (http2 if source.ConsumeBool() else http1)(source)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
