"""LevelDB behind the engine port, and the twin in memory: the same promises."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from zetcd.base.errors import Fatal
from zetcd.host.leveldb import LevelEngine
from zetcd.mvcc.engine import Engine, MemoryEngine


@pytest.fixture(params=["memory", "leveldb"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    made: Engine = MemoryEngine() if request.param == "memory" else LevelEngine(str(tmp_path / "db"))
    yield made
    made.close()


def fill(engine: Engine, **rows: bytes) -> None:
    batch = engine.batch()
    for key, value in rows.items():
        batch.put(key.encode(), value)
    batch.write()


def test_tables_hold_their_own_keys(engine: Engine) -> None:
    fill(engine, b1=b"below", c1=b"one", c2=b"two", d1=b"above")
    table = engine.table(b"c")
    assert engine.get(b"c1") == b"one"
    assert engine.get(b"c3") is None
    assert table.scan(b"", None).take(9) == [(b"1", b"one"), (b"2", b"two")]
    assert table.scan(b"", None, reverse=True).take(9) == [(b"2", b"two"), (b"1", b"one")]
    assert table.scan(b"1", b"2").take(9) == [(b"1", b"one")]
    assert [key for key, _ in table.scan(b"2", None, keys_only=True).take(9)] == [b"2"]
    assert [key for key, _ in engine.snapshot().take(9)] == [b"b1", b"c1", b"c2", b"d1"]


def test_a_batch_is_invisible_until_written(engine: Engine) -> None:
    batch = engine.batch()
    batch.put(b"ca", b"1")
    table = engine.table(b"c")
    assert engine.get(b"ca") is None
    batch.write()
    assert engine.get(b"ca") == b"1"
    batch = engine.batch()
    batch.delete(b"ca")
    batch.put(b"cb", b"2")
    batch.write()
    assert table.scan(b"", None).take(9) == [(b"b", b"2")]


@pytest.mark.parametrize("keys_only", [False, True])
def test_scans_are_pinned(engine: Engine, keys_only: bool) -> None:
    fill(engine, ca=b"1", cc=b"3")
    scan = engine.table(b"c").scan(b"", None, keys_only=keys_only)
    fill(engine, cb=b"2")
    assert [key for key, _ in scan.take(1)] == [b"a"]
    fill(engine, cd=b"4")
    assert [key for key, _ in scan.take(9)] == [b"c"]
    scan.close()


@pytest.mark.parametrize("keys_only", [False, True])
def test_seek(engine: Engine, keys_only: bool) -> None:
    fill(engine, ca=b"", cb=b"", cc=b"", cd=b"")
    scan = engine.table(b"c").scan(b"", None, keys_only=keys_only)
    scan.take(1)
    scan.seek(b"c")
    assert [key for key, _ in scan.take(9)] == [b"c", b"d"]
    scan.close()


def test_size_grows(engine: Engine) -> None:
    before = engine.size()
    fill(engine, ca=bytes(100_000))
    assert engine.size() > before


def test_what_was_written_is_there_after_reopening(tmp_path: Path) -> None:
    engine = LevelEngine(str(tmp_path / "db"))
    fill(engine, ca=b"1")
    engine.close()
    again = LevelEngine(str(tmp_path / "db"))
    assert again.get(b"ca") == b"1"
    again.close()


def test_one_process_per_directory(tmp_path: Path) -> None:
    """LevelDB's own lock: the message names the path."""
    engine = LevelEngine(str(tmp_path / "db"))
    with pytest.raises(Fatal, match="db"):
        LevelEngine(str(tmp_path / "db"))
    engine.close()


def test_a_directory_that_cannot_be_made_is_fatal(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Fatal, match="file"):
        LevelEngine(str(tmp_path / "file" / "db"))
