"""Which directory is the store: the names below the member directory, and the switch from one to another (rule 7).

    db                         the store of a member that never took a snapshot
    pending-<index>-<term>     a snapshot being received, or anything on its way out: removed at the next start
    store-<index>-<term>       a snapshot, complete and synced; numbers as 16 hexadecimal digits
    CURRENT                    the name of the store in use; without that file it is db

A snapshot gets its final name by a rename once all of it is synced, and becomes the store by the rename of CURRENT,
each followed by a sync of the directory. Whatever a crash leaves, CURRENT names one whole store. A complete one beside
it is kept over a start until raft has said whether the log's mark asks for it. The switch only goes forward.
"""

from zetcd.base.errors import Fatal, Refusal
from zetcd.host.files import HostFiles

POINTER = "CURRENT"
FIRST = "db"
PENDING = "pending-"
COMPLETE = "store-"


Position = tuple[int, int]
"""Where a store stands in the log: (index, term)."""
NOWHERE = (0, 0)


class Stores:
    """The stores below one member directory. sync False: --unsafe-no-fsync."""

    def __init__(self, directory: str, *, sync: bool = True, files: HostFiles | None = None) -> None:
        self._directory = directory
        self._files = files or HostFiles()
        self.sync = sync
        self.current = self._read_pointer()

    @property
    def path(self) -> str:
        """Of the store in use."""
        return self._at(self.current)

    def pending_path(self, index: int, term: int) -> str:
        """Where the snapshot at (index, term) is received."""
        return self._at(_name(PENDING, index, term))

    # -- at start --------------------------------------------------------------------------------------------------
    def tidy(self) -> Position:
        """Remove what no crash can need any more; the complete snapshot beside the store, newer than it, if any."""
        base = _position(self.current)
        arrived = max((_position(name) for name in self._complete()), default=NOWHERE)
        for name in self._files.list_dir(self._directory):
            former = name == FIRST or name.startswith(COMPLETE)
            newest = name == _name(COMPLETE, *arrived) and arrived > base
            if name.startswith(PENDING) or (former and name != self.current and not newest):
                self._remove(name)
        return arrived if arrived > base else NOWHERE

    # -- a snapshot ------------------------------------------------------------------------------------------------
    def begin(self, index: int, term: int) -> str:
        """An empty place for a snapshot at (index, term); its path. Everything but the store in use goes."""
        self.discard()
        return self.pending_path(index, term)

    def complete(self, index: int, term: int) -> None:
        """All of it is written and closed: sync its files, then give it its final name."""
        pending = _name(PENDING, index, term)
        if self.sync:
            for name in self._files.list_dir(self._at(pending)):
                file = self._files.open(f"{self._at(pending)}/{name}")
                file.sync()
                file.close()
            self._files.sync_dir(self._at(pending))
        self._rename(pending, _name(COMPLETE, index, term))

    def discard(self) -> None:
        """Remove every snapshot, complete or not, that is not in use."""
        for name in self._files.list_dir(self._directory):
            if name.startswith(PENDING) or (name.startswith(COMPLETE) and name != self.current):
                self._remove(name)

    def switch(self, index: int, term: int) -> None:
        """The complete snapshot at (index, term) is the store from now on. Raises Fatal where it is not there, or older
        than what is in use."""
        name = _name(COMPLETE, index, term)
        if not self._files.exists(self._at(name)):
            raise Fatal(f"{self._at(name)}: the log's mark asks for this snapshot, and it is not there")
        if _position(self.current) >= (index, term):
            raise Fatal(f"{self.path} is in use: never back to {name}")
        temporary = f"{POINTER}.tmp"
        file = self._files.create(self._at(temporary))
        file.write(0, f"{name}\n".encode())
        if self.sync:
            file.sync()
        file.close()
        self._rename(temporary, POINTER)
        self.current = name

    # -- names -----------------------------------------------------------------------------------------------------
    def _read_pointer(self) -> str:
        pointer = self._at(POINTER)
        if not self._files.exists(pointer):
            return FIRST
        name = self._files.read(pointer, 0, 256).decode(errors="replace").strip()
        if not name.startswith(COMPLETE) or not self._files.exists(self._at(name)):
            raise Refusal(f"{pointer} names {name!r}, which is no store of this member: the store was lost")
        return name

    def _complete(self) -> list[str]:
        return [name for name in self._files.list_dir(self._directory) if name.startswith(COMPLETE)]

    def _remove(self, name: str) -> None:
        """Under a name that never counts, so that a crash half way leaves nothing that looks complete."""
        if not name.startswith(PENDING):
            self._rename(name, PENDING + name)
            name = PENDING + name
        self._files.remove_dir(self._at(name))

    def _rename(self, old: str, new: str) -> None:
        self._files.rename(self._at(old), self._at(new))
        if self.sync:
            self._files.sync_dir(self._directory)

    def _at(self, name: str) -> str:
        return f"{self._directory}/{name}"


def _name(kind: str, index: int, term: int) -> str:
    return f"{kind}{index:016x}-{term:016x}"


def _position(name: str) -> Position:
    """Of a complete snapshot; (0, 0) for the first store, and for a name that is none."""
    parts = name.removeprefix(COMPLETE).split("-")
    try:
        return (int(parts[0], 16), int(parts[1], 16)) if name.startswith(COMPLETE) else NOWHERE
    except (ValueError, IndexError):
        return NOWHERE
