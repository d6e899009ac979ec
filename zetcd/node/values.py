"""How a flag's text becomes a value: Go's rules, because etcd's flags are Go flags.

Every reader returns the value or raises ValueError with what it expected, as a phrase that follows "must be".
"""

import re
from collections.abc import Callable

UINT32_MAX = 2**32 - 1
UINT64_MAX = 2**64 - 1
INT64_MAX = 2**63 - 1

_TRUE = ("1", "t", "T", "true", "TRUE", "True")
_FALSE = ("0", "f", "F", "false", "FALSE", "False")
_UNIT_NS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_PART = re.compile(r"(\d*\.?\d*)([a-zµμ]+)")
_BASES = {"0x": 16, "0o": 8, "0b": 2}


def read_bool(text: str) -> bool:
    """strconv.ParseBool."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError("true or false")


def read_int(text: str) -> int:
    """A signed 64-bit integer; strconv.ParseInt with base 0: 0x, 0o and 0b prefixes, _ between digits."""
    return _integer(text, -INT64_MAX - 1, INT64_MAX, "a whole number")


def read_uint(text: str) -> int:
    """An unsigned 64-bit integer."""
    return _integer(text, 0, UINT64_MAX, "a whole number, 0 or more")


def read_uint32(text: str) -> int:
    """An unsigned 32-bit integer."""
    return _integer(text, 0, UINT32_MAX, f"a whole number from 0 to {UINT32_MAX}")


def _integer(text: str, low: int, high: int, expected: str) -> int:
    digits = text.removeprefix("-").removeprefix("+") if text[:1] in ("-", "+") else text
    base = _BASES.get(digits[:2].lower(), 8 if len(digits) > 1 and digits[0] == "0" else 10)
    try:
        value = int(digits, base) if digits[:1].isalnum() and digits.isascii() else None
    except ValueError:
        value = None
    if value is None:
        raise ValueError(expected)
    value = -value if text.startswith("-") else value
    if not low <= value <= high:
        raise ValueError(expected)
    return value


def read_duration(text: str) -> int:
    """Nanoseconds of Go's time.ParseDuration: ``300ms``, ``1.5h``, ``2h45m``, ``-1s``, and a bare ``0``."""
    expected = 'a duration with a unit, for example "300ms", "10s", "1.5h" or "2h45m"'
    body = text[1:] if text[:1] in ("-", "+") else text
    if body == "0":
        return 0
    total, at = 0, 0
    while at < len(body):
        part = _PART.match(body, at)
        if part is None or part[1] in ("", ".") or part[2] not in _UNIT_NS:
            raise ValueError(expected)
        whole, _, fraction = part[1].partition(".")
        unit = _UNIT_NS[part[2]]
        total += int(whole or "0") * unit + (int(fraction) * unit // 10 ** len(fraction) if fraction else 0)
        at = part.end()
    if not body or total > INT64_MAX:
        raise ValueError(expected)
    return -total if text.startswith("-") else total


def read_text(text: str) -> str:
    """Anything."""
    return text


def choice(*names: str) -> Callable[[str], str]:
    """A reader that admits these words only."""

    def read(text: str) -> str:
        if text not in names:
            raise ValueError(" or ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0])
        return text

    return read


def read_words(text: str) -> tuple[str, ...]:
    """Comma-separated words; blanks around them and empty ones go, repeated ones count once."""
    return tuple(dict.fromkeys(word for word in (part.strip() for part in text.split(",")) if word))


def format_duration(nanoseconds: int) -> str:
    """The shortest of Go's spellings that is exact: ``10m``, ``100ms``, ``0s``."""
    if nanoseconds == 0:
        return "0s"
    for unit in ("h", "m", "s", "ms", "us"):
        if nanoseconds % _UNIT_NS[unit] == 0:
            return f"{nanoseconds // _UNIT_NS[unit]}{unit}"
    return f"{nanoseconds}ns"
