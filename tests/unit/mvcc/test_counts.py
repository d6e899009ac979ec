"""Learnt counts against a sorted list of keys."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zetcd.mvcc import counts as module
from zetcd.mvcc.counts import Counts

names = st.binary(min_size=1, max_size=2)
stops = st.one_of(st.none(), names)
steps = st.one_of(
    st.tuples(st.just("put"), names, stops),
    st.tuples(st.just("delete"), names, stops),
    st.tuples(st.just("count"), names, stops),
    st.tuples(st.just("count"), st.just(b"\x00"), stops),
)


@pytest.fixture(autouse=True)
def learn_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEARN_MIN", 1)


def size(keys: set[bytes], start: bytes, stop: bytes | None) -> int:
    return sum(1 for key in keys if start <= key and (stop is None or key < stop))


def pieces(counts: Counts, start: bytes, stop: bytes | None) -> Iterator[tuple[int, bytes | None, bytes | None]]:
    """Walk a range: (known keys, start of an unknown stretch, its end)."""
    at: bytes | None = start
    while at is not None:
        known, at = counts.skip(at, stop)
        if at is None:
            yield known, None, None
            return
        bound = counts.bound_after(at)
        end = bound if bound is not None and (stop is None or bound < stop) else stop
        yield known, at, end
        at = None if end == stop else end


@given(st.lists(steps, max_size=60), st.integers(2, 12))
def test_counts_are_exact(script: list[tuple[str, bytes, bytes | None]], capacity: int) -> None:
    counts, keys = Counts(capacity), set[bytes]()
    for kind, name, stop in script:
        if kind == "put" and name not in keys:
            keys.add(name)
            counts.adjust(name, 1)
        elif kind == "delete" and name in keys:
            keys.remove(name)
            counts.adjust(name, -1)
        elif kind == "count" and (stop is None or name < stop):
            total = 0
            for known, at, end in pieces(counts, name, stop):
                total += known
                if at is not None:
                    scanned = size(keys, at, end)
                    counts.learn(at, end, scanned)
                    total += scanned
            assert total == size(keys, name, stop)
        assert len(counts._bounds) <= capacity + 2
        assert len(counts._counts) == len(counts._bounds) + 1
        assert counts._bounds == sorted(counts._bounds)


def test_a_range_counted_once_is_known() -> None:
    counts = Counts(10)
    counts.learn(b"a", b"b", 5)
    assert counts.skip(b"a", b"b") == (5, None)
    counts.adjust(b"ax", 1)
    counts.adjust(b"b", 1)
    assert counts.skip(b"a", b"b") == (6, None)
    assert counts.skip(b"a", b"c") == (6, b"b")


def test_pages_of_a_known_range_are_known() -> None:
    """Paging: the rest of a known range is what the pages have not taken."""
    counts = Counts(10)
    counts.learn(b"\x00", None, 1_000)
    counts.learn(b"\x00", b"f", 500)
    assert counts.skip(b"f", None) == (500, None)
    counts.learn(b"f", b"m", 200)
    assert counts.skip(b"m", None) == (300, None)
    assert counts.skip(b"\x00", None) == (1_000, None)


def test_watch_sees_what_is_not_counted_yet() -> None:
    counts = Counts(10)
    watch = counts.watch(b"a", b"m")
    counts.adjust(b"a", 1)
    counts.adjust(b"m", 1)
    watch.start = b"c"
    counts.adjust(b"b", 1)
    counts.adjust(b"d", -1)
    assert watch.delta == 0
    counts.unwatch(watch)
    counts.unwatch(watch)
    counts.adjust(b"d", -1)
    assert watch.delta == 0
