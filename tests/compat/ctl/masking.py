"""Takes out of outputs what must differ between two clusters: ids, times, addresses, program names, log lines.

A line of JSON is compared as its fields in order, with base64 undone, since an id may hide in a key. Protobuf is taken
apart into (field number, value) without any schema.
"""

import base64
import json
import re
from typing import Any

_DROPPED = (b'{"level":',)
_MASKS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?:http|tcp)://127\.0\.0\.1:\d+"), "<endpoint>"),
    (re.compile(r"\bz?etcdctl\b"), "<ctl>"),
    (re.compile(r"\b[0-9a-f]{12,16}\b"), "<hex>"),
    (re.compile(r"(?<=\w) +<hex>"), " <hex>"),  # a small id is padded with blanks
    (re.compile(r"\b\d{12,20}\b"), "<number>"),
    (re.compile(r"took = \S+"), "took = <time>"),
    (re.compile(r'("Took" : )\S+'), r"\1<time>"),
    (re.compile(r'("RaftTerm" : )\d+'), r"\1<term>"),
    (re.compile(r'("DBSize" : |"RaftIndex" : |"RaftAppliedIndex" : |"Hash" : )\d+'), r"\1<number>"),
    (re.compile(r'("Version" : ")[\d.]+"'), r'\1<version>"'),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ C \| pkg/flags: "), "Error: "),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ W \| pkg/flags: "), ""),
    (re.compile(r"remaining\((49\d|500)s\)"), "remaining(<almost 500>)"),
    (re.compile(r'"TTL" : (49\d|500)$'), '"TTL" : <almost 500>'),
    (re.compile(r"^<ctl> version: \S+"), "<ctl> version: <version>"),
    (
        re.compile(r"^(<endpoint>, <hex>), [^,]+, [^,]+(, \w+, \w+)(?:, \d+){3},"),
        r"\1, <version>, <size>\2, <numbers>,",
    ),
    (re.compile(r"^<endpoint>, \d+$"), "<endpoint>, <number>"),
    (re.compile(r"^\+[-+]+\+$"), "<rule>"),
)
_CLUSTER = re.compile(r'(ETCD_INITIAL_CLUSTER=)"([^"]*)"')
_FIGURE = re.compile(r"[\d.]+( ?[a-zA-Zµ]+)?")
_NUMBERS = frozenset({"cluster_id", "member_id", "raft_term", "ID", "id", "lease", "leader", "raftIndex", "raftTerm"})
_NUMBERS |= {"raftAppliedIndex", "dbSize", "dbSizeInUse", "hash"}
_BASE64 = frozenset({"key", "value", "keys"})


def masked(data: bytes) -> list[Any]:
    """Lines of an output, masked."""
    lines: list[Any] = []
    for raw in data.split(b"\n"):
        if raw.startswith(_DROPPED):
            continue
        shown: Any = None
        if raw[:1] in {b"{", b"["}:
            try:
                shown = _plain(json.loads(raw, object_pairs_hook=list))
            except ValueError:
                shown = None
        lines.append(text(raw.decode("utf-8", "backslashreplace")) if shown is None else shown)
    return lines


def text(line: str) -> str:
    """One line of text, masked."""
    for pattern, mask in _MASKS:
        line = pattern.sub(mask, line)
    line = _CLUSTER.sub(lambda found: f'{found[1]}"{",".join(sorted(found[2].split(",")))}"', line)
    return _row(line) if line.startswith("| ") else line


def unordered(lines: list[Any]) -> list[Any]:
    """Lines, and the objects within an array of JSON, in an order of their own: ids decide it, and they are drawn."""
    sorted_lines = [_sorted(line) for line in lines]
    return sorted(sorted_lines, key=repr)


def _sorted(value: Any) -> Any:
    if isinstance(value, tuple):
        return (value[0], _sorted(value[1]))
    if isinstance(value, list):
        items = [_sorted(item) for item in value]
        return sorted(items, key=repr) if all(isinstance(item, list) for item in items) else items
    return value


def _row(line: str) -> str:
    """A row of a table: its cells without the blanks around them, those that hold figures masked."""
    cells = [cell.strip() for cell in line.split("|")[1:-1]]
    return " | ".join("<figure>" if _FIGURE.fullmatch(cell) else cell for cell in cells)


def _plain(value: Any, name: str = "") -> Any:
    if isinstance(value, list):
        if value and all(isinstance(item, tuple) for item in value):
            return [(key, _plain(item, key)) for key, item in value]
        return [_plain(item, name) for item in value]
    if isinstance(value, str):
        if name == "took":
            return "<time>"
        if name == "version":
            return "<version>"
        return text(base64.b64decode(value).decode("utf-8", "backslashreplace") if name in _BASE64 else value)
    if name == "ttl" and value in range(490, 501):
        return "<almost 500>"
    if name in _NUMBERS and not isinstance(value, bool):
        return "<number>"
    return value


def wire_fields(data: bytes) -> list[tuple[int, Any]]:
    """A protobuf message as (field, number or bytes or message); bytes that parse as a message are shown as one."""
    fields: list[tuple[int, Any]] = []
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        if key & 7 == 0:
            value, at = _varint(data, at)
            fields.append((key >> 3, value))
        elif key & 7 == 2:
            size, at = _varint(data, at)
            if at + size > len(data):
                raise ValueError("short")
            fields.append((key >> 3, data[at : at + size]))
            at += size
        else:
            raise ValueError("wire type")
    return fields


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data):
            raise ValueError("short")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def masked_message(data: bytes, *, outermost: bool = True) -> list[tuple[int, Any]]:
    """A reply message; of its header the revision is kept. Bytes that begin like a message are shown as one."""
    shown: list[tuple[int, Any]] = []
    for number, value in wire_fields(data):
        if isinstance(value, int):
            shown.append((number, "<number>" if value > 10**12 else value))
        elif outermost and number == 1:
            shown.append((1, [(n, v) for n, v in wire_fields(value) if n == 3]))
        elif b"://127.0.0.1:" in value:
            shown.append((number, "<member>"))
        elif value[:1] in {b"\n", b"\x12", b"\x08"}:
            shown.append((number, masked_message(value, outermost=False)))
        else:
            shown.append((number, re.sub(rb"/[0-9a-f]{12,16}$", b"/<hex>", value)))
    return shown
