"""A snapshot of one member, as an iterator of bytes in the caller's thread."""

import time
from collections.abc import Iterator

import zmq

from zetcd.base import errors as etcd
from zetcd.client.sockets import Again, Connection
from zetcd.session.errors import DEADLINE, Error
from zetcd.session.lane import PROBE
from zetcd.session.snapshot import Receiver

POLL_S = 0.5


def snapshot(endpoint: str, connect_timeout: float, silence: float) -> Iterator[bytes]:
    """The file of the member at endpoint, chunk by chunk, its checksum (32 bytes) last, as etcdctl saves it.

    connect_timeout, silence: seconds for the connection, and between two signs of life. Raises Error. Who takes no
    chunk for long pauses the member's sending.
    """
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    receiver = Receiver()
    try:
        connection = Connection(context, endpoint)
        try:
            began = heard = time.monotonic()
            frames = [receiver.first]
            while not receiver.done:
                now = time.monotonic()
                if now - heard > (connect_timeout if heard == began else silence):
                    raise Error(etcd.DEADLINE_EXCEEDED, DEADLINE, detail=f"{endpoint}: no answer")
                if frames and connection.send(frames[0]):
                    del frames[0]
                try:
                    message = connection.recv(0)
                except Again:
                    why = connection.broken()
                    if why:
                        raise Error(etcd.UNAVAILABLE, f"zetcd: connection lost: {endpoint}: {why}") from None
                    if now - heard > POLL_S:
                        connection.send(PROBE)  # it may plan for minutes: a living process answers this at once
                    continue
                heard = time.monotonic()
                if message[0] != receiver.first[0]:
                    continue
                blob, more = receiver.on_body(message[-1])
                frames += [more] if more else []
                if blob:
                    yield blob
                    heard = time.monotonic()
            yield receiver.digest
        finally:
            connection.close()
    except zmq.ZMQError as error:
        raise Error(etcd.UNAVAILABLE, f"zetcd: {endpoint}: {error.strerror}") from None
    finally:
        context.term()
