"""Real power loss: ext4 on a loop device, shut down without flushing its log, mounted again.

The control run does the same without fdatasync and must lose acknowledged entries: so the test can fail.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.disk import Disk
from tests.process.wal.children import SEGMENT, finish, read_until, run, start

pytestmark = pytest.mark.power

SEGMENTED = ("--segment-bytes", str(SEGMENT))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    if os.geteuid() != 0:
        pytest.skip("needs root for a loop device")
    try:
        made = Disk(tmp_path / "image", tmp_path / "disk")
    except OSError as error:
        pytest.skip(f"cannot make a loop-mounted ext4: {error}")
    yield made
    with contextlib.suppress(OSError):
        made.unmount()


def power_cycle(disk: Disk, *options: str) -> tuple[int, int]:
    """Write until 300 more are acknowledged, lose power, mount: (last acknowledged, last recovered or -1)."""
    child = start("write", str(disk.place / "m"), *SEGMENTED, *options)
    assert child.stdout is not None
    first = int(child.stdout.readline())
    read_until(child, first + 300)
    disk.unplug()
    child.kill()
    finish(child)
    # What was acknowledged as the power failed does not count: see tests/process/faults/test_power_loss.py.
    acknowledged = first + 300
    disk.unmount()
    disk.mount()
    after = run("read", str(disk.place / "m"), *SEGMENTED, *options)
    if after.code:
        return acknowledged, -1
    assert after.out[3] == 0, "a torn tail is no reason for suspicion"
    return acknowledged, after.out[1]


def test_rules_01_02_everything_acknowledged_survives_power_losses(disk: Disk) -> None:
    for _ in range(3):
        acknowledged, recovered = power_cycle(disk)
        assert recovered >= acknowledged


def test_control_without_fsync_acknowledged_entries_are_lost(disk: Disk) -> None:
    acknowledged, recovered = power_cycle(disk, "--no-fsync")
    assert recovered < acknowledged
