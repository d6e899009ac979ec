"""Layout of one log record, and of what each type of record holds.

Everything is little-endian. A segment file is a run of records from offset 0 on, followed by zeros up to the size it
was preallocated with. A record starts at a multiple of 8:

    offset size
    0      4    length   bytes of the body, without padding; at most `limits.RECORD_BYTES_MAX`
    4      4    tag      type in the low byte, the letters "zwl" above it
    8      4    synced   every byte of this file below this offset was on the disk before this record's turn was written
    12     4    turn     bytes from this record's start to the end of its turn (one write, one fdatasync)
    16     4    crc      CRC-32C of bytes 0-15 and the body, continued from the crc of the record before
    20     4    check    CRC-32C of bytes 0-19, started from the crc of the segment's METADATA record (that one: from 0)
    24     n    body
    24+n   1-8  bytes 0xff up to the next multiple of 8

The padding is never absent and never zero, so the last 8 bytes of a record are not all zeros: a sector of an unfinished
write can be told from a written one (see `SegmentReader.looks_torn`).

`crc` chains the whole log: a record is valid only after the very record it was written after, so neither a stale nor
a misplaced one is taken for data. `check` makes a header believable alone. Behind a broken record it shows whether a
later turn exists, which proves that the broken one had been synced (design rule 2); its start value depends on the
history of the log, so no client can write a value that looks like a header.

    type            body
    1 METADATA      version, owner and place in the log: see `Metadata`; first record of each segment, only there
    2 HARD_STATE    term, vote, commit: 3 x u64
    3 MARK          index, term, flags: 3 x u64. The store holds everything up to index. Flag 1: what a suspect cut may
                    have taken is there again
    4 BLOCK         first, last, term, kind: 4 x u64, then `Block.data` as it came
    5 SEAL          nothing; its `synced` field proves the turn before it when the log falls idle or is closed
"""

import enum
import struct
from dataclasses import dataclass
from typing import NamedTuple

from google_crc32c import extend

from zetcd.base import limits
from zetcd.base.errors import Fatal
from zetcd.wire.entry import Block
from zetcd.wire.local import HardState

FORMAT_VERSION = 1
HEADER_BYTES = 24
BLOCK_HEADER_BYTES = 32
MAGIC = b"zwl"
MAGIC_AT = 5  # offset of MAGIC within a record


class RecordType(enum.IntEnum):
    """What a record holds."""

    METADATA, HARD_STATE, MARK, BLOCK, SEAL = 1, 2, 3, 4, 5


class Metadata(NamedTuple):
    """Where a segment stands in the log; its CRC seeds all header checks of the segment.

    previous_*: the log continues from byte previous_end of segment previous_sequence (0: none), whose last record
    there had previous_crc; whatever that file holds behind it no longer counts. first_index: the index after the last
    entry at that point, last_term that entry's term. initial: bytes that were synced before the file got its name.
    size: bytes preallocated. suspect: an acknowledged entry may have been cut (design rule 2).
    """

    cluster: int
    member: int
    sequence: int
    previous_sequence: int
    previous_end: int
    previous_crc: int
    first_index: int
    last_term: int
    initial: int
    size: int
    suspect: int = 0


class Header(NamedTuple):
    """A parsed record header."""

    length: int
    tag: int
    synced: int
    turn: int
    crc: int
    check: int


@dataclass(frozen=True, slots=True)
class Mark:
    """The base of the log: the store has everything up to index."""

    index: int
    term: int
    flags: int = 0


CAUGHT_UP = 1  # flag of Mark


_PREFIX = struct.Struct("<IIII")
_SUMS = struct.Struct("<II")
_HEADER = struct.Struct("<IIIIII")
_BLOCK = struct.Struct("<QQQQ")
_PREFIX_BLOCK = struct.Struct("<IIIIQQQQ")
_HARD_STATE = struct.Struct("<QQQ")
_MARK = struct.Struct("<QQQ")
# version, previous_crc, cluster, member, sequence, previous_sequence, previous_end, first_index, last_term, initial,
# size, suspect
_METADATA = struct.Struct("<II10Q")

_TAG_BASE = int.from_bytes(b"\0" + MAGIC, "little")
_TAG_BLOCK = _TAG_BASE | RecordType.BLOCK
TAGS = {_TAG_BASE | kind: kind for kind in RecordType}
"""The type that a header's tag names."""
_PADS = tuple(b"\xff" * (8 - length) for length in range(8))
METADATA_RECORD_BYTES = HEADER_BYTES + _METADATA.size + 8
FIXED_RECORD_BYTES = HEADER_BYTES + _HARD_STATE.size + 8
"""Size of a HARD_STATE or MARK record."""
HEAD_BYTES = METADATA_RECORD_BYTES + 2 * FIXED_RECORD_BYTES
"""METADATA, HARD_STATE and MARK: what every segment starts with."""
SEAL_RECORD_BYTES = HEADER_BYTES + 8
_BODY_BYTES = {
    RecordType.METADATA: _METADATA.size,
    RecordType.HARD_STATE: _HARD_STATE.size,
    RecordType.MARK: _MARK.size,
    RecordType.SEAL: 0,
}


def padded(length: int) -> int:
    """Bytes that a body of length takes in the file."""
    return (length & ~7) + 8


def padding(length: int) -> bytes:
    """What follows a body of length."""
    return _PADS[length & 7]


def block_record_bytes(block: Block) -> int:
    """Bytes that block's record takes in the file."""
    return HEADER_BYTES + BLOCK_HEADER_BYTES + (len(block.data) & ~7) + 8


class Encoder:
    """Builds the records of one turn. crc and seed carry the chain; turn counts down what is left of the turn."""

    __slots__ = ("crc", "parts", "seed", "synced", "turn")

    def __init__(self, crc: int, seed: int) -> None:
        self.crc = crc
        self.seed = seed
        self.synced = 0
        self.turn = 0
        self.parts: list[bytes] = []

    def begin(self, synced: int, turn: int) -> None:
        """Start a turn of exactly `turn` bytes; all below synced is on the disk."""
        self.synced = synced
        self.turn = turn
        self.parts = []

    def finish(self) -> bytes:
        """The turn's bytes."""
        assert self.turn == 0, "a turn is as long as its records say"
        return b"".join(self.parts)

    def block(self, block: Block) -> None:
        """Append block's record, its data untouched."""
        data = block.data
        length = BLOCK_HEADER_BYTES + len(data)
        if length > limits.RECORD_BYTES_MAX:
            raise Fatal(f"a block of {len(data)} bytes is longer than a record may be")
        head = _PREFIX_BLOCK.pack(
            length, _TAG_BLOCK, self.synced, self.turn, block.first, block.last, block.term, block.kind
        )
        prefix = head[:16]
        self.crc = crc = extend(extend(self.crc, head), data)
        sums = _SUMS.pack(crc, extend(self.seed, prefix + crc.to_bytes(4, "little")))
        self.parts += (prefix, sums, head[16:], data, _PADS[length & 7])
        self.turn -= HEADER_BYTES + padded(length)

    def hard_state(self, state: HardState) -> None:
        """Append a HARD_STATE record."""
        self.plain(RecordType.HARD_STATE, _HARD_STATE.pack(state.term, state.vote, state.commit))

    def mark(self, mark: Mark) -> None:
        """Append a MARK record."""
        self.plain(RecordType.MARK, _MARK.pack(mark.index, mark.term, mark.flags))

    def plain(self, kind: RecordType, body: bytes) -> None:
        """Append a record with this body."""
        prefix = _PREFIX.pack(len(body), _TAG_BASE | kind, self.synced, self.turn)
        self.crc = crc = extend(self.crc, prefix + body)
        sums = _SUMS.pack(crc, extend(self.seed, prefix + crc.to_bytes(4, "little")))
        self.parts += (prefix, sums, body, _PADS[len(body) & 7])
        self.turn -= HEADER_BYTES + padded(len(body))

    def metadata(self, metadata: Metadata) -> None:
        """Append the METADATA record: the chain continues from its previous_crc, the checks start anew from it."""
        self.crc, self.seed = metadata.previous_crc, 0
        body = _METADATA.pack(FORMAT_VERSION, metadata.previous_crc, *metadata[:5], *metadata[6:])
        self.plain(RecordType.METADATA, body)
        self.seed = self.crc


def head_records(state: HardState, mark: Mark) -> list[tuple[RecordType, bytes]]:
    """What follows METADATA at the head of a segment: so no earlier one is needed to know them."""
    return [
        (RecordType.HARD_STATE, _HARD_STATE.pack(state.term, state.vote, state.commit)),
        (RecordType.MARK, _MARK.pack(mark.index, mark.term, 0)),
    ]


parse_header_at = _HEADER.unpack_from
"""The fields of `Header` as a plain tuple, for the reading loop: (data, offset)."""


def parse_header(data: bytes, offset: int = 0) -> Header:
    """The six fields, unchecked; data holds at least HEADER_BYTES from offset on."""
    return Header._make(_HEADER.unpack_from(data, offset))


def header_checks(data: bytes, offset: int, seed: int) -> bool:
    """Whether the header at offset of data is one that was written to a segment with this seed."""
    return bool(extend(seed, data[offset : offset + 20]) == int.from_bytes(data[offset + 20 : offset + 24], "little"))


def body_crc(previous: int, head: bytes, body: bytes) -> int:
    """What the crc field of a record must say: head is at least its first 16 bytes, body without padding."""
    return int(extend(extend(previous, head[:16]), body))


def plausible_length(kind: RecordType, length: int) -> bool:
    """Whether the body length is one that its type can have: asked before anything is read or allocated for it."""
    if kind is RecordType.BLOCK:
        return BLOCK_HEADER_BYTES <= length <= limits.RECORD_BYTES_MAX
    return length == _BODY_BYTES[kind]


def previous_crc_of(body: bytes) -> int:
    """Where the chain of a segment starts: needed to verify the METADATA record that says so."""
    return int.from_bytes(body[4:8], "little")


def decode_metadata(body: bytes) -> Metadata:
    """Body of a METADATA record; the CRC has been checked. Raises Fatal for a version of the future."""
    version, previous_crc, *rest = _METADATA.unpack(body)
    if version != FORMAT_VERSION:
        raise Fatal(f"log format version {version} is not {FORMAT_VERSION}: written by another release of zetcd")
    return Metadata._make((*rest[:5], previous_crc, *rest[5:]))


def decode_hard_state(body: bytes) -> HardState:
    """Body of a HARD_STATE record."""
    return HardState(*_HARD_STATE.unpack(body))


def decode_mark(body: bytes) -> Mark:
    """Body of a MARK record."""
    return Mark(*_MARK.unpack(body))


def decode_block(body: bytes) -> Block:
    """Body of a BLOCK record, its entries unopened."""
    first, last, term, kind = _BLOCK.unpack_from(body)
    return Block(first, last, term, body[BLOCK_HEADER_BYTES:], kind)
