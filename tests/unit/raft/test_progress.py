"""Replication to one follower: probing, windows, loss, and falling out of the log."""

from tests.paper.stepping import acknowledge, data, drain, leader, make, only, runs
from zetcd.raft.core import Core
from zetcd.raft.leader import Leader
from zetcd.raft.progress import Progress, State
from zetcd.wire.entry import BlockKind
from zetcd.wire.local import ConfState
from zetcd.wire.peer import Append, AppendReply, HeartbeatReply, Snapshot


def of(core: Core, member: int) -> Progress:
    assert isinstance(core.role, Leader)
    return core.role.peers[member]


def propose(core: Core, count: int = 1) -> list[Append]:
    core.propose(BlockKind.NORMAL, count, data(count))
    return [append for append in only(drain(core), Append) if append.target == 2]


def test_a_probe_is_sent_once_until_it_or_a_heartbeat_is_answered() -> None:
    core = leader()
    assert len([a for a in only(drain(core), Append) if a.target == 2]) == 1
    assert propose(core) == []
    core.step(HeartbeatReply(1, 2, 1, 0))
    [again] = [a for a in only(drain(core), Append) if a.target == 2]
    assert again.previous_index == 0


def test_replication_runs_ahead_of_the_answers() -> None:
    core = leader()
    acknowledge(core, 2)
    drain(core)
    assert of(core, 2).state == State.REPLICATE
    sent = [propose(core)[0] for _ in range(3)]
    assert [a.previous_index for a in sent] == [1, 2, 3]
    assert of(core, 2).match == 1


def test_the_window_is_bounded_in_bytes_and_opens_with_the_answers() -> None:
    progress = Progress(1, messages_max=100, bytes_max=1000)
    progress.maybe_update(0)
    progress.become_replicate()
    progress.sent(1, 600)
    assert not progress.paused
    progress.sent(2, 600)
    assert progress.paused
    progress.maybe_update(1)
    assert not progress.paused
    assert progress.inflight_bytes == 600


def test_the_window_is_bounded_in_messages() -> None:
    progress = Progress(1, messages_max=2, bytes_max=1000)
    progress.become_replicate()
    progress.sent(1, 1)
    progress.sent(2, 1)
    assert progress.paused
    progress.heard()  # a full window deserves one more try
    assert not progress.paused


def test_a_lost_append_is_noticed_by_the_next_heartbeat() -> None:
    core = leader()
    acknowledge(core, 2)
    drain(core)
    propose(core)  # lost
    core.step(HeartbeatReply(1, 2, 1, 0))
    [empty] = [a for a in only(drain(core), Append) if a.target == 2]
    assert (empty.previous_index, empty.blocks) == (2, [])
    core.step(AppendReply(1, 2, 1, 2, rejected=True, hint_index=1, hint_term=1))
    [again] = [a for a in only(drain(core), Append) if a.target == 2]
    assert (again.previous_index, again.blocks[-1].last) == (1, 2)


def test_a_late_refusal_changes_nothing() -> None:
    core = leader()
    acknowledge(core, 2)
    drain(core)
    core.step(AppendReply(1, 2, 1, 0, rejected=True, hint_index=0, hint_term=0))
    assert (of(core, 2).state, of(core, 2).next) == (State.REPLICATE, 2)
    probe = Progress(10, messages_max=9, bytes_max=9)
    assert probe.maybe_decrease(9, 4)
    assert probe.next == 5
    assert not probe.maybe_decrease(9, 2)  # of the probe before
    assert probe.next == 5


def test_rule_02_a_follower_that_lost_what_it_acknowledged_is_brought_up_again() -> None:
    """It used to refuse the same probe for ever: what is known to match was never taken back."""
    core = leader()
    propose(core, 3)
    acknowledge(core, 2, 3)
    drain(core)
    assert of(core, 2).match == 4
    core.step(AppendReply(1, 2, 1, 4, rejected=True, hint_index=0, hint_term=0))
    [probe] = [a for a in only(drain(core), Append) if a.target == 2]
    assert (probe.previous_index, probe.blocks[-1].last) == (0, 4)
    assert core.log.committed == 4
    core.step(AppendReply(1, 2, 1, 4))
    assert (of(core, 2).match, of(core, 2).state) == (4, State.REPLICATE)


def test_a_follower_whose_entries_are_gone_wants_a_snapshot_and_goes_on_after_it() -> None:
    core = leader()
    acknowledge(core, 3)
    for _ in range(3):
        propose(core)
        acknowledge(core, 3)
    core.log.applied = 4
    core.log.compact(3)
    core.step(AppendReply(1, 2, 1, 0, rejected=True, hint_index=0, hint_term=0))
    ready = core.ready()
    assert ready is not None
    assert ready.snapshots_wanted == [2]
    assert of(core, 2).state == State.SNAPSHOT
    assert propose(core) == []
    core.snapshot_finished(2, 0)  # failed: not again before it is heard of
    assert propose(core) == []
    core.step(HeartbeatReply(1, 2, 1, 0))
    ready = core.ready()
    assert ready is not None
    assert ready.snapshots_wanted == [2]
    core.step(AppendReply(1, 2, 1, 4))  # installed
    [append] = [a for a in only(drain(core), Append) if a.target == 2]
    assert append.previous_index == 4
    assert of(core, 2).state == State.REPLICATE


def test_answers_of_strangers_and_beyond_the_log_are_ignored() -> None:
    core = leader()
    drain(core)
    core.step(AppendReply(1, 9, 1, 1))
    core.step(AppendReply(1, 2, 1, 99))
    core.step(HeartbeatReply(1, 9, 1, 1))
    assert core.log.committed == 0


def test_malformed_appends_are_dropped() -> None:
    core = make(term=2)
    for blocks in (runs(1, first=3), [*runs(2), *runs(1, first=2)], runs(9)):
        core.step(Append(2, 2, 1, 0, 0, 5, blocks))
    assert core.log.last_index == 0
    core.step(Append(2, 2, 9, 0, 0, 0, runs(1)))  # for somebody else
    core.step(Snapshot(2, 1, 1, 5, 1, ConfState([1])))  # from itself
    assert core.log.last_index == 0
