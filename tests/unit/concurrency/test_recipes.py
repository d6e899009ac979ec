"""Locks exclude, queues are fair, lost leases are noticed: the recipes against a store of a few lines."""

import random
from typing import Any

import msgspec
import pytest

from zetcd.base.errors import (
    ELECTION_NO_LEADER,
    ELECTION_NOT_LEADER,
    LEADER_FIELD_MISSING,
    LEASE_NOT_FOUND,
    SESSION_EXPIRED,
    UNKNOWN,
    Error,
)
from zetcd.concurrency.election import Request, recipe
from zetcd.concurrency.steps import Fail, Finish, Propose, Query, Recipe, Send, Step, Wait
from zetcd.wire.client import (
    CampaignRequest,
    LeaderKey,
    LeaderRequest,
    LockRequest,
    ObserveRequest,
    ProclaimRequest,
    ResignRequest,
    UnlockRequest,
)
from zetcd.wire.entry import DeleteRange, LeaseGrant, Put, Range, SortOrder, Txn
from zetcd.wire.local import Event
from zetcd.wire.replies import KeyValue
from zetcd.wire.results import DeleteDone, Failed, LeaseGranted, PutDone, RangeDone, Result, TxnDone


def decode_row(key: bytes, row: bytes) -> KeyValue:
    create, mod, value, lease = msgspec.msgpack.decode(row)
    return KeyValue(key, create, mod, 1, value, lease)


class Store:
    """As much of a store as the recipes need."""

    def __init__(self) -> None:
        self.revision = 1
        self.rows: dict[bytes, KeyValue] = {}
        self.leases = {7, 8, 9, 10, 11}
        self.events: list[Event] = []

    def pair(self, held: KeyValue) -> tuple[bytes, bytes]:
        fields = (held.create_revision, held.mod_revision, held.value, held.lease)
        return held.key, msgspec.msgpack.encode(fields)

    def execute(self, operation: object) -> Any:
        revision = self.revision + 1
        if isinstance(operation, LeaseGrant):
            self.leases.add(operation.id)
            return LeaseGranted(self.revision, operation.id, operation.ttl)
        if isinstance(operation, Put):
            old = self.rows.get(operation.key)
            created = old.create_revision if old else revision
            self.rows[operation.key] = KeyValue(operation.key, created, revision, 1, operation.value, operation.lease)
            self.events.append(Event(revision, 0, operation.key, self.pair(self.rows[operation.key])[1]))
            self.revision = revision
            return PutDone(revision)
        if isinstance(operation, DeleteRange):
            if self.rows.pop(operation.key, None) is None:
                return DeleteDone(self.revision, 0, [])
            self.events.append(Event(revision, 0, operation.key, None))
            self.revision = revision
            return DeleteDone(revision, 1, [])
        if isinstance(operation, Range):
            return self.range(operation)
        assert isinstance(operation, Txn)
        [guard] = operation.compare
        held = self.rows.get(guard.key)
        succeeded = (held.create_revision if held else 0) == guard.number
        branch = operation.success if succeeded else operation.failure
        for put in branch:
            if isinstance(put, Put) and put.lease and put.lease not in self.leases:
                return Failed(*LEASE_NOT_FOUND)
        results = [self.execute(step) for step in branch]
        return TxnDone(self.revision, succeeded, results)

    def range(self, query: Range) -> RangeDone:
        end = query.range_end
        found = [held for key, held in self.rows.items() if key == query.key or (end and query.key <= key < end)]
        if query.max_create_revision:
            found = [held for held in found if held.create_revision <= query.max_create_revision]
        found.sort(key=lambda held: held.create_revision, reverse=query.sort_order == SortOrder.DESCEND)
        rows = [self.pair(held) for held in found][: query.limit or None]
        return RangeDone(self.revision, rows, more=False, count=len(found))

    def expire(self, lease: int) -> None:
        self.leases.discard(lease)
        for key in [key for key, held in self.rows.items() if held.lease == lease]:
            self.execute(DeleteRange(key))


class Driver:
    """Carries out the steps of one recipe, one at a time."""

    def __init__(self, store: Store, request: Request) -> None:
        self.store = store
        self.recipe: Recipe = recipe(request, 999, decode_row)
        self.todo: list[Step] = self.recipe.start()
        self.sent: list[Send] = []
        self.over: Finish | Fail | None = None

    def step(self) -> bool:
        """One step; False where there is nothing to do."""
        if self.over is not None or not self.todo:
            return False
        step = self.todo[0]
        more: list[Step] = []
        if isinstance(step, Wait):
            events = [e for e in self.store.events if self.wanted(step, e)]
            if not events:
                return False
            more = self.recipe.on_woken(events[:1], events[0].revision + 1)
        elif isinstance(step, Finish | Fail):
            self.over = step
        elif isinstance(step, Send):
            self.sent.append(step)
        else:
            result: Result = self.store.execute(step.command if isinstance(step, Propose) else step.range)
            more = self.recipe.on_result(result)
        self.todo = self.todo[1:] + more
        return True

    def wanted(self, wait: Wait, event: Event) -> bool:
        inside = any(event.key == key or (end and key <= event.key < end) for key, end in wait.ranges)
        return bool(inside) and event.revision >= wait.from_revision and not (wait.deletes_only and event.row)

    def run(self) -> "Driver":
        while self.step():
            pass
        return self

    def error(self) -> Error:
        assert isinstance(self.over, Fail)
        return self.over.error

    def fields(self) -> dict[str, Any]:
        assert isinstance(self.over, Finish), self.over
        return self.over.fields


def test_a_free_lock_takes_one_transaction() -> None:
    store = Store()
    driver = Driver(store, LockRequest(b"name", 7))
    assert isinstance(driver.todo[0], Propose)
    assert driver.run().fields() == {"key": b"name/7"}
    assert driver.over == Finish(2, {"key": b"name/7"})
    assert Driver(store, LockRequest(b"name", 7)).run().fields() == {"key": b"name/7"}  # the same lock again


def test_without_a_lease_the_server_makes_one_of_60_s() -> None:
    driver = Driver(Store(), LockRequest(b"name"))
    assert driver.todo == [Propose(LeaseGrant(999, 60))]
    assert driver.run().fields() == {"key": b"name/3e7"}


def test_an_unknown_lease_is_etcds_unknown_error() -> None:
    assert Driver(Store(), LockRequest(b"name", 99)).run().error() == Error(UNKNOWN, LEASE_NOT_FOUND.message)


@pytest.mark.parametrize("seed", range(30))
def test_locks_exclude_and_are_granted_in_order(seed: int) -> None:
    dice = random.Random(seed)
    store = Store()
    drivers = {lease: Driver(store, LockRequest(b"l", lease)) for lease in (7, 8, 9, 10, 11)}
    granted: list[int] = []
    holder = None
    for _ in range(400):
        lease = dice.choice(sorted(drivers))
        drivers[lease].step()
        if drivers[lease].over is not None and lease not in granted:
            assert holder is None, "two holders"
            assert drivers[lease].fields() == {"key": b"l/%x" % lease}
            granted.append(lease)
            holder = lease
        if holder is not None and dice.random() < 0.2:
            Driver(store, UnlockRequest(drivers[holder].fields()["key"])).run()
            holder = None
    assert len(granted) == 5
    joined = [int(event.key.removeprefix(b"l/").decode(), 16) for event in store.events if event.row is not None]
    assert granted == joined


def test_a_lease_that_ends_while_waiting_ends_the_request() -> None:
    store = Store()
    Driver(store, LockRequest(b"l", 7)).run()
    waiting = Driver(store, LockRequest(b"l", 8)).run()
    assert waiting.over is None
    store.expire(8)
    assert waiting.run().error() == SESSION_EXPIRED


def test_etcd_11456_a_lock_is_not_granted_to_an_ended_lease() -> None:
    store = Store()
    holder = Driver(store, LockRequest(b"l", 7)).run()
    waiting = Driver(store, LockRequest(b"l", 8)).run()
    Driver(store, UnlockRequest(holder.fields()["key"])).run()
    assert waiting.step()  # woken
    assert waiting.step()  # no predecessor
    store.expire(8)
    assert waiting.run().error() == SESSION_EXPIRED


def test_a_waiter_that_gives_up_leaves_the_queue() -> None:
    store = Store()
    Driver(store, LockRequest(b"l", 7)).run()
    waiting = Driver(store, LockRequest(b"l", 8)).run()
    [leave] = waiting.recipe.abandon()
    assert isinstance(leave, Propose)
    store.execute(leave.command)
    assert list(store.rows) == [b"l/7"]


def test_a_wait_that_could_not_be_kept_up_looks_again() -> None:
    store = Store()
    Driver(store, LockRequest(b"l", 7)).run()
    waiting = Driver(store, LockRequest(b"l", 8)).run()
    assert [type(step) for step in waiting.recipe.on_woken([], 0)] == [Query, Query]


def test_campaign_proclaim_leader_resign() -> None:
    store = Store()
    won = Driver(store, CampaignRequest(b"e", 7, b"one")).run()
    leader = won.fields()["leader"]
    assert leader == LeaderKey(b"e", b"e/7", 2, 7)
    second = Driver(store, CampaignRequest(b"e", 8, b"two")).run()
    assert second.over is None
    assert Driver(store, LeaderRequest(b"e")).run().fields()["kv"].value == b"one"
    assert Driver(store, ProclaimRequest(leader, b"uno")).run().fields() == {}
    assert Driver(store, LeaderRequest(b"e")).run().fields()["kv"].value == b"uno"
    assert Driver(store, CampaignRequest(b"e", 7, b"again")).run().fields()["leader"] == leader
    assert store.rows[b"e/7"].value == b"again"
    assert Driver(store, ResignRequest(leader)).run().fields() == {}
    assert second.run().fields()["leader"].key == b"e/8"
    assert Driver(store, ProclaimRequest(leader, b"late")).run().error() == ELECTION_NOT_LEADER
    assert Driver(store, LeaderRequest(b"none")).run().error() == ELECTION_NO_LEADER
    assert Driver(store, ProclaimRequest(None, b"x")).run().error() == LEADER_FIELD_MISSING
    assert Driver(store, ResignRequest(None)).run().error() == LEADER_FIELD_MISSING


@pytest.mark.parametrize(
    "request_",
    [
        UnlockRequest(b""),
        ProclaimRequest(LeaderKey(b"e", b"", 0, 7), b"x"),
        ResignRequest(LeaderKey(b"e", b"", 2, 7)),
    ],
)
def test_without_a_key_nothing_is_proposed(request_: Request) -> None:
    """A proclamation of a leader without key and revision wrote the empty key, which no put may."""
    store = Store()
    assert Driver(store, request_).run().error() == Error(UNKNOWN, "etcdserver: key is not provided")
    assert (store.revision, store.rows) == (1, {})


def test_observe_tells_every_leader() -> None:
    store = Store()
    seen = Driver(store, ObserveRequest(b"e")).run()
    assert seen.sent == []
    leader = Driver(store, CampaignRequest(b"e", 7, b"one")).run().fields()["leader"]
    seen.run()
    Driver(store, CampaignRequest(b"e", 8, b"two")).run()
    Driver(store, ProclaimRequest(leader, b"uno")).run()
    seen.run()
    Driver(store, ResignRequest(leader)).run()
    seen.run()
    assert [send.fields["kv"].value for send in seen.sent] == [b"one", b"uno", b"two"]
    assert seen.over is None
