"""The contract between transports (gRPC over HTTP/2, JSON over HTTP/1.1) and services: callbacks, no coroutines.

A transport finds a `Method` by its path, decodes the request, and starts it with a call object of its own; the service
answers through that object, now or later, in any turn of the loop. Neither knows the other's kind. A coroutine for each
call would cost as much as its parsing.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from google.protobuf.message import Message


class RpcError(Exception):
    """What a call ends with instead of a reply.

    code: gRPC status code; message: the text as the client reads it.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Context(Protocol):
    """What came with a call."""

    @property
    def metadata(self) -> Mapping[str, str]:
        """Names in lower case; of a repeated name the last value."""

    @property
    def deadline(self) -> float | None:
        """In the loop's time (s); None: the client set none. The transport ends the call when it has passed."""

    @property
    def peer(self) -> str:
        """``address:port`` of the client, for logs."""


class Call(Context, Protocol):
    """A unary call under way. Exactly one of `reply` and `fail`; after `cancelled` neither has an effect."""

    on_cancel: Callable[[], None] | None
    """Set by the service if it has something to let go of; called when the client went away or the deadline passed."""

    def reply(self, message: Message) -> None:
        """Answer, and end the call."""

    def fail(self, error: RpcError) -> None:
        """Answer with a status, and end the call."""


class Stream(Context, Protocol):
    """A streaming call under way, as the service sees it."""

    def send(self, message: Message) -> bool:
        """Queue one reply, encoded when this returns, so that message may be changed and sent again. False:
        STREAM_UNSENT_BYTES_MAX is exceeded; send no more before `Inbound.writable`."""

    def send_each(self, message: Message, field: str, values: Sequence[int]) -> bool:
        """As `send` of message with each of values in its integer field: what they share is encoded once."""

    def finish(self) -> None:
        """End well, after what was sent."""

    def fail(self, error: RpcError) -> None:
        """End with a status, after what was sent."""

    def pause(self) -> None:
        """Take no further requests from the client (the transport stops opening its window)."""

    def resume(self) -> None:
        """Go on after `pause`."""


class Inbound(Protocol):
    """A streaming call under way, as the transport sees it."""

    def message(self, request: Message) -> None:
        """One request; RpcError ends the stream with that status."""

    def half_closed(self) -> None:
        """No further requests come."""

    def cancelled(self) -> None:
        """The client went away or its deadline passed: let go of everything, send nothing."""

    def writable(self) -> None:
        """What was queued has gone out: send again."""


class Unary(NamedTuple):
    """One request, one reply. start raises RpcError or answers through the call."""

    request: type[Message]
    reply: type[Message]
    start: Callable[[Message, Call], None]


class Streaming(NamedTuple):
    """Requests and replies as they come; a method that streams on one side only sees one message on the other."""

    request: type[Message]
    reply: type[Message]
    client_streams: bool
    server_streams: bool
    open: Callable[[Stream], Inbound]


Method = Unary | Streaming
Methods = Mapping[str, Method]
"""By path: ``/etcdserverpb.KV/Put``."""
