r"""Go's spellings of values, because scripts written for etcdctl read and write them.

- ``quote``/``unquote``: strconv.Quote and its inverse, on bytes. Printable runes stand for themselves; ``\a \b \f \n
  \r \t \v \\ \"`` have names; other control bytes and bytes that are not UTF-8 are ``\xNN``; other unprintable runes
  ``\uNNNN`` or ``\UNNNNNNNN``. ``unquote`` also takes a back-quoted raw string.
- ``parse_int``, ``parse_bool``, ``parse_duration``: strconv's and time's parsers with their error texts.
- ``format_duration``: time.Duration's String. ``human_bytes``: powers of 1000, as in ``25 kB``.
"""

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1

_NAMED = {7: "\\a", 8: "\\b", 12: "\\f", 10: "\\n", 13: "\\r", 9: "\\t", 11: "\\v", 92: "\\\\", 34: '\\"'}
_ESCAPES = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, '"': 34}
_HEX_LENGTHS = {"x": 2, "u": 4, "U": 8}
_UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}


def quote(data: bytes) -> str:
    """``%q`` of a Go string holding these bytes."""
    parts = ['"']
    for char in data.decode("utf-8", "surrogateescape"):
        code = ord(char)
        if code in _NAMED:
            parts.append(_NAMED[code])
        elif 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8
            parts.append(f"\\x{code - 0xDC00:02x}")
        elif char.isprintable():
            parts.append(char)
        elif code < 0x80:
            parts.append(f"\\x{code:02x}")
        else:
            parts.append(f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
    parts.append('"')
    return "".join(parts)


def unquote(text: str) -> bytes:
    """Inverse of `quote`; text includes its quotes. Raises ValueError("invalid syntax") like strconv."""
    if len(text) < 2 or text[0] != text[-1] or text[0] not in '"`':
        raise ValueError("invalid syntax")
    body = text[1:-1]
    if text[0] == "`":
        return body.encode("utf-8", "surrogateescape")
    out = bytearray()
    at = 0
    while at < len(body):
        char = body[at]
        at += 1
        if char != "\\":
            if char in '"\n':
                raise ValueError("invalid syntax")
            out += char.encode("utf-8", "surrogateescape")
            continue
        at = _unescape(body, at, out)
    return bytes(out)


def _unescape(body: str, at: int, out: bytearray) -> int:
    """One escape whose letter is body[at] (its backslash already read); returns the position after it."""
    letter = body[at : at + 1]
    if letter in _ESCAPES:
        out.append(_ESCAPES[letter])
        return at + 1
    length = _HEX_LENGTHS.get(letter, 0)
    digits, base, end = (
        (body[at + 1 : at + 1 + length], 16, at + 1 + length) if length else (body[at : at + 3], 8, at + 3)
    )
    if len(digits) != (length or 3) or not digits.isalnum():
        raise ValueError("invalid syntax")
    try:
        code = int(digits, base)
        out += chr(code).encode() if letter in "uU" else bytes((code,))
    except (ValueError, OverflowError):
        raise ValueError("invalid syntax") from None
    return end


def parse_int(text: str, base: int, *, unsigned: bool = False) -> int:
    """strconv.ParseInt(text, base, 64), or ParseUint. Raises ValueError with Go's text."""
    name = "ParseUint" if unsigned else "ParseInt"
    shown = quote(text.encode("utf-8", "surrogateescape"))
    low, high = (0, 2**64 - 1) if unsigned else (INT64_MIN, INT64_MAX)
    digits = text[1:] if text.startswith(("+", "-")) and not unsigned else text
    # Python's int() also takes blanks, signs within and other scripts' digits.
    plain = digits.isascii() and digits[:1].isalnum() and (digits.replace("_", "") if base == 0 else digits).isalnum()
    try:
        value = int(digits if plain else "-", _base(digits, base))
    except ValueError:
        raise ValueError(f"strconv.{name}: parsing {shown}: invalid syntax") from None
    value = -value if text[:1] == "-" else value
    if not low <= value <= high:
        raise ValueError(f"strconv.{name}: parsing {shown}: value out of range")
    return value


def _base(digits: str, base: int) -> int:
    """Base 0: Go still reads 017 as octal, Python does not."""
    return 8 if base == 0 and len(digits) > 1 and digits[0] == "0" and digits.isdecimal() else base


def parse_bool(text: str) -> bool:
    """strconv.ParseBool. Raises ValueError with Go's text."""
    if text in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if text in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise ValueError(f"strconv.ParseBool: parsing {quote(text.encode('utf-8', 'surrogateescape'))}: invalid syntax")


def parse_duration(text: str) -> float:
    """time.ParseDuration, in seconds. Raises ValueError with Go's text."""
    shown = quote(text.encode("utf-8", "surrogateescape"))
    rest = text[1:] if text.startswith(("+", "-")) else text
    if rest == "0":
        return 0.0
    total = 0.0
    if not rest:
        raise ValueError(f"time: invalid duration {shown}")
    while rest:
        number = _leading(rest, "0123456789.")
        unit = _leading_other(rest[len(number) :], "0123456789.")
        if not number.strip(".") or number.count(".") > 1:
            raise ValueError(f"time: invalid duration {shown}")
        if not unit:
            raise ValueError(f"time: missing unit in duration {shown}")
        if unit not in _UNITS_NS:
            raise ValueError(f"time: unknown unit {quote(unit.encode())} in duration {shown}")
        total += float(number) * _UNITS_NS[unit]
        rest = rest[len(number) + len(unit) :]
    return (-total if text[0] == "-" else total) / 1e9


def _leading(text: str, alphabet: str) -> str:
    end = 0
    while end < len(text) and text[end] in alphabet:
        end += 1
    return text[:end]


def _leading_other(text: str, alphabet: str) -> str:
    end = 0
    while end < len(text) and text[end] not in alphabet:
        end += 1
    return text[:end]


def format_duration(seconds: float) -> str:
    """time.Duration.String: ``1.5ms``, ``2m0s``, ``0s``."""
    ns = round(seconds * 1e9)
    sign, ns = ("-", -ns) if ns < 0 else ("", ns)
    if ns == 0:
        return "0s"
    for limit, scale, unit in ((1_000, 1, "ns"), (10**6, 1_000, "µs"), (10**9, 10**6, "ms")):
        if ns < limit:
            return sign + _decimal(ns, scale) + unit
    hours, ns = divmod(ns, 3600 * 10**9)
    minutes, ns = divmod(ns, 60 * 10**9)
    lead = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return sign + lead + _decimal(ns, 10**9) + "s"


def _decimal(value: int, scale: int) -> str:
    """value/scale without trailing zeros; scale is a power of ten."""
    whole, part = divmod(value, scale)
    fraction = str(part).rjust(len(str(scale)) - 1, "0").rstrip("0") if part else ""
    return f"{whole}.{fraction}" if fraction else str(whole)


def human_bytes(size: int) -> str:
    """``25 kB``, ``1.0 MB``: one decimal below ten, powers of 1000."""
    if size < 10:
        return f"{size} B"
    exponent = 0
    while size >= 1000 ** (exponent + 1) and exponent < 6:
        exponent += 1
    value = int(size / 1000**exponent * 10 + 0.5) / 10
    shown = f"{value:.1f}" if value < 10 else f"{value:.0f}"
    return f"{shown} {('B', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB')[exponent]}"
