"""The table of links inside a member: who owns the socket, who dials, what bounds it, what happens when it is full.

All links have one shape: the owner binds ROUTER (mandatory), the dialer connects DEALER with the
routing id ``role:number:incarnation``. Nothing sent here may be dropped; bounds are byte windows kept by the sender,
and the high-water mark (`limits.LINK_FRAMES_MAX`) is a tripwire whose hit ends the process.
"""

from dataclasses import dataclass

from zetcd.base import limits


@dataclass(frozen=True, slots=True)
class Route:
    """One link. fate: both ends live and die together, so a gap in the sequence ends the process; otherwise the
    dialer resyncs with a new incarnation."""

    owner: str
    dialer: str
    fate: bool
    bound: str
    when_full: str


ROUTES = (
    Route("wal", "raft", True, f"PERSIST_INFLIGHT_BYTES_MAX = {limits.PERSIST_INFLIGHT_BYTES_MAX}",
          "raft keeps the blocks in its log and refuses proposals over UNCOMMITTED_BYTES_MAX"),
    Route("wal", "apply", True, "one Persisted a turn of wal", "cannot fill: raft's window on wal bounds it"),
    Route("raft", "apply", True, f"APPLY_INFLIGHT_BYTES_MAX = {limits.APPLY_INFLIGHT_BYTES_MAX}; "
          f"of snapshots SNAPSHOT_WINDOW_CHUNKS = {limits.SNAPSHOT_WINDOW_CHUNKS} each way",
          "raft keeps the blocks in its log until Applied returns credit; the sender reads no further chunk"),
    Route("raft", "api", False, f"INFLIGHT_BYTES_MAX = {limits.INFLIGHT_BYTES_MAX}",
          "api answers too many requests"),
    Route("raft", "lease", False, f"LEASE_REVOKES_INFLIGHT_MAX = {limits.LEASE_REVOKES_INFLIGHT_MAX}",
          "lease waits with further revocations"),
    Route("apply", "api", False, f"FEED_UNACKED_BYTES_MAX = {limits.FEED_UNACKED_BYTES_MAX}; "
          f"ANSWERS_UNREAD_BYTES_MAX = {limits.ANSWERS_UNREAD_BYTES_MAX}; other replies by admission",
          "feed frames say gap, and api reads history once it has caught up; reads wait in apply"),
    Route("apply", "lease", False, "changes of one applied batch", "bounded by raft's window on apply"),
    Route("lease", "api", False, f"INFLIGHT_REQUESTS_MAX = {limits.INFLIGHT_REQUESTS_MAX}",
          "api answers too many requests"),
)  # fmt: skip

OWNERS = ("wal", "raft", "apply", "lease")
ROLES = ("wal", "raft", "apply", "lease", "api")
FATE_GROUP = ("wal", "raft", "apply")
PROCESSES = (*ROLES, "gateway")
"""What a member may consist of. The gateway is no actor and has no link: it is a client of api."""
NUMBERED = ("api", "gateway")
"""Of these there may be several."""


def title(role: str, number: int) -> str:
    """What role's number-th process is called in logs and messages: ``wal``, ``api-1``."""
    return f"{role}-{number}" if role in NUMBERED else role


def dials(role: str) -> tuple[str, ...]:
    """The owners that role connects to."""
    return tuple(route.owner for route in ROUTES if route.dialer == role)


def owned(role: str) -> bool:
    """Whether role binds a socket."""
    return role in OWNERS


def endpoint(owner: str) -> str:
    """ZeroMQ address of owner's socket, relative to the member directory."""
    return f"ipc://run/{owner}.sock"


def is_fate(one: str, other: str) -> bool:
    """Whether the two roles share fate."""
    return one in FATE_GROUP and other in FATE_GROUP
