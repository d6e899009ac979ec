"""Answers the requests of one connection by `rpc.Methods`."""

from collections.abc import Callable

from zetcd.base import limits
from zetcd.gateway.grpc import status
from zetcd.gateway.grpc.calls import StreamCall, UnaryCall
from zetcd.gateway.grpc.deadlines import Deadlines
from zetcd.gateway.grpc.requests import NotGrpc, Refused, plan
from zetcd.gateway.h2.head import Head
from zetcd.gateway.h2.stream import IGNORES, Handler, Stream
from zetcd.gateway.held import Held
from zetcd.gateway.rpc import Methods, Unary

MESSAGE_BYTES_MAX = limits.REQUEST_BYTES_DEFAULT + limits.GRPC_OVERHEAD_BYTES


class Traffic:
    """Bytes of gRPC messages from and to clients, as their codec sees them; those of all connections together."""

    __slots__ = ("received", "sent")

    def __init__(self) -> None:
        self.received = self.sent = 0

    def series(self) -> dict[str, float]:
        """By etcd's names in /metrics."""
        return {
            "etcd_network_client_grpc_received_bytes_total": self.received,
            "etcd_network_client_grpc_sent_bytes_total": self.sent,
        }


class Service:
    """`h2.connection.Application`. message_bytes_max: of one request, before and after decompression.

    traffic: counted in there. otherwise: who answers what is no gRPC; None: it is refused with 415.
    """

    def __init__(
        self,
        methods: Methods,
        deadlines: Deadlines,
        peer: str,
        message_bytes_max: int = MESSAGE_BYTES_MAX,
        *,
        held: Held,
        traffic: Traffic | None = None,
        otherwise: Callable[[Stream, Head], Handler] | None = None,
    ) -> None:
        self._methods = methods
        self._otherwise = otherwise
        self.deadlines = deadlines
        self.peer = peer
        self.held = held
        self.traffic = traffic or Traffic()
        self.message_bytes_max = message_bytes_max

    def on_request(self, stream: Stream, head: Head) -> Handler:
        """Start a call, or answer why not."""
        try:
            made = plan(head, self._methods)
        except Refused as refused:
            stream.finish(refused.block)
            return IGNORES
        except NotGrpc:
            return self._other(stream, head)
        method = made.method
        if isinstance(method, Unary):
            return UnaryCall(self, stream, made, method)
        return StreamCall(self, stream, made, method)

    def _other(self, stream: Stream, head: Head) -> Handler:
        if self._otherwise is not None:
            return self._otherwise(stream, head)
        content = dict(head.fields).get(b"content-type", b"").decode("latin-1")
        text = f'invalid gRPC request content-type "{content}"'
        stream.finish(status.trailers_only(status.INVALID_ARGUMENT, text, 415))
        return IGNORES
