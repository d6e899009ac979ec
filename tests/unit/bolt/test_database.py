"""Files of the writer, read back by a reader of the tests: any number and size of pairs, in both passes alike."""

import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.bolt.reading import buckets
from zetcd.bolt.database import Database, Pair, Source


def source(rows: dict[bytes, bytes]) -> Source:
    def pairs(measuring: bool) -> Iterator[Pair | None]:
        for at, (key, value) in enumerate(sorted(rows.items())):
            if at % 100 == 0:
                yield None
            yield key, len(value), b"" if measuring else value

    return pairs


def written(content: dict[bytes, dict[bytes, bytes]]) -> bytes:
    database = Database({name: source(rows) for name, rows in content.items()})
    for _ in database.measure():
        pass
    data = b"".join(database.render())
    assert len(data) == database.size
    return data


@pytest.mark.parametrize("count", [0, 1, 2, 3, 100, 101, 500, 30_000])
def test_what_is_written_is_read(count: int) -> None:
    rng = random.Random(count)
    sizes = (0, 1, 40, 300, 5_000, 20_000) if count <= 500 else (0, 30)
    content = {
        b"key": {b"%017d" % at: rng.randbytes(rng.choice(sizes)) for at in range(count)},
        b"odd": {rng.randbytes(rng.randint(1, 3_000)): b"v" for _ in range(min(count, 200))},
        b"empty": {},
    }
    assert buckets(written(content)) == content


@given(st.dictionaries(st.binary(min_size=1, max_size=2_500), st.binary(max_size=9_000), max_size=30))
def test_any_pairs(rows: dict[bytes, bytes]) -> None:
    assert buckets(written({b"b": rows})) == {b"b": rows}


def test_pages_come_out_as_they_are_complete() -> None:
    """Nothing but a page of each level is held back, so memory does not grow with the file."""
    rows = {b"%017d" % at: bytes(100) for at in range(20_000)}
    database = Database({b"key": source(rows)})
    for _ in database.measure():
        pass
    out = 0
    for pauses, part in enumerate(part for part in database.render() if len(part) in (0, 4_096)):
        out += bool(part)
        assert pauses < 10 or out > pauses // 2
