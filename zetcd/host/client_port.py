"""The client port of one api process: its ROUTER socket, drained and flushed by the loop."""

from collections.abc import Callable
from typing import Protocol

import zmq

from zetcd.base import limits
from zetcd.base.settings import Settings
from zetcd.host import sockets
from zetcd.host.loop import MORE, NOBLOCK


class Clients(Protocol):
    """What leaves: see `zetcd.actors.clients.Clients`."""

    def take(self) -> list[tuple[tuple[bytes, ...], bytes]]:
        """Frames to send."""

    def on_full(self, envelope: tuple[bytes, ...], data: bytes) -> None:
        """The client's pipe is full."""

    def on_gone(self, envelope: tuple[bytes, ...]) -> None:
        """The client is not connected."""


class Api(Protocol):
    """What arrives: see `zetcd.actors.api_actor.ApiActor`."""

    @property
    def clients(self) -> Clients:
        """The outbound side."""

    def on_client(self, envelope: tuple[bytes, ...], body: bytes) -> None:
        """One frame."""


class Tracer(Protocol):
    """Hop tracing: see `zetcd.actors.tracing`."""

    def start(self) -> None:
        """A client's frame came in."""

    def finish(self) -> None:
        """Replies went out."""

    def end_turn(self) -> None:
        """The turn is over."""


class ClientPort:
    """Binds at once; a client that connects before the member is ready simply waits for its first answer."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", settings: Settings, number: int, actor: Api,
                 tracer: Tracer | None = None) -> None:  # fmt: skip
        frame_bytes_max = limits.REQUEST_FRAME_FACTOR * settings.max_request_bytes
        urls = tuple(url for url in settings.listen_client_urls if url.startswith("tcp://"))
        self.socket = sockets.bind_clients(context, urls, number, frame_bytes_max)
        self._actor = actor
        self.look: Callable[[], None] = lambda: None
        """Has the loop look at the socket in the next turn; see `Loop.look_at`."""
        self._tracer = tracer

    def take(self) -> None:
        """Hand over one frame. Raises zmq.Again where there is none."""
        receive = self.socket.recv
        client = receive(NOBLOCK)
        if self._tracer is not None:
            self._tracer.start()
        frame = receive(NOBLOCK, False)
        if not frame.more:
            self._actor.on_client((client,), frame.bytes)
            return
        envelope = [client]
        while frame.more:
            envelope.append(frame.bytes)
            frame = receive(NOBLOCK, False)
        self._actor.on_client(tuple(envelope), frame.bytes)

    def flush(self) -> None:
        """Send what the turn produced."""
        out = self._actor.clients.take()
        if out:
            self._send(out)
        if self._tracer is not None:
            if out:
                self._tracer.finish()
            self._tracer.end_turn()

    def _send(self, out: list[tuple[tuple[bytes, ...], bytes]]) -> None:
        clients = self._actor.clients
        self.look()
        send, full = self.socket.send, dict[bytes, None]()
        for envelope, data in out:
            if envelope[0] in full:
                clients.on_full(envelope, data)  # nothing overtakes what waits
                continue
            try:
                for part in envelope:
                    send(part, MORE)  # only the first can be refused
                send(data, NOBLOCK)
            except zmq.Again:
                full[envelope[0]] = None
                clients.on_full(envelope, data)
            except zmq.ZMQError as error:
                if error.errno != zmq.EHOSTUNREACH:
                    raise
                clients.on_gone(envelope)
