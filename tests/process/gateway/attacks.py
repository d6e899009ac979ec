"""What clients do to a gateway that no client should: each attack goes on in a thread until it is told to stop."""

import contextlib
import random
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Self

from zetcd.gateway.h2 import frames
from zetcd.gateway.h2.fields import encode
from zetcd_pb import rpc_pb2

START = frames.PREFACE + frames.settings([])
UNBOUND = (
    frames.PREFACE + frames.settings([(4, frames.WINDOW_MAX)]) + frames.window_update(0, frames.WINDOW_MAX - 65_535)
)
"""A client that grants every window and then does not read: only TCP holds the gateway back."""
STUCK_S = 0.5  # a gateway that reads no more ends a flood's connection by itself
SEED = 20_340
MIB = 1 << 20
HOT, BIG = b"hot/", b"big/"
_POST = b"POST %s HTTP/1.1\r\nHost: a\r\n"


class Attack:
    """One attack on a port. ready: what it holds is set up; ended: its connections that the gateway has ended."""

    def __init__(self, port: int, how: "How") -> None:
        self.port = port
        self.over = threading.Event()
        self.ready = threading.Event()
        self.ended = 0
        self.fault: Exception | None = None
        self._how = how
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._thread.join()
        if self.fault is not None:
            raise self.fault

    def _run(self) -> None:
        try:
            self._how(self)
        except Exception as error:  # noqa: BLE001  # raised again where the test waits
            self.fault = error
        finally:
            self.ready.set()

    @contextlib.contextmanager
    def connections(self, count: int, *, receive_bytes: int = 0) -> Iterator[list[socket.socket]]:
        """So many, closed at the end. receive_bytes: of the kernel's buffer, 0: its default."""
        with contextlib.ExitStack() as stack:
            found = []
            for _ in range(count):
                sock = stack.enter_context(socket.socket())
                if receive_bytes:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
                sock.connect(("127.0.0.1", self.port))
                sock.settimeout(STUCK_S)
                found.append(sock)
            yield found

    def again_and_again(self, say: Callable[[socket.socket], None]) -> None:
        """`say` on one connection after the other; an OSError of it means that the gateway has ended that one."""
        while not self.over.is_set():
            with self.connections(1) as [sock]:
                try:
                    say(sock)
                    sock.settimeout(20)
                    while sock.recv(65_536):
                        pass
                except OSError:
                    pass
                self.ended += not self.over.is_set()
                self.ready.set()

    def flood(self, burst: Callable[[int], bytes], start: bytes = START) -> None:
        """Bursts on one connection until the gateway ends it, then on the next. Answers are read."""

        def say(sock: socket.socket) -> None:
            number = 0
            sock.sendall(start)
            while not self.over.is_set():
                sock.sendall(burst(number))
                number += 1
                with contextlib.suppress(BlockingIOError):
                    while sock.recv(65_536, socket.MSG_DONTWAIT):
                        pass
            raise OSError

        self.again_and_again(say)

    def hold(self) -> None:
        """Everything is set up: keep it so."""
        self.ready.set()
        self.over.wait()


How = Callable[[Attack], None]


def begin(path: bytes, stream_id: int, *, end: bool = False) -> bytes:
    """HEADERS of a gRPC call."""
    fields = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", path), (b":authority", b"a")]
    return frames.headers(
        stream_id, encode([*fields, (b"content-type", b"application/grpc"), (b"te", b"trailers")]), end=end
    )


def ask(path: bytes, stream_id: int, message: bytes, *, end: bool = True) -> bytes:
    """A gRPC call with its one request."""
    body = b"\0" + struct.pack(">I", len(message)) + message
    flags = frames.END_STREAM if end else 0
    return begin(path, stream_id) + frames.frame(frames.DATA, flags, stream_id, body)


def put(key: bytes, stream_id: int) -> bytes:
    """A whole Put."""
    return ask(b"/etcdserverpb.KV/Put", stream_id, rpc_pb2.PutRequest(key=key).SerializeToString())


def watch(prefix: bytes, stream_id: int) -> bytes:
    """A Watch, left open."""
    create = rpc_pb2.WatchCreateRequest(key=prefix, range_end=prefix[:-1] + bytes([prefix[-1] + 1]))
    request = rpc_pb2.WatchRequest(create_request=create).SerializeToString()
    return ask(b"/etcdserverpb.Watch/Watch", stream_id, request, end=False)


def post(path: bytes, body: bytes) -> bytes:
    """A whole HTTP/1.1 request."""
    return _POST % path + b"Content-Length: %d\r\n\r\n" % len(body) + body


def websocket(path: bytes, *frames_: bytes) -> bytes:
    """A handshake, and what is said on it."""
    wish = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n"
    return b"GET %b HTTP/1.1\r\nHost: a\r\n%b\r\n" % (path, wish) + b"".join(frames_)


def said(first: int, payload: bytes) -> bytes:
    """A frame of a websocket's client, with a mask of zeros. first: its first byte."""
    return struct.pack(">BBQ", first, 0xFF, len(payload)) + bytes(4) + payload


# -- floods: the gateway ends each connection ----------------------------------------------------------------------
def random_bytes(attack: Attack) -> None:
    """Of any kind of connection, from its first byte or behind a good beginning."""
    dice = random.Random(SEED)
    beginnings = (b"", START, START + begin(b"/etcdserverpb.KV/Put", 1), _POST % b"/v3/kv/put", frames.PREFACE[:20])
    attack.again_and_again(lambda sock: sock.sendall(dice.choice(beginnings) + dice.randbytes(65_536)))


def settings(attack: Attack) -> None:
    """Each asks for an answer."""
    attack.flood(lambda _: frames.settings([]) * 1_000)


def pings(attack: Attack) -> None:
    """The same, with 8 bytes."""
    attack.flood(lambda number: frames.ping(struct.pack(">Q", number), ack=False) * 1_000)


def rapid_resets(attack: Attack) -> None:
    """CVE-2023-44487: calls that are taken back at once."""

    def burst(number: int) -> bytes:
        ids = range(1 + 1_000 * number, 1 + 1_000 * (number + 1), 2)
        return b"".join(put(b"reset", one) + frames.rst_stream(one, 8) for one in ids)

    attack.flood(burst)


def continuations(attack: Attack) -> None:
    """CVE-2024-27316: a header block without end."""
    first = frames.frame(frames.HEADERS, 0, 1, b"")
    attack.flood(lambda number: (b"" if number else first) + frames.frame(frames.CONTINUATION, 0, 1, b"") * 1_000)


def empty_data(attack: Attack) -> None:
    """CVE-2019-9518: frames that move nothing."""
    first, empty = begin(b"/etcdserverpb.KV/Put", 1), frames.frame(frames.DATA, 0, 1, b"")
    attack.flood(lambda number: (b"" if number else first) + empty * 1_000)


def useless_frames(attack: Attack) -> None:
    """Priorities, windows of one byte, kinds that nobody knows."""
    some = frames.frame(frames.PRIORITY, 0, 3, bytes(5)) + frames.window_update(0, 1) + frames.frame(0x7F, 0, 0, b"")
    attack.flood(lambda _: some * 400)


def websocket_pings(attack: Attack) -> None:
    """On a watch that is in use."""
    first = websocket(b"/v3/watch", said(0x81, b'{"create_request": {"key": "cXVpZXQ="}}'))
    attack.flood(lambda _: b"\x89\x84aaaaping" * 1_000, first)


def websocket_fragments(attack: Attack) -> None:
    """A message without end, of nothing."""
    attack.flood(lambda _: b"\x00\x80aaaa" * 1_000, websocket(b"/v3/kv/put", b"\x01\x80aaaa"))


FLOODS: tuple[How, ...] = (
    random_bytes, settings, pings, rapid_resets, continuations, empty_data, useless_frames, websocket_pings,
    websocket_fragments,
)  # fmt: skip


# -- too much: refused, one by one ---------------------------------------------------------------------------------
def small_blocks_of_large_lists(attack: Attack) -> None:
    """An entry of 4000 bytes in the table of fields, and blocks that name it 16,000 times: 64 MB each, if believed."""
    entry = b"\x40\x01x\x7f" + bytes([(4_000 - 127) & 0x7F | 0x80, (4_000 - 127) >> 7]) + b"a" * 4_000

    def burst(number: int) -> bytes:
        block = (b"" if number else entry) + b"\xbe" * (16_000 if number else 1)
        return frames.headers(1 + 2 * number, block[: frames.PAYLOAD_BYTES_MAX], end=True)

    attack.flood(burst)


def oversized(attack: Attack) -> None:
    """Messages and bodies that are larger than they may be, said or sent, in all that the port speaks."""
    pieces = frames.frame(frames.DATA, 0, 1, bytes(16_000)) * 16
    shapes = (
        START + begin(b"/etcdserverpb.KV/Put", 1) + frames.frame(frames.DATA, 0, 1, b"\0\xff\xff\xff\xff"),
        START + begin(b"/etcdserverpb.KV/Put", 1) + frames.frame(frames.DATA, 0, 1, b"\0\0\x2f\xff\xff") + pieces,
        _POST % b"/v3/kv/put" + b"Content-Length: 10000000000\r\n\r\n" + bytes(MIB),
        _POST % b"/v3/kv/put" + b"Transfer-Encoding: chunked\r\n\r\n" + (b"10000\r\n" + bytes(65_536) + b"\r\n") * 100,
        _POST % b"/v3/kv/put" + b"X: " + b"a" * MIB,
        websocket(b"/v3/kv/put", said(0x81, bytes(5 * MIB))),
        websocket(b"/v3/kv/put", *[said(0x01, bytes(MIB))], *[said(0x00, bytes(MIB))] * 4),
    )
    turn = 0

    def say(sock: socket.socket) -> None:
        nonlocal turn
        turn += 1
        sock.sendall(shapes[turn % len(shapes)])
        sock.recv(65_536)
        raise OSError  # gRPC answers the call and keeps the connection

    attack.again_and_again(say)


def incomplete(attack: Attack) -> None:
    """A thousand requests of a megabyte, of which a part comes: ten connections with a hundred streams."""
    with attack.connections(10) as socks:
        for sock in socks:
            sock.settimeout(20)
            sock.sendall(START)
            for one in range(1, 201, 2):
                first = frames.frame(frames.DATA, 0, one, b"\0\0\x10\0\0" + bytes(16_000))
                sock.sendall(
                    begin(b"/etcdserverpb.KV/Put", one) + first + frames.frame(frames.DATA, 0, one, bytes(16_000))
                )
        attack.hold()


# -- slow ones -----------------------------------------------------------------------------------------------------
def slow_writers(attack: Attack) -> None:
    """A byte at a time, of requests of either protocol."""
    texts = (START + put(b"slow", 1), post(b"/v3/kv/put", b'{"key": "c2xvdw=="}' + b" " * 100_000))
    with attack.connections(400) as socks:
        at = 0
        while not attack.over.wait(0.05):
            for number, sock in enumerate(socks):
                with contextlib.suppress(OSError):
                    sock.sendall(texts[number % 2][at : at + 1])
            at += 1
            attack.ready.set()


def slow_ranges(attack: Attack) -> None:
    """Many answers of 8 MB that nobody reads: over two connections of each protocol."""
    request = rpc_pb2.RangeRequest(key=BIG, range_end=b"big0").SerializeToString()
    with attack.connections(4, receive_bytes=4_096) as socks:
        for sock in socks[:2]:
            asked = b"".join(ask(b"/etcdserverpb.KV/Range", one, request) for one in range(1, 101, 2))
            sock.sendall(UNBOUND + asked)
        for sock in socks[2:]:
            sock.sendall(post(b"/v3/kv/range", b'{"key": "YmlnLw==", "range_end": "YmlnMA=="}') * 50)
        attack.hold()


def slow_watches(attack: Attack) -> None:
    """Watches of what the others write, that nobody reads."""
    create = b'{"create_request": {"key": "aG90Lw==", "range_end": "aG90MA=="}}'
    with attack.connections(8, receive_bytes=4_096) as socks:
        for number, sock in enumerate(socks[:4]):
            sock.sendall((UNBOUND if number % 2 else START) + b"".join(watch(HOT, one) for one in range(1, 21, 2)))
        for sock in socks[4:6]:
            sock.sendall(post(b"/v3/watch", create))
        for sock in socks[6:]:
            sock.sendall(websocket(b"/v3/watch", said(0x81, create)))
        attack.hold()


# -- many ----------------------------------------------------------------------------------------------------------
def idle_connections(attack: Attack) -> None:
    """A thousand, half of which have said that they speak HTTP/2."""
    with attack.connections(1_000) as socks:
        for sock in socks[::2]:
            sock.sendall(START)
        attack.hold()


def many_streams(attack: Attack) -> None:
    """A thousand watches on one connection, a thousand unfinished puts on another."""
    with attack.connections(2) as [watches, puts]:
        for sock in (watches, puts):
            sock.sendall(START)
        for one in range(1, 2_001, 2):
            watches.sendall(watch(b"quiet/", one))
            puts.sendall(begin(b"/etcdserverpb.KV/Put", one))
        attack.hold()


def big_rows() -> Iterator[tuple[bytes, bytes]]:
    """What `slow_ranges` asks for."""
    return ((BIG + b"%d" % number, bytes(MIB)) for number in range(8))
