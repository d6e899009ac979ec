"""Locks, by the server's own lock operation: first come, first served; held as long as the lease lives."""

import asyncio
from typing import Self

from zetcd.base import errors as etcd
from zetcd.client.background import Background
from zetcd.client.lease import AsyncLease, grant
from zetcd.client.reactor import Engine
from zetcd.session import call as kinds
from zetcd.session.errors import DEADLINE, Error
from zetcd.wire import client as wire


class AsyncLock:
    """One lock, for ``async with``. Holding it is only as sure as its lease: guard what must not be done by two with
    `guard` in the transaction that does it."""

    def __init__(self, engine: Engine, name: bytes, ttl: int) -> None:
        self._engine = engine
        self._name = name
        self._ttl = ttl
        self._lease: AsyncLease | None = None
        self._key = b""

    @property
    def key(self) -> bytes:
        """The key that stands for the holder; empty while not held."""
        return self._key

    @property
    def lost(self) -> bool:
        """Whether the lock was held and its lease may have ended."""
        return self._lease is not None and self._lease.lost

    def guard(self) -> wire.CompareMap:
        """A compare for transactions: the lock is still ours."""
        assert self._key, "not held"
        return wire.CompareMap(self._key, 3, 1)  # create revision != 0

    async def acquire(self, timeout: float | None = None) -> Self:  # noqa: ASYNC109
        """Wait for the lock, at most timeout seconds (None: as long as it takes). Raises Error."""
        if self._lease is not None:
            raise RuntimeError("this lock object is in use; take another one")
        lease = self._lease = await grant(self._engine, self._ttl)
        lease.keep_alive()
        try:
            async with asyncio.timeout(timeout):
                key = await self._engine.run(wire.LockRequest(self._name, lease.id), kinds.LOCK, float("inf"))
            if lease.lost:
                raise Error(*etcd.SESSION_EXPIRED)  # noqa: TRY301  (handled like any failure)
        except BaseException as error:  # also a cancellation: the place in the queue is given back
            await self._give_up()
            if isinstance(error, TimeoutError):
                raise Error(etcd.DEADLINE_EXCEEDED, DEADLINE, detail="the lock is held by another") from None
            raise
        self._key = key
        return self

    async def _give_up(self) -> None:
        lease, self._lease, self._key = self._lease, None, b""
        if lease is not None:
            try:
                await asyncio.shield(lease.revoke())
            except Error:
                lease.forsake()  # it expires by itself

    async def release(self) -> None:
        """Let the next one in. Its key goes with its lease."""
        await self._give_up()

    async def __aenter__(self) -> Self:
        return await self.acquire()

    async def __aexit__(self, *_: object) -> None:
        await self.release()


class Lock:
    """One lock, for ``with``. Holding it is only as sure as its lease: guard what must not be done by two with
    `guard` in the transaction that does it."""

    def __init__(self, background: Background, name: bytes, ttl: int) -> None:
        self._background = background
        self._lock = AsyncLock(background.engine, name, ttl)

    @property
    def key(self) -> bytes:
        """The key that stands for the holder; empty while not held."""
        return self._lock.key

    @property
    def lost(self) -> bool:
        """Whether the lock was held and its lease may have ended."""
        return self._lock.lost

    def guard(self) -> wire.CompareMap:
        """A compare for transactions: the lock is still ours."""
        return self._lock.guard()

    def acquire(self, timeout: float | None = None) -> Self:
        """Wait for the lock, at most timeout seconds (None: as long as it takes). Raises Error."""
        self._background.run(self._lock.acquire(timeout))
        return self

    def release(self) -> None:
        """Let the next one in. Its key goes with its lease."""
        self._background.run(self._lock.release())

    def __enter__(self) -> Self:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()
