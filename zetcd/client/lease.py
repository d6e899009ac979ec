"""Leases: granted, kept alive in the background, lost when nobody could renew them in time."""

import asyncio
import contextlib
import time
from typing import Any, Self

from zetcd.client.background import Background
from zetcd.client.reactor import Engine
from zetcd.session import call as kinds
from zetcd.session.errors import Error
from zetcd.wire import client as wire

RETRY_S = 0.5


class AsyncLease:
    """One lease. id: as etcd prints it in hex; ttl: granted seconds. As a context manager it is kept alive, and
    revoked at the end."""

    def __init__(self, engine: Engine, id: int, ttl: int) -> None:  # noqa: A002
        self._engine = engine
        self.id = id
        self.ttl = ttl
        self._expires = time.monotonic() + ttl
        self._task: asyncio.Task[None] | None = None
        self._gone = asyncio.Event()

    @property
    def lost(self) -> bool:
        """Whether it is known, or must be feared, to have ended: revoked, expired, or not renewed within its TTL."""
        return self._gone.is_set() or time.monotonic() >= self._expires

    async def wait_lost(self) -> None:
        """Returns when the lease, kept alive, is lost."""
        await self._gone.wait()

    def keep_alive(self) -> Self:
        """Renew it every third of its TTL from now on, until revoked, lost, or the client is closed."""
        if self._task is None:
            self._task = self._engine.loop.create_task(self._keep())
            self._engine.tasks.add(self._task)
            self._task.add_done_callback(self._engine.tasks.discard)
        return self

    async def _keep(self) -> None:
        pause = 0.0
        while not self._gone.is_set():
            await asyncio.sleep(pause)
            try:
                ttl = await self.keep_alive_once()
            except Error:
                pause = RETRY_S
            else:
                pause = ttl / 3
            if self.lost:
                self._gone.set()

    async def keep_alive_once(self) -> int:
        """Renew it now; its TTL in seconds, 0 where it is gone."""
        asked = time.monotonic()
        patience = max(0.1, min(self._engine.options.timeout, self._expires - asked))
        ttl = await self._engine.run(wire.LeaseKeepAliveRequest(self.id), kinds.KEEP_ALIVE, patience)
        self._expires = asked + ttl  # counted from before the server did it: never later than there
        if ttl == 0:
            self._gone.set()
        return ttl

    def time_to_live(self, *, keys: bool = False) -> "asyncio.Future[dict[str, Any]]":
        """As `AsyncClient.lease_time_to_live`."""
        return self._engine.run(wire.LeaseTimeToLiveRequest(self.id, keys), kinds.PLAIN, None)

    def forsake(self) -> None:
        """Renew it no more, and let it expire."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def revoke(self) -> None:
        """End it and delete its keys."""
        self.forsake()
        await self._engine.run(wire.LeaseRevokeRequest(self.id), kinds.PLAIN, None)
        self._gone.set()

    async def __aenter__(self) -> Self:
        return self.keep_alive()

    async def __aexit__(self, *_: object) -> None:
        with contextlib.suppress(Error):  # gone already, or it expires by itself
            await self.revoke()


async def grant(engine: Engine, ttl: int, lease_id: int = 0, timeout_s: float | None = None) -> AsyncLease:
    """A new lease."""
    return AsyncLease(engine, *await engine.run(wire.LeaseGrantRequest(ttl, lease_id), kinds.GRANT, timeout_s))


class Lease:
    """One lease. id: as etcd prints it in hex; ttl: granted seconds. As a context manager it is kept alive, and
    revoked at the end."""

    def __init__(self, background: Background, id: int, ttl: int) -> None:  # noqa: A002
        self._background = background
        self._lease = AsyncLease(background.engine, id, ttl)
        self.id = id
        self.ttl = ttl

    @property
    def lost(self) -> bool:
        """Whether it is known, or must be feared, to have ended: revoked, expired, or not renewed within its TTL."""
        return self._lease.lost

    def keep_alive(self) -> Self:
        """Renew it every third of its TTL from now on, until revoked, lost, or the client is closed."""
        self._background.tell(self._lease.keep_alive)
        return self

    def keep_alive_once(self) -> int:
        """Renew it now; its TTL in seconds, 0 where it is gone."""
        return self._background.run(self._lease.keep_alive_once())

    def wait_lost(self) -> None:
        """Returns when the lease, kept alive, is lost."""
        self._background.run(self._lease.wait_lost())

    def revoke(self) -> None:
        """End it and delete its keys."""
        self._background.run(self._lease.revoke())

    def __enter__(self) -> Self:
        return self.keep_alive()

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(Error):  # gone already, or it expires by itself
            self.revoke()
