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

from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

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


class Point(NamedTuple):
    """What the log says at an offset of a segment, and the chain there: where another segment may continue it."""

    offset: int
    crc: int
    last_index: int
    last_term: int
    hard_state: HardState
    base: Mark


@dataclass(slots=True)
class Replay:
    """The log as its records say; blocks are contiguous, end at last_index and hold what lies behind base.

    lowest: the first index that was ever replaced, for what other segments hold of it.
    """

    last_index: int
    last_term: int
    base: Mark = EMPTY
    hard_state: HardState = INITIAL
    suspect: bool = False
    lowest: int = INDEX_MAX
    blocks: list[Block] = field(default_factory=list)

    def on_record(self, record: Record, path: str) -> None:
        """Apply one record; path is for the error."""
        if record.type is RecordType.BLOCK:
            self._on_block(frame.decode_block(record.body), path, record.offset)
        elif record.type is RecordType.HARD_STATE:
            self.hard_state = frame.decode_hard_state(record.body)
        elif record.type is RecordType.MARK:
            self._on_mark(frame.decode_mark(record.body), path, record.offset)

    def _on_block(self, block: Block, path: str, offset: int) -> None:
        if not 0 < block.first <= min(block.last, self.last_index + 1) or block.last > INDEX_MAX:
            raise Fatal(
                f"{path}: damaged at offset {offset}: entries {block.first}-{block.last} behind entry {self.last_index}"
            )
        self.put(block, path)

    def put(self, block: Block, path: str) -> None:
        """Rule 15: block replaces everything from its first index on."""
        if block.first <= self.last_index:
            self.truncate(block.first, path)
        if block.last > self.base.index:
            self.blocks.append(block)
        self.last_index, self.last_term = block.last, block.term

    def truncate(self, first: int, path: str) -> None:
        """Drop the entries from first on."""
        blocks = self.blocks
        self.lowest = min(self.lowest, first)
        while blocks and blocks[-1].first >= first:
            blocks.pop()
        if blocks and blocks[-1].last >= first:
            blocks[-1] = _opened(cut_block, blocks[-1], first - 1, path)

    def _on_mark(self, mark: Mark, path: str, offset: int) -> None:
        if mark.index > self.last_index:
            raise Fatal(f"{path}: damaged at offset {offset}: mark {mark.index} behind entry {self.last_index}")
        if mark.index > self.base.index:
            self.base = mark
            kept = bisect_right(self.blocks, mark.index, key=_last)
            del self.blocks[:kept]
        if mark.flags & frame.CAUGHT_UP:
            self.suspect = False

    def point(self, offset: int, crc: int) -> Point:
        """The state as it is now."""
        return Point(offset, crc, self.last_index, self.last_term, self.hard_state, self.base)

    def finish(self, path: str) -> None:
        """Drop what the store has, and bring the commit index within the log: a cut turn may have taken its entries."""
        base = self.base.index
        if self.blocks and self.blocks[0].first <= base:
            self.blocks[0] = _opened(split_block, self.blocks[0], base + 1, path)
        first = self.blocks[0].first if self.blocks else self.last_index + 1
        if first != base + 1:
            raise Fatal(f"{path}: entries {base + 1}-{first - 1} are missing")
        commit = max(min(self.hard_state.commit, self.last_index), base)
        self.hard_state = HardState(self.hard_state.term, self.hard_state.vote, commit)


def _last(block: Block) -> int:
    return block.last


def _opened(part: Callable[[Block, int], Block], block: Block, index: int, path: str) -> Block:
    try:
        return part(block, index)
    except WireError as error:
        raise Fatal(f"{path}: entries {block.first}-{block.last} do not decode: {error}") from None


@dataclass(slots=True)
class Examined:
    """What a log holds, without anything changed.

    replay: the log itself. point: the last proven place of the last segment; unproven: the records behind it.
    """

    replay: Replay
    earlier: list[SegmentReader]
    last: SegmentReader
    point: Point
    unproven: list[Record]
    cut: Cut | None
    leftovers: list[str]  # segments that do not count any more


def examine(port: Files, directory: str) -> Examined | None:
    """Read the newest segment and the earlier ones it needs; None where there is no log. Raises Fatal for damage."""
    names = segment_names(port, directory)
    if not names:
        return None
    last = open_reader(port, directory, names[-1])
    replay, point, unproven = _read_last(last)
    cut = judge_tail(last)
    earlier = _earlier(port, directory, names, last, replay.base.index)
    if earlier:
        replay = _prepend(earlier, last, replay)
    written = replay.hard_state
    replay.finish(last.path)
    if replay.hard_state != written:
        # The log must say what raft is told, or a later start, with new entries there, would believe the old commit.
        kind, body = frame.head_records(replay.hard_state, replay.base)[0]
        unproven.append(Record(last.end, kind, 0, 0, 0, body))
    needed = [reader.path for reader in earlier] + [last.path]
    leftovers = [name for name in names if f"{directory}/{name}" not in needed]
    return Examined(replay, earlier, last, point, unproven, cut, leftovers)


def _read_last(reader: SegmentReader) -> tuple[Replay, Point, list[Record]]:
    """Replay the newest segment from its head; keep what lies behind the last proven place."""
    metadata = reader.metadata
    replay = Replay(metadata.first_index - 1, metadata.last_term, suspect=bool(metadata.suspect))
    unproven: deque[tuple[Point, Record]] = deque()
    proven = reader.proven
    before = reader.crc
    for record in reader.records():
        if record.synced > proven:
            proven = record.synced
            while unproven and unproven[0][0].offset < proven:
                unproven.popleft()
        if record.offset >= proven:
            unproven.append((replay.point(record.offset, before), record))
        replay.on_record(record, reader.path)
        before = record.crc
    point = unproven[0][0] if unproven else replay.point(reader.end, reader.crc)
    return replay, point, [record for _, record in unproven]


def _earlier(port: Files, directory: str, names: list[str], last: SegmentReader, base: int) -> list[SegmentReader]:
    """The segments before last that hold entries behind base, oldest first."""
    by_sequence = {sequence: name for name in names for sequence in (parse_name(name) or ())[:1]}
    earlier: list[SegmentReader] = []
    metadata = last.metadata
    while metadata.first_index - 1 > base:
        name = by_sequence.get(metadata.previous_sequence)
        if name is None or metadata.previous_sequence >= metadata.sequence:
            missing = f"{metadata.previous_sequence:016x}-*.wal"
            raise Fatal(f"{directory}: log segment {missing} is missing: entries above {base} were there")
        reader = open_reader(port, directory, name)
        if reader.metadata[:2] != metadata[:2]:
            raise Fatal(f"{reader.path}: belongs to another member than {last.path}")
        earlier.append(reader)
        metadata = reader.metadata
    earlier.reverse()
    return earlier


def _prepend(earlier: list[SegmentReader], last: SegmentReader, newest: Replay) -> Replay:
    """The whole log: what earlier segments hold, then what the newest does. Raises Fatal for any flaw in the former."""
    metadata = earlier[0].metadata
    whole = Replay(metadata.first_index - 1, metadata.last_term)
    for reader, follower in pairwise([*earlier, last]):
        stop = follower.metadata.previous_end
        for record in reader.records(stop):
            whole.on_record(record, reader.path)
        if reader.end != stop or reader.crc != follower.metadata.previous_crc:
            reason = reader.flaw or "the next segment does not continue here"
            raise Fatal(
                f"{reader.path}: damaged at offset {reader.end}: {reason}; {follower.path} proves it was synced"
            )
    whole.truncate(newest.lowest, last.path)
    for block in newest.blocks:
        whole.put(block, last.path)
    newest.blocks = whole.blocks[bisect_right(whole.blocks, newest.base.index, key=_last) :]
    return newest


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
    _adopt(examined, log, suspect=bool(report.cut and report.cut.suspect))
    _rewrite(port, directory, examined, log)
    report.rewritten_bytes = log.end
    report.segments = len(log.segments)
    report.entries = sum(block.count for block in examined.replay.blocks)
    return Recovery(log, examined.replay.blocks, report)


def _adopt(examined: Examined, log: Log, *, suspect: bool) -> None:
    replay = examined.replay
    log.hard_state, log.base = replay.hard_state, Mark(replay.base.index, replay.base.term)
    log.last_index, log.last_term = replay.last_index, replay.last_term
    log.suspect = replay.suspect or suspect
    log.segments.extend((reader.metadata.first_index, reader.path.rpartition("/")[2]) for reader in examined.earlier)


def _rewrite(port: Files, directory: str, examined: Examined, log: Log) -> None:
    """Rule 1: open a new segment that begins with all that is unproven; the last one shrinks to what is proven."""
    last, point = examined.last, examined.point
    metadata = last.metadata
    unproven: list[tuple[RecordType, bytes]] = [
        (record.type, record.body) for record in examined.unproven if record.type is not RecordType.SEAL
    ]
    if last.end <= limits.SEGMENT_FOLD_BYTES:
        carry: list[tuple[RecordType, bytes]] = [
            (record.type, record.body)
            for record in SegmentReader(port, last.path).records(min(point.offset, last.end))
            if record.type is not RecordType.SEAL
        ]
        previous = (metadata.previous_sequence, metadata.previous_end, metadata.previous_crc)
        start = (metadata.first_index, metadata.last_term)
        keep = 0
    else:
        carry = frame.head_records(point.hard_state, point.base)
        previous = (metadata.sequence, point.offset, point.crc)
        start = (point.last_index + 1, point.last_term)
        keep = point.offset
        log.segments.append((metadata.first_index, last.path.rpartition("/")[2]))
    log.open_segment(metadata.sequence + 1, previous, start, [*carry, *unproven])
    _tidy(port, directory, examined, keep)
    log.purge()


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
