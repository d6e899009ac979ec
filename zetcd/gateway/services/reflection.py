"""grpc.reflection: what the services look like, from the descriptors they are made of."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

from google.protobuf.descriptor import FileDescriptor

from zetcd.base import errors
from zetcd.gateway.rpc import Method, Stream, Streaming
from zetcd_pb import (
    election_pb2,
    health_pb2,
    lock_pb2,
    reflection_v1_pb2,
    reflection_v1alpha_pb2,
    rpc_pb2,
)
from zetcd_pb.building import POOL

VERSIONS: dict[str, Any] = {"v1": reflection_v1_pb2, "v1alpha": reflection_v1alpha_pb2}
MODULES: tuple[ModuleType, ...] = (rpc_pb2, lock_pb2, election_pb2, health_pb2, *VERSIONS.values())


def methods() -> dict[str, Method]:
    """By path, in both versions, which differ in their package's name alone."""
    return {
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo": Streaming(
            pb.ServerReflectionRequest, pb.ServerReflectionResponse, True, True, _opener(pb)
        )
        for version, pb in VERSIONS.items()
    }


def _opener(pb: Any) -> Callable[[Stream], "Reflection"]:
    return lambda stream: Reflection(pb, stream)


class Reflection:
    """One stream of questions."""

    __slots__ = ("_pb", "_stream")

    def __init__(self, pb: Any, stream: Stream) -> None:
        self._pb = pb
        self._stream = stream

    def message(self, request: Any) -> None:
        """One question; while the client reads no answers it is asked for none."""
        answer = self._pb.ServerReflectionResponse(valid_host=request.host, original_request=request)
        kind = request.WhichOneof("message_request")
        try:
            if kind == "list_services":
                answer.list_services_response.service.extend(
                    self._pb.ServiceResponse(name=service.full_name)
                    for module in MODULES
                    for service in module.DESCRIPTOR.services_by_name.values()
                )
            elif kind == "file_by_filename":
                self._files(answer, POOL.FindFileByName(request.file_by_filename))
            elif kind == "file_containing_symbol":
                self._files(answer, POOL.FindFileContainingSymbol(request.file_containing_symbol))
            elif kind == "all_extension_numbers_of_type":
                name = request.all_extension_numbers_of_type
                POOL.FindMessageTypeByName(name)
                answer.all_extension_numbers_response.base_type_name = name
            else:
                answer.error_response.error_code = errors.NOT_FOUND
                answer.error_response.error_message = "there are no extensions"
        except KeyError as error:
            answer.error_response.error_code = errors.NOT_FOUND
            answer.error_response.error_message = f"not found: {error.args[0]}"
        if not self._stream.send(answer):
            self._stream.pause()

    def _files(self, answer: Any, file: FileDescriptor) -> None:
        """The file and all it imports, each once."""
        found: dict[str, FileDescriptor] = {}
        waiting = [file]
        while waiting:
            one = waiting.pop()
            if one.name not in found:
                found[one.name] = one
                waiting.extend(one.dependencies)
        answer.file_descriptor_response.file_descriptor_proto.extend(one.serialized_pb for one in found.values())

    def half_closed(self) -> None:
        """All has been answered."""
        self._stream.finish()

    def cancelled(self) -> None:
        """Nothing is kept."""

    def writable(self) -> None:
        """Go on asking."""
        self._stream.resume()
