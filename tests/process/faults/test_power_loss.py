"""A whole member loses its power under load: ext4 on a loop device, shut down without flushing its journal.

Values are large, so that overlays go to LevelDB in between: a hole under a newer applied index (rule 23)
would show as lost writes. The control runs without syncs and must lose some: so the test can fail.
"""

import random
from pathlib import Path

import pytest

from tests.process.disk import Disk
from tests.process.faults.bulk import Bulk
from tests.process.faults.conftest import MakeDisk
from tests.process.member import Member

pytestmark = [pytest.mark.power, pytest.mark.timeout(600)]

ROUNDS = 4
SIZE_MIB = 2_000


def power_cycle(member: Member, disk: Disk, bulk: Bulk, writes: int) -> None:
    """Write, lose power at once, mount. The member is not started again."""
    bulk.start()
    bulk.wait_acked(writes)
    # A sync that is under way while this file system is shut down may return success although its journal was dropped:
    # a bare loop of pwrite and fdatasync loses such a last write as well. A disk without power says nothing.
    certain = dict(bulk.acked)
    disk.unplug()
    member.kill_all()
    bulk.stop()
    bulk.doubt(certain)
    disk.unmount()
    disk.mount()


def test_everything_acknowledged_survives_power_losses(tmp_path: Path, make_disk: MakeDisk) -> None:
    dice = random.Random(5)
    disk = make_disk(SIZE_MIB)
    member = Member(tmp_path / "m", "--quota-backend-bytes", "0").start()
    bulk = Bulk(member)
    try:
        for _ in range(ROUNDS):
            power_cycle(member, disk, bulk, dice.randrange(600, 2_500))  # 20 to 80 MB
            member.start()
            bulk.check()
    finally:
        member.stop()


def everything_is_there(member: Member, bulk: Bulk) -> bool:
    try:
        member.start()
        bulk.check()
    except (AssertionError, TimeoutError):  # lost writes, or a log or store too torn to start from
        return False
    return True


def test_control_without_syncs_acknowledged_writes_are_lost(tmp_path: Path, make_disk: MakeDisk) -> None:
    disk = make_disk(SIZE_MIB)
    member = Member(tmp_path / "m", "--unsafe-no-fsync").start()
    bulk = Bulk(member)
    try:
        power_cycle(member, disk, bulk, 600)
        assert not everything_is_there(member, bulk)
    finally:
        member.stop()
