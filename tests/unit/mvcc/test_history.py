"""Reading events back: filters, slices, and the rows of long gone versions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.state.replica import Replica
from zetcd.base import limits
from zetcd.mvcc.engine import MemoryEngine
from zetcd.mvcc.history import KeySet
from zetcd.mvcc.keys import interval, value_of
from zetcd.wire.entry import DeleteRange, Put, Txn
from zetcd.wire.queries import History

names = st.binary(min_size=1, max_size=2)
EVERYTHING = [(b"\x00", b"\x00")]


@given(st.lists(st.tuples(names, st.one_of(st.just(b""), st.just(b"\x00"), names)), max_size=6), names)
def test_key_set_is_any_of_the_ranges(ranges: list[tuple[bytes, bytes]], key: bytes) -> None:
    bounds = [interval(*item) for item in ranges]
    assert (key in KeySet(ranges)) == any(start <= key and (stop is None or key < stop) for start, stop in bounds)


def test_events_carry_the_rows_of_their_time() -> None:
    for flushed in (False, True):
        replica = Replica(MemoryEngine())
        replica.run(Put(b"a", b"1"), Put(b"a", b"2"), DeleteRange(b"a"), Put(b"a", b"3"), Put(b"a", b"4"))
        if flushed:
            replica.flush()
        upto, events = replica.history(History(2, 0, EVERYTHING, prev_kv=True))
        values = [(value_of(event.row or b""), value_of(event.prev or b"")) for event in events]
        assert upto == 6
        assert values == [(b"1", b""), (b"2", b"1"), (b"", b"2"), (b"3", b""), (b"4", b"3")]
        assert [event.row is None for event in events] == [False, False, True, False, False]


def test_slices_hold_complete_revisions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HISTORY_SLICE_REVISIONS", 2)
    replica = Replica(MemoryEngine())
    for number in range(5):
        replica.run(Txn([], [Put(b"%d" % key, b"%d" % number) for key in range(3)], []))
    found, at = [], 2
    while at <= 6:
        upto, events = replica.history(History(at, 0, EVERYTHING))
        assert len(events) % 3 == 0
        assert {event.revision for event in events} == set(range(at, upto + 1))
        found.append(upto)
        at = upto + 1
    assert found == [3, 5, 6]


def test_slices_end_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HISTORY_SLICE_BYTES", 1_000)
    replica = Replica(MemoryEngine())
    replica.run(*[Put(b"a", bytes(600)) for _ in range(5)])
    assert replica.history(History(2, 0, EVERYTHING))[0] == 3
    assert replica.history(History(4, 5, EVERYTHING))[0] == 5


def test_upto_says_how_far_an_empty_slice_got(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody asked for these keys, and yet the cursor of the asker moves on."""
    monkeypatch.setattr(limits, "HISTORY_SLICE_REVISIONS", 3)
    replica = Replica(MemoryEngine())
    replica.run(*[Put(b"a", b"") for _ in range(10)])
    assert replica.history(History(2, 0, [(b"z", b"")])) == (4, [])
    assert replica.history(History(11, 0, [(b"z", b"")])) == (11, [])
    assert replica.history(History(12, 0, [(b"z", b"")])) == (11, [])
