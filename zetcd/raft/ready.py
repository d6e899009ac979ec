"""What the core hands out: one `Ready` a turn.

Everything in it may be acted on at once and in parallel: blocks go to the wal and, ahead of their commit, to apply;
messages go to the peers. What has to wait for the disk (rule 5) is not in it: the core keeps such messages until
`Core.persisted` has covered the Ready they belong to.
"""

from dataclasses import dataclass, field

from msgspec import Struct

from zetcd.wire.entry import Block
from zetcd.wire.local import ConfState, HardState
from zetcd.wire.peer import PeerMessage

Context = tuple[int, int]
"""(origin, context) of one ReadIndex; never reused (rule 10)."""


class SoftState(Struct, frozen=True, gc=False):
    """What need not survive. leader 0: none known."""

    term: int
    leader: int
    is_leader: bool


class Position(Struct, frozen=True, gc=False):
    """An entry, named as commits and snapshots name it."""

    index: int
    term: int


class SnapshotMark(Struct, frozen=True):
    """A snapshot that replaces the whole log up to its position."""

    index: int
    term: int
    conf: ConfState


class ReadState(Struct, frozen=True):
    """These reads may be answered once index is applied. term: of the leadership that was confirmed for them."""

    index: int
    term: int
    contexts: list[Context]


@dataclass(slots=True)
class Ready:
    """number: of what is to be persisted, consecutive from 1; 0 where nothing is (no hard state, blocks, snapshot).

    commit: apply may execute up to here: committed and, on this member, durable (rule 3); None where it did not move.
    snapshots_wanted: members whose next entry this log no longer holds.
    """

    number: int = 0
    soft_state: SoftState | None = None
    hard_state: HardState | None = None
    blocks: list[Block] = field(default_factory=list)
    snapshot: SnapshotMark | None = None
    must_sync: bool = False
    commit: Position | None = None
    read_states: list[ReadState] = field(default_factory=list)
    reads_failed: list[Context] = field(default_factory=list)
    messages: list[PeerMessage] = field(default_factory=list)
    snapshots_wanted: list[int] = field(default_factory=list)
