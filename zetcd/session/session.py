"""The sans-I/O core of a client: queues, batches, windows, endpoints, deadlines and repetition.

Rules:

1. Calls queue by policy; what queues while nothing can be sent travels in one frame. There is no linger timer: the
   driver calls `flush` once per turn, and at most FRAMES_INFLIGHT_MAX frames per lane and queue are unanswered.
2. A write is sent again only if it certainly was not applied: it never left, or was refused for sure. Anything else
   ends with ``outcome_unknown``. Repeatable calls are sent again until their deadline.
3. An endpoint is left when its connection breaks, when it answers nothing for try_timeout (a probe tells slow from
   dead), or, where there are others, when a request stays unanswered for try_timeout. Writes in flight then keep
   waiting for a late answer on the retired lane.

The driver owns clock and sockets: it calls `submit`, `flush`, `on_frames`, `on_lost`, and `tick` every TICK_S while
`tick` says that something is outstanding.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from zetcd.base import errors as etcd
from zetcd.session import options as bounds
from zetcd.session.call import ALONE, READ, WRITE, Call, Kind, decode_error, decode_raw_responses
from zetcd.session.errors import CLIENT_CLOSED, DEADLINE, Error, leaves_unknown, refused_for_sure, worth_repeating
from zetcd.session.lane import CLOSED, DIALING, PROBE_ID, RETIRED, UP, Batch, Endpoints, Lane, Port, encode
from zetcd.session.options import Options
from zetcd.wire import client as wire
from zetcd.wire.replies import ErrorMap

NEVER = float("inf")


class Session:
    """All calls of one client."""

    def __init__(self, options: Options, dial: Callable[[Lane], Port]) -> None:
        """dial begins to connect; its failure, now or later, is told through `on_lost`."""
        self._options = options
        self._dial = dial
        self._endpoints = Endpoints(options.endpoints)
        self._queues: tuple[list[Call], list[Call], list[Call]] = ([], [], [])
        self._later: list[Call] = []
        self._lanes: list[Lane] = []
        self._serial = 0
        self._batch_limit = bounds.BATCH_REQUESTS_MAX
        self._earliest = NEVER  # no deadline is before it
        self.late_frames = 0

    # -- in --------------------------------------------------------------------------------------------------------
    def submit(self, call: Call) -> None:
        """Queue a call for the next flush."""
        queue = self._queues[call.policy.queue]
        if len(queue) >= bounds.QUEUE_REQUESTS_MAX:
            detail = f"{len(queue)} requests wait in this client"
            call.waiter.set_exception(Error(etcd.RESOURCE_EXHAUSTED, etcd.TOO_MANY_REQUESTS.message, detail=detail))
            return
        queue.append(call)
        self._earliest = min(self._earliest, call.deadline)

    def flush(self, now: float) -> None:
        """Send what the windows admit."""
        writes, reads, alone = self._queues
        if writes:
            self._flush(WRITE, now)
        if reads:
            self._flush(READ, now)
        if alone:
            self._flush(ALONE, now)

    def _flush(self, queue: int, now: float) -> None:
        calls = self._queues[queue]
        while calls:
            lane = self._least_busy(queue, now)
            if lane is None:
                break
            limit = self._batch_limit if queue < ALONE else 1
            chosen = calls[:limit]
            live = [call for call in chosen if not call.waiter.done()]
            sent = self._send(lane, queue, live, now) if live else 0
            if sent < 0:  # broken; the driver will say so once it has read what came before
                lane.state = RETIRED
                continue
            if sent < len(live):
                calls[: len(chosen)] = live[sent:]
            else:
                del calls[: len(chosen)]

    def _least_busy(self, queue: int, now: float) -> Lane | None:
        best: Lane | None = None
        live = 0
        for lane in self._lanes:
            if lane.state > UP:
                continue
            live += 1
            if lane.state == UP and (best is None or lane.outstanding < best.outstanding):
                best = lane
        busy = best is not None and best.outstanding >= bounds.LANE_BUSY_REQUESTS
        if live == 0 or (busy and live < self._options.sockets):
            self._open(now)
        if best is None or (queue < ALONE and best.slots[queue] >= bounds.FRAMES_INFLIGHT_MAX):
            return None
        return best if len(best.alone) < self._options.alone or queue < ALONE else None

    def _send(self, lane: Lane, queue: int, calls: list[Call], now: float) -> int:
        """How many of calls went out in one frame; -1 where none can."""
        first = calls[0].kind
        kind: Kind[Any] | None
        if len(calls) == 1:
            body = encode(calls[0].request)
            kind = first
        else:
            body = encode(wire.BatchRequest([call.request for call in calls]))  # type: ignore[misc]
            if len(body) > bounds.BATCH_BYTES_MAX:
                self._batch_limit = max(1, len(calls) // 2)
                return self._send(lane, queue, calls[: self._batch_limit], now)
            if self._batch_limit < bounds.BATCH_REQUESTS_MAX:
                self._batch_limit += 1
            kind = first if all([call.kind is first for call in calls]) else None  # noqa: C419 (a list is faster)
        frame_id = self.fresh_id()
        if not lane.send([frame_id, body]):
            return -1
        lane.add(frame_id, Batch(calls, kind, queue, now))
        if queue == ALONE:
            calls[0].frame_id = frame_id
        return len(calls)

    def give_up(self, call: Call) -> None:
        """Nobody waits for this lock or campaign any more: its waiter says done. Where it has been sent, the member is
        told to clear its place."""
        for lane in self._lanes:
            batch = lane.alone.get(call.frame_id)
            if batch is not None and batch.calls[0] is call:
                lane.send([call.frame_id, encode(wire.CancelRequest())])
                lane.pop(call.frame_id)

    def fresh_id(self) -> bytes:
        """A frame id never used before."""
        self._serial = serial = self._serial + 1
        return serial.to_bytes(6, "big")

    def adopt(self, lane: Lane, frame_id: bytes, call: Call, now: float) -> None:
        """A driver that has sent a call by itself, on an idle lane, hands it over."""
        lane.add(frame_id, Batch([call], call.kind, call.policy.queue, now))
        self._earliest = min(self._earliest, call.deadline)

    # -- connections -----------------------------------------------------------------------------------------------
    def _open(self, now: float) -> None:
        if now < self._endpoints.not_before:
            return
        lane = Lane(self._endpoints.current, now)
        self._lanes.append(lane)
        lane.port = self._dial(lane)
        lane.probe(now)

    def on_lost(self, lane: Lane, now: float, why: str) -> None:
        """The connection broke or could not be made; everything it brought has been handed in before."""
        if lane.state == CLOSED:
            return
        if lane.state < RETIRED:
            self._retire(lane)
            self._maybe_leave(lane.endpoint, now, why)
        self._lanes.remove(lane)
        lane.close()
        for _, batch in lane.batches():
            for call in batch.calls:
                if not call.waiter.done():
                    call.waiter.set_exception(
                        Error(
                            etcd.UNAVAILABLE,
                            "zetcd: connection lost",
                            outcome_unknown=not call.policy.repeatable,
                            detail=f"{lane.endpoint}: {why}",
                        )
                    )
        self.flush(now)

    def _retire(self, lane: Lane) -> None:
        """Nothing new on this lane; what may be repeated moves on, writes stay for a late answer."""
        lane.state = RETIRED
        for frame_id, batch in lane.batches():
            again = [call for call in batch.calls if call.policy.repeatable]
            for call in again:
                if not call.waiter.done():
                    call.attempts += 1
                    self._queues[call.policy.queue].append(call)
            if len(again) == len(batch.calls):
                lane.pop(frame_id)

    def _maybe_leave(self, endpoint: str, now: float, why: str) -> None:
        """The next endpoint's turn, unless another process behind this one is fine."""
        if not any(lane.state == UP and lane.endpoint == endpoint for lane in self._lanes):
            self._endpoints.leave(endpoint, now, why)

    def _leave(self, endpoint: str, now: float, why: str) -> None:
        """Use another endpoint from now on."""
        for lane in self._lanes:
            if lane.endpoint == endpoint and lane.state < RETIRED:
                self._retire(lane)
        self._endpoints.leave(endpoint, now, why)

    # -- answers ---------------------------------------------------------------------------------------------------
    def on_frames(self, lane: Lane, frames: list[bytes], now: float) -> None:
        """One message from lane."""
        lane.last_heard = now
        lane.probe_at = 0.0
        frame_id = frames[0]
        if frame_id == PROBE_ID:
            if lane.state == DIALING:
                lane.state = UP
                self._endpoints.answered()
            return
        batch = lane.pop(frame_id)
        if batch is None:
            self.late_frames += 1
            return
        body = frames[-1]
        calls = batch.calls
        kind = batch.kind
        if kind is not None:
            try:
                replies = [kind.decode(body)] if len(calls) == 1 else kind.decode_many(body)
            except msgspec.MsgspecError:
                replies = []
            if len(replies) == len(calls):
                for call, reply in zip(calls, replies, strict=True):
                    waiter = call.waiter
                    if not waiter.done():
                        waiter.set_result(reply)
                return
        self._on_mixed(lane, calls, body, now)

    def _on_mixed(self, lane: Lane, calls: list[Call], body: bytes, now: float) -> None:
        """Replies of several kinds, or errors among them: each on its own."""
        bodies: list[Any]
        try:
            if len(calls) == 1:
                bodies = [body]
            else:
                answer = decode_raw_responses(body)
                bodies = answer.responses if answer.error is None else [body] * len(calls)
            if len(bodies) != len(calls):
                raise msgspec.DecodeError(f"{len(bodies)} responses to {len(calls)} requests")
        except msgspec.MsgspecError as error:
            bodies = [b"\xc1"] * len(calls)  # undecodable, each of them
            lane_error = str(error)
        else:
            lane_error = ""
        for call, one in zip(calls, bodies, strict=True):
            if call.waiter.done():
                continue
            try:
                failure = decode_error(one)
                if failure.error is None:
                    call.waiter.set_result(call.kind.decode(one))
                    continue
            except msgspec.MsgspecError as error:
                self._undecodable(call, lane, lane_error or str(error))
                continue
            self._on_error(lane, call, failure.error, failure.compact_revision, now)

    def _undecodable(self, call: Call, lane: Lane, why: str) -> None:
        call.waiter.set_exception(
            Error(etcd.INTERNAL, "zetcd: reply does not decode", outcome_unknown=not call.policy.repeatable,
                  detail=f"{lane.endpoint}: {why}")
        )  # fmt: skip

    def _on_error(self, lane: Lane, call: Call, error: ErrorMap, compact_revision: int, now: float) -> None:
        refused = refused_for_sure(error)
        repeatable = call.policy.repeatable
        failure = Error(
            error.code,
            error.message,
            outcome_unknown=not repeatable and leaves_unknown(error),
            compact_revision=compact_revision,
        )
        hopeless = error.message == etcd.LEARNER_UNSUPPORTED.message or (
            call.request.require_leader and error.message == etcd.NO_LEADER.message
        )
        if (hopeless and len(self._endpoints) == 1) or not (refused or (repeatable and worth_repeating(error))):
            call.waiter.set_exception(failure)
            return
        call.failure = failure
        call.not_before = now + min(bounds.BACKOFF_MAX_S, bounds.BACKOFF_FIRST_S * 2 ** min(call.attempts, 16))
        call.attempts += 1
        self._later.append(call)
        if len(self._endpoints) > 1 and lane.state == UP and error.code == etcd.UNAVAILABLE:
            self._leave(lane.endpoint, now, error.message)

    # -- time ------------------------------------------------------------------------------------------------------
    def tick(self, now: float) -> bool:
        """Deadlines, repetitions, health. Returns whether anything is outstanding, so that ticks must go on."""
        if now >= self._earliest:
            self._expire(now)
        if self._later:
            due = [call for call in self._later if call.not_before <= now]
            if due:
                self._later = [call for call in self._later if call.not_before > now]
                for call in due:
                    self._queues[call.policy.queue].append(call)
        for lane in tuple(self._lanes):
            self._check(lane, now)
        self.flush(now)
        return bool(self._later or any(self._queues) or any(lane.inflight or lane.alone for lane in self._lanes))

    def _check(self, lane: Lane, now: float) -> None:
        options = self._options
        if lane.state == DIALING:
            lane.probe(now)
            if now - lane.born > options.connect_timeout:
                self.on_lost(lane, now, f"no answer for {options.connect_timeout:g} s")
        elif lane.state == RETIRED:
            if not lane.inflight and not lane.alone:
                lane.close()
                self._lanes.remove(lane)
        elif len(self._endpoints) > 1 and lane.age(now) > options.try_timeout:
            self._leave(lane.endpoint, now, f"a request stayed unanswered for {options.try_timeout:g} s")
        elif lane.probe_at and now - lane.probe_at > options.try_timeout / 2:
            self._retire(lane)
            self._maybe_leave(lane.endpoint, now, f"no answer to a probe for {options.try_timeout / 2:g} s")
        elif lane.silence(now) > options.try_timeout / 2 or (
            lane.alone and now - lane.last_heard > bounds.PROBE_AFTER_S
        ):
            lane.probe(now)

    def _expire(self, now: float) -> None:
        """Fail what is past its deadline, forget what is done, find the next deadline."""
        self._earliest = NEVER
        for queue in self._queues:
            queue[:] = [call for call in queue if self._pending(call, now, None)]
        self._later = [call for call in self._later if self._pending(call, now, None)]
        for lane in self._lanes:
            for frame_id, batch in lane.batches():
                pending = [self._pending(call, now, lane) for call in batch.calls]
                if not any(pending):
                    lane.pop(frame_id)

    def _pending(self, call: Call, now: float, lane: Lane | None) -> bool:
        if call.waiter.done():
            return False
        if call.deadline > now:
            self._earliest = min(self._earliest, call.deadline)
            return True
        if call.failure is not None and lane is None:
            failure = call.failure
            failure.detail = f"after {call.attempts} attempts"
        else:
            failure = Error(
                etcd.DEADLINE_EXCEEDED,
                DEADLINE,
                outcome_unknown=lane is not None and not call.policy.repeatable,
                detail=f"{lane.endpoint}: no answer" if lane else f"not sent; {self._endpoints.last_error or 'busy'}",
            )
        call.waiter.set_exception(failure)
        return False

    def close(self) -> None:
        """Fail everything and hang up."""
        waiting = [call for queue in (*self._queues, self._later) for call in queue]
        sent = [call for lane in self._lanes for _, batch in lane.batches() for call in batch.calls]
        for call in [*waiting, *sent]:
            if not call.waiter.done():
                unknown = call in sent and not call.policy.repeatable
                call.waiter.set_exception(Error(etcd.CANCELED, CLIENT_CLOSED, outcome_unknown=unknown))
        for queue in self._queues:
            queue.clear()
        self._later.clear()
        for lane in self._lanes:
            lane.close()
        self._lanes.clear()

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """All connections, for tests and reports."""
        return tuple(self._lanes)

    @property
    def waiting(self) -> bool:
        """Whether calls wait for a window or a connection."""
        writes, reads, alone = self._queues
        return bool(writes or reads or alone)

    @property
    def outstanding(self) -> int:
        """Calls queued and in flight."""
        return (
            sum(map(len, self._queues))
            + len(self._later)
            + sum(lane.outstanding + len(lane.alone) for lane in self._lanes)
        )
