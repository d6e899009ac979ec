"""The cache of rows: always the present, never more than its capacity, and LevelDB is asked once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zetcd.base.limits import CACHED_ROW_OVERHEAD_BYTES, ROW_CACHE_STRIPES
from zetcd.mvcc.engine import MemoryEngine
from zetcd.mvcc.keys import State
from zetcd.mvcc.overlay import Overlay
from zetcd.mvcc.row_cache import RowCache

NAMES = [b"%d" % number for number in range(24)]
steps = st.lists(
    st.tuples(
        st.sampled_from(("put", "put", "put_all", "delete", "get", "get_all", "freeze", "flushed", "drain", "warm")),
        st.sampled_from(NAMES),
        st.integers(0, 40),
    ),
    max_size=80,
)


@given(steps, st.sampled_from((0, 300, 2_000, 100_000)))
def test_a_read_gives_what_was_written_last_whatever_is_cached(steps: list[tuple[str, bytes, int]], room: int) -> None:
    """Evictions, deletions, flushes under way and the warming scan in any order."""
    overlay, model = Overlay(MemoryEngine(), room * ROW_CACHE_STRIPES), dict[bytes, bytes]()
    table, flush = overlay.current, None
    for what, name, number in steps:
        if what == "put":
            model[name] = name * number
            table.put(name, model[name])
        elif what == "delete":
            model.pop(name, None)
            table.delete(name)
        elif what == "get_all":
            some = NAMES[: number % 24] * 2
            assert table.get_all(some) == [model.get(each) for each in some]
        elif what == "put_all":
            rows = {each: each * number for each in NAMES[number % 24 :]}
            model |= rows
            table.put_all(rows)
        elif what == "freeze" and flush is None:
            flush = overlay.freeze(State())
            assert flush.build(1_000)
            if number % 2:
                flush.write()  # on the disk, and still looked up in the frozen layer
        elif what == "flushed" and flush is not None:
            flush.write()
            overlay.flushed()
            flush = None
        elif what == "drain" and flush is None:
            overlay.drain(number)
        elif what == "warm":
            table.warm(1 + number % 5)
        assert table.get(name) == model.get(name)
    assert {name: table.get(name) for name in NAMES} == {name: model.get(name) for name in NAMES}


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, 3_000), st.booleans()), max_size=200))
def test_it_holds_at_most_its_capacity_and_counts_it_exactly(writes: list[tuple[bytes, int, bool]]) -> None:
    """largest: of the rows that it takes, so that a few of them fill it."""
    capacity, largest = 20_000, 2_000
    cache = RowCache(capacity)
    cache._row_bytes_max = largest
    for name, size, drop in writes:
        if drop:
            cache.drop(name)
        elif size % 2:
            cache.put(name, bytes(size))
        else:
            cache.put_all({each: bytes(size) for each in NAMES[size % 24 :]})
        found = zip(NAMES, cache.get_all(NAMES), strict=True)
        held = [len(key) + len(row) + CACHED_ROW_OVERHEAD_BYTES for key, row in found if row is not None]
        assert cache.size == sum(held) <= capacity
        assert max(held, default=0) <= largest + CACHED_ROW_OVERHEAD_BYTES + 2


def test_a_row_too_large_for_its_stripe_pushes_nobody_out() -> None:
    cache = RowCache(16_000 * ROW_CACHE_STRIPES)
    cache.put(b"small", b"row")
    cache.put_all({b"large": bytes(1_001), b"other": b"row"})
    cache.put(b"larger", bytes(1_001))
    assert cache.get_all([b"small", b"large", b"other", b"larger"]) == [b"row", None, b"row", None]


def test_a_full_cache_lets_go_of_what_it_has_held_longest() -> None:
    cache = RowCache(400 * ROW_CACHE_STRIPES * (len(b"key/00000") + len(b"row") + CACHED_ROW_OVERHEAD_BYTES))
    names = [b"key/%06d" % number for number in range(800 * ROW_CACHE_STRIPES)]
    for name in names:
        cache.put(name, b"row")
    kept = [row is not None for row in cache.get_all(names)]
    assert all(kept[-200 * ROW_CACHE_STRIPES :])
    assert not any(kept[: 200 * ROW_CACHE_STRIPES])


class Counting(MemoryEngine):
    """Counts the gets that reach the engine."""

    asked = 0

    def __init__(self) -> None:
        super().__init__()
        fetch = self.get

        def get(key: bytes) -> bytes | None:
            self.asked += 1
            return fetch(key)

        self.get = get


@pytest.fixture
def stored() -> tuple[Counting, Overlay]:
    """A store of 1,000 flushed rows, opened anew, so that nothing is cached."""
    engine = Counting()
    overlay = Overlay(engine)
    for number in range(1_000):
        overlay.current.put(b"key/%03d" % number, b"row")
    flush = overlay.freeze(State())
    assert flush.build(10_000)
    flush.write()
    return engine, Overlay(engine)


def test_the_engine_is_asked_once_for_a_row(stored: tuple[Counting, Overlay]) -> None:
    engine, overlay = stored
    assert [overlay.current.get(b"key/007") for _ in range(3)] == [b"row"] * 3
    assert engine.asked == 1


def test_after_warming_the_engine_is_asked_for_nothing(stored: tuple[Counting, Overlay]) -> None:
    engine, overlay = stored
    slices = 1
    while not overlay.current.warm(64):
        slices += 1
    assert slices == 1_000 // 64 + 1
    assert all(overlay.current.get(b"key/%03d" % number) == b"row" for number in range(1_000))
    assert engine.asked == 0


def test_warming_ends_where_the_cache_is_full(stored: tuple[Counting, Overlay]) -> None:
    engine, _ = stored
    overlay = Overlay(engine, 4_000 * ROW_CACHE_STRIPES // 16)
    slices = 1
    while not overlay.current.warm(64):
        slices += 1
    assert slices < 1_000 // 64
    assert overlay.current.cache.size <= 4_000 * ROW_CACHE_STRIPES // 16
