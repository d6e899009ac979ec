"""Elections, by the server's own operations; observing is a watch of the candidates, so that it resumes by itself."""

import asyncio
import contextlib
import queue
from collections.abc import AsyncIterator, Generator

from zetcd.base import errors as etcd
from zetcd.client.background import Background
from zetcd.client.lease import AsyncLease, grant
from zetcd.client.reactor import Engine
from zetcd.client.requests import Key, octets, prefix_range
from zetcd.client.watch import AsyncWatcher
from zetcd.session import call as kinds
from zetcd.session.errors import DEADLINE, Error
from zetcd.wire import client as wire
from zetcd.wire.replies import KeyValue


class AsyncElection:
    """One election, and one candidacy in it."""

    def __init__(self, engine: Engine, name: bytes, ttl: int) -> None:
        self._engine = engine
        self._name = name
        self._ttl = ttl
        self._lease: AsyncLease | None = None
        self._leader: wire.LeaderKey | None = None

    @property
    def lost(self) -> bool:
        """Whether this candidate was elected and its lease may have ended."""
        return self._lease is not None and self._lease.lost

    @property
    def key(self) -> bytes:
        """The key of this candidate while it leads; empty otherwise."""
        return self._leader.key if self._leader else b""

    async def campaign(self, value: Key = b"", *, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Wait to be elected, at most timeout seconds (None: as long as it takes). Raises Error."""
        if self._lease is None:
            self._lease = (await grant(self._engine, self._ttl)).keep_alive()
        lease = self._lease
        request = wire.CampaignRequest(self._name, lease.id, octets(value))
        try:
            async with asyncio.timeout(timeout):
                self._leader = await self._engine.run(request, kinds.CAMPAIGN, float("inf"))
            if lease.lost:
                raise Error(*etcd.SESSION_EXPIRED)  # noqa: TRY301  (handled like any failure)
        except BaseException as error:  # also a cancellation: the candidacy is withdrawn
            await self._withdraw()
            if isinstance(error, TimeoutError):
                raise Error(etcd.DEADLINE_EXCEEDED, DEADLINE, detail="another one leads") from None
            raise

    async def _withdraw(self) -> None:
        lease, self._lease, self._leader = self._lease, None, None
        if lease is not None:
            try:
                await asyncio.shield(lease.revoke())
            except Error:
                lease.forsake()  # it expires by itself

    async def proclaim(self, value: Key) -> None:
        """Change the leader's value. Raises Error ("election: not leader")."""
        await self._engine.run(wire.ProclaimRequest(self._leader, octets(value)), kinds.PLAIN, None)

    async def resign(self) -> None:
        """Stop leading, or waiting."""
        await self._withdraw()

    async def leader(self) -> KeyValue | None:
        """The leader's key and value now, None without a leader."""
        try:
            return await self._engine.run(wire.LeaderRequest(self._name), kinds.LEADER, None)
        except Error as error:
            if error.message == etcd.ELECTION_NO_LEADER.message:
                return None
            raise

    async def observe(self) -> AsyncIterator[KeyValue]:
        """The leader now, then every new leader and every new value of one."""
        start, end = prefix_range(self._name + b"/")
        while True:
            reply = await self._engine.run(wire.RangeRequest(start, end), kinds.RANGE, None)
            candidates = {kv.key: kv for kv in reply.kvs}
            leader = _leader(candidates)
            if leader is not None:
                yield leader
            request = wire.WatchCreateRequest(start, end, reply.header.revision + 1)
            try:
                async with await AsyncWatcher.open(self._engine, request, None, None) as watcher:
                    async for event in watcher:
                        if event.type:
                            candidates.pop(event.kv.key, None)
                        else:
                            candidates[event.kv.key] = event.kv
                        former, leader = leader, _leader(candidates)
                        if leader is not None and leader != former:
                            yield leader
                    return
            except Error as error:
                if not error.compact_revision:
                    raise


def _leader(candidates: dict[bytes, KeyValue]) -> KeyValue | None:
    return min(candidates.values(), key=lambda kv: kv.create_revision, default=None)


class Election:
    """One election, and one candidacy in it."""

    def __init__(self, background: Background, name: bytes, ttl: int) -> None:
        self._background = background
        self._election = AsyncElection(background.engine, name, ttl)

    @property
    def lost(self) -> bool:
        """Whether this candidate was elected and its lease may have ended."""
        return self._election.lost

    @property
    def key(self) -> bytes:
        """The key of this candidate while it leads; empty otherwise."""
        return self._election.key

    def campaign(self, value: Key = b"", *, timeout: float | None = None) -> None:
        """Wait to be elected, at most timeout seconds (None: as long as it takes). Raises Error."""
        self._background.run(self._election.campaign(value, timeout=timeout))

    def proclaim(self, value: Key) -> None:
        """Change the leader's value. Raises Error ("election: not leader")."""
        self._background.run(self._election.proclaim(value))

    def resign(self) -> None:
        """Stop leading, or waiting."""
        self._background.run(self._election.resign())

    def leader(self) -> KeyValue | None:
        """The leader's key and value now, None without a leader."""
        return self._background.run(self._election.leader())

    def observe(self) -> Generator[KeyValue, None, None]:
        """The leader now, then every new leader and every new value of one."""
        box: queue.SimpleQueue[KeyValue | BaseException | None] = queue.SimpleQueue()

        async def watch() -> None:
            try:
                async for leader in self._election.observe():
                    box.put(leader)
                box.put(None)
            except BaseException as error:  # noqa: BLE001  (whatever ends it is raised where the leaders are taken)
                box.put(None if isinstance(error, asyncio.CancelledError) else error)

        async def begin() -> "asyncio.Task[None]":
            task = asyncio.get_running_loop().create_task(watch())
            self._background.engine.tasks.add(task)
            task.add_done_callback(self._background.engine.tasks.discard)
            return task

        task = self._background.run(begin())
        try:
            while (leader := box.get()) is not None:
                if isinstance(leader, BaseException):
                    raise leader
                yield leader
        finally:
            with contextlib.suppress(Error):  # the client is closed, and its tasks with it
                self._background.tell(task.cancel)
