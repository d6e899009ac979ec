"""HPACK (RFC 7541): a decoder for what clients send, and stateless encoding of what we answer.

The decoder's loop is ours because half of a unary call's parsing is done here; Huffman codes and the static table come
from `hpack`. A field that may not stand in an HTTP/2 message (RFC 9113 section 8.2.1) is kept under an empty name, so
that a later reference to it is as malformed as itself.

Answers use the static table and literals without indexing only: the encoder has no state, constant blocks stay valid on
every connection, and the client's SETTINGS_HEADER_TABLE_SIZE is kept by never using any of it.
"""

import re

from hpack.exceptions import HPACKDecodingError
from hpack.huffman_table import decode_huffman
from hpack.table import HeaderTable

from zetcd.gateway.h2.codes import Code, ConnectionFault
from zetcd.gateway.h2.settings import HEADER_TABLE_BYTES

Field = tuple[bytes, bytes]

STATIC: tuple[Field, ...] = tuple((bytes(name), bytes(value)) for name, value in HeaderTable.STATIC_TABLE)
_FIRST_DYNAMIC = len(STATIC) + 1
_NEWEST = _FIRST_DYNAMIC - 1  # entry 62 is the last of the list, 63 the one before: entries[_NEWEST - index]
_ENTRY_OVERHEAD = 32  # RFC 7541 section 4.1
_PSEUDO = frozenset({b":method", b":scheme", b":path", b":authority"})
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+").fullmatch
_VALUE = re.compile(rb"[^\0\r\n]*").fullmatch
NO_TABLE = b"\x20"
"""The dynamic table size update that says: of size 0."""


class Decoder:
    """One connection's decoding context. list_bytes_max: of a decoded list, as RFC 9113 section 6.5.2 counts."""

    __slots__ = ("_entries", "_list_bytes_max", "_size", "_used", "generation")

    def __init__(self, list_bytes_max: int) -> None:
        self._list_bytes_max = list_bytes_max
        self._entries: list[Field] = []  # newest last
        self._used = 0
        self._size = HEADER_TABLE_BYTES
        self.generation = 0
        """Another one whenever the table has changed: equal blocks of one generation are equal lists."""

    def decode(self, block: bytes) -> list[Field] | None:
        """The fields in their order; None: more than list_bytes_max. Raises ConnectionFault for a broken block."""
        try:
            return self._decode(block)
        except IndexError:
            raise ConnectionFault(Code.COMPRESSION_ERROR, "header block ends early or refers to nothing") from None
        except HPACKDecodingError:
            raise ConnectionFault(Code.COMPRESSION_ERROR, "bad Huffman code") from None

    def _decode(self, block: bytes) -> list[Field] | None:
        fields: list[Field] = []
        entries = self._entries
        at, end = 0, len(block)
        while at < end:
            first = block[at]
            if first & 0x80:  # indexed field
                index = first & 0x7F
                at += 1
                if index == 0x7F:
                    index, at = _integer(block, at, index)
                if index >= _FIRST_DYNAMIC:
                    fields.append(entries[_NEWEST - index])
                elif index:
                    fields.append(STATIC[index - 1])
                else:
                    raise IndexError
            elif first & 0x40:  # literal with incremental indexing
                name, value, at = self._literal(block, at, 0x3F)
                field = _checked(name, value)
                self._add(field, len(name) + len(value) + _ENTRY_OVERHEAD)
                fields.append(field)
            elif first & 0x20:  # dynamic table size update
                if fields:
                    raise ConnectionFault(Code.COMPRESSION_ERROR, "table size update inside a header block")
                size, at = _prefixed(block, at, 0x1F)
                self._resize(size)
            else:  # literal without indexing, or never indexed
                name, value, at = self._literal(block, at, 0x0F)
                fields.append(_checked(name, value))
        return fields if self._fits(fields, end) else None

    def _fits(self, fields: list[Field], block_bytes: int) -> bool:
        """Whether the list is within its bound, counted only if the block could mean so much."""
        most = self._list_bytes_max
        if len(fields) * (HEADER_TABLE_BYTES + _ENTRY_OVERHEAD) + 2 * block_bytes <= most:
            return True
        return sum(len(name) + len(value) + _ENTRY_OVERHEAD for name, value in fields) <= most

    def _literal(self, block: bytes, at: int, mask: int) -> tuple[bytes, bytes, int]:
        index, at = _prefixed(block, at, mask)
        if index:
            name = (STATIC[index - 1] if index < _FIRST_DYNAMIC else self._entries[_NEWEST - index])[0]
        else:
            name, at = _string(block, at)
        value, at = _string(block, at)
        return name, value, at

    def _add(self, field: Field, size: int) -> None:
        self.generation += 1
        self._used += size
        self._entries.append(field)
        self._evict()

    def _resize(self, size: int) -> None:
        if size > HEADER_TABLE_BYTES:
            raise ConnectionFault(Code.COMPRESSION_ERROR, "table larger than SETTINGS_HEADER_TABLE_SIZE")
        self.generation += 1
        self._size = size
        self._evict()

    def _evict(self) -> None:
        gone = 0
        while self._used > self._size:
            name, value = self._entries[gone]
            self._used -= len(name) + len(value) + _ENTRY_OVERHEAD
            gone += 1
        if gone:
            del self._entries[:gone]


def _checked(name: bytes, value: bytes) -> Field:
    if (name in _PSEUDO or _NAME(name)) and _VALUE(value):
        return name, value
    return b"", name + value  # as long as before: the table counts bytes


def _prefixed(block: bytes, at: int, mask: int) -> tuple[int, int]:
    value = block[at] & mask
    return (value, at + 1) if value < mask else _integer(block, at + 1, mask)


def _integer(block: bytes, at: int, value: int) -> tuple[int, int]:
    """The rest of an integer whose prefix was full (RFC 7541 section 5.1)."""
    for shift in (0, 7, 14, 21):
        byte = block[at]
        at += 1
        value += (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ConnectionFault(Code.COMPRESSION_ERROR, "integer too large")


def _string(block: bytes, at: int) -> tuple[bytes, int]:
    huffman = block[at] & 0x80
    length, at = _prefixed(block, at, 0x7F)
    stop = at + length
    if stop > len(block):
        raise IndexError
    raw = block[at:stop]
    return (decode_huffman(raw) if huffman else raw), stop


_STATIC_NAMES = {name: index for index, (name, _) in reversed(list(enumerate(STATIC, 1)))}
_STATIC_FIELDS = {field: index for index, field in reversed(list(enumerate(STATIC, 1)))}


def encode(fields: list[Field]) -> bytes:
    """A header block that neither uses nor changes the dynamic table."""
    out = bytearray()
    for name, value in fields:
        index = _STATIC_FIELDS.get((name, value))
        if index is not None:
            out.append(0x80 | index)
            continue
        index = _STATIC_NAMES.get(name, 0)
        _put_integer(out, index, 0x0F)
        if not index:
            _put_string(out, name)
        _put_string(out, value)
    return bytes(out)


def _put_string(out: bytearray, text: bytes) -> None:
    _put_integer(out, len(text), 0x7F)
    out += text


def _put_integer(out: bytearray, value: int, mask: int) -> None:
    if value < mask:
        out.append(value)
        return
    out.append(mask)
    value -= mask
    while value >= 0x80:
        out.append(0x80 | value & 0x7F)
        value >>= 7
    out.append(value)
