"""-w protobuf: etcd's own reply message, marshalled.

Protobuf needs no library to be written: a field is a varint key ``number << 3 | wire type``, then a varint (type 0) or
a varint length and that many bytes (type 2). proto3 leaves zero values out, except inside repeated fields. The four
kinds below are all that etcd's replies hold.
"""

from typing import Any

from zetcd.cli.ctl.formats import Options, Printer, Reply
from zetcd.cli.ctl.formats.schema import KINDS, MESSAGES


def varint(value: int) -> bytes:
    """Base-128, least significant group first; a negative value as its 64-bit two's complement."""
    value &= 2**64 - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def marshal(message: str, reply: Reply) -> bytes:
    """The named message with the values of reply; fields that reply lacks are left out."""
    out = bytearray()
    for number, name, kind in MESSAGES[message]:
        value = reply.get(name)
        if value is None:
            continue
        if kind[0] == "*":
            for item in value:
                out += _field(number, kind[1:], item)
        elif value or kind in MESSAGES:
            out += _field(number, kind, value)
    return bytes(out)


def _field(number: int, kind: str, value: Any) -> bytes:
    if kind == "int":
        return varint(number << 3) + varint(int(value))
    data: bytes = value if kind == "bytes" else value.encode() if kind == "str" else marshal(kind, value)
    return varint(number << 3 | 2) + varint(len(data)) + data


def _printer(message: str) -> Printer:
    def show(reply: Reply, _: Options) -> bytes:
        return marshal(message, reply)

    return show


def _watch(reply: Reply, _: Options) -> bytes:
    """Without what concerns the stream alone: its watch id, its fragments."""
    return marshal("WatchResponse", {name: reply[name] for name in _WATCH_FIELDS if name in reply})


_WATCH_FIELDS = ("header", "created", "canceled", "compact_revision", "events")

PRINTERS: dict[str, Printer] = {kind: _printer(message) for kind, message in KINDS.items()} | {"watch": _watch}
