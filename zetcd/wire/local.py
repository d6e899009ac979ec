"""Messages inside a member. Positional arrays with an integer tag; a frame carries a list of them.

Who sends what on which link, and the bound of each, is in `routes`. Every frame is
``(epoch, incarnation, sequence, messages)``: sequence counts from 1 in each direction of each life of a link, so a
receiver sees every gap. The first message of a dialer is `Hello`, of an owner `Welcome`. What api
asks of the store is in `queries`, what apply answers to those and to entries in `results`.
"""

# tidy: long because a frame decodes as one union, and whoever adds to it should see all tags

import msgspec
from msgspec import Struct

from zetcd.wire.entry import Block
from zetcd.wire.queries import Read
from zetcd.wire.results import MemberRow, Result


# -- opening a link ------------------------------------------------------------------------------------------------
class Hello(Struct, frozen=True, array_like=True, tag=1, gc=False):
    """Dialer to owner, first of all. epoch 0: not adopted yet."""

    role: str
    number: int
    incarnation: int
    epoch: int


class Welcome(Struct, frozen=True, array_like=True, tag=2, gc=False):
    """Owner to dialer: the epoch to adopt or to compare (rule 6), and who the member is."""

    epoch: int
    incarnation: int
    cluster: int = 0
    member: int = 0


class Leave(Struct, frozen=True, array_like=True, tag=3, gc=False):
    """Either side, last of all: this process ends in order, so its going is no failure."""


# -- raft <-> wal --------------------------------------------------------------------------------------------------
class HardState(Struct, frozen=True, array_like=True, gc=False):
    """Raft section 5.1: what must survive. vote is a member id, 0 for none."""

    term: int = 0
    vote: int = 0
    commit: int = 0


class Recover(Struct, frozen=True, array_like=True, tag=10, gc=False):
    """raft -> wal: send the next slice of the recovered log; the first one asks for the start."""


class Recovered(Struct, frozen=True, array_like=True, tag=11, gc=False):
    """wal -> raft: a slice of what survived. snapshot_* is the base below the first block, (0, 0) for none.

    durable: all blocks so far have been proven or made durable (rule 1). done: nothing follows. A suspect cut
    (rule 2) may have removed acknowledged entries: a multi-voter member withholds votes until it has caught up.
    """

    hard_state: HardState
    snapshot_index: int
    snapshot_term: int
    blocks: list[Block]
    done: bool
    suspect_cut: bool = False


class Persist(Struct, frozen=True, array_like=True, tag=12, gc=False):
    """raft -> wal: make durable, in this order. A block replaces everything from its first index on (rule 15).

    snapshot_index > 0: a snapshot was installed, the log starts anew behind (snapshot_index, snapshot_term) before
    hard state and blocks (rule 7). caught_up: the member has what a suspect cut may have taken, so later starts need
    not report it any more (rule 2). forward: apply holds the one-voter grant and has not been sent these blocks:
    wal hands them on together with Persisted, and tells raft, for which nobody waits, in steps or with its next tick.
    """

    number: int
    hard_state: HardState | None
    blocks: list[Block]
    sync: bool = True
    snapshot_index: int = 0
    snapshot_term: int = 0
    caught_up: bool = False
    forward: bool = False


class Persisted(Struct, frozen=True, array_like=True, tag=13, gc=False):
    """wal -> raft and apply: everything up to Ready `number` is durable; (index, term) is the durable log's last
    entry. Exact and FIFO: one answer covers all numbers up to its own (rule 4)."""

    number: int
    index: int
    term: int


class Release(Struct, frozen=True, array_like=True, tag=14, gc=False):
    """raft -> wal: LevelDB has synced everything up to index, and followers that are behind need nothing of it: the log
    may begin behind it; segments wholly at or below it may go."""

    index: int
    term: int


# -- raft <-> apply ------------------------------------------------------------------------------------------------
class ConfState(Struct, frozen=True, array_like=True, gc=False):
    """Who votes (Raft section 6): member ids, each list ascending. outgoing is empty outside a joint configuration;
    learners_next become learners when it is left."""

    voters: list[int]
    learners: list[int] = []
    outgoing: list[int] = []
    learners_next: list[int] = []
    auto_leave: bool = False


class MemberList(Struct, frozen=True, array_like=True, gc=False):
    """The members as replicated, ids ascending; removed: ids that are never used again."""

    members: list[MemberRow]
    removed: list[int]


class Opened(Struct, frozen=True, array_like=True, tag=20, gc=False):
    """apply -> raft: how far the store is at start. index is synced in LevelDB. conf is the configuration at index;
    None while the store knows no member (index below the bootstrap entries). (arrived_index, arrived_term): a complete
    snapshot beside the store, installed by nobody yet; 0 for none. Answered by Install (rule 7)."""

    index: int
    term: int
    conf: ConfState | None = None
    arrived_index: int = 0
    arrived_term: int = 0
    members: MemberList | None = None  # where conf is


class Serve(Struct, frozen=True, array_like=True, tag=28, gc=False):
    """raft -> apply, at the start among several voters: what this member knew as committed in its former life ends at
    index; with that executed, apply may answer serializable reads and tell api Ready (rule 21). A sole voter gets
    Grant instead: all of its log counts."""

    index: int


class Blocks(Struct, frozen=True, array_like=True, tag=21, gc=False):
    """raft -> apply: log entries ahead of their commit. Executed only when a Commit (or, under a grant, a Persisted)
    names them by index and term; a later block replaces everything from its first index on."""

    number: int
    blocks: list[Block]


class Commit(Struct, frozen=True, array_like=True, tag=22, gc=False):
    """raft -> apply: entries up to index are committed and locally durable; term is that of the entry at index
    (rule 3: a mismatch discards what apply holds and is fatal for what it would execute). report: raft waits for the
    word that index is executed; else that comes in steps, or with a tick."""

    index: int
    term: int
    report: bool = True


class Grant(Struct, frozen=True, array_like=True, tag=23, gc=False):
    """raft -> apply: sole voter and leader of term with its first entry applied: `Persisted` of that term stands for
    Commit, and linearizable reads are answered at once (rule 9)."""

    serial: int
    term: int


class Revoke(Struct, frozen=True, array_like=True, tag=24, gc=False):
    """raft -> apply: the grant ends; answered by Revoked before raft lets a second voter take effect."""

    serial: int


class Revoked(Struct, frozen=True, array_like=True, tag=25, gc=False):
    """apply -> raft: no read will be answered and no entry executed under that grant any more."""

    serial: int


class ReadState(Struct, frozen=True, array_like=True, tag=26, gc=False):
    """raft -> apply: reads registered under these contexts may be answered once applied >= index."""

    contexts: list[tuple[int, int]]  # (origin, context)
    index: int


class Applied(Struct, frozen=True, array_like=True, tag=27, gc=False):
    """apply -> raft: executed up to index; synced in LevelDB up to flushed. bytes returns credit of the window."""

    index: int
    flushed_index: int
    flushed_term: int
    bytes: int
    conf: ConfState | None = None  # set where a MemberChange at or below index was accepted (rule 14)
    members: MemberList | None = None  # with conf


# -- snapshots: raft <-> apply -------------------------------------------------------------------------------------
class SnapshotWanted(Struct, frozen=True, array_like=True, tag=36, gc=False):
    """raft -> apply: member is behind the log of this leader of term: send it the store (design rule 7)."""

    member: int
    term: int


class SnapshotUnwanted(Struct, frozen=True, array_like=True, tag=37, gc=False):
    """raft -> apply: this member does not lead any more, or member (0: all) needs none: stop sending."""

    member: int


class Relay(Struct, frozen=True, array_like=True, tag=38, gc=False):
    """apply -> raft: data (`zetcd.wire.snapshot`) for member; raft -> apply: data from member."""

    member: int
    data: bytes


class SnapshotSent(Struct, frozen=True, array_like=True, tag=39, gc=False):
    """apply -> raft: a transfer is over. pinned: it has begun, raft keeps its log from index on; otherwise member is at
    index or beyond, or it failed (0)."""

    member: int
    index: int
    pinned: bool = False


class SnapshotArrived(Struct, frozen=True, array_like=True, tag=40, gc=False):
    """apply -> raft: the store as of (index, term), sent by source as leader of leader_term, is complete and synced
    beside the own one. Step it into the core; answered by Install."""

    source: int
    leader_term: int
    index: int
    term: int
    conf: ConfState


class Install(Struct, frozen=True, array_like=True, tag=41, gc=False):
    """raft -> apply: the log's mark stands at (index, term), synced: switch to the store that arrived. index 0: it is
    not needed, remove it."""

    index: int
    term: int


# -- api, lease -> raft --------------------------------------------------------------------------------------------
class Propose(Struct, frozen=True, array_like=True, tag=30, gc=False):
    """count entries with consecutive request sequences from first_sequence; data as in a Block. kind is a BlockKind:
    a MEMBERSHIP proposal has count 1 (rule 14)."""

    first_sequence: int
    count: int
    data: bytes
    kind: int = 0


class Refused(Struct, frozen=True, array_like=True, tag=31, gc=False):
    """raft -> proposer: these proposals were never appended (a definite error)."""

    first_sequence: int
    count: int
    code: int
    message: str


class MoveLeader(Struct, frozen=True, array_like=True, tag=42, gc=False):
    """api -> raft: hand over to target; what comes of it shows in `Standing`, or it is Refused. count as of Propose."""

    first_sequence: int
    target: int
    count: int = 1


class ReadIndex(Struct, frozen=True, array_like=True, tag=32, gc=False):
    """Ask for a read index for context (never reused, rule 10). reply: answer here (`ReadConfirmed`), as lease wants,
    instead of telling apply."""

    context: int
    reply: bool = False


class ReadConfirmed(Struct, frozen=True, array_like=True, tag=33, gc=False):
    """raft -> lease: leadership of term was confirmed after context had arrived."""

    context: int
    term: int


class ReadFailed(Struct, frozen=True, array_like=True, tag=34, gc=False):
    """raft -> asker (and apply, which drops the parked reads): no index for context."""

    contexts: list[tuple[int, int]]
    code: int
    message: str


class Standing(Struct, frozen=True, array_like=True, tag=35, gc=False):
    """raft -> api, lease, on change and on every tick: where this member stands."""

    term: int
    leader: int
    is_leader: bool
    is_learner: bool
    commit: int
    applied: int
    last_index: int
    healthy: bool = True  # rule 20: oldest Persist and Apply are young enough
    sole: bool = False  # apply holds the one-voter grant: linearizable reads need no ReadIndex (rule 9)


# -- api <-> apply -------------------------------------------------------------------------------------------------
class ReadBatch(Struct, frozen=True, array_like=True, tag=46, gc=False):
    """api -> apply: the reads of a turn. linearizable: wait for the ReadState of context (or the grant). asked: api has
    asked raft for that index already. context ascends."""

    context: int
    linearizable: bool
    reads: list[Read]
    asked: bool = False


class Subscribe(Struct, frozen=True, array_like=True, tag=47, gc=False):
    """api -> apply: what the feed must carry from now on; answered by `Subscribed` in the same FIFO, which fixes
    "from now". level 0: revisions only, 1: events, 2: events with the former rows."""

    serial: int
    level: int


class Subscribed(Struct, frozen=True, array_like=True, tag=48, gc=False):
    """apply -> api: the feed is at level from revision (exclusive) on."""

    serial: int
    level: int
    revision: int
    compact_revision: int


class Event(Struct, frozen=True, array_like=True, gc=False):
    """One change. row is the new row (PUT) or None (DELETE); prev the former row where asked for and not compacted."""

    revision: int
    sub: int
    key: bytes
    row: bytes | None
    prev: bytes | None = None


class Feed(Struct, frozen=True, array_like=True, tag=49, gc=False):
    """apply -> api: changes in (previous, revision], complete revisions in order; or, with gap, only the fact that
    they happened: read them from History. compact_revision lets api cancel watchers below it."""

    previous: int
    revision: int
    compact_revision: int
    gap: bool
    events: msgspec.Raw  # list[Event], encoded once for all api processes


class FeedCredit(Struct, frozen=True, array_like=True, tag=50, gc=False):
    """api -> apply: bytes of feed it has consumed, and bytes of large answers (`answer_bytes`)."""

    bytes: int
    answers: int = 0


class Replies(Struct, frozen=True, array_like=True, tag=51):
    """apply -> api: outcomes of entries and reads as (sequence, result)."""

    replies: list[tuple[int, Result]]


class Ready(Struct, frozen=True, array_like=True, tag=52, gc=False):
    """apply -> api: the store has caught up with what was committed before this epoch: outcomes of proposals from
    an earlier epoch that have not come by now will not come."""

    revision: int
    compact_revision: int


class Space(Struct, frozen=True, array_like=True, tag=53, gc=False):
    """apply -> api, on every tick: bytes of the store, which api holds against --quota-backend-bytes."""

    db_bytes: int


class IndexWanted(Struct, frozen=True, array_like=True, tag=54, gc=False):
    """apply -> api: there is no grant, so the linearizable reads of context wait for a ReadIndex of raft."""

    context: int


# -- lease <-> apply, api ------------------------------------------------------------------------------------------
class LeaseRow(Struct, frozen=True, array_like=True, gc=False):
    """A lease as replicated: ttl seconds, index of the entry that granted it, remaining TTL as last checkpointed
    (0: full)."""

    id: int
    ttl: int
    grant_index: int
    remaining: int = 0


class LeaseLoad(Struct, frozen=True, array_like=True, tag=60, gc=False):
    """apply -> lease, after Welcome: a slice of all leases; done with the last one."""

    leases: list[LeaseRow]
    done: bool


class LeaseChanges(Struct, frozen=True, array_like=True, tag=61, gc=False):
    """apply -> lease, in log order: granted or checkpointed leases as they are now, and revoked ids."""

    granted: list[LeaseRow]
    checkpointed: list[LeaseRow]
    revoked: list[int]


class KeepAlive(Struct, frozen=True, array_like=True, tag=62, gc=False):
    """api -> lease."""

    sequence: int
    id: int


class TimeToLive(Struct, frozen=True, array_like=True, tag=63, gc=False):
    """api -> lease: remaining and granted TTL (keys come from apply)."""

    sequence: int
    id: int


class LeaseAnswer(Struct, frozen=True, array_like=True, tag=64, gc=False):
    """lease -> api. KeepAlive: ttl is the renewed TTL, 0 for an unknown or expired lease. TimeToLive: ttl is what
    remains in whole seconds, -1 for unknown; granted the granted TTL. code != 0: an error instead."""

    sequence: int
    id: int
    ttl: int
    granted: int = 0
    code: int = 0
    message: str = ""


class LeaseAsk(Struct, frozen=True, array_like=True, gc=False):
    """One KeepAlive (renew) or TimeToLive on its way between members; number is the asking lease process's own."""

    number: int
    id: int
    renew: bool


class LeaseAsks(Struct, frozen=True, array_like=True, tag=65, gc=False):
    """lease -> raft: for the leader's lease process (member 0). raft -> lease: from that of member. incarnation: of the
    lease process that asks."""

    member: int
    incarnation: int
    asks: list[LeaseAsk]


class LeaseAnswers(Struct, frozen=True, array_like=True, tag=66, gc=False):
    """The way back of LeaseAsks; sequence of each answer is the number of its ask."""

    member: int
    incarnation: int
    answers: list[LeaseAnswer]


# -- measuring -----------------------------------------------------------------------------------------------------
class Measure(Struct, frozen=True, array_like=True, tag=67, gc=False):
    """api -> raft, apply, lease; raft -> wal: say what you have counted."""

    serial: int


class Measured(Struct, frozen=True, array_like=True, tag=68):
    """The answer to Measure: series and histograms (bounds, counts, sum; seconds) by etcd's names. raft passes on
    wal's."""

    serial: int
    role: str
    series: dict[str, float]
    histograms: dict[str, tuple[list[float], list[int], float]]


Message = (
    Hello
    | Welcome
    | Leave
    | Recover
    | Recovered
    | Persist
    | Persisted
    | Release
    | Opened
    | Serve
    | Blocks
    | Commit
    | Grant
    | Revoke
    | Revoked
    | ReadState
    | Applied
    | SnapshotWanted
    | SnapshotUnwanted
    | Relay
    | SnapshotSent
    | SnapshotArrived
    | Install
    | Propose
    | MoveLeader
    | Refused
    | ReadIndex
    | ReadConfirmed
    | ReadFailed
    | Standing
    | ReadBatch
    | Subscribe
    | Subscribed
    | Feed
    | FeedCredit
    | Replies
    | Ready
    | Space
    | IndexWanted
    | LeaseLoad
    | LeaseChanges
    | KeepAlive
    | TimeToLive
    | LeaseAnswer
    | LeaseAsks
    | LeaseAnswers
    | Measure
    | Measured
)


class Frame(Struct, frozen=True, array_like=True):
    """What one ZeroMQ message of a local link holds. hops: (actor, monotonic ns) stamps, only with --trace-hops."""

    epoch: int
    incarnation: int
    sequence: int
    messages: list[Message]
    hops: list[tuple[str, int]] = []
