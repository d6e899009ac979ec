"""Links with a delay and a bandwidth, without privileges: each member is reached through a TCP proxy of the test's own.

Every member advertises the address of its proxy, so what the others dial goes through it, both ways: requests to the
member and its answers wait `delay_s` and share `bytes_per_s` of each direction. `retune` changes both while they run.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from tests.process.failover.calls import OK
from tests.process.failover.judge import judge
from tests.process.failover.kills import TIMEOUTS, Say
from tests.process.failover.load import Load, failures, reasons, slowest_s
from tests.process.failover.nodes import LOOPBACK, Team, ZetcdNode, await_served

CHUNK_BYTES = 16 * 1024
UNDELIVERED_CHUNKS = 64  # then TCP pushes back on the sender
ASK_LIMIT_S = 8.0


class Direction:
    """One way through a proxy; all its connections share the bandwidth."""

    def __init__(self, proxy: "Proxy") -> None:
        self._proxy = proxy
        self._free_at = 0.0

    def due(self, size: int) -> float:
        """When the last of size bytes that came now comes out."""
        now = time.monotonic()
        self._free_at = max(self._free_at, now) + size / self._proxy.bytes_per_s
        return self._free_at + self._proxy.delay_s

    async def carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        """Until either side closes."""
        line: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(UNDELIVERED_CHUNKS)

        async def take() -> None:
            while data := await source.read(CHUNK_BYTES):
                await line.put((self.due(len(data)), data))
            await line.put((0.0, b""))

        taking = asyncio.ensure_future(take())
        try:
            while True:
                due, data = await line.get()
                if not data:
                    return
                await asyncio.sleep(due - time.monotonic())
                target.write(data)
                await target.drain()
        finally:
            taking.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await taking


class Proxy:
    """Of one member: listens on a port of its own from `open` on."""

    def __init__(self, target_port: int, delay_s: float, bytes_per_s: float) -> None:
        self.delay_s = delay_s
        self.bytes_per_s = bytes_per_s
        self.carried = 0
        self._target_port = target_port
        self._ways = (Direction(self), Direction(self))
        self._server: asyncio.Server | None = None

    async def open(self) -> int:
        """Its port."""
        self._server = await asyncio.start_server(self._on_connection, LOOPBACK, 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def _on_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError):
            there, back = await asyncio.open_connection(LOOPBACK, self._target_port)
            self.carried += 1
            with contextlib.closing(back):
                ways = (self._ways[0].carry(reader, back), self._ways[1].carry(there, writer))
                tasks = [asyncio.ensure_future(way) for way in ways]
                try:
                    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for task in tasks:
                        task.cancel()
                    await asyncio.gather(*tasks, return_exceptions=True)


class Proxies:
    """Those of a cluster, in a thread of their own."""

    def __init__(self, ports: Sequence[int], delay_s: float, bytes_per_s: float) -> None:
        self.each = [Proxy(port, delay_s, bytes_per_s) for port in ports]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        async def end() -> None:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(10.0)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def open(self) -> list[int]:
        """Their ports."""
        return [asyncio.run_coroutine_threadsafe(proxy.open(), self._loop).result(10.0) for proxy in self.each]

    def retune(self, delay_s: float, bytes_per_s: float) -> None:
        """From now on."""
        for proxy in self.each:
            proxy.delay_s, proxy.bytes_per_s = delay_s, bytes_per_s


class FarNode(ZetcdNode):
    """A member that the others reach at `advertised`, and that listens elsewhere."""

    advertised = 0

    @property
    def peer(self) -> str:
        return f"tcp://{self.host}:{self.advertised or self.peer_port}"

    def command(self) -> list[str]:
        argv = super().command()
        argv[argv.index("--listen-peer-urls") + 1] = f"tcp://{self.host}:{self.peer_port}"
        return argv


class FarTeam(Team):
    """Members of which each is reached through its proxy."""

    def __init__(self, directory: Path, size: int, *flags: str, delay_s: float, bytes_per_s: float) -> None:
        super().__init__("zetcd", directory, size, *flags)
        self.proxies = Proxies([node.peer_port for node in self.nodes], delay_s, bytes_per_s)
        self.proxies.__enter__()
        for node, port in zip(self.nodes, self.proxies.open(), strict=True):
            node.advertised = port
        founding = ",".join(f"{node.name}={node.peer}" for node in self.nodes)
        for node in self.nodes:
            node.founding = founding

    def _node(self, number: int, _nets: Sequence[Any]) -> FarNode:
        name = f"m{number}"
        return FarNode(self.directory / name, *self.flags, name=name)

    def __exit__(self, *args: object) -> None:
        super().__exit__(*args)
        self.proxies.__exit__(*args)


def far_members(directory: Path, delay_s: float, bytes_per_s: float, puts: int, say: Say, *, pace_s: float) -> None:
    """Three members far apart under load: they keep their leader and its term, serve all clients, and agree."""
    with FarTeam(directory, 3, *TIMEOUTS, delay_s=delay_s, bytes_per_s=bytes_per_s) as team:
        leader = team.leader()
        term = leader.status()["raftTerm"]
        load = Load(team.pinned(ASK_LIMIT_S), pace_s)
        load.wait_acked(puts)
        asked = load.end()
        failed = failures(asked)
        status = leader.status()
        assert not failed, reasons(failed)
        assert (status["raftTerm"], status["leader"]) == (term, status["header"]["member_id"]), status
        assert all(proxy.carried for proxy in team.proxies.each), "the members speak through the proxies"
        team.alike()
        for node in team.nodes:
            judge(node, asked)
        say(f"{delay_s * 1000:.0f} ms each way: {len(asked)} requests, the slowest {slowest_s(asked):.3f} s")


def bulk_over_slow_links(directory: Path, delay_s: float, bytes_per_s: float, mib: int, say: Say) -> None:
    """More than a second's worth of data is on its way at once: heartbeats do not queue behind it, the leader stays."""
    with FarTeam(directory, 3, *TIMEOUTS, delay_s=delay_s, bytes_per_s=bytes_per_s) as team:
        leader = team.leader()
        term = leader.status()["raftTerm"]
        caller = leader.pinned(60.0)()
        began = time.monotonic()
        for number in range(mib):
            assert caller.put(b"bulk%d" % number, bytes(1 << 20)).outcome == OK
        caller.close()
        took = time.monotonic() - began
        status = leader.status()
        assert (status["raftTerm"], status["leader"]) == (term, status["header"]["member_id"]), status
        for node in team.nodes:
            await_served(node)
        team.alike()
        say(f"{mib} MiB through {bytes_per_s / 1e6:.1f} MB/s: {took:.1f} s in term {term}")
