"""Heads of requests: which lists of fields are a request (RFC 9113 section 8.3), and which are trailers."""

from zetcd.gateway.h2.codes import Code
from zetcd.gateway.h2.fields import Field

_CONNECTION_SPECIFIC = frozenset({b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"})
_SPECIAL = frozenset({b"", b":method", b":scheme", b":path", b":authority", b"te", b"content-length", b":status"})
_SPECIAL |= _CONNECTION_SPECIFIC


class Malformed(Exception):
    """A stream error (RFC 9113 section 8.1.1)."""

    def __init__(self, code: Code = Code.PROTOCOL_ERROR) -> None:
        super().__init__(code)
        self.code = code


class Head:
    """A request's head. One that comes again byte for byte on its connection is the same object."""

    __slots__ = ("authority", "content_length", "fields", "memo", "method", "path", "scheme")

    def __init__(self, fields: list[Field] | None) -> None:
        """fields: None if they were too many. Raises Malformed."""
        if fields is None:
            raise Malformed(Code.ENHANCE_YOUR_CALM)
        pseudo: dict[bytes, bytes] = {}
        regular: list[Field] = []
        self.content_length: int | None = None
        for field in fields:
            name, value = field
            if name not in _SPECIAL:
                regular.append(field)
            elif name[:1] == b":":
                if regular or name in pseudo or name == b":status":
                    raise Malformed
                pseudo[name] = value
            else:
                self._special(name, value)
                regular.append(field)
        self.method = pseudo.get(b":method", b"")
        self.scheme = pseudo.get(b":scheme", b"")
        self.path = pseudo.get(b":path", b"")
        self.authority = pseudo.get(b":authority", b"")
        if not self.method or not self.scheme or not self.path:
            raise Malformed
        self.fields = regular
        """Without the pseudo-fields, in their order."""
        self.memo: object = None
        """What the application made of this head, kept with it."""

    def _special(self, name: bytes, value: bytes) -> None:
        if name == b"te":
            if value != b"trailers":
                raise Malformed
        elif name == b"content-length":
            if not value.isdigit() or len(value) > 18 or self.content_length not in (None, int(value)):
                raise Malformed
            self.content_length = int(value)
        else:  # connection-specific, or a field that may not be sent at all
            raise Malformed


def are_trailers(fields: list[Field] | None) -> bool:
    """Whether fields may stand behind a body."""
    if fields is None:
        return False
    return all(name and name[:1] != b":" and name not in _CONNECTION_SPECIFIC for name, _ in fields)
