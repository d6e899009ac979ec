"""grpc.health.v1.Health: whether this gateway has a member behind it."""

from typing import Any

from google.protobuf.message import Message

from zetcd.base import errors
from zetcd.gateway.link import Link
from zetcd.gateway.rpc import Call, Method, RpcError, Stream, Streaming, Unary
from zetcd_pb import health_pb2 as pb

SERVICE = "/grpc.health.v1.Health/"
KNOWN = frozenset({""})
"""etcd names no service but the whole server."""


def methods(link: Link) -> dict[str, Method]:
    """By path."""

    def status(service: str) -> Any:
        if service not in KNOWN:
            return pb.HealthCheckResponse.SERVICE_UNKNOWN
        return pb.HealthCheckResponse.SERVING if link.up else pb.HealthCheckResponse.NOT_SERVING

    def check(request: Any, call: Call) -> None:
        if request.service not in KNOWN:
            raise RpcError(errors.NOT_FOUND, "unknown service")
        call.reply(pb.HealthCheckResponse(status=status(request.service)))

    def listed(_request: Message, call: Call) -> None:
        call.reply(
            pb.HealthListResponse(statuses={name: pb.HealthCheckResponse(status=status(name)) for name in KNOWN})
        )

    class Watching:
        """Says how it is, then each change."""

        def __init__(self, stream: Stream) -> None:
            self._stream = stream
            self._service = ""
            self._told = -1

        def message(self, request: Any) -> None:
            """The one request."""
            if self._told < 0:
                self._service = request.service
                link.on_state(self._tell)
                self._tell()

        def _tell(self) -> None:
            now = status(self._service)
            if now != self._told:
                self._told = now
                self._stream.send(pb.HealthCheckResponse(status=now))

        def half_closed(self) -> None:
            """It says no more anyway."""

        def cancelled(self) -> None:
            """The client is gone."""
            link.off_state(self._tell)

        def writable(self) -> None:
            """So little is sent that nothing waits."""

    return {
        SERVICE + "Check": Unary(pb.HealthCheckRequest, pb.HealthCheckResponse, check),
        SERVICE + "List": Unary(pb.HealthListRequest, pb.HealthListResponse, listed),
        SERVICE + "Watch": Streaming(pb.HealthCheckRequest, pb.HealthCheckResponse, False, True, Watching),
    }
