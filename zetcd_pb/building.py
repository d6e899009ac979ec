"""From a serialised file descriptor to message classes, by public functions of the protobuf runtime only.

What protoc itself writes for Python refuses any runtime older than itself and registers in the process-wide pool, where
the messages of an etcd client library in the same process have the same names. These modules do neither.
"""

from typing import Any

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper

POOL = descriptor_pool.DescriptorPool()
"""All files of this package."""


def build(module: dict[str, Any], serialized: bytes) -> FileDescriptor:
    """Put the file's messages, enums and their values into module, under their names."""
    file: FileDescriptor = POOL.AddSerializedFile(serialized)
    for name, message in file.message_types_by_name.items():
        module[name] = message_factory.GetMessageClass(message)
    for name, enum in file.enum_types_by_name.items():
        module[name] = EnumTypeWrapper(enum)
        module.update((value.name, value.number) for value in enum.values)
    return file
