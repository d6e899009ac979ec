"""What a process tells its supervisor, and what it asks of the kernel: readiness and liveness by sd_notify (systemd's
own datagrams, `sd_notify(3)`), death with the parent, its processors, its name.

The same datagrams go to systemd and to `zetcd`'s own supervisor, so an actor does not know which of them started it.
"""

import contextlib
import os
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from zetcd.base import limits
from zetcd.base.errors import Refusal
from zetcd.host import clock

EX_FATAL = 70
"""Exit code of `Fatal`: the process is broken, a fresh life may not be (sysexits EX_SOFTWARE)."""
EX_CONFIG = 78
"""Exit code of `Refusal`: starting again will not help before a person has changed something (sysexits EX_CONFIG)."""
SUPERVISOR_VARIABLE = "_ZETCD_SUPERVISOR"
"""Environment variable with the process id of the supervisor that must outlive us."""

_PR_SET_PDEATHSIG = 1
_PINGS_PER_TIMEOUT = 4
_READY_WAIT_MS = 2_000


class Notifier:
    """Datagrams to whoever started us; without NOTIFY_SOCKET every method does nothing.

    watchdog_ms: 0, or the time after which the supervisor kills a process that did not ping.
    """

    __slots__ = ("_next_ping_ms", "_ping_every_ms", "_ping_text", "_socket", "watchdog_ms")

    def __init__(self, address: str = "", watchdog_ms: int = 0) -> None:
        self.watchdog_ms = watchdog_ms
        self._ping_every_ms = watchdog_ms // _PINGS_PER_TIMEOUT
        self._next_ping_ms = 0
        # A member waits for the others as long as it takes: to systemd, a start goes on while its loop shows life.
        self._ping_text = f"WATCHDOG=1\nEXTEND_TIMEOUT_USEC={limits.START_TIMEOUT_MS * 1_000}"
        self._socket: socket.socket | None = None
        if address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            # A supervisor that does not read must not stop an actor: a datagram that finds no room is lost.
            self._socket.setblocking(False)
            try:
                self._socket.connect("\0" + address[1:] if address.startswith("@") else address)
            except OSError as error:
                raise Refusal(f"NOTIFY_SOCKET={address}: {error.strerror}") from error

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> "Notifier":
        """As NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID say (`sd_watchdog_enabled(3)`)."""
        owner = environ.get("WATCHDOG_PID", "")
        ours = not owner or owner == str(os.getpid())
        micros = environ.get("WATCHDOG_USEC", "0") if ours else "0"
        return cls(environ.get("NOTIFY_SOCKET", ""), int(micros) // 1000 if micros.isdigit() else 0)

    def ready(self, status: str = "") -> None:
        """The process serves: ends the supervisor's wait for a start."""
        self._ping_text = "WATCHDOG=1"
        # Said once and waited for, so worth waiting for room; pings come again.
        self._send("READY=1" + (f"\nSTATUS={status}" if status else ""), _READY_WAIT_MS)

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._send(f"STATUS={text}")

    def stopping(self) -> None:
        """The process has begun to end."""
        self._send("STOPPING=1")

    def watchdog(self) -> None:
        """Ping, at most four times in `watchdog_ms`; call it from the loop whose hang is to be noticed."""
        if self._ping_every_ms:
            now = clock.monotonic_ms()
            if now >= self._next_ping_ms:
                self._next_ping_ms = now + self._ping_every_ms
                self._send(self._ping_text)

    def _send(self, text: str, wait_ms: int = 0) -> None:
        if self._socket is None:
            return
        # Nobody listens any more, or does not read: our own death is decided elsewhere.
        with contextlib.suppress(OSError):
            if wait_ms:
                poll = select.poll()
                poll.register(self._socket, select.POLLOUT)
                poll.poll(wait_ms)
            self._socket.send(text.encode())


def die_with_parent(environ: Mapping[str, str] = os.environ) -> None:
    """Under `zetcd`: be killed when the supervisor ends, however it ends. Nothing to do under systemd.

    The supervisor may have ended before the request reached the kernel, so the parent is compared afterwards.
    """
    supervisor = environ.get(SUPERVISOR_VARIABLE, "")
    if not supervisor:
        return
    import ctypes  # noqa: PLC0415 - 5 ms that processes under systemd need not spend

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise Refusal(f"prctl(PR_SET_PDEATHSIG): {os.strerror(ctypes.get_errno())}")
    if os.getppid() != int(supervisor):
        sys.stderr.write(f"zetcd: the supervisor (process {supervisor}) is gone\n")
        os._exit(EX_FATAL)


def end_by(number: int) -> None:
    """End by this signal, as etcd does after a clean stop: whoever waits for us sees what ended us. Process 1 of a
    container cannot be ended so, and returns."""
    signal.signal(number, signal.SIG_DFL)
    if os.getpid() != 1:
        os.kill(os.getpid(), number)


def resident_bytes() -> int:
    """Memory of this process that is in RAM; 0 where the system does not tell (Linux does)."""
    try:
        pages = int(Path("/proc/self/statm").read_bytes().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def usage() -> dict[str, float]:
    """What this process takes, by the names that Prometheus' clients give it; less where the system does not tell."""
    taken = {"process_resident_memory_bytes": float(resident_bytes()), "process_cpu_seconds_total": time.process_time()}
    taken["process_max_fds"] = float(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    with contextlib.suppress(OSError):
        taken["process_open_fds"] = len(list(Path("/proc/self/fd").iterdir())) - 1.0  # without the one that lists them
        pages = int(Path("/proc/self/statm").read_bytes().split()[0])
        taken["process_virtual_memory_bytes"] = float(pages * os.sysconf("SC_PAGE_SIZE"))
        began = int(Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
        boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
        taken["process_start_time_seconds"] = boot + began
    return taken


def memory_bytes(membership: Path = Path("/proc/self/cgroup"), groups: Path = Path("/sys/fs/cgroup")) -> int:
    """Memory that this process can have: the machine's, or what its control group, or one above it, is limited to
    (version 2, `memory.max`: systemd's MemoryMax, the limit of a container)."""
    bytes_max = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        path = next(line[3:] for line in membership.read_text().splitlines() if line.startswith("0::"))
    except (OSError, StopIteration):
        return bytes_max
    group = Path(os.path.normpath(f"/{path}"))
    for each in (group, *group.parents):
        with contextlib.suppress(OSError, ValueError):  # no such file in the root; the word "max"
            bytes_max = min(bytes_max, int((groups / str(each).lstrip("/") / "memory.max").read_text()))
    return bytes_max


def pin(processors: Iterable[int]) -> None:
    """Run on these processors only (all threads started from now on, ZeroMQ's included, but for those that `unpin`
    themselves). None given: leave as it is.

    A number this machine does not offer raises Refusal.
    """
    wanted = set(processors)
    if not wanted:
        return
    allowed = os.sched_getaffinity(0)
    if not wanted <= allowed:
        missing = ", ".join(str(number) for number in sorted(wanted - allowed))
        raise Refusal(f"--cpu-affinity: no processor {missing} here; there are {format_processors(allowed)}")
    os.sched_setaffinity(0, wanted)
    _started_on.update(allowed)


def unpin() -> None:
    """Let the calling thread, and what it starts, run where the process was before `pin`: work that nobody waits for
    would take the processor from the work that somebody waits for, while another one idles."""
    if _started_on:
        os.sched_setaffinity(0, _started_on)


_started_on: set[int] = set()


def format_processors(processors: Iterable[int]) -> str:
    """``{0, 1, 2, 5}`` as ``0-2,5``."""
    runs: list[tuple[int, int]] = []
    for number in sorted(processors):
        if runs and runs[-1][1] == number - 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in runs)


def entitle(role: str, number: int = 0) -> None:
    """Show role in `top` and `ps -o comm` (15 bytes): ``zetcd-wal``, ``zetcd-api-1``. argv stays as it is."""
    title = f"zetcd-{role}-{number}" if number else f"zetcd-{role}"
    # Cosmetic: a sandbox without /proc is no reason not to run.
    try:
        Path("/proc/self/comm").write_text(title[:15])
    except OSError:
        return
