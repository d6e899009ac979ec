"""What one Raft core is told at its birth."""

from dataclasses import dataclass

from zetcd.base import limits


@dataclass(frozen=True, slots=True)
class Config:
    """member: own id. Ticks are calls of `Core.tick`; an election timeout is drawn from [election_ticks, 2 x)."""

    member: int
    election_ticks: int = limits.ELECTION_TIMEOUT_DEFAULT_MS // limits.HEARTBEAT_INTERVAL_DEFAULT_MS
    heartbeat_ticks: int = 1
    pre_vote: bool = True
    check_quorum: bool = True
    uncommitted_bytes_max: int = limits.UNCOMMITTED_BYTES_MAX
    block_bytes_max: int = limits.BLOCK_BYTES_MAX
    append_bytes_max: int = limits.MIB  # of one Append; one larger block stands alone
    inflight_messages_max: int = limits.INFLIGHT_MESSAGES_MAX
    inflight_bytes_max: int = limits.INFLIGHT_BYTES_PER_FOLLOWER
    catchup_entries: int = limits.SNAPSHOT_CATCHUP_ENTRIES_DEFAULT
    log_bytes_max: int = limits.LOG_CACHE_BYTES_MAX
