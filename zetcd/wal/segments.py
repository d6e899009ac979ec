"""Names of segment files, and reading one of them record by record.

A member's log is a chain of segment files `<sequence>-<first index>.wal`, both as 16 hexadecimal digits. Each file's
METADATA record names the place in the file before it where the log leaves that one (see `zetcd.wal.frame.Metadata`).
A name is given only after what the file started with has been synced, so:

- a `.tmp` file holds nothing that counts, and is removed at start;
- in a named file, everything below `initial` is proven to have been on the disk: a flaw there is damage;
- in a file that another one continues, everything below that one's `previous_end` is proven as well;
- in the last file, the highest `synced` field of a valid record proves what lies below it.

Files are preallocated, never recycled: a recycled one would hold valid-looking records of its former life where zeros
must stand. The space behind the last record of a finished segment is given back by truncation.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from google_crc32c import extend

from zetcd.base import limits
from zetcd.base.errors import Fatal
from zetcd.wal import frame
from zetcd.wal.frame import HEADER_BYTES, Metadata, RecordType
from zetcd.wal.port import Files

SUFFIX = ".wal"
TEMPORARY = ".tmp"
BROKEN = ".broken"
SECTOR_BYTES = 512
_WINDOW_BYTES = 1 << 20
_NAME = re.compile(r"([0-9a-f]{16})-([0-9a-f]{16})\.wal")
_ZEROS = bytes(_WINDOW_BYTES)


def segment_name(sequence: int, first_index: int) -> str:
    """File name of a segment."""
    return f"{sequence:016x}-{first_index:016x}{SUFFIX}"


def parse_name(name: str) -> tuple[int, int] | None:
    """(sequence, first index), or None for a file that is no segment."""
    match = _NAME.fullmatch(name)
    return (int(match[1], 16), int(match[2], 16)) if match else None


def segment_names(port: Files, directory: str) -> list[str]:
    """The segment files of a directory, oldest first."""
    return [name for name in port.list_dir(directory) if parse_name(name)]


class Record(NamedTuple):
    """A valid record: where it starts, what it holds, and its place in turn and chain."""

    offset: int
    type: RecordType
    synced: int
    turn: int
    crc: int
    body: bytes

    @property
    def end(self) -> int:
        """Offset of the byte after it."""
        return self.offset + HEADER_BYTES + frame.padded(len(self.body))


class SegmentReader:
    """Reads one segment forward, holding one window of it; never allocates by what the file says of itself.

    After `records` has ended: end is where the first invalid byte stands, crc the chain there, proven the highest
    offset known to have been synced, turn_end where the last turn should end, flaw why the reading stopped ("" for
    the zeros behind the last record, or for a stop asked for).
    """

    def __init__(self, port: Files, path: str) -> None:
        self._port = port
        self.path = path
        self._start = 0
        self._window = b""
        self.size = port.size(path)
        if self.size > limits.SEGMENT_FILE_BYTES_MAX:
            raise Fatal(f"{path}: {self.size} bytes are more than any log segment has")
        self.end = 0
        self.crc = 0
        self.seed = 0
        self.proven = 0
        self.turn_end = 0
        self.flaw = ""
        self.metadata = self._read_metadata()

    def bytes_at(self, offset: int, length: int) -> bytes:
        """Up to length bytes at offset; fewer only at the end of the file."""
        at = offset - self._start
        if at < 0 or at + length > len(self._window):
            self._window = self._port.read(self.path, offset, max(length, _WINDOW_BYTES))
            self._start = offset
            at = 0
        return self._window[at : at + length]

    def _read_metadata(self) -> Metadata:
        head = self.bytes_at(0, frame.METADATA_RECORD_BYTES)
        if len(head) == frame.METADATA_RECORD_BYTES:
            header = frame.parse_header(head)
            body = head[HEADER_BYTES:-8]
            if (
                frame.TAGS.get(header.tag) is RecordType.METADATA
                and header.length == len(body)
                and head[-8:] == frame.padding(0)
                and frame.header_checks(head, 0, 0)
                and frame.body_crc(frame.previous_crc_of(body), head, body) == header.crc
            ):
                metadata = frame.decode_metadata(body)
                self.seed = self.crc = header.crc
                self.end = len(head)
                self.turn_end = header.turn
                self.proven = metadata.initial
                return metadata
        raise Fatal(f"{self.path}: damaged at offset 0: no valid segment head, yet the file got its name after a sync")

    def records(self, stop: int | None = None) -> Iterator[Record]:
        """The records behind the METADATA record, up to the first flaw or to offset stop."""
        parse, types = frame.parse_header_at, frame.TAGS
        window, start = b"", self.end
        while stop is None or self.end < stop:
            offset = self.end
            at = offset - start
            if at + HEADER_BYTES > len(window):
                window, start, at = self._port.read(self.path, offset, _WINDOW_BYTES), offset, 0
                if len(window) < HEADER_BYTES:
                    return
            length, tag, synced, turn, crc, check = parse(window, at)
            kind = types.get(tag)
            if tag == 0 and window[at : at + HEADER_BYTES] == _ZEROS[:HEADER_BYTES]:
                return  # perhaps the end; `data_end` tells
            if kind is None or kind is RecordType.METADATA or extend(self.seed, window[at : at + 20]) != check:
                self.flaw = "no valid record header"
                return
            end = offset + HEADER_BYTES + frame.padded(length)
            if not frame.plausible_length(kind, length) or end > self.size or synced > offset:
                self.flaw = "a record header that cannot be: it reaches beyond the file"
                return
            if end - start > len(window):
                window, start, at = self._port.read(self.path, offset, max(end - offset, _WINDOW_BYTES)), offset, 0
            body = window[at + HEADER_BYTES : at + HEADER_BYTES + length]
            sound = extend(extend(self.crc, window[at : at + 16]), body) == crc
            if not sound or window[at + HEADER_BYTES + length : end - start] != frame.padding(length):
                self.flaw = "checksum mismatch"
                return
            self.crc, self.end, self.turn_end = crc, end, offset + turn
            self.proven = max(self.proven, synced)
            yield Record(offset, kind, synced, turn, crc, body)

    def data_end(self, offset: int) -> int:
        """Offset behind the last byte from offset on that is not zero; offset if all are."""
        end = offset
        while offset < self.size:
            chunk = self._port.read(self.path, offset, _WINDOW_BYTES)
            if not chunk:
                break
            if chunk != _ZEROS[: len(chunk)]:
                end = offset + len(chunk.rstrip(b"\0"))
            offset += len(chunk)
        return end

    def synced_beyond(self, offset: int, end: int) -> int:
        """The highest synced offset that a believable header between offset and end tells, 0 for none.

        Used behind a flaw, where the chain cannot be followed: a header's own check is enough to believe it.
        """
        highest = 0
        while offset < end:
            chunk = self._port.read(self.path, offset, _WINDOW_BYTES + HEADER_BYTES)
            at = chunk.find(frame.MAGIC)
            while at >= 0:
                start = at - frame.MAGIC_AT
                if start >= 0 and (offset + start) % 8 == 0 and start + HEADER_BYTES <= len(chunk):
                    header = frame.parse_header(chunk, start)
                    if header.synced > highest and frame.header_checks(chunk, start, self.seed):
                        highest = header.synced
                at = chunk.find(frame.MAGIC, at + 1)
            offset += _WINDOW_BYTES
        return highest

    def looks_torn(self) -> bool:
        """Whether what stands at `end` is a write that did not finish, rather than one that was damaged later.

        Fresh segments are zeros, and a disk writes whole sectors: in an unfinished turn some sector is still zeros. A
        turn that was synced, and so may have been acknowledged, has none, unless an entry's own zeros fill one.
        """
        first = self.end
        last = self.turn_end
        if last <= first:  # at the start of a turn: its own header says how long it is, if it can be believed
            head = self.bytes_at(first, HEADER_BYTES)
            last = first + HEADER_BYTES
            if len(head) == HEADER_BYTES and frame.header_checks(head, 0, self.seed):
                last = first + frame.parse_header(head).turn
        if last > self.size:
            return True
        while first < last:
            until = min(last, (first // SECTOR_BYTES + 1) * SECTOR_BYTES)
            sector = self.bytes_at(first, until - first)
            if sector.count(0) == len(sector):
                return True
            first = until
        return False
