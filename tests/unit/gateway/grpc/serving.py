"""A port with toy methods behind it, in a thread of its own, on a free port of loopback."""

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.unit.gateway.grpc.toy import Toy
from zetcd.gateway.h2.policing import Policy
from zetcd.gateway.http1.exchange import Exchange, Request
from zetcd.gateway.port import Server, listen


def site(request: Request, exchange: Exchange) -> None:
    """/big: 3 MB; /parts: a stream; else what was asked."""
    if request.path == "/big":
        exchange.respond(200, [], bytes(3_000_000))
    elif request.path == "/parts":
        exchange.start(200, [])
        exchange.write(b"a\n")
        exchange.write(b"b\n")
        exchange.end()
    else:
        text = f"{request.method} {request.path} {request.query} {len(request.body)} {request.headers.get('x', '')}\n"
        exchange.respond(200, [("Content-Type", "text/plain")], text.encode())


@dataclass
class Serving:
    """What runs: its port, its toy, its server and loop."""

    toy: Toy = field(default_factory=Toy)
    port: int = 0

    async def _main(self, tls: ssl.SSLContext | None, policy: Policy | None, most: int, ready: threading.Event) -> None:
        self.loop = asyncio.get_running_loop()
        self.stop = asyncio.Event()
        self.server: Server = await listen(
            [("127.0.0.1", 0)], self.toy.methods, site, tls=tls, policy=policy, connections_max=most
        )
        self.port = self.server.addresses[0][1]
        ready.set()
        await self.stop.wait()
        await self.server.close(1.0)

    def ports(self) -> int:
        """Connections that are open."""
        return len(self.server.ports)


@contextlib.contextmanager
def serving(tls: ssl.SSLContext | None = None, policy: Policy | None = None, most: int = 1000) -> Iterator[Serving]:
    one = Serving()
    ready = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(one._main(tls, policy, most, ready)))
    thread.start()
    assert ready.wait(30)
    try:
        yield one
    finally:
        if not one.loop.is_closed():
            one.loop.call_soon_threadsafe(one.stop.set)
        thread.join(30)
        assert not thread.is_alive()
