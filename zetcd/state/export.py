"""The store as a bbolt file, for etcd's Snapshot: planned and rendered in slices between other work (design rule 19).

etcd orders changes by revision, this store orders rows by key. So there are two passes over a pinned view:

1. Every version that is to be in the file is looked at once, and noted in a *scratch* engine, which sorts: revision to
   where its row stands and how long its entry will be. What the file is made of, and its size, is then known.
2. The notes are walked in order, each row is fetched from the view, and pages come out.

In memory is one slice of rows, whatever the store holds; on the disk there are the notes, keys without values.
"""

import hashlib
from collections.abc import Callable, Iterator
from functools import partial
from struct import Struct

from zetcd.base import limits
from zetcd.base.errors import Fatal
from zetcd.bolt.database import Database, Pair
from zetcd.mvcc import keys
from zetcd.mvcc.engine import Engine, EngineScan
from zetcd.mvcc.engine import Pair as Row
from zetcd.state import backend
from zetcd.state.members import ALARM, MEMBER, REMOVED, alarm_of, member_of, removed_of
from zetcd.state.users import AUTH_REVISION, ROLE, USER, revision_of, role_of, user_of

_note = Struct(">I")
_DELETED = b"d"
"""Stands for a table in a note: a deletion has no row."""
_FIRST_POSITIVE = keys.lease_key(0)


class Export:
    """One snapshot of the view, which stands at state. Takes over view and scratch: `close` lets go of both."""

    def __init__(self, view: EngineScan, state: keys.State, scratch: Engine) -> None:
        self.revision = state.revision
        self.size = 0
        self.digest = b""
        """SHA-256 of the file, once `read` has come to its end."""
        self._view = view
        self._state = state
        self._scratch = scratch
        self._notes: EngineScan | None = None
        self._database = Database(
            {name: partial(_listed, pairs) for name, pairs in self._lists().items()}
            | {
                b"key": self._keys,
                b"lease": self._leases,
                b"authRoles": partial(self._messages, ROLE, lambda *pair: backend.role(*role_of(*pair))),
                b"authUsers": partial(self._messages, USER, lambda *pair: backend.user(*user_of(*pair))),
            }
        )
        self._planning: Iterator[None] | None = self._plan()
        self._rendering = self._database.render()
        self._held = bytearray()
        self._sent = 0
        self._sum = hashlib.sha256()

    @property
    def planned(self) -> bool:
        """Whether `size` is known and `read` may be called."""
        return self._planning is None

    @property
    def remaining(self) -> int:
        """Bytes that have not been read."""
        return self.size - self._sent

    def plan(self) -> None:
        """One slice of the first pass."""
        assert self._planning is not None
        if next(self._planning, self) is self:
            self._planning = None
            self.size = self._database.size

    def read(self) -> bytes | None:
        """One slice of the second pass: the next EXPORT_CHUNK_BYTES of the file, fewer only at its end; None while they
        are not complete yet."""
        held = self._held
        while len(held) < limits.EXPORT_CHUNK_BYTES:
            part = next(self._rendering, None)
            if part is None:
                break
            if not part:
                return None
            held += part
        chunk = bytes(held[: limits.EXPORT_CHUNK_BYTES])
        del held[: limits.EXPORT_CHUNK_BYTES]
        self._sum.update(chunk)
        self._sent += len(chunk)
        if not self.remaining:
            self.digest = self._sum.digest()
        return chunk

    def close(self) -> None:
        """Let go of the view and of the notes; may be called twice."""
        self._planning = None
        self._rendering.close()  # type: ignore[attr-defined]  # a generator: what its frame holds goes
        if self._notes is not None:
            self._notes.close()
            self._notes = None
        self._view.close()
        self._scratch.close()

    # -- the first pass --------------------------------------------------------------------------------------------
    def _plan(self) -> Iterator[None]:
        compacted = self._state.compact_revision
        for pairs in self._slices(keys.CURRENT):
            self._take_down([(keys.header_of(row), at, at[1:], row) for at, row in pairs])
            yield
        for pairs in self._slices(keys.FORMER):
            former = [(at, row, *keys.split_former_key(at[1:])) for at, row in pairs]
            self._take_down([(keys.header_of(row), at, key, row) for at, row, key, end in former if end > compacted])
            yield
        for pairs in self._slices(keys.LOG, keys.pack_revision(max(compacted, 0))):
            batch = self._scratch.batch()
            for at, row in pairs:
                if row[:1] == keys.DELETE:
                    revision, sub = keys.unpack_place(at, 1)
                    key = row[1:]
                    size = len(backend.deletion(key))
                    batch.put(backend.revision_key(revision, sub, deleted=True), _note.pack(size) + _DELETED + key)
            batch.write()
            yield
        self._notes = self._scratch.snapshot()
        yield from self._database.measure()

    def _take_down(self, versions: list[tuple[keys.RowHeader, bytes, bytes, bytes]]) -> None:
        batch = self._scratch.batch()
        for header, at, key, row in versions:
            size = len(backend.key_value(key, row))
            batch.put(backend.revision_key(header.mod, header.sub), _note.pack(size) + at)
        batch.write()

    def _slices(self, table: bytes, start: bytes = b"") -> Iterator[list[Row]]:
        """The pairs of table from start on, full keys, a slice at a time by rows and by bytes."""
        view, count = self._view, limits.EXPORT_SLICE_ROWS // 8
        view.seek(table + start)
        while True:
            pairs = view.take(count)
            within = [pair for pair in pairs if pair[0][:1] == table]
            yield within
            if len(within) < count:
                return
            size = sum([len(row) for _, row in pairs]) + 1
            count = max(1, min(limits.EXPORT_SLICE_ROWS, limits.EXPORT_SLICE_BYTES * count // size))

    # -- both passes: the sources of the buckets -------------------------------------------------------------------
    def _keys(self, measuring: bool) -> Iterator[Pair | None]:
        notes = self._notes
        assert notes is not None
        notes.seek(b"")
        more = True
        while more:
            taken = notes.take(limits.EXPORT_SLICE_ROWS)
            more = len(taken) == limits.EXPORT_SLICE_ROWS
            spent = 0
            for key, note in taken:
                size = int.from_bytes(note[:4], "big")
                spent += size
                if measuring:
                    yield key, size, b""
                    continue
                yield key, size, self._entry(note[4:])
                if spent > limits.EXPORT_SLICE_BYTES:
                    spent = 0
                    yield None
            yield None

    def _entry(self, at: bytes) -> bytes:
        table = at[:1]
        if table == _DELETED:
            return backend.deletion(at[1:])
        self._view.seek(at)
        found = self._view.take(1)
        if not found or found[0][0] != at:
            raise Fatal(f"a row of the pinned view is gone: {at[:64]!r}")
        key = at[1:] if table == keys.CURRENT else keys.split_former_key(at[1:])[0]
        return backend.key_value(key, found[0][1])

    def _leases(self, _measuring: bool) -> Iterator[Pair | None]:
        """etcd orders ids as unsigned numbers: the negative ones come last."""
        for negative in (False, True):
            for pairs in self._slices(keys.LEASES, b"" if negative else _FIRST_POSITIVE):
                for at, row in pairs:
                    lease_id = keys.lease_id(at[1:])
                    if (lease_id < 0) is negative:
                        ttl, _, remaining = keys.unpack_lease(row)
                        key, message = backend.lease(lease_id, ttl, remaining)
                        yield key, len(message), message
                yield None

    def _records(self, prefix: bytes) -> Iterator[list[Row]]:
        """Records of the meta table, a slice at a time, by their names in it."""
        for pairs in self._slices(keys.META, prefix):
            found = [(at[1:], row) for at, row in pairs if at.startswith(prefix, 1)]
            yield found
            if len(found) < len(pairs):
                return

    def _messages(
        self, prefix: bytes, message_of: Callable[[bytes, bytes], tuple[bytes, bytes]], _measuring: bool
    ) -> Iterator[Pair | None]:
        """Users or roles. etcd orders them by name, as they are stored."""
        for pairs in self._records(prefix):
            for pair in pairs:
                key, message = message_of(*pair)
                yield key, len(message), message
            yield None

    def _lists(self) -> dict[bytes, list[tuple[bytes, bytes]]]:
        """Buckets that are small; members and alarms come from the pinned view, too."""
        state = self._state
        members = [member_of(*pair) for pairs in self._records(MEMBER) for pair in pairs]
        removed = [removed_of(key) for pairs in self._records(REMOVED) for key, _ in pairs]
        alarms = [alarm_of(key) for pairs in self._records(ALARM) for key, _ in pairs]
        revisions = [row for pairs in self._records(AUTH_REVISION) for _, row in pairs]
        return backend.fixed() | {
            b"alarm": sorted((backend.alarm(*alarm), b"") for alarm in alarms),
            b"auth": backend.auth(revision_of(revisions[0] if revisions else None)),
            b"members": backend.members(members),
            b"members_removed": [(b"%016x" % member, b"removed") for member in removed],
            b"meta": backend.meta(state.applied, state.term, state.compact_revision, members),
        }


def _listed(pairs: list[tuple[bytes, bytes]], _measuring: bool) -> Iterator[Pair]:
    for key, value in pairs:
        yield key, len(value), value
