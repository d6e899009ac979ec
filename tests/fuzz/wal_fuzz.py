"""Coverage-guided fuzzing of recovery: `python tests/fuzz/wal_fuzz.py -runs=100000 -max_len=4096 [corpus]`.

An input is either a whole segment file, or a list of records that get right checksums so that the code behind the
checksums is reached. Only Fatal may come out; what is recovered is contiguous, and recovering again gives the same.
"""

import sys

import atheris

with atheris.instrument_imports(include=["zetcd.wal", "zetcd.wire.entry"]):
    from zetcd.base.errors import Fatal
    from zetcd.wal import frame
    from zetcd.wal.frame import Encoder, Mark, Metadata, RecordType
    from zetcd.wal.memory import MemoryFiles
    from zetcd.wal.recovery import recover
    from zetcd.wal.segments import segment_name
    from zetcd.wire.local import HardState

DIRECTORY = "/wal"
SIZE = 4096
KINDS = (RecordType.HARD_STATE, RecordType.MARK, RecordType.BLOCK, RecordType.SEAL)


def segment(source: "atheris.FuzzedDataProvider") -> bytes:
    """A segment of the records that source tells, with right checksums."""
    encoder = Encoder(0, 0)
    encoder.begin(0, frame.HEAD_BYTES)
    encoder.metadata(Metadata(7, 9, 1, 0, 0, 0, 1, 0, frame.HEAD_BYTES, SIZE))
    for kind, body in frame.head_records(HardState(), Mark(0, 0)):
        encoder.plain(kind, body)
    data = encoder.finish()
    records = []
    for _ in range(source.ConsumeIntInRange(0, 8)):
        kind = KINDS[source.ConsumeIntInRange(0, 3)]
        numbers = b"".join(source.ConsumeIntInRange(0, 12).to_bytes(8, "little") for _ in range(4))
        size = {RecordType.BLOCK: 32, RecordType.SEAL: 0}.get(kind, 24)
        extra = source.ConsumeBytes(source.ConsumeIntInRange(0, 80)) if kind is RecordType.BLOCK else b""
        records.append((kind, numbers[:size] + extra))
    encoder.begin(len(data), sum(frame.HEADER_BYTES + frame.padded(len(body)) for _, body in records))
    for kind, body in records:
        encoder.plain(kind, body)
    return (data + encoder.finish()).ljust(SIZE, b"\0")


def one(data: bytes) -> None:
    """One input."""
    source = atheris.FuzzedDataProvider(data)
    content = segment(source) if source.ConsumeBool() else bytes(source.ConsumeBytes(1 << 16))
    files = MemoryFiles()
    files.make_dir(DIRECTORY)
    files.create(f"{DIRECTORY}/{segment_name(1, 1)}").write(0, content)
    try:
        first = recover(files, DIRECTORY, 7, 9, segment_bytes=SIZE)
    except Fatal:
        return
    last = first.log.base.index
    for block in first.blocks:
        assert block.first == last + 1
        last = block.last
    assert last == first.log.last_index
    files.kill()
    second = recover(files, DIRECTORY, 7, 9, segment_bytes=SIZE)
    assert (second.blocks, second.log.base, second.log.hard_state) == (
        first.blocks,
        first.log.base,
        first.log.hard_state,
    )


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
