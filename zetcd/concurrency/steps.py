"""What a recipe asks its driver for, and what every recipe is.

A recipe is a small state machine for one lock or election request. Its driver (the api actor) calls `start`, carries
out the steps it returns, and feeds back: one `on_result` for each Propose and Query, in their order, one `on_woken` for
a Wait. It is over with Finish or Fail; a client that goes away, or runs out of time, ends it with `abandon`, whose
Propose needs no answer.

    Recipe        steps
    Lock          [LeaseGrant] -> Txn(put if absent) -> { Query predecessor, own key -> Wait }* -> Finish
    Unlock        DeleteRange -> Finish
    Campaign      as Lock, with a value
    Proclaim      Txn(guarded by create revision) -> Finish
    Resign        Txn(guarded by create revision) -> Finish
    Leader        Query -> Finish
    Observe       { Query -> Send -> Wait -> Send ... }*
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from zetcd.base.errors import LEASE_NOT_FOUND, UNKNOWN, Error
from zetcd.wire.entry import (
    Command,
    Compare,
    CompareResult,
    CompareTarget,
    DeleteRange,
    Put,
    Range,
    SortOrder,
    SortTarget,
    Txn,
)
from zetcd.wire.local import Event
from zetcd.wire.replies import KeyValue
from zetcd.wire.results import Failed, Result

DecodeRow = Callable[[bytes, bytes], KeyValue]

SESSION_TTL_S = 60
"""etcd: TTL of the lease that the server makes where the request names none. It is not kept alive."""


@dataclass(frozen=True, slots=True)
class Propose:
    """Through the log."""

    command: Command


@dataclass(frozen=True, slots=True)
class Query:
    """Linearizable read."""

    range: Range


@dataclass(frozen=True, slots=True)
class Wait:
    """Until one of the ranges sees an event (with deletes_only: a delete) at or after from_revision: one `Hub.wait`
    each; the first to wake ends the others."""

    ranges: tuple[tuple[bytes, bytes], ...]
    from_revision: int
    deletes_only: bool


@dataclass(frozen=True, slots=True)
class Send:
    """A reply of a stream; the recipe goes on. fields go beside the header."""

    revision: int
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Finish:
    """The reply; fields go beside the header."""

    revision: int
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fail:
    """The reply is this error."""

    error: Error


Step = Propose | Query | Wait | Send | Finish | Fail


class Recipe(Protocol):
    """See the module."""

    def start(self) -> list[Step]:
        """The first steps."""

    def on_result(self, result: Result) -> list[Step]:
        """Answer to the oldest Propose or Query without one."""

    def on_woken(self, events: Sequence[Event], next_revision: int) -> list[Step]:
        """Answer to Wait; without events where the wait could not be kept up (compacted, store behind)."""

    def abandon(self) -> list[Step]:
        """Leave nothing behind."""


def fail(failed: Failed) -> list[Step]:
    """The error of a step as that of the request; etcd sends an unknown lease as Unknown here."""
    code = UNKNOWN if failed.message == LEASE_NOT_FOUND.message else failed.code
    return [Fail(Error(code, failed.message))]


def created_at(key: bytes, revision: int) -> Compare:
    """Guard: the key was created at revision (0: does not exist)."""
    return Compare(CompareResult.EQUAL, CompareTarget.CREATE, key, number=revision)


def oldest(prefix: bytes) -> Range:
    """Who has waited longest under prefix, which ends with a slash."""
    return Range(prefix, _end(prefix), 1, 0, SortOrder.ASCEND, SortTarget.CREATE)


def youngest_before(prefix: bytes, revision: int) -> Range:
    """Whom the one created at revision waits for."""
    return Range(prefix, _end(prefix), 1, 0, SortOrder.DESCEND, SortTarget.CREATE, max_create_revision=revision - 1)


def put_if_absent(key: bytes, value: bytes, lease: int, also: Range) -> Txn:
    """[put, also] or [the key as it is, also]."""
    return Txn([created_at(key, 0)], [Put(key, value, lease), also], [Range(key), also])


def guarded(key: bytes, revision: int, operation: Put | DeleteRange) -> Txn:
    """The operation, if the key is still the one created at revision."""
    return Txn([created_at(key, revision)], [operation], [])


def prefix_of(name: bytes) -> bytes:
    """Keys of a lock or election."""
    return name + b"/"


def key_of(name: bytes, lease: int) -> bytes:
    """etcd: name, slash, the lease in hexadecimal."""
    return prefix_of(name) + f"{lease:x}".encode()


def _end(prefix: bytes) -> bytes:
    return prefix[:-1] + b"0"  # the byte after the slash
