"""Reads of apply: how much of large answers is on its way at once."""

import pytest

from tests.unit.actors.store import API, Store, get
from zetcd.actors.actor import Peer
from zetcd.base import limits
from zetcd.wire.entry import LeaseGrant, Put, Range, RoleAdd, RoleGrantPermission, Txn, UserAdd, UserGrantRole
from zetcd.wire.local import Blocks, Commit, FeedCredit, Replies
from zetcd.wire.queries import LeaseInfo, LeaseList, Query, RoleInfo, RoleList, UserInfo, UserList
from zetcd.wire.results import answer_bytes

MIB = 1 << 20


@pytest.fixture
def store() -> Store:
    return Store()


def test_rule_17_large_answers_wait_for_credit_and_small_ones_do_not(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "ANSWERS_UNREAD_BYTES_MAX", 4 * MIB)
    monkeypatch.setattr(limits, "READ_TURN_BYTES", MIB)
    store.grant()
    store.execute(Put(b"large", bytes(MIB)))
    other = Peer("api", 1, API + 1)
    store.actor.on_peer(other)
    store.frames = []
    store.turn(store.api, store.batch(*[get(b"large")] * 10))
    store.settle()
    assert len(store.answers()) == 4, "four MiB are on their way and nothing more"
    store.turn(other, store.batch(get(b"large")))
    assert len(store.take(Replies, other)) == 1, "another api process has a window of its own"
    store.turn(store.api, FeedCredit(0, 4 * (MIB + 4 + 29)))
    store.settle()
    assert len(store.answers()) == 4
    for _ in range(2):
        store.turn(store.api, FeedCredit(0, 4 * (MIB + 4 + 29)))
        store.settle()
    assert len(store.answers()) == 2
    for _ in range(2_000):
        store.turn(store.api, store.batch(get(b"small")))
    assert len(store.answers()) == 2_000, "small answers are bounded by admission"


def test_rule_17_answers_of_transactions_that_read_count_as_those_of_ranges(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "ANSWERS_UNREAD_BYTES_MAX", 4 * MIB)
    store.grant()
    store.execute(Put(b"large", bytes(MIB)))
    store.frames = []
    both = Txn([], [get(b"large"), get(b"large")], [])
    store.turn(store.api, store.batch(*[both] * 5))
    store.settle()
    answers = store.answers()
    assert len(answers) == 2, "four MiB are on their way and nothing more"
    assert store.actor.machine.revision == 2
    store.turn(store.api, FeedCredit(0, sum(answer_bytes(result) for _, result in answers)))
    store.settle()
    assert len(store.answers()) == 2


@pytest.mark.parametrize(
    "query", [UserList(), RoleList(), RoleInfo("0"), UserInfo("0"), LeaseList(), LeaseInfo(1, True)]
)
def test_rule_17_answers_that_are_lists_count_as_those_of_ranges(
    store: Store, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two frames of a client, for 4,096 lists of users each, could take gigabytes."""
    monkeypatch.setattr(limits, "ANSWERS_UNREAD_BYTES_MAX", 10_000)
    store.grant()
    for at in range(100):
        store.execute(
            UserAdd(f"{at}"), RoleAdd(f"{at}"), RoleGrantPermission("0", 0, b"%d" % at), UserGrantRole("0", f"{at}"),
            LeaseGrant(at + 1, 60), Put(b"%d" % at, b"", 1),
        )  # fmt: skip
    store.frames = []
    store.turn(store.api, store.batch(*[query] * 20))
    store.settle()
    answers = store.answers()
    assert 1 <= len(answers) <= 3, "10,000 bytes are on their way and nothing more"
    store.turn(store.api, FeedCredit(0, sum(answer_bytes(result) for _, result in answers)))
    store.settle()
    assert len(store.answers()) == len(answers)


def test_rule_17_a_turn_answers_a_bounded_number_of_bytes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "READ_TURN_BYTES", 2 * MIB)
    store.grant()
    store.execute(Put(b"large", bytes(MIB)))
    store.frames = []
    store.turn(store.api, store.batch(*[get(b"large")] * 7))
    assert len(store.answers()) == 2
    assert store.actor.busy()
    store.settle()
    assert len(store.answers()) == 5


def test_rule_19_answers_that_nobody_reads_stop_the_gathering_of_more(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "ANSWERS_UNREAD_BYTES_MAX", 1_000)
    monkeypatch.setattr(limits, "READ_SLICE_KEYS", 10)
    store.serve()
    store.execute(*(Put(b"k%03d" % number, bytes(100)) for number in range(30)))
    store.turn(store.api, *(store.batch(Range(b"\0", b"\0", limit), linearizable=False) for limit in (0, 29, 28, 27)))
    for _ in range(50):
        store.turn()
    assert len(store.actor._reads.long), "what is not read must not pile up"
    assert not store.actor.busy()
    store.actor.on_lost(store.api)
    assert not len(store.actor._reads.long)
    assert not store.actor.machine._store.counts._watches


def test_rule_17_answers_of_transactions_that_write_leave_before_there_are_more(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block may hold thousands of them: all their answers together found no room on any member, at each start."""
    monkeypatch.setattr(limits, "READ_TURN_BYTES", 2 * MIB)
    store.grant()
    store.execute(Put(b"large", bytes(MIB)))
    store.frames = []
    block = store.block(*[Txn([], [Put(b"x", b""), get(b"large")], [])] * 7)
    store.turn(store.raft, Blocks(1, [block]), Commit(block.last, 1))
    assert len(store.answers()) == 2
    assert store.actor.machine.applied == block.first + 1
    assert store.actor.busy()
    store.settle()
    assert len(store.answers()) == 5
    assert store.actor.machine.applied == block.last
    assert store.actor.counters["entries"] == block.last
