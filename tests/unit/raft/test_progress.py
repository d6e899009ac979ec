"""Replication to one follower: probing, windows, loss, and falling out of the log."""

from dataclasses import replace

from tests.paper.stepping import acknowledge, data, drain, leader, make, only, runs
from zetcd.raft.core import Core
from zetcd.raft.leader import Leader
from zetcd.raft.progress import Progress, State
from zetcd.wire.entry import BlockKind
from zetcd.wire.local import ConfState
from zetcd.wire.peer import Append, AppendReply, Heartbeat, HeartbeatReply, Snapshot


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


def test_rounds_of_reads_neither_widen_the_window_nor_repeat_a_probe() -> None:
    """Each answer to a heartbeat used to free a place in a full window, and every turn with reads sends a round."""
    progress = Progress(1, messages_max=2, bytes_max=1000)
    progress.become_replicate()
    for last in (1, 2):
        progress.sent(last, 1)
    assert [progress.heard() for _ in range(3)] == [True, False, False]
    progress.sent(3, 1)
    assert not progress.heard()
    assert progress.paused
    core = leader()
    drain(core)
    for number in range(5):
        core.step(HeartbeatReply(1, 2, 1, number))
    assert len([a for a in only(drain(core), Append) if a.target == 2]) == 1
    for number in range(5):
        core.step(HeartbeatReply(1, 2, 1, number))
    assert drain(core) == []


def test_rule_02_what_a_heartbeat_says_was_acknowledged_and_is_not_held_is_refused() -> None:
    follower = make((1, 1), commit=1, member=2)
    follower.step(Heartbeat(1, 1, 2, 4, 1))
    [reply] = only(drain(follower), AppendReply)
    assert (reply.rejected, reply.index, reply.hint_index) == (True, 4, 2)


def test_a_lost_append_is_noticed_by_the_next_heartbeat() -> None:
    core = leader()
    acknowledge(core, 2)
    drain(core)
    propose(core)  # lost
    core.step(HeartbeatReply(1, 2, 1, 0))
    assert drain(core) == []  # there was an answer since the last tick; rounds of reads are many
    core.tick()
    drain(core)
    core.step(HeartbeatReply(1, 2, 1, 1))
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


def wants_snapshot() -> Core:
    """A leader at entry 8, flushed up to 6, whose log begins behind 3; member 2 needs entry 1."""
    core = leader()
    core.config = replace(core.config, catchup_entries=0, pin_ticks=3)
    acknowledge(core, 3)
    for _ in range(7):
        propose(core)
        acknowledge(core, 3)
    core.applied(8, 3)
    core.step(AppendReply(1, 2, 1, 0, rejected=True, hint_index=0, hint_term=0))
    ready = core.ready()
    assert ready is not None
    assert ready.snapshots_wanted == [2]
    return core


def test_rule_07_the_log_behind_a_snapshot_on_its_way_is_kept() -> None:
    """It used to be kept from what was applied; the snapshot stands at what is flushed, which is earlier."""
    core = wants_snapshot()
    core.applied(8, 6)
    assert core.log.base_index == 3, "apply has not said where its snapshot stands: not below what was flushed"
    core.snapshot_started(2, 5)
    core.applied(8, 8)
    assert core.log.base_index == 5
    core.snapshot_finished(2, 5)
    core.step(HeartbeatReply(1, 2, 1, 0))
    [append] = [a for a in only(drain(core), Append) if a.target == 2]
    assert append.previous_index == 5
    core.step(AppendReply(1, 2, 1, 8))
    propose(core)
    acknowledge(core, 3)
    core.applied(9, 9)
    assert core.log.base_index == 9, "taken up: nothing is kept any more"


def test_rule_07_the_log_is_not_kept_for_ever_for_a_member_that_does_not_take_it_up() -> None:
    core = wants_snapshot()
    core.snapshot_started(2, 5)
    core.snapshot_finished(2, 5)
    for _ in range(3):
        assert core.log.base_index == 3
        core.tick()
        core.step(HeartbeatReply(1, 3, 1, 0))
    core.applied(8, 8)
    assert core.log.base_index == 8


def test_rule_07_the_log_is_not_kept_beyond_its_bound() -> None:
    core = wants_snapshot()
    core.snapshot_started(2, 5)
    core.config = replace(core.config, log_bytes_max=core.log.bytes // 5)
    core.applied(8, 8)
    assert core.log.base_index == 8


def test_a_receiver_ahead_of_everything_known_here_is_probed_at_the_end_of_the_log() -> None:
    core = wants_snapshot()
    core.snapshot_finished(2, 500)
    core.step(HeartbeatReply(1, 2, 1, 0))
    [append] = [a for a in only(drain(core), Append) if a.target == 2]
    assert append.previous_index == 8


def test_the_log_is_cut_once_in_snapshot_count_entries_and_keeps_the_catch_up_entries() -> None:
    core = leader()
    core.config = replace(core.config, snapshot_count=4, catchup_entries=2)
    acknowledge(core, 2)
    acknowledge(core, 3)
    bases = []
    for index in range(2, 16):
        propose(core)
        acknowledge(core, 2)
        acknowledge(core, 3)
        core.applied(index, index)
        bases.append(core.log.base_index)
    assert bases == [0, 0, 0, 0, 0, 5, 5, 5, 5, 5, 10, 10, 10, 10]


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
