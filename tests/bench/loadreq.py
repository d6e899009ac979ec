"""Many separate REQ sockets in one process: each sends a MessagePack map, waits for its reply, sends the next.

This program knows nothing of zetcd but its public protocol. A poller over 1,000 sockets would look at all of them for
each reply; instead each socket's descriptor stands in one epoll set, as an event loop would hold it.
"""

import random
import select
import time
from collections.abc import Callable

import msgspec
import zmq

from tests.bench.meter import Meter

ERROR = b"\x81\xa5error"
CONNECT_S = 30.0


def requests(work: str, key: Callable[[random.Random], bytes], size: int, dice: random.Random) -> Callable[[], bytes]:
    """What makes the next request, encoded: a put of size random bytes, or a linearizable get, of a drawn key."""
    value = dice.randbytes(size)
    encode = msgspec.msgpack.Encoder().encode
    if work == "put":
        return lambda: encode({"op": "put", "key": key(dice), "value": value})
    return lambda: encode({"op": "range", "key": key(dice)})


def run(endpoint: str, sockets: int, body: Callable[[], bytes], meter: Meter) -> Meter:
    """Keep one request outstanding on each of sockets REQ sockets until meter is over."""
    context = zmq.Context()
    context.set(zmq.MAX_SOCKETS, sockets + 16)
    epoll = select.epoll()
    by_descriptor: dict[int, zmq.Socket[bytes]] = {}
    started: dict[int, int] = {}
    for _ in range(sockets):
        sock = context.socket(zmq.REQ)
        sock.linger = 0
        sock.connect(endpoint)
        descriptor = sock.FD
        by_descriptor[descriptor] = sock
        epoll.register(descriptor, select.EPOLLIN)
        started[descriptor] = time.perf_counter_ns()
        sock.send(body())
    try:
        if sockets == 1:
            _alone(sock, body, meter)
        _drive(epoll, by_descriptor, started, body, meter)
    finally:
        meter.end()
        context.destroy(linger=0)
    return meter


def _alone(sock: "zmq.Socket[bytes]", body: Callable[[], bytes], meter: Meter) -> None:
    """One socket needs no epoll: send, wait, as the simplest client does. The first request is on its way."""
    sock.rcvtimeo = int(CONNECT_S * 1000)
    sock.recv()
    while not meter.over:
        request = body()
        started = time.perf_counter_ns()
        sock.send(request)
        reply = sock.recv()
        meter.took(started)
        if reply.startswith(ERROR):
            raise RuntimeError(msgspec.msgpack.decode(reply))


def _drive(
    epoll: select.epoll,
    by_descriptor: dict[int, "zmq.Socket[bytes]"],
    started: dict[int, int],
    body: Callable[[], bytes],
    meter: Meter,
) -> None:
    quiet_since = time.monotonic()
    while not meter.over:
        ready = epoll.poll(1.0, 1024)
        if not ready and time.monotonic() - quiet_since > CONNECT_S:
            raise TimeoutError("no reply for half a minute")
        for descriptor, _ in ready:
            sock = by_descriptor[descriptor]
            # The descriptor also wakes for what is no message; EVENTS settles it.
            if not int(sock.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
                continue
            reply = sock.recv()
            meter.took(started[descriptor])
            if reply.startswith(ERROR):
                raise RuntimeError(msgspec.msgpack.decode(reply))
            started[descriptor] = time.perf_counter_ns()
            sock.send(body())
            quiet_since = time.monotonic()
