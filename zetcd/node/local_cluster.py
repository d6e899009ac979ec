"""`zetcd local-cluster`: several members on this machine, for trying out; one Ctrl-C stops them all, in order.

Each member is a `zetcd` of its own, as in production, with its log in a file. One that is killed is started anew after
a second, so that one can watch the others take over; one that stops by itself (a signal, its removal, a wrong setting)
stays away. Members stop one after the other, the last one first, so that whoever leads hands over while it can.
"""

import argparse
import os
import select
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from zetcd.base import limits
from zetcd.base.errors import Refusal
from zetcd.host import clock
from zetcd.host.logs import say
from zetcd.host.process import EX_FATAL, SUPERVISOR_VARIABLE, entitle
from zetcd.node.children import NoticeSocket
from zetcd.node.supervisor import STOP_SIGNALS

PORT_DEFAULT, HTTP_OFFSET, PEER_OFFSET, PORT_STEP = 2378, 1, 2, 10
SUMMARY = "Runs several members on this machine, for trying out. Ctrl-C stops them all."
REST = "All other flags are given to each member."
MEMBERS_DEFAULT, MEMBERS_MAX = 3, 7
RESTART_MS = 1_000
_KEPT_SECRET = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


@dataclass(slots=True, eq=False)
class Seat:
    """One member: how to start it, and its present life. endpoint: for ZeroMQ; http: for etcd's clients; start_at_ms:
    None while it runs, or stays away."""

    name: str
    endpoint: str
    http: str
    command: list[str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    pidfd: int = -1
    start_at_ms: int | None = 0
    ready: bool = field(default=False)

    def start(self, environ: dict[str, str]) -> None:
        """A process group of its own: Ctrl-C reaches us alone, who stop them in order."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 - argv is ours
                self.command, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0
            )
        self.pidfd = os.pidfd_open(self.process.pid)
        self.start_at_ms = None

    def ended(self) -> int:
        """The exit code of the process, which has ended."""
        assert self.process is not None
        code = self.process.wait()
        os.close(self.pidfd)
        self.process, self.pidfd, self.ready = None, -1, False
        return code


def seats(count: int, directory: Path, port: int, flags: Sequence[str]) -> list[Seat]:
    """Members m1.., client ports from port on, ten apart; gRPC and HTTP one above, peers two; flags go to each."""
    urls = {f"m{n + 1}": f"tcp://127.0.0.1:{port + PEER_OFFSET + n * PORT_STEP}" for n in range(count)}
    everybody = ",".join(f"{name}={url}" for name, url in urls.items())
    found = []
    for number, (name, peer) in enumerate(urls.items()):
        client = f"tcp://127.0.0.1:{port + number * PORT_STEP}"
        http = f"http://127.0.0.1:{port + HTTP_OFFSET + number * PORT_STEP}"
        command = [
            sys.executable, "-P", "-m", "zetcd.cli.serve", "--name", name, "--data-dir", str(directory / name),
            "--listen-client-urls", f"{client},{http}", "--advertise-client-urls", f"{client},{http}",
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
            "--initial-cluster", everybody, "--initial-cluster-token", "local-cluster", *flags,
        ]  # fmt: skip
        found.append(Seat(name, client, http, command, directory / f"{name}.log"))
    return found


def main(words: Sequence[str]) -> int:
    """The command; its exit code: 0 after a signal, 1 where no member runs any more."""
    parser = argparse.ArgumentParser(prog="zetcd local-cluster", allow_abbrev=False, description=SUMMARY, epilog=REST)
    parser.add_argument("--members", type=int, default=MEMBERS_DEFAULT, help="how many (default 3)")
    parser.add_argument("--data-dir", default="local.zetcd", help="directory of their data and logs")
    parser.add_argument("--port", type=int, default=PORT_DEFAULT, help="client port of the first (default 2378)")
    options, flags = parser.parse_known_args(words)
    if not 1 <= options.members <= MEMBERS_MAX:
        raise Refusal(f"--members: it must be from 1 to {MEMBERS_MAX}, not {options.members}")
    directory = Path(options.data_dir).resolve()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    entitle("local-cluster")
    return LocalCluster(seats(options.members, directory, options.port, flags)).run()


class LocalCluster:
    """The members and the loop over their ends, their words and our signals."""

    def __init__(self, members: Sequence[Seat]) -> None:
        self._seats = list(members)
        self._notices = NoticeSocket()
        kept = {name: text for name, text in os.environ.items() if name not in _KEPT_SECRET}
        self._environ = kept | {"NOTIFY_SOCKET": self._notices.address, SUPERVISOR_VARIABLE: str(os.getpid())}
        self._signals_read, self._signals_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._stopping = False
        self._impatient = False
        self._was_ready = False

    def run(self) -> int:
        """Until a signal has stopped all of them, or none is left."""
        before = {number: signal.signal(number, lambda *_: None) for number in STOP_SIGNALS}
        wakeup = signal.set_wakeup_fd(self._signals_write, warn_on_full_buffer=False)
        try:
            while not self._stopping:
                if all(seat.process is None and seat.start_at_ms is None for seat in self._seats):
                    self._say("no member is left")
                    return EX_FATAL
                self._start_due()
                self._turn(limits.TICK_MS)
            self._stop_all()
        finally:
            for seat in self._seats:
                if seat.process is not None:
                    seat.process.kill()
                    seat.ended()
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
            self._notices.close()
            os.close(self._signals_read)
            os.close(self._signals_write)
        return 0

    def _start_due(self) -> None:
        now = clock.monotonic_ms()
        for seat in self._seats:
            if seat.start_at_ms is not None and seat.start_at_ms <= now:
                seat.start(self._environ)

    def _turn(self, limit_ms: int) -> None:
        """Wait for something to happen, and take it in."""
        poll = select.poll()
        for descriptor in (self._signals_read, self._notices.fileno()):
            poll.register(descriptor, select.POLLIN)
        alive = {seat.pidfd: seat for seat in self._seats if seat.process is not None}
        for descriptor in alive:
            poll.register(descriptor, select.POLLIN)
        for descriptor, _ in poll.poll(limit_ms):
            if descriptor == self._signals_read:
                self._on_signals()
            elif descriptor in alive:
                self._on_end(alive[descriptor])
            else:
                self._on_notices()

    def _on_signals(self) -> None:
        if any(number in STOP_SIGNALS for number in os.read(self._signals_read, 64)):
            self._impatient = self._stopping
            self._stopping = True

    def _on_notices(self) -> None:
        by_pid = {seat.process.pid: seat for seat in self._seats if seat.process is not None}
        for pid, text in self._notices.take():
            seat = by_pid.get(pid)
            if seat is not None and "READY=1" in text.splitlines() and not seat.ready:
                seat.ready = True
                self._say(f"member {seat.name} is ready: {seat.endpoint} {seat.http} (process {pid}, log {seat.log})")
        if not self._was_ready and all(seat.ready for seat in self._seats):
            self._was_ready = True
            endpoints = ",".join(seat.endpoint for seat in self._seats)
            self._say("the cluster is ready; Ctrl-C stops it. Try:")
            self._say(f"    {_zetcdctl()} --endpoints={endpoints} endpoint status -w table")
            endpoints = ",".join(seat.http for seat in self._seats)
            self._say(f"    etcdctl --endpoints={endpoints} endpoint status -w table")

    def _on_end(self, seat: Seat) -> None:
        code = seat.ended()
        if self._stopping:
            return
        if code < 0 and -code not in STOP_SIGNALS:  # a member that was asked to stop ends by that signal, as etcd does
            self._say(f"member {seat.name} was ended by {signal.Signals(-code).name}; it comes back in a second")
            seat.start_at_ms = clock.monotonic_ms() + RESTART_MS
        else:
            how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
            self._say(f"member {seat.name} has stopped ({how}); its log says why: {seat.log}")

    def _stop_all(self) -> None:
        for seat in reversed(self._seats):
            asked = 0
            while seat.process is not None:
                if asked < 1 + self._impatient:  # a second signal makes a member kill what is left of it
                    asked += 1
                    seat.process.send_signal(signal.SIGTERM)
                    seat.process.send_signal(signal.SIGCONT)
                self._turn(limits.TICK_MS)
        self._say("all members have stopped")

    @staticmethod
    def _say(text: str) -> None:
        say(1, f"zetcd: {text}\n")


def _zetcdctl() -> str:
    beside = Path(sys.argv[0]).with_name("zetcdctl")
    return shlex.quote(os.path.relpath(beside)) if beside.is_file() else "zetcdctl"
