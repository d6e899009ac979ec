"""Bytes in JSON: base64 as etcd reads it, with the place of a fault as etcd counts it."""

import re
from binascii import a2b_base64

from zetcd.gateway.http.syntax import JsonError

_GOOD = re.compile(rb"[A-Za-z0-9+/\-_\r\n]*")
_BREAKS = b"\r\n"
_PAD = ord("=")


def from_base64(text: str) -> bytes:
    """Bytes of base64, also with line breaks, and as etcd 3.5 does in the alphabet of URLs or without padding.

    JsonError names the place of what is wrong.
    """
    try:
        return _strict(text)
    except ValueError:
        pass
    try:
        return _strict(_as_34(text.replace("\n", "").replace("\r", "")))
    except ValueError:  # also of what is not ASCII
        raise JsonError(f"illegal base64 data at input byte {_fault(text.encode())}") from None


def _as_34(text: str) -> str:
    """What only 3.5 takes, as 3.4 would."""
    text = text.replace("-", "+").replace("_", "/")
    return text if text.endswith("=") else text + "=" * (-len(text) % 4)


def _strict(text: str) -> bytes:
    found = a2b_base64(text, strict_mode=True)
    # Python takes padding behind a group that needs none.
    if len(text) % 4 or len(found) != len(text) // 4 * 3 - text.count("=", -2):
        raise ValueError
    return found


def _fault(text: bytes) -> int:
    """The place that etcd names: where a group is wrong, the character; where one is too short, its beginning."""
    good = _GOOD.match(text)
    assert good is not None
    at = good.end()
    filled = (at - sum(text.count(one, 0, at) for one in _BREAKS)) % 4  # characters of the group
    if at == len(text):
        return at - filled
    if text[at] != _PAD or filled < 2:
        return at
    return _padding_fault(text, at + 1, filled)


def _padding_fault(text: bytes, at: int, filled: int) -> int:
    """The same behind the first character of padding."""
    at = _behind_breaks(text, at)
    if filled == 2:
        if at == len(text):
            return at
        if text[at] != _PAD:
            return at - 1
        at = _behind_breaks(text, at + 1)
    return at


def _behind_breaks(text: bytes, at: int) -> int:
    while at < len(text) and text[at] in _BREAKS:
        at += 1
    return at
