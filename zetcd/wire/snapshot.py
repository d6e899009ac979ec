"""A snapshot on its way from one member's apply to another's (design rule 7). Positional arrays with an integer tag.

raft carries these as bytes and never opens them: `Relay` on the link between raft and apply, lane `snapshot` between
members. Any of them may be lost, repeated or reordered.

A transfer is named by (term, serial): term is that in which the sender's member led, serial counts its transfers in
that term. One member leads a term, so the names are ordered, and a greater one is a later transfer.
"""

from typing import ClassVar

import msgspec
from msgspec import Struct

from zetcd.base.errors import WireError

ROW_OVERHEAD_BYTES = 10
"""At most, of a key and its value in `Chunk.rows`."""


class Offer(Struct, frozen=True, array_like=True, tag=1, gc=False):
    """Opens a transfer, or asks how far it is. The store stands at log position (index, entry_term)."""

    term: int
    serial: int
    index: int
    entry_term: int


class Chunk(Struct, frozen=True, array_like=True, tag=2, gc=False):
    """The number-th piece, from 0. rows: `encode_rows`, ascending over all chunks; crc: CRC-32C of rows."""

    term: int
    serial: int
    number: int
    crc: int
    rows: bytes


class Manifest(Struct, frozen=True, array_like=True, gc=False):
    """What a whole snapshot is: counts, bytes of all `Chunk.rows`, and CRC-32C over all of them in order."""

    chunks: int
    rows: int
    bytes: int
    crc: int


class End(Struct, frozen=True, array_like=True, tag=3, gc=False):
    """All chunks have been stored by the receiver's word; it compares, syncs and installs. Repeated as a question."""

    term: int
    serial: int
    manifest: Manifest


class Receipt(Struct, frozen=True, array_like=True, tag=4, gc=False):
    """Receiver to sender. next: chunks below it are stored; room: how many from there on may be under way.

    UNKNOWN: this transfer is not under way here (any more): begin anew. ARRIVED: complete and synced, to be installed.
    INSTALLED: the store is at index or beyond. REFUSED: it did not verify, for reason.
    """

    UNKNOWN: ClassVar[int] = 0
    RECEIVING: ClassVar[int] = 1
    ARRIVED: ClassVar[int] = 2
    INSTALLED: ClassVar[int] = 3
    REFUSED: ClassVar[int] = 4

    term: int
    serial: int
    stage: int
    next: int = 0
    room: int = 0
    index: int = 0
    reason: str = ""


SnapshotMessage = Offer | Chunk | End | Receipt

_encoder = msgspec.msgpack.Encoder()
_messages: msgspec.msgpack.Decoder[SnapshotMessage] = msgspec.msgpack.Decoder(SnapshotMessage)
_rows = msgspec.msgpack.Decoder(list[bytes])


def encode_snapshot(message: SnapshotMessage) -> bytes:
    """As it travels in `Relay`."""
    return _encoder.encode(message)


def decode_snapshot(data: bytes) -> SnapshotMessage:
    """Inverse of `encode_snapshot`. Raises WireError."""
    try:
        return _messages.decode(data)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
        raise WireError(f"snapshot message of {len(data)} bytes: {error}") from None


def encode_rows(rows: list[bytes]) -> bytes:
    """Keys and values of the engine in turn."""
    return _encoder.encode(rows)


def decode_rows(data: bytes) -> list[bytes]:
    """Inverse of `encode_rows`. Raises WireError."""
    try:
        rows = _rows.decode(data)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
        raise WireError(f"snapshot rows of {len(data)} bytes: {error}") from None
    if len(rows) % 2:
        raise WireError(f"snapshot rows: {len(rows)} keys and values are not pairs")
    return rows
