"""The log as it is written: turns appended to the current segment, segments cut, prepared ahead and purged.

Safety rules kept here (docs/architecture.md):

- one turn is one write and at most one fdatasync; what was appended is durable when `append` returns;
- rule 2: every record carries the offset synced before its turn;
- rule 4: order is kept, and `last_index`, `last_term` after a turn are exact;
- rule 5: a changed term or vote is synced even where the caller did not ask for it;
- decision 6: a segment goes only when a durable MARK says that the store has all of it;
- decision 13: whatever the port raises is Fatal, nothing is tried twice.
"""

from collections import deque
from collections.abc import Sequence

from zetcd.base import limits
from zetcd.base.errors import Fatal
from zetcd.wal import frame
from zetcd.wal.frame import Encoder, Mark, Metadata, RecordType
from zetcd.wal.port import File, Files
from zetcd.wal.segments import TEMPORARY, segment_name
from zetcd.wire.local import HardState, Persist, Release

NEXT = "next" + TEMPORARY


class Log:
    """The writer of one member's log. Made by `zetcd.wal.recovery`, which opens its first segment."""

    def __init__(
        self, port: Files, directory: str, cluster: int, member: int, *, segment_bytes: int, fsync: bool
    ) -> None:
        self._port = port
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._fsync = fsync
        self.cluster = cluster
        self.member = member
        self.hard_state = HardState()
        self.base = Mark(0, 0)
        self.last_index = 0
        self.last_term = 0
        self.suspect = False
        self.segments: deque[tuple[int, str]] = deque()  # (first index, name), oldest first
        self.end = 0  # where the next record goes
        self.synced = 0  # everything below is on the disk
        self.written = 0  # bytes of turns, in this life
        self._sealed = True  # a record behind the last turn proves that it was synced
        self._file: File | None = None
        self._encoder = Encoder(0, 0)
        self._sequence = 0
        self._next: File | None = None
        self._next_bytes = 0
        self._purge = False

    # -- appending -----------------------------------------------------------------------------------------------------
    def append(self, turn: Sequence[Persist | Release]) -> None:
        """Write everything in turn, in order; on return it is durable as far as anything in it asked for that."""
        size, sync, reset = self._plan(turn)
        if reset is not None:
            self._append_with_reset(turn, reset)
            return
        if size == 0:
            return
        if self.end + size > self._segment_bytes:
            self._make_room(size)
        self._write(turn, size)
        if sync or self._purge:
            self._sync()
        if self._purge:
            self.purge()

    def _plan(self, turn: Sequence[Persist | Release]) -> tuple[int, bool, int | None]:
        """Bytes that turn takes, whether it must be synced, and which of its messages starts the log anew (None: none).

        Raises Fatal for what would leave a hole in the log.
        """
        sync, size = False, 0
        base, last = self.base.index, self.last_index
        term, vote = self.hard_state.term, self.hard_state.vote
        for at, message in enumerate(turn):
            if isinstance(message, Persist):
                if message.snapshot_index:
                    return size, sync, at
                state = message.hard_state
                if state is not None:
                    size += frame.FIXED_RECORD_BYTES
                    sync = sync or state.term != term or state.vote != vote
                for block in message.blocks:
                    if not base < block.first <= last + 1 or block.last < block.first:
                        raise Fatal(f"entries {block.first}-{block.last} do not continue the log {base + 1}-{last}")
                    size += frame.block_record_bytes(block)
                    last = block.last
                    sync = True
                if message.caught_up and self.suspect:
                    size += frame.FIXED_RECORD_BYTES
                sync = sync or message.sync
            elif message.index > base:
                if message.index > last:
                    return size, sync, at
                size += frame.FIXED_RECORD_BYTES
                base = message.index
        return size, sync, None

    def _append_with_reset(self, turn: Sequence[Persist | Release], at: int) -> None:
        """What comes before message `at`, then a new log that starts behind its index, then the rest."""
        self.append(turn[:at])
        message = turn[at]
        rest = list(turn[at + 1 :])
        if isinstance(message, Persist):
            start = Mark(message.snapshot_index, message.snapshot_term)
            self.hard_state = message.hard_state or self.hard_state
            rest.insert(0, Persist(message.number, None, message.blocks, caught_up=message.caught_up))
        else:
            start = Mark(message.index, message.term)
        self.base = start
        self.last_index, self.last_term = start.index, start.term
        # The head of the next segment says it all, and its name appears at once or not at all (rule 7).
        self._cut()
        self.purge()
        self.append(rest)

    def _write(self, turn: Sequence[Persist | Release], size: int) -> None:
        encoder = self._encoder
        encoder.begin(self.synced, size)
        for message in turn:
            if isinstance(message, Persist):
                if message.hard_state is not None:
                    self.hard_state = message.hard_state
                    encoder.hard_state(message.hard_state)
                for block in message.blocks:
                    encoder.block(block)
                    self.last_index = block.last
                    self.last_term = block.term
                if message.caught_up and self.suspect:
                    self.suspect = False
                    self._mark(Mark(self.base.index, self.base.term, frame.CAUGHT_UP))
            elif message.index > self.base.index:
                self._mark(Mark(message.index, message.term))
        assert self._file is not None
        self._file.write(self.end, encoder.finish())
        self.end += size
        self.written += size
        self._sealed = False

    def _mark(self, mark: Mark) -> None:
        self._encoder.mark(mark)
        self.base = Mark(mark.index, mark.term)
        segments = self.segments
        self._purge = self._purge or (len(segments) > 1 and segments[1][0] <= mark.index + 1)

    def _sync(self) -> None:
        assert self._file is not None
        if self._fsync:
            self._file.sync()
        self.synced = self.end

    def seal(self) -> None:
        """The log fell idle: prove the last turn. Not synced: the turn is durable without it."""
        if self._sealed or self.synced != self.end:
            return
        assert self._file is not None
        self._encoder.begin(self.synced, frame.SEAL_RECORD_BYTES)
        self._encoder.plain(RecordType.SEAL, b"")
        self._file.write(self.end, self._encoder.finish())
        self.end += frame.SEAL_RECORD_BYTES
        self._sealed = True

    # -- segments ------------------------------------------------------------------------------------------------------
    def open_segment(
        self,
        sequence: int,
        previous: tuple[int, int, int],
        start: tuple[int, int],
        carry: Sequence[tuple[RecordType, bytes]],
    ) -> None:
        """Begin a segment: previous as (sequence, end, crc), start as (first index, term before it).

        carry are the records it starts with, HARD_STATE and MARK first. All of it is on the disk when this returns.
        """
        initial = frame.METADATA_RECORD_BYTES
        for _, body in carry:
            initial += frame.HEADER_BYTES + frame.padded(len(body))
        size = max(self._segment_bytes, initial)
        temporary = f"{self._directory}/{NEXT}"
        if self._next is None:
            self._next, self._next_bytes = self._port.create(temporary), 0
        if self._next_bytes < size:
            self._next.allocate(self._next_bytes, size - self._next_bytes)
        self._file, self._next = self._next, None
        encoder = self._encoder
        encoder.begin(0, initial)
        encoder.metadata(
            Metadata(self.cluster, self.member, sequence, *previous, *start, initial, size, int(self.suspect))
        )
        for kind, body in carry:
            encoder.plain(kind, body)
        self._file.write(0, encoder.finish())
        name = segment_name(sequence, start[0])
        if self._fsync:
            self._file.sync()
        self._port.rename(temporary, f"{self._directory}/{name}")
        if self._fsync:
            self._port.sync_dir(self._directory)
        self._sequence = sequence
        self.end = self.synced = initial
        self._sealed = True
        self.segments.append((start[0], name))

    def _make_room(self, size: int) -> None:
        """Cut the segment where the next turn would not fit, unless that turn is larger than any segment."""
        end = self.end + size
        if end > limits.SEGMENT_FILE_BYTES_MAX:
            raise Fatal(f"a turn of {size} bytes is more than a log segment may have")
        if self.end > frame.HEAD_BYTES:
            self._cut()

    def _cut(self) -> None:
        """Continue in a new segment; what the former one holds is synced first."""
        if self.synced != self.end:
            self._sync()
        former, former_end = self._file, self.end
        assert former is not None
        self.open_segment(
            self._sequence + 1,
            (self._sequence, former_end, self._encoder.crc),
            (self.last_index + 1, self.last_term),
            frame.head_records(self.hard_state, self.base),
        )
        former.truncate(former_end)
        former.close()

    def prepare(self) -> None:
        """Allocate a slice of the next segment ahead of its need; called every tick, so no turn waits for all of it."""
        if self.end * 2 < self._segment_bytes:
            return
        if self._next is None:
            self._next, self._next_bytes = self._port.create(f"{self._directory}/{NEXT}"), 0
        if self._next_bytes >= self._segment_bytes:
            return
        length = min(limits.SEGMENT_PREPARE_BYTES, self._segment_bytes - self._next_bytes)
        self._next.allocate(self._next_bytes, length)
        self._next_bytes += length

    def purge(self) -> None:
        """Remove the segments whose entries the store has, all at or below the durable MARK; never the current one."""
        segments = self.segments
        # A log that started anew goes back in index: what counts is the newest segment that needs none before it.
        needed = max((at for at, (first, _) in enumerate(segments) if first <= self.base.index + 1), default=0)
        for _ in range(needed):
            _, name = segments.popleft()
            self._port.remove(f"{self._directory}/{name}")
        self._purge = False

    def close(self) -> None:
        """Forget the files; nothing is synced."""
        for file in (self._file, self._next):
            if file is not None:
                file.close()
        self._file = self._next = None
