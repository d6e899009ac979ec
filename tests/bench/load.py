"""The load program for zetcd: the counterpart of loadgo/main.go, workload by workload.

    python -m tests.bench.load --endpoint tcp://127.0.0.1:2378 --work put --via library --clients 1000

put and get keep --clients requests outstanding for --warmup and then --seconds; only those that end in the latter are
counted. --via says through what: ``library`` is `zetcd.client.AsyncClient` with one task a client, ``sync`` is
`zetcd.client.Client` with one thread, ``req`` is a plain REQ socket a client with MessagePack maps, which knows
nothing of zetcd. watch opens --clients watchers on one key (library) while another process writes it. fill writes
--keys keys. One JSON line on standard output; times are microseconds, CPU is that of all processes of this program.
"""

import argparse
import asyncio
import json
import multiprocessing
import random
import resource
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from tests.bench import loadreq
from tests.bench.meter import Meter, cpu_seconds, merge
from zetcd.client import AsyncClient, Client
from zetcd.client.txn import op
from zetcd.wire.replies import WatchReply

WATCHED = b"bench/watched"
END = b"end"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do, as the flags say it."""

    endpoint: str
    work: str
    via: str
    clients: int
    processes: int
    keys: int
    size: int
    seconds: float
    warmup: float
    txn: int
    seed: int

    def key(self, dice: random.Random) -> bytes:
        """One of the keys, drawn evenly."""
        return b"bench/%012d" % int(dice.random() * self.keys)


async def _library(plan: Plan, worker: int) -> Meter:
    """One task a client, all on one AsyncClient for each endpoint."""
    dice = random.Random(plan.seed * 1_000_003 + worker)
    value = dice.randbytes(plan.size)
    clients = [AsyncClient([endpoint], timeout=60) for endpoint in plan.endpoint.split(",")]
    meter = Meter(plan.warmup, plan.seconds)

    async def put(client: AsyncClient) -> None:
        while not meter.over:
            started = time.perf_counter_ns()
            await client.put(plan.key(dice), value)
            meter.took(started)

    async def get(client: AsyncClient) -> None:
        while not meter.over:
            started = time.perf_counter_ns()
            await client.get(plan.key(dice))
            meter.took(started)

    one = put if plan.work == "put" else get
    await asyncio.gather(*(one(clients[number % len(clients)]) for number in range(plan.clients // plan.processes)))
    meter.end()
    for client in clients:
        await client.close()
    return meter


def _sync(plan: Plan, worker: int) -> Meter:
    """One blocking client."""
    assert plan.clients == 1, "the blocking client has one request outstanding"
    dice = random.Random(plan.seed * 1_000_003 + worker)
    value = dice.randbytes(plan.size)
    meter = Meter(plan.warmup, plan.seconds)
    with Client([plan.endpoint], timeout=60) as client:
        while not meter.over:
            key = plan.key(dice)
            started = time.perf_counter_ns()
            if plan.work == "put":
                client.put(key, value)
            else:
                client.get(key)
            meter.took(started)
    meter.end()
    return meter


def _req(plan: Plan, worker: int) -> Meter:
    dice = random.Random(plan.seed * 1_000_003 + worker)
    meter = Meter(plan.warmup, plan.seconds)
    return loadreq.run(
        plan.endpoint, plan.clients // plan.processes, loadreq.requests(plan.work, plan.key, plan.size, dice), meter
    )


def _worker(plan: Plan, worker: int) -> dict[str, Any]:
    if plan.via == "library":
        meter = asyncio.run(_library(plan, worker))
    else:
        meter = (_sync if plan.via == "sync" else _req)(plan, worker)
    return meter.result()


def _write(plan: Plan, ready: Any, start: Any, answers: Any) -> None:
    """The writer of the watch workload, in a process of its own, as the Go program has a thread for it."""
    value = bytes(plan.size)
    with Client([plan.endpoint], timeout=60) as client:
        client.put(WATCHED, b"start")
        ready.set()
        start.wait()
        before, started = cpu_seconds(), time.perf_counter()
        latencies = []
        while time.perf_counter() - started < plan.seconds:
            began = time.perf_counter_ns()
            client.put(WATCHED, value)
            latencies.append((time.perf_counter_ns() - began) / 1000)
        client.put(WATCHED, END)
        answers.put({"latencies": latencies, "writes": len(latencies) + 1, "cpu_s": cpu_seconds() - before})


async def _watch(plan: Plan, start: Any) -> tuple[int, float, float]:
    """Events delivered to all watchers, the seconds they took, and the CPU of this process."""
    client = AsyncClient([plan.endpoint], timeout=60)
    # The writer's preparing put has happened: watchers begin at the revision after it.
    revision = (await client.range(WATCHED)).header.revision
    delivered = open_watchers = 0
    over = asyncio.Event()

    def on_reply(reply: WatchReply) -> None:
        nonlocal delivered, open_watchers
        delivered += len(reply.events)
        if reply.events and reply.events[-1].kv.value == END:
            open_watchers -= 1
            if not open_watchers:
                over.set()

    watchers = await asyncio.gather(
        *(client.watch(WATCHED, start_revision=revision + 1, callback=on_reply) for _ in range(plan.clients))
    )
    open_watchers = len(watchers)
    before, started = cpu_seconds(), time.perf_counter()
    start.set()
    await asyncio.wait_for(over.wait(), plan.seconds * 20 + 60)
    took, used = time.perf_counter() - started, cpu_seconds() - before
    await client.close()
    return delivered, took, used


def watch(plan: Plan) -> dict[str, Any]:
    """1 writer, plan.clients watchers on one key: events delivered over the time until the last one arrived."""
    spawn = multiprocessing.get_context("spawn")
    ready, start, answers = spawn.Event(), spawn.Event(), spawn.Queue()
    writer = spawn.Process(target=_write, args=(plan, ready, start, answers))
    writer.start()
    assert ready.wait(60), "the writer did not come up"
    delivered, took, used = asyncio.run(_watch(plan, start))
    answer = answers.get(timeout=60)
    writer.join(60)
    latencies = sorted(answer["latencies"])
    return {
        "seconds": took,
        "requests": delivered,
        "requests_all": delivered,
        "per_second": delivered / took,
        "p50_us": latencies[len(latencies) // 2],
        "p99_us": latencies[len(latencies) * 99 // 100],
        "cpu_s": used + answer["cpu_s"],
        "errors": answer["writes"] * plan.clients - delivered,
    }


async def _fill(plan: Plan) -> dict[str, Any]:
    """Every key once, plan.txn of them in a transaction."""
    dice = random.Random(plan.seed)
    client = AsyncClient([plan.endpoint], timeout=60)
    before, started = cpu_seconds(), time.perf_counter()
    firsts = iter(range(0, plan.keys, plan.txn))

    async def one() -> None:
        for first in firsts:
            numbers = range(first, min(first + plan.txn, plan.keys))
            await client.txn().then(*(op.put(b"bench/%012d" % n, dice.randbytes(plan.size)) for n in numbers)).commit()

    await asyncio.gather(*(one() for _ in range(plan.clients)))
    took = time.perf_counter() - started
    await client.close()
    return {
        "seconds": took, "requests": plan.keys, "requests_all": plan.keys, "per_second": plan.keys / took,
        "p50_us": 0.0, "p99_us": 0.0, "cpu_s": cpu_seconds() - before, "errors": 0,
    }  # fmt: skip


def requests(plan: Plan) -> dict[str, Any]:
    """put or get, in one process or several."""
    if plan.processes == 1:
        return merge([_worker(plan, 0)])
    with multiprocessing.get_context("spawn").Pool(plan.processes) as pool:
        return merge(pool.starmap(_worker, [(plan, number) for number in range(plan.processes)]))


WORKS: dict[str, Callable[[Plan], dict[str, Any]]] = {
    "put": requests,
    "get": requests,
    "watch": watch,
    "fill": lambda plan: asyncio.run(_fill(plan)),
}


def main() -> None:
    """Flags in, one JSON line out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--endpoint", default="tcp://127.0.0.1:2378", help="several for put and get via library: a,b,c")
    parser.add_argument("--work", choices=sorted(WORKS), default="put")
    parser.add_argument("--via", choices=["library", "sync", "req"], default="library")
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--keys", type=int, default=1000)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--warmup", type=float, default=1)
    parser.add_argument("--txn", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    plan = Plan(**vars(parser.parse_args()))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 65_536)), hard))
    print(json.dumps(asdict(plan) | WORKS[plan.work](plan)))


if __name__ == "__main__":
    main()
