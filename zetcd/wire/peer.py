"""Messages between members (Raft section 5 and 6, etcd-io/raft). Positional arrays with an integer tag.

Any of them may be lost, repeated, delayed or reordered; the core stands all of that. `term` is the sender's term,
except in a pre-vote request and its grant, where it is the term the candidate would start.
"""

from msgspec import Struct

from zetcd.wire.entry import Block
from zetcd.wire.local import ConfState


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
    """AppendEntries: blocks, adjacent, directly after (previous_index, previous_term); none for a bare commit."""

    term: int
    source: int
    target: int
    previous_index: int
    previous_term: int
    commit: int
    blocks: list[Block]


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
    """Confirms the leader of term for every read that joined round or an earlier one."""

    term: int
    source: int
    target: int
    round: int


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
