"""Files that no zetcd wrote: random bytes, lying lengths, right checksums around nonsense.

A start refuses with Fatal or reads what is there; it never fails otherwise, and never allocates by what a file claims
(findings 6 and 7 of the 2020 audit of etcd).
"""

import tracemalloc
from unittest.mock import patch

import pytest
from google_crc32c import extend
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.wal.member import WAL_DIR, block
from zetcd.base import limits
from zetcd.base.errors import Fatal
from zetcd.wal import frame
from zetcd.wal.frame import Encoder, Mark, Metadata, RecordType
from zetcd.wal.memory import MemoryFiles
from zetcd.wal.recovery import Recovery, recover
from zetcd.wal.segments import segment_name
from zetcd.wire.entry import Block
from zetcd.wire.local import HardState

SIZE = 4096
MEMORY_MAX = 4 * limits.MIB
HUGE = st.one_of(st.integers(0, 20), st.integers(2**32 - 3, 2**32), st.integers(2**63 - 2, 2**64 - 1))


def opened(data: bytes, name: str = segment_name(1, 1)) -> Recovery | None:
    """Recover from a directory with this one segment; None if it refused. Fails on anything but Fatal."""
    files = MemoryFiles()
    files.make_dir(WAL_DIR)
    files.create(f"{WAL_DIR}/{name}").write(0, data)
    recovery, refusal = None, WAL_DIR
    tracemalloc.start()
    try:
        recovery = recover(files, WAL_DIR, 7, 9, segment_bytes=SIZE)
    except Fatal as error:
        refusal = str(error)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert WAL_DIR in refusal
    assert peak < MEMORY_MAX
    return recovery


def segment(records: list[tuple[RecordType, bytes]], size: int = SIZE) -> bytes:
    """A segment whose checksums are right whatever its records say; the extra ones form one unproven turn."""
    encoder = Encoder(0, 0)
    encoder.begin(0, frame.HEAD_BYTES)
    encoder.metadata(Metadata(7, 9, 1, 0, 0, 0, 1, 0, frame.HEAD_BYTES, size))
    for kind, body in frame.head_records(HardState(), Mark(0, 0)):
        encoder.plain(kind, body)
    data = encoder.finish()
    encoder.begin(len(data), sum(frame.HEADER_BYTES + frame.padded(len(body)) for _, body in records))
    for kind, body in records:
        encoder.plain(kind, body)
    data += encoder.finish()
    return data + bytes(max(0, size - len(data)))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=600), st.integers(0, SIZE))
def test_random_bytes_are_refused(data: bytes, size: int) -> None:
    assert opened(data + bytes(size)) is None


@settings(max_examples=300, deadline=None)
@given(st.binary(min_size=1, max_size=600))
def test_random_bytes_behind_a_head_are_cut(data: bytes) -> None:
    recovery = opened(segment([])[: frame.HEAD_BYTES] + data + bytes(SIZE - len(data) - frame.HEAD_BYTES))
    assert recovery is not None
    assert recovery.blocks == []
    assert (recovery.report.cut is None) == (not data.strip(b"\0"))


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.sampled_from(RecordType))
def test_lying_headers_with_right_checks_allocate_nothing(
    length: int, synced: int, turn: int, kind: RecordType
) -> None:
    data = bytearray(segment([(RecordType.BLOCK, bytes(40))]))
    at = frame.HEAD_BYTES
    header = length.to_bytes(4, "little") + bytes([kind]) + frame.MAGIC
    header += synced.to_bytes(4, "little") + turn.to_bytes(4, "little") + data[at + 16 : at + 20]
    seed = int.from_bytes(data[16:20], "little")
    data[at : at + 24] = header + extend(seed, bytes(header)).to_bytes(4, "little")
    recovery = opened(bytes(data))
    assert recovery is None or recovery.blocks == []


def numbers(*values: int) -> bytes:
    """A body of 64-bit numbers."""
    return b"".join(value.to_bytes(8, "little") for value in values)


BODIES = st.lists(
    st.one_of(
        st.tuples(st.just(RecordType.HARD_STATE), st.binary(min_size=24, max_size=24)),
        st.tuples(st.just(RecordType.MARK), st.binary(min_size=24, max_size=24)),
        st.tuples(st.just(RecordType.MARK), st.builds(numbers, HUGE, HUGE, HUGE)),
        st.tuples(st.just(RecordType.BLOCK), st.builds(numbers, HUGE, HUGE, HUGE, HUGE)),
        st.tuples(st.just(RecordType.SEAL), st.just(b"")),
    ),
    max_size=6,
)


@settings(max_examples=400, deadline=None)
@given(BODIES, st.sampled_from([0, limits.SEGMENT_FOLD_BYTES]))
def test_nonsense_under_right_checksums_refuses_or_stays_contiguous(
    records: list[tuple[RecordType, bytes]], fold_bytes: int
) -> None:
    """Including entry indexes near 2**64, which made another reader panic."""
    with patch.object(limits, "SEGMENT_FOLD_BYTES", fold_bytes):
        recovery = opened(segment(records))
    if recovery is None:
        return
    last = recovery.log.base.index
    for part in recovery.blocks:
        assert part.first == last + 1
        last = part.last
    assert last == recovery.log.last_index


@pytest.mark.parametrize("depth", [10, 1_000, 100_000])
def test_deep_messagepack_in_a_block_is_refused_where_it_must_be_opened(depth: int) -> None:
    deep = (RecordType.BLOCK, numbers(1, 3, 1, 0) + b"\x91" * depth)
    over = (RecordType.BLOCK, numbers(2, 2, 2, 0) + block(2, 1, 2).data)
    assert opened(segment([deep, over], size=SIZE + depth)) is None
    unopened = opened(segment([deep], size=SIZE + depth))
    assert unopened is not None
    assert unopened.blocks == [Block(1, 3, 1, b"\x91" * depth)]


def test_a_huge_sparse_file_is_refused_by_its_size() -> None:
    files = MemoryFiles()
    files.make_dir(WAL_DIR)
    files.create(f"{WAL_DIR}/{segment_name(1, 1)}").write(0, segment([]))
    files.size = lambda path: 1 << 40  # type: ignore[method-assign]  # what stat says of a sparse file
    with pytest.raises(Fatal, match="more than any log segment"):
        recover(files, WAL_DIR, 7, 9, segment_bytes=SIZE)
