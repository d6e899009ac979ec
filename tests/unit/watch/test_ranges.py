"""The range index finds what a linear search finds."""

from hypothesis import given, settings
from hypothesis import strategies as st

from zetcd.watch.ranges import OPEN_END, RangeIndex, contains, is_empty, prefix_end

keys = st.lists(st.sampled_from([b"a", b"b", b"c", b"\xff"]), min_size=1, max_size=3).map(b"".join)
ends = st.one_of(st.just(b""), st.just(OPEN_END), keys)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(keys, ends, st.booleans()), max_size=120), st.lists(keys, max_size=10))
def test_against_a_list(changes: list[tuple[bytes, bytes, bool]], probes: list[bytes]) -> None:
    index: RangeIndex[tuple[bytes, bytes]] = RangeIndex()
    known: dict[tuple[bytes, bytes], None] = {}
    for key, end, as_prefix in changes:
        bounds = (key, prefix_end(key) if as_prefix else end)
        if is_empty(*bounds):
            continue
        if bounds in known:
            del known[bounds]
            index.remove(*bounds)
        else:
            known[bounds] = None
            index.add(*bounds, bounds)
        assert index.get(*bounds) == (bounds if bounds in known else None)
    assert sorted(index.items()) == sorted(known)
    for probe in probes:
        found = index.stab(probe) + [bounds for bounds in [index.exact.get(probe)] if bounds]
        assert sorted(found) == sorted(bounds for bounds in known if contains(*bounds, probe))


@given(st.binary(min_size=1, max_size=4), st.binary(max_size=5))
def test_prefix_end_bounds_exactly_the_prefix(prefix: bytes, key: bytes) -> None:
    assert contains(prefix, prefix_end(prefix), key) == (
        key.startswith(prefix) or (prefix_end(prefix) == OPEN_END and key >= prefix)
    )


def test_many_ranges_stay_searchable_while_they_come_and_go() -> None:
    index: RangeIndex[int] = RangeIndex()
    for number in range(3_000):
        index.add(b"%05d" % number, b"%05d" % (number + 3), number)
    for number in range(0, 3_000, 2):
        index.remove(b"%05d" % number, b"%05d" % (number + 3))
    assert sorted(index.stab(b"01001x")) == [999, 1001]
    for number in range(0, 3_000, 2):
        index.add(b"%05d" % number, b"%05d" % (number + 3), number)
    assert sorted(index.stab(b"01001x")) == [999, 1000, 1001]
