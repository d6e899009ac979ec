"""Rule 7 from one apply actor to another, through a relay of the test, while both serve."""

import tracemalloc
from collections.abc import Callable

import pytest

from tests.unit.actors.store import Store, get
from zetcd.base import limits
from zetcd.base.errors import Fatal
from zetcd.mvcc.engine import MemoryEngine
from zetcd.snapshot.pace import Pace
from zetcd.snapshot.receiving import Phase, Receiver, Staged
from zetcd.state.machine import Machine
from zetcd.state.members import BOOTSTRAP
from zetcd.wire.entry import Block, LeaseGrant, MemberChange, Put
from zetcd.wire.local import (
    Blocks,
    Commit,
    ConfState,
    Install,
    Opened,
    Relay,
    Replies,
    SnapshotArrived,
    SnapshotSent,
    SnapshotUnwanted,
    SnapshotWanted,
)
from zetcd.wire.queries import HashKv
from zetcd.wire.results import Hashed, RangeDone

LEADER, FOLLOWER = 1, 2
TERM = 3


class EngineStage:
    """The store that arrives, in memory. Its jobs end when the test says so."""

    def __init__(self) -> None:
        self.engine = MemoryEngine()
        self.job: Callable[[], Staged | None] | None = None
        self.rows_held = 0
        self.switched: tuple[int, int] | None = None

    def begin(self, index: int, term: int) -> None:
        def work() -> None:
            self.engine = MemoryEngine()

        self.job = work

    def write(self, rows: list[bytes]) -> None:
        def work() -> None:
            self.engine.apply(dict(zip(rows[::2], rows[1::2], strict=True)))

        self.job = work

    def finish(self) -> None:
        def work() -> Staged:
            machine = Machine(self.engine)
            return Staged(machine.applied, machine.applied_term, machine.configuration)

        self.job = work

    def discard(self) -> None:
        def work() -> None:
            self.engine = MemoryEngine()

        self.job = work

    def switch(self, index: int, term: int) -> None:
        self.switched = (index, term)

    def end(self, receiver: Receiver) -> None:
        job, self.job = self.job, None
        if job is not None:
            receiver.on_staged(job())


class Members:
    """A leader with data, a follower with little, and what raft does between them."""

    def __init__(self, keys: int, size: int = 200) -> None:
        self.leader = Store()
        self.leader.serve()
        self.blocks: list[Block] = []
        self.put(
            MemberChange(BOOTSTRAP, LEADER, "a", ["tcp://a:1"]), MemberChange(BOOTSTRAP, FOLLOWER, "b", ["tcp://b:1"])
        )
        for start in range(0, keys, 500):
            self.put(*(Put(b"k%06d" % number, bytes(size)) for number in range(start, min(start + 500, keys))))
        self.put(LeaseGrant(77, 60), Put(b"leased", b"v", lease=77))
        self.flush()
        self.stage = EngineStage()
        self.follower = Store()
        self.follower.serve()
        self.receiver = self.follower.actor.snapshots.attach(self.stage, self.stage)
        self.deliver_log(self.blocks[:1])
        self.sent: list[SnapshotSent] = []
        self.arrived: list[SnapshotArrived] = []
        self.most_held = 0

    def put(self, *commands: Put | MemberChange | LeaseGrant) -> None:
        block = self.leader.block(*commands, term=TERM)
        self.blocks.append(block)
        self.leader.turn(self.leader.raft, Blocks(block.last, [block]), Commit(block.last, TERM))
        self.leader.settle()

    def deliver_log(self, blocks: list[Block]) -> None:
        for block in blocks:
            self.follower.turn(self.follower.raft, Blocks(block.last, [block]), Commit(block.last, block.term))
        self.follower.settle()

    def flush(self) -> None:
        """LevelDB takes what the overlay holds."""
        self.leader.now_ms += limits.OVERLAY_AGE_MAX_MS
        for _ in range(100):
            self.leader.tick()
            self.leader.settle()
            if self.leader.flusher.held:
                self.leader.flusher.held.pop().write()
                self.leader.actor.on_flushed()
            if self.leader.actor.machine.flushed_index == self.leader.actor.machine.applied:
                return
        raise AssertionError("nothing goes down")

    def want(self, term: int = TERM) -> None:
        self.leader.turn(self.leader.raft, SnapshotWanted(FOLLOWER, term))

    def round(self, deliver: bool = True) -> None:
        """One turn of everybody; what raft relays arrives."""
        for store, other, source in ((self.leader, self.follower, LEADER), (self.follower, self.leader, FOLLOWER)):
            store.turn()
            said = [message for peer, messages in store.frames if peer is store.raft for message in messages]
            store.frames = [frame for frame in store.frames if frame[0] is not store.raft]
            for message in said:
                if isinstance(message, Relay):
                    if deliver:
                        other.turn(other.raft, Relay(source, message.data))
                elif isinstance(message, SnapshotSent):
                    self.sent.append(message)
                elif isinstance(message, SnapshotArrived):
                    self.arrived.append(message)
        sender = self.leader.actor.snapshots.sending.get(FOLLOWER)
        held = (sender.held if sender else 0, self.receiver.held)
        self.most_held = max(self.most_held, *held)

    def serve(self, store: Store) -> None:
        """A read of each member is answered in the turn in which it comes."""
        store.turn(store.api, store.batch(get(b"k000001"), linearizable=False))
        told = [message for peer, messages in store.frames if peer is store.api for message in messages]
        store.frames = [frame for frame in store.frames if frame[0] is not store.api]  # those for raft still count
        replies = [result for message in told if isinstance(message, Replies) for _, result in message.replies]
        assert isinstance(replies[-1], RangeDone)


def hashed(store: Store) -> tuple[int, int]:
    store.serve()
    store.turn(store.api, store.batch(HashKv(0), linearizable=False))
    store.settle()
    _, result = store.answers()[-1]
    assert isinstance(result, Hashed)
    return result.revision, result.hash


def test_rule_07_a_store_larger_than_the_window_arrives_while_both_sides_serve() -> None:
    members = Members(30_000)
    position = (members.leader.actor.machine.applied, TERM)
    members.put(Put(b"k000001", b"in the overlay alone"))
    members.want()
    for number in range(2_000):
        members.round()
        members.put(Put(b"during%d" % (number % 7), b"x"))
        members.serve(members.leader)
        members.serve(members.follower)
        members.stage.end(members.receiver)
        if number % 5 == 0:
            members.leader.tick()
            members.follower.tick()
        if members.arrived:
            break
    assert members.leader.actor.machine.applied > position[0] + 30, "it went on meanwhile"
    assert members.most_held == limits.SNAPSHOT_WINDOW_CHUNKS
    [arrived] = members.arrived
    assert arrived == SnapshotArrived(LEADER, TERM, *position, ConfState([LEADER, FOLLOWER]))
    with pytest.raises(Fatal, match="starting anew"):
        members.follower.turn(members.follower.raft, Install(*position))
    assert members.stage.switched == position

    # The next life, on the new store; raft sends what the log has behind it.
    members.follower = Store(members.stage.engine)
    [opened] = members.follower.take(Opened, members.follower.raft)
    assert (opened.index, opened.term, opened.conf) == (*position, ConfState([LEADER, FOLLOWER]))
    members.deliver_log([block for block in members.blocks if block.first > position[0]])
    assert hashed(members.follower) == hashed(members.leader)
    assert [row.id for row in members.follower.actor.machine.lease_rows(0, 10)] == [77]


def test_rule_07_the_sender_learns_that_it_is_installed_and_raft_is_told() -> None:
    members = Members(3_000)
    position = (members.leader.actor.machine.applied, TERM)
    members.want()
    for _ in range(500):
        members.round()
        members.stage.end(members.receiver)
        if members.arrived:
            break
    assert members.sent == [SnapshotSent(FOLLOWER, position[0], pinned=True)]
    former = members.follower
    members.follower = Store(members.stage.engine)
    assert members.follower is not former
    members.receiver = members.follower.actor.snapshots.attach(EngineStage(), members.stage)
    for _ in range(30):
        members.leader.tick()
        members.round()
    assert members.sent[1:] == [SnapshotSent(FOLLOWER, position[0])]
    assert not members.leader.actor.snapshots.sending
    tried = members.leader.actor.snapshots.tried[FOLLOWER]
    assert (tried.sent, tried.failed, sum(tried.took.counts)) == (1, 0, 1)


def test_rule_07_a_receiver_that_died_is_sent_everything_again_from_the_same_view() -> None:
    members = Members(30_000)
    members.want()
    for _ in range(12):
        members.round()
        members.stage.end(members.receiver)
    assert members.receiver.phase == Phase.RECEIVING
    members.follower = Store()
    members.stage = EngineStage()
    members.receiver = members.follower.actor.snapshots.attach(members.stage, members.stage)
    for number in range(3_000):
        members.round()
        members.stage.end(members.receiver)
        if number % 3 == 0:
            members.leader.tick()
        if members.arrived:
            break
    assert members.arrived
    assert members.leader.actor.snapshots.sending[FOLLOWER].counters["restarts"] == 1
    assert Machine(members.stage.engine).revision == members.leader.actor.machine.revision


def test_rule_07_at_a_start_raft_says_whether_what_has_arrived_is_needed() -> None:
    stage = EngineStage()
    store = Store()
    store.actor.snapshots.attach(stage, stage, (900, 4))
    store.actor.on_peer(store.wal)
    store.turn()
    opened = store.take(Opened, store.raft)[-1]
    assert (opened.index, opened.arrived_index, opened.arrived_term) == (0, 900, 4)
    with pytest.raises(Fatal, match="starting anew"):
        store.turn(store.raft, Install(900, 4))
    assert stage.switched == (900, 4)

    stage = EngineStage()
    store = Store()
    receiver = store.actor.snapshots.attach(stage, stage, (900, 4))
    assert stage.job is None, "not before raft has looked at the log's mark"
    store.turn(store.raft, Install(0, 0))
    assert stage.job is not None
    stage.end(receiver)
    assert receiver.phase == Phase.IDLE


def test_a_leader_that_steps_down_stops_sending_and_lets_go_of_its_view() -> None:
    members = Members(30_000)
    members.want()
    for _ in range(12):
        members.round()
        members.stage.end(members.receiver)
    members.leader.turn(members.leader.raft, SnapshotUnwanted(0))
    members.round()
    assert members.sent[1:] == [SnapshotSent(FOLLOWER, 0)]
    assert not members.leader.actor.snapshots.sending
    assert not members.leader.actor.busy()
    tried = members.leader.actor.snapshots.tried[FOLLOWER]
    assert (tried.sent, tried.failed, sum(tried.took.counts)) == (0, 1, 0)


def test_the_pace_bounds_what_is_sent_between_two_ticks() -> None:
    """A store that left as fast as it could be read would take the time of those who write."""
    members = Members(20_000)
    snapshots = members.leader.actor.snapshots
    members.want()

    def sent() -> int:
        for _ in range(100):
            members.round()
            members.stage.end(members.receiver)
        assert not members.leader.actor.busy(), "it waits for the tick"
        return snapshots.sending[FOLLOWER].counters["bytes"]

    tick = limits.SNAPSHOT_PACE_BYTES_PER_S * limits.TICK_MS // 1000
    before = sent()
    assert 0 < before <= tick + limits.SNAPSHOT_CHUNK_BYTES
    members.leader.tick()
    assert members.leader.actor.tick_ms == limits.SNAPSHOT_PACE_MS
    assert tick - limits.SNAPSHOT_CHUNK_BYTES <= sent() - before <= tick + limits.SNAPSHOT_CHUNK_BYTES
    members.leader.turn(members.leader.raft, SnapshotUnwanted(0))
    members.leader.tick()
    members.leader.tick()
    assert members.leader.actor.tick_ms == limits.TICK_MS


def test_the_pace_grows_with_the_store_and_saves_up_nothing() -> None:
    pace = Pace()
    assert not pace.open
    pace.on_tick(1_000_000, 0)
    pace.spend(limits.SNAPSHOT_PACE_BYTES_PER_S * limits.TICK_MS // 1000)
    assert not pace.open
    size = 100 * limits.SNAPSHOT_PLANNED_S * limits.SNAPSHOT_PACE_BYTES_PER_S
    pace.on_tick(1_000_010, size)
    pace.on_tick(1_000_020, size)
    pace.spend(size // limits.SNAPSHOT_PLANNED_S // 100 - 1)
    assert pace.open
    pace.spend(1)
    assert not pace.open
    pace.spend(limits.SNAPSHOT_CHUNK_BYTES)
    pace.on_tick(1_000_020, size)
    assert not pace.open, "the last chunk's excess is paid back first"


def test_a_line_of_members_is_served_two_at_a_time() -> None:
    members = Members(100)
    for member in (2, 3, 4, 5):
        members.leader.turn(members.leader.raft, SnapshotWanted(member, TERM))
    assert list(members.leader.actor.snapshots.sending) == [2, 3]
    members.leader.turn(members.leader.raft, SnapshotUnwanted(2))
    members.leader.turn()
    assert list(members.leader.actor.snapshots.sending) == [3, 4]
    assert len(members.leader.actor.snapshots.sending) == limits.SNAPSHOTS_SENDING_MAX


def test_what_another_member_sends_never_ends_this_one() -> None:
    members = Members(10)
    store = members.follower
    store.turn(store.raft, Relay(LEADER, b"\xc1nonsense"), Relay(99, b"\x93\x01\x02\x03"))
    assert store.actor.snapshots.counters["undecodable"] == 2


def test_rule_07_no_second_copy_of_the_data_is_in_memory() -> None:
    """The engine's own twin in memory aside: what the transfer allocates is bounded by the window."""
    members = Members(8_000, size=3_000)
    taken: list[int] = []
    members.stage.write = lambda rows: taken.append(sum(map(len, rows)))  # type: ignore[method-assign]  # counts alone
    members.want()
    members.round()
    members.stage.end(members.receiver)
    tracemalloc.start()
    try:
        for _ in range(400):
            members.leader.tick()
            members.round()
            members.receiver.on_staged(None) if members.receiver.held else None
            if members.leader.actor.snapshots.sending[FOLLOWER].phase.name == "ENDED":
                break
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    bound = 2 * limits.SNAPSHOT_WINDOW_CHUNKS * limits.SNAPSHOT_CHUNK_BYTES + (2 << 20)
    assert sum(taken) > 2 * bound
    assert peak < bound, f"{peak} bytes for {sum(taken)} bytes of data"
