"""Answers as etcd words them: HTTP statuses for gRPC codes, bodies of errors, plain texts.

Errors follow etcd 3.4: `error` and `message` say the same, `code` is gRPC's. 3.5 leaves `error` out and answers
FAILED_PRECONDITION with 400; its clients read `code` and `message`, and no status but whether it is 200.
"""

import http
from collections.abc import Callable, Mapping
from typing import Protocol

from zetcd.base import errors
from zetcd.gateway.http.encoder import string
from zetcd.gateway.rpc import RpcError

Headers = list[tuple[str, str]]

STATUSES = {
    errors.CANCELED: 408,
    errors.INVALID_ARGUMENT: 400,
    errors.DEADLINE_EXCEEDED: 504,
    errors.NOT_FOUND: 404,
    6: 409,  # ALREADY_EXISTS
    errors.PERMISSION_DENIED: 403,
    errors.RESOURCE_EXHAUSTED: 429,
    errors.FAILED_PRECONDITION: 412,
    errors.ABORTED: 409,
    errors.OUT_OF_RANGE: 400,
    errors.UNIMPLEMENTED: 501,
    errors.UNAVAILABLE: 503,
    errors.UNAUTHENTICATED: 401,
}
"""By gRPC code; what is not here is 500."""
JSON: Headers = [("Content-Type", "application/json")]
REPLY: Headers = [*JSON, ("Grpc-Metadata-Content-Type", "application/grpc")]
TEXT: Headers = [("Content-Type", "text/plain; charset=utf-8"), ("X-Content-Type-Options", "nosniff")]


class Socket(Protocol):
    """A websocket (`zetcd.gateway.http1.websocket`): messages are taken when asked for, None: none yet."""

    on_readable: Callable[[], None] | None
    """More has come."""
    on_cancel: Callable[[], None] | None
    """The client went away."""
    on_writable: Callable[[], None] | None
    """After a `send` that was False: there is room again."""

    def take(self) -> bytes | None:
        """The next message."""

    def ignore(self) -> None:
        """Further messages are of no interest."""

    def send(self, text: bytes) -> bool:
        """A message. False: over the bound; no more before `on_writable`."""

    def end(self) -> None:
        """It is complete: close."""


class Request(Protocol):
    """What came (`zetcd.gateway.http1`)."""

    @property
    def method(self) -> str:
        """GET, POST and so on."""

    @property
    def path(self) -> str:
        """Of the target, as it was sent, without the query."""

    @property
    def query(self) -> str:
        """What stood behind the question mark."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Names in lower case."""

    @property
    def body(self) -> bytes:
        """All of it."""

    @property
    def peer(self) -> str:
        """``address:port`` of the client."""

    @property
    def upgrade(self) -> Callable[[Headers], Socket] | None:
        """What makes the connection a websocket, if that is asked for."""


class Exchange(Protocol):
    """One request being answered (`zetcd.gateway.http1`): either `respond`, or `start`, `write`s and `end`."""

    on_cancel: Callable[[], None] | None
    """The client went away: nothing that is sent from now on arrives."""
    on_writable: Callable[[], None] | None
    """After a `write` that was False: there is room again."""

    def respond(self, status: int, headers: Headers, body: bytes) -> None:
        """One whole answer."""

    def start(self, status: int, headers: Headers) -> None:
        """The head of an answer that comes in parts."""

    def write(self, data: bytes) -> bool:
        """A part. False: over the bound; no more before `on_writable`."""

    def end(self) -> None:
        """It is complete."""


def status(error: RpcError) -> int:
    """The HTTP status of a gRPC one."""
    return STATUSES.get(error.code, 500)


def error_body(error: RpcError) -> bytes:
    """What a failed call is answered with."""
    text = string(error.message)
    return f'{{"error":{text},"message":{text},"code":{error.code}}}'.encode()


def error_chunk(error: RpcError) -> bytes:
    """What a stream that has begun ends with."""
    number = status(error)
    phrase = http.HTTPStatus(number).phrase
    return (
        f'{{"error":{{"grpc_code":{error.code},"http_code":{number},"message":{string(error.message)},'
        f'"http_status":"{phrase}"}}}}\n'
    ).encode()


def respond_text(exchange: Exchange, number: int, text: str, headers: Headers) -> None:
    """A plain text with a line end."""
    exchange.respond(number, headers + TEXT, text.encode() + b"\n")


def respond_only(exchange: Exchange, method: str, headers: Headers) -> None:
    """405 of a path that takes one method."""
    exchange.respond(405, [*headers, ("Allow", method), *TEXT], b"Method Not Allowed\n")
