"""LevelDB behind the engine port answers as the in-memory engine does."""

import itertools
import os
import subprocess
import sys
import time
from pathlib import Path

import plyvel

from zetcd.host import leveldb
from zetcd.host.leveldb import LevelEngine
from zetcd.mvcc.engine import MemoryEngine

KEYS = [b"a", b"a\x00", b"b", b"b\xff", b"c"]
BOUNDS = [b"", b"a", b"a\x00", b"b", b"b\xff", b"bb", b"c", b"d"]


def test_every_scan_of_every_range_is_that_of_the_memory_engine(tmp_path: Path) -> None:
    """Found by the comparison with etcd: a reverse scan lost its row where that row stood at the start of the range."""
    level, memory = LevelEngine(str(tmp_path / "db")), MemoryEngine()
    for engine in (level, memory):
        batch = engine.batch()
        for key in KEYS:
            batch.put(b"c" + key, b"v" + key)
        batch.put(b"b\xff", b"another table")
        batch.put(b"d\x00", b"another table")
        batch.write()
    for start, stop, reverse, count in itertools.product(BOUNDS, [*BOUNDS[1:], None], (False, True), (1, 2, 10)):
        found = []
        for engine in (level, memory):
            scan = engine.table(b"c").scan(start, stop, reverse=reverse)
            rows = []
            while part := scan.take(count):
                rows += part
            scan.close()
            found.append(rows)
        assert found[0] == found[1], (start, stop, reverse, count)
    level.close()


def test_no_get_searches_what_was_written_last(tmp_path: Path) -> None:
    """LevelDB keeps a full memtable until the next write; ours follows at once, and the rows go to a table."""
    engine = LevelEngine(str(tmp_path / "db"))
    batch = engine.batch()
    rows = 2 * leveldb.WRITE_BUFFER_BYTES // 4096
    for number in range(rows):
        batch.put(b"c%d" % number, bytes(4096))
    batch.write()
    deadline = time.monotonic() + 60
    while (used := int(engine._db.get_property(b"leveldb.approximate-memory-usage"))) > leveldb.WRITE_BUFFER_BYTES // 2:
        assert time.monotonic() < deadline, used
        time.sleep(0.01)
    assert engine.get(b"c%d" % (rows - 1)) == bytes(4096)
    engine.close()


def test_compaction_yields_to_requests(tmp_path: Path) -> None:
    """LevelDB's thread has a lower priority and may leave the processor that the process is pinned to, also where a
    compaction is due when the store is opened; the thread that asked for the store keeps both. In a process of its own,
    because LevelDB has one such thread a process."""
    path = str(tmp_path / "db")
    for _ in range(4):  # each start makes a table of the log; four at level 0 are to be compacted
        fill = plyvel.DB(path, create_if_missing=True)
        fill.put(b"k", b"v")
        fill.close()
    program = f"""
import os
from pathlib import Path
from zetcd.host.leveldb import LevelEngine
from zetcd.host.process import pin
allowed = os.sched_getaffinity(0)
pin([min(allowed)])
LevelEngine({path!r})
for task in sorted(int(task.name) for task in Path("/proc/self/task").iterdir()):
    print(os.getpriority(os.PRIO_PROCESS, task), os.sched_getaffinity(task) == allowed, len(os.sched_getaffinity(task)))
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    own, processors = os.getpriority(os.PRIO_PROCESS, 0), len(os.sched_getaffinity(0))
    first, *others = run.stdout.splitlines()
    assert first == f"{own} {processors == 1} 1"
    assert set(others) == {f"{min(19, own + leveldb.COMPACTION_NICE)} True {processors}"}
