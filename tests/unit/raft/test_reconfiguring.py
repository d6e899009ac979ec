"""What a leader says to a membership change before it proposes it, with real cores around it."""

import pytest

from tests.scenarios.cluster import Cluster, Node
from zetcd.actors.reconfiguring import Reconfiguring
from zetcd.base.errors import LEARNER_NOT_READY, NOT_ENOUGH_STARTED, TOO_MANY_REQUESTS, UNHEALTHY, Error
from zetcd.base.settings import Settings
from zetcd.cluster.membership import ChangeKind
from zetcd.wire.entry import BlockKind, Entry, MemberChange, decode_entries, encode_entries
from zetcd.wire.results import MemberRow

TICK_MS = 100


class Room:
    """A cluster, and the room in its leader."""

    def __init__(self, *, voters: int = 3, learners: int = 0, auto_promote: bool = False) -> None:
        self.cluster = Cluster(voters, joiners=learners)
        self.leader = self.cluster.elect(1)
        self.room = Reconfiguring(Settings(auto_promote=auto_promote))
        self.now_ms = 0
        self.rows: list[MemberRow] = [
            (member, f"m{member}", [f"u{member}"], [], False) for member in range(1, voters + 1)
        ]
        self.room.on_members(self.rows)

    def tick(self, count: int = 1) -> bytes | None:
        """Time passes; what the room would propose after the last tick."""
        due = None
        for _ in range(count):
            self.now_ms += TICK_MS
            self.cluster.tick()
            due = self.room.on_tick(self.leader.core, self.now_ms)
        return due

    def check(self, kind: ChangeKind, member: int) -> Error | None:
        data = encode_entries([Entry(1, 1, MemberChange(kind, member))])
        return self.room.check(self.leader.core, data)

    def add_learner(self, member: int) -> Node:
        assert self.leader.change(ChangeKind.ADD_LEARNER, member)
        self.cluster.settle()
        self.rows.append((member, f"m{member}", [f"u{member}"], [], True))
        self.room.on_members(self.rows)
        return self.cluster.nodes[member]


def test_only_members_that_answer_count() -> None:
    room = Room()
    assert room.check(ChangeKind.ADD, 9) == UNHEALTHY, "nothing has been heard yet"
    room.tick()
    assert room.check(ChangeKind.ADD, 9) is None
    room.cluster.nodes[3].crash()
    room.tick(30)
    assert room.check(ChangeKind.ADD, 9) == UNHEALTHY
    assert room.check(ChangeKind.REMOVE, 2) == UNHEALTHY
    assert room.check(ChangeKind.REMOVE, 3) is None
    room.cluster.nodes[3].start()
    room.tick(2)
    assert room.check(ChangeKind.ADD, 9) is None


def test_an_answer_counts_for_an_election_timeout_whenever_the_core_wipes_its_marks() -> None:
    room = Room()
    room.tick()
    found = set()
    for _ in range(50):
        room.tick()
        found.add(room.check(ChangeKind.ADD, 9))
    assert found == {None}


def test_a_new_leader_does_not_count_who_has_said_nothing_to_it() -> None:
    room = Room()
    room.cluster.nodes[1].crash()
    leader = room.cluster.elect()
    room.leader, room.room = leader, Reconfiguring(Settings())
    room.room.on_members(room.rows)
    room.now_ms += TICK_MS
    room.room.on_tick(leader.core, room.now_ms)
    assert room.check(ChangeKind.ADD, 9) == UNHEALTHY, "the former leader is dead, and was never heard in this term"
    assert room.check(ChangeKind.REMOVE, 1) is None


def test_rule_14_while_a_change_is_under_way_there_is_no_second_one() -> None:
    room = Room()
    room.tick()
    assert room.leader.change(ChangeKind.ADD_LEARNER, 4)
    assert room.check(ChangeKind.ADD_LEARNER, 5) == TOO_MANY_REQUESTS
    room.cluster.settle()
    assert room.check(ChangeKind.ADD_LEARNER, 5) is None


def test_started_is_what_the_members_say() -> None:
    room = Room()
    room.tick()
    room.rows[1] = (2, "", ["u2"], [], False)
    room.rows[2] = (3, "", ["u3"], [], False)
    room.room.on_members(room.rows)
    assert room.check(ChangeKind.ADD, 9) == NOT_ENOUGH_STARTED


def test_a_learner_is_in_sync_by_what_it_has_acknowledged() -> None:
    room = Room(learners=1)
    room.cluster.nodes[4].crash()
    room.add_learner(4)
    for number in range(50):
        assert room.leader.propose(b"k%d" % number)
    room.tick(20)
    assert room.check(ChangeKind.PROMOTE, 4) == LEARNER_NOT_READY
    room.cluster.nodes[4].start()
    room.tick(20)
    assert room.check(ChangeKind.PROMOTE, 4) is None


@pytest.mark.parametrize("auto_promote", [True, False])
def test_auto_promotion_comes_once_the_learner_is_there(auto_promote: bool) -> None:
    room = Room(learners=1, auto_promote=auto_promote)
    room.cluster.nodes[4].crash()
    room.add_learner(4)
    assert room.tick(20) is None
    room.cluster.nodes[4].start()
    due = room.tick(20)
    if not auto_promote:
        assert due is None
        return
    assert due is not None
    [entry] = decode_entries(1, due)
    assert entry == Entry(0, 0, MemberChange(ChangeKind.PROMOTE, 4)), "nobody waits for it"
    assert room.check(ChangeKind.PROMOTE, 4) is None
    assert room.leader.core.propose(BlockKind.MEMBERSHIP, 1, due)
    assert room.room.on_tick(room.leader.core, room.now_ms) is None, "one at a time"
    room.cluster.settle()
    assert room.leader.core.conf.voters == [1, 2, 3, 4]


def test_who_does_not_lead_promotes_nobody() -> None:
    room = Room(learners=1, auto_promote=True)
    room.add_learner(4)
    assert room.tick(5) is not None
    room.leader = room.cluster.nodes[2]
    assert room.tick(5) is None
