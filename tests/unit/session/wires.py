"""Sockets made of lists, and a clock that stands still."""

from typing import Any

import msgpack

from zetcd.session.call import PLAIN, PUT, Call, Kind, policy_of
from zetcd.session.lane import PROBE_ID, Lane
from zetcd.session.options import Options
from zetcd.session.session import Session
from zetcd.wire import client as wire

HEADER = {"revision": 7}


class Wire:
    """The port of one lane: what was sent, decoded."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.sent: list[tuple[bytes, dict[str, Any]]] = []
        self.probes = 0
        self.up = True
        self.closed = False

    def send(self, frames: list[bytes]) -> bool:
        if not self.up:
            return False
        if frames[0] == PROBE_ID:
            self.probes += 1
        else:
            self.sent.append((frames[0], msgpack.unpackb(frames[1])))
        return True

    def close(self) -> None:
        self.closed = True

    def take(self) -> tuple[bytes, dict[str, Any]]:
        return self.sent.pop(0)


class Waiter:
    """Records an outcome."""

    def __init__(self) -> None:
        self.result: Any = None
        self.error: Any = None
        self.cancelled = False

    def done(self) -> bool:
        return self.cancelled or self.result is not None or self.error is not None

    def set_result(self, result: Any, /) -> None:
        assert not self.done()
        self.result = result

    def set_exception(self, exception: BaseException, /) -> None:
        assert not self.done()
        self.error = exception


class World:
    """A session, its wires, and the time."""

    def __init__(self, *endpoints: str, sockets: int = 1, timeout: float = 5, try_timeout: float = 2) -> None:
        self.options = Options.of(list(endpoints) or ["one:1"], timeout, try_timeout, 1, sockets)
        self.wires: list[Wire] = []
        self.now = 100.0
        self.session = Session(self.options, self.dial)

    def dial(self, lane: Lane) -> Wire:
        wire_ = Wire(lane)
        self.wires.append(wire_)
        return wire_

    @property
    def newest(self) -> Wire:
        """The newest."""
        return self.wires[-1]

    def call(self, request: wire.Request, kind: Kind[Any] = PLAIN, timeout: float = 5) -> Waiter:
        waiter = Waiter()
        self.session.submit(Call(request, kind, waiter, self.now + timeout, policy_of(request)))
        return waiter

    def put(self, key: bytes = b"k", timeout: float = 5) -> Waiter:
        return self.call(wire.PutRequest(key, b"v"), PUT, timeout)

    def get(self, key: bytes = b"k", timeout: float = 5) -> Waiter:
        return self.call(wire.RangeRequest(key), PLAIN, timeout)

    def flush(self) -> None:
        self.session.flush(self.now)

    def connect(self, wire_: Wire | None = None) -> Wire:
        """The newest wire's probe is answered."""
        chosen = wire_ or self.newest
        self.answer(chosen, PROBE_ID, {"error": {"code": 5, "status": "NOT_FOUND", "message": "no watch"}})
        self.flush()
        return chosen

    def up(self) -> Wire:
        """A connection, established."""
        self.flush()
        self.session.tick(self.now)
        if not self.wires:
            self.put().cancelled = True
            self.flush()
        return self.connect()

    def answer(self, wire_: Wire, frame_id: bytes, reply: Any) -> None:
        self.session.on_frames(wire_.lane, [frame_id, msgpack.packb(reply)], self.now)

    def serve(self, wire_: Wire) -> dict[str, Any]:
        """Answer the oldest frame with headers; the request."""
        frame_id, request = wire_.take()
        one = {"header": HEADER}
        reply = {"responses": [one] * len(request["requests"])} if request["op"] == "batch" else one
        self.answer(wire_, frame_id, reply)
        return request

    def pass_time(self, seconds: float) -> None:
        """In ticks."""
        for _ in range(round(seconds / 0.05)):
            self.now += 0.05
            self.session.tick(self.now)


def refusal(code: int, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "status": "", "message": message}}
