"""The byte layout: what is written today must be readable for ever, and bytes must sort as the tables need."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zetcd.base.errors import Fatal
from zetcd.mvcc import keys
from zetcd.mvcc.keys import State

awkward = st.lists(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]), min_size=1, max_size=5).map(bytes)
user_keys = st.one_of(st.binary(min_size=1, max_size=6), awkward)
revisions = st.one_of(st.integers(1, 300), st.integers(1, keys.REVISION_MAX))
lease_ids = st.integers(-(2**63), 2**63 - 1)


@given(user_keys, revisions, user_keys, revisions)
def test_former_rows_sort_by_user_key_then_revision(one: bytes, first: int, other: bytes, second: int) -> None:
    assert (keys.former_key(one, first) < keys.former_key(other, second)) == ((one, first) < (other, second))


@given(user_keys, revisions)
def test_former_keys_come_apart_again(key: bytes, revision: int) -> None:
    assert keys.split_former_key(keys.former_key(key, revision)) == (key, revision)


@given(user_keys, user_keys, revisions)
def test_bounds_of_the_former_table(one: bytes, other: bytes, revision: int) -> None:
    """An escaped user key is a lower bound of its rows, `former_end` an upper one."""
    row = keys.former_key(other, revision)
    assert (row >= keys.escape(one)) == (other >= one)
    assert (row < keys.former_end(one)) == (other <= one)


@given(lease_ids, lease_ids)
def test_lease_keys_sort_as_signed_numbers(one: int, other: int) -> None:
    assert (keys.lease_key(one) < keys.lease_key(other)) == (one < other)
    assert keys.lease_id(keys.lease_key(one)) == one


@given(st.binary(max_size=5), st.binary(max_size=7))
def test_successor_bounds_a_prefix(prefix: bytes, key: bytes) -> None:
    stop = keys.successor(prefix)
    assert (key >= prefix and (stop is None or key < stop)) == key.startswith(prefix)


def test_layout_is_fixed() -> None:
    """Golden bytes: changing any of these makes existing stores unreadable."""
    row = keys.pack_header(2, 3, 4, -5, 6) + b"value"
    header = "0000000000000002 0000000000000003 0000000000000004 fffffffffffffffb 00000006"
    assert row == bytes.fromhex(header) + b"value"
    assert keys.HEADER_BYTES == 36
    assert keys.former_key(b"a\x00b", 258) == b"a\x00\xffb\x00" + bytes(6) + b"\x01\x02"
    assert keys.pack_place(258, 3) == bytes(6) + b"\x01\x02" + b"\x00\x00\x00\x03"
    assert keys.lease_key(1) == b"\x80" + bytes(6) + b"\x01"
    assert keys.pack_lease(10, 11, -1) == bytes(7) + b"\x0a" + bytes(7) + b"\x0b" + b"\xff" * 8
    state = keys.pack_state(State(1, 2, 3, -1, 5, 6, 7, 8, 9, 10, 11))
    wide = b"".join(number.to_bytes(8, "big", signed=True) for number in (1, 2, 3, -1, 5, 6, 7))
    assert state == b"\x01" + wide + b"\x00\x00\x00\x08" + b"".join(bytes(7) + bytes([n]) for n in (9, 10, 11))
    assert keys.TABLES == (b"m", b"c", b"h", b"r", b"l", b"a")


def test_header_and_value_of_a_row() -> None:
    row = keys.pack_header(2, 3, 4, -5, 6) + b"value"
    assert keys.header_of(row) == (2, 3, 4, -5, 6)
    assert keys.value_of(row) == b"value"
    assert keys.lease_of(row) == -5
    assert row[keys.MOD_FIELD] == keys.pack_revision(3)


def test_state_comes_back() -> None:
    state = State(applied=9, term=2, revision=77, compact_revision=-1, keys=3)
    assert keys.unpack_state(keys.pack_state(state)) == state


@pytest.mark.parametrize("record", [b"", b"\x02" + bytes(84), b"\x01"])
def test_foreign_state_is_refused(record: bytes) -> None:
    with pytest.raises(Fatal, match="state format"):
        keys.unpack_state(record)


@pytest.mark.parametrize(
    ("key", "range_end", "expected"),
    [
        (b"a", b"", (b"a", b"a\x00")),
        (b"a", b"\x00", (b"a", None)),
        (b"\x00", b"\x00", (b"\x00", None)),
        (b"a", b"b", (b"a", b"b")),
        (b"b", b"a", (b"b", b"a")),
    ],
)
def test_range_end_rules(key: bytes, range_end: bytes, expected: tuple[bytes, bytes | None]) -> None:
    assert keys.interval(key, range_end) == expected
