"""One api process as apply sees it."""

from dataclasses import dataclass, field

from zetcd.actors.actor import Peer
from zetcd.wire.queries import Read
from zetcd.wire.results import Result


@dataclass(slots=True, eq=False)
class ApiLink:
    """level: of the feed it wants; unacked, unread: bytes of feed and of large answers it has not returned credit for;
    held: reads that wait for the latter; context: the newest of its read batches; quiet: no feed went there since the
    last tick; replies: of this turn."""

    peer: Peer
    level: int = 0
    unacked: int = 0
    unread: int = 0
    held: list[Read] = field(default_factory=list)
    context: int = 0
    quiet: bool = True
    replies: list[tuple[int, Result]] = field(default_factory=list)
