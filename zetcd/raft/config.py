"""What one Raft core is told at its birth."""

from dataclasses import dataclass

from zetcd.base import limits
from zetcd.base.errors import Refusal


@dataclass(frozen=True, slots=True)
class Config:
    """member: own id. Ticks are calls of `Core.tick`; an election timeout is drawn from [election_ticks, 2 x).

    lease_reads: a leader answers linearizable reads without a round of heartbeats while a majority has lately promised
    not to elect anybody else (thesis section 6.4.1). Its lease is half an election timeout from when the round it rests
    on was sent; a follower's promise is a whole one from when it arrived. THE CLOCK ASSUMPTION: no member's ticks come
    1.5 times as slowly as another's, and a leader that stood still is told so (`Core.void_lease`) after a read has
    arrived and before it is taken. Where that fails, reads are stale and nothing notices; so it is off by default. A
    member without it promises nothing, and does not count towards a lease. Raises Refusal without check_quorum.
    """

    member: int
    election_ticks: int = limits.ELECTION_TIMEOUT_DEFAULT_MS // limits.HEARTBEAT_INTERVAL_DEFAULT_MS
    heartbeat_ticks: int = 1
    pre_vote: bool = True
    check_quorum: bool = True
    lease_reads: bool = False
    uncommitted_bytes_max: int = limits.UNCOMMITTED_BYTES_MAX
    block_bytes_max: int = limits.BLOCK_BYTES_MAX
    append_bytes_max: int = limits.MIB  # of one Append; one larger block stands alone
    inflight_messages_max: int = limits.INFLIGHT_MESSAGES_MAX
    inflight_bytes_max: int = limits.INFLIGHT_BYTES_PER_FOLLOWER
    catchup_entries: int = limits.SNAPSHOT_CATCHUP_ENTRIES_DEFAULT
    snapshot_count: int = 0  # the log is cut once it holds so many applied entries more than catchup_entries
    pin_ticks: int = limits.SNAPSHOT_PIN_TICKS
    log_bytes_max: int = limits.LOG_CACHE_BYTES_MAX  # twice that while a snapshot is on its way (rule 7)

    def __post_init__(self) -> None:
        if self.lease_reads and not self.check_quorum:
            raise Refusal("lease-based reads need CheckQuorum: without it nobody promises to keep a leader")
