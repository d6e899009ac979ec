"""What waits for the disk, and whose answer counts for what (rules 4 and 5), on a member of three."""

from random import Random

import pytest

from tests.paper.stepping import data, drain, leader, make, only, runs
from tests.scenarios.cluster import Cluster
from zetcd.raft.config import Config
from zetcd.raft.core import Core
from zetcd.raft.log import Log
from zetcd.raft.ready import Ready
from zetcd.wire.entry import BlockKind
from zetcd.wire.local import ConfState, HardState
from zetcd.wire.peer import Append, AppendReply, Heartbeat, Snapshot, Vote, VoteReply


def take(core: Core) -> Ready:
    ready = core.ready()
    assert ready is not None
    return ready


def test_rule_05_an_append_is_answered_once_its_entries_are_durable() -> None:
    core = make()
    core.step(Append(1, 2, 1, 0, 0, 0, runs(1, 1)))
    ready = take(core)
    assert [b.last for b in ready.blocks] == [1, 2]
    assert not ready.messages
    core.persisted(ready.number)
    assert [(m.index, m.rejected) for m in only(drain(core), AppendReply)] == [(2, False)]


def test_rule_05_a_repeated_append_is_not_answered_before_the_first_one_is_durable() -> None:
    core = make()
    append = Append(1, 2, 1, 0, 0, 0, runs(1, 1))
    core.step(append)
    ready = take(core)
    core.step(append)
    assert core.ready() is None
    core.persisted(ready.number)
    assert len(only(drain(core), AppendReply)) == 2


def test_rule_05_a_commit_ahead_of_the_disk_is_not_acknowledged_as_held() -> None:
    core = make()
    core.step(Append(1, 2, 1, 0, 0, 2, runs(1, 1)))
    ready = take(core)
    assert ready.hard_state is not None
    assert ready.hard_state.commit == 2  # written no later than the entries it came with
    core.step(Append(1, 2, 1, 0, 0, 2, []))  # below commit: answered with the commit index
    assert core.ready() is None
    core.persisted(ready.number)
    assert [m.index for m in only(drain(core), AppendReply)] == [2, 2]


def test_rule_05_a_vote_is_sent_once_it_is_durable() -> None:
    core = make()
    core.step(Vote(1, 2, 1, 0, 0))
    ready = take(core)
    assert ready.hard_state == HardState(1, 2, 0)
    assert ready.must_sync
    assert not ready.messages
    core.persisted(ready.number)
    assert [m.granted for m in only(drain(core), VoteReply)] == [True]


def test_rule_05_a_candidate_asks_once_its_term_and_the_log_it_names_are_durable() -> None:
    core = make()
    core.campaign()
    ready = take(core)
    assert ready.must_sync
    assert not ready.messages
    core.tick()  # nor does it ask again before that
    assert core.ready() is None
    core.persisted(ready.number)
    assert len(only(drain(core), Vote)) == 2
    core.step(VoteReply(1, 2, 1, granted=True))
    assert core.is_leader


def test_rule_05_an_own_vote_that_is_not_durable_does_not_count() -> None:
    core = make()
    core.campaign()
    ready = take(core)
    core.step(VoteReply(1, 2, 1, granted=True))
    assert not core.is_leader
    core.persisted(ready.number)
    assert core.is_leader


@pytest.mark.parametrize("pre_vote", [False, True])
def test_rule_05_a_vote_does_not_outlive_the_entries_it_was_given_for(pre_vote: bool) -> None:
    """4 stands with an entry that its disk does not have yet, gets a vote for it, forgets both, and stands in the same
    term again, with less: the answers to its former life, which come now, must not elect it."""
    cluster = Cluster(5, lambda member: Config(member, pre_vote=pre_vote))
    old, two, three, four, five = (cluster.nodes[member] for member in range(1, 6))
    cluster.elect(1)
    cluster.isolate(5)
    assert old.propose(b"committed by 1, 2 and 3")
    for _ in range(4):
        for node in (old, two, three, four):
            node.act()
            if node is not four:
                node.sync()
        mail, cluster.mail = cluster.mail, []
        for message in mail:
            cluster.deliver(message)
    assert old.applied == 2
    assert (four.core.log.last_index, four.durable_last) == (2, 1)
    old.crash()
    cluster.mail.clear()
    for node in (two, three, four, five):
        node.core.forget_leader()

    term = four.core.term + 1
    late = []
    four.core.campaign()
    for _ in range(4):
        four.act()
        mail, cluster.mail = cluster.mail, []
        for vote in only(mail, Vote):
            cluster.deliver(vote)
        two.act()
        two.sync()
        two.act()
        late += [reply for reply in only(cluster.mail, VoteReply) if reply.source == 2]
        if pre_vote:  # 3 and 5 would vote for it, too
            four.core.step(VoteReply(term, 3, 4, granted=True, pre=True))
            four.core.step(VoteReply(term, 5, 4, granted=True, pre=True))
    assert four.core.term == term
    four.crash()
    four.start()
    assert (four.core.term, four.core.log.last_index) == (term - 1, 1)

    cluster.heal()
    three.crash()
    cluster.mail.clear()
    four.core.campaign()
    for turn in range(4):
        for node in (four, five):
            node.act()
            node.sync()
            node.act()
        mail, cluster.mail = cluster.mail, []
        for message in [*mail, *(late if turn else [])]:
            if message.target != 2:
                cluster.deliver(message)
    assert not four.core.is_leader


def test_rule_05_a_vote_of_an_earlier_election_that_becomes_durable_is_none_of_this_one() -> None:
    core = make()
    core.campaign()
    first = take(core)
    core.campaign()
    second = take(core)
    assert core.term == 2
    core.step(VoteReply(2, 2, 1, granted=True))
    core.persisted(first.number)
    assert not core.is_leader
    core.persisted(second.number)
    assert core.is_leader


def test_rule_04_an_answer_does_not_cover_entries_that_a_later_ready_rewrites() -> None:
    """Entry 2 is written in term 1, replaced in term 2 and comes back in term 3: the answer to the first write must not
    count for the third."""
    core = make((1,), term=1)
    core.step(Append(1, 2, 1, 1, 1, 0, runs(1, first=2)))
    first = take(core)
    core.step(Append(2, 3, 1, 1, 1, 0, runs(2, first=2)))
    second = take(core)
    assert [(b.first, b.term) for b in second.blocks] == [(2, 2)]
    core.persisted(first.number)
    assert core.log.stable == 1
    core.persisted(second.number)
    assert core.log.stable == 2


def test_rule_04_the_leaders_own_acknowledgement_carries_its_term() -> None:
    """What was handed out in an earlier term says nothing about entries of this one."""
    core = make()
    core.step(Append(1, 2, 1, 0, 0, 0, runs(1, 1)))
    early = take(core)
    core.campaign()
    drain_without_sync = take(core)
    core.step(VoteReply(2, 3, 1, granted=True))
    core.step(VoteReply(2, 2, 1, granted=True))
    assert core.is_leader
    core.persisted(early.number)
    assert core.log.committed == 0
    core.step(AppendReply(2, 2, 1, 3))
    core.persisted(drain_without_sync.number)
    assert core.log.committed == 0  # the no-op at 3 was never handed out
    core.persisted(take(core).number)
    assert core.log.committed == 3


def test_rule_07_a_snapshot_that_is_not_newer_than_commit_is_ignored() -> None:
    core = make((1, 1, 1), term=1, commit=2)
    core.step(Snapshot(1, 2, 1, 2, 1, ConfState([1, 2, 3])))
    assert core.log.last_index == 3
    assert take(core).snapshot is None


def test_rule_07_a_snapshot_whose_position_the_log_holds_only_commits() -> None:
    core = make((1, 1, 1), term=1, commit=1)
    core.step(Snapshot(1, 2, 1, 3, 1, ConfState([1, 2, 3])))
    assert (core.log.base_index, core.log.committed) == (0, 3)


def test_rule_07_a_newer_snapshot_replaces_the_log_and_is_answered_once_it_is_durable() -> None:
    core = make((1, 1), term=2, commit=1)
    core.step(Snapshot(2, 2, 1, 9, 2, ConfState([1, 2, 4])))
    ready = take(core)
    assert ready.snapshot is not None
    assert (ready.snapshot.index, ready.snapshot.term, ready.must_sync) == (9, 2, True)
    assert ready.hard_state == HardState(2, 0, 9)
    assert ready.commit is None
    assert not ready.messages
    assert core.conf == ConfState([1, 2, 4])
    core.persisted(ready.number)
    assert [m.index for m in only(drain(core), AppendReply)] == [9]
    core.step(Append(2, 2, 1, 9, 2, 9, runs(2, first=10)))
    assert core.log.last_index == 10


def test_rule_02_after_a_suspect_cut_a_member_withholds_its_vote_until_it_has_caught_up() -> None:
    log = Log()
    for block in runs(1, 1):
        log.append(block)
    log.recovered(1, 1)
    core = Core(Config(1, pre_vote=False), log, HardState(3, 0, 1), ConfState([1, 2, 3]), Random(1), suspect_cut=True)
    core.step(Vote(4, 2, 1, 9, 3))
    assert [m.granted for m in only(drain(core), VoteReply)] == [False]
    for _ in range(100):
        core.tick()
    assert core.term == 4  # nor does it campaign
    core.step(Heartbeat(5, 2, 1, 2, 1))
    assert core.log.committed == 1  # by what was acknowledged before the loss; another entry may stand there now
    core.step(Append(5, 2, 1, 2, 1, 2, runs(5, first=3)))
    drain(core)
    assert core.votes_withheld  # held, but not known to be committed
    core.step(Heartbeat(5, 2, 1, 3, 1))
    drain(core)
    assert not core.votes_withheld
    core.step(Vote(6, 3, 1, 9, 5, transfer=True))
    assert [m.granted for m in only(drain(core), VoteReply)] == [True]


def test_replication_goes_on_while_the_own_disk_hangs() -> None:
    core = leader()
    core.ready()
    for _ in range(5):
        assert type(core.propose(BlockKind.NORMAL, 1, data(1))) is tuple
        core.tick()
        ready = core.ready(persist=False)
        assert ready is not None
        assert ready.number == 0
        assert {m.target for m in only(ready.messages, Heartbeat)} == {2, 3}
    core.step(AppendReply(1, 2, 1, 1))
    ready = core.ready(persist=False)
    assert ready is not None
    assert [a.blocks[-1].last for a in only(ready.messages, Append) if a.target == 2] == [6]
