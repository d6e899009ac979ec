"""The file port: all that the log asks of a file system, in the words of POSIX.

Every call that changes or syncs something raises `zetcd.base.errors.Fatal` when it fails, and is never tried again
(rule 22): after a failed sync nobody knows what the disk holds, so the process ends and recovery decides.
`zetcd.host.files` is the real thing, `zetcd.wal.memory` the twin that can lose power.
"""

from typing import Protocol


class File(Protocol):
    """A file open for writing."""

    def write(self, offset: int, data: bytes) -> None:
        """Write all of data at offset."""

    def sync(self) -> None:
        """fdatasync: on return everything written so far survives a power loss."""

    def allocate(self, offset: int, length: int) -> None:
        """Reserve blocks that read as zeros; the file grows to offset + length at least."""

    def truncate(self, size: int) -> None:
        """Cut the file to size."""

    def close(self) -> None:
        """Forget the file, without syncing it."""


class Files(Protocol):
    """A file system. Paths are absolute, or relative to the process."""

    def make_dir(self, path: str) -> bool:
        """Make path and missing parents with mode 0700, synced; False if path was there."""

    def mode(self, path: str) -> int:
        """Permission bits."""

    def list_dir(self, path: str) -> list[str]:
        """Names in the directory, sorted."""

    def exists(self, path: str) -> bool:
        """Whether there is such a file."""

    def size(self, path: str) -> int:
        """Bytes."""

    def read(self, path: str, offset: int, length: int) -> bytes:
        """Up to length bytes from offset; fewer only at the end of the file."""

    def create(self, path: str) -> File:
        """A new empty file with mode 0600; one of that name is emptied."""

    def open(self, path: str) -> File:
        """An existing file."""

    def rename(self, old: str, new: str) -> None:
        """Atomic; durable after `sync_dir`."""

    def remove(self, path: str) -> None:
        """Remove a file."""

    def sync_dir(self, path: str) -> None:
        """Make names in the directory durable."""

    def lock(self, path: str, holder: str) -> None:
        """Hold an exclusive lock on the file path until the process ends, and write who holds it into it.

        Raises Fatal at once when another process has it, naming path's directory and that holder.
        """
