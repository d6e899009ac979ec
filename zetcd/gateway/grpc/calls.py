"""Calls under way: between a stream of HTTP/2 and a service.

    unary      collects one request, answers once
    streaming  requests as they come, replies as the client takes them

Both end exactly once: by their service, by the client (reset, or the connection lost), or by their deadline.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError, Message

from zetcd.gateway.grpc import framing, status
from zetcd.gateway.h2.stream import Stream
from zetcd.gateway.rpc import Inbound, RpcError, Streaming, Unary

if TYPE_CHECKING:
    from zetcd.gateway.grpc.requests import Plan
    from zetcd.gateway.grpc.service import Service

_EXPIRED = RpcError(status.DEADLINE_EXCEEDED, "context deadline exceeded")


_INVALID = "unexpected EOF"
"""What protobuf finds in a message that is none: one text for all cases, the one that is most frequent in etcd."""
_BROKEN_OFF = RpcError(status.UNKNOWN, "unexpected EOF")
_MISSING = RpcError(status.INTERNAL, "EOF")
_UNREAD = RpcError(status.RESOURCE_EXHAUSTED, "answers are not read")


class _Call:
    """What both kinds share: `rpc.Context`, and the end."""

    __slots__ = ("_bucket", "_plan", "_reader", "_service", "_stream", "deadline", "done")

    def __init__(self, service: "Service", stream: Stream, plan: "Plan") -> None:
        self._service = service
        self._stream = stream
        self._plan = plan
        self._reader: framing.Reader | None = None
        self.done = False
        self.deadline: float | None = None
        self._bucket = 0
        if plan.timeout is not None:
            self.deadline = service.deadlines.clock.time() + plan.timeout
            self._bucket = service.deadlines.add(self, self.deadline)

    @property
    def metadata(self) -> Mapping[str, str]:
        """See `rpc.Context`."""
        return self._plan.metadata

    @property
    def peer(self) -> str:
        """See `rpc.Context`."""
        return self._service.peer

    def fail(self, error: RpcError) -> None:
        """End with a status."""
        if not self.done:
            self._end(error)
            self._forget()

    def expire(self) -> None:
        """The deadline has passed."""
        self._abort(_EXPIRED)

    def _abort(self, error: RpcError) -> None:
        """End with a status that the service does not know of."""
        if not self.done:
            self._end(error)
            self._cancel()

    def on_reset(self) -> None:
        """The client went away."""
        if not self.done:
            self._end()
            self._cancel()

    def _end(self, error: RpcError | None = None) -> None:
        self.done = True
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        if self._bucket:
            self._service.deadlines.discard(self, self._bucket)
        if error is not None:
            block = status.trailers if self._stream.started else status.trailers_only
            self._stream.finish(block(error.code, error.message))

    def _forget(self) -> None:
        """Let go of what the service gave, lest the two keep each other."""
        raise NotImplementedError

    def _cancel(self) -> None:
        """Tell the service that the call is over."""
        raise NotImplementedError

    def _reading(self) -> framing.Reader:
        if self._reader is None:
            self._reader = framing.Reader(self._service.message_bytes_max, self._plan.encoding, self._service.held)
        return self._reader


class UnaryCall(_Call):
    """`rpc.Call`, and the handler of its stream."""

    __slots__ = ("_begun", "_method", "on_cancel")

    def __init__(self, service: "Service", stream: Stream, plan: "Plan", method: Unary) -> None:
        super().__init__(service, stream, plan)
        self._method = method
        self._begun = False
        self.on_cancel: Callable[[], None] | None = None

    def on_data(self, data: bytes, end: bool) -> None:
        """The request. What comes behind the first message belongs to nothing."""
        if self._begun or self.done:
            return
        try:
            # Nearly every request is one message in one frame.
            if self._reader is None and data[:1] == b"\0" and int.from_bytes(data[1:5], "big") == len(data) - 5:
                message: bytes | None = data[5:]
            else:
                message = self._collected(data, end=end)
            if message is not None:
                self._begun = True
                self._service.traffic.received += len(message)
                self._method.start(self._method.request.FromString(message), self)
        except RpcError as error:
            self.fail(error)
        except DecodeError:
            self.fail(RpcError(status.INTERNAL, f"grpc: error unmarshalling request: {_INVALID}"))

    def _collected(self, data: bytes, *, end: bool) -> bytes | None:
        reader = self._reading()
        reader.feed(data)
        message = reader.next()
        if message is not None:
            reader.close()
            self._reader = None
        elif end:
            raise _BROKEN_OFF if reader.broken_off else _MISSING
        return message

    def reply(self, message: Message) -> None:
        """Answer, and end the call."""
        if not self.done:
            data = message.SerializeToString()
            if not self._stream.connection.held.fits(len(data)):
                self.fail(_UNREAD)
                return
            self._end()
            self.on_cancel = None
            self._service.traffic.sent += len(data)
            self._stream.respond(self._plan.response, framing.framed(data), status.TRAILERS_OK)

    def on_writable(self) -> None:
        """A reply is queued whole."""

    def _forget(self) -> None:
        self.on_cancel = None

    def _cancel(self) -> None:
        on_cancel, self.on_cancel = self.on_cancel, None
        if on_cancel is not None:
            on_cancel()


class StreamCall(_Call):
    """`rpc.Stream`, and the handler of its stream."""

    __slots__ = ("_ended", "_inbound", "_method", "_paused", "_reading_now", "_seen")

    def __init__(self, service: "Service", stream: Stream, plan: "Plan", method: Streaming) -> None:
        super().__init__(service, stream, plan)
        self._method = method
        self._paused = False
        self._reading_now = False
        self._ended = False  # the client sends no more
        self._seen = 0
        self._inbound: Inbound | None = None
        try:
            inbound = method.open(self)
        except RpcError as error:
            self.fail(error)
        else:
            if not self.done:
                self._inbound = inbound

    def send(self, message: Message) -> bool:
        """See `rpc.Stream`."""
        if self.done:
            return True
        self._stream.start(self._plan.response)
        data = message.SerializeToString()
        self._service.traffic.sent += len(data)
        return self._stream.send(framing.framed(data))

    def send_each(self, message: Message, field: str, values: Sequence[int]) -> bool:
        """See `rpc.Stream`."""
        if self.done:
            return True
        self._stream.start(self._plan.response)
        data = framing.framed_each(message, field, values)
        self._service.traffic.sent += len(data) - framing.PREFIX_BYTES * len(values)
        return self._stream.send(data)

    def finish(self) -> None:
        """See `rpc.Stream`."""
        if not self.done:
            self._end()
            self._forget()
            self._stream.start(self._plan.response)
            self._stream.finish(status.TRAILERS_OK)

    def pause(self) -> None:
        """See `rpc.Stream`."""
        self._paused = True
        self._stream.pause()

    def resume(self) -> None:
        """See `rpc.Stream`."""
        self._paused = False
        self._read()
        if not self._paused:
            self._stream.resume()

    def on_data(self, data: bytes, end: bool) -> None:
        """Part of the requests."""
        if self.done:
            return
        try:
            self._reading().feed(data)
        except RpcError as error:
            self._abort(error)
            return
        self._ended = end
        self._read()

    def _read(self) -> None:
        """Hand over what is complete, as long as the service wants it."""
        if self._reading_now:
            return  # from within `Inbound.message`: the loop below goes on
        self._reading_now = True
        try:
            while not self._paused and not self.done:
                message = self._reading().next()
                if message is None:
                    self._maybe_half_close()
                    return
                self._seen += 1
                if self._seen == 1 or self._method.client_streams:
                    self._hand_over(self._parsed(message))
        except RpcError as error:  # what came is no request: the service does not know yet
            self._abort(error)
        finally:
            self._reading_now = False

    def _parsed(self, message: bytes) -> Message:
        self._service.traffic.received += len(message)
        try:
            return self._method.request.FromString(message)
        except DecodeError:
            text = f"grpc: failed to unmarshal the received message {_INVALID}"
            raise RpcError(status.INTERNAL, text) from None

    def _hand_over(self, request: Message) -> None:
        try:
            self._taken_by().message(request)
        except RpcError as error:  # the service's own
            self.fail(error)

    def _maybe_half_close(self) -> None:
        if not self._ended:
            return
        self._ended = False
        if self._reading().broken_off:
            raise _BROKEN_OFF
        if not self._seen and not self._method.client_streams:
            raise _MISSING
        self._taken_by().half_closed()

    def _taken_by(self) -> Inbound:
        assert self._inbound is not None, "open returned nothing and raised nothing"
        return self._inbound

    def on_writable(self) -> None:
        """What was queued has gone out."""
        if not self.done:
            self._taken_by().writable()

    def _forget(self) -> None:
        self._inbound = None

    def _cancel(self) -> None:
        inbound, self._inbound = self._inbound, None
        if inbound is not None:
            inbound.cancelled()
