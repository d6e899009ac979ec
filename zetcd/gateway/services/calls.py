"""From a call of the transport to a call of the ZeroMQ API and back."""

from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf.message import Message

from zetcd.base import errors
from zetcd.gateway.link import WRITE_ALONE, Link, rpc_error
from zetcd.gateway.rpc import Call, RpcError, Unary
from zetcd.session.call import Policy
from zetcd.wire import client as wire

Ask = Callable[[Any, str, bool], wire.Request]
"""(request, token, require_leader): the request of the ZeroMQ API. May raise RpcError."""
Shape = Callable[..., Message]
"""Builds the reply of the fields of a reply map: mostly the message's own class."""

INVALID_CLIENT_API_VERSION = RpcError(errors.INVALID_ARGUMENT, "etcdserver: invalid client api version")
BEARER = "bearer "


def meant(metadata: Mapping[str, str]) -> tuple[str, bool]:
    """The user's token and whether a leader is required. Raises RpcError for metadata that etcd refuses.

    A transport gives bytes beyond ASCII as latin-1, as HTTP headers are read.
    """
    version = metadata.get("client-api-version")
    if version is not None and not version.isascii():
        try:
            version.encode("latin-1", "surrogateescape").decode()
        except UnicodeError:
            raise INVALID_CLIENT_API_VERSION from None
    token = metadata.get("token")
    if token is None:
        token = metadata.get("authorization", "")
        if token[:7].lower() == BEARER:
            token = token[7:]
    return token, metadata.get("hasleader") == "true"


class Answer:
    """Waits for the reply of one unary call. Implements `zetcd.session.call.Waiter`."""

    __slots__ = ("_call", "_over", "_shape")

    def __init__(self, call: Call, shape: Shape) -> None:
        self._call = call
        self._shape = shape
        self._over = False
        call.on_cancel = self.cancel

    def done(self) -> bool:
        """See `Waiter`."""
        return self._over

    def cancel(self) -> None:
        """Nobody wants it any more."""
        self._over = True

    def set_result(self, reply: dict[str, Any], /) -> None:
        """See `Waiter`."""
        call = self._call
        self._over = True
        call.on_cancel = None  # a cycle otherwise, and garbage with each call
        if "error" in reply:
            call.fail(refusal(reply))
        else:
            call.reply(self._shape(**reply))

    def set_exception(self, exception: BaseException, /) -> None:
        """See `Waiter`."""
        self._over = True
        self._call.on_cancel = None
        self._call.fail(rpc_error(exception))


def refusal(reply: Mapping[str, Any]) -> RpcError:
    """The status of a reply map that holds an error: code and text as they are."""
    error = reply["error"]
    return RpcError(error["code"], error["message"])


def unary(
    link: Link,
    request: type[Message],
    reply: type[Message],
    ask: Ask,
    policy: Policy = WRITE_ALONE,
    *,
    shape: Shape | None = None,
    forever: bool = False,
) -> Unary:
    """A method that is one request of the ZeroMQ API. forever: without a bound but the client's own."""
    build = shape or reply

    def start(message: Message, call: Call) -> None:
        token, leader = meant(call.metadata)
        asked = ask(message, token, leader)
        link.call(asked, policy, Answer(call, build), forever=forever)

    return Unary(request, reply, start)


def same(request: type[Message], asked: Callable[..., wire.Request]) -> Ask:
    """For messages whose fields, none of them a message, are those of the ZeroMQ API's request."""
    plain: list[str] = []
    lists: list[str] = []
    for field in request.DESCRIPTOR.fields:
        (lists if field.is_repeated else plain).append(field.name)

    def ask(message: Any, token: str, leader: bool) -> wire.Request:
        fields: dict[str, Any] = {name: getattr(message, name) for name in plain}
        for name in lists:
            fields[name] = list(getattr(message, name))
        return asked(**fields, token=token, require_leader=leader)

    return ask


def without(reply: Shape, *names: str) -> Shape:
    """Leaves out what the ZeroMQ API tells beyond etcd."""

    def shape(**fields: Any) -> Message:
        for name in names:
            fields.pop(name, None)
        return reply(**fields)

    return shape
