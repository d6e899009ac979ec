"""The short requests of the lock and election services, and the stream of leaders."""

from collections.abc import Callable, Sequence

from zetcd.base.errors import ELECTION_NO_LEADER, ELECTION_NOT_LEADER, KEY_NOT_NAMED, LEADER_FIELD_MISSING, Error
from zetcd.concurrency.queue import Queued
from zetcd.concurrency.steps import (
    DecodeRow,
    Fail,
    Finish,
    Propose,
    Query,
    Recipe,
    Send,
    Step,
    Wait,
    fail,
    guarded,
    oldest,
    prefix_of,
)
from zetcd.wire.client import (
    CampaignRequest,
    LeaderRequest,
    LockRequest,
    ObserveRequest,
    ProclaimRequest,
    ResignRequest,
    UnlockRequest,
)
from zetcd.wire.entry import IGNORE_LEASE, DeleteRange, Put
from zetcd.wire.local import Event
from zetcd.wire.results import Failed, RangeDone, Result, TxnDone

Request = (
    LockRequest | UnlockRequest | CampaignRequest | ProclaimRequest | LeaderRequest | ResignRequest | ObserveRequest
)


class Single:
    """One command or query, and what its result means."""

    def __init__(self, step: Step, meaning: Callable[[Result], Step]) -> None:
        self._step = step
        self._meaning = meaning

    def start(self) -> list[Step]:
        """The one step."""
        return [self._step]

    def on_result(self, result: Result) -> list[Step]:
        """The end."""
        return fail(result) if isinstance(result, Failed) else [self._meaning(result)]

    def on_woken(self, _events: Sequence[Event], _next_revision: int) -> list[Step]:
        """It never waits."""
        raise AssertionError

    def abandon(self) -> list[Step]:
        """Nothing is left behind."""
        return []


class Observe:
    """The present leader, then every change: first the oldest key, then each new value of that key until it goes.

    Without a leader it waits for the first key. What happened between a read and the wait is not missed, since the
    wait starts behind the read's revision; where the wait cannot be kept up it reads again, so it may skip values of
    the past but always tells the newest.
    """

    def __init__(self, request: ObserveRequest, decode_row: DecodeRow) -> None:
        self._prefix = prefix_of(request.name)
        self._decode_row = decode_row
        self._key = b""  # of the leader
        self._told = (b"", 0)  # key and modification last told

    def start(self) -> list[Step]:
        """Who leads?"""
        self._key = b""
        return [Query(oldest(self._prefix))]

    def on_result(self, result: Result) -> list[Step]:
        """Tell the leader, wait for what comes."""
        if isinstance(result, Failed):
            return fail(result)
        assert isinstance(result, RangeDone)
        steps: list[Step] = []
        if result.rows:
            key, row = result.rows[0]
            self._key = key
            key_value = self._decode_row(key, row)
            if (key, key_value.mod_revision) != self._told:
                self._told = (key, key_value.mod_revision)
                steps.append(Send(result.revision, {"kv": key_value}))
        return [*steps, self._wait(result.revision + 1)]

    def on_woken(self, events: Sequence[Event], next_revision: int) -> list[Step]:
        """New values are told; a deletion, or a first key, means a new look."""
        steps: list[Step] = []
        if not self._key or not events:
            return self.start()
        for event in events:
            if event.row is None:
                return [*steps, *self.start()]
            self._told = (event.key, event.revision)
            steps.append(Send(event.revision, {"kv": self._decode_row(event.key, event.row)}))
        return [*steps, self._wait(next_revision)]

    def abandon(self) -> list[Step]:
        """Nothing is left behind."""
        return []

    def _wait(self, revision: int) -> Wait:
        bounds = (self._key, b"") if self._key else (self._prefix, self._prefix[:-1] + b"0")
        return Wait((bounds,), revision, deletes_only=False)


def recipe(request: Request, new_lease: int, decode_row: DecodeRow) -> Recipe:
    """The recipe of a request. new_lease: a random lease id, for requests that name none."""
    if isinstance(request, LockRequest | CampaignRequest):
        return Queued(request, new_lease, decode_row)
    if isinstance(request, ObserveRequest):
        return Observe(request, decode_row)
    if isinstance(request, UnlockRequest):
        if not request.key:
            return _refused(KEY_NOT_NAMED)
        return Single(Propose(DeleteRange(request.key)), lambda result: Finish(result.revision))
    if isinstance(request, LeaderRequest):
        return Single(Query(oldest(prefix_of(request.name))), lambda result: _leader(result, decode_row))
    if request.leader is None:
        return _refused(LEADER_FIELD_MISSING)
    leader = request.leader
    if not leader.key:
        return _refused(KEY_NOT_NAMED)
    if isinstance(request, ResignRequest):
        txn = guarded(leader.key, leader.rev, DeleteRange(leader.key))
        return Single(Propose(txn), lambda result: Finish(result.revision))
    put = Put(leader.key, request.value, leader.lease, 0 if leader.lease else IGNORE_LEASE)
    return Single(Propose(guarded(leader.key, leader.rev, put)), _proclaimed)


def _refused(error: Error) -> Single:
    return Single(Fail(error), lambda _: Fail(error))


def _leader(result: Result, decode_row: DecodeRow) -> Step:
    assert isinstance(result, RangeDone)
    if not result.rows:
        return Fail(ELECTION_NO_LEADER)
    return Finish(result.revision, {"kv": decode_row(*result.rows[0])})


def _proclaimed(result: Result) -> Step:
    assert isinstance(result, TxnDone)
    return Finish(result.revision) if result.succeeded else Fail(ELECTION_NOT_LEADER)
