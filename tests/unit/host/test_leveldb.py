"""LevelDB behind the engine port answers as the in-memory engine does."""

import itertools
from pathlib import Path

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
