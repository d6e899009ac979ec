"""Members and alarms as replicated state: small records of the meta table, also held in memory.

Rows: ``member/`` + u64 id -> MessagePack [name, peer URLs, client URLs, is learner]; ``removed/`` + u64 id -> empty,
because an id is never used twice; ``alarm/`` + u64 member + u8 alarm -> empty.
"""

from struct import Struct

import msgspec

from zetcd.base.errors import (
    MEMBER_EXISTS,
    MEMBER_NOT_FOUND,
    MEMBER_NOT_LEARNER,
    NOT_ENOUGH_STARTED,
    PEER_URL_EXISTS,
    TOO_MANY_LEARNERS,
    Error,
)
from zetcd.mvcc.keys import successor
from zetcd.mvcc.overlay import Overlay
from zetcd.wire.entry import MemberChange
from zetcd.wire.local import ConfState
from zetcd.wire.results import MemberRow

MEMBER, REMOVED, ALARM = b"member/", b"removed/", b"alarm/"
BOOTSTRAP, ADD, ADD_LEARNER, PROMOTE, REMOVE, UPDATE, PUBLISH = range(1, 8)
"""Kinds of MemberChange."""
NOSPACE, CORRUPT_ALARM = 1, 2
ACTIVATE, DEACTIVATE = 1, 2

_id = Struct(">Q")
_alarm = Struct(">QB")


class _Record(msgspec.Struct, frozen=True, array_like=True):
    name: str
    peer_urls: list[str]
    client_urls: list[str]
    is_learner: bool


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Record).decode


def member_of(key: bytes, row: bytes) -> MemberRow:
    """A stored member; key as in the meta table."""
    record = _decode(row)
    return removed_of(key, MEMBER), record.name, record.peer_urls, record.client_urls, record.is_learner


def removed_of(key: bytes, prefix: bytes = REMOVED) -> int:
    """The id in the key of a removed member."""
    member: int = _id.unpack(key[len(prefix) :])[0]
    return member


def alarm_of(key: bytes) -> tuple[int, int]:
    """(member, alarm) of a stored alarm."""
    member, kind = _alarm.unpack(key[len(ALARM) :])
    return member, kind


class Members:
    """The replicated member list."""

    __slots__ = ("_members", "_meta", "_removed")

    def __init__(self, overlay: Overlay) -> None:
        self._meta = overlay.meta
        self._members = {
            _id.unpack(key[len(MEMBER) :])[0]: _decode(row) for key, row in self._meta.all(MEMBER, successor(MEMBER))
        }
        self._removed = {
            _id.unpack(key[len(REMOVED) :])[0]: None for key, _ in self._meta.all(REMOVED, successor(REMOVED))
        }

    def rows(self) -> list[MemberRow]:
        """All members, ids ascending."""
        return [
            (member, record.name, record.peer_urls, record.client_urls, record.is_learner)
            for member, record in sorted(self._members.items())
        ]

    def removed(self) -> list[int]:
        """Ids that are never used again, ascending."""
        return sorted(self._removed)

    def configuration(self) -> ConfState | None:
        """Who votes; None while nobody is known."""
        if not self._members:
            return None
        members = sorted(self._members.items())
        return ConfState(
            [member for member, record in members if not record.is_learner],
            [member for member, record in members if record.is_learner],
        )

    def change(self, change: MemberChange) -> Error | None:
        """Carry out a committed change, or say why it does not hold (rule 14: apply decides)."""
        member, found = change.member, self._members.get(change.member)
        if change.kind in (BOOTSTRAP, ADD, ADD_LEARNER):
            return self._add(change)
        if found is None:
            return MEMBER_NOT_FOUND
        if change.kind == REMOVE:
            if not found.is_learner and sum(not record.is_learner for record in self._members.values()) == 1:
                return NOT_ENOUGH_STARTED  # nobody could ever decide anything again
            del self._members[member]
            self._removed[member] = None
            self._meta.delete(MEMBER + _id.pack(member))
            self._meta.put(REMOVED + _id.pack(member), b"")
            return None
        record = found
        if change.kind == PROMOTE:
            if not found.is_learner:
                return MEMBER_NOT_LEARNER
            record = _Record(found.name, found.peer_urls, found.client_urls, is_learner=False)
        elif change.kind == UPDATE:
            if self._clashes(change):
                return PEER_URL_EXISTS
            record = _Record(found.name, change.peer_urls, found.client_urls, is_learner=found.is_learner)
        elif change.kind == PUBLISH:
            record = _Record(change.name, found.peer_urls, change.client_urls, is_learner=found.is_learner)
        self._write(member, record)
        return None

    def _add(self, change: MemberChange) -> Error | None:
        if change.member in self._members or change.member in self._removed:
            # Founding members know each other from their flags: to hear it again is no error and changes nothing.
            return None if change.kind == BOOTSTRAP else MEMBER_EXISTS
        if change.kind != BOOTSTRAP and self._clashes(change):
            return PEER_URL_EXISTS
        learners = sum(record.is_learner for record in self._members.values())
        if change.kind == ADD_LEARNER and 0 < change.learners_max <= learners:
            return TOO_MANY_LEARNERS
        record = _Record(change.name, change.peer_urls, change.client_urls, is_learner=change.kind == ADD_LEARNER)
        self._write(change.member, record)
        return None

    def _clashes(self, change: MemberChange) -> bool:
        """Whether a URL is another member's: ``http://`` and ``tcp://`` name the same address."""
        taken = {
            _address(url)
            for member, record in self._members.items()
            if member != change.member
            for url in record.peer_urls
        }
        return any(_address(url) in taken for url in change.peer_urls)

    def _write(self, member: int, record: _Record) -> None:
        self._members[member] = record
        self._meta.put(MEMBER + _id.pack(member), _encode(record))


def _address(url: str) -> str:
    return url.rpartition("://")[2]


class Alarms:
    """The alarms that are raised, cluster-wide."""

    __slots__ = ("_alarms", "_meta")

    def __init__(self, overlay: Overlay) -> None:
        self._meta = overlay.meta
        self._alarms: dict[tuple[int, int], None] = {
            _alarm.unpack(key[len(ALARM) :]): None for key, _ in self._meta.all(ALARM, successor(ALARM))
        }

    def rows(self) -> list[tuple[int, int]]:
        """(member, alarm), ascending."""
        return sorted(self._alarms)

    def has(self, alarm: int) -> bool:
        """Whether any member has raised alarm."""
        return any(raised == alarm for _, raised in self._alarms)

    def change(self, action: int, member: int, alarm: int) -> bool:
        """Raise or clear an alarm; whether that changed anything."""
        at = member, alarm
        if action == ACTIVATE and at not in self._alarms:
            self._alarms[at] = None
            self._meta.put(ALARM + _alarm.pack(*at), b"")
        elif action == DEACTIVATE and at in self._alarms:
            del self._alarms[at]
            self._meta.delete(ALARM + _alarm.pack(*at))
        else:
            return False
        return True
