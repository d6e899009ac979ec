"""A gRPC client we did not write (grpcio), for every method that `zetcd_pb` describes."""

import queue
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Any, NamedTuple, Self

import grpc  # type: ignore[import-untyped]  # it has no stubs
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from zetcd_pb import election_pb2, health_pb2, lock_pb2, reflection_v1_pb2, rpc_pb2

ANSWER_S = 20.0
QUIET_S = 0.4  # etcd catches up every tenth of a second
Metadata = tuple[tuple[str, str], ...]


class Failed(NamedTuple):
    """A call that ended with a status."""

    code: int
    message: str


def _methods() -> dict[str, MethodDescriptor]:
    found = {}
    for module in (rpc_pb2, lock_pb2, election_pb2, health_pb2, reflection_v1_pb2):
        for service in module.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                found[f"/{service.full_name}/{method.name}"] = method
    return found


METHODS = _methods()


def failed(error: grpc.RpcError) -> Failed:
    """Its status."""
    assert isinstance(error, grpc.Call)
    return Failed(error.code().value[0], error.details() or "")


class Stub:
    """One channel."""

    def __init__(self, target: str) -> None:
        self._channel = grpc.insecure_channel(target, options=[("grpc.max_receive_message_length", -1)])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._channel.close()

    def call(self, path: str, request: Message, metadata: Metadata = (), timeout: float = ANSWER_S) -> Message | Failed:
        """A unary call."""
        try:
            reply: Message = self._unary(path)(request, metadata=metadata, timeout=timeout)
        except grpc.RpcError as error:
            return failed(error)
        return reply

    def later(self, path: str, request: Message, timeout: float = ANSWER_S) -> Any:
        """A unary call as grpcio's future."""
        return self._unary(path).future(request, timeout=timeout)

    def _unary(self, path: str) -> Any:
        return self._channel.unary_unary(
            path,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=_reply(path).FromString,
        )

    def stream(self, path: str, metadata: Metadata = ()) -> "Talk":
        """A streaming call."""
        return Talk(self._channel, path, metadata)


class Talk:
    """A streaming call under way: `say` requests, `hear` replies."""

    def __init__(self, channel: grpc.Channel, path: str, metadata: Metadata) -> None:
        self._requests: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        open_: Any = channel.stream_stream(
            path,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=_reply(path).FromString,
        )
        self._replies: queue.SimpleQueue[Message | Failed | None] = queue.SimpleQueue()
        self._call = open_(self._asked(), metadata=metadata)
        threading.Thread(target=self._listen, daemon=True).start()

    def _asked(self) -> Iterator[Message]:
        while (request := self._requests.get()) is not None:
            yield request

    def _listen(self) -> None:
        try:
            for reply in self._call:
                self._replies.put(reply)
            self._replies.put(None)
        except grpc.RpcError as error:
            self._replies.put(failed(error))

    def say(self, *requests: Message) -> None:
        """Send."""
        for request in requests:
            self._requests.put(request)

    def no_more(self) -> None:
        """Close the sending side."""
        self._requests.put(None)

    def hear(self, limit_s: float = ANSWER_S) -> Message | Failed | None:
        """The next reply; None at the end. Raises queue.Empty."""
        return self._replies.get(timeout=limit_s)

    def hear_all(self, quiet_s: float = QUIET_S) -> list[Message | Failed | None]:
        """What comes until it is quiet."""
        heard: list[Message | Failed | None] = []
        try:
            while True:
                heard.append(self.hear(quiet_s))
        except queue.Empty:
            return heard

    def cancel(self) -> None:
        """Hang up."""
        self._requests.put(None)
        self._call.cancel()


def _reply(path: str) -> type[Message]:
    return GetMessageClass(METHODS[path].output_type)


MASKED = frozenset({
    # of the cluster and its moment
    "cluster_id", "member_id", "raft_term", "raftTerm", "raftIndex", "raftAppliedIndex", "dbSize", "dbSizeInUse",
    "hash",
    # not in 3.5
    "dbSizeQuota", "hash_revision",
})  # fmt: skip


def masked(message: Message | Failed | None) -> Any:
    """As plain values, without what must differ."""
    if message is None or isinstance(message, Failed):
        return message
    plain: dict[str, Any] = {}
    for field, value in message.ListFields():
        if field.name in MASKED or (field.name == "leader" and not field.message_type):
            continue
        if field.message_type and field.message_type.GetOptions().map_entry:
            plain[field.name] = {name: masked(one) for name, one in value.items()}
        elif field.is_repeated and field.message_type:
            plain[field.name] = [masked(one) for one in value]
        elif field.is_repeated:
            plain[field.name] = list(value)
        else:
            plain[field.name] = masked(value) if field.message_type else value
    return plain
