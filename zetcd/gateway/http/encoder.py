"""Protobuf messages to JSON, as etcd's gateway writes it: names of the .proto file, 64-bit integers as strings, enums
by name, bytes in base64, what is at its default left out, no space between; in strings `<`, `>`, `&` escaped.
"""

from binascii import b2a_base64
from collections.abc import Callable
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

_ESCAPES = str.maketrans(
    {
        **{number: f"\\u{number:04x}" for number in [*range(0x20), 0x2028, 0x2029, *map(ord, "<>&")]},
        '"': '\\"',
        "\\": "\\\\",
        "\n": "\\n",
        "\r": "\\r",
        "\t": "\\t",
    }
)

Write = Callable[[Any], str]


def encode(message: Message) -> bytes:
    """The message as JSON."""
    return _object(message.DESCRIPTOR)(message).encode()


def string(text: str) -> str:
    """Text as a JSON string, escaped as etcd does."""
    return f'"{text.translate(_ESCAPES)}"'


@cache
def _object(descriptor: Descriptor) -> Write:
    fields: dict[int, tuple[str, Write]] = {}

    def write(message: Message) -> str:
        if not fields:  # not before: a transaction may contain transactions
            for field in descriptor.fields:
                fields[field.number] = f'"{field.name}":', _field(field)
        parts = []
        for field, value in message.ListFields():
            prefix, convert = fields[field.number]
            parts.append(prefix + convert(value))
        return "{" + ",".join(parts) + "}"

    return write


def _field(field: FieldDescriptor) -> Write:
    one = _single(field)
    if not field.is_repeated:
        return one
    return lambda values: "[" + ",".join(map(one, values)) + "]"


def _single(field: FieldDescriptor) -> Write:
    if field.message_type:
        return _object(field.message_type)
    if field.enum_type:
        return _enum(field.enum_type)
    return _SCALARS[field.type]


def _enum(descriptor: EnumDescriptor) -> Write:
    names = {value.number: f'"{value.name}"' for value in descriptor.values}
    return lambda number: names.get(number) or str(number)


def _bytes(value: bytes) -> str:
    return '"' + b2a_base64(value, newline=False).decode() + '"'


def _long(value: int) -> str:
    return f'"{value}"'


_SCALARS: dict[int, Write] = {
    FieldDescriptor.TYPE_BOOL: lambda value: "true" if value else "false",
    FieldDescriptor.TYPE_STRING: string,
    FieldDescriptor.TYPE_BYTES: _bytes,
    FieldDescriptor.TYPE_INT64: _long,
    FieldDescriptor.TYPE_UINT64: _long,
    FieldDescriptor.TYPE_INT32: str,
    FieldDescriptor.TYPE_UINT32: str,
}
