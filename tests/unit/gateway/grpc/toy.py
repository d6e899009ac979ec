"""Methods that need no store, for clients of any kind."""

from collections.abc import Callable

from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import BytesValue

from zetcd.gateway.rpc import Call, Methods, RpcError, Stream, Streaming, Unary

MIB = 1024 * 1024


class Toy:
    """/toy.T/Put answers what it got; /toy.T/Chat repeats each request; Down sends, Up collects."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.cancelled = 0
        self.inbound: list[Chat] = []

    @property
    def methods(self) -> Methods:
        return {
            "/toy.T/Put": Unary(BytesValue, BytesValue, self._put),
            "/toy.T/Chat": Streaming(BytesValue, BytesValue, True, True, self._made(Chat)),
            "/toy.T/Down": Streaming(BytesValue, BytesValue, False, True, self._made(Down)),
            "/toy.T/Up": Streaming(BytesValue, BytesValue, True, False, self._made(Up)),
        }

    def _made(self, kind: "type[Chat]") -> "Callable[[Stream], Chat]":
        def made(stream: Stream) -> Chat:
            self.inbound.append(kind(stream))
            return self.inbound[-1]

        return made

    def _put(self, request: Message, call: Call) -> None:
        assert isinstance(request, BytesValue)
        self.calls.append(call)
        if request.value == b"refuse":
            raise RpcError(9, "nicht jetzt: 100 % ü\n")
        if request.value == b"bug":
            raise ZeroDivisionError
        if request.value == b"fail":
            call.fail(RpcError(5, "etcdserver: key not found"))
        elif request.value == b"hang":
            call.on_cancel = self._cancel
        else:
            call.reply(request)

    def _cancel(self) -> None:
        self.cancelled += 1


class Chat:
    """Repeats. ``end``: ends the stream; ``refuse``: fails it; ``pause``: takes no more."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.got: list[bytes] = []
        self.ended = False
        self.cancels = 0

    def message(self, request: Message) -> None:
        assert isinstance(request, BytesValue)
        self.got.append(request.value)
        if request.value == b"refuse":
            raise RpcError(9, "nein")
        if request.value == b"end":
            self.stream.finish()
        elif request.value == b"pause":
            self.stream.pause()
        else:
            self.stream.send(request)

    def half_closed(self) -> None:
        self.ended = True
        self.stream.finish()

    def cancelled(self) -> None:
        self.cancels += 1

    def writable(self) -> None:
        """Only Down waits for it."""


class Down(Chat):
    """Sends as many messages of 64 KiB as it is told, as fast as the client reads."""

    def message(self, request: Message) -> None:
        assert isinstance(request, BytesValue)
        self.got.append(request.value)
        self.left = int(request.value) if request.value.isdigit() else 0
        self.sent = 0
        self.writable()

    def writable(self) -> None:
        while self.sent < self.left:
            self.sent += 1
            if not self.stream.send(BytesValue(value=bytes(64 * 1024))):
                return
        self.stream.finish()

    def half_closed(self) -> None:
        self.ended = True


class Up(Chat):
    """Answers with the sizes of what it got, once the client has ended."""

    def message(self, request: Message) -> None:
        assert isinstance(request, BytesValue)
        self.got.append(request.value)

    def half_closed(self) -> None:
        self.ended = True
        self.stream.send(BytesValue(value=b"%d" % sum(map(len, self.got))))
        self.stream.finish()
