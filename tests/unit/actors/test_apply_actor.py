"""apply as an actor: what it executes and when, whom it answers, what it tells."""

import pytest

from tests.unit.actors.store import API, HeldFlusher, Store, everything, get, sequences
from zetcd.actors.actor import Peer
from zetcd.actors.apply_actor import ApplyActor
from zetcd.base import limits
from zetcd.base.errors import Fatal
from zetcd.mvcc.engine import MemoryEngine
from zetcd.state.machine import Machine
from zetcd.wire.codec import decode_events
from zetcd.wire.entry import Compact, Put, cut_block
from zetcd.wire.local import (
    Applied,
    Blocks,
    Commit,
    Feed,
    FeedCredit,
    Grant,
    IndexWanted,
    Opened,
    Persisted,
    ReadFailed,
    ReadState,
    Ready,
    Replies,
    Revoke,
    Revoked,
)
from zetcd.wire.queries import CompactWait
from zetcd.wire.results import Done, Failed, PutDone, RangeDone

MIB = 1 << 20


@pytest.fixture
def store() -> Store:
    return Store()


# -- rule 3 --------------------------------------------------------------------------------------------------------
def test_rule_03_entries_are_executed_only_as_far_as_raft_names_them(store: Store) -> None:
    block = store.block(*(Put(b"k%d" % number, b"v") for number in range(4)))
    store.turn(store.raft, Blocks(1, [block]))
    assert store.actor.machine.applied == 0, "not committed"
    store.turn(store.wal, store.persisted())
    assert store.actor.machine.applied == 0, "durable is not committed without a grant"
    store.turn(store.raft, Commit(2, 1))
    assert store.actor.machine.applied == 2
    assert sequences(store.answers()) == [1, 2]
    store.turn(store.raft, Commit(4, 1))
    assert store.actor.machine.applied == 4


def test_rule_03_a_commit_of_another_term_is_fatal_for_what_would_be_executed(store: Store) -> None:
    store.turn(store.raft, Blocks(1, [store.block(Put(b"a", b"1"), term=1)]))
    with pytest.raises(Fatal, match="committed in term 2, held in term 1"):
        store.turn(store.raft, Commit(1, 2))


def test_rule_03_a_later_block_replaces_what_was_never_committed(store: Store) -> None:
    store.turn(store.raft, Blocks(1, [store.block(Put(b"a", b"old"), Put(b"b", b"old"), term=1)]))
    store.last = 1
    store.turn(store.raft, Blocks(2, [store.block(Put(b"b", b"new"), term=2)]), Commit(2, 2))
    store.grant(2)
    store.turn(store.api, store.batch(everything()))
    (_, result) = store.answers()[-1]
    assert isinstance(result, RangeDone)
    assert [row[-3:] for _, row in result.rows] == [b"old", b"new"]


def test_rule_03_nothing_is_executed_beyond_a_gap_in_the_blocks(store: Store) -> None:
    """Under the grant blocks come from wal and from raft, and one link may be ahead of the other."""
    store.grant(term=1)
    first, second = store.block(Put(b"a", b"1"), term=1), store.block(Put(b"a", b"2"), term=1)
    store.turn(store.wal, Blocks(2, [second]), Persisted(2, 2, 1))
    assert store.actor.machine.applied == 0
    assert not sequences(store.answers())
    store.turn(store.raft, Blocks(1, [first]))
    assert store.actor.machine.applied == 2
    assert sequences(store.answers()) == [1, 2]


def test_rule_15_block_bounds_change_nothing(store: Store) -> None:
    block = store.block(*(Put(b"k", b"%d" % number) for number in range(6)))
    store.turn(store.raft, Blocks(1, [cut_block(block, 3)]), Commit(2, 1))
    store.turn(store.raft, Blocks(2, [block]), Commit(6, 1))
    assert (store.actor.machine.applied, store.actor.machine.revision) == (6, 7)
    assert sequences(store.answers()) == [1, 2, 3, 4, 5, 6]


# -- rule 9 --------------------------------------------------------------------------------------------------------
def test_rule_09_under_a_grant_durable_entries_of_its_term_are_executed(store: Store) -> None:
    store.grant(term=2)
    store.turn(store.raft, Blocks(1, [store.block(Put(b"a", b"1"), term=1)]))
    store.turn(store.raft, Blocks(2, [store.block(Put(b"b", b"1"), term=2)]))
    store.turn(store.wal, Persisted(2, 2, 2))
    assert store.actor.machine.applied == 0, "an entry of an older term needs raft's own Commit"
    store.turn(store.raft, Commit(1, 1))
    assert store.actor.machine.applied == 2
    store.turn(store.raft, Blocks(3, [store.block(Put(b"c", b"1"), term=2)]))
    assert store.actor.machine.applied == 2, "not durable yet"
    store.turn(store.wal, Persisted(3, 3, 2))
    assert store.actor.machine.applied == 3


def test_rule_09_what_is_durable_in_an_older_term_is_not_committed_by_a_grant(store: Store) -> None:
    store.turn(store.raft, Blocks(1, [store.block(Put(b"a", b"1"), term=1)]), Grant(1, 2))
    store.turn(store.wal, Persisted(1, 1, 1))
    assert store.actor.machine.applied == 0
    store.last = 0
    store.turn(store.raft, Blocks(2, [store.block(Put(b"a", b"2"), term=2)]))
    assert store.actor.machine.applied == 0, "what is durable at that index is another entry"


def test_rule_09_linearizable_reads_wait_for_a_grant_or_a_read_index(store: Store) -> None:
    store.serve()
    store.execute(Put(b"a", b"1"))
    store.frames = []
    store.turn(store.api, store.batch(get(b"a")), store.batch(get(b"a"), linearizable=False))
    assert sequences(store.answers()) == [-2], "only the serializable one"
    store.turn(store.raft, Grant(1, 1))
    assert sequences(store.answers()) == [-1]
    store.turn(store.api, store.batch(get(b"a")))
    assert sequences(store.answers()) == [-3], "at once under the grant"


def test_rule_09_a_revoked_grant_is_acknowledged_and_ends_both_shortcuts(store: Store) -> None:
    store.grant()
    store.turn(store.raft, Revoke(1))
    assert store.take(Revoked, store.raft) == [Revoked(1)]
    store.turn(store.raft, Blocks(1, [store.block(Put(b"a", b"1"))]))
    store.turn(store.wal, store.persisted())
    assert store.actor.machine.applied == 0
    store.turn(store.api, store.batch(get(b"a")))
    assert store.take(IndexWanted) == [IndexWanted(1)]
    assert not store.answers()


def test_rule_09_an_old_revocation_leaves_a_newer_grant_alone(store: Store) -> None:
    store.turn(store.raft, Grant(1, 1))
    store.turn(store.raft, Revoke(1), Grant(2, 1), Revoke(1))
    store.turn(store.api, store.batch(get(b"a")))
    assert sequences(store.answers()) == [-1]


def test_rule_10_a_parked_read_is_answered_once_its_index_is_applied(store: Store) -> None:
    store.serve()
    store.turn(store.api, store.batch(get(b"a"), asked=True))
    assert not store.take(IndexWanted), "api has asked by itself"
    store.turn(store.raft, ReadState([(API, 1)], 2))
    block = store.block(Put(b"a", b"1"), Put(b"a", b"2"))
    store.turn(store.raft, Blocks(1, [block]), Commit(1, 1))
    assert not [sequence for sequence, _ in store.answers() if sequence < 0]
    store.turn(store.raft, Commit(2, 1))
    replies = dict(store.answers())
    assert isinstance(replies[-1], RangeDone)
    assert replies[-1].revision == 3


def test_rule_10_an_index_may_overtake_the_read_and_is_used_once(store: Store) -> None:
    store.serve()
    store.turn(store.raft, ReadState([(API, 1)], 0))
    store.turn(store.api, store.batch(get(b"a")))
    assert sequences(store.answers()) == [-1]
    store.turn(store.raft, ReadState([(API, 1)], 0), ReadState([(99, 1)], 0))
    assert not store.actor._parked, "an index that nobody waits for is not kept"


def test_a_failed_read_index_fails_its_reads_alone(store: Store) -> None:
    store.turn(store.api, store.batch(get(b"a")), store.batch(get(b"b")))
    store.turn(store.raft, ReadFailed([(API, 1)], 14, "etcdserver: no leader"))
    ((sequence, result),) = store.answers()
    assert (sequence, result) == (-1, Failed(14, "etcdserver: no leader", 1))
    store.grant()
    assert sequences(store.answers()) == [-2]


# -- rule 16 -------------------------------------------------------------------------------------------------------
def test_rule_16_the_feed_of_a_change_comes_before_its_reply_in_one_frame(store: Store) -> None:
    store.subscribe()
    store.frames = []
    store.turn(store.raft, Blocks(1, [store.block(Put(b"a", b"1")), store.block(Put(b"b", b"1"))]), Commit(2, 1))
    frames = [messages for peer, messages in store.frames if peer is store.api]
    assert len(frames) == 1
    told, replied = 1, []
    for message in frames[0]:
        if isinstance(message, Feed):
            assert message.previous == told
            told = message.revision
        elif isinstance(message, Replies):
            for sequence, result in message.replies:
                assert isinstance(result, PutDone)
                assert result.revision <= told, "a reply before the event it stands for"
                replied.append(sequence)
    assert (told, replied) == (3, [1, 2])


def test_rule_16_reads_of_a_turn_come_behind_the_feed_they_saw(store: Store) -> None:
    store.subscribe()
    store.grant()
    store.frames = []
    store.actor.on_batch(store.api, [store.batch(get(b"a"))])
    store.turn(store.raft, Blocks(1, [store.block(Put(b"a", b"1"))]), Commit(1, 1))
    ((_, messages),) = [(peer, each) for peer, each in store.frames if peer is store.api]
    kinds = [type(message) for message in messages]
    assert kinds.index(Feed) < kinds.index(Replies)
    answer = messages[kinds.index(Replies)]
    assert isinstance(answer, Replies)
    assert dict(answer.replies)[-1] == RangeDone(2, dict(answer.replies)[-1].rows, False, 1)  # type: ignore[union-attr]


def test_rule_16_a_quiet_tick_repeats_the_revision(store: Store) -> None:
    store.execute(Put(b"a", b"1"))
    store.tick()
    store.frames = []
    store.tick()
    feeds = store.take(Feed)
    assert [(feed.previous, feed.revision, feed.gap) for feed in feeds] == [(2, 2, False)]


def test_rule_16_who_subscribed_gets_events_others_only_the_revision(store: Store) -> None:
    other = Peer("api", 1, API + 1)
    store.actor.on_peer(other)
    store.subscribe(level=1)
    store.frames = []
    store.execute(Put(b"a", b"1"), Put(b"b", b"2"))
    frames = store.frames
    (feed,) = store.events()
    assert [(event.revision, event.key) for event in decode_events(feed.events)] == [(2, b"a"), (3, b"b")]
    store.frames = frames
    assert not store.take(Feed, other), "nobody watches there"
    store.tick()
    (bare,) = store.take(Feed, other)
    assert (bare.previous, bare.revision, bytes(bare.events)) == (3, 3, b"\x90"), "the tick tells the revision"


def test_rule_16_events_over_their_budget_become_a_marked_gap_and_replies_do_not(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule 17 as well: events may give way, replies never."""
    monkeypatch.setattr(limits, "FEED_UNACKED_BYTES_MAX", 1_000)
    store.subscribe()
    store.frames = []
    for _ in range(4):
        store.execute(Put(b"a", bytes(400)))
    frames = store.frames
    feeds = store.events()
    assert [feed.gap for feed in feeds] == [False, False, True, True]
    assert [(feed.previous, feed.revision) for feed in feeds] == [(1, 2), (2, 3), (3, 4), (4, 5)]
    store.frames = frames
    assert sequences(store.answers()) == [1, 2, 3, 4]
    store.turn(store.api, FeedCredit(1_000))
    store.execute(Put(b"a", bytes(400)))
    assert [feed.gap for feed in store.events()] == [False]


def test_rule_16_a_frame_over_its_bound_is_a_gap_for_all(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FEED_FRAME_BYTES_MAX", 1_000)
    store.subscribe()
    store.frames = []
    store.execute(Put(b"a", bytes(2_000)))
    assert [feed.gap for feed in store.events()] == [True]


# -- rule 17 -------------------------------------------------------------------------------------------------------
def test_rule_17_executed_bytes_return_credit_to_raft(store: Store) -> None:
    block = store.block(Put(b"a", bytes(1_000)))
    store.frames = []
    store.turn(store.raft, Blocks(1, [block]), Commit(1, 1))
    (applied,) = store.take(Applied, store.raft)
    assert (applied.index, applied.bytes, applied.flushed_index) == (1, len(block.data), 0)


def test_rule_17_a_slow_disk_stops_execution_not_reading(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Overlays over their hard bound hold back further blocks until the flush under way has ended."""
    monkeypatch.setattr(limits, "OVERLAY_BYTES_MAX", 10_000)
    monkeypatch.setattr(limits, "OVERLAY_BYTES_HARD_MAX", 30_000)
    store.grant()
    for number in range(100):
        block = store.block(Put(b"k%03d" % number, bytes(1_000)))
        store.turn(store.raft, Blocks(block.last, [block]))
        store.turn(store.wal, store.persisted())
    stopped = store.actor.machine.applied
    assert 20 <= stopped < 60
    store.frames = []
    store.turn(store.api, store.batch(get(b"k000")))
    assert len(store.answers()) == 1
    while store.flusher.held:
        store.flusher.held.pop().write()
        store.actor.on_flushed()
        store.turn()
        store.settle()
    assert store.actor.machine.applied == 100


# -- rule 18 -------------------------------------------------------------------------------------------------------
def test_rule_18_compaction_decides_logically_at_once_and_sweeps_in_slices(store: Store) -> None:
    store.grant()
    for _ in range(3):
        store.fill(3_000)
    store.execute(Compact(6_001))
    assert store.actor.machine.compact_revision == 6_001
    assert store.actor.machine.swept_revision < 6_001
    store.frames = []
    store.turn(store.api, store.batch(CompactWait(6_001)))
    ticks = 0
    while store.actor.machine.swept_revision < 6_001:
        store.turn(store.api, store.batch(get(b"k000001")))
        assert sequences(store.answers()) == [store.sequence], "a sweep lets requests through; physical waits"
        store.tick()
        ticks += 1
    assert ticks > 2
    assert store.answers() == [(-1, Done(9_001))]


# -- rule 19 -------------------------------------------------------------------------------------------------------
def test_rule_19_a_long_range_delays_neither_small_reads_nor_writes(store: Store) -> None:
    store.grant()
    store.fill(100_000)
    store.frames = []
    store.turn(store.api, store.batch(everything(), get(b"k000001")))
    assert sequences(store.answers()) == [-2], "the small read is answered in the very turn"
    between = 0
    while store.actor.busy():
        store.turn(store.api, store.batch(get(b"k000002")))
        answers = store.answers()
        assert store.sequence in sequences(answers)
        between += 1
        long = [result for sequence, result in answers if sequence == -1]
        if long:
            (found,) = long
            assert isinstance(found, RangeDone)
            assert len(found.rows) == 100_000
    assert between >= 100_000 // limits.READ_SLICE_KEYS // limits.CURSOR_STEPS_PER_TURN


def test_rule_19_a_long_range_sees_one_revision_whatever_is_written_meanwhile(store: Store) -> None:
    store.grant()
    store.fill(20_000)
    store.frames = []
    store.turn(store.api, store.batch(everything()))
    revision = store.actor.machine.revision
    while store.actor.busy():
        store.execute(Put(b"k%06d" % (store.last % 20_000), b"later"), Put(b"new%d" % store.last, b""))
    ((_, result),) = [answer for answer in store.answers() if answer[0] == -1]
    assert isinstance(result, RangeDone)
    assert (result.revision, result.count) == (revision, 20_000)
    assert not [row for _, row in result.rows if row.endswith(b"later")]


# -- rule 21 and restarts ------------------------------------------------------------------------------------------
def test_rule_21_api_is_told_ready_once_raft_has_granted(store: Store) -> None:
    assert not store.take(Ready)
    assert not store.actor.ready
    store.grant()
    assert store.take(Ready) == [Ready(1, -1)]
    late = Peer("api", 1, API + 1)
    store.actor.on_peer(late)
    store.turn()
    assert store.take(Ready, late) == [Ready(1, -1)]


def test_rule_21_among_several_voters_nothing_is_served_before_what_was_acknowledged_is_executed(store: Store) -> None:
    store.serve(2)
    store.turn(store.api, store.batch(get(b"a"), linearizable=False))
    assert not store.actor.busy()
    store.execute(Put(b"a", b"1"))
    assert sequences(store.answers()) == [1]
    assert not store.actor.ready
    store.turn(store.raft, Blocks(2, [store.block(Put(b"a", b"2"))]), Commit(2, 1))
    assert store.actor.ready
    found = dict(store.answers())[-1]
    assert isinstance(found, RangeDone)
    assert found.revision == 3


def test_rule_21_at_stop_everything_executed_is_synced_first(store: Store) -> None:
    store.execute(Put(b"a", b"1"))
    store.actor.on_stop()
    store.turn()
    assert not store.actor.stopped()
    (flush,) = store.flusher.held
    flush.write()
    store.actor.on_flushed()
    store.turn()
    assert not store.actor.stopped(), "raft may still have something to execute"
    store.actor.on_lost(store.raft)
    assert store.actor.stopped()
    assert Store(store.engine).actor.machine.applied == 1


def test_an_api_process_that_is_gone_leaves_nothing_behind(store: Store) -> None:
    store.execute(Put(b"a", b"1"))
    store.turn(store.api, store.batch(get(b"a")), store.batch(CompactWait(99), linearizable=False))
    store.turn(store.raft, ReadState([(API, 50)], 1))
    store.actor.on_lost(store.api)
    store.grant()
    store.tick()
    actor = store.actor
    left = (actor._parked, actor._reads.due, actor._reads.long._line, actor.deferred._sweeps, actor._apis)
    assert not any(left)


def test_rule_03_a_block_that_comes_late_and_again_pushes_nothing_out(store: Store) -> None:
    """Under the grant blocks come over two links: wal's copy of an early block after raft's later one."""
    store.grant(term=1)
    blocks = [store.block(Put(b"k", b"%d" % number), term=1) for number in range(1, 5)]
    store.turn(store.raft, Blocks(1, [blocks[0]]), Commit(1, 1))
    store.turn(store.raft, Blocks(3, [blocks[1], blocks[2]]))
    store.turn(store.wal, Blocks(2, [blocks[1]]), Persisted(2, 2, 1))
    store.turn(store.raft, Blocks(4, [blocks[3]]), Commit(4, 1))
    assert store.actor.machine.applied == 4
    assert sequences(store.answers()) == [1, 2, 3, 4]


def test_raft_is_told_of_the_store_only_when_wal_can_be_heard() -> None:
    """Under the grant blocks come from wal alone: a grant before that link is open would lose them."""
    actor = ApplyActor(Machine(MemoryEngine()), HeldFlusher())
    raft, wal = Peer("raft", 0, 1), Peer("wal", 0, 2)
    actor.on_peer(raft)
    assert raft not in actor.outbox
    actor.on_peer(wal)
    assert [type(message) for message in actor.outbox[raft]] == [Opened]
