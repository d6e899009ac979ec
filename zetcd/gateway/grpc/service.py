"""Answers the requests of one connection by `rpc.Methods`."""

from zetcd.base import limits
from zetcd.gateway.grpc.calls import StreamCall, UnaryCall
from zetcd.gateway.grpc.deadlines import Deadlines
from zetcd.gateway.grpc.requests import Refused, plan
from zetcd.gateway.h2.head import Head
from zetcd.gateway.h2.stream import IGNORES, Handler, Stream
from zetcd.gateway.rpc import Methods, Unary


class Service:
    """`h2.connection.Application`. message_bytes_max: of one request, before and after decompression."""

    def __init__(
        self,
        methods: Methods,
        deadlines: Deadlines,
        peer: str,
        message_bytes_max: int = limits.REQUEST_BYTES_DEFAULT + limits.GRPC_OVERHEAD_BYTES,
    ) -> None:
        self._methods = methods
        self.deadlines = deadlines
        self.peer = peer
        self.message_bytes_max = message_bytes_max

    def on_request(self, stream: Stream, head: Head) -> Handler:
        """Start a call, or answer why not."""
        try:
            made = plan(head, self._methods)
        except Refused as refused:
            stream.finish(refused.block)
            return IGNORES
        method = made.method
        if isinstance(method, Unary):
            return UnaryCall(self, stream, made, method)
        return StreamCall(self, stream, made, method)
