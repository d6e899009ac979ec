"""What a client asks, decoded.

The strict decoder takes what a well-made client sends (bin keys, numeric enums); whatever it refuses gets one more,
lenient pass that also takes str for bin (as UTF-8) and enum names. Its complaint, if any, is what the client reads.
"""

from typing import Any

import msgspec

from zetcd.base.errors import WireError
from zetcd.wire.client import Request
from zetcd.wire.entry import CompareResult, CompareTarget, SortOrder, SortTarget

BYTES_FIELDS = frozenset({"key", "range_end", "value", "name"})
TEXT_NAMES = frozenset(
    {
        "authenticate",
        "user_add",
        "user_get",
        "user_delete",
        "user_change_password",
        "user_revoke_role",
        "role_add",
        "role_grant_permission",
    }
)
"""Ops whose ``name`` is text."""
ENUM_FIELDS: dict[str, dict[str, int]] = {
    "sort_order": {item.name: item.value for item in SortOrder},
    "sort_target": {item.name: item.value for item in SortTarget},
    "result": {item.name: item.value for item in CompareResult},
    "target": {item.name: item.value for item in CompareTarget},
    # Of alarm, and of downgrade.
    "action": {"GET": 0, "ACTIVATE": 1, "DEACTIVATE": 2, "VALIDATE": 0, "ENABLE": 1, "CANCEL": 2},
    "alarm": {"NONE": 0, "NOSPACE": 1, "CORRUPT": 2},
    "filters": {"NOPUT": 0, "NODELETE": 1},
    "permType": {"READ": 0, "WRITE": 1, "READWRITE": 2},
}

_strict: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_plain = msgspec.msgpack.Decoder()
COMPLAINT_MAX = 400
"""Characters: a complaint may quote what the client sent, but not all of it."""
_BAD = (msgspec.MsgspecError, ValueError, OverflowError, RecursionError, TypeError)


def decode_request(body: bytes) -> Request:
    """One request map. Raises WireError with a text that names the field and what it wants."""
    try:
        return _strict.decode(body)
    except _BAD:
        pass
    try:
        plain = _plain.decode(body)
        lenient = _lenient(plain)
        if isinstance(plain, dict) and plain.get("op") in TEXT_NAMES and "name" in plain:
            lenient["name"] = plain["name"]
        request: Request = msgspec.convert(lenient, Request, builtin_types=(bytes,))
    except _BAD as error:
        text = str(error) or type(error).__name__
        raise WireError(text if len(text) <= COMPLAINT_MAX else text[:COMPLAINT_MAX] + "...") from None
    return request


def _lenient(value: Any, field: str = "") -> Any:
    """Str to bytes where a field is bytes, enum names to numbers; everything else as it is."""
    if isinstance(value, dict):
        return {name: _lenient(item, name if isinstance(name, str) else "") for name, item in value.items()}
    if isinstance(value, list):
        return [_lenient(item, field) for item in value]
    if isinstance(value, str):
        if field in BYTES_FIELDS:
            return value.encode()
        names = ENUM_FIELDS.get(field)
        if names is not None:
            if value not in names:
                raise ValueError(f"{field} is one of {', '.join(names)}, not {value!r}")
            return names[value]
    return value
