"""The file port's twin in memory: a disk with a page cache in front, which can be killed, fail, fill up or lose power.

What survives what:

- `kill()`: everything written, as the kernel still has it; locks are free, open files are dead.
- `lose_power(dice)`: what was synced, and of every sector written since then either the old or the new content, as the
  dice say; of the names made, changed or removed in a directory since its last sync, the first few.
- a failed sync: the unsynced sectors are called clean though the disk never got them. They can still be read, until
  the power goes. This is what Linux does, and why recovered is not durable (design rule 1).

Nothing here draws randomness of its own: dice(n) is handed in and answers 0 <= x < n.
"""

from collections.abc import Callable

from zetcd.base.errors import Fatal
from zetcd.wal.segments import SECTOR_BYTES

Dice = Callable[[int], int]


class Inode:
    """One file's content, in the cache and on the disk."""

    __slots__ = ("cache", "dirty", "disk")

    def __init__(self) -> None:
        self.cache = bytearray()
        self.disk = bytearray()
        self.dirty: dict[int, None] = {}  # sectors the disk has not seen

    def write(self, offset: int, data: bytes) -> None:
        """Into the cache."""
        end = offset + len(data)
        self.resize(max(end, len(self.cache)))
        self.cache[offset:end] = data
        for sector in range(offset // SECTOR_BYTES, -(-end // SECTOR_BYTES)):
            self.dirty[sector] = None

    def resize(self, size: int) -> None:
        """Grow with zeros or cut."""
        if size < len(self.cache):
            del self.cache[size:]
        else:
            self.cache.extend(bytes(size - len(self.cache)))

    def sync(self, sectors: list[int]) -> None:
        """Bring these sectors to the disk, and with them the size."""
        if len(self.disk) < len(self.cache):
            self.disk.extend(bytes(len(self.cache) - len(self.disk)))
        del self.disk[len(self.cache) :]
        for sector in sectors:
            at = slice(sector * SECTOR_BYTES, (sector + 1) * SECTOR_BYTES)
            self.disk[at] = self.cache[at]

    def lose_power(self, dice: Dice) -> None:
        """Keep a choice of the dirty sectors, and the new size or the old one with none of them."""
        if len(self.cache) == len(self.disk) or dice(2):
            self.sync([sector for sector in self.dirty if dice(2)])
        self.cache = bytearray(self.disk)
        self.dirty = {}


class MemoryFile:
    """An open file; dead after a kill or a power loss."""

    def __init__(self, files: "MemoryFiles", path: str, inode: Inode) -> None:
        self._files = files
        self._life = files.life
        self._inode = inode
        self.path = path

    def write(self, offset: int, data: bytes) -> None:
        """Into the cache; where a fault strikes, a part of it, cut between sectors (the kernel: pages)."""
        self._alive()
        if self._files.strikes():
            end = (offset + self._files.dice(len(data) + 1)) // SECTOR_BYTES * SECTOR_BYTES
            self._inode.write(offset, data[: max(0, end - offset)])
            self._files.fail(self.path, "write")
        self._files.take(max(0, offset + len(data) - len(self._inode.cache)), self.path)
        self._inode.write(offset, data)

    def sync(self) -> None:
        """To the disk; where a fault strikes, nowhere, and nobody will try again."""
        self._alive()
        if self._files.strikes():
            if self._files.dice(2):
                self._inode.dirty = {}
            self._files.fail(self.path, "fdatasync")
        self._inode.sync(list(self._inode.dirty))
        self._inode.dirty = {}

    def allocate(self, offset: int, length: int) -> None:
        """Zeros."""
        self._alive()
        if self._files.strikes():
            self._files.fail(self.path, "allocate")
        grown = max(0, offset + length - len(self._inode.cache))
        self._files.take(grown, self.path)
        self._inode.resize(len(self._inode.cache) + grown)

    def truncate(self, size: int) -> None:
        """Cut."""
        self._alive()
        if self._files.strikes():
            self._files.fail(self.path, "truncate")
        self._files.take(size - len(self._inode.cache), self.path)
        self._inode.resize(size)

    def close(self) -> None:
        """Nothing to do."""

    def _alive(self) -> None:
        assert self._life == self._files.life, "a file handle outlived its process"


class MemoryFiles:
    """The disk. fault_at: the number of the changing call that fails (0: none); capacity: bytes it holds."""

    def __init__(self, dice: Dice = lambda n: n - 1) -> None:
        self.dice = dice
        self.life = 0
        self.calls = 0
        self.fault_at = 0
        self.capacity = 1 << 62
        self.used = 0
        self._names: dict[str, Inode] = {}
        self._disk_names: dict[str, Inode] = {}
        self._unsynced: list[tuple[str, str, Inode | None]] = []  # (directory, path, inode or None for removed)
        self._dirs: dict[str, None] = {}
        self._locks: dict[str, str] = {}

    # -- faults --------------------------------------------------------------------------------------------------------
    def strikes(self) -> bool:
        """Count a changing call; whether it is the one to fail."""
        self.calls += 1
        return self.calls == self.fault_at

    def fail(self, path: str, act: str) -> None:
        """Always raises."""
        raise Fatal(f"{path}: {act} failed: Input/output error")

    def take(self, grown: int, path: str) -> None:
        """Account for grown bytes."""
        if self.used + grown > self.capacity:
            raise Fatal(f"{path}: write failed: No space left on device")
        self.used += grown

    def kill(self) -> None:
        """The process is gone; the kernel lives."""
        self.life += 1
        self._locks.clear()

    def lose_power(self, dice: Dice) -> None:
        """The kernel is gone too."""
        self.kill()
        kept: dict[str, int] = {}
        for directory, path, inode in self._unsynced:
            # The first few changes of each directory survive: a journal keeps their order.
            left = kept.setdefault(directory, dice(1 + sum(1 for change in self._unsynced if change[0] == directory)))
            if left:
                kept[directory] = left - 1
                self._change(self._disk_names, path, inode)
        self._unsynced.clear()
        self._names = dict(self._disk_names)
        for inode in self._names.values():
            inode.lose_power(dice)

    # -- the port ------------------------------------------------------------------------------------------------------
    def make_dir(self, path: str) -> bool:
        """Directories are durable at once."""
        made = path not in self._dirs
        self._dirs[path] = None
        return made

    def mode(self, path: str) -> int:  # noqa: ARG002 - the port's signature
        """Always as it should be."""
        return 0o700

    def list_dir(self, path: str) -> list[str]:
        """Sorted names."""
        return sorted(name.rpartition("/")[2] for name in self._names if name.rpartition("/")[0] == path)

    def exists(self, path: str) -> bool:
        """Whether the file is there."""
        return path in self._names

    def size(self, path: str) -> int:
        """Bytes."""
        return len(self._names[path].cache)

    def read(self, path: str, offset: int, length: int) -> bytes:
        """From the cache."""
        return bytes(self._names[path].cache[offset : offset + length])

    def create(self, path: str) -> MemoryFile:
        """A new inode, even where one of that name was."""
        if self.strikes():
            self.fail(path, "create")
        inode = Inode()
        self._rename(path, inode)
        return MemoryFile(self, path, inode)

    def open(self, path: str) -> MemoryFile:
        """An existing file."""
        return MemoryFile(self, path, self._names[path])

    def rename(self, old: str, new: str) -> None:
        """One change, so it survives whole or not at all."""
        if self.strikes():
            self.fail(new, "rename")
        inode = self._names.pop(old)
        self._rename(new, inode)

    def remove(self, path: str) -> None:
        """Remove the name."""
        if self.strikes():
            self.fail(path, "remove")
        self._rename(path, None)

    def sync_dir(self, path: str) -> None:
        """The names of this directory reach the disk."""
        if self.strikes():
            self.fail(path, "fsync of the directory")
        for directory, name, inode in self._unsynced:
            if directory == path:
                self._change(self._disk_names, name, inode)
        self._unsynced = [change for change in self._unsynced if change[0] != path]

    def lock(self, path: str, holder: str) -> None:
        """One process at a time."""
        if path in self._locks:
            raise Fatal(f"{path.rpartition('/')[0]} is in use by process 1 ({self._locks[path]})")
        self._locks[path] = holder

    def _rename(self, path: str, inode: Inode | None) -> None:
        if path in self._names and inode is not self._names[path]:
            self.used -= len(self._names[path].cache)
        self._change(self._names, path, inode)
        self._unsynced.append((path.rpartition("/")[0], path, inode))

    @staticmethod
    def _change(names: dict[str, Inode], path: str, inode: Inode | None) -> None:
        if inode is None:
            names.pop(path, None)
            return
        for former in [name for name, other in names.items() if other is inode]:
            del names[former]
        names[path] = inode
