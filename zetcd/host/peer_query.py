"""Asks members for the member list, before this member has a raft process of its own."""

from collections.abc import Iterator, Sequence

import zmq

from zetcd.base import limits
from zetcd.base.errors import WireError
from zetcd.host import clock, sockets
from zetcd.wire.peer import PROTOCOL, MembersAnswer, MembersAsk, decode_peer_frame, encode_peer_frame

_AGAIN_MS = 100


def ask_members(urls: Sequence[str], limit_ms: int) -> Iterator[MembersAnswer]:
    """What those who listen at urls answer, as it comes; each is asked again and again until limit_ms is over."""
    if not urls:
        return
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    dealers = []
    try:
        for number, url in enumerate(urls):
            try:
                dealers.append(sockets.connect_peer(context, url, b"ask:%d:%d" % (clock.monotonic_ns(), number), 4))
            except zmq.ZMQError:
                continue  # an address that is none
        until_ms = clock.monotonic_ms() + limit_ms
        ask = encode_peer_frame([MembersAsk(PROTOCOL)])
        while clock.monotonic_ms() < until_ms:
            for dealer in dealers:
                _offer(dealer, ask)
            zmq.zmq_poll([(dealer, zmq.POLLIN) for dealer in dealers], _AGAIN_MS)
            for dealer in dealers:
                yield from _answers(dealer)
    finally:
        for dealer in dealers:
            dealer.close(0)
        context.term()


def _offer(dealer: "zmq.Socket[bytes]", ask: bytes) -> None:
    try:
        dealer.send(ask, zmq.NOBLOCK)
    except zmq.Again:
        return  # not connected yet


def _answers(dealer: "zmq.Socket[bytes]") -> Iterator[MembersAnswer]:
    for _ in range(limits.TURN_FRAMES_MAX):
        try:
            messages = decode_peer_frame(dealer.recv(zmq.NOBLOCK))
        except zmq.Again:
            return
        except WireError:
            continue
        for message in messages:
            if isinstance(message, MembersAnswer):
                yield message
