"""Disks that fail: an ext4 image on a loop device that can be unplugged, and a small one that fills up. Needs root."""

import fcntl
import os
import struct
import subprocess
import time
from pathlib import Path

EXT4_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = 2
BUSY_S = 30.0


class Disk:
    """An ext4 image mounted at place; raises OSError where this machine cannot do that."""

    def __init__(self, image: Path, place: Path, size_mib: int = 64) -> None:
        self.image = image
        self.place = place
        place.mkdir(parents=True, exist_ok=True)
        with image.open("wb") as file:
            file.truncate(size_mib << 20)
        _run("mkfs.ext4", "-q", "-F", "-m", "0", str(image))
        self.mount()

    def mount(self) -> None:
        """As it was left. Where a mount namespace that somebody made meanwhile still holds the former mount, with it
        the file system that was shut down, a copy of the disk takes its place."""
        if subprocess.run(["losetup", "-j", str(self.image)], capture_output=True, check=True).stdout:
            copy = self.image.with_name(f"{self.image.name}-copy")
            _run("cp", "--sparse=always", str(self.image), str(copy))
            self.image = copy
        _run("mount", "-o", "loop", str(self.image), str(self.place))

    def unmount(self) -> None:
        """Waits for processes that are just ending."""
        until = time.monotonic() + BUSY_S
        while True:
            try:
                return _run("umount", str(self.place))
            except OSError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)  # nothing tells when the last file is closed

    def unplug(self) -> None:
        """Everything the disk has not got is gone."""
        fd = os.open(self.place, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, EXT4_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(fd)

    def free_bytes(self) -> int:
        """What is left for files."""
        stat = os.statvfs(self.place)
        return stat.f_bavail * stat.f_frsize


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(done.stderr.strip() or f"{command[0]} failed")
