"""The wal actor: owns the log files; one write, one fdatasync and one acknowledgement per turn.

At start it takes the locks, draws the epoch and recovers the log (rules 1, 2, 6); raft asks for what survived slice by
slice. From then on everything that raft sent before a turn ended is made durable in that turn, and raft and apply hear
`Persisted` with the number of the last Ready and the log's last entry (rule 4).
"""

from collections import deque
from dataclasses import dataclass
from typing import ClassVar

from zetcd.actors.actor import Actor, Peer
from zetcd.actors.measuring import WAL_BYTES, Meters, measured
from zetcd.base import limits
from zetcd.base.errors import Fatal
from zetcd.base.ids import Epoch
from zetcd.base.settings import Settings
from zetcd.host.logs import Logger, configure
from zetcd.wal.epoch import draw_epoch, lock_directory
from zetcd.wal.log import Log
from zetcd.wal.port import Files
from zetcd.wal.recovery import Report, recover
from zetcd.wire.entry import Block
from zetcd.wire.local import Blocks, HardState, Measure, Message, Persist, Persisted, Recover, Recovered, Release


@dataclass(frozen=True, slots=True)
class OpenedWal:
    """An open log under its locks: blocks are what survived behind log.base."""

    epoch: Epoch
    log: Log
    blocks: list[Block]
    report: Report


def open_wal(settings: Settings, port: Files, *, segment_bytes: int = limits.SEGMENT_BYTES) -> OpenedWal:
    """Lock both directories, draw the epoch, recover the log.

    Raises Fatal at once if another process holds a directory, and where the log is damaged.
    """
    holder = f"zetcd wal of {settings.name}"
    fsync = not settings.unsafe_no_fsync
    warnings = []
    for directory in dict.fromkeys((settings.member_dir, settings.wal_path)):
        made = lock_directory(port, directory, holder)
        if not made and (mode := port.mode(directory)) & 0o077:
            warnings.append(f"{directory} has mode {mode:04o}, others can read the log: 0700 is meant")
    epoch = draw_epoch(port, settings.member_dir, fsync=fsync)
    recovery = recover(
        port, settings.wal_path, settings.cluster_id, settings.member_id, segment_bytes=segment_bytes, fsync=fsync
    )
    recovery.report.warnings += warnings
    return OpenedWal(epoch, recovery.log, recovery.blocks, recovery.report)


class WalActor(Actor):
    """The log writer. epoch, cluster and member are what its Welcome says."""

    role: ClassVar[str] = "wal"

    def __init__(
        self,
        settings: Settings,
        port: Files,
        logger: Logger | None = None,
        *,
        segment_bytes: int = limits.SEGMENT_BYTES,
    ) -> None:
        super().__init__()
        opened = open_wal(settings, port, segment_bytes=segment_bytes)
        self.report = opened.report
        self.epoch = opened.epoch
        self.log = log = opened.log
        self.cluster = self.cluster_id = log.cluster
        self.member = self.member_id = log.member
        # What raft is told is fixed now: a Persist may change the log before the last slice has gone.
        self._recovered: deque[Block] | None = deque(opened.blocks)
        self._recovered_state: HardState = log.hard_state
        self._recovered_base = log.base
        self._recovered_suspect = log.suspect
        self._asker: Peer | None = None
        self._peers: list[Peer] = []
        self.meters: Meters = {}
        self._waiting: list[Persist | Release] = []
        self._number = 0
        self._owed: Persisted | None = None  # what raft has not been told yet
        self._owed_bytes = 0
        self._owed_due = False
        self._told_index = log.last_index
        self._idle_end = 0
        self._stopping = False
        _tell(opened.report, logger or configure(settings, "wal"))

    def on_peer(self, peer: Peer) -> None:
        """Raft or apply."""
        self._peers.append(peer)

    def on_lost(self, peer: Peer) -> None:
        """Shared fate is the supervisor's; nothing is sent to that life any more."""
        self._peers = [other for other in self._peers if other is not peer]

    def on_batch(self, peer: Peer, messages: list[Message]) -> None:
        """Collect what the turn must write; answer Recover."""
        for message in messages:
            if isinstance(message, Persist | Release):
                if self._recovered is not None:
                    raise Fatal("raft writes before it has read the whole log")
                self._waiting.append(message)
            elif isinstance(message, Recover):
                self._on_recover(peer)
            elif isinstance(message, Measure):
                self.send(peer, measured(message, "wal", {WAL_BYTES: self.log.written}, self.meters))
            else:
                raise Fatal(f"wal does not take {type(message).__name__} from {peer.role}")

    def _on_recover(self, peer: Peer) -> None:
        blocks = self._recovered
        if blocks is None or (self._asker is not None and self._asker is not peer):
            raise Fatal("the log is read once in a life of wal: raft, wal and apply start together")
        self._asker = peer
        size = 0
        part: list[Block] = []
        while blocks and (not part or size + len(blocks[0].data) <= limits.RECOVERY_FRAME_BYTES):
            size += len(blocks[0].data)
            part.append(blocks.popleft())
        done = not blocks
        if done:
            self._recovered = None
        base = self._recovered_base
        suspect = self._recovered_suspect
        self.send(peer, Recovered(self._recovered_state, base.index, base.term, part, done, suspect))

    def end_turn(self) -> None:
        """Write and sync what waits, then acknowledge it (rule 4)."""
        waiting = self._waiting
        if waiting:
            self.log.append(waiting)
            number = 0
            for message in waiting:
                if isinstance(message, Persist):
                    number = message.number
            self._waiting = []
            if number:
                if number <= self._number:
                    raise Fatal(f"Ready {number} comes after Ready {self._number}")
                self._number = number
                self._answer(waiting, Persisted(number, self.log.last_index, self.log.last_term))
        elif self._owed is not None and self._owed_due:
            self._tell_raft(self._owed)
        if self._stopping:
            self.log.seal()

    def _answer(self, turn: list[Persist | Release], answer: Persisted) -> None:
        """apply first, where it is handed blocks: under the grant the client waits for it alone, and raft may be told
        later. Otherwise apply goes by raft's word, and need not wake for this."""
        forward: list[Block] = []
        for message in turn:
            if isinstance(message, Persist):
                for block in message.blocks:
                    self._owed_bytes += len(block.data)
                if message.forward:
                    forward += message.blocks
                else:
                    self._owed_due = True
        for peer in self._peers if forward else ():
            if peer.role != "raft":
                self.send(peer, Blocks(answer.number, forward))
                self.send(peer, answer)
        self._owed = answer
        entries = answer.index - self._told_index
        if self._owed_due or self._owed_bytes >= limits.REPORT_STEP_BYTES or entries >= limits.REPORT_STEP_ENTRIES:
            self._tell_raft(answer)

    def _tell_raft(self, answer: Persisted) -> None:
        for peer in self._peers:
            if peer.role == "raft":
                self.send(peer, answer)
        self._owed, self._owed_bytes, self._owed_due = None, 0, False
        self._told_index = answer.index

    def on_tick(self, now_ms: int) -> None:  # noqa: ARG002 - time plays no part
        """Prepare the next segment; seal the log once nothing was written for a tick."""
        self._owed_due = self._owed is not None
        log = self.log
        log.prepare()
        if log.end == self._idle_end:
            log.seal()
        self._idle_end = log.end

    def on_stop(self) -> None:
        """Wal goes last: it writes whatever still comes, and leaves the log sealed."""
        self._stopping = True

    def stopped(self) -> bool:
        """Whether all that came has been written."""
        return not self._waiting


def _tell(report: Report, logger: Logger) -> None:
    """The report of recovery, in the process log; a cut is loud."""
    for warning in report.warnings:
        logger.warn(warning)  # noqa: G010 - our own Logger
    cut = report.cut
    if cut is not None:
        logger.error(
            "the log was cut",
            file=cut.file,
            offset=cut.offset,
            reason=cut.reason,
            bytes_cut=cut.bytes_cut,
            suspect_cut=cut.suspect,
            kept=cut.kept,
        )
    logger.info(
        "log recovered",
        directory=report.directory,
        fresh=report.fresh,
        segments=report.segments,
        entries=report.entries,
        rewritten_bytes=report.rewritten_bytes,
    )
