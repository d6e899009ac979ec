"""Random protobuf messages by their descriptors."""

from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import strategies as st

DEPTH = 3
_SCALARS: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_STRING: st.text(max_size=8),
    FieldDescriptor.TYPE_BYTES: st.binary(max_size=12),
    FieldDescriptor.TYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_UINT32: st.integers(0, 2**32 - 1),
    FieldDescriptor.TYPE_UINT64: st.integers(0, 2**64 - 1),
}


def messages(kind: type[Message]) -> st.SearchStrategy[Message]:
    """Messages of one kind, with some of their fields."""
    return _fields(kind.DESCRIPTOR, DEPTH).map(lambda fields: kind(**fields))


def _fields(descriptor: Any, depth: int) -> st.SearchStrategy[dict[str, Any]]:
    optional: dict[str, st.SearchStrategy[Any]] = {}
    alone: list[st.SearchStrategy[dict[str, Any]]] = [st.just({})]
    for field in descriptor.fields:
        if field.message_type and not depth:
            continue
        value = _one(field, depth)
        if field.is_repeated:
            value = st.lists(value, max_size=3)
        if field.containing_oneof:
            alone.append(st.fixed_dictionaries({field.name: value}))
        else:
            optional[field.name] = value
    fixed = st.fixed_dictionaries({}, optional=optional)
    return st.builds(lambda one, others: {**one, **others}, st.one_of(alone), fixed)


def _one(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    if field.message_type:
        return _fields(field.message_type, depth - 1)
    if field.enum_type:
        return st.sampled_from([value.number for value in field.enum_type.values])
    return _SCALARS[field.type]
