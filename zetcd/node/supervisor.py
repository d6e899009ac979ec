"""Starts the processes of one member, starts them again when they end, and stops them in order.

Rules:
1. raft, wal and apply live and die together: when one ends or hangs, the others are killed at once and all three
   start anew. Each api process, each gateway and lease are on their own.
2. Hung is who did not ping from its own loop for `WATCHDOG_*_MS`; it is killed. A supervisor that was itself suspended
   lets everybody ping again first.
3. A process that refuses to start (exit code 78) ends the member: the same start would fail again. So do restarts
   without end (`zetcd.node.restarts`).
4. SIGTERM, SIGINT and SIGHUP stop the member cleanly: the gateway ends its calls, api drains, then lease, raft, apply,
   and wal last (design rule 21), each given its time and then killed. A second signal kills all at once.
5. Nobody is left behind: children ask the kernel to be killed with their parent (`zetcd.host.process.die_with_parent`).

One poll over pidfds, the children's datagrams and our signals; nothing is done by looking again and again.
"""

import os
import select
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from zetcd.base import limits
from zetcd.base.settings import Settings
from zetcd.host import clock
from zetcd.host.process import EX_CONFIG, EX_FATAL, Notifier
from zetcd.node.children import Child, Command, NoticeSocket, child_environment
from zetcd.node.restarts import Restarts
from zetcd.wire import routes
from zetcd.wire.routes import FATE_GROUP

STOP_ORDER: tuple[tuple[str, int], ...] = (
    ("gateway", limits.STOP_GATEWAY_MS),
    ("api", limits.STOP_API_MS),
    ("lease", limits.STOP_LEASE_MS),
    ("raft", limits.STOP_RAFT_MS),
    ("apply", limits.STOP_APPLY_MS),
    ("wal", limits.STOP_WAL_MS),
)
STALL_MS = 2_000
"""A turn that comes so much later than it was due means that we, not the children, were asleep."""
WAIT_MAX_MS = 1_000
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Log(Protocol):
    """As `zetcd.host.logs.Logger`."""

    def info(self, msg: str, **fields: Any) -> None:
        """Milestones."""

    def warn(self, msg: str, **fields: Any) -> None:
        """Something to look at."""

    def error(self, msg: str, **fields: Any) -> None:
        """Something that must be looked at."""


@dataclass(slots=True, eq=False)
class Group:
    """Processes with one fate. start_at_ms: when to start them (again); None while they run."""

    seats: tuple[tuple[str, int], ...]
    children: list[Child] = field(default_factory=list)
    restarts: Restarts = field(default_factory=Restarts)
    start_at_ms: int | None = 0
    falling: bool = False

    @property
    def name(self) -> str:
        """For messages."""
        return "+".join(routes.title(role, number) for role, number in self.seats)

    @property
    def ready(self) -> bool:
        """Whether all of them serve."""
        return len(self.children) == len(self.seats) and all(child.ready for child in self.children)


class Supervisor:
    """One member's processes. on_ready is called once, when all of them serve for the first time."""

    def __init__(
        self,
        settings: Settings,
        log: Log,
        command: Command,
        on_ready: Callable[[], None] = lambda: None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._log = log
        self._command = command
        self._on_ready = on_ready
        self._notifier = Notifier.from_env(environ)
        self._notices = NoticeSocket()
        self._environ = child_environment(settings, environ) | {"NOTIFY_SOCKET": self._notices.address}
        fate = Group(tuple((role, 0) for role in FATE_GROUP))
        apis = (Group((("api", number),)) for number in range(settings.api_processes))
        gateways = (Group((("gateway", number),)) for number in range(settings.gateways))
        self._groups = [fate, Group((("lease", 0),)), *apis, *gateways]
        self._name = settings.name
        self._poll = select.poll()
        self._by_descriptor: dict[int, tuple[Group, Child]] = {}
        self._by_pid: dict[int, tuple[Group, Child]] = {}
        self._signals_read, self._signals_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._signals_seen = 0
        self._due_ms = 0
        self._was_ready = False
        self._exit_code: int | None = None
        self.stopped_by: signal.Signals | None = None

    # -- the loop --------------------------------------------------------------------------------------------------
    def run(self) -> int:
        """Until the member has stopped; the exit code: 0 after a signal, 78 after a refusal, 70 after a storm."""
        self._poll.register(self._notices, select.POLLIN)
        self._poll.register(self._signals_read, select.POLLIN)
        before = {number: signal.signal(number, lambda *_: None) for number in STOP_SIGNALS}
        wakeup = signal.set_wakeup_fd(self._signals_write, warn_on_full_buffer=False)
        try:
            self._due_ms = clock.monotonic_ms()
            while self._exit_code is None:
                self._start_due()
                self._turn()
                self._kill_hung()
            self._stop_all()
        finally:
            for _, child in list(self._by_pid.values()):
                child.signal(signal.SIGKILL)
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
            self._notices.close()
            os.close(self._signals_read)
            os.close(self._signals_write)
        return self._exit_code

    def _turn(self, until_ms: int | None = None) -> None:
        """Wait for one event, at most until the next deadline; take in all that has happened."""
        now = clock.monotonic_ms()
        deadlines = [now + WAIT_MAX_MS]
        if until_ms is not None:
            deadlines.append(until_ms)
        if self._exit_code is None:
            deadlines += [child.deadline_ms() for _, child in self._by_pid.values() if not child.killed_for]
        deadlines += [group.start_at_ms for group in self._groups if group.start_at_ms is not None]
        self._due_ms = max(now, min(deadlines))
        for descriptor, _ in self._poll.poll(self._due_ms - now):
            if descriptor == self._signals_read:
                self._on_signals()
            elif descriptor == self._notices.fileno():
                self._on_notices()
            else:
                self._on_end(*self._by_descriptor[descriptor])
        self._notifier.watchdog()

    def _on_signals(self) -> None:
        numbers = os.read(self._signals_read, 64)
        numbers = bytes(number for number in numbers if number in STOP_SIGNALS)
        if not numbers:
            return
        self._signals_seen += len(numbers)
        if self._exit_code is None:
            self._exit_code = 0
            self.stopped_by = signal.Signals(numbers[0])
            self._log.info("stopping", signal=self.stopped_by.name)

    def _on_notices(self) -> None:
        now = clock.monotonic_ms()
        for pid, text in self._notices.take():
            found = self._by_pid.get(pid)
            if found is None:
                continue
            group, child = found
            if child.on_notice(text, now) and group.ready:
                group.restarts.on_ready(now)
                self._log.info("ready", processes=group.name)
        if not self._was_ready and all(group.ready for group in self._groups):
            self._was_ready = True
            self._notifier.ready(f"member {self._name} serves")
            self._on_ready()

    # -- starting and ending -----------------------------------------------------------------------------------------
    def _start_due(self) -> None:
        now = clock.monotonic_ms()
        for group in self._groups:
            if group.start_at_ms is None or group.start_at_ms > now:
                continue
            group.start_at_ms = None
            group.falling = False
            for role, number in group.seats:
                child = Child.start(role, number, self._command(role, number), self._environ, now)
                group.children.append(child)
                self._by_pid[child.process.pid] = self._by_descriptor[child.pidfd] = (group, child)
                self._poll.register(child.pidfd, select.POLLIN)

    def _on_end(self, group: Group, child: Child) -> None:
        descriptor = child.pidfd
        code = child.ended()
        if code is None:
            return
        self._poll.unregister(descriptor)
        del self._by_descriptor[descriptor], self._by_pid[child.process.pid]
        group.children.remove(child)
        if self._exit_code is not None:
            return
        if not group.falling:
            self._on_failure(group, child, code)
        if group.children or self._exit_code is not None:
            return
        pause = group.restarts.on_failure(clock.monotonic_ms())
        if pause is None:
            self._log.error("member stops: restarts do not help", processes=group.name, why=group.restarts.why)
            self._exit_code = EX_FATAL
            return
        group.start_at_ms = clock.monotonic_ms() + pause

    def _on_failure(self, group: Group, child: Child, code: int) -> None:
        group.falling = True
        how = child.killed_for or (f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}")
        if code == EX_CONFIG:
            self._log.error("member stops: a process refused to start, its own message says why", process=child.name)
            self._exit_code = EX_CONFIG
        else:
            also = [other.name for other in group.children]
            self._log.warn("process ended, starting anew", process=child.name, how=how, together_with=also)
        for other in group.children:
            other.signal(signal.SIGKILL)

    def _kill_hung(self) -> None:
        now = clock.monotonic_ms()
        if now > self._due_ms + STALL_MS:
            for _, child in self._by_pid.values():
                child.excuse(now)
            return
        for _, child in self._by_pid.values():
            if now >= child.deadline_ms() and not child.killed_for:
                waited = child.watchdog_ms if child.pinged_at_ms else limits.START_TIMEOUT_MS
                child.killed_for = f"no sign of life for {waited} ms"
                child.signal(signal.SIGKILL)

    # -- stopping ----------------------------------------------------------------------------------------------------
    def _stop_all(self) -> None:
        self._notifier.stopping()
        for group in self._groups:
            group.start_at_ms = None
            if group.falling:  # what is left of it has been killed already
                self._wait_for(group.children, limits.STOP_WAL_MS)
        for role, limit_ms in STOP_ORDER:
            leaving = [child for _, child in self._by_pid.values() if child.role == role]
            for child in leaving:
                child.signal(signal.SIGTERM)
                child.signal(signal.SIGCONT)  # a stopped process would not hear it
            self._wait_for(leaving, limit_ms)
            for child in leaving:
                if child.pidfd >= 0:
                    if self._signals_seen <= 1:
                        self._log.warn("killed: it did not stop in time", process=child.name, limit_ms=limit_ms)
                    child.signal(signal.SIGKILL)
            self._wait_for(leaving, limits.STOP_WAL_MS, patient=True)
        self._log.info("stopped", exit_code=self._exit_code)

    def _wait_for(self, children: list[Child], limit_ms: int, *, patient: bool = False) -> None:
        """Until all of them have ended or limit_ms is over; not patient: or somebody presses Ctrl-C again."""
        until = clock.monotonic_ms() + limit_ms
        children = list(children)
        while any(child.pidfd >= 0 for child in children) and clock.monotonic_ms() < until:
            if not patient and self._signals_seen > 1:
                return
            self._turn(until)
