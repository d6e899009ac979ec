"""Values as Go spells them; the expectations are Go's own output."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zetcd.cli.ctl.golang import format_duration, human_bytes, parse_bool, parse_duration, parse_int, quote, unquote


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b'a"b\\', r'"a\"b\\"'),
        (b"\x00\x7f\x80\xff", r'"\x00\x7f\x80\xff"'),
        ("é☃\u00ad\ufffd".encode(), '"é☃\\u00ad\ufffd"'),
        ("\u200b😀\U000e0001".encode(), '"\\u200b😀\\U000e0001"'),
        (b"\a\b\f\n\r\t\v", r'"\a\b\f\n\r\t\v"'),
        (b"", '""'),
    ],
)
def test_quote(data: bytes, shown: str) -> None:
    assert quote(data) == shown


@given(st.binary())
def test_unquote_undoes_quote(data: bytes) -> None:
    assert unquote(quote(data)) == data


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126)))
def test_unquote_takes_anything_and_gives_bytes_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(unquote(f'"{text}"'), bytes)


@pytest.mark.parametrize(
    ("text", "data"),
    [("`a\\n`", b"a\\n"), (r'"\x41\u00e9\101\U0001f600"', "Aé\u0041😀".encode()), ('"é"', "é".encode())],
)
def test_unquote(text: str, data: bytes) -> None:
    assert unquote(text) == data


@pytest.mark.parametrize("text", ['"', "", '"a', 'a"', '"\\"', r'"\q"', r'"\x4"', r'"\u12"', r'"\400"', '"a"b"', "'a'"])
def test_unquote_refuses(text: str) -> None:
    with pytest.raises(ValueError, match="invalid syntax"):
        unquote(text)


@pytest.mark.parametrize(
    ("text", "base", "number"),
    [
        ("0x10", 0, 16),
        ("017", 0, 15),
        ("0o17", 0, 15),
        ("0b11", 0, 3),
        ("1_000", 0, 1000),
        ("+5", 0, 5),
        ("-5", 0, -5),
        ("-7f", 16, -127),
        ("9223372036854775807", 10, 2**63 - 1),
        ("-9223372036854775808", 10, -(2**63)),
    ],
)
def test_parse_int(text: str, base: int, number: int) -> None:
    assert parse_int(text, base) == number


@pytest.mark.parametrize("text", [" 5", "", "08", "1__0", "_1", "abc", "--5", "٣", "5 "])
def test_parse_int_refuses_as_go_does(text: str) -> None:
    with pytest.raises(ValueError, match="invalid syntax") as caught:
        parse_int(text, 0)
    assert str(caught.value) == f'strconv.ParseInt: parsing "{text}": invalid syntax'


def test_parse_int_knows_its_range() -> None:
    with pytest.raises(ValueError, match=r'^strconv.ParseInt: parsing "9223372036854775808": value out of range$'):
        parse_int("9223372036854775808", 10)
    assert parse_int("18446744073709551615", 10, unsigned=True) == 2**64 - 1
    with pytest.raises(ValueError, match=r'^strconv.ParseUint: parsing "-1": invalid syntax$'):
        parse_int("-1", 10, unsigned=True)


def test_parse_bool() -> None:
    assert [parse_bool(text) for text in ("1", "t", "TRUE", "0", "False")] == [True, True, True, False, False]
    with pytest.raises(ValueError, match=r'^strconv.ParseBool: parsing "yes": invalid syntax$'):
        parse_bool("yes")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1h2m", 3720.0), ("1.5s", 1.5), (".5s", 0.5), ("-1s", -1.0), ("0", 0.0), ("+3us", 3e-6), ("2ms", 0.002)],
)
def test_parse_duration(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("5", 'time: missing unit in duration "5"'),
        ("abc", 'time: invalid duration "abc"'),
        ("", 'time: invalid duration ""'),
        ("1x", 'time: unknown unit "x" in duration "1x"'),
        ("s", 'time: invalid duration "s"'),
    ],
)
def test_parse_duration_refuses_as_go_does(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=r"time: ") as caught:
        parse_duration(text)
    assert str(caught.value) == complaint


@pytest.mark.parametrize(
    ("ns", "shown"),
    [
        (0, "0s"),
        (1, "1ns"),
        (999, "999ns"),
        (1_000, "1µs"),
        (1_500, "1.5µs"),
        (1_050_000, "1.05ms"),
        (2_000_798_983, "2.000798983s"),
        (61 * 10**9, "1m1s"),
        (3600 * 10**9, "1h0m0s"),
        (3_661_500 * 10**6, "1h1m1.5s"),
        (-5 * 10**9, "-5s"),
    ],
)
def test_format_duration(ns: int, shown: str) -> None:
    assert format_duration(ns / 1e9) == shown


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1050, "1.1 kB"),
        (9949, "9.9 kB"),
        (9950, "10 kB"),
        (10500, "10 kB"),
        (24576, "25 kB"),
        (999999, "1000 kB"),
        (18_000_000, "18 MB"),
        (10**9, "1.0 GB"),
    ],
)
def test_human_bytes(size: int, shown: str) -> None:
    assert human_bytes(size) == shown
