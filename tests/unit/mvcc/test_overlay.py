"""Overlay and scans: one merged view over engine, frozen and active layer."""

from hypothesis import given
from hypothesis import strategies as st

from zetcd.mvcc.engine import MemoryEngine
from zetcd.mvcc.keys import State
from zetcd.mvcc.overlay import Overlay, Table

names = st.binary(min_size=1, max_size=2)
rows = st.one_of(st.none(), st.binary(max_size=2))
Writes = list[tuple[bytes, bytes | None]]
writes = st.lists(st.tuples(names, rows), max_size=12)
layers = st.tuples(writes, writes, writes)
stops = st.one_of(st.none(), names)


def write(table: Table, changes: Writes, model: dict[bytes, bytes]) -> None:
    for name, row in changes:
        if row is None:
            table.delete(name)
            model.pop(name, None)
        else:
            table.put(name, row)
            model[name] = row


def three_layers(written: tuple[Writes, Writes, Writes]) -> tuple[Overlay, dict[bytes, bytes]]:
    """What is in the engine, in the frozen and in the active layer."""
    engine_rows, frozen, active = written
    overlay, model = Overlay(MemoryEngine()), dict[bytes, bytes]()
    write(overlay.current, engine_rows, model)
    flush = overlay.freeze(State())
    assert flush.build(100)
    flush.write()
    overlay.flushed()
    write(overlay.current, frozen, model)
    overlay.freeze(State())
    write(overlay.current, active, model)
    return overlay, model


@given(layers, names, stops, st.booleans(), st.integers(1, 4))
def test_scan_sees_all_layers(
    written: tuple[Writes, Writes, Writes], start: bytes, stop: bytes | None, reverse: bool, count: int
) -> None:
    overlay, model = three_layers(written)
    inside = [(k, v) for k, v in sorted(model.items(), reverse=reverse) if start <= k and (stop is None or k < stop)]
    scan = overlay.current.scan(start, stop, reverse=reverse)
    found = []
    while not scan.done:
        found += scan.take(count)
    assert found == inside
    assert all(overlay.current.get(name) == model.get(name) for layer in written for name, _ in layer)


@given(layers, writes, st.booleans(), st.integers(1, 3), names)
def test_rule_19_a_pinned_scan_does_not_see_later_writes(
    written: tuple[Writes, Writes, Writes], later: Writes, reverse: bool, count: int, start: bytes
) -> None:
    """Long reads go on in later turns on the view of the turn they began in, flushes or not."""
    overlay, model = three_layers(written)
    expected = [(k, v) for k, v in sorted(model.items(), reverse=reverse) if k >= start]
    scan = overlay.current.scan(start, None, reverse=reverse)
    found = scan.take(count)
    scan.pin()
    write(overlay.current, later, {})
    overlay.flushed()
    while not overlay.drain(1):
        pass
    flush = overlay.freeze(State())
    assert flush.build(100)
    flush.write()
    while not scan.done:
        found += scan.take(count)
    scan.close()
    assert found == expected


@given(layers, names, st.integers(1, 3))
def test_seek_leaves_out_what_lies_before(written: tuple[Writes, Writes, Writes], target: bytes, count: int) -> None:
    overlay, model = three_layers(written)
    scan = overlay.current.scan(b"", None)
    found = scan.take(count)
    passed = found[-1][0] if found else b""
    scan.seek(target)
    rest = []
    while not scan.done:
        rest += scan.take(count)
    assert [key for key, _ in rest if key > passed] == [key for key in sorted(model) if key >= target and key > passed]


def test_an_overwritten_row_reaches_the_engine_once() -> None:
    engine = MemoryEngine()
    overlay = Overlay(engine)
    for number in range(10):
        overlay.current.put(b"k", b"%d" % number)
    flush = overlay.freeze(State(applied=10))
    assert flush.rows == 1
    assert flush.build(1)
    assert engine.pairs == {}, "nothing is in the engine before the synced write"
    flush.write()
    assert engine.pairs[b"ck"] == b"9"
    assert overlay.state().applied == 10


def test_a_flush_is_built_in_slices() -> None:
    overlay = Overlay(MemoryEngine())
    for number in range(5):
        overlay.log.put(b"%d" % number, b"")
    flush = overlay.freeze(State())
    assert [flush.build(2), flush.build(2), flush.build(2)] == [False, False, True]
    assert overlay.log.get(b"3") == b"", "frozen rows stay visible"


def test_bytes_count_both_layers() -> None:
    overlay = Overlay(MemoryEngine())
    overlay.current.put(b"k", bytes(1_000))
    first = overlay.bytes
    assert first == overlay.active_bytes > 1_000
    overlay.freeze(State())
    assert overlay.bytes == first
    assert overlay.active_bytes == 0
    overlay.current.put(b"k", bytes(1_000))
    assert overlay.bytes == 2 * first
    overlay.flushed()
    assert overlay.bytes == first


def test_many_rows_are_those_of_the_newest_layer_that_knows_them() -> None:
    table = Overlay(MemoryEngine({b"ca": b"1", b"cb": b"1", b"cc": b"1", b"cd": b"1"})).current
    table.put(b"b", b"2")
    table.freeze()
    table.put_all({b"a": b"3", b"e": b"3"})
    table.delete(b"c")
    asked = [b"d", b"c", b"e", b"a", b"b", b"absent", b"d"]
    assert table.get_all(asked) == [b"1", None, b"3", b"3", b"2", None, b"1"]
    assert table.get_all(asked) == [table.get(key) for key in asked]
