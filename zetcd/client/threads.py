"""The synchronous engine: whoever calls drives the sockets; nobody hops to another thread.

Rules:

1. A call goes to the inbox; then whoever gets the lock sends all that is in the inbox (in one frame), and reads what
   has arrived, for everybody. A thread that finds the lock taken leaves its call to the holder, who looks again before
   going. So threads that call at once share frames.
2. One of the waiting threads is the poller: it sleeps on the sockets' file descriptors, without the lock. The others
   sleep on a lock of their own. A poller whose own call is answered makes another waiting thread the poller.
3. As long as one thread alone uses the client, it blocks in the socket itself, which saves two system calls a call.
4. A sender may receive the poller's answer (a send can swallow the FD's signal, so it must read): then it wakes the
   poller through an eventfd.
"""

import contextlib
import os
import select
import threading
import time
from collections import deque
from threading import get_ident
from typing import Any, TypeVar

import msgspec
import zmq

from zetcd.base import errors as etcd
from zetcd.client.sockets import NOBLOCK, RECV_PATIENCE_MS, Again, Connection, Nowhere
from zetcd.session.call import Call, Kind, policy_of
from zetcd.session.errors import CLIENT_CLOSED, Error
from zetcd.session.lane import CLOSED, UP, Lane, Port, encode
from zetcd.session.options import TICK_S, Options
from zetcd.session.session import Session
from zetcd.wire import client as wire

T = TypeVar("T")

PATIENCE_MIN_S = 2 * RECV_PATIENCE_MS / 1000  # shorter timeouts do not take the short way
TICK_MS = int(TICK_S * 1000)


class _Wait:
    """One thread's wait for one call. `gate` is a lock it sleeps on."""

    __slots__ = ("error", "finished", "gate", "sent", "value")

    def __init__(self) -> None:
        self.finished = False
        self.value: Any = None
        self.error: BaseException | None = None
        self.gate: threading.Lock | None = None
        self.sent = False  # by the short way

    def done(self) -> bool:
        """Whether there is an outcome."""
        return self.finished

    def set_result(self, result: Any, /) -> None:
        """The reply."""
        self.value = result
        self.finished = True
        if self.gate is not None:
            self.open()

    def settle(self) -> bool:
        """The value has been set by the waiting thread itself."""
        self.finished = True
        return True

    def set_exception(self, exception: BaseException, /) -> None:
        """The failure."""
        self.error = exception
        self.finished = True
        if self.gate is not None:
            self.open()

    def open(self) -> None:
        """Wake the thread that sleeps on the gate."""
        gate = self.gate
        if gate is not None:
            with contextlib.suppress(RuntimeError):  # open already
                gate.release()


class Engine:
    """Everything of one synchronous client that is not a method users call."""

    def __init__(self, options: Options) -> None:
        self._timeout = options.timeout
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._session = Session(options, self._dial)
        self._inbox: deque[Call] = deque()
        self._lock = threading.Lock()  # owns the session and the sockets
        self._polling = threading.Lock()  # held by the poller
        self._waits: dict[_Wait, None] = {}
        self._connections: dict[Lane, Connection] = {}
        self._poll = select.poll()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK)
        self._poll.register(self._wake, select.POLLIN)
        self._rare = {self._wake}  # descriptors that call for more than reading replies
        self._unreachable: list[tuple[Lane, str]] = []
        self._poller: _Wait | None = None
        self._tick_at = 0.0
        self._stale = False  # the poller sleeps on a set of descriptors that has changed
        self._closed = False
        self._thread = 0  # the first to call
        self._shared = False

    def run(self, request: wire.Request, kind: Kind[T], timeout: float | None) -> T:
        """The reply of request. Raises Error."""
        patience = self._timeout if timeout is None else timeout
        wait = _Wait()
        if self._shared or not self._alone(request, kind, patience, wait):
            if not wait.sent:
                deadline = time.monotonic() + patience
                self._inbox.append(Call(request, kind, wait, deadline, policy_of(request)))
            self._pump()
        if not wait.finished:
            self._waits[wait] = None
            try:
                self._await(wait)
            finally:
                del self._waits[wait]
                if not wait.finished:  # an interrupt: a call not sent yet is not sent
                    wait.finished = True
        if wait.error is not None:
            raise wait.error
        value: T = wait.value
        return value

    def _alone(self, request: wire.Request, kind: Kind[Any], patience: float, wait: _Wait) -> bool:
        """The short way while only one thread uses this client: send, and block in the socket itself, lock in hand.
        Whether it led to the end."""
        if self._thread != get_ident():
            if self._thread:
                self._shared = True  # for good; the first thread notices within RECV_PATIENCE_MS
            self._thread = get_ident()
            return False
        if not self._lock.acquire(blocking=False):
            return False
        try:
            lane = self._only_lane()
            if lane is None or self._inbox or patience < PATIENCE_MIN_S:
                return False
            connection = self._connections[lane]
            frame_id = self._session.fresh_id()
            if not connection.send([frame_id, encode(request)]):
                return False
            try:
                frames, body = connection.recv_answer(frame_id)
                if frames is None:
                    wait.value = kind.decode(body)
                    return wait.settle()
            except Again:
                frames = None
            except msgspec.MsgspecError:
                frames = [frame_id, body]
            # Not the plain answer: from here on it is a call like any other that was sent.
            wait.sent = True
            now = time.monotonic()
            self._session.adopt(lane, frame_id, Call(request, kind, wait, now + patience, policy_of(request)), now)
            if frames is not None:
                self._session.on_frames(lane, frames, now)
            self._linger(lane, connection, wait)
        except BaseException:  # an interrupt: nobody wants the answer
            wait.finished = True
            raise
        finally:
            self._lock.release()
        return wait.finished and not self._inbox

    def _linger(self, lane: Lane, connection: Connection, wait: _Wait) -> None:
        while not (wait.finished or self._shared or lane.state == CLOSED):
            try:
                self._session.on_frames(lane, connection.recv(0), time.monotonic())
            except Again:
                self._watch_over(time.monotonic())

    def _only_lane(self) -> Lane | None:
        """The lane in use, if there is just one."""
        if len(self._connections) != 1:
            return None
        (lane,) = self._connections
        return lane if lane.state == UP and not lane.inflight and not self._session.waiting else None

    def _await(self, wait: _Wait) -> None:
        polling = self._polling
        while not wait.finished:
            if polling.acquire(blocking=False):
                try:
                    self._poll_for(wait)
                finally:
                    polling.release()
                    self._appoint()
                continue
            gate = threading.Lock()
            gate.acquire()
            wait.gate = gate
            # Whoever polled may have gone before it could see the gate.
            if not wait.finished and polling.locked():
                gate.acquire(timeout=TICK_S * 4)
            wait.gate = None

    def _appoint(self) -> None:
        """Let another waiting thread poll."""
        for other in tuple(self._waits):
            if not other.finished and other.gate is not None:
                other.open()
                return

    def _poll_for(self, wait: _Wait) -> None:
        """Poll until wait is over."""
        poll = self._poll.poll
        while not wait.finished:
            self._poller = wait
            if not self._inbox and not wait.finished:
                for descriptor, _ in poll(TICK_MS):
                    if descriptor in self._rare:
                        self._tick_at = 0.0
            self._poller = None
            self._pump(block=True)

    # -- under the lock --------------------------------------------------------------------------------------------
    def _pump(self, *, block: bool = False) -> None:
        """Send what waits, read what came; leave it to the thread that is at it already."""
        lock = self._lock
        while True:
            if not lock.acquire(blocking=block):
                return
            try:
                self._turn()
            finally:
                lock.release()
            block = False
            if not self._inbox:
                return

    def _turn(self) -> None:
        inbox, session = self._inbox, self._session
        now = time.monotonic()
        while inbox:
            call = inbox.popleft()
            if self._closed:
                call.waiter.set_exception(Error(etcd.CANCELED, CLIENT_CLOSED))
            else:
                session.submit(call)
        if session.waiting:
            session.flush(now)
        for lane, connection in tuple(self._connections.items()):
            self._drain(lane, connection)
        if session.waiting:
            session.flush(time.monotonic())
        if now >= self._tick_at:
            self._tick_at = now + TICK_S
            self._watch_over(now)
        poller = self._poller
        if poller is not None and (poller.finished or self._stale):
            self._stale = False
            os.eventfd_write(self._wake, 1)

    def _drain(self, lane: Lane, connection: Connection) -> None:
        session, recv = self._session, connection.recv
        try:
            while lane.state != CLOSED:
                session.on_frames(lane, recv(NOBLOCK), time.monotonic())
        except Again:
            pass

    def _watch_over(self, now: float) -> None:
        """What is not on the path of every call: broken connections, the wake-up's counter, deadlines."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake)
        while self._unreachable:
            lane, why = self._unreachable.pop()
            self._session.on_lost(lane, now, why)
        for lane, connection in tuple(self._connections.items()):
            why = connection.broken()
            if why:
                self._drain(lane, connection)
                self._session.on_lost(lane, now, why)
        self._session.tick(now)

    def _dial(self, lane: Lane) -> Port:
        try:
            connection = Connection(self._context, lane.endpoint)
        except zmq.ZMQError as error:
            self._unreachable.append((lane, str(error)))
            return Nowhere()
        self._connections[lane] = connection
        self._poll.register(connection.fd, select.POLLIN)
        self._poll.register(connection.monitor_fd, select.POLLIN)
        self._rare.add(connection.monitor_fd)
        self._stale = True
        return _Line(self, lane, connection)

    def hang_up(self, lane: Lane, connection: Connection) -> None:
        """Its lane is closed."""
        self._poll.unregister(connection.fd)
        self._poll.unregister(connection.monitor_fd)
        self._rare.discard(connection.monitor_fd)
        self._stale = True
        del self._connections[lane]
        connection.close()

    def close(self) -> None:
        """Fail what waits and hang up."""
        self._shared = True
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._session.close()
            self._context.destroy(0)
        for wait in tuple(self._waits):
            wait.open()
        os.eventfd_write(self._wake, 1)
        with self._polling:  # the poller has left
            os.close(self._wake)


class _Line:
    """The port of a lane."""

    __slots__ = ("_connection", "_engine", "_lane", "send")

    def __init__(self, engine: Engine, lane: Lane, connection: Connection) -> None:
        self._engine = engine
        self._lane = lane
        self._connection = connection
        self.send = connection.send

    def close(self) -> None:
        """Hang up."""
        self._engine.hang_up(self._lane, self._connection)
