"""Two sides that run the same command lines: etcdctl against etcd, zetcdctl against zetcd; and what each step left."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.compat.oracle import free_ports

COMMAND_S = 30.0
START_S = 30.0
STOP_S = 15.0
FORMATS = ("simple", "json", "fields", "protobuf", "table")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one command line left behind."""

    stdout: bytes
    stderr: bytes
    code: int


@dataclass(slots=True)
class Running:
    """A command that goes on in the background; its output is read as it comes."""

    process: subprocess.Popen[bytes]
    errors: Path
    output: bytearray = field(default_factory=bytearray)
    more: threading.Condition = field(default_factory=threading.Condition)
    ended: bool = False

    def read(self) -> None:
        """Runs in a thread of its own until the command closes its stdout."""
        assert self.process.stdout is not None
        while data := os.read(self.process.stdout.fileno(), 65536):
            with self.more:
                self.output += data
                self.more.notify_all()
        with self.more:
            self.ended = True
            self.more.notify_all()

    def wait_for(self, text: bytes, count: int = 1) -> None:
        """Until text stands count times in the output."""
        with self.more:
            found = self.more.wait_for(lambda: self.output.count(text) >= count or self.ended, COMMAND_S)
        assert found, f"{text!r} did not come: {bytes(self.output)!r} {self.errors.read_bytes()!r}"

    def type(self, line: str) -> None:
        """A line on the command's standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()


class Side:
    """One client program and one server. Steps are recorded under labels that are equal on both sides. formats: those
    of FORMATS, from the first on, that scenarios go through."""

    def __init__(self, program: Path, endpoint: str, directory: Path, formats: tuple[str, ...] = FORMATS) -> None:
        self.formats = formats
        self.program = program
        self.endpoint = endpoint
        self.directory = directory
        self.steps: dict[str, Outcome] = {}
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(("ETCDCTL_", "ZETCDCTL_"))}
        self.environment["ETCDCTL_API"] = "3"

    def _words(self, arguments: tuple[str, ...], endpoint: bool) -> list[str]:
        return [str(self.program), *([f"--endpoints={self.endpoint}"] if endpoint else []), *arguments]

    def run(
        self,
        *arguments: str,
        stdin: str | None = None,
        environment: dict[str, str] | None = None,
        label: str = "",
        endpoint: bool = True,
        limit_s: float = COMMAND_S,
    ) -> Outcome:
        """Run to the end and record. environment: more variables, ``CTL_`` standing for the program's own prefix."""
        ended = subprocess.run(
            self._words(arguments, endpoint),
            input=(stdin or "").encode("utf-8", "surrogateescape"),
            capture_output=True,
            env=self.environment | (environment or {}),
            cwd=self.directory,
            timeout=limit_s,
            check=False,
        )
        outcome = Outcome(ended.stdout, ended.stderr, ended.returncode)
        self._record(label or _label(arguments, stdin, environment), outcome)
        return outcome

    def quiet(self, *arguments: str, stdin: str = "") -> str:
        """Run without recording: preparations, and ids that differ. Must succeed. Returns stdout."""
        ended = subprocess.run(
            self._words(arguments, endpoint=True),
            input=stdin.encode(),
            capture_output=True,
            env=self.environment,
            cwd=self.directory,
            timeout=COMMAND_S,
            check=False,
        )
        assert ended.returncode == 0, (arguments, ended.stderr)
        return ended.stdout.decode()

    def _record(self, label: str, outcome: Outcome) -> None:
        assert label not in self.steps, f"two steps are called {label!r}"
        self.steps[label] = outcome

    @contextlib.contextmanager
    def background(
        self, label: str, *arguments: str, environment: dict[str, str] | None = None, end: int = signal.SIGTERM
    ) -> Iterator[Running]:
        """A command in the background; a signal ends it (0: the end of its input). Recorded if it has a label."""
        errors = self.directory / f"errors-{len(self.steps)}"
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as for what a shell runs in the background: inherited
            signal.signal(signal.SIGINT, signal.default_int_handler)
        with errors.open("wb") as stderr:
            process = subprocess.Popen(
                self._words(arguments, endpoint=True),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=self.environment | (environment or {}),
                cwd=self.directory,
            )
        running = Running(process, errors)
        reader = threading.Thread(target=running.read)
        reader.start()
        try:
            yield running
            if end:
                process.send_signal(end)
            elif process.stdin is not None:
                process.stdin.close()
            process.wait(STOP_S)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait(STOP_S)
            reader.join(STOP_S)
        if label:
            self._record(label, Outcome(bytes(running.output), errors.read_bytes(), process.returncode))


def _label(arguments: tuple[str, ...], stdin: str | None, environment: dict[str, str] | None) -> str:
    words = [f"{name}={value}" for name, value in (environment or {}).items()]
    words += [word if word and not word[0].isspace() else repr(word) for word in arguments]
    return " ".join(words) + (f" <<< {stdin!r}" if stdin is not None else "")


@contextlib.contextmanager
def zetcd_running(directory: Path) -> Iterator[str]:
    """A zetcd member of its own; gives its endpoint."""
    program = Path(sys.executable).with_name("zetcd")
    client, peer = free_ports(2)
    endpoint = f"tcp://127.0.0.1:{client}"
    flags = [
        "--name=oracle",
        f"--data-dir={directory / 'zetcd.data'}",
        f"--listen-client-urls={endpoint}",
        f"--advertise-client-urls={endpoint}",
        f"--listen-peer-urls=tcp://127.0.0.1:{peer}",
        f"--initial-advertise-peer-urls=tcp://127.0.0.1:{peer}",
        f"--initial-cluster=oracle=tcp://127.0.0.1:{peer}",
    ]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen([str(program), *flags], cwd=directory, stdout=log, stderr=log)
        try:
            ready = subprocess.run(
                [
                    program.with_name("zetcdctl"),
                    f"--endpoints={endpoint}",
                    f"--command-timeout={int(START_S)}s",
                    "endpoint",
                    "health",
                ],
                capture_output=True,
                timeout=START_S + 5,
                check=False,
            )
            if ready.returncode:
                log.seek(0)
                raise AssertionError(f"zetcd did not start: {ready.stderr!r} {log.read()[-4000:]!r}")
            yield endpoint
        finally:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(STOP_S)
