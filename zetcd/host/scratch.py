"""Engines for notes that are needed for a while: LevelDBs of their own below the member directory, unsynced."""

import shutil
import tempfile
from pathlib import Path

from zetcd.host.leveldb import LevelEngine

_PREFIX = "scratch-"


class Scratches:
    """Makes them; what a killed process has left goes first."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        for left in Path(directory).glob(f"{_PREFIX}*"):
            shutil.rmtree(left, ignore_errors=True)

    def make(self) -> "Scratch":
        """An empty one."""
        return Scratch(tempfile.mkdtemp(prefix=_PREFIX, dir=self._directory))


class Scratch(LevelEngine):
    """One of them; its files go when it is closed."""

    def __init__(self, path: str) -> None:
        super().__init__(path, sync=False)

    def close(self) -> None:
        """See `Engine`; may be called twice."""
        super().close()
        shutil.rmtree(self.path, ignore_errors=True)
