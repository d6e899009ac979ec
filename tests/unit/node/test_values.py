"""Texts of flags as Go reads them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zetcd.node import values

MS = 1_000_000


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("300ms", 300 * MS),
        ("10s", 10_000 * MS),
        ("1.5h", 5_400_000 * MS),
        ("2h45m", 9_900_000 * MS),
        ("-1s", -1_000 * MS),
        ("+1s", 1_000 * MS),
        ("1us", 1_000),
        ("1µs", 1_000),
        ("1ns", 1),
        (".5s", 500 * MS),
        ("5.s", 5_000 * MS),
    ],
)
def test_durations(text: str, nanoseconds: int) -> None:
    assert values.read_duration(text) == nanoseconds


@pytest.mark.parametrize("text", ["", "3", "s", ".", ".s", "1x", "1 s", "s1", "1s2", "--1s", "9999999h"])
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="a duration with a unit"):
        values.read_duration(text)


@given(st.integers(0, 10**15))
def test_a_duration_reads_as_it_was_written(nanoseconds: int) -> None:
    assert values.read_duration(values.format_duration(nanoseconds)) == nanoseconds


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("17", 17), ("-5", -5), ("+5", 5), ("0x10", 16), ("0o17", 15), ("017", 15), ("0b11", 3)],
)
def test_integers(text: str, number: int) -> None:
    assert values.read_int(text) == number


@pytest.mark.parametrize("text", ["", "abc", "1.5", "--5", "- 5", " 5", "9223372036854775808", "٣", "0x", "_1"])
def test_no_integers(text: str) -> None:
    with pytest.raises(ValueError, match="a whole number"):
        values.read_int(text)


@pytest.mark.parametrize("text", ["-1", "18446744073709551616", "abc"])
def test_no_unsigned_integers(text: str) -> None:
    with pytest.raises(ValueError, match="0 or more"):
        values.read_uint(text)


@pytest.mark.parametrize("text", ["1", "t", "T", "true", "TRUE", "True"])
def test_true(text: str) -> None:
    assert values.read_bool(text) is True


@pytest.mark.parametrize("text", ["yes", "", "on", "tRue"])
def test_no_booleans(text: str) -> None:
    with pytest.raises(ValueError, match="true or false"):
        values.read_bool(text)


def test_words_count_once() -> None:
    assert values.read_words("stderr, a.log,,stderr") == ("stderr", "a.log")


def test_a_choice_names_its_words() -> None:
    with pytest.raises(ValueError, match=r"^json or console$"):
        values.choice("json", "console")("xml")
