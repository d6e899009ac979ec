"""Calls that the gateway makes itself, for what etcd answers on plain HTTP paths."""

import asyncio
from collections.abc import Callable, Mapping

from google.protobuf.message import Message

from zetcd.base import errors
from zetcd.base.limits import HEALTH_TIMEOUT_MS
from zetcd.gateway.rpc import RpcError, Unary

Answered = Callable[[Message | RpcError], None]


class Asked:
    """`rpc.Call` of the gateway's own: `answered` is told once, at the latest after HEALTH_TIMEOUT_MS."""

    __slots__ = ("_answered", "_timer", "deadline", "on_cancel")

    metadata: Mapping[str, str] = {}
    peer = "gateway"

    def __init__(self, method: Unary, request: Message, answered: Answered) -> None:
        loop = asyncio.get_running_loop()
        self.deadline: float | None = loop.time() + HEALTH_TIMEOUT_MS / 1000
        self.on_cancel: Callable[[], None] | None = None
        self._answered: Answered | None = answered
        self._timer = loop.call_at(
            self.deadline, self.cancel, RpcError(errors.DEADLINE_EXCEEDED, "etcdserver: request timed out")
        )
        try:
            method.start(request, self)
        except RpcError as error:
            self.fail(error)

    def reply(self, message: Message) -> None:
        """See `rpc.Call`."""
        self._tell(message)

    def fail(self, error: RpcError) -> None:
        """See `rpc.Call`."""
        self._tell(error)

    def cancel(self, error: RpcError | None = None) -> None:
        """Nobody waits for the answer any more, or nobody but with this error."""
        if self._answered is None:
            return
        if error is None:
            self._answered = None
            self._timer.cancel()
        if self.on_cancel is not None:
            self.on_cancel()
        if error is not None:
            self._tell(error)

    def _tell(self, answer: Message | RpcError) -> None:
        answered, self._answered = self._answered, None
        if answered is not None:
            self._timer.cancel()
            answered(answer)
