"""Disks of the test's own."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.process.disk import Disk

MakeDisk = Callable[[int], Disk]


@pytest.fixture
def make_disk(tmp_path: Path) -> Iterator[MakeDisk]:
    """make_disk(MiB): a disk at m/data below tmp_path, where `Member(tmp_path / "m")` has its data."""
    if os.geteuid() != 0:
        pytest.skip("needs root for a loop device")
    made: list[Disk] = []

    def make(size_mib: int) -> Disk:
        try:
            disk = Disk(tmp_path / f"image{len(made)}", tmp_path / "m" / "data", size_mib)
        except OSError as error:
            pytest.skip(f"cannot make a loop-mounted ext4: {error}")
        made.append(disk)
        return disk

    yield make
    for disk in made:
        with contextlib.suppress(OSError):
            disk.unmount()
