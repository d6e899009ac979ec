"""How calls end: status codes, and the header blocks that carry them.

The blocks use no dynamic table (`zetcd.gateway.h2.fields.encode`), so one constant serves every connection.
"""

from zetcd.gateway.h2.fields import encode

OK, CANCELLED, UNKNOWN, INVALID_ARGUMENT, DEADLINE_EXCEEDED = 0, 1, 2, 3, 4
RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE = 8, 12, 13, 14

_CONTENT = (b"content-type", b"application/grpc")
RESPONSE = encode([(b":status", b"200"), _CONTENT])
TRAILERS_OK = encode([(b"grpc-status", b"0"), (b"grpc-message", b"")])
_PLAIN = frozenset(range(0x20, 0x7F)) - {0x25}
_MESSAGE_BYTES_MAX = 4_096  # of a status message as it travels; no message of ours is as long


def percent_encoded(message: str) -> bytes:
    """As the gRPC specification wants grpc-message: UTF-8, with all but printable ASCII and ``%`` escaped."""
    raw = message.encode("utf-8", "replace")
    return b"".join(b"%c" % byte if byte in _PLAIN else b"%%%02X" % byte for byte in raw)[:_MESSAGE_BYTES_MAX]


def trailers(code: int, message: str) -> bytes:
    """The block behind a body."""
    return encode([(b"grpc-status", b"%d" % code), (b"grpc-message", percent_encoded(message))])


def trailers_only(code: int, message: str, http_status: int = 200) -> bytes:
    """The block that is the whole answer."""
    status = [(b"grpc-status", b"%d" % code), (b"grpc-message", percent_encoded(message))]
    return encode([(b":status", b"%d" % http_status), _CONTENT, *status])
