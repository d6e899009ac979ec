"""Rule 2 at every byte: a torn tail is cut, damage below a proven sync refuses, and nothing ever reads as other data.

proof.md 1.6 #20: truncate or flip at every byte of the tail; boot with a prefix, or refuse cleanly.
"""

import itertools

import pytest

from tests.unit.wal.member import WAL_DIR, Member, block, entries_of, newest
from zetcd.base import limits
from zetcd.base.errors import Fatal
from zetcd.wal.frame import HEADER_BYTES, MAGIC, MAGIC_AT
from zetcd.wal.memory import MemoryFiles
from zetcd.wal.segments import SECTOR_BYTES
from zetcd.wire.local import HardState, Release

SEGMENT = 8192
LAST_TURN = (5, 6, 7, 8)  # entries of the last turn


class Image:
    """A log of five turns, the last one unproven, as bytes to be damaged."""

    def __init__(self, first_size: int = 20) -> None:
        member = Member(MemoryFiles(), SEGMENT)
        member.persist(block(1, 2, 1, size=first_size), state=HardState(1, 9, 0))
        member.persist(block(3, 1, 1), state=HardState(1, 9, 2))
        member.turn(Release(1, 1))
        member.persist(block(4, 1, 1))
        self.proven = member.actor.log.end
        member.turn(
            member.ready(block(5, 2, 2, size=700), state=HardState(2, 9, 3)),
            member.ready(block(7, 2, 2, size=300), state=HardState(2, 9, 4)),
        )
        self.end = member.actor.log.end
        self.entries = entries_of(restarted(member.files.read(newest(member.files), 0, SEGMENT)).blocks)
        self.data = member.files.read(newest(member.files), 0, SEGMENT)
        self.name = newest(member.files)
        assert sorted(self.entries) == [2, 3, 4, 5, 6, 7, 8]


def restarted(data: bytes, name: str = f"{WAL_DIR}/{1:016x}-{1:016x}.wal") -> Member:
    """A member on a disk that holds this one segment."""
    files = MemoryFiles()
    files.make_dir(WAL_DIR)
    files.create(name).write(0, data)
    return Member(files, SEGMENT)


def outcome(image: Image, data: bytes) -> Member | None:
    """Start on data: None for a clean refusal; otherwise all proven entries are there, and nothing invented."""
    refusal = ""
    try:
        member = restarted(data)
    except Fatal as error:
        refusal = str(error)
    if refusal:
        assert image.name in refusal
        assert "offset" in refusal
        return None
    found = entries_of(member.blocks)
    assert found.items() <= image.entries.items()
    assert set(image.entries) - set(found) <= set(LAST_TURN)
    return member


@pytest.fixture(scope="module")
def image() -> Image:
    return Image()


@pytest.mark.parametrize("bits", [0xFF, 0x01, 0x80])
def test_rule_02_a_flipped_byte_below_the_proven_offset_refuses(image: Image, bits: int) -> None:
    for offset in range(image.proven):
        data = bytearray(image.data)
        data[offset] ^= bits
        assert outcome(image, bytes(data)) is None, offset


@pytest.mark.parametrize("bits", [0xFF, 0x01, 0x80])
def test_rule_02_a_flipped_byte_in_the_last_turn_is_a_suspect_cut(image: Image, bits: int) -> None:
    for offset in range(image.proven, image.end):
        data = bytearray(image.data)
        data[offset] ^= bits
        member = outcome(image, bytes(data))
        assert member is not None
        cut = member.actor.report.cut
        assert cut is not None
        assert cut.suspect, offset
        assert image.proven <= cut.offset <= offset
        assert member.recovered[-1].suspect_cut
        assert member.files.read(cut.kept, 0, SEGMENT) == bytes(data[cut.offset :]).rstrip(b"\0")


def test_rule_02_a_file_cut_short_anywhere_refuses(image: Image) -> None:
    """It refuses: no crash shortens a segment, so there is no telling what was there."""
    for size in range(len(image.data)):
        assert outcome(image, image.data[:size]) is None


def test_rule_02_a_tail_of_zeros_boots_with_a_prefix(image: Image) -> None:
    """From any byte of the last turn on the disk holds nothing: what is left is a prefix, never anything else."""
    for offset in range(image.proven, image.end):
        member = outcome(image, image.data[:offset] + bytes(len(image.data) - offset))
        assert member is not None
        assert sorted(entries_of(member.blocks)) == list(range(2, member.actor.log.last_index + 1))


def test_rule_02_a_torn_write_is_cut_without_suspicion(image: Image) -> None:
    """Any choice of the last turn's sectors may have missed the disk: what remains is a prefix of its records."""
    first = image.proven
    pieces = []
    while first < image.end:
        until = min(image.end, (first // SECTOR_BYTES + 1) * SECTOR_BYTES)
        pieces.append((first, until))
        first = until
    assert len(pieces) >= 5
    for lost in itertools.product((False, True), repeat=len(pieces)):
        data = bytearray(image.data)
        for (begin, end), gone in zip(pieces, lost, strict=True):
            if gone:
                data[begin:end] = bytes(end - begin)
        member = outcome(image, bytes(data))
        assert member is not None
        assert not member.recovered[-1].suspect_cut, lost
        assert sorted(entries_of(member.blocks)) == list(range(2, member.actor.log.last_index + 1))
        if not any(lost):
            assert member.actor.report.cut is None


def test_rule_02_bytes_behind_the_end_are_reported_and_kept(image: Image) -> None:
    data = bytearray(image.data)
    data[image.end + 600] = 7
    member = outcome(image, bytes(data))
    assert member is not None
    cut = member.actor.report.cut
    assert cut is not None
    assert (cut.offset, cut.bytes_cut, cut.suspect) == (image.end, 601, False)
    assert len(entries_of(member.blocks)) == len(image.entries)


def test_rule_02_suspicion_outlives_restarts_until_the_member_has_caught_up(image: Image) -> None:
    data = bytearray(image.data)
    data[image.end - 9] ^= 1
    member = outcome(image, bytes(data))
    assert member is not None
    for _ in range(2):
        member.files.kill()
        member = Member(member.files, SEGMENT)
        assert member.actor.report.cut is None
        assert member.recovered[-1].suspect_cut
    ready = member.ready()
    member.turn(type(ready)(ready.number, None, [], True, 0, 0, True))
    member.files.kill()
    assert not Member(member.files, SEGMENT).recovered[-1].suspect_cut


def test_rule_02_every_byte_of_an_earlier_segment_is_proven_by_the_next() -> None:
    files = MemoryFiles()
    member = Member(files, 1024)
    for index in range(1, 12):
        member.persist(block(index, 1, 1, size=200), state=HardState(1, 9, index - 1))
    files.kill()
    names = [name for name in files.list_dir(WAL_DIR) if name.endswith(".wal")]
    assert len(names) >= 3
    contents = {name: files.read(f"{WAL_DIR}/{name}", 0, 1 << 20) for name in names}
    for offset in range(len(contents[names[1]])):
        disk = MemoryFiles()
        disk.make_dir(WAL_DIR)
        for name, content in contents.items():
            data = bytearray(content)
            if name == names[1]:
                data[offset] ^= 0x10
            disk.create(f"{WAL_DIR}/{name}").write(0, bytes(data))
        with pytest.raises(Fatal, match=f"{names[1]}.*offset"):
            Member(disk, 1024)


def test_a_missing_segment_is_named() -> None:
    files = MemoryFiles()
    member = Member(files, 1024)
    for index in range(1, 12):
        member.persist(block(index, 1, 1, size=200))
    names = [name for name in files.list_dir(WAL_DIR) if name.endswith(".wal")]
    files.kill()
    files.remove(f"{WAL_DIR}/{names[1]}")
    with pytest.raises(Fatal, match=f"{names[1][:16]}.*missing"):
        Member(files, 1024)


def test_a_value_that_looks_like_a_record_proves_nothing() -> None:
    """A client may store bytes of a log: behind a torn record they must not pass for a later turn."""
    files = MemoryFiles()
    member = Member(files, SEGMENT)
    member.persist(block(1, 1, 1))
    original = files.read(newest(files), 0, SEGMENT)
    member.turn(member.ready(block(2, 1, 1)), member.ready(block(3, 1, 1, size=600)))
    end = member.actor.log.end
    data = bytearray(files.read(newest(files), 0, SEGMENT))
    # A copied header, its synced field raised: where the value of entry 3 stood, aligned as records are.
    header = bytearray(original[original.rindex(MAGIC) - MAGIC_AT :][:HEADER_BYTES])
    header[8:12] = (end - 8).to_bytes(4, "little")
    at = (end - 300) & ~7
    data[at : at + HEADER_BYTES] = header
    again = restarted(bytes(data))
    assert sorted(entries_of(again.blocks)) == [1, 2]


def test_only_the_newest_broken_copies_are_kept() -> None:
    member = Member(MemoryFiles(), SEGMENT)
    member.persist(block(1, 1, 1))
    for _ in range(limits.BROKEN_FILES_MAX + 3):
        member.persist(block(member.actor.log.last_index + 1, 1, 1))
        files = member.files
        files.kill()
        path = newest(files)
        files.open(path).write(member.actor.log.end + 64, b"junk")
        member = Member(files, SEGMENT)
        assert member.actor.report.cut is not None
    copies = [name for name in member.files.list_dir(WAL_DIR) if name.endswith(".broken")]
    assert len(copies) == limits.BROKEN_FILES_MAX
