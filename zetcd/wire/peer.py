"""Messages between members (Raft section 5 and 6, etcd-io/raft). Positional arrays with an integer tag.

Any of them may be lost, repeated, delayed or reordered; the core stands all of that. `term` is the sender's term,
except in a pre-vote request and its grant, where it is the term the candidate would start.

A frame is a list of messages. Towards each other member a member has three lanes, each a connection of its own, so that
nothing queues behind bulk: CONTROL, DATA (Append) and SNAPSHOT. Each begins with a PeerHello, which travels in the same
frame as the first messages; the answers to it come back on the lane.
"""

from typing import ClassVar

import msgspec
from msgspec import Struct

from zetcd.base.errors import WireError
from zetcd.wire.entry import Block
from zetcd.wire.local import ConfState, LeaseAnswer, LeaseAsk
from zetcd.wire.results import MemberRow

PROTOCOL = 1
"""Of these messages. A member refuses another one by name, so that both logs say it."""
CONTROL, DATA, SNAPSHOT = 0, 1, 2
LANES = ("control", "data", "snapshot")


class Vote(Struct, frozen=True, array_like=True, tag=1, gc=False):
    """RequestVote. pre: only asks whether it would be granted (thesis section 9.6); transfer: the leader itself asked
    for this election, so that its lease does not count. commit and commit_term: an entry the sender knows to be
    committed, which whoever holds it too then knows as well (`Core.step`)."""

    term: int
    source: int
    target: int
    last_index: int
    last_term: int
    pre: bool = False
    transfer: bool = False
    commit: int = 0
    commit_term: int = 0


class VoteReply(Struct, frozen=True, array_like=True, tag=2, gc=False):
    """Waits for the voter's hard state (rule 5). commit and commit_term: as in `Vote`."""

    term: int
    source: int
    target: int
    granted: bool
    pre: bool = False
    commit: int = 0
    commit_term: int = 0


class Append(Struct, frozen=True, array_like=True, tag=3):
    """AppendEntries: blocks, adjacent, directly after (previous_index, previous_term); none for a bare commit. quiet:
    only a refusal is worth an answer."""

    term: int
    source: int
    target: int
    previous_index: int
    previous_term: int
    commit: int
    blocks: list[Block]
    quiet: bool = False


class AppendReply(Struct, frozen=True, array_like=True, tag=4, gc=False):
    """Waits for the follower's sync (rule 5). index: what matches, or the previous_index refused; then the hint is the
    last position at which the logs may still agree (thesis section 5.3's optimisation, by term)."""

    term: int
    source: int
    target: int
    index: int
    rejected: bool = False
    hint_index: int = 0
    hint_term: int = 0


class Heartbeat(Struct, frozen=True, array_like=True, tag=5, gc=False):
    """commit is never above what the target is known to hold. round counts within the term and is echoed (rule 10)."""

    term: int
    source: int
    target: int
    commit: int
    round: int


class HeartbeatReply(Struct, frozen=True, array_like=True, tag=6, gc=False):
    """Confirms the leader of term for every read that joined round or an earlier one. promised: and helps to elect no
    other for an election timeout (thesis section 6.4.1)."""

    term: int
    source: int
    target: int
    round: int
    promised: bool = False


class TimeoutNow(Struct, frozen=True, array_like=True, tag=7, gc=False):
    """The leader hands over: campaign at once (thesis section 3.10)."""

    term: int
    source: int
    target: int


class ReadIndexAsk(Struct, frozen=True, array_like=True, tag=8, gc=False):
    """Follower to leader: reads that want an index (thesis section 6.4)."""

    term: int
    source: int
    target: int
    contexts: list[tuple[int, int]]


class ReadIndexAnswer(Struct, frozen=True, array_like=True, tag=9, gc=False):
    """Leader to follower: leadership was confirmed after the reads had arrived."""

    term: int
    source: int
    target: int
    contexts: list[tuple[int, int]]
    index: int


class Snapshot(Struct, frozen=True, array_like=True, tag=10, gc=False):
    """Leader to follower: the state at (index, last_term) has arrived in full beside the store and is synced; step it
    into the core (rule 7). conf is the configuration at index."""

    term: int
    source: int
    target: int
    index: int
    last_term: int
    conf: ConfState


PeerMessage = (
    Vote
    | VoteReply
    | Append
    | AppendReply
    | Heartbeat
    | HeartbeatReply
    | TimeoutNow
    | ReadIndexAsk
    | ReadIndexAnswer
    | Snapshot
)


# -- opening a lane ------------------------------------------------------------------------------------------------
class PeerHello(Struct, frozen=True, array_like=True, tag=20, gc=False):
    """Dialer to listener, first of all on a lane: who it is, and whom it means. incarnation: of the raft process.
    urls: where the dialer listens for peers; for a listener that does not know it from the log yet."""

    version: int
    cluster: int
    member: int
    target: int
    incarnation: int
    lane: int
    name: str = ""
    urls: list[str] = []


class PeerWelcome(Struct, frozen=True, array_like=True, tag=21, gc=False):
    """Listener to dialer: taken."""

    member: int
    incarnation: int
    name: str = ""


class PeerRefusal(Struct, frozen=True, array_like=True, tag=22, gc=False):
    """Listener to dialer: not taken, for reason, which both sides log. kind REMOVED: the dialer was removed from the
    cluster and is to stop."""

    OTHER: ClassVar[int] = 0
    REMOVED: ClassVar[int] = 1

    member: int
    kind: int
    reason: str


class PeerUnknown(Struct, frozen=True, array_like=True, tag=23, gc=False):
    """Listener to dialer: frames came on a lane that said no hello to this life of the listener: say it again."""

    member: int


class MembersAsk(Struct, frozen=True, array_like=True, tag=24, gc=False):
    """From anybody who was told of this member, without a hello: who is in the cluster?"""

    version: int


class MembersAnswer(Struct, frozen=True, array_like=True, tag=25, gc=False):
    """The members as far as the answerer has applied; none while it knows of none."""

    version: int
    cluster: int
    member: int
    members: list[MemberRow]


# -- beside the core -----------------------------------------------------------------------------------------------
class Forward(Struct, frozen=True, array_like=True, tag=26, gc=False):
    """Follower to leader: a Propose of the follower's process `origin`. Taken once for each (term, source,
    incarnation, sequence), and only by the leader of term (rule 8); sequence ascends. The outcome comes to origin from
    its own apply."""

    term: int
    source: int
    target: int
    incarnation: int
    sequence: int
    origin: int
    first_sequence: int
    count: int
    data: bytes
    kind: int = 0


class ForwardRefused(Struct, frozen=True, array_like=True, tag=27, gc=False):
    """Leader to follower: certainly not appended, and never will be."""

    term: int
    source: int
    target: int
    incarnation: int
    sequence: int
    code: int
    message: str


class SnapshotPart(Struct, frozen=True, array_like=True, tag=28, gc=False):
    """data of a snapshot on its way, or its receipt: `zetcd.wire.snapshot`; neither raft opens it."""

    source: int
    target: int
    data: bytes


class Health(Struct, frozen=True, array_like=True, tag=29, gc=False):
    """Follower to leader, with every tick: for how many ms its wal or apply has owed an answer."""

    source: int
    target: int
    age_ms: int


class LeaseForward(Struct, frozen=True, array_like=True, tag=30, gc=False):
    """Follower to leader: what its lease process (of that incarnation) asks the leader's. Asking twice does no harm."""

    source: int
    target: int
    incarnation: int
    asks: list[LeaseAsk]


class LeaseReply(Struct, frozen=True, array_like=True, tag=31, gc=False):
    """The way back of LeaseForward."""

    source: int
    target: int
    incarnation: int
    answers: list[LeaseAnswer]


Greeting = PeerHello | PeerWelcome | PeerRefusal | PeerUnknown | MembersAsk | MembersAnswer
BetweenMembers = PeerMessage | Forward | ForwardRefused | SnapshotPart | Health | LeaseForward | LeaseReply
"""What travels on a lane that is open: it names source and target."""

_encoder = msgspec.msgpack.Encoder()
_frames: "msgspec.msgpack.Decoder[list[Greeting | BetweenMembers]]" = msgspec.msgpack.Decoder(
    list[Greeting | BetweenMembers]
)

encode_peer_frame = _encoder.encode


def decode_peer_frame(data: bytes) -> list[Greeting | BetweenMembers]:
    """One frame. Raises WireError."""
    try:
        return _frames.decode(data)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
        raise WireError(f"peer frame of {len(data)} bytes: {error}") from None
