"""Messages in a body, cut anywhere: compressed flag (1 byte), length (4 bytes, big endian), message."""

import struct
import zlib
from collections.abc import Sequence

from google.protobuf.message import Message

from zetcd.gateway.grpc import status
from zetcd.gateway.held import Held
from zetcd.gateway.rpc import RpcError

PREFIX_BYTES = 5
_64_BITS = 2**64 - 1
_pack = struct.Struct(">BI").pack


def framed(message: bytes) -> bytes:
    """An uncompressed message as it travels."""
    return _pack(0, len(message)) + message


def framed_each(message: Message, field: str, values: Sequence[int]) -> bytes:
    """message once for each of values in its integer field, which is put last: protobuf allows any order of fields."""
    tag = _varint(message.DESCRIPTOR.fields_by_name[field].number << 3)
    message.ClearField(field)
    shared = message.SerializeToString()
    own = [tag + _varint(value & _64_BITS) if value else b"" for value in values]
    size = len(shared)
    return b"".join([_pack(0, size + len(last)) + shared + last for last in own])


def _varint(value: int) -> bytes:
    if value < 0x80:
        return value.to_bytes()
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


class Reader:
    """Cuts a body into messages. message_bytes_max: of one, before and after decompression; held: what is not complete.

    `close` it: what it holds counts until then.
    """

    __slots__ = ("_buffer", "_encoding", "_held", "_max", "_need")

    def __init__(self, message_bytes_max: int, encoding: str, held: Held) -> None:
        self._held = held
        self._max = message_bytes_max
        self._encoding = encoding
        self._buffer = bytearray()
        self._need = PREFIX_BYTES

    @property
    def broken_off(self) -> bool:
        """Whether a message has begun and is not complete."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> None:
        """More of the body. Raises RpcError if too much is held."""
        self._buffer += data
        if not self._held.take(len(data)):
            raise RpcError(status.RESOURCE_EXHAUSTED, "grpc: too many incomplete requests")

    def close(self) -> None:
        """Let go of it."""
        self._held.give(len(self._buffer))
        self._buffer = bytearray()

    def next(self) -> bytes | None:
        """The next message that is complete. Raises RpcError, and is of no further use then."""
        buffer = self._buffer
        if len(buffer) < self._need:
            return None
        if self._need == PREFIX_BYTES:
            size = int.from_bytes(buffer[1:PREFIX_BYTES], "big")
            check_size(size, self._max)
            self._need += size
            if len(buffer) < self._need:
                return None
        message = bytes(memoryview(buffer)[PREFIX_BYTES : self._need])
        compressed = buffer[0]
        del buffer[: self._need]
        self._held.give(self._need)
        self._need = PREFIX_BYTES
        return plain(message, compressed, self._encoding, self._max) if compressed else message


def check_size(size: int, most: int) -> None:
    """Raises RpcError for a message larger than that."""
    if size > most:
        text = f"grpc: received message larger than max ({size} vs. {most})"
        raise RpcError(status.RESOURCE_EXHAUSTED, text)


def plain(message: bytes, compressed: int, encoding: str, most: int) -> bytes:
    """A message decompressed. Raises RpcError."""
    if compressed != 1:
        raise RpcError(status.INTERNAL, f"grpc: received unexpected payload format {compressed}")
    if encoding in ("", "identity"):
        raise RpcError(status.INTERNAL, "grpc: compressed flag set with identity or empty encoding")
    inflater = zlib.decompressobj(wbits=31)
    try:
        out = inflater.decompress(message, most + 1)
    except zlib.error:
        raise RpcError(status.INTERNAL, "grpc: failed to decompress the received message gzip: invalid data") from None
    if len(out) > most:
        text = f"grpc: received message after decompression larger than max ({len(out)} vs. {most})"
        raise RpcError(status.RESOURCE_EXHAUSTED, text)
    if not inflater.eof:
        raise RpcError(status.INTERNAL, "grpc: failed to decompress the received message unexpected EOF")
    return out
