"""JSON text to values the way etcd reads it: value after value, to a depth of 10,000, and its words for what is wrong.

This is the slow and exact reader behind `decoder`: it reads what msgspec refused, or what it gave and no field took, so
that the client is told what etcd would have told it. It does not recurse, and gives up after JSON_VALUES_MAX values and
escapes.

Text is one character for each byte (latin-1), as etcd's scanner sees it. Numbers stay as they were written.
"""

import codecs
import re
from typing import Any

from zetcd.base.limits import JSON_VALUES_MAX, KIB

NESTING_MAX = 10_000  # etcd's figure
EOF = "unexpected EOF"

_SPACE = re.compile(r"[ \t\r\n]*")
_PLAIN = re.compile(r'[^"\\\x00-\x1f]*')
_ESCAPE = re.compile(r'\\(?:u([0-9a-fA-F]{4})|(["\\/bfnrt]))')
_MANY_DIGITS = re.compile(r"[0-9]*")
_EXACT_BYTES = 64 * KIB
_HEX = frozenset("0123456789abcdefABCDEF")
_ESCAPED = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_LITERALS: dict[str, tuple[str, Any]] = {"t": ("true", True), "f": ("false", False), "n": ("null", None)}
_DIGITS = frozenset("0123456789")
_C_ESCAPES = {7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r"}


_TOO_MANY = f"more than {JSON_VALUES_MAX} values"


class JsonError(Exception):
    """The text is no JSON, or not that of the message; str() is what etcd says about it."""


class Number(str):
    """A number as it was written."""

    __slots__ = ()


def _each_byte(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return "\ufffd" * (error.end - error.start), error.end


codecs.register_error("zetcd-json", _each_byte)


def next_value(text: str, at: int, eof: str = EOF) -> tuple[Any, int] | None:
    """The value that begins at or after `at` and where it ends; None: there is only space left.

    eof: what to say where the text ends too early.
    """
    at = _skip(text, at)
    if at == len(text):
        return None
    return _Reader(text, eof).value(at)


def only_value(text: str) -> Any:
    """The one value of a text that holds nothing else."""
    eof = "unexpected end of JSON input"
    text += " "  # as etcd does: it shows whether a number or a word has come to its end
    found = next_value(text, 0, eof)
    if found is None:
        raise JsonError(eof)
    value, at = found
    at = _skip(text, at)
    if at < len(text):
        raise _unexpected(text[at], "after top-level value")
    return value


def quoted(text: str) -> str:
    """Text in double quotes, as etcd prints what it did not understand."""
    return '"' + "".join('\\"' if character == '"' else _printed(character) for character in text) + '"'


def _printed(character: str) -> str:
    number = ord(character)
    if character == "\\":
        return "\\\\"
    if number in _C_ESCAPES:
        return _C_ESCAPES[number]
    if number < 0x20 or number == 0x7F:
        return f"\\x{number:02x}"
    if character.isprintable():
        return character
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _unexpected(character: str, where: str) -> JsonError:
    shown = {"'": "\\'", '"': '"'}.get(character) or _printed(character)
    return JsonError(f"invalid character '{shown}' {where}")


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    assert found is not None
    return found.end()


def _digits_end(text: str, at: int) -> int:
    found = _MANY_DIGITS.match(text, at)
    assert found is not None
    return found.end()


def _decoded(text: str) -> str:
    """A piece of a string, whose characters were bytes so far. Each wrong byte is one replacement character; in a long
    piece several may become one, since telling them apart takes longer."""
    return text.encode("latin-1").decode(errors="zetcd-json" if len(text) <= _EXACT_BYTES else "replace")


class _Reader:
    """Reads one value. What is open lies on a stack of its own."""

    __slots__ = ("eof", "text", "values_left")

    def __init__(self, text: str, eof: str) -> None:
        self.text = text
        self.eof = eof
        self.values_left = JSON_VALUES_MAX

    def at(self, at: int) -> tuple[str, int]:
        """The next character that is no space, and its place."""
        at = _skip(self.text, at)
        if at == len(self.text):
            raise JsonError(self.eof)
        return self.text[at], at

    def spend(self) -> None:
        """One value or escape more."""
        self.values_left -= 1
        if not self.values_left:
            raise JsonError(_TOO_MANY)

    def value(self, at: int) -> tuple[Any, int]:
        """The value at `at` and the place behind it."""
        open_: list[tuple[Any, str]] = []  # containers that are not closed, each with the key that it stands at
        while True:
            self.spend()
            character, at = self.at(at)
            if character in "{[":
                if len(open_) == NESTING_MAX:
                    raise _unexpected(character, "exceeded max depth")
                value: Any = {} if character == "{" else []
                following, at = self.at(at + 1)
                if following != ("}" if character == "{" else "]"):
                    key = ""
                    if character == "{":
                        key, at = self.key(at)
                    open_.append((value, key))
                    continue
                at += 1
            else:
                value, at = self.scalar(character, at)
            while open_:  # the value is complete: it belongs to what is open
                container, key = open_.pop()
                is_object = isinstance(container, dict)
                if is_object:
                    container[key] = value
                else:
                    container.append(value)
                character, at = self.at(at)
                at += 1
                if character == ",":
                    if is_object:
                        key, at = self.key(at)
                    open_.append((container, key))
                    break
                if character != ("}" if is_object else "]"):
                    raise _unexpected(character, "after object key:value pair" if is_object else "after array element")
                value = container
            else:
                return value, at

    def key(self, at: int) -> tuple[str, int]:
        """A key with its colon."""
        character, at = self.at(at)
        if character != '"':
            raise _unexpected(character, "looking for beginning of object key string")
        key, at = self.string(at + 1)
        character, at = self.at(at)
        if character != ":":
            raise _unexpected(character, "after object key")
        return key, at + 1

    def scalar(self, character: str, at: int) -> tuple[Any, int]:
        """A string, a number, or one of three words."""
        if character == '"':
            return self.string(at + 1)
        if character == "-" or character in _DIGITS:
            return self.number(at)
        if character not in _LITERALS:
            raise _unexpected(character, "looking for beginning of value")
        word, value = _LITERALS[character]
        for offset, expected in enumerate(word):
            found = self.get(at + offset)
            if found != expected:
                raise _unexpected(found, f"in literal {word} (expecting '{expected}')")
        return value, at + len(word)

    def get(self, at: int) -> str:
        """The character at `at`."""
        if at >= len(self.text):
            raise JsonError(self.eof)
        return self.text[at]

    def string(self, at: int) -> tuple[str, int]:
        """What follows an opening quote."""
        parts: list[str] = []
        halves = False
        while True:
            plain = _PLAIN.match(self.text, at)
            assert plain is not None
            at = plain.end()
            parts.append(_decoded(plain.group()))
            character = self.get(at)
            if character == '"':
                text = "".join(parts)
                if halves:  # of surrogate pairs: joined where they fit, replaced where not
                    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
                return text, at + 1
            if character != "\\":
                raise _unexpected(character, "in string literal")
            self.spend()
            escape = _ESCAPE.match(self.text, at)
            if escape is None:
                raise self.escape_error(at + 1)
            if escape[1]:
                number = int(escape[1], 16)
                halves = halves or 0xD800 <= number < 0xE000
                parts.append(chr(number))
            else:
                parts.append(_ESCAPED[escape[2]])
            at = escape.end()

    def escape_error(self, at: int) -> JsonError:
        """What is wrong behind a backslash."""
        character = self.get(at)
        if character != "u":
            return _unexpected(character, "in string escape code")
        for offset in range(1, 5):
            character = self.get(at + offset)
            if character not in _HEX:
                return _unexpected(character, "in \\u hexadecimal character escape")
        raise AssertionError("nothing is wrong with it")

    def digits(self, at: int, where: str) -> int:
        """One digit or more."""
        found = self.get(at)
        if found not in _DIGITS:
            raise _unexpected(found, where)
        return _digits_end(self.text, at)

    def number(self, at: int) -> tuple[Number, int]:
        """A number as it stands there."""
        start = at
        if self.text[at] == "-":
            at += 1
        # A number has no leading zero: what follows one is none of its digits.
        at = at + 1 if self.text[at : at + 1] == "0" else self.digits(at, "in numeric literal")
        if self.text[at : at + 1] == ".":
            at = self.digits(at + 1, "after decimal point in numeric literal")
        if self.text[at : at + 1] in {"e", "E"}:
            at += 1
            if self.text[at : at + 1] in {"+", "-"}:
                at += 1
            at = self.digits(at, "in exponent of numeric literal")
        return Number(self.text[start:at]), at
