"""What a request's head says: which method, with which metadata, how long.

A plan is kept with its head (`Head.memo`), so a client that repeats a head pays for it once.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from types import MappingProxyType

from zetcd.gateway.grpc import status
from zetcd.gateway.h2.fields import encode
from zetcd.gateway.h2.head import Head
from zetcd.gateway.rpc import Method, Methods

_UNITS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_TIMEOUT = re.compile(r"([0-9]{1,8})([HMSmun])", re.ASCII).fullmatch
_RESERVED = frozenset({
    "content-type", "grpc-message-type", "grpc-encoding", "grpc-message", "grpc-status", "grpc-timeout",
    "grpc-status-details-bin", "te",
})  # fmt: skip
"""Fields of the protocol itself: no metadata."""
ENCODINGS = ("", "identity", "gzip")


class Refused(Exception):
    """The head alone decides. block: the answer, trailers only."""

    def __init__(self, block: bytes) -> None:
        super().__init__(block)
        self.block = block


class NotGrpc(Exception):
    """The content-type says that it is another protocol."""


class Plan:
    """A call as its head describes it. timeout in seconds; None: none."""

    __slots__ = ("_authority", "_fields", "_metadata", "encoding", "method", "response", "timeout")

    def __init__(self, head: Head, methods: Methods) -> None:
        """Raises Refused, NotGrpc."""
        found = dict(head.fields)
        self.response = _response(found.get(b"content-type", b""))
        if head.method != b"POST":
            name = head.method.decode("latin-1")
            text = f"http2Server.operateHeaders parsed a :method field: {name} which should be POST"
            raise Refused(status.trailers_only(status.INTERNAL, text, 405))
        self.method = _method(head.path.decode("latin-1"), methods)
        timeout = found.get(b"grpc-timeout")
        self.timeout = None if timeout is None else _timeout(timeout.decode("latin-1"))
        self.encoding = found.get(b"grpc-encoding", b"").decode("latin-1")
        if self.encoding not in ENCODINGS:
            text = f'grpc: Decompressor is not installed for grpc-encoding "{self.encoding}"'
            raise Refused(status.trailers_only(status.UNIMPLEMENTED, text))
        self._authority = head.authority
        self._fields = head.fields  # and not the head, which refers to this
        self._metadata: Mapping[str, str] | None = None

    @property
    def metadata(self) -> Mapping[str, str]:
        """As `rpc.Context` has it; made when it is first wanted."""
        if self._metadata is None:
            made = {":authority": self._authority.decode("latin-1")}
            for raw_name, raw in self._fields:
                name = raw_name.decode("ascii")
                if name not in _RESERVED:
                    made[name] = _binary(raw) if name.endswith("-bin") else raw.decode("latin-1")
            self._metadata = MappingProxyType(made)
        return self._metadata


def plan(head: Head, methods: Methods) -> Plan:
    """The plan of head. Raises Refused, NotGrpc."""
    found = head.memo
    if isinstance(found, Plan):
        return found
    made = Plan(head, methods)
    head.memo = made
    return made


def _response(content: bytes) -> bytes:
    """The head of the answer: it repeats the subtype of ``application/grpc``, as gRPC servers do."""
    kind = content.lower()
    if kind == b"application/grpc":
        return status.RESPONSE
    if not kind.startswith((b"application/grpc+", b"application/grpc;")):
        raise NotGrpc
    return encode([(b":status", b"200"), (b"content-type", b"application/grpc+" + kind[17:])])


def _method(path: str, methods: Methods) -> Method:
    method = methods.get(path)
    if method is not None:
        return method
    name = path.removeprefix("/")
    service, slash, rest = name.rpartition("/")
    if not slash or not path.startswith("/"):
        # The code that the gRPC version of etcd 3.4 and 3.5 gives it.
        raise Refused(status.trailers_only(status.RESOURCE_EXHAUSTED, f'malformed method name: "{path}"'))
    if any(known.startswith(f"/{service}/") for known in methods):
        raise Refused(status.trailers_only(status.UNIMPLEMENTED, f"unknown method {rest} for service {service}"))
    raise Refused(status.trailers_only(status.UNIMPLEMENTED, f"unknown service {service}"))


def _timeout(text: str) -> float:
    match = _TIMEOUT(text)
    if match is None:
        raise Refused(status.trailers_only(status.INTERNAL, f'malformed grpc-timeout: "{text}"'))
    return int(match[1]) * _UNITS[match[2]]


def _binary(raw: bytes) -> str:
    """The bytes of a ``-bin`` value as characters 0-255; padding may be missing."""
    try:
        return base64.b64decode(raw + b"=" * (-len(raw) % 4), validate=True).decode("latin-1")
    except binascii.Error:
        return raw.decode("latin-1")
