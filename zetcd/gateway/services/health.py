"""grpc.health.v1.Health: whether there is a member behind this gateway, which is asked each time."""

from collections.abc import Callable
from typing import Any

from google.protobuf.message import Message

from zetcd.base import errors
from zetcd.gateway.link import READ_ALONE, Link
from zetcd.gateway.rpc import Call, Method, RpcError, Stream, Streaming, Unary
from zetcd.wire import client as wire
from zetcd_pb import health_pb2 as pb

SERVICE = "/grpc.health.v1.Health/"
WHOLE = ""
"""The one service that etcd names: the server."""
AGAIN_S = 1.0

_Status = pb.HealthCheckResponse
UNKNOWN = _Status(status=_Status.SERVICE_UNKNOWN)
SERVING, NOT_SERVING = _Status(status=_Status.SERVING), _Status(status=_Status.NOT_SERVING)


def methods(link: Link) -> dict[str, Method]:
    """By path."""

    def check(request: Any, call: Call) -> None:
        if request.service != WHOLE:
            raise RpcError(errors.NOT_FOUND, "unknown service")
        call.on_cancel = _ask(link, call.reply).cancel

    def listed(_request: Message, call: Call) -> None:
        call.on_cancel = _ask(link, lambda status: call.reply(pb.HealthListResponse(statuses={WHOLE: status}))).cancel

    return {
        SERVICE + "Check": Unary(pb.HealthCheckRequest, pb.HealthCheckResponse, check),
        SERVICE + "List": Unary(pb.HealthListRequest, pb.HealthListResponse, listed),
        SERVICE + "Watch": Streaming(
            pb.HealthCheckRequest, pb.HealthCheckResponse, False, True, lambda stream: Watching(link, stream)
        ),
    }


def _ask(link: Link, told: Callable[[pb.HealthCheckResponse], None]) -> "_Question":
    question = _Question(told)
    link.call(wire.StatusRequest(), READ_ALONE, question)
    return question


class _Question:
    """Implements `zetcd.session.call.Waiter`."""

    __slots__ = ("_over", "_told")

    def __init__(self, told: Callable[[pb.HealthCheckResponse], None]) -> None:
        self._told = told
        self._over = False

    def done(self) -> bool:
        """See `Waiter`."""
        return self._over

    def cancel(self) -> None:
        """Nobody wants to know any more."""
        self._over = True

    def set_result(self, reply: dict[str, Any], /) -> None:
        """A member that answers is there, whatever it says; one that stops says so."""
        self._over = True
        stopped = reply.get("error", {}).get("message") == errors.STOPPED.message
        self._told(NOT_SERVING if stopped else SERVING)

    def set_exception(self, _exception: BaseException, /) -> None:
        """See `Waiter`."""
        self._over = True
        self._told(NOT_SERVING)


class Watching:
    """Says how it is, then each change: asks when a connection has come or gone, and while it is not well."""

    __slots__ = ("_link", "_over", "_question", "_stream", "_told")

    def __init__(self, link: Link, stream: Stream) -> None:
        self._link = link
        self._stream = stream
        self._told: Message | None = None
        self._question: _Question | None = None
        self._over = False

    def message(self, request: Any) -> None:
        """The one request."""
        if request.service != WHOLE:
            self._stream.send(UNKNOWN)
        elif self._question is None:
            self._link.on_state(self._ask)
            self._ask()

    def _ask(self) -> None:
        if not self._over and (self._question is None or self._question.done()):
            self._question = _ask(self._link, self._tell)

    def _tell(self, status: pb.HealthCheckResponse) -> None:
        if status is not self._told:
            self._told = status
            self._stream.send(status)
        if status is NOT_SERVING:
            self._link.loop.call_later(AGAIN_S, self._ask)

    def half_closed(self) -> None:
        """It says no more anyway."""

    def cancelled(self) -> None:
        """The client is gone."""
        self._over = True
        if self._question is not None:
            self._question.cancel()
            self._link.off_state(self._ask)

    def writable(self) -> None:
        """So little is sent that nothing waits."""
