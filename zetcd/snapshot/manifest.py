"""What both sides count while chunks go by, to be compared at the end."""

from dataclasses import dataclass

import google_crc32c

from zetcd.wire.snapshot import Manifest


def checksum(rows: bytes) -> int:
    """CRC-32C of one chunk's rows."""
    crc: int = google_crc32c.value(rows)
    return crc


@dataclass(slots=True)
class Tally:
    """The chunks so far."""

    chunks: int = 0
    rows: int = 0
    size: int = 0
    crc: int = 0

    def add(self, rows: bytes, count: int) -> None:
        """The next chunk, with count rows in it."""
        self.chunks += 1
        self.rows += count
        self.size += len(rows)
        self.crc = google_crc32c.extend(self.crc, rows)

    @property
    def manifest(self) -> Manifest:
        """As it travels."""
        return Manifest(self.chunks, self.rows, self.size, self.crc)
