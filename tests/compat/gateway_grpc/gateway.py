"""A member of zetcd, and in this process the gateway's parts on a port."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.process.member import Member
from zetcd.gateway import services
from zetcd.gateway.link import Link
from zetcd.gateway.port import Server, listen

START_S = 30.0


class Gateway:
    """Its parts in a loop of its own. target: as grpcio wants it."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.target = ""
        self.link: Link
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._server: Server

    def start(self) -> None:
        """Listen on a free port."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self.loop).result(START_S)

    async def _start(self) -> None:
        self.link = Link([self.endpoint])
        self._server = await listen([("127.0.0.1", 0)], services.methods(self.link), lambda _request, _exchange: None)
        host, port = self._server.addresses[0]
        self.target = f"{host}:{port}"

    def stop(self) -> None:
        """End it all."""
        asyncio.run_coroutine_threadsafe(self._stop(), self.loop).result(START_S)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(START_S)
        self.loop.close()

    async def _stop(self) -> None:
        await self._server.close(0.5)
        self.link.close()


@contextmanager
def running(directory: Path) -> Iterator[tuple[Member, Gateway]]:
    """Both, stopped at the end."""
    member = Member(directory)
    member.start()
    try:
        gateway = Gateway(member.endpoint)
        gateway.start()
        try:
            yield member, gateway
        finally:
            gateway.stop()
    finally:
        member.stop()
