"""check perf and check datascale: writes a workload and judges how the cluster took it, with etcdctl's figures.

perf: a fixed rate of 256-byte keys and 1 KiB values for a minute, over so many concurrent clients; it passes with more
than 90 % of the rate, no error, no request slower than 0.5 s, and a standard deviation below 0.1 s.
datascale: a number of key-value pairs of 1 KiB as fast as they go, and the memory the member's processes took for them.
"""

import asyncio
import math
import os
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from zetcd.cli.ctl.console import Console
from zetcd.cli.ctl.exits import BAD_FEATURE, ERROR, INVALID_INPUT, SUCCESS, Exit
from zetcd.cli.ctl.golang import quote
from zetcd.cli.ctl.kv import prefix_end
from zetcd.cli.ctl.memory import member_memory
from zetcd.cli.ctl.progress import Bar
from zetcd.session.errors import Error
from zetcd.wire.client import CompactRequest, DeleteRangeRequest, PutRequest, RangeRequest

if TYPE_CHECKING:
    from zetcd.client.aio import AsyncClient

_ALIASES = {"s": "s", "small": "s", "m": "m", "medium": "m", "l": "l", "large": "l", "xl": "xl", "xLarge": "xl"}
_CLEAN_UP_S = 30.0
_PUT_TIMEOUT_S = 60.0
_PACE_S = 0.005
_LOOK_PUTS = 256
_SLOWEST_S, _STDDEV_S, _RATE_SHARE = 0.5, 0.1, 0.9


class Perf(NamedTuple):
    """A workload of check perf."""

    writes_per_s: int
    clients: int
    seconds: int = 60


class Datascale(NamedTuple):
    """A workload of check datascale."""

    pairs: int
    clients: int
    pair_bytes: int = 1024


class Puts(NamedTuple):
    """What to write. due: how many requests there should have been after so many seconds; -1 for no more."""

    prefix: bytes
    key_bytes: int
    value_bytes: int
    clients: int
    due: Callable[[float], int]


PERF = {"s": Perf(150, 50), "m": Perf(1000, 200), "l": Perf(8000, 500), "xl": Perf(15000, 1000)}
DATASCALE = {
    "s": Datascale(10_000, 50),
    "m": Datascale(100_000, 200),
    "l": Datascale(1_000_000, 500),
    "xl": Datascale(3_000_000, 1000),
}


class Results:
    """What came of the requests: seconds of those that succeeded, texts of those that did not."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.errors: Counter[str] = Counter()
        self.total_s = 0.0

    @property
    def done(self) -> int:
        """Requests answered."""
        return len(self.seconds) + self.errors.total()

    @property
    def rate(self) -> float:
        """Successes per second."""
        return len(self.seconds) / self.total_s if self.total_s else 0.0

    @property
    def stddev(self) -> float:
        """Of the seconds."""
        if not self.seconds:
            return 0.0
        mean = sum(self.seconds) / len(self.seconds)
        return math.sqrt(sum((value - mean) ** 2 for value in self.seconds) / len(self.seconds))


def perf(console: Console) -> int:
    """The check perf command."""
    workload = PERF[_load(console)]
    prefix = _empty_prefix(console)
    bar = Bar(workload.seconds)

    def due(elapsed_s: float) -> int:
        bar.at(min(int(elapsed_s), workload.seconds))
        return int(elapsed_s * workload.writes_per_s) + 1 if elapsed_s < workload.seconds else -1

    results = Results()
    asyncio.run(_write(console, Puts(prefix, 256, 1024, workload.clients, due), results))
    bar.finish(workload.seconds)
    _clean_up(console, prefix)
    lines, passed = judge(results, workload.writes_per_s)
    for line in lines:
        console.line(line)
    return SUCCESS if passed else ERROR


def judge(results: Results, writes_per_s: int) -> tuple[list[str], bool]:
    """The verdict in etcdctl's words."""
    lines, passed = _complaints(results), not results.errors
    shown = int(results.rate) + 1
    if results.rate / writes_per_s <= _RATE_SHARE:
        lines.append(f"FAIL: Throughput too low: {shown} writes/s")
        passed = False
    else:
        lines.append(f"PASS: Throughput is {shown} writes/s")
    slowest = max(results.seconds, default=0.0)
    if slowest > _SLOWEST_S:
        lines.append(f"Slowest request took too long: {slowest:f}s")
        passed = False
    else:
        lines.append(f"PASS: Slowest request took {slowest:f}s")
    if results.stddev > _STDDEV_S:
        lines.append(f"Stddev too high: {results.stddev:f}s")
        passed = False
    else:
        lines.append(f"PASS: Stddev is {results.stddev:f}s")
    return [*lines, "PASS" if passed else "FAIL"], passed


def _complaints(results: Results) -> list[str]:
    errors = [f"FAIL: ERROR({text}) -> {count}" for text, count in sorted(results.errors.items())]
    return ["FAIL: too many errors", *errors] if errors else []


def datascale(console: Console) -> int:
    """The check datascale command."""
    workload = DATASCALE[_load(console)]
    prefix = _empty_prefix(console)
    before = _memory(console, "before")
    console.line(
        f"Start data scale check for work load [{workload.pairs} key-value pairs, {workload.pair_bytes} bytes per "
        f"key-value, {workload.clients} concurrent clients]."
    )
    bar = Bar(workload.pairs)
    results = Results()

    def due(_: float) -> int:
        bar.at(results.done)
        return workload.pairs if results.done < workload.pairs else -1

    asyncio.run(_write(console, Puts(prefix, 512, 512, workload.clients, due), results))
    bar.finish(results.done)
    used = _memory(console, "after") - before
    _clean_up(console, prefix)
    if results.errors:
        for line in _complaints(results):
            console.line(line)
        return ERROR
    console.line(f"PASS: Approximate system memory used : {used / (1024 * 1024):.2f} MB.")
    return SUCCESS


def _load(console: Console) -> str:
    model = _ALIASES.get(console.parsed.text("load"))
    if model is None:
        raise Exit(BAD_FEATURE, f"unknown load option {console.parsed.text('load')}")
    return model


def _empty_prefix(console: Console) -> bytes:
    prefix = os.fsencode(console.parsed.text("prefix"))
    if console.call(RangeRequest(prefix, prefix_end(prefix), limit=1)).get("kvs"):
        shown = console.parsed.text("prefix")
        text = f"prefix {quote(prefix)} has keys. Delete with zetcdctl del --prefix {shown} first"
        raise Exit(INVALID_INPUT, text)
    return prefix


def _memory(console: Console, when: str) -> int:
    """Of the member behind the first endpoint. Raises Exit."""
    used = member_memory(console.endpoints[0])
    if used == 0:
        console.line(f"FAIL: Could not read the memory of the member's processes {when} the put operations.")
        raise Exit(ERROR)
    return used


def _clean_up(console: Console, prefix: bytes) -> None:
    reply = console.call(DeleteRangeRequest(prefix, prefix_end(prefix)), timeout=_CLEAN_UP_S)
    if console.parsed.on("auto-compact"):
        revision = reply["header"]["revision"]
        console.line(f"Compacting with revision {revision}")
        console.call(CompactRequest(revision, physical=True), timeout=_CLEAN_UP_S)
        console.line(f"Compacted with revision {revision}")


async def _write(console: Console, puts: Puts, results: Results) -> None:
    """Puts under fresh keys, never more than puts.clients at once."""
    free = asyncio.Semaphore(puts.clients)
    value = bytes(puts.value_bytes)
    began = time.monotonic()
    sent = 0
    async with console.connect_async() as client, asyncio.TaskGroup() as group:
        while (wanted := puts.due(time.monotonic() - began)) >= 0:
            while sent < wanted:
                await free.acquire()
                key = puts.prefix + os.urandom(8) + bytes(puts.key_bytes - 8)
                group.create_task(_put(client, PutRequest(key, value), results, free))
                sent += 1
                if sent % _LOOK_PUTS == 0:
                    puts.due(time.monotonic() - began)  # draws the bar
            await asyncio.sleep(_PACE_S)
    results.total_s = time.monotonic() - began


async def _put(client: "AsyncClient", request: PutRequest, results: Results, free: asyncio.Semaphore) -> None:
    began = time.monotonic()
    try:
        reply: dict[str, Any] = await client.call(request, timeout=_PUT_TIMEOUT_S)
        assert "header" in reply
        results.seconds.append(time.monotonic() - began)
    except Error as error:
        results.errors[error.message] += 1
    finally:
        free.release()
