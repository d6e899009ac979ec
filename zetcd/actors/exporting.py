"""Snapshot streams of one api process: each asks apply for a chunk when its client has granted credit for one.

    SnapshotRequest --OpenExport--> planned, which takes a while --ReadExport, Exported, reply--> ... --digest--> over

One chunk a stream is under way, so a client that does not read pauses its own snapshot and holds nothing here. A stream
ends with its client, with a cancel, with an error of apply, or after EXPORT_STALL_MAX_MS without credit. A quiet
stream gets a reply without a blob now and then: a client that is gone shows so.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from zetcd.actors.calls import Call
from zetcd.actors.clients import Envelope, Ticket
from zetcd.base import errors, limits
from zetcd.base.errors import Error
from zetcd.service import replies
from zetcd.wire import client as api
from zetcd.wire.queries import CloseExport, OpenExport, ReadExport
from zetcd.wire.replies import SnapshotReply
from zetcd.wire.results import Done, Exported, Failed

if TYPE_CHECKING:
    from zetcd.actors.api_actor import ApiActor

_NOBODY = Ticket((), 0)


@dataclass(slots=True, eq=False)
class _Stream:
    """asking: a chunk, or the plan, is under way; moved_ms: when something was last sent or granted."""

    id: int
    envelope: Envelope
    credit: int
    moved_ms: int
    told_ms: int
    asking: bool = True
    remaining: int = 0


class Exporting:
    """All of them, by envelope."""

    def __init__(self, actor: ApiActor) -> None:
        self._actor = actor
        self._streams: dict[Envelope, _Stream] = {}
        self._next_id = 1

    @property
    def count(self) -> int:
        """Snapshots under way."""
        return len(self._streams)

    # -- clients ---------------------------------------------------------------------------------------------------
    def on_request(self, ticket: Ticket, index: int, request: api.Request) -> None:
        """A snapshot, credit for one, or its end."""
        stream = self._streams.get(ticket.envelope)
        if isinstance(request, api.SnapshotRequest):
            if stream is not None or len(self._streams) >= limits.EXPORTS_MAX:
                self._actor.refuse(ticket, index, errors.TOO_MANY_REQUESTS)
            else:
                self._actor.release(ticket)
                self._begin(ticket.envelope, request.credit)
        elif stream is None:
            self._actor.refuse(ticket, index, errors.NO_SNAPSHOT_STREAM)
        else:
            self._actor.release(ticket)
            if isinstance(request, api.SnapshotCreditRequest):
                stream.credit = min(limits.EXPORT_CREDIT_MAX, stream.credit + max(0, request.chunks))
                stream.moved_ms = self._actor.now_ms
                self._maybe_ask(stream)
            else:
                self._end(stream)

    def drop(self, client: bytes) -> None:
        """The client is gone."""
        for stream in [each for envelope, each in self._streams.items() if envelope[0] == client]:
            self._end(stream)

    def end_all(self, error: Error) -> None:
        """The process stops."""
        for stream in list(self._streams.values()):
            self._fail(stream, error)

    def on_tick(self, now_ms: int) -> None:
        """Give up on whom nobody reads, speak to those that have heard nothing for long."""
        for stream in list(self._streams.values()):
            if stream.asking:
                stream.moved_ms = now_ms  # the wait is ours
            if now_ms - stream.moved_ms >= limits.EXPORT_STALL_MAX_MS:
                self._fail(stream, errors.EXPORT_STALLED)
            elif now_ms - max(stream.moved_ms, stream.told_ms) >= limits.CLIENT_IDLE_PROBE_MS:
                stream.told_ms = now_ms
                self._send(stream, SnapshotReply(self._actor.header(self._actor.revision), stream.remaining))

    # -- apply -----------------------------------------------------------------------------------------------------
    def _begin(self, envelope: Envelope, credit: int) -> None:
        now_ms = self._actor.now_ms
        stream = _Stream(self._next_id, envelope, min(limits.EXPORT_CREDIT_MAX, max(0, credit)), now_ms, now_ms)
        self._next_id += 1
        self._streams[envelope] = stream
        self._ask(stream, OpenExport(stream.id))

    def _maybe_ask(self, stream: _Stream) -> None:
        if stream.credit and not stream.asking:
            stream.asking = True
            self._ask(stream, ReadExport(stream.id))

    def _ask(self, stream: _Stream, query: OpenExport | ReadExport) -> None:
        call = Call(_NOBODY, 0, partial(self._on_exported, stream), query, on_failed=partial(self._on_failed, stream))
        self._actor.calls.ask(call, query)

    def _on_exported(self, stream: _Stream, actor: ApiActor, _call: Call, result: Exported) -> None:
        stream.asking = False
        stream.remaining = result.remaining
        stream.moved_ms = actor.now_ms
        if self._streams.get(stream.envelope) is not stream:
            return  # over meanwhile
        header = actor.header(result.revision)
        if result.data:
            stream.credit -= 1
            self._send(stream, SnapshotReply(header, result.remaining, result.data))
        if result.digest:
            self._send(stream, SnapshotReply(header, blob=result.digest, done=True))
            self._end(stream)
        else:
            self._maybe_ask(stream)

    def _on_failed(self, stream: _Stream, _call: Call, failed: Failed) -> None:
        if self._streams.get(stream.envelope) is stream:
            self._fail(stream, Error(failed.code, failed.message))

    def _send(self, stream: _Stream, reply: SnapshotReply) -> None:
        self._actor.clients.send(stream.envelope, replies.encode(reply))

    def _fail(self, stream: _Stream, error: Error) -> None:
        self._actor.clients.send(stream.envelope, replies.encode(replies.error(error)))
        self._end(stream)

    def _end(self, stream: _Stream) -> None:
        del self._streams[stream.envelope]
        query = CloseExport(stream.id)
        self._actor.calls.read(Call(_NOBODY, 0, _closed, query, on_failed=_not_closed), query)


def _closed(_actor: ApiActor, _call: Call, _result: Done) -> None:
    """Apply has let go of it."""


def _not_closed(_call: Call, _failed: Failed) -> None:
    """It had let go before."""
