"""The claims of the Raft paper, section by section, on the core."""

import pytest

from tests.paper.stepping import TICKS, acknowledge, candidate, data, drain, leader, make, only, runs, terms_of
from zetcd.base.errors import Fatal
from zetcd.raft.ready import Position
from zetcd.wire.entry import BlockKind
from zetcd.wire.peer import (
    Append,
    AppendReply,
    Heartbeat,
    Vote,
    VoteReply,
)


# -- section 5.1: terms ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("role", [make, candidate, leader])
def test_5_1_a_higher_term_makes_a_follower(role: object) -> None:
    core = role()  # type: ignore[operator]
    core.step(Append(core.term + 5, 2, 1, 0, 0, 0, []))
    assert (core.leader, core.vote, core.is_leader) == (2, 0, False)


def test_5_1_a_stale_term_is_rejected() -> None:
    core = make((1, 2), term=2)
    core.step(Append(1, 2, 1, 2, 2, 2, []))
    assert core.leader == 0
    assert core.log.committed == 0
    [reply] = only(drain(core), AppendReply)
    assert (reply.term, reply.rejected) == (2, True)
    core.step(Vote(1, 3, 1, 9, 9))
    [vote] = only(drain(core), VoteReply)
    assert (vote.term, vote.granted) == (2, False)


# -- section 5.2: elections ------------------------------------------------------------------------------------
def test_5_2_servers_start_as_followers_and_a_silent_timeout_starts_an_election() -> None:
    core = make()
    for _ in range(2 * TICKS):
        assert core.term == 0
        core.tick()
        if core.term:
            break
    assert (core.term, core.vote) == (1, 1)
    assert sorted(vote.target for vote in only(drain(core), Vote)) == [2, 3]


def test_5_2_heartbeats_keep_a_follower_quiet() -> None:
    core = make(term=1)
    for _ in range(10 * TICKS):
        core.tick()
        core.step(Heartbeat(1, 2, 1, 0, 1))
    assert (core.term, core.leader) == (1, 2)


def test_5_2_a_leader_sends_heartbeats_every_interval() -> None:
    core = leader()
    acknowledge(core, 2, 3)
    drain(core)
    for _ in range(5):
        core.tick()
        assert sorted(beat.target for beat in only(drain(core), Heartbeat)) == [2, 3]


@pytest.mark.parametrize(
    ("size", "granted", "refused", "won"),
    [
        (3, 1, 0, True),
        (3, 0, 2, False),
        (3, 0, 1, None),
        (3, 1, 1, True),
        (5, 2, 0, True),
        (5, 1, 2, None),
        (5, 1, 3, False),
        (5, 2, 2, True),
        (7, 3, 3, True),
        (7, 2, 1, None),
    ],
)
def test_5_2_a_majority_of_the_full_cluster_wins(size: int, granted: int, refused: int, won: bool | None) -> None:
    core = candidate(voters=tuple(range(1, size + 1)))
    for voter in range(2, 2 + granted):
        core.step(VoteReply(1, voter, 1, granted=True))
    for voter in range(2 + granted, 2 + granted + refused):
        core.step(VoteReply(1, voter, 1, granted=False))
    assert core.is_leader == bool(won)
    assert (type(core.role).__name__ == "Candidate") == (won is None)


def test_5_2_a_repeated_vote_counts_once() -> None:
    core = candidate(voters=(1, 2, 3, 4, 5))
    for _ in range(5):
        core.step(VoteReply(1, 2, 1, granted=True))
    assert not core.is_leader


@pytest.mark.parametrize(
    ("vote", "source", "granted"),
    [(0, 2, True), (0, 3, True), (2, 2, True), (3, 3, True), (2, 3, False), (3, 2, False)],
)
def test_5_2_one_vote_a_term_first_come_first_served(vote: int, source: int, granted: bool) -> None:
    core = make(term=4, vote=vote)
    core.step(Vote(4, source, 1, 0, 0))
    [reply] = only(drain(core), VoteReply)
    assert reply.granted == granted


def test_5_2_a_candidate_yields_to_a_leader_of_its_term_and_not_to_an_older_one() -> None:
    core = candidate(term=3)
    core.step(Append(3, 2, 1, 0, 0, 0, []))
    assert type(core.role).__name__ == "Candidate"
    core.step(Append(4, 2, 1, 0, 0, 0, []))
    assert core.leader == 2


def test_5_2_a_split_vote_starts_a_new_election() -> None:
    core = candidate()
    term = core.term
    for _ in range(2 * TICKS):
        core.tick()
    assert core.term > term


def test_5_2_timeouts_are_random_within_one_and_two_election_timeouts() -> None:
    drawn = {make(seed=seed).role.timeout for seed in range(200)}  # type: ignore[union-attr]
    assert drawn == set(range(TICKS, 2 * TICKS))


def test_5_2_only_a_leader_or_a_granted_vote_starts_the_timeout_anew() -> None:
    core = make((1, 1))
    for _ in range(TICKS - 1):
        core.tick()
    core.step(Vote(5, 2, 1, 0, 0))  # refused: its log is shorter
    assert core.role.elapsed == TICKS - 1
    core.step(Vote(6, 3, 1, 2, 1))
    assert core.role.elapsed == 0


# -- section 5.3: log replication ------------------------------------------------------------------------------
def test_5_3_the_leader_appends_and_sends_with_what_precedes() -> None:
    core = leader(terms=(1, 1))
    acknowledge(core, 2, 3)
    drain(core)
    assert core.propose(BlockKind.NORMAL, 2, data(2)) == (4, 5)
    appends = only(drain(core), Append)
    assert {(a.target, a.previous_index, a.previous_term) for a in appends} == {(2, 3, 2), (3, 3, 2)}
    assert all([(b.first, b.last, b.term) for b in a.blocks] == [(4, 5, 2)] for a in appends)


def test_5_3_an_entry_is_committed_once_a_majority_holds_it() -> None:
    core = leader(voters=(1, 2, 3, 4, 5))
    drain(core)
    core.step(AppendReply(1, 2, 1, 1))
    assert core.log.committed == 0
    core.step(AppendReply(1, 3, 1, 1))
    assert core.log.committed == 1


def test_5_3_a_commit_carries_all_that_precedes_it() -> None:
    core = leader(terms=(1, 2, 2), commit=0)
    acknowledge(core, 2)
    assert core.log.committed == 4


def test_5_3_followers_learn_of_the_commit_with_the_next_message() -> None:
    core = leader()
    acknowledge(core, 2)
    appends = only(drain(core), Append)
    assert [(a.target, a.commit, a.blocks) for a in appends if a.target == 2] == [(2, 1, [])]
    follower = make((1,), term=1, member=2)
    follower.step(next(a for a in appends if a.target == 2))
    assert follower.log.committed == 1


@pytest.mark.parametrize(
    ("terms", "commit", "executable"),
    [((1,), 1, 1), ((1, 1), 2, 2), ((1, 1, 1), 2, 2), ((1, 1), 9, 2), ((1, 1), 0, None)],
)
def test_5_3_a_follower_executes_what_is_committed(terms: tuple[int, ...], commit: int, executable: int | None) -> None:
    core = make()
    core.step(Append(1, 2, 1, 0, 0, commit, runs(*terms)))
    given: list[Position | None] = []
    while (ready := core.ready()) is not None:
        if ready.number:
            core.persisted(ready.number)
        if ready.commit is not None:
            given.append(ready.commit)
    assert given == ([] if executable is None else [Position(executable, 1)])


@pytest.mark.parametrize(
    ("held", "index", "term", "hint"),
    [
        ((1, 2), 0, 0, None),
        ((1, 2), 1, 1, None),
        ((1, 2), 2, 2, None),
        ((1, 2), 1, 2, (1, 1)),
        ((1, 2), 3, 3, (2, 2)),
        ((1, 4, 4, 4), 4, 3, (1, 1)),
        ((1, 4, 4, 4), 9, 2, (1, 1)),
    ],
)
def test_5_3_a_follower_refuses_what_does_not_follow_and_says_where_to_look(
    held: tuple[int, ...], index: int, term: int, hint: tuple[int, int] | None
) -> None:
    core = make(held, term=5)
    core.step(Append(5, 2, 1, index, term, 0, []))
    [reply] = only(drain(core), AppendReply)
    if hint is None:
        assert (reply.rejected, reply.index) == (False, index)
    else:
        assert (reply.rejected, reply.index, reply.hint_index, reply.hint_term) == (True, index, *hint)


@pytest.mark.parametrize(
    ("index", "term", "new", "expected", "written"),
    [
        (2, 2, (3,), [1, 2, 3], [(3, 3, 3)]),
        (1, 1, (3, 4), [1, 3, 4], [(2, 2, 3), (3, 3, 4)]),
        (0, 0, (1,), [1, 2], []),
        (0, 0, (3,), [3], [(1, 1, 3)]),
        (0, 0, (1, 2, 2), [1, 2, 2], [(3, 3, 2)]),
    ],
)
def test_5_3_a_conflict_deletes_the_entry_and_all_that_follow_and_nothing_else(
    index: int, term: int, new: tuple[int, ...], expected: list[int], written: list[tuple[int, int, int]]
) -> None:
    core = make((1, 2), term=4)
    core.step(Append(4, 2, 1, index, term, 0, runs(*new, first=index + 1)))
    assert terms_of(core) == expected
    ready = core.ready()
    assert ready is not None
    assert [(b.first, b.last, b.term) for b in ready.blocks] == written


FIGURE_7 = {
    "a": (1, 1, 1, 4, 4, 5, 5, 6, 6),
    "b": (1, 1, 1, 4),
    "c": (1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6),
    "d": (1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7),
    "e": (1, 1, 1, 4, 4, 4, 4),
    "f": (1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3),
}


@pytest.mark.parametrize("which", FIGURE_7)
def test_5_3_figure_7_the_leader_brings_every_log_into_agreement(which: str) -> None:
    lead = make((1, 1, 1, 4, 4, 5, 5, 6, 6, 6), term=7, commit=3)
    follower = make(FIGURE_7[which], term=7, commit=3, member=2)
    lead.campaign()
    drain(lead)
    lead.step(VoteReply(8, 3, 1, granted=True))
    exchanged = 0
    mail = drain(lead)
    while mail:
        for message in mail:
            if message.target == 2:
                follower.step(message)
                exchanged += 1
        replies = drain(follower)
        for reply in replies:
            lead.step(reply)
        mail = [message for message in drain(lead) if message.target == 2]
    assert terms_of(follower) == terms_of(lead)
    assert follower.log.committed == lead.log.committed == 11
    assert exchanged <= 6  # by term, not entry by entry


def test_5_3_a_heartbeat_never_commits_what_its_target_is_not_known_to_hold() -> None:
    core = leader()
    acknowledge(core, 3)
    drain(core)
    core.tick()
    assert {beat.target: beat.commit for beat in only(drain(core), Heartbeat)} == {2: 0, 3: 1}


def test_5_3_a_commit_beyond_the_own_log_is_not_taken() -> None:
    core = make((1,), term=1)
    core.step(Heartbeat(1, 2, 1, 7, 1))
    assert core.log.committed == 0


def test_5_3_an_append_commits_only_as_far_as_it_has_compared() -> None:
    core = make((1, 1, 1), term=2)
    core.step(Append(2, 2, 1, 1, 1, 3, []))
    assert core.log.committed == 1


def test_5_3_committed_entries_are_never_replaced() -> None:
    core = make((1, 1, 1), term=2, commit=2)
    with pytest.raises(Fatal, match="committed"):
        core.log.append(runs(2, first=2)[0])


# -- section 5.4.1: election restriction -----------------------------------------------------------------------
@pytest.mark.parametrize(
    ("held", "last", "granted"),
    [
        ((1,), (1, 1), True),
        ((1,), (2, 1), True),
        ((1, 1), (1, 1), False),
        ((1,), (1, 2), True),
        ((1, 1), (1, 2), True),
        ((2,), (1, 1), False),
        ((2,), (2, 1), False),
        ((1, 2), (3, 1), False),
    ],
)
def test_5_4_1_a_vote_needs_a_log_at_least_as_up_to_date(
    held: tuple[int, ...], last: tuple[int, int], granted: bool
) -> None:
    core = make(held, term=2)
    core.step(Vote(3, 2, 1, *last))
    [reply] = only(drain(core), VoteReply)
    assert reply.granted == granted


def test_5_4_1_a_vote_request_names_the_last_entry() -> None:
    core = make((1, 2, 2))
    core.campaign()
    assert {(v.last_index, v.last_term, v.term) for v in only(drain(core), Vote)} == {(3, 2, 3)}


# -- section 5.4.2: entries of earlier terms -------------------------------------------------------------------
def test_5_4_2_figure_8_an_older_entry_is_not_committed_by_counting() -> None:
    core = leader(terms=(1, 2), voters=(1, 2, 3, 4, 5), commit=1)
    drain(core)
    for member in (2, 3, 4, 5):
        core.step(AppendReply(3, member, 1, 2))  # all hold the entry of term 2
    assert core.log.committed == 1
    core.step(AppendReply(3, 2, 1, 3))
    core.step(AppendReply(3, 3, 1, 3))
    assert core.log.committed == 3


def test_5_4_2_the_leaders_own_copy_counts_once_it_is_durable() -> None:
    core = leader()
    ready = core.ready()
    assert ready is not None
    core.step(AppendReply(1, 2, 1, 1))
    assert core.log.committed == 0
    core.persisted(ready.number)
    assert core.log.committed == 1
