"""Several cores in one process: a network, disks and stores that do what a test or a seed says, and what must never be.

Checked all the time: one leader a term (election safety), no entry executed at an index where another one was executed
anywhere (state machine safety, which the loss of a committed entry would break), and no read confirmed below what was
known as committed anywhere when it was asked (linearizability of ReadIndex), and what was executed anywhere is in the
log of every later leader (leader completeness), and logs that agree in one entry agree in all before it (log matching).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from zetcd.base.errors import Error
from zetcd.raft.confchange import Change, ChangeType, enter_joint, leave_joint
from zetcd.raft.config import Config
from zetcd.raft.core import Core
from zetcd.raft.ready import Context, Ready, SnapshotMark
from zetcd.raft.recovery import Recovery
from zetcd.wire.entry import Block, BlockKind, Entry, MemberChange, NoOp, Put, cut_block, decode_entries, encode_entries
from zetcd.wire.local import ConfState, HardState, Recovered
from zetcd.wire.peer import PeerMessage, Snapshot

Executed = tuple[int, Entry]
"""(term, entry)"""


@dataclass(slots=True)
class Disk:
    """What survives: the wal, written Ready by Ready, and the store, synced up to an applied entry."""

    base: tuple[int, int] = (0, 0)
    hard: HardState = field(default_factory=HardState)
    blocks: list[Block] = field(default_factory=list)
    store: tuple[int, int, ConfState] = (0, 0, ConfState([]))

    def write(self, ready: Ready) -> None:
        if ready.snapshot is not None:
            self.base = (ready.snapshot.index, ready.snapshot.term)
            self.blocks = []
            self.store = (ready.snapshot.index, ready.snapshot.term, ready.snapshot.conf)
        if ready.hard_state is not None:
            self.hard = ready.hard_state
        for block in ready.blocks:
            last = self.blocks[-1].last if self.blocks else self.base[0]
            assert block.first <= last + 1, "a hole in the log"
            assert block.first > self.base[0]
            self.blocks = [cut_block(b, block.first - 1) for b in self.blocks if b.first < block.first] + [block]


class Node:
    """One member: its core, its disk, and the Readys on their way to it."""

    def __init__(self, cluster: "Cluster", member: int, conf: ConfState) -> None:
        self.cluster = cluster
        self.member = member
        self.disk = Disk(store=(0, 0, conf))
        self.lives = 0
        self.suspect_cut = False
        self.up = True
        self.retired = False
        self.last_ready: Ready | None = None
        self.unwritten: list[Ready] = []
        self.reads: dict[Context, int] = {}  # what was committed anywhere when it was asked
        self.confirmed: list[Context] = []
        self.failed: list[Context] = []
        self.start()

    def start(self) -> None:
        """A new life from what the disk has."""
        self.lives += 1
        self.up = True
        self.unwritten = []
        self.reads = {}
        disk = self.disk
        recovery = Recovery()
        recovery.add(Recovered(disk.hard, *disk.base, list(disk.blocks), done=True, suspect_cut=self.suspect_cut))
        applied, term, self.conf = disk.store
        log = recovery.build(applied, term, [])
        seed = self.member * 1000 + self.lives
        config = self.cluster.config(self.member)
        self.core = Core(config, log, recovery.hard_state, self.conf, Random(seed), recovery.suspect_cut)

    @property
    def applied(self) -> int:
        return self.core.log.applied

    def crash(self, written: int = 0) -> None:
        """Die; the first `written` of the Readys on their way reach the disk."""
        self.suspect_cut = self.core.votes_withheld
        for ready in self.unwritten[:written]:
            self.disk.write(ready)
        self.up = False
        self.unwritten = []

    def lose_tail(self, last: int) -> None:
        """Die with a disk that keeps the hard state and the entries up to last alone, and says so (rule 2)."""
        self.crash()
        self.disk.blocks = [cut_block(block, last) for block in self.disk.blocks if block.first <= last]
        self.suspect_cut = True

    def act(self) -> bool:
        """One turn; whether anything was done."""
        self.last_ready = ready = self.core.ready()
        if ready is None:
            return False
        if ready.number:
            self.unwritten.append(ready)
        self.cluster.mail += ready.messages
        for state in ready.read_states:
            for context in state.contexts:
                assert state.index >= self.reads[context], "a stale read was confirmed"
                self.confirmed.append(context)
        self.failed += ready.reads_failed
        for target in ready.snapshots_wanted:
            self.cluster.mail.append(self.snapshot_for(target))
        if ready.soft_state is not None and ready.soft_state.is_leader:
            self.cluster.complete(self)
        if ready.commit is not None:
            self.execute(ready.commit.index, ready.commit.term)
        self.cluster.check(self)
        return True

    def retire(self) -> None:
        """Stop for good, as a member does that was removed and is needed no more."""
        if self.core.let_go:
            self.crash(len(self.unwritten))
            self.retired = True

    def snapshot_for(self, target: int) -> PeerMessage:
        """What the leader's core is told to send once the data has arrived there."""
        index, term, conf = self.disk.store
        return Snapshot(self.core.term, self.member, target, index, term, conf)

    def sync(self, count: int | None = None) -> bool:
        """The disk answers the oldest count Readys, all by default."""
        count = len(self.unwritten) if count is None else count
        done, self.unwritten = self.unwritten[:count], self.unwritten[count:]
        for ready in done:
            self.disk.write(ready)
            if ready.snapshot is not None:
                self.conf = ready.snapshot.conf
        if done:
            self.core.persisted(done[-1].number)
        return bool(done)

    def execute(self, upto: int, term: int) -> None:
        log = self.core.log
        assert log.term_at(upto) == term
        assert upto <= self.durable_last, "executed what is not durable here (rule 3)"
        conf = None
        for block in log.blocks_from(log.applied + 1):
            if block.first > upto:
                break
            part = cut_block(block, upto)
            before = self.conf
            for index, entry in enumerate(decode_entries(part.count, part.data), part.first):
                self.cluster.executed(index, (part.term, entry))
                if part.kind:
                    conf = self.conf = changed(self.conf, entry.command)
                    self.cluster.left |= named(before) - named(conf)
        flushed = upto if self.cluster.flush_always else self.disk.store[0]
        if self.cluster.flush_always:
            self.disk.store = (upto, term, self.conf)
        if conf is not None:
            self.core.conf_applied(conf)
        self.core.applied(upto, flushed)

    @property
    def durable_last(self) -> int:
        return self.disk.blocks[-1].last if self.disk.blocks else self.disk.base[0]

    def propose(self, text: bytes) -> bool:
        """A put; whether it was appended."""
        serial = self.cluster.next_serial()
        data = encode_entries([Entry(1, serial, Put(text, b""))])
        return type(self.core.propose(BlockKind.NORMAL, 1, data)) is tuple

    def change(self, kind: int, member: int) -> bool:
        """A membership change (`changed`); whether it was appended."""
        data = encode_entries([Entry(1, self.cluster.next_serial(), MemberChange(kind, member))])
        return type(self.core.propose(BlockKind.MEMBERSHIP, 1, data)) is tuple

    def leave_transition(self) -> bool:
        """End a transition that does not end by itself; whether that was appended."""
        return type(self.core.propose(BlockKind.MEMBERSHIP, 1, noops(1))) is tuple

    def read(self, number: int) -> bool:
        """Ask for a read index; whether it was taken."""
        context = (self.member, number)
        self.reads[context] = self.cluster.committed
        return self.core.read_index(context) is None


def named(conf: ConfState) -> set[int]:
    """Everybody in it."""
    return {*conf.voters, *conf.learners, *conf.outgoing}


def changed(conf: ConfState, change: object) -> ConfState:
    """Changes as a state machine decides them: 2 add a voter, 3 a learner, 4 promote, 5 remove; of several voters at
    once, where member is a bit for each voter to be: 20 through a transition that ends by itself, 21 through one that
    waits to be ended, by an empty entry."""
    if not isinstance(change, MemberChange):
        left = leave_joint(conf)
        return conf if isinstance(left, Error) else left
    if change.kind >= 20:
        wanted = {member for member in range(1, 32) if change.member >> member & 1}
        steps = [Change(ChangeType.ADD_VOTER, member) for member in sorted(wanted - set(conf.voters))]
        steps += [Change(ChangeType.REMOVE, member) for member in sorted(set(conf.voters) - wanted)]
        joint = enter_joint(conf, steps, auto_leave=change.kind == 20)
        return conf if isinstance(joint, Error) else joint
    if conf.outgoing:
        return conf
    voters, learners = set(conf.voters), set(conf.learners)
    if change.kind == 5:
        voters.discard(change.member)
        learners.discard(change.member)
    elif change.kind == 3:
        learners |= {change.member} - voters
    elif change.kind in (2, 4):
        voters.add(change.member)
        learners.discard(change.member)
    return ConfState(sorted(voters), sorted(learners)) if voters else conf


class Cluster:
    """Nodes and the mail between them."""

    def __init__(
        self,
        size: int,
        config: Callable[[int], Config] | None = None,
        flush_always: bool = False,
        conf: ConfState | None = None,
        joiners: int = 0,
    ) -> None:
        self.config = config or Config
        self.flush_always = flush_always
        self.mail: list[PeerMessage] = []
        self.log: dict[int, Executed] = {}
        self.leaders: dict[int, int] = {}
        self.left: set[int] = set()  # members that some change has removed; their ids are never used again
        self.committed = 0
        self.executed_last = 0
        self.serial = 0
        self.cut: set[tuple[int, int]] = set()  # (source, target) that do not reach each other
        conf = conf or ConfState(list(range(1, size + 1)))
        self.nodes = {member: Node(self, member, conf) for member in range(1, size + 1)}
        for member in range(size + 1, size + joiners + 1):
            self.nodes[member] = Node(self, member, conf)

    # -- what must never be --------------------------------------------------------------------------------------------
    def executed(self, index: int, what: Executed) -> None:
        assert self.log.setdefault(index, what) == what, f"two entries were executed at {index}"
        self.executed_last = max(self.executed_last, index)

    def complete(self, node: Node) -> None:
        """Leader completeness (Raft section 5.4), of a leader nobody has followed yet: what was executed since its
        election, in a later term, is none of it."""
        log, term = node.core.log, node.core.term
        if term < max(self.leaders, default=0):
            return
        self.leaders.setdefault(term, node.member)
        for index in range(log.first_index, self.executed_last + 1):
            assert log.term_at(index) == self.log[index][0], f"leader {node.member} lacks executed entry {index}"

    def matching(self) -> None:
        """Log matching (Raft section 5.3), of every pair."""
        nodes = self.up()
        for one in nodes:
            for other in nodes:
                a, b = one.core.log, other.core.log
                agree = False
                for index in range(min(a.last_index, b.last_index), max(a.base_index, b.base_index), -1):
                    same = a.term_at(index) == b.term_at(index)
                    assert same or not agree, f"the logs of {one.member} and {other.member} part again at {index}"
                    agree = agree or same

    def check(self, node: Node) -> None:
        core = node.core
        if core.is_leader:
            assert self.leaders.setdefault(core.term, node.member) == node.member, f"two leaders of term {core.term}"
        self.committed = max(self.committed, core.log.committed)

    # -- driving -------------------------------------------------------------------------------------------------------
    def next_serial(self) -> int:
        self.serial += 1
        return self.serial

    @property
    def leader(self) -> Node | None:
        """The living leader of the highest term."""
        leaders = [node for node in self.nodes.values() if node.up and node.core.is_leader]
        return max(leaders, key=lambda node: node.core.term, default=None)

    def up(self) -> list[Node]:
        return [node for node in self.nodes.values() if node.up]

    def deliver(self, message: PeerMessage) -> None:
        node = self.nodes.get(message.target)
        if node is not None and node.up and (message.source, message.target) not in self.cut:
            node.core.step(message)

    def settle(self, nodes: Sequence[Node] | None = None) -> None:
        """Everything that can happen without time happens."""
        for _ in range(1000):
            busy = False
            for node in self.up():
                while node.act():
                    busy = True
                busy = node.sync() or busy
            mail, self.mail = self.mail, []
            for message in mail:
                self.deliver(message)
            if not busy and not mail:
                return
        raise AssertionError("the cluster does not come to rest")

    def tick(self, count: int = 1) -> None:
        for _ in range(count):
            for node in self.up():
                node.core.tick()
            self.settle()

    def elect(self, member: int | None = None) -> Node:
        """Let time pass until there is a leader; member campaigns at once if given."""
        if member is not None:
            self.nodes[member].core.campaign()
            self.settle()
        for _ in range(200):
            leader = self.leader
            if leader is not None:
                return leader
            self.tick()
        raise AssertionError("no leader")

    def isolate(self, *members: int) -> None:
        """Cut members, as a group, off from the rest."""
        rest = self.nodes.keys() - set(members)
        self.cut |= {(a, b) for a in members for b in rest} | {(b, a) for a in members for b in rest}

    def heal(self) -> None:
        self.cut.clear()

    def entries(self, member: int) -> list[tuple[int, object]]:
        """(term, command) of each entry a member holds."""
        log = self.nodes[member].core.log
        return [
            (block.term, entry.command)
            for block in log.blocks_from(log.first_index)
            for entry in decode_entries(block.count, block.data)
        ]

    def alike(self) -> None:
        """All living members hold and have executed the same."""
        logs = [self.entries(node.member) for node in self.up()]
        assert all(log == logs[0] for log in logs)
        assert len({node.applied for node in self.up()}) == 1


def noops(count: int) -> bytes:
    """Encoded entries nobody waits for."""
    return encode_entries([Entry(0, 0, NoOp())] * count)


__all__ = ["Block", "Cluster", "Disk", "Node", "SnapshotMark", "changed", "noops"]
