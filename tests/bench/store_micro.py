"""What one put, get and range of the store costs in apply, on one thread: ``python tests/bench/store_micro.py [keys]``.

Puts come in blocks of 64 entries as they do from the log; their figure includes decoding, the overlay, building the
batches, and the time that the flushing thread takes from the processor. Directory: a fresh one under the system's
temporary directory.
"""

import gc
import random
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from zetcd.host.leveldb import LevelEngine
from zetcd.mvcc.cursor import finish
from zetcd.state.machine import Cursor, Flush, Machine
from zetcd.wire.entry import Block, Command, Compare, Entry, Put, Range, Txn, encode_entries
from zetcd.wire.results import Result

BATCH = 64
VALUE = random.Random(1).randbytes(256)


class Driver:
    """A machine driven as the actor drives it, with a thread for flushes."""

    def __init__(self, path: str) -> None:
        self.machine = Machine(LevelEngine(path))
        self.written: list[Flush] = []
        self.longest_us = 0.0
        self._busy = False

    def blocks(self, commands: Sequence[Command]) -> list[Block]:
        first = self.machine.applied + 1
        found = []
        for at in range(0, len(commands), BATCH):
            entries = [Entry(1, first + at + i, command) for i, command in enumerate(commands[at : at + BATCH])]
            found.append(Block(first + at, first + at + len(entries) - 1, 1, encode_entries(entries)))
        return found

    def turn(self, block: Block, now_ms: int) -> None:
        start = time.thread_time()
        self.machine.apply(block)
        self.machine.settle()
        self.upkeep(now_ms)
        self.longest_us = max(self.longest_us, (time.thread_time() - start) * 1e6)

    def upkeep(self, now_ms: int, *, force: bool = False) -> None:
        if self.written:
            self.machine.flushed(self.written.pop())
            self._busy = False
        if not self._busy:
            flush = self.machine.freeze(now_ms, force=force)
            if flush is not None:
                self._busy = True
                threading.Thread(target=self._write, args=(flush,)).start()

    def _write(self, flush: Flush) -> None:
        flush.write()
        self.written.append(flush)

    def settle(self) -> None:
        """Everything executed is in LevelDB."""
        while self.machine.flushed_index < self.machine.applied or self._busy:
            self.upkeep(0, force=True)
            for thread in threading.enumerate():
                if thread is not threading.current_thread():
                    thread.join()

    def ask(self, query: Range) -> Result:
        answer = self.machine.query(query)
        return finish(answer) if isinstance(answer, Cursor) else answer


def report(name: str, count: int, work: Callable[[], object], note: str = "") -> None:
    gc.collect()
    before, start = resource.getrusage(resource.RUSAGE_THREAD), time.perf_counter()
    whole = resource.getrusage(resource.RUSAGE_SELF)
    work()
    wall = time.perf_counter() - start
    after, all_after = resource.getrusage(resource.RUSAGE_THREAD), resource.getrusage(resource.RUSAGE_SELF)
    mine = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    every = all_after.ru_utime + all_after.ru_stime - whole.ru_utime - whole.ru_stime
    figures = (
        f"wall {wall / count * 1e6:8.2f}  this thread {mine / count * 1e6:8.2f}  process {every / count * 1e6:8.2f}"
    )
    print(f"{name:44s} {figures} us  {note}", flush=True)


def puts(driver: Driver, name: str, what: Iterable[bytes | Command]) -> None:
    commands = [Put(item, VALUE) if isinstance(item, bytes) else item for item in what]
    blocks = driver.blocks(commands)
    driver.longest_us = 0

    def run() -> None:
        start = time.monotonic()
        for block in blocks:
            driver.turn(block, int((time.monotonic() - start) * 1000))

    report(name, len(commands), run)
    overlay = driver.machine.overlay_bytes >> 20
    print(f"{'':44s} longest turn of {BATCH}: {driver.longest_us:.0f} us of processor; overlay {overlay} MiB")


def gets(driver: Driver, name: str, keys: Sequence[bytes]) -> None:
    queries = [Range(key) for key in keys]
    query = driver.machine.query
    report(name, len(queries), lambda: [query(item) for item in queries])


def ranges(driver: Driver, name: str, queries: Sequence[Range]) -> None:
    report(name, len(queries), lambda: [driver.ask(query) for query in queries])


def main(count: int) -> None:
    dice = random.Random(2)
    names = [b"bench/%08d" % i for i in range(count)]
    dice.shuffle(names)
    with tempfile.TemporaryDirectory() as directory:
        driver = Driver(str(Path(directory) / "db"))
        puts(driver, f"insert, {count:,} random keys", names)
        recent = names[-min(2_000, count // 10) :]
        gets(driver, "get, written just now (overlay)", recent)
        ordered = sorted(names)
        thousand = [Range(ordered[at], ordered[at + 1_000]) for at in dice.choices(range(count - 1_000), k=100)]
        ranges(driver, "range of 1,000 under a full overlay", thousand)
        driver.settle()
        driver.settle()
        gets(driver, "get, from LevelDB", dice.sample(names, min(20_000, count)))
        gets(driver, "get, absent key", [name + b"x" for name in dice.sample(names, min(20_000, count))])
        puts(driver, "overwrite, random keys", dice.sample(names, count // 2))
        puts(driver, "overwrite, 1,000 hot keys", [dice.choice(names[:1_000]) for _ in range(count // 4)])
        driver.settle()
        starts = sorted(names)[: max(1, count - 1_000)]
        ranges(driver, "range of 1,000", thousand)
        ranges(driver, "the same, keys only", [Range(one.key, one.range_end, keys_only=True) for one in thousand])
        ranges(
            driver,
            "first 1,000 of the rest, with count",
            [Range(key, b"\0", 1_000) for key in dice.choices(starts, k=200)],
        )
        ranges(driver, "range of 10", [Range(key, key[:-1] + b"\xff") for key in dice.choices(starts, k=2_000)])
        ranges(
            driver, "first 10 of the rest, with count", [Range(key, b"\0", 10) for key in dice.choices(starts, k=2_000)]
        )
        old = driver.machine.revision - count // 4
        bounded = [Range(key, key + b"\xff", revision=old) for key in dice.choices(starts, k=2_000)]
        ranges(driver, "get at an old revision", [Range(query.key, revision=old) for query in bounded])
        ranges(driver, "range of 1 at an old revision", bounded)
        cas = [Txn([Compare(0, 2, key, 0)], [Put(key, VALUE)], [Range(key)]) for key in dice.choices(names, k=5_000)]
        puts(driver, "transaction, failing compare and a read", cas)
        ranges(driver, "count of everything, first", [Range(b"\0", b"\0", count_only=True)])
        ranges(driver, "count of everything, cached", [Range(b"\0", b"\0", count_only=True)] * 1_000)
        driver.settle()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000)
