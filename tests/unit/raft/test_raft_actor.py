"""The raft actor between a wal and an apply of the test's own, and the rules that one member can break."""

import pytest

from tests.unit.raft.member import ID, Rig, put, serving, stored
from zetcd.actors.actor import Peer
from zetcd.base import limits
from zetcd.base.errors import NO_LEADER, STOPPED, TOO_MANY_REQUESTS, UNHEALTHY, Fatal
from zetcd.cluster.membership import ChangeKind
from zetcd.wire.entry import Block, BlockKind, Entry, MemberChange, NoOp, Put, decode_entries, encode_entries
from zetcd.wire.local import (
    Applied,
    Blocks,
    Commit,
    ConfState,
    Grant,
    HardState,
    Opened,
    Persist,
    Persisted,
    Propose,
    ReadConfirmed,
    ReadFailed,
    ReadIndex,
    ReadState,
    Recover,
    Recovered,
    Refused,
    Release,
    Revoke,
    Revoked,
    Standing,
)


def commands(blocks: list[Block]) -> list[object]:
    return [entry.command for block in blocks for entry in decode_entries(block.count, block.data)]


def test_a_fresh_member_begins_with_its_membership_then_elects_itself_then_publishes() -> None:
    rig = Rig()
    [persist] = rig.take(Persist)
    assert persist.hard_state == HardState(1, 0, 1)
    assert [block.kind for block in persist.blocks] == [BlockKind.MEMBERSHIP]
    assert not rig.take(Commit)  # rule 3
    rig.persisted()
    assert rig.take(Commit) == [Commit(1, 1)]
    assert rig.actor.core is not None
    assert rig.actor.core.term == 1  # rule 14: no campaign before the bootstrap entry is applied
    rig.execute()
    assert rig.take(Persist)[0].hard_state == HardState(2, ID, 1)
    rig.settle()
    assert commands(rig.durable) == [
        MemberChange(ChangeKind.BOOTSTRAP, ID, "default", ["tcp://127.0.0.1:2380"]),
        NoOp(),
        MemberChange(ChangeKind.PUBLISH, ID, "default", [], ["tcp://127.0.0.1:2378"]),
    ]
    assert rig.actor.ready


def test_the_log_is_asked_for_slice_by_slice() -> None:
    rig = Rig(start=False)
    rig.actor.on_peer(rig.wal)
    rig.actor.on_peer(rig.apply)
    rig.actor.on_batch(rig.apply, [Opened(2, 3)])
    rig.actor.on_batch(rig.wal, [Recovered(HardState(3, ID, 6), 0, 0, [stored(1, 4, 3)], done=False)])
    assert rig.take(Recover) == [Recover(), Recover()]
    assert rig.actor.core is None
    rig.actor.on_batch(rig.wal, [Recovered(HardState(3, ID, 6), 0, 0, [stored(5, 8, 3)], done=True)])
    rig.turn()
    [blocks] = rig.take(Blocks)
    assert [(b.first, b.last) for b in blocks.blocks] == [(3, 4), (5, 8)]
    assert rig.take(Commit) == [Commit(6, 3)]


def test_rule_03_at_start_commit_is_the_larger_of_hard_state_and_applied() -> None:
    for hard_commit, applied, expected in ((6, 2, 6), (2, 5, 5), (0, 0, 0), (9, 2, 8)):
        recovered = Recovered(HardState(3, ID, hard_commit), 0, 0, [stored(1, 8, 3)], done=True)
        rig = Rig(recovered, Opened(applied, 3 if applied else 0))
        assert rig.actor.core is not None
        assert rig.actor.core.log.committed == expected
        assert rig.commit.index == (expected if expected > applied else 0)


def test_rule_03_a_log_shorter_than_the_store_goes_on_from_the_store() -> None:
    recovered = Recovered(HardState(3, ID, 4), 0, 0, [stored(1, 4, 3)], done=True)
    rig = Rig(recovered, Opened(9, 4))
    assert rig.take(Release) == [Release(9, 4)]
    assert rig.take(Persist)[0].hard_state == HardState(5, ID, 9)
    rig.persisted()
    [persist] = rig.take(Persist)
    assert [(b.first, b.term) for b in persist.blocks] == [(10, 5)]
    assert [b.first for b in rig.take(Blocks)[0].blocks] == [10]


def test_rule_03_store_and_log_that_disagree_do_not_start() -> None:
    recovered = Recovered(HardState(3, ID, 4), 0, 0, [stored(1, 4, 3)], done=True)
    with pytest.raises(Fatal, match="not of one member"):
        Rig(recovered, Opened(3, 2))
    recovered = Recovered(HardState(3, ID, 20), 10, 3, [stored(11, 20, 3)], done=True)
    with pytest.raises(Fatal, match="store was lost"):
        Rig(recovered, Opened(4, 1))


def test_rule_15_in_recovery_a_later_block_replaces_everything_from_its_first_index() -> None:
    blocks = [stored(1, 4, 1), stored(5, 9, 1), stored(4, 6, 2)]
    rig = Rig(Recovered(HardState(2, ID, 3), 0, 0, blocks, done=True), Opened(3, 1))
    sent = [block for message in rig.take(Blocks) for block in message.blocks]
    assert [(b.first, b.last, b.term) for b in sent] == [(4, 6, 2)]


def test_without_a_grant_a_proposal_goes_to_wal_and_apply_in_one_turn_and_the_turn_is_one_block() -> None:
    rig = serving()
    rig.actor.revoke()  # and apply has not answered yet
    rig.turn()
    rig.sent.clear()
    core = rig.actor.core
    assert core is not None
    first = core.log.last_index + 1
    large = bytes(limits.BLOCKS_AHEAD_BYTES)
    rig.turn(rig.api, *[Propose(n, 1, put(n)) for n in range(5)], Propose(5, 3, large))
    [persist] = rig.take(Persist)
    [blocks] = rig.take(Blocks)
    assert persist.blocks == blocks.blocks
    assert persist.number == blocks.number
    assert persist.sync
    assert not persist.forward
    [block] = persist.blocks
    assert (block.first, block.last) == (first, first + 7)
    assert block.data == b"".join(put(n) for n in range(5)) + large


def test_a_few_small_entries_go_to_apply_with_the_word_that_they_are_committed() -> None:
    rig = serving()
    rig.actor.revoke()  # and apply has not answered yet
    rig.turn()
    rig.sent.clear()
    rig.propose(1)
    assert not rig.take(Blocks)
    out = [type(message) for to, message in rig.persisted() if to is rig.apply]
    assert out == [Blocks, Commit]


def test_rule_03_commit_names_only_what_wal_has_answered() -> None:
    rig = serving()
    rig.actor.revoke()
    rig.turn(rig.apply, Revoked(1))
    rig.sent.clear()
    before = rig.commit.index
    rig.propose(1)
    rig.propose(2)
    rig.tick(3)
    assert rig.commit.index == before
    rig.turn(rig.wal, Persisted(rig.number - 1, before + 1, 2))
    rig.tick()
    assert (rig.commit.index, rig.commit.term) == (before + 1, 2)
    rig.persisted()
    rig.tick()
    assert (rig.commit.index, rig.commit.term) == (before + 2, 2)


def test_under_the_grant_wal_hands_blocks_on_and_commit_travels_at_the_tick() -> None:
    rig = serving()
    last = rig.commit.index
    rig.sent.clear()
    rig.propose(1)
    [persist] = rig.take(Persist)
    assert persist.forward
    assert not rig.take(Blocks), "a block sent twice may push out a later one"
    assert rig.persisted() == []  # apply hears it from wal: no message, no wakeup
    rig.propose(2)
    assert (rig.commit.index, rig.commit.term) == (last, 2)
    rig.persisted()
    rig.execute(last + 2)
    rig.tick()
    assert (rig.commit.index, rig.commit.term) == (last + 2, 2)


def test_rule_09_grant_only_with_the_first_entry_of_the_term_applied() -> None:
    rig = Rig()
    rig.persisted()
    rig.execute()  # bootstrap
    rig.persisted()  # the own vote: leader now
    rig.persisted()  # the no-op is durable and committed
    assert rig.actor.core is not None
    assert rig.actor.core.leads_since == 2
    rig.tick(3)
    assert not rig.take(Grant)
    rig.execute()
    rig.persisted()
    rig.persisted()  # that it is committed is durable too
    assert not rig.take(Grant)  # the published attributes are a membership change on their way
    rig.execute()
    [grant] = rig.take(Grant)
    assert grant.term == rig.actor.core.term
    rig.tick(5)
    assert not rig.take(Grant)


def test_rule_09_revoke_precedes_a_membership_change_on_its_way_to_apply() -> None:
    rig = serving()
    change = MemberChange(ChangeKind.UPDATE, ID, "", ["tcp://127.0.0.1:9999"])
    data = encode_entries([Entry(5, 1, change)])
    out = [m for to, m in rig.turn(rig.api, Propose(1, 1, data, BlockKind.MEMBERSHIP)) if to is rig.apply]
    assert [type(m) for m in out] == [Revoke]
    rig.persisted()
    rig.persisted()
    rig.execute()
    [serial] = [m.serial for m in rig.take(Grant)]
    assert serial == 2


def test_rule_09_no_new_configuration_and_no_new_grant_before_apply_has_acknowledged_the_revocation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = serving()
    core = rig.actor.core
    assert core is not None
    change = MemberChange(ChangeKind.UPDATE, ID, "", ["tcp://127.0.0.1:9999"])
    rig.turn(rig.api, Propose(1, 1, encode_entries([Entry(5, 1, change)]), BlockKind.MEMBERSHIP))
    [revoke] = rig.take(Revoke)
    rig.persisted()
    rig.persisted()
    taken: list[ConfState] = []
    monkeypatch.setattr(core, "conf_applied", taken.append)
    rig.turn(rig.apply, Applied(rig.commit.index, 0, 0, 1, ConfState([ID])))
    rig.tick()
    assert not taken
    assert not rig.take(Grant)
    rig.turn(rig.apply, Revoked(revoke.serial))
    assert taken == [ConfState([ID])]
    assert rig.take(Grant)


def test_rule_09_standing_says_sole_only_while_the_grant_is_out() -> None:
    rig = serving()
    rig.tick()
    assert rig.take(Standing)[-1].sole
    change = MemberChange(ChangeKind.UPDATE, ID, "", ["tcp://127.0.0.1:9999"])
    rig.turn(rig.api, Propose(1, 1, encode_entries([Entry(5, 1, change)]), BlockKind.MEMBERSHIP))
    assert not rig.take(Standing, rig.api)[-1].sole


def test_reads_are_answered_to_apply_and_on_wish_to_the_asker() -> None:
    rig = serving()
    index = rig.commit.index
    rig.turn(rig.api, ReadIndex(1), ReadIndex(2))
    rig.turn(rig.lease, ReadIndex(1, reply=True))
    assert rig.take(ReadState, rig.apply) == [ReadState([(3, 1), (3, 2)], index)]
    assert rig.take(ReadConfirmed, rig.lease) == [ReadConfirmed(1, 2)]


def test_reads_fail_without_a_leader() -> None:
    rig = Rig(start=False)
    rig.actor.on_peer(rig.api)
    rig.actor.on_peer(rig.lease)
    rig.link()
    rig.turn(rig.lease, ReadIndex(1, reply=True))
    assert rig.take(ReadFailed, rig.lease) == [ReadFailed([(4, 1)], *NO_LEADER)]


def test_reads_of_an_api_wait_for_a_leader() -> None:
    rig = Rig(start=False)
    rig.actor.on_peer(rig.api)
    rig.link()
    rig.turn(rig.api, ReadIndex(1))
    assert not rig.take(ReadFailed)
    rig.settle()
    rig.tick()
    assert [state.contexts for state in rig.take(ReadState, rig.apply)] == [[(3, 1)]]


def test_proposals_before_the_log_is_read_are_refused_and_those_before_a_leader_wait() -> None:
    rig = Rig(start=False)
    rig.actor.on_peer(rig.api)
    rig.turn(rig.api, Propose(4, 2, b"xx"))
    assert rig.take(Refused, rig.api) == [Refused(4, 2, *NO_LEADER)]
    rig.link()
    rig.propose(6)
    assert not rig.take(Refused, rig.api)
    rig.settle()
    rig.tick()
    assert Put(b"k6", bytes(8)) in commands(rig.durable)


def test_rule_17_unanswered_persists_are_bounded_in_bytes_and_time_still_passes() -> None:
    rig = serving()
    before = rig.number
    half = limits.PERSIST_INFLIGHT_BYTES_MAX // 2
    for n in range(4):
        rig.turn(rig.api, Propose(n, 1, bytes(half)))
    assert rig.number == before + 2
    assert rig.take(Refused)[0].message == TOO_MANY_REQUESTS.message
    rig.tick(3)
    assert rig.number == before + 2
    assert len(rig.take(Standing, rig.api)) == 3
    rig.persisted()
    assert rig.number == before + 2
    rig.turn(rig.api, Propose(9, 1, bytes(10)))
    assert rig.number == before + 3


def test_rule_17_what_does_not_fit_to_wal_stays_in_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PERSIST_INFLIGHT_BYTES_MAX", 100)
    rig = serving()
    before = rig.number
    for n in range(5):
        rig.propose(n, 60)
    assert rig.number == before + 2
    assert not rig.take(Refused)
    rig.persisted()
    assert rig.number == before + 3
    assert [len(persist.blocks) for persist in rig.take(Persist)[-3:]] == [1, 1, 1]
    assert len(decode_entries(3, rig.durable[-1].data)) == 3


def test_rule_17_apply_is_sent_no_more_than_its_window_and_the_rest_with_credit() -> None:
    rig = serving()
    half = limits.APPLY_INFLIGHT_BYTES_MAX // 2
    last = rig.commit.index
    for n in range(4):
        rig.turn(rig.api, Propose(n, 1, bytes(half)))
        rig.persisted()
    assert sum(len(b.data) for b in rig.held) == 2 * half
    rig.tick()
    assert rig.commit.index == last + 2  # never beyond what apply was sent
    rig.execute(last + 1)
    assert [b.first for b in rig.held] == [last + 2, last + 3]
    rig.execute(last + 3)
    rig.tick()
    assert rig.commit.index == last + 4


def test_rule_20_an_unanswered_persist_makes_the_leader_refuse_until_it_is_answered() -> None:
    rig = serving()
    rig.propose(1)
    rig.tick(limits.PERSIST_AGE_MAX_MS // 100)
    assert rig.take(Standing)[-1].healthy
    rig.tick(1)
    assert not rig.take(Standing)[-1].healthy
    rig.propose(2)
    assert rig.take(Refused) == [Refused(2, 1, *UNHEALTHY)]
    rig.settle()
    rig.execute(rig.durable[-1].last)
    rig.tick()
    assert rig.take(Standing)[-1].healthy
    rig.propose(3)
    assert not rig.take(Refused)


def test_rule_20_a_disk_that_is_slow_and_answers_is_not_hung() -> None:
    """What is sent just after a sync began waits for two of them: 5 s each must not count as 10."""
    rig = serving()
    most = limits.PERSIST_AGE_MAX_MS // 100
    rig.propose(1)
    first = Persisted(rig.number, rig.durable[-1].last, rig.durable[-1].term)
    rig.propose(2)
    rig.tick(most - 1)
    rig.turn(rig.wal, first)
    rig.tick(most)
    assert all(standing.healthy for standing in rig.take(Standing))
    rig.turn(rig.wal, first)  # says nothing new
    rig.tick(1)
    assert not rig.take(Standing)[-1].healthy


def test_rule_20_an_apply_that_does_not_answer_makes_the_leader_refuse() -> None:
    rig = serving()
    rig.propose(1)
    rig.persisted()
    rig.tick(limits.PERSIST_AGE_MAX_MS // 100 + 2)
    assert not rig.take(Standing)[-1].healthy


def test_rule_20_idleness_is_healthy() -> None:
    rig = serving()
    rig.propose(1)
    rig.persisted()
    rig.execute(rig.durable[-1].last)  # under the grant, before any Commit
    rig.tick(3)
    rig.persisted()
    rig.tick(300)
    assert rig.take(Standing)[-1].healthy


def test_rule_21_stop_refuses_what_is_new_and_drains_what_is_in_flight() -> None:
    rig = serving()
    rig.propose(1)
    rig.actor.on_stop()
    rig.propose(2)
    assert rig.take(Refused) == [Refused(2, 1, *STOPPED)]
    assert not rig.actor.stopped()
    rig.persisted()
    assert not rig.actor.stopped()
    rig.execute(rig.durable[-1].last)
    rig.persisted()
    assert rig.actor.stopped()
    assert rig.hard.commit == rig.durable[-1].last  # what the next start waits for


def test_applied_under_the_grant_may_overtake_persisted() -> None:
    rig = serving()
    rig.propose(1)
    last = rig.durable[-1].last
    rig.execute(last)
    assert rig.actor.core is not None
    assert rig.actor.core.log.applied == last - 1
    rig.persisted()
    assert rig.actor.core.log.applied == last


def test_standing_comes_on_connect_on_change_and_on_every_tick() -> None:
    rig = Rig(start=False)
    rig.actor.on_peer(rig.api)
    rig.turn()
    assert rig.take(Standing, rig.api)[0].leader == 0
    rig.link()
    rig.settle()
    standing = rig.take(Standing, rig.api)[-1]
    assert (standing.leader, standing.is_leader, standing.term) == (ID, True, 2)
    rig.tick()
    assert len(rig.take(Standing, rig.api)) == 1
    restarted = Peer("api", 0, 99)
    rig.actor.on_lost(rig.api)
    rig.actor.on_peer(restarted)
    rig.tick()
    assert not rig.take(Standing, rig.api)
    assert len(rig.take(Standing, restarted)) == 2


def test_wal_and_apply_take_raft_with_them() -> None:
    rig = serving()
    with pytest.raises(Fatal, match="fate"):
        rig.actor.on_lost(rig.wal)


def test_rule_04_a_wal_that_ends_elsewhere_than_raft_believes_is_fatal() -> None:
    rig = serving()
    rig.propose(1)
    with pytest.raises(Fatal, match="wal ends at"):
        rig.turn(rig.wal, Persisted(rig.number, rig.durable[-1].last - 1, 2))


def test_a_suspect_cut_of_a_sole_voter_is_settled_by_its_first_persist() -> None:
    recovered = Recovered(HardState(3, ID, 4), 0, 0, [stored(1, 4, 3)], done=True, suspect_cut=True)
    rig = Rig(recovered, Opened(4, 3))
    assert [p.caught_up for p in rig.take(Persist)] == [True]
    rig.persisted()
    assert [p.caught_up for p in rig.take(Persist)] == [False]


def test_rule_21_stop_waits_for_apply_even_if_the_log_is_complete() -> None:
    rig = serving()
    rig.propose(1)
    rig.actor.on_stop()
    for _ in range(3):
        rig.persisted()
    assert rig.hard.commit == rig.durable[-1].last
    assert not rig.actor.stopped()
    rig.execute(rig.durable[-1].last)
    assert rig.actor.stopped()
