"""Listeners: one port for gRPC (HTTP/2) and HTTP/1.1, told apart by the first bytes.

A connection's protocol is a sans-I/O object (`Wire`). What it has to say in a turn of the loop goes out in one write.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from email.utils import formatdate
from functools import partial
from typing import Protocol

from zetcd.base import limits
from zetcd.gateway.client_names import is_for
from zetcd.gateway.grpc.deadlines import Deadlines
from zetcd.gateway.grpc.service import MESSAGE_BYTES_MAX, Service, Traffic
from zetcd.gateway.h2.connection import Connection as H2Connection
from zetcd.gateway.h2.frames import PREFACE
from zetcd.gateway.h2.head import Head
from zetcd.gateway.h2.policing import Policy
from zetcd.gateway.h2.stream import Stream
from zetcd.gateway.held import Held
from zetcd.gateway.http1.connection import Connection as Http1Connection
from zetcd.gateway.http1.exchange import Handler
from zetcd.gateway.http1.over_h2 import Incoming
from zetcd.gateway.rpc import Methods

Address = tuple[str, int]
_SNIFF_S = limits.GATEWAY_SNIFF_MS / 1000


class Wire(Protocol):
    """A protocol without I/O: `h2.Connection` and `http1.Connection`."""

    congested: bool
    closing: bool

    def receive(self, data: bytes, now: float) -> None:
        """Bytes of the client."""

    def take(self) -> bytes:
        """Bytes for the client."""

    def tick(self, now: float) -> float:
        """Time has passed; returns when to call again."""

    def close(self) -> None:
        """Take no further requests."""

    def lost(self) -> None:
        """The transport is gone."""

    @property
    def has_output(self) -> bool:
        """Whether `take` would return something."""

    @property
    def full(self) -> bool:
        """Read no more for now."""

    @property
    def finished(self) -> bool:
        """Close the transport once all is written."""


class Port(asyncio.BufferedProtocol):
    """One connection: its transport, and the wire spoken on it once the first bytes have come."""

    __slots__ = ("_first", "_flushing", "_loop", "_server", "_timer", "_transport", "_wire", "peer")

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._loop = server.loop
        self._wire: Wire | None = None
        self._first = b""
        self._flushing = False
        self._timer: asyncio.TimerHandle | None = None

    # -- what asyncio calls -----------------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected, and said nothing yet."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.peer = _peer(transport.get_extra_info("peername"))
        if len(self._server.ports) >= self._server.connections_max or not self._server.knows(transport):
            transport.abort()
            return
        _keep_alive(transport.get_extra_info("socket"))
        transport.set_write_buffer_limits(high=limits.GATEWAY_WRITE_BYTES)
        # asyncio does this only for sockets that name their protocol; the accepted ones of a given listener do not.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._server.ports[self] = None
        self._timer = self._loop.call_later(_SNIFF_S, transport.abort)

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Where to read to: one buffer for all, for what is in it is taken out at once."""
        return self._server.buffer

    def buffer_updated(self, size: int) -> None:
        """Bytes of the client."""
        data = bytes(self._server.buffer[:size])
        wire = self._wire
        if wire is None:
            data = self._first + data
            if len(data) < len(PREFACE) and PREFACE.startswith(data):
                self._first = data
                return
            wire = self._begin(data)
        wire.receive(data, self._loop.time())
        if wire.full:
            self._transport.pause_reading()
        self.flush()

    def pause_writing(self) -> None:
        """The client does not read."""
        if self._wire is not None:
            self._wire.congested = True

    def resume_writing(self) -> None:
        """It does again."""
        if self._wire is not None:
            self._wire.congested = False
            self.wake()

    def eof_received(self) -> bool:
        """The client sends no more, which ends everything: neither gRPC nor etcd's JSON clients close one side only."""
        return False

    def connection_lost(self, _error: Exception | None) -> None:
        """The transport is gone."""
        self._server.ports.pop(self, None)
        if self._timer is not None:
            self._timer.cancel()
        if self._wire is not None:
            self._wire.lost()
        self._server.gone()

    # -- between transport and wire ---------------------------------------------------------------
    def _begin(self, data: bytes) -> Wire:
        self._first = b""
        server, now = self._server, self._loop.time()
        if data.startswith(PREFACE) and server.methods is not None:
            held = Held(limits.GATEWAY_HELD_BYTES_MAX, server.held)
            otherwise = partial(_over_h2, server.http, self.peer, held)
            service = Service(
                server.methods, server.deadlines, self.peer, server.message_bytes_max, held=held,
                traffic=server.traffic, otherwise=otherwise,
            )  # fmt: skip
            unsent = Held(limits.GATEWAY_UNSENT_BYTES_MAX, server.unsent)
            wire: Wire = H2Connection(service, self.wake, now, server.policy, unsent)
        else:
            wire = Http1Connection(server.http, self.wake, now, self.peer, date=server.date, held=server.held)
        self._wire = wire
        if self._timer is not None:
            self._timer.cancel()
        self._arm(wire.tick(now))
        return wire

    def wake(self) -> None:
        """The wire has output: write it when this turn's callbacks have run."""
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write what the wire has."""
        self._flushing = False
        wire, transport = self._wire, self._transport
        if wire is None:
            return
        try:
            while wire.has_output:
                transport.write(wire.take())
        except BaseException:  # a service failed in a callback, asyncio logs it; the connection is in no known state
            transport.abort()
            raise
        if wire.finished:
            # What a client that does not read has not taken by now is lost to it.
            (transport.abort if wire.congested else transport.close)()
        elif not wire.full and not transport.is_closing() and not transport.is_reading():
            transport.resume_reading()

    def _arm(self, when: float) -> None:
        self._timer = self._loop.call_at(when, self._tick) if when != float("inf") else None

    def _tick(self) -> None:
        wire = self._wire
        assert wire is not None
        when = wire.tick(self._loop.time())
        self.flush()
        self._arm(when)

    def close(self) -> None:
        """End it when what is under way has been answered."""
        if self._wire is None:
            self._transport.abort()
        else:
            self._wire.close()
            self.flush()

    def abort(self) -> None:
        """End it now."""
        self._transport.abort()


class Server:
    """Listeners and their connections. methods None: no gRPC there."""

    def __init__(
        self, methods: Methods | None, http: Handler, policy: Policy, message_bytes_max: int, connections_max: int,
        *, traffic: Traffic, client_name: str,
    ) -> None:  # fmt: skip
        self.loop = asyncio.get_running_loop()
        self.methods = methods
        self.http = http
        self.policy = policy
        self.message_bytes_max = message_bytes_max
        self.connections_max = connections_max
        self.traffic = traffic
        self.client_name = client_name
        self.deadlines = Deadlines(self.loop)
        self.held = Held(limits.GATEWAY_HELD_TOTAL_BYTES_MAX)
        self.unsent = Held(limits.GATEWAY_UNSENT_TOTAL_BYTES_MAX)
        self.ports: dict[Port, None] = {}
        self.buffer = memoryview(bytearray(limits.GATEWAY_READ_BYTES))
        self.listeners: list[asyncio.Server] = []
        self._empty: asyncio.Future[None] | None = None
        self._date = (0, "")

    @property
    def addresses(self) -> list[Address]:
        """Where it listens."""
        return [one.getsockname()[:2] for listener in self.listeners for one in listener.sockets]

    def date(self) -> str:
        """Now, as HTTP writes it."""
        now = int(time.time())
        if self._date[0] != now:
            self._date = now, formatdate(now, usegmt=True)
        return self._date[1]

    def knows(self, transport: asyncio.Transport) -> bool:
        """Whether the client's certificate is made out to the name that all must be for, if there is one."""
        return not self.client_name or is_for(transport.get_extra_info("peercert"), self.client_name)

    def gone(self) -> None:
        """A connection has ended."""
        if self._empty is not None and not self.ports and not self._empty.done():
            self._empty.set_result(None)

    async def close(self, grace: float) -> None:
        """Accept no more, let calls under way end for so many seconds, then cut off what is left."""
        for listener in self.listeners:
            listener.close()
        self._empty = self.loop.create_future()
        for port in list(self.ports):
            port.close()
        if self.ports:
            await asyncio.wait([self._empty], timeout=grace)
        for port in list(self.ports):
            port.abort()


async def listen(
    at: Sequence[socket.socket | Address],
    methods: Methods | None,
    http: Handler,
    *,
    tls: ssl.SSLContext | None = None,
    policy: Policy | None = None,
    message_bytes_max: int = MESSAGE_BYTES_MAX,
    connections_max: int = limits.GATEWAY_CONNECTIONS_MAX,
    traffic: Traffic | None = None,
    client_name: str = "",
) -> Server:
    """Serve on sockets that are bound, or on addresses, which other processes may bind too (SO_REUSEPORT).

    message_bytes_max: of one gRPC request. traffic: where its bytes are counted. client_name: whom all certificates of
    clients must be for, empty: anybody. Raises OSError.
    """
    traffic = traffic or Traffic()
    server = Server(
        methods, http, policy or Policy(), message_bytes_max, connections_max, traffic=traffic, client_name=client_name
    )
    make: Callable[[], Port] = lambda: Port(server)
    for one in at:
        if isinstance(one, socket.socket):
            listener = await server.loop.create_server(make, sock=one, ssl=tls, backlog=limits.GATEWAY_BACKLOG)
        else:
            listener = await server.loop.create_server(
                make, one[0], one[1], ssl=tls, reuse_port=True, backlog=limits.GATEWAY_BACKLOG
            )
        server.listeners.append(listener)
    return server


def _over_h2(http: Handler, peer: str, held: Held, stream: Stream, head: Head) -> Incoming:
    return Incoming(stream, head, http, peer, held=held)


def _keep_alive(connection: socket.socket | None) -> None:
    """Let the kernel find out that a quiet client's host is gone, as etcd's listeners do."""
    if connection is not None and connection.family in (socket.AF_INET, socket.AF_INET6):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, limits.GATEWAY_TCP_KEEPALIVE_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, limits.GATEWAY_TCP_KEEPALIVE_S)


def _peer(name: object) -> str:
    """``address:port``; empty for what has none."""
    if isinstance(name, tuple) and len(name) >= 2:
        return f"[{name[0]}]:{name[1]}" if ":" in str(name[0]) else f"{name[0]}:{name[1]}"
    return ""
