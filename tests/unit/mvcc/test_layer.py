"""The lazily ordered layer against a sorted list."""

from hypothesis import given
from hypothesis import strategies as st

from zetcd.mvcc.layer import Layer

names = st.binary(min_size=1, max_size=3)
stops = st.one_of(st.none(), names)
Lookup = tuple[bytes, bytes | None, int]


@given(st.lists(st.tuples(st.lists(names, max_size=8), names, stops, st.integers(1, 6)), max_size=12))
def test_order_is_that_of_a_sorted_list(rounds: list[tuple[list[bytes], bytes, bytes | None, int]]) -> None:
    """Writes and lookups interleaved: runs are built, merged and appended in every pattern."""
    layer = Layer()
    for written, start, stop, count in rounds:
        for name in written:
            layer.rows[name] = b"row"
        inside = [name for name in sorted(layer.rows) if start <= name and (stop is None or name < stop)]
        assert layer.first(start, stop, count) == inside[:count]
        assert layer.last(start, stop, count) == inside[::-1][:count]


def test_ascending_writes_stay_one_run() -> None:
    """The log table is written in order: looking at it must not cost a merge each time."""
    layer = Layer()
    for number in range(100):
        layer.rows[b"%03d" % number] = b""
        layer.first(b"", None, 1)
    assert len(layer._runs) == 1


def test_part_is_independent() -> None:
    layer = Layer()
    layer.rows.update({b"a": b"1", b"b": None, b"c": b"3"})
    part = layer.part(b"a", b"c")
    layer.rows[b"b"] = b"changed"
    layer.rows[b"aa"] = b"new"
    assert part.rows == {b"a": b"1", b"b": None}
    assert part.first(b"", None, 9) == [b"a", b"b"]


def test_drain_frees_in_slices() -> None:
    layer = Layer()
    layer.rows.update({b"%d" % number: b"" for number in range(5)})
    assert [layer.drain(2), layer.drain(2), layer.drain(2)] == [False, False, True]
