"""api: owns client connections. Decodes, validates, admits or refuses, keeps deadlines, and answers.

One or more such processes share a member's client port. A request becomes a `Call` (see `operations` for what each op
does); writes of a turn travel to raft as one Propose, reads of a turn to apply as one ReadBatch.

- A definite error is given only where the proposal was never appended; otherwise the outcome is unknown and the error
  says "timed out" (rule 8). When raft and apply come back in a new epoch, outcomes replayed from the log still answer
  their calls; what is then still open is unknown at once, without waiting for its deadline.
- Calls that were never sent (raft or apply is restarting) wait, within their deadline, and are sent afterwards.
- Reads carry no such doubt: they are asked again.
"""

import random
from collections.abc import Callable

from msgspec import structs

from zetcd.actors.actor import Actor, Peer
from zetcd.actors.calls import Call, Calls
from zetcd.actors.clients import Clients, Envelope, Ticket
from zetcd.actors.exporting import Exporting
from zetcd.actors.hashing import Hashing
from zetcd.actors.maintenance import on_standing
from zetcd.actors.measuring import Measuring
from zetcd.actors.operations import LEARNER_OPERATIONS, OPERATIONS
from zetcd.actors.tracing import Tracer
from zetcd.actors.watching import Watching
from zetcd.base import errors, limits
from zetcd.base.errors import Error, WireError
from zetcd.base.settings import Settings
from zetcd.compactor.schedule import Compactor, parse_retention
from zetcd.service import replies
from zetcd.wire import client as api
from zetcd.wire.asked import decode_request
from zetcd.wire.entry import Alarm, Command, Compact
from zetcd.wire.local import (
    Feed,
    IndexWanted,
    LeaseAnswer,
    Measured,
    Message,
    ReadFailed,
    ReadIndex,
    Ready,
    Refused,
    Replies,
    Space,
    Standing,
    Subscribed,
)
from zetcd.wire.queries import Query
from zetcd.wire.replies import BatchReply, Header
from zetcd.wire.results import MAY_BE_LARGE, Failed, Result, answer_bytes

NO_STANDING = Standing(0, 0, is_leader=False, is_learner=False, commit=0, applied=0, last_index=0)
LEADERLESS_TIMEOUTS = 3
"""etcd's maxNoLeaderCnt."""
ROUTING_ID_BYTES_MAX = 255
"""ZeroMQ's own bound."""
NOWHERE = Ticket((), 0)
"""The ticket of a call that no client waits for."""


class ApiActor(Actor):
    """Role api: dials raft, apply and lease; clients come through `on_client` and leave through `clients.take`."""

    role = "api"

    def __init__(self, settings: Settings, number: int, incarnation: int, rng: random.Random) -> None:
        super().__init__()
        self.settings = settings
        self.number = number
        self.rng = rng
        self.calls = Calls(incarnation, settings.request_timeout_ms)
        self.watching = Watching(self, settings)
        retention = parse_retention(settings.auto_compaction_mode, settings.auto_compaction_retention)
        # One of the api processes keeps the calendar for all.
        self._compactor = Compactor(settings.auto_compaction_mode, retention) if number == 0 else None
        self.exporting = Exporting(self)
        self.measuring = Measuring(self)
        self.hashing = Hashing(self)
        self.clients = Clients(self.watching.pause, self.watching.resume, self._drop)
        self.counters = {
            "requests": 0, "batches": 0, "undecodable": 0, "too_many_requests": 0, "timeouts": 0, "malformed": 0,
        }  # fmt: skip
        self.standing = NO_STANDING
        self.moving: dict[int, int] = {}  # write sequence of a move_leader -> its target
        self._operations = OPERATIONS
        self.revision = 0
        self.compact_revision = -1
        self.db_bytes = 0
        self.now_ms = 0
        self.cluster = 0
        self.member = 0
        self._inflight = 0  # admitted requests that are not answered
        self._inflight_bytes = 0
        self.tracer: Tracer | None = None
        self._raft: Peer | None = None
        self._apply: Peer | None = None
        self._lease: Peer | None = None
        self._recovered = False
        self._indexes_wanted: list[int] = []
        self._stopping = False
        self._stop_after_ms = 0
        self._leader_seen_ms = 0
        self._alarm_due_ms = 0  # when a put over the quota raises the alarm again
        self._handlers: dict[type, Callable[..., None]] = {
            Replies: self._on_replies,
            Feed: self._on_feed,
            Subscribed: self._on_subscribed,
            Ready: self._on_ready,
            Space: self._on_space,
            IndexWanted: self._on_index_wanted,
            Standing: self._on_standing,
            Refused: self._on_refused,
            ReadFailed: self._on_read_failed,
            LeaseAnswer: self._on_lease_answer,
            Measured: self._on_measured,
        }

    # -- links -----------------------------------------------------------------------------------------------------
    def on_peer(self, peer: Peer) -> None:
        """A new life of raft, apply or lease."""
        if peer.role == "raft":
            self._raft = peer
        elif peer.role == "apply":
            self._apply = peer
            self.cluster, self.member = peer.cluster, peer.member
            self._set_header()
            self.calls.ask_reads_again()
        else:
            self._lease = peer
            self.calls.ask_leases_again()

    def on_lost(self, peer: Peer) -> None:
        """What was sent to raft is in doubt now; apply and lease will be asked again."""
        if peer is self._raft:
            self._raft = None
            self._recovered = False
            self.standing = structs.replace(NO_STANDING, term=self.standing.term)
            self.calls.on_raft_lost()
        elif peer is self._apply:
            self._apply = None
            self._recovered = False
            self._indexes_wanted.clear()
            self.watching.lost()
        elif peer is self._lease:
            self._lease = None

    def on_batch(self, peer: Peer, messages: list[Message]) -> None:
        """Everything from inside the member."""
        handlers = self._handlers
        for message in messages:
            handlers[type(message)](peer, message)

    @property
    def ready(self) -> bool:
        """Whether requests are served: the store has caught up, a leader is known, leases are kept."""
        return self._recovered and self.standing.leader != 0 and self._lease is not None

    # -- clients ---------------------------------------------------------------------------------------------------
    def _drop(self, client: bytes) -> None:
        self.watching.drop(client)
        self.exporting.drop(client)

    def on_client(self, envelope: Envelope, body: bytes) -> None:
        """One frame of a client; envelope is everything before the body."""
        # The common envelopes, (client) and (client, empty), are within bounds at a glance.
        if (len(envelope) > 2 or len(envelope[-1]) > ROUTING_ID_BYTES_MAX) and (
            len(envelope) > limits.ENVELOPE_FRAMES_MAX or sum(map(len, envelope)) > limits.ENVELOPE_BYTES_MAX
        ):
            self.counters["malformed"] += 1
            return
        try:
            request = decode_request(body)
        except WireError as error:
            self.counters["undecodable"] += 1
            self.clients.send(envelope, replies.encode(replies.error(errors.invalid(str(error)))))
            return
        size = len(body)
        if type(request) is api.BatchRequest:
            self._on_batch_request(envelope, request, size)
            return
        self.counters["requests"] += 1
        ticket = Ticket(envelope, size)
        if size > self.settings.max_request_bytes:
            self.clients.send(envelope, replies.encode(replies.error(errors.REQUEST_TOO_LARGE)))
            return
        if self._admit(ticket, 1):
            if request.require_leader and not self.standing.leader:
                self.refuse(ticket, 0, errors.NO_LEADER)
            else:
                self._operations[type(request)](self, ticket, 0, request)

    def _on_batch_request(self, envelope: Envelope, request: api.BatchRequest, size: int) -> None:
        requests = request.requests
        count = len(requests)
        self.counters["requests"] += count
        self.counters["batches"] += 1
        if not count or count > limits.BATCH_REQUESTS_MAX:
            error = errors.invalid(f"a batch holds 1 to {limits.BATCH_REQUESTS_MAX} requests, not {count}")
            self.clients.send(envelope, replies.encode(replies.error(error)))
            return
        ticket = Ticket(envelope, size, [None] * count, count)
        if not self._admit(ticket, count):
            return
        operations = self._operations
        for index, item in enumerate(requests):
            if item.require_leader and not self.standing.leader:
                self.refuse(ticket, index, errors.NO_LEADER)
            else:
                operations[type(item)](self, ticket, index, item)

    def _admit(self, ticket: Ticket, count: int) -> bool:
        error: Error | None = None
        if self._stopping:
            error = errors.STOPPED
        elif (
            self._inflight + count > limits.INFLIGHT_REQUESTS_MAX
            or self._inflight_bytes + ticket.size > limits.INFLIGHT_BYTES_MAX
        ):
            self.counters["too_many_requests"] += count
            error = errors.TOO_MANY_REQUESTS
        if error is None:
            self._inflight += count
            self._inflight_bytes += ticket.size
            return True
        self.clients.send(ticket.envelope, replies.encode(replies.error(error)))
        return False

    def answer(self, ticket: Ticket, index: int, reply: object) -> None:
        """The reply to request index of ticket."""
        responses = ticket.responses
        if responses is None:
            data = replies.encode(reply)
        else:
            responses[index] = reply
            ticket.missing -= 1
            if ticket.missing:
                return
            data = replies.encode(BatchReply(responses))
        if ticket is not NOWHERE:
            self._inflight -= 1 if responses is None else len(responses)
            self._inflight_bytes -= ticket.size
            self.clients.send(ticket.envelope, data)

    def refuse(self, ticket: Ticket, index: int, error: Error) -> None:
        """An error reply."""
        self.answer(ticket, index, replies.error(error))

    def release(self, ticket: Ticket) -> None:
        """A request that is answered outside `answer` (a watch stream) holds no admission any more."""
        self._inflight -= 1
        self._inflight_bytes -= ticket.size

    def header(self, revision: int) -> Header:
        """ResponseHeader at revision."""
        return Header(self.cluster, self.member, revision, self.standing.term)

    def _set_header(self) -> None:
        self.watching.hub.set_header(self.cluster, self.member, self.standing.term)

    # -- calls -----------------------------------------------------------------------------------------------------
    def write(self, call: Call, command: Command, size: int) -> None:
        """Propose command, unless apply lags too far behind (etcd's commit - apply gap) or the quota is used up."""
        standing = self.standing
        if standing.commit - standing.applied > limits.APPLY_LAG_ENTRIES_MAX:
            self.counters["too_many_requests"] += 1
            self.refuse(call.ticket, call.index, errors.TOO_MANY_REQUESTS)
        elif size > self.settings.max_request_bytes:
            self.refuse(call.ticket, call.index, errors.REQUEST_TOO_LARGE)
        else:
            self.calls.write(call, command, size)

    def within_quota(self, ticket: Ticket, index: int, cost: int) -> bool:
        """etcd's quota test at the API: over it, raise the alarm through the log and refuse (rule 18)."""
        quota = self.settings.quota_backend_bytes
        if quota <= 0 or self.db_bytes + cost < quota:
            return True
        if self.now_ms >= self._alarm_due_ms:
            self._alarm_due_ms = self.now_ms + limits.ALARM_AGAIN_MS
            alarm = Alarm(1, self.member, 1)
            self.calls.write(Call(NOWHERE, 0, _ignore, alarm, on_failed=self._alarm_failed), alarm, 64)
        self.refuse(ticket, index, errors.NO_SPACE)
        return False

    def _alarm_failed(self, _call: Call, _failed: Failed) -> None:
        self._alarm_due_ms = 0

    def read(self, call: Call, query: Query) -> None:
        """Ask apply."""
        self.calls.read(call, query)

    def propose(self, command: Command) -> None:
        """A write that no client waits for."""
        self.calls.write(Call(NOWHERE, 0, _ignore, command, on_failed=_ignore_failure), command, 64)

    def _on_replies(self, _peer: Peer, message: Replies) -> None:
        writes, reads = self.calls.writes, self.calls.reads
        for sequence, result in message.replies:
            call = (writes if sequence > 0 else reads).pop(sequence, None)
            if call is None:
                call = self.calls.patient.pop(sequence, None)
            if sequence < 0 and type(result) in MAY_BE_LARGE:
                self.watching.count_answer(answer_bytes(result))
            if call is None:
                continue  # answered before the restart that replayed it, or overdue
            if type(result) is Failed:
                if call.on_failed is None:
                    self.refuse(call.ticket, call.index, Error(result.code, result.message))
                else:
                    call.on_failed(call, result)
            else:
                call.done(self, call, result)
        if message.replies and (revision := message.replies[-1][1].revision) > self.revision:
            self.revision = revision

    def _on_lease_answer(self, _peer: Peer, message: LeaseAnswer) -> None:
        call = self.calls.leases.pop(message.sequence, None)
        if call is None:
            return
        if message.code:
            self.refuse(call.ticket, call.index, Error(message.code, message.message))
        else:
            call.done(self, call, message)

    def measure(self, ticket: Ticket, index: int) -> None:
        """The metrics op."""
        self.measuring.ask(ticket, index, {"raft": self._raft, "apply": self._apply, "lease": self._lease})

    def _on_measured(self, _peer: Peer, message: Measured) -> None:
        self.measuring.on_measured(message)

    def _on_refused(self, _peer: Peer, message: Refused) -> None:
        error = Error(message.code, message.message)
        for sequence in range(message.first_sequence, message.first_sequence + message.count):
            call = self.calls.writes.pop(sequence, None)
            if call is not None:
                self._fail(call, error)

    def _on_read_failed(self, _peer: Peer, message: ReadFailed) -> None:
        """apply, which parks the reads, answers them."""

    def _on_index_wanted(self, _peer: Peer, message: IndexWanted) -> None:
        self._indexes_wanted.append(message.context)

    def _fail(self, call: Call, error: Error) -> None:
        if call.on_failed is None:
            self.refuse(call.ticket, call.index, error)
        else:
            call.on_failed(call, Failed(error.code, error.message, self.revision))

    # -- the feed --------------------------------------------------------------------------------------------------
    def _on_feed(self, _peer: Peer, message: Feed) -> None:
        self.revision = message.revision
        self.compact_revision = message.compact_revision
        self.watching.on_feed(message)

    def _on_subscribed(self, _peer: Peer, message: Subscribed) -> None:
        self.watching.hub.on_subscribed(message)

    def _on_ready(self, _peer: Peer, message: Ready) -> None:
        self._recovered = True
        self.revision = message.revision
        self.watching.hub.ready()
        for call in self.calls.take_doubtful():
            self._fail(call, errors.TIMEOUT_LEADER_FAIL)

    def _on_space(self, _peer: Peer, message: Space) -> None:
        self.db_bytes = message.db_bytes

    def _on_standing(self, _peer: Peer, message: Standing) -> None:
        term = self.standing.term
        self.standing = message
        if message.term != term:
            self._set_header()
        self._operations = LEARNER_OPERATIONS if message.is_learner else OPERATIONS
        if self.moving:
            on_standing(self)

    # -- the turn --------------------------------------------------------------------------------------------------
    def on_tick(self, now_ms: int) -> None:
        """Deadlines, slow clients, watch timers, auto compaction."""
        self.now_ms = now_ms
        for call in self.calls.overdue(now_ms):
            self.counters["timeouts"] += 1
            self._fail(call, errors.TIMEOUT)
        self.clients.retry()
        self.tick_ms = limits.CLIENT_RETRY_MS if self.clients.stalled else limits.TICK_MS
        self.watching.on_tick(now_ms)
        self.exporting.on_tick(now_ms)
        self.measuring.on_tick(now_ms)
        self.hashing.on_tick(now_ms)
        self._watch_leader(now_ms)
        if self._compactor is not None and self._recovered:
            revision = self._compactor.on_tick(
                now_ms, self.revision, self.compact_revision, is_leader=self.standing.is_leader
            )
            if revision is not None:
                self.propose(Compact(revision))

    def _watch_leader(self, now_ms: int) -> None:
        """etcd: without a leader for three election timeouts the streams that require one end."""
        if self.standing.leader:
            self._leader_seen_ms = now_ms
        elif now_ms - self._leader_seen_ms >= LEADERLESS_TIMEOUTS * self.settings.election_timeout_ms:
            self.watching.end_requiring()

    def end_turn(self) -> None:
        """Send what the turn gathered."""
        self.watching.end_turn(self._apply)
        calls, standing = self.calls, self.standing
        # Without a leader nothing is proposed or asked: it waits, within its deadline, for the next one (etcd's way).
        raft = self._raft if standing.leader else None
        if raft is not None:
            for proposal in calls.take_proposals():
                self.send(raft, proposal)
            for context in self._indexes_wanted:
                self.send(raft, ReadIndex(context))
            self._indexes_wanted.clear()
        if self._apply is not None:
            asked = raft is not None and not standing.sole
            for batch in calls.take_reads(asked=asked):
                self.send(self._apply, batch)
                if batch.asked and raft is not None:
                    self.send(raft, ReadIndex(batch.context))
        if self._lease is not None:
            for message in calls.take_leases():
                self.send(self._lease, message)

    def on_stop(self) -> None:
        """Refuse what is new, finish what is under way, but for what may take any time."""
        self._stopping = True
        patient, self.calls.patient = self.calls.patient, {}
        for call in patient.values():
            self._fail(call, errors.STOPPED)
        self.exporting.end_all(errors.STOPPED)
        self.hashing.refuse_all(errors.STOPPED)
        self._stop_after_ms = self.now_ms + limits.DRAIN_LINGER_MS

    def stopped(self) -> bool:
        """Whether every call has been answered, and a moment has passed in which clients that ask on are told to go
        elsewhere: what reaches a socket that closes would be in doubt."""
        return not len(self.calls) and self.now_ms >= self._stop_after_ms


def _ignore(_actor: ApiActor, _call: Call, _result: Result) -> None:
    """For calls of our own."""


def _ignore_failure(_call: Call, _failed: Failed) -> None:
    """What failed is tried again when it is due again."""
