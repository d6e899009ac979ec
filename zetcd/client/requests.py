"""From a caller's words to request messages: str is UTF-8, enums go by name or number, prefixes become ranges."""

from collections.abc import Iterable
from typing import Literal

from zetcd.wire import client as wire
from zetcd.wire.asked import ENUM_FIELDS

Key = str | bytes
SortOrder = Literal["NONE", "ASCEND", "DESCEND"] | int
SortTarget = Literal["KEY", "VERSION", "CREATE", "MOD", "VALUE"] | int
Filter = Literal["NOPUT", "NODELETE"] | int

ALL_FROM = b"\0"
"""As a range_end: every key from key on."""


def octets(text: Key) -> bytes:
    """Bytes as they are, str as UTF-8."""
    return text.encode() if isinstance(text, str) else text


def prefix_end(prefix: bytes) -> bytes:
    """The range_end that makes [prefix, range_end) all keys with this prefix; the empty prefix means every key."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes((stem[-1] + 1,)) if stem else ALL_FROM


def prefix_range(prefix: Key) -> tuple[bytes, bytes]:
    """(key, range_end) of all keys with this prefix."""
    start = octets(prefix)
    return start or b"\0", prefix_end(start)


def number(field: str, value: str | int) -> int:
    """An enum by name or number."""
    return value if isinstance(value, int) else ENUM_FIELDS[field][value]


def range_request(
    key: Key,
    range_end: Key = b"",
    *,
    limit: int = 0,
    revision: int = 0,
    sort_order: SortOrder = 0,
    sort_target: SortTarget = 0,
    serializable: bool = False,
    keys_only: bool = False,
    count_only: bool = False,
    min_mod_revision: int = 0,
    max_mod_revision: int = 0,
    min_create_revision: int = 0,
    max_create_revision: int = 0,
) -> wire.RangeRequest:
    """etcd's RangeRequest."""
    return wire.RangeRequest(
        octets(key),
        octets(range_end),
        limit,
        revision,
        number("sort_order", sort_order),
        number("sort_target", sort_target),
        serializable,
        keys_only,
        count_only,
        min_mod_revision,
        max_mod_revision,
        min_create_revision,
        max_create_revision,
    )


def watch_filters(filters: Iterable[Filter]) -> list[int]:
    """Watch filters as numbers."""
    return [number("filters", item) for item in filters]
