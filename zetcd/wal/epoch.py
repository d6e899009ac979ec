"""The epoch (design rule 6): one issuer, drawn under the locks, synced before anyone hears of it."""

from zetcd.base.errors import Fatal
from zetcd.base.ids import Epoch
from zetcd.wal.port import Files
from zetcd.wal.segments import TEMPORARY

EPOCH_FILE = "epoch"
LOCK_FILE = "lock"


def lock_directory(port: Files, directory: str, holder: str) -> bool:
    """Make directory if missing and hold its lock; True if it was new. Raises Fatal if another process has it."""
    made = port.make_dir(directory)
    port.lock(f"{directory}/{LOCK_FILE}", holder)
    return made


def draw_epoch(port: Files, directory: str, *, fsync: bool = True) -> Epoch:
    """The next epoch of the member in directory, whose lock the caller holds; on the disk when this returns."""
    path = f"{directory}/{EPOCH_FILE}"
    epoch = 1
    if port.exists(path):
        text = port.read(path, 0, 32)
        if not text.strip().isdigit():
            raise Fatal(f"{path}: damaged: it should hold one number; write a higher one than any epoch in the logs")
        epoch = int(text) + 1
    temporary = path + TEMPORARY
    file = port.create(temporary)
    file.write(0, b"%d\n" % epoch)
    if fsync:
        file.sync()
    file.close()
    port.rename(temporary, path)
    if fsync:
        port.sync_dir(directory)
    return Epoch(epoch)
