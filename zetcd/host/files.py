"""The real file port (see `zetcd.wal.port`): POSIX calls, fail-stop.

Whatever changes or syncs a file and fails raises Fatal with the path and the system's words, and is not tried again:
after a failed fsync the kernel may have dropped the data and call the page clean (rule 22).
"""
# This port is the system calls themselves; pathlib has no word for half of them.
# ruff: noqa: PTH100, PTH102, PTH104, PTH106, PTH108, PTH110, PTH112, PTH116, PTH120, PTH208

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from zetcd.base.errors import Fatal

SyncObserver = Callable[[int], None]
"""Told how many nanoseconds an fdatasync took."""


@contextmanager
def _fatal(path: str, act: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Fatal(f"{path}: {act} failed: {error.strerror} ({errno.errorcode.get(error.errno or 0, '?')})") from error


class HostFile:
    """A file open for writing."""

    __slots__ = ("_fd", "_observe", "path")

    def __init__(self, path: str, flags: int, observe: SyncObserver | None) -> None:
        with _fatal(path, "open"):
            self._fd = os.open(path, flags | os.O_CLOEXEC, 0o600)
        self._observe = observe
        self.path = path

    def write(self, offset: int, data: bytes) -> None:
        """One pwrite; more only where the kernel takes less than all at once."""
        try:
            done = os.pwrite(self._fd, data, offset)
            while done < len(data):
                # A short write is not an error, but the rest may meet one: the disk is full.
                done += os.pwrite(self._fd, data[done:], offset + done)
        except OSError as error:
            raise Fatal(f"{self.path}: write at {offset} failed: {error.strerror}") from error

    def sync(self) -> None:
        """Fdatasync; called once a turn."""
        start = time.perf_counter_ns()
        try:
            os.fdatasync(self._fd)
        except OSError as error:
            raise Fatal(f"{self.path}: fdatasync failed: {error.strerror}; what the disk holds is unknown") from error
        if self._observe is not None:
            self._observe(time.perf_counter_ns() - start)

    def allocate(self, offset: int, length: int) -> None:
        """posix_fallocate; a file system that cannot gets a file that is only extended, and is told from a full one."""
        try:
            os.posix_fallocate(self._fd, offset, length)
        except OSError as error:
            if error.errno not in {errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}:
                raise Fatal(f"{self.path}: allocating {length} bytes failed: {error.strerror}") from error
            if os.fstat(self._fd).st_size < offset + length:
                self.truncate(offset + length)

    def truncate(self, size: int) -> None:
        """Ftruncate."""
        with _fatal(self.path, "truncate"):
            os.ftruncate(self._fd, size)

    def close(self) -> None:
        """Close, without sync."""
        with _fatal(self.path, "close"):
            os.close(self._fd)


class HostFiles:
    """The file system of this host. on_sync is told how long each fdatasync took, in nanoseconds."""

    def __init__(self, on_sync: SyncObserver | None = None) -> None:
        self._on_sync = on_sync
        self._locks: dict[str, int] = {}

    def make_dir(self, path: str) -> bool:
        """Mode 0700, parents too; each new name is synced."""
        with _fatal(path, "mkdir"):
            if os.path.isdir(path):
                return False
            parent = os.path.dirname(os.path.abspath(path))
            self.make_dir(parent)
            try:
                os.mkdir(path, 0o700)
            except FileExistsError:
                if not os.path.isdir(path):
                    raise
                return False
            self.sync_dir(parent)
        return True

    def mode(self, path: str) -> int:
        """Permission bits."""
        with _fatal(path, "stat"):
            return os.stat(path).st_mode & 0o7777

    def list_dir(self, path: str) -> list[str]:
        """Names, sorted."""
        with _fatal(path, "list"):
            return sorted(os.listdir(path))

    def exists(self, path: str) -> bool:
        """Whether there is such a file."""
        with _fatal(path, "stat"):
            return os.path.exists(path)

    def size(self, path: str) -> int:
        """Bytes."""
        with _fatal(path, "stat"):
            return os.stat(path).st_size

    def read(self, path: str, offset: int, length: int) -> bytes:
        """Up to length bytes; fewer only at the end."""
        with _fatal(path, "read"):
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)
            try:
                data = os.pread(fd, length, offset)
                while len(data) < length:
                    more = os.pread(fd, length - len(data), offset + len(data))
                    if not more:
                        break
                    data += more
                return data
            finally:
                os.close(fd)

    def create(self, path: str) -> HostFile:
        """New and empty, mode 0600."""
        return HostFile(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, self._on_sync)

    def open(self, path: str) -> HostFile:
        """Existing."""
        return HostFile(path, os.O_RDWR, self._on_sync)

    def rename(self, old: str, new: str) -> None:
        """Atomic."""
        with _fatal(new, "rename"):
            os.rename(old, new)

    def remove(self, path: str) -> None:
        """Unlink."""
        with _fatal(path, "remove"):
            os.unlink(path)

    def remove_dir(self, path: str) -> None:
        """The directory and the files in it."""
        for name in self.list_dir(path):
            self.remove(f"{path}/{name}")
        with _fatal(path, "rmdir"):
            os.rmdir(path)

    def sync_dir(self, path: str) -> None:
        """Fsync of the directory."""
        with _fatal(path, "fsync of the directory"):
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)

    def lock(self, path: str, holder: str) -> None:
        """Flock without waiting; the file then says ``<pid> <holder>``. Released when the process ends."""
        with _fatal(path, "lock"):
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                text = os.pread(fd, 256, 0).decode(errors="replace").strip() or "unknown"
                os.close(fd)
                pid, _, name = text.partition(" ")
                raise Fatal(f"{os.path.dirname(path)} is in use by process {pid} ({name or 'unknown'})") from None
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()} {holder}\n".encode(), 0)
            self._locks[path] = fd

    def release_locks(self) -> None:
        """Give the locks up while the process lives on; for tests and tools."""
        while self._locks:
            os.close(self._locks.popitem()[1])
