"""Reading the log at start: what survived, what is proven, what must be cut, and when to refuse.

1. The newest segment is read to its end. What stands behind its last valid record decides (rule 2):
   zeros: a clean end; something else, and a later record proves that this place had been synced: damage, `Fatal` with
   file and offset; something else without such proof: the log is cut there, a copy of the cut bytes is kept as
   `<segment>.broken`, and the report says so. If no sector of the cut turn is still zeros it was written completely,
   so it may have been acknowledged: the cut is `suspect`.
2. Earlier segments are needed back to the one that holds the entry behind the last MARK. All they hold up to the place
   where the next one continues is proven, so any flaw there is damage.
3. Recovered is not durable (rule 1): records behind the last proven sync may exist in the page cache alone, and after a
   failed sync the kernel may never write them. So they are written again, to a new segment, which gets its name only
   after a sync, and which continues the old one from its last proven byte. Every start begins a segment of its own; a
   small last segment is taken over whole (`limits.SEGMENT_FOLD_BYTES`), so that restarts do not pile up files.
4. A later block replaces everything from its first index on (rule 15).

Reading (`examine`) changes nothing, so that offline tools can use it; only `recover` writes.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

from zetcd.base import limits
from zetcd.base.errors import Fatal, WireError
from zetcd.wal import frame
from zetcd.wal.frame import Mark, RecordType
from zetcd.wal.log import Log
from zetcd.wal.port import Files
from zetcd.wal.segments import BROKEN, TEMPORARY, Record, SegmentReader, parse_name, segment_names
from zetcd.wire.entry import Block, cut_block, split_block
from zetcd.wire.local import HardState

EMPTY = Mark(0, 0)
INITIAL = HardState()
INDEX_MAX = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Cut:
    """A tail that was cut. suspect: it may have been acknowledged."""

    file: str
    offset: int
    reason: str
    bytes_cut: int
    suspect: bool
    kept: str = ""  # where the copy of the cut bytes is


@dataclass(slots=True)
class Report:
    """What recovery found and did, for the log of the process."""

    directory: str
    fresh: bool = False
    segments: int = 0
    entries: int = 0
    cut: Cut | None = None
    rewritten_bytes: int = 0
    warnings: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Replay:
    """The log as its records say; blocks are contiguous and end at last_index."""

    last_index: int
    last_term: int
    floor: int = 0  # no block that ends here or below is kept
    base: Mark = EMPTY
    hard_state: HardState = INITIAL
    suspect: bool = False
    blocks: list[Block] = field(default_factory=list)

    def on_record(self, record: Record, path: str) -> None:
        """Apply one record; path is for the error."""
        if record.type is RecordType.BLOCK:
            self._on_block(frame.decode_block(record.body), path, record.offset)
        elif record.type is RecordType.HARD_STATE:
            self.hard_state = frame.decode_hard_state(record.body)
        elif record.type is RecordType.MARK:
            mark = frame.decode_mark(record.body)
            if mark.index > INDEX_MAX:
                raise Fatal(f"{path}: damaged at offset {record.offset}: index {mark.index}")
            self._on_mark(mark)

    def _on_block(self, block: Block, path: str, offset: int) -> None:
        if not 0 < block.first <= min(block.last, self.last_index + 1) or block.last > INDEX_MAX:
            raise Fatal(
                f"{path}: damaged at offset {offset}: entries {block.first}-{block.last} behind entry {self.last_index}"
            )
        blocks = self.blocks
        while blocks and blocks[-1].first >= block.first:
            blocks.pop()
        if blocks and blocks[-1].last >= block.first:
            blocks[-1] = _opened(cut_block, blocks[-1], block.first - 1, path)
        if block.last > self.floor:
            blocks.append(block)
        self.last_index, self.last_term = block.last, block.term

    def _on_mark(self, mark: Mark) -> None:
        if mark.flags & frame.RESET or mark.index > self.last_index:
            self.blocks.clear()
            self.last_index, self.last_term = mark.index, mark.term
            self.base = mark
        elif mark.index > self.base.index:
            self.base = mark
        if mark.flags & frame.CAUGHT_UP:
            self.suspect = False

    def finish(self, path: str) -> None:
        """Drop what the store has, and bring the commit index within the log: a cut turn may have taken its entries."""
        base = self.base.index
        self.blocks = [block for block in self.blocks if block.last > base]
        if self.blocks and self.blocks[0].first <= base:
            self.blocks[0] = _opened(split_block, self.blocks[0], base + 1, path)
        first = self.blocks[0].first if self.blocks else self.last_index + 1
        if first != base + 1:
            raise Fatal(f"{path}: entries {base + 1}-{first - 1} are missing")
        commit = max(min(self.hard_state.commit, self.last_index), base)
        self.hard_state = HardState(self.hard_state.term, self.hard_state.vote, commit)


def _opened(part: Callable[[Block, int], Block], block: Block, index: int, path: str) -> Block:
    try:
        return part(block, index)
    except WireError as error:
        raise Fatal(f"{path}: entries {block.first}-{block.last} do not decode: {error}") from None


@dataclass(slots=True)
class Examined:
    """The needed segments: those before the last one, unread, and the last one, read to its end.

    floor: the highest index that a MARK says the store has.
    """

    earlier: list[SegmentReader]
    last: SegmentReader
    floor: int
    cut: Cut | None
    leftovers: list[str]  # segments that do not count any more


def examine(port: Files, directory: str) -> Examined | None:
    """Read the newest segment and find the ones it needs; None where there is no log. Raises Fatal for damage."""
    names = segment_names(port, directory)
    if not names:
        return None
    last = open_reader(port, directory, names[-1])
    floor = 0
    for record in last.records():
        if record.type is RecordType.MARK:
            floor = max(floor, frame.decode_mark(record.body).index)
    cut = judge_tail(last)
    by_sequence = {sequence: name for name in names if (parsed := parse_name(name)) for sequence in parsed[:1]}
    earlier: list[SegmentReader] = []
    metadata = last.metadata
    while metadata.first_index - 1 > floor:
        name = by_sequence.get(metadata.previous_sequence)
        if name is None or metadata.previous_sequence >= metadata.sequence:
            missing = f"{metadata.previous_sequence:016x}-*.wal"
            raise Fatal(f"{directory}: log segment {missing} is missing: entries above {floor} were there")
        reader = open_reader(port, directory, name)
        if reader.metadata[:2] != metadata[:2]:
            raise Fatal(f"{reader.path}: belongs to another member than {last.path}")
        earlier.append(reader)
        metadata = reader.metadata
    earlier.reverse()
    needed = [reader.path for reader in earlier] + [last.path]
    leftovers = [name for name in names if f"{directory}/{name}" not in needed]
    return Examined(earlier, last, floor, cut, leftovers)


def open_reader(port: Files, directory: str, name: str) -> SegmentReader:
    """A reader whose METADATA is valid and agrees with the file's name."""
    reader = SegmentReader(port, f"{directory}/{name}")
    if parse_name(name) != (reader.metadata.sequence, reader.metadata.first_index):
        raise Fatal(f"{reader.path}: damaged at offset 0: the segment's head does not agree with its name")
    return reader


def judge_tail(reader: SegmentReader) -> Cut | None:
    """What the end of the newest segment means: clean (None), a cut, or Fatal. records() has been exhausted."""
    end = reader.end
    data_end = reader.data_end(end)
    if reader.size < reader.metadata.size:
        # No crash does this: the file had its full size before it got its name. What is gone may have been synced.
        raise Fatal(
            f"{reader.path}: damaged at offset {reader.size}: the file ends there, but was made {reader.metadata.size} "
            "bytes long"
        )
    if data_end == end and reader.turn_end <= end and not reader.flaw:
        return None
    reason = reader.flaw or "zeros where a record should be"
    proof = max(reader.proven, reader.synced_beyond(end, data_end))
    if proof > end:
        raise Fatal(f"{reader.path}: damaged at offset {end}: {reason}, below offset {proof} which had been synced")
    return Cut(reader.path, end, reason, data_end - end, suspect=not reader.looks_torn())


def replay_earlier(examined: Examined, replay: Replay) -> None:
    """Apply the records of all segments before the last. Raises Fatal for any flaw in them."""
    for reader, follower in pairwise([*examined.earlier, examined.last]):
        stop = follower.metadata.previous_end
        for record in reader.records(stop):
            replay.on_record(record, reader.path)
        if reader.end != stop or reader.crc != follower.metadata.previous_crc:
            reason = reader.flaw or "the next segment does not continue here"
            raise Fatal(
                f"{reader.path}: damaged at offset {reader.end}: {reason}; {follower.path} proves it was synced"
            )


@dataclass(slots=True)
class Recovery:
    """A log ready to be written, and what was in it: blocks continue base."""

    log: Log
    blocks: list[Block]
    report: Report


def recover(
    port: Files,
    directory: str,
    cluster: int,
    member: int,
    *,
    segment_bytes: int = limits.SEGMENT_BYTES,
    fsync: bool = True,
) -> Recovery:
    """Open the log in directory, which exists and is locked; cluster and member are for a new one. Raises Fatal."""
    report = Report(directory)
    for name in port.list_dir(directory):
        if name.endswith(TEMPORARY):
            port.remove(f"{directory}/{name}")
    examined = examine(port, directory)
    if examined is None:
        report.fresh = True
        log = Log(port, directory, cluster, member, segment_bytes=segment_bytes, fsync=fsync)
        log.open_segment(1, (0, 0, 0), (1, 0), frame.head_records(INITIAL, EMPTY))
        return Recovery(log, [], report)
    metadata = examined.last.metadata
    log = Log(port, directory, metadata.cluster, metadata.member, segment_bytes=segment_bytes, fsync=fsync)
    report.cut = _keep_broken(port, directory, examined.cut)
    blocks = _rewrite(port, directory, examined, log, report)
    report.segments = len(log.segments)
    report.entries = sum(block.count for block in blocks)
    return Recovery(log, blocks, report)


def _rewrite(port: Files, directory: str, examined: Examined, log: Log, report: Report) -> list[Block]:
    """Replay the log, open a new segment with all that is unproven, adopt the result in log; return the blocks."""
    last = examined.last
    metadata = last.metadata
    oldest = examined.earlier[0] if examined.earlier else last
    replay = Replay(oldest.metadata.first_index - 1, oldest.metadata.last_term, examined.floor)
    replay_earlier(examined, replay)
    fold = last.end <= limits.SEGMENT_FOLD_BYTES
    proven = last.proven
    carry: list[tuple[RecordType, bytes]] = []
    previous = (metadata.previous_sequence, metadata.previous_end, metadata.previous_crc)
    start = (metadata.first_index, metadata.last_term)
    replay.suspect = bool(metadata.suspect)
    for record in SegmentReader(port, last.path).records(last.end):
        if not fold and record.offset < proven:
            previous = (metadata.sequence, record.end, record.crc)
        elif record.type is not RecordType.SEAL:
            if not fold and not carry:
                start = (replay.last_index + 1, replay.last_term)
                carry += frame.head_records(replay.hard_state, replay.base)
            carry.append((record.type, record.body))
        replay.on_record(record, last.path)
    if not carry:
        start = (replay.last_index + 1, replay.last_term)
        carry += frame.head_records(replay.hard_state, replay.base)
    written = replay.hard_state
    replay.finish(last.path)
    if replay.hard_state != written:
        # The log must say what raft is told, or a later start, with new entries there, would believe the old commit.
        carry += frame.head_records(replay.hard_state, replay.base)[:1]
    log.hard_state, log.base = replay.hard_state, Mark(replay.base.index, replay.base.term)
    log.last_index, log.last_term = replay.last_index, replay.last_term
    log.suspect = replay.suspect or bool(report.cut and report.cut.suspect)
    log.segments.extend((reader.metadata.first_index, reader.path.rpartition("/")[2]) for reader in examined.earlier)
    if not fold:
        log.segments.append((metadata.first_index, last.path.rpartition("/")[2]))
    log.open_segment(metadata.sequence + 1, previous, start, carry)
    report.rewritten_bytes = log.end
    _tidy(port, directory, examined, 0 if fold else previous[1])
    log.purge()
    return replay.blocks


def _tidy(port: Files, directory: str, examined: Examined, keep: int) -> None:
    """The new segment counts now: remove or shorten what it replaces. A crash in between only leaves more to remove."""
    if keep:
        file = port.open(examined.last.path)
        file.truncate(keep)
        file.close()
    else:
        port.remove(examined.last.path)
    for name in examined.leftovers:
        port.remove(f"{directory}/{name}")


def _keep_broken(port: Files, directory: str, cut: Cut | None) -> Cut | None:
    """Copy what is cut, for whoever wants to look; only the newest few copies stay."""
    if cut is None or not cut.bytes_cut:
        return cut
    kept = cut.file + BROKEN
    copy = port.create(kept)
    for at in range(0, cut.bytes_cut, limits.MIB):
        copy.write(at, port.read(cut.file, cut.offset + at, min(limits.MIB, cut.bytes_cut - at)))
    copy.sync()
    copy.close()
    copies = [name for name in port.list_dir(directory) if name.endswith(BROKEN)]
    for name in copies[: -limits.BROKEN_FILES_MAX]:
        port.remove(f"{directory}/{name}")
    return Cut(cut.file, cut.offset, cut.reason, cut.bytes_cut, cut.suspect, kept)
