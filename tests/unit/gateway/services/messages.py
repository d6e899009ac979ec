"""Messages with every field set, and messages as plain values."""

from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

_NUMBERS = {
    FieldDescriptor.CPPTYPE_INT64: -(2**62),
    FieldDescriptor.CPPTYPE_UINT64: 2**63 + 1,
    FieldDescriptor.CPPTYPE_UINT32: 2**32 - 99,
}


def filled(kind: type[Message], depth: int = 0) -> Message:
    """Every field set to something that is not its default; of a union one, of two messages in each other one level."""
    message = kind()
    for field in kind.DESCRIPTOR.fields:
        if field.containing_oneof is not None and message.WhichOneof(field.containing_oneof.name):
            continue
        value: Any
        if field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
            if depth > 2:
                continue
            target = getattr(message, field.name)
            one = target.add() if field.is_repeated else target
            one.MergeFrom(filled(type(one), depth + 1))
            one.SetInParent()
            continue
        if field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
            assert field.enum_type is not None
            value = field.enum_type.values[-1].number
        elif field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
            value = True
        elif field.type == FieldDescriptor.TYPE_BYTES:
            value = f"{field.name}\xff".encode()
        elif field.type == FieldDescriptor.TYPE_STRING:
            value = f"http://{field.name}"
        else:
            value = _NUMBERS[field.cpp_type] + field.number
        if field.is_repeated:
            getattr(message, field.name).extend([value, value])
        else:
            setattr(message, field.name, value)
    return message


def plain(message: Message) -> dict[str, Any]:
    """Fields that are set, as a map of the ZeroMQ API has them."""
    found: dict[str, Any] = {}
    for field, value in message.ListFields():
        if field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
            found[field.name] = [plain(one) for one in value] if field.is_repeated else plain(value)
        else:
            found[field.name] = list(value) if field.is_repeated else value
    return found
