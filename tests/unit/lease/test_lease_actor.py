"""The lease actor, message by message."""

import pytest

from zetcd.actors.actor import Peer
from zetcd.actors.lease_actor import LeaseActor
from zetcd.actors.measuring import LEASE_TTL
from zetcd.base import limits
from zetcd.base.errors import LEADER_CHANGED, NO_LEADER, NOT_LEADER, TIMEOUT
from zetcd.base.settings import Settings
from zetcd.wire.entry import Command, LeaseCheckpoint, LeaseRevoke, decode_entries
from zetcd.wire.local import (
    KeepAlive,
    LeaseAnswer,
    LeaseAnswers,
    LeaseAsk,
    LeaseAsks,
    LeaseChanges,
    LeaseLoad,
    LeaseRow,
    Measure,
    Measured,
    Message,
    Propose,
    ReadConfirmed,
    ReadIndex,
    Refused,
    Replies,
    Standing,
    TimeToLive,
)
from zetcd.wire.results import Done

RAFT, APPLY, API = Peer("raft", 0, 1), Peer("apply", 0, 2), Peer("api", 0, 3)
LEADING = Standing(5, 1, True, False, 9, 9, 9)
FOLLOWING = Standing(5, 2, False, False, 9, 9, 9)


class Rig:
    def __init__(self, *rows: LeaseRow, leading: bool = True) -> None:
        self.actor = LeaseActor(Settings(election_timeout_ms=1_000), incarnation=77)
        self.now = 1_000_000
        for peer in (RAFT, APPLY, API):
            self.actor.on_peer(peer)
        self.actor.on_batch(APPLY, [LeaseLoad(list(rows), done=True)])
        if leading:
            self.actor.on_batch(RAFT, [LEADING])
            self.tick(0)

    def tick(self, ms: int) -> list[Message]:
        """All messages of the turns of so many milliseconds."""
        found: list[Message] = []
        upto = self.now + ms
        while self.now < upto or not ms:
            self.now += min(100, ms)
            self.actor.on_tick(self.now)
            found += self.turn()
            if not ms:
                break
        return found

    def turn(self) -> list[Message]:
        self.actor.end_turn()
        found = [message for messages in self.actor.outbox.values() for message in messages]
        self.actor.outbox = {}
        return found

    def say(self, peer: Peer, *messages: Message) -> list[Message]:
        self.actor.on_batch(peer, list(messages))
        return self.turn()


def commands(messages: list[Message]) -> list[Command]:
    return [
        entry.command
        for message in messages
        if isinstance(message, Propose)
        for entry in decode_entries(message.count, message.data)
    ]


def test_rule_11_a_keep_alive_waits_for_leadership_confirmed_after_it() -> None:
    rig = Rig()
    rig.say(APPLY, LeaseChanges([LeaseRow(1, 10, 3)], [], []))
    assert rig.say(API, KeepAlive(1, 1)) == [ReadIndex(1, reply=True)]
    assert rig.say(API, KeepAlive(2, 1)) == []  # this one came too late for the first context
    assert rig.say(RAFT, ReadConfirmed(1, 5)) == [LeaseAnswer(1, 1, 10), ReadIndex(2, reply=True)]
    assert rig.say(RAFT, ReadConfirmed(1, 5)) == []
    assert rig.say(RAFT, ReadConfirmed(2, 5)) == [LeaseAnswer(2, 1, 10)]


def test_rule_11_confirmation_of_another_term_promises_nothing() -> None:
    rig = Rig()
    rig.say(APPLY, LeaseChanges([LeaseRow(1, 10, 3)], [], []))
    rig.say(API, KeepAlive(1, 1))
    rig.say(RAFT, LeaseAsks(9, 99, [LeaseAsk(4, 1, renew=True)]))
    assert rig.say(RAFT, ReadConfirmed(1, 6)) == [ReadIndex(2, reply=True)]
    refused = [LeaseAnswers(9, 99, [LeaseAnswer(4, 1, 0, 0, *LEADER_CHANGED)])]
    assert rig.say(RAFT, ReadConfirmed(2, 6)) == refused  # a visitor is told, who came from here looks on
    assert rig.tick(100) == [ReadIndex(3, reply=True)]
    assert rig.say(RAFT, ReadConfirmed(3, 5)) == [LeaseAnswer(1, 1, 10)]


def test_rule_11_a_stored_remaining_ttl_is_committed_full_before_the_answer() -> None:
    rig = Rig(LeaseRow(1, 100, 3, remaining=40))
    sent = rig.say(API, KeepAlive(1, 1))
    assert commands(sent) == [LeaseCheckpoint([(1, 0)])]
    assert rig.say(RAFT, ReadConfirmed(1, 5)) == []
    assert rig.say(APPLY, LeaseChanges([], [LeaseRow(1, 100, 3, 0)], [])) == []  # whose checkpoint was it?
    assert rig.say(APPLY, Replies([(1, Done(7))])) == [LeaseAnswer(1, 1, 100)]
    rig.tick(100)
    assert rig.say(API, TimeToLive(2, 1)) == [LeaseAnswer(2, 1, 99, 100)]
    assert commands(rig.say(API, KeepAlive(3, 1))) == []  # full for certain: no second commit


def test_rule_11_a_checkpoint_in_flight_is_undone_before_the_answer() -> None:
    rig = Rig()
    rig.say(APPLY, LeaseChanges([LeaseRow(1, 100, 3)], [], []))
    marks = commands(rig.tick(51_000))
    assert marks == [LeaseCheckpoint([(1, 50)])]
    assert commands(rig.say(API, KeepAlive(1, 1))) == [LeaseCheckpoint([(1, 0)])]
    assert rig.say(RAFT, ReadConfirmed(1, 5)) == []
    assert rig.say(APPLY, LeaseChanges([], [LeaseRow(1, 100, 3, 50)], []), Replies([(1, Done(7))])) == []
    full = LeaseChanges([], [LeaseRow(1, 100, 3, 0)], [])
    assert rig.say(APPLY, full, Replies([(2, Done(7))])) == [LeaseAnswer(1, 1, 100)]


def test_rule_11_promotion_adds_an_election_timeout() -> None:
    rig = Rig(LeaseRow(1, 10, 3), LeaseRow(2, 100, 4, remaining=20))
    assert not [c for c in commands(rig.tick(10_900)) if isinstance(c, LeaseRevoke)]
    assert commands(rig.tick(100)) == [LeaseRevoke(1, 5, 3)]
    assert LeaseRevoke(2, 5, 4) in commands(rig.tick(10_000))


def test_rule_12_a_revocation_names_term_and_grant_and_comes_again() -> None:
    rig = Rig()
    rig.say(APPLY, LeaseChanges([LeaseRow(1, 2, 33)], [], []))
    assert commands(rig.tick(2_100)) == [LeaseRevoke(1, 5, 33)]
    assert commands(rig.tick(limits.LEASE_RETRY_MS - 100)) == []
    assert commands(rig.tick(200)) == [LeaseRevoke(1, 5, 33)]
    rig.say(APPLY, LeaseChanges([], [], [1]))
    assert commands(rig.tick(10_000)) == []


def test_rule_12_a_follower_proposes_nothing() -> None:
    rig = Rig(LeaseRow(1, 2, 3), leading=False)
    rig.say(RAFT, FOLLOWING)
    assert rig.tick(60_000) == []
    assert rig.say(API, TimeToLive(1, 1)) == [LeaseAsks(0, 77, [LeaseAsk(1, 1, renew=False)])]


def test_rule_11_a_follower_asks_the_leader_again_until_it_answers_and_never_answers_itself() -> None:
    rig = Rig(LeaseRow(1, 100, 3), leading=False)
    rig.tick(0)
    rig.say(RAFT, FOLLOWING)
    first = LeaseAsks(0, 77, [LeaseAsk(1, 1, renew=True)])
    assert rig.say(API, KeepAlive(-5, 1)) == [first]
    assert rig.tick(limits.LEASE_FORWARD_RETRY_MS) == [first]  # it may have been lost
    assert rig.say(RAFT, LeaseAnswers(0, 77, [LeaseAnswer(1, 1, 0, 0, *NOT_LEADER)])) == []
    other = Standing(6, 3, False, False, 9, 9, 9)
    assert rig.say(RAFT, other) == [LeaseAsks(0, 77, [LeaseAsk(2, 1, renew=True)])]
    assert rig.say(RAFT, LeaseAnswers(0, 77, [LeaseAnswer(1, 1, 55), LeaseAnswer(2, 1, 100)])) == [
        LeaseAnswer(-5, 1, 100)
    ]
    rig.say(API, KeepAlive(-6, 1))
    late = [message for message in rig.tick(3_100) if isinstance(message, LeaseAnswer)]
    assert late == [LeaseAnswer(-6, 1, 0, 0, *TIMEOUT)]
    assert rig.tick(1_000) == []


def test_what_waits_for_another_leader_is_taken_here_once_this_member_leads() -> None:
    rig = Rig(LeaseRow(1, 100, 3), leading=False)
    rig.tick(0)
    rig.say(RAFT, FOLLOWING)
    rig.say(API, TimeToLive(-5, 1))
    assert rig.say(RAFT, Standing(6, 0, False, False, 9, 9, 9)) == []
    rig.say(RAFT, Standing(6, 1, True, False, 9, 9, 9))
    assert rig.tick(100) == [LeaseAnswer(-5, 1, 100, 100)]


def test_what_a_visitor_asks_is_never_sent_on() -> None:
    rig = Rig(LeaseRow(1, 100, 3), leading=False)
    rig.say(RAFT, FOLLOWING)
    asked = LeaseAsks(9, 99, [LeaseAsk(4, 1, renew=True)])
    assert rig.say(RAFT, asked) == [LeaseAnswers(9, 99, [LeaseAnswer(4, 1, 0, 0, *NOT_LEADER)])]


def test_an_expired_or_unknown_lease_has_ttl_0() -> None:
    rig = Rig()
    rig.say(APPLY, LeaseChanges([LeaseRow(1, 2, 3)], [], []))
    rig.tick(2_200)
    rig.say(API, KeepAlive(1, 1), KeepAlive(2, 9))
    assert rig.say(RAFT, ReadConfirmed(1, 5)) == [LeaseAnswer(1, 1, 0), LeaseAnswer(2, 9, 0)]


def test_time_to_live_rounds_down() -> None:
    rig = Rig()
    rig.say(APPLY, LeaseChanges([LeaseRow(1, 10, 3)], [], []))
    rig.tick(1_600)
    assert rig.say(API, TimeToLive(1, 1), TimeToLive(2, 9)) == [LeaseAnswer(1, 1, 8, 10), LeaseAnswer(2, 9, -1)]


def test_a_lease_that_has_just_been_granted_has_not_its_full_ttl_any_more() -> None:
    """As etcd tells it: some time has passed since, however little."""
    rig = Rig()
    rig.say(APPLY, LeaseChanges([LeaseRow(1, 100, 3)], [], []))
    assert rig.say(API, TimeToLive(1, 1)) == [LeaseAnswer(1, 1, 99, 100)]
    rig.tick(0)
    assert rig.say(API, TimeToLive(2, 1)) == [LeaseAnswer(2, 1, 99, 100)]


def test_requests_wait_until_leases_are_loaded_but_not_for_ever() -> None:
    rig = Rig(leading=False)
    assert rig.say(API, TimeToLive(1, 1)) == []
    rig.actor.on_batch(RAFT, [LEADING])
    assert rig.tick(100) == [LeaseAnswer(1, 1, -1)]
    rig = Rig(leading=False)
    rig.tick(100)
    assert rig.say(API, KeepAlive(1, 1)) == []
    assert rig.tick(3_100) == [LeaseAnswer(1, 1, 0, 0, *NO_LEADER)]


@pytest.mark.parametrize("how", ["refused", "silence"])
def test_an_answer_that_cannot_come_is_an_error(how: str) -> None:
    rig = Rig(LeaseRow(1, 100, 3, remaining=90))
    rig.say(API, KeepAlive(1, 1))
    rig.say(RAFT, ReadConfirmed(1, 5))
    sent = rig.say(RAFT, Refused(1, 1, *NO_LEADER)) if how == "refused" else rig.tick(3_100)
    assert sent == [LeaseAnswer(1, 1, 0, 0, *(NO_LEADER if how == "refused" else TIMEOUT))]
    assert commands(rig.say(API, KeepAlive(2, 1))) == [LeaseCheckpoint([(1, 0)])]


def test_mass_expiry_is_batched_and_bounded() -> None:
    rig = Rig()
    rig.say(APPLY, LeaseChanges([LeaseRow(i, 2, i) for i in range(1, 3_001)], [], []))
    sent = rig.tick(2_100)
    assert len(sent) == 1
    assert len(commands(sent)) == limits.LEASE_REVOKES_PER_SCAN
    assert len(commands(rig.tick(2_500))) == limits.LEASE_REVOKES_INFLIGHT_MAX - limits.LEASE_REVOKES_PER_SCAN
    rig.say(APPLY, LeaseChanges([], [], list(range(1, 501))))
    assert len(commands(rig.tick(100))) == 500


def test_an_orderly_stop_checkpoints_what_remains() -> None:
    rig = Rig(LeaseRow(1, 100, 3))
    rig.say(APPLY, LeaseChanges([LeaseRow(2, 100, 9)], [], []))
    rig.tick(10_000)
    rig.actor.on_stop()
    assert commands(rig.tick(100)) == [LeaseCheckpoint([(1, 91), (2, 90)])]
    assert not rig.actor.stopped()
    rig.say(APPLY, LeaseChanges([], [LeaseRow(1, 100, 3, 91), LeaseRow(2, 100, 9, 90)], []))
    assert rig.actor.stopped()
    again = Rig(LeaseRow(1, 100, 3, 91), LeaseRow(2, 100, 9, 90))
    assert again.say(API, TimeToLive(1, 2)) == [LeaseAnswer(1, 2, 90, 100)]


def test_after_a_stall_the_queue_is_read_before_anything_expires() -> None:
    rig = Rig()
    rig.say(APPLY, LeaseChanges([LeaseRow(1, 2, 3)], [], []))
    rig.tick(100)
    rig.now += 30_000
    rig.actor.on_tick(rig.now)
    assert commands(rig.turn()) == []
    rig.say(API, KeepAlive(1, 1))
    assert rig.say(RAFT, ReadConfirmed(1, 5)) == [LeaseAnswer(1, 1, 2)]
    assert commands(rig.tick(1_900)) == []


def test_a_lease_renewed_every_third_of_its_ttl_is_never_checkpointed() -> None:
    rig = Rig()
    rig.say(APPLY, LeaseChanges([LeaseRow(1, 60, 3)], [], []))
    for context in range(1, 20):
        assert commands(rig.tick(20_000)) == []
        assert commands(rig.say(API, KeepAlive(context, 1))) == []
        assert rig.say(RAFT, ReadConfirmed(context, 5)) == [LeaseAnswer(context, 1, 60)]


def test_a_lost_api_takes_its_requests_along() -> None:
    rig = Rig(LeaseRow(1, 100, 3))
    rig.say(API, KeepAlive(1, 1))
    rig.actor.on_lost(API)
    assert rig.say(RAFT, ReadConfirmed(1, 5)) == []


def test_losing_raft_ends_what_was_promised_to_nobody() -> None:
    rig = Rig(LeaseRow(1, 100, 3))
    rig.say(API, KeepAlive(1, 1))
    rig.actor.on_lost(RAFT)
    assert rig.turn() == []
    assert rig.tick(3_100) == [LeaseAnswer(1, 1, 0, 0, *NO_LEADER)]


def test_rule_11_what_a_former_life_proposed_is_not_taken_for_ones_own() -> None:
    """The log still holds [checkpoint to 0, revocation] of the life before: the first must not confirm the lease."""
    rig = Rig(LeaseRow(1, 2, 3))
    assert commands(rig.say(API, KeepAlive(1, 1))) == [LeaseCheckpoint([(1, 0)])]
    rig.say(RAFT, ReadConfirmed(1, 5))
    assert rig.say(APPLY, LeaseChanges([], [LeaseRow(1, 2, 3, 0)], [])) == []
    assert rig.say(APPLY, LeaseChanges([], [], [1])) == [LeaseAnswer(1, 1, 0)]


def test_ttls_of_leases_are_counted_when_they_are_granted() -> None:
    rig = Rig(LeaseRow(9, 60, 3))
    rig.say(APPLY, LeaseChanges([LeaseRow(1, 1, 3), LeaseRow(2, 60, 3), LeaseRow(3, 2**62, 3)], [], []))
    [answer] = rig.say(API, Measure(7))
    assert isinstance(answer, Measured)
    bounds, counts, total = answer.histograms[LEASE_TTL]
    assert (bounds[0], bounds[-1], len(bounds)) == (1, 2**23, 24)
    assert {at: count for at, count in enumerate(counts) if count} == {0: 1, 6: 1, 24: 1}
    assert total == pytest.approx(61 + 2**62)
