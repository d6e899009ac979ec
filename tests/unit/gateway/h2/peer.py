"""A client of the sans-I/O connection that may break any rule: frames by hand, and what came back as a list."""

import struct
from dataclasses import dataclass, field

from zetcd.gateway.h2 import frames
from zetcd.gateway.h2.codes import Code
from zetcd.gateway.h2.connection import Connection
from zetcd.gateway.h2.fields import encode
from zetcd.gateway.h2.head import Head
from zetcd.gateway.h2.policing import Policy
from zetcd.gateway.h2.stream import Handler, Stream

REQUEST = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/a"), (b":authority", b"x")]
BLOCK = encode(REQUEST)
START = frames.PREFACE + frames.settings([])


@dataclass
class Frame:
    kind: int
    flags: int
    stream_id: int
    payload: bytes

    @property
    def number(self) -> int:
        return int.from_bytes(self.payload[:4], "big")


def cut(data: bytes) -> list[Frame]:
    out, at = [], 0
    while at < len(data):
        word, flags, stream_id = frames.read_head(data, at)
        stop = at + 9 + (word >> 8)
        out.append(Frame(word & 0xFF, flags, stream_id, data[at + 9 : stop]))
        at = stop
    assert at == len(data)
    return out


@dataclass
class Call:
    """The application's side of one stream: a handler that remembers."""

    stream: Stream
    head: Head
    data: bytearray = field(default_factory=bytearray)
    ended: bool = False
    resets: int = 0
    writable: int = 0

    def on_data(self, data: bytes, end: bool) -> None:
        assert not self.ended
        self.data += data
        self.ended = end

    def on_reset(self) -> None:
        self.resets += 1

    def on_writable(self) -> None:
        self.writable += 1


@dataclass
class Peer:
    """A connection with a client in front and an application behind."""

    policy: Policy = field(default_factory=Policy)
    now: float = 1000.0
    wakes: int = 0

    def __post_init__(self) -> None:
        self.calls: list[Call] = []
        self.connection = Connection(self, self._wake, self.now, self.policy)

    def _wake(self) -> None:
        self.wakes += 1

    def on_request(self, stream: Stream, head: Head) -> Handler:
        call = Call(stream, head)
        self.calls.append(call)
        return call

    def begin(self, *values: tuple[int, int]) -> "Peer":
        self.say(frames.PREFACE + frames.settings(list(values)))
        return self

    def say(self, *data: bytes) -> list[Frame]:
        """Send, and return what came back."""
        for one in data:
            self.connection.receive(one, self.now)
        return self.read()

    def read(self) -> list[Frame]:
        out = []
        while self.connection.has_output:
            out += cut(self.connection.take())
        return out

    def open(self, stream_id: int = 1, *, end: bool = False, fields: list[tuple[bytes, bytes]] | None = None) -> Call:
        self.say(frames.headers(stream_id, encode(fields or REQUEST), end=end))
        return self.calls[-1]

    def fault(self, *data: bytes) -> Code | None:
        """Send, and return the code of the connection error that follows."""
        for frame in self.say(*data):
            if frame.kind == frames.GOAWAY and self.connection.closing:
                return Code(struct.unpack(">II", frame.payload[:8])[1])
        return None

    def resets(self, *data: bytes) -> list[tuple[int, Code]]:
        """Send, and return the streams that were reset."""
        return [(one.stream_id, Code(one.number)) for one in self.say(*data) if one.kind == frames.RST_STREAM]
