"""The supervisor over real processes that behave, crash, hang, refuse and do not listen."""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
LIMIT_S = 30.0
ALL = {"raft", "wal", "apply", "lease", "api-0", "api-1", "gateway-0", "gateway-1"}
FATE = {"raft", "wal", "apply"}


class Run:
    """One supervisor over fake actors."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.process: subprocess.Popen[bytes] | None = None

    def behave(self, name: str, behaviour: str) -> None:
        (self.directory / name).write_text(behaviour)

    def spawn(self, *words: str) -> subprocess.Popen[bytes]:
        with (self.directory / "log").open("ab") as log:
            argv = [sys.executable, "-m", "tests.process.node.supervised", str(self.directory), *words]
            self.process = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=log)
        return self.process

    def start(self, *words: str) -> None:
        process = self.spawn(*words)
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], LIMIT_S)[0], self.log
        assert process.stdout.readline() == b"ready\n", self.log

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text()

    def events(self, word: str) -> list[tuple[str, int]]:
        """(process, pid) of every event so named, in order."""
        path = self.directory / "events"
        lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
        return [(name, int(pid)) for name, pid, what in lines if what == word]

    def pids(self) -> dict[str, int]:
        """The last life of each."""
        return dict(self.events("start"))

    def wait(self, condition: str, count: int) -> list[tuple[str, int]]:
        """Until count events of that word have been told."""
        until = time.monotonic() + LIMIT_S
        while len(found := self.events(condition)) < count:
            assert time.monotonic() < until, f"{condition}: {found}\n{self.log}"
            time.sleep(0.02)  # the events are lines of a file that other processes append to
        return found

    def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(LIMIT_S)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    one = Run(tmp_path)
    yield one
    if one.process is not None:
        one.process.kill()
        one.process.wait()
        if one.process.stdout is not None:
            one.process.stdout.close()
        for _, pid in one.events("start"):
            assert gone(pid), "an orphan"


def gone(pid: int) -> bool:
    """Whether pid ends within the limit (a zombie has ended)."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    with os.fdopen(descriptor):
        return bool(select.select([descriptor], [], [], LIMIT_S)[0])


def test_rule_21_members_stop_in_order_with_exit_code_0(run: Run) -> None:
    """Design rule 21: the gateway ends its calls, api drains, lease stops, raft, apply, and wal goes last."""
    run.start()
    assert set(run.pids()) == ALL
    assert run.stop() == 0
    stops = [name for name, _ in run.events("stop")]
    assert set(stops[:2]) == {"gateway-0", "gateway-1"}
    assert set(stops[2:4]) == {"api-0", "api-1"}
    assert stops[4:] == ["lease", "raft", "apply", "wal"]


@pytest.mark.parametrize("victim", sorted(FATE))
def test_raft_wal_and_apply_live_and_die_together(run: Run, victim: str) -> None:
    run.start()
    before = run.pids()
    os.kill(before[victim], signal.SIGKILL)
    run.wait("ready", len(ALL) + 3)
    after = run.pids()
    assert {name for name in ALL if before[name] != after[name]} == FATE
    assert run.stop() == 0


@pytest.mark.parametrize("victim", ["lease", "api-0", "api-1", "gateway-0", "gateway-1"])
def test_api_lease_and_gateway_restart_alone(run: Run, victim: str) -> None:
    run.start()
    before = run.pids()
    os.kill(before[victim], signal.SIGKILL)
    run.wait("ready", len(ALL) + 1)
    after = run.pids()
    assert {name for name in ALL if before[name] != after[name]} == {victim}


def test_all_at_once(run: Run) -> None:
    run.start()
    for pid in run.pids().values():
        with contextlib.suppress(ProcessLookupError):  # the supervisor is quick: the fate group goes together
            os.kill(pid, signal.SIGKILL)
    run.wait("ready", 2 * len(ALL))
    assert len(run.events("start")) == 2 * len(ALL)
    assert run.stop() == 0


def test_rule_20_a_frozen_process_is_killed_with_its_fate_group(run: Run) -> None:
    """The watchdog restarts hung processes: SIGSTOP leaves the socket alive and the loop dead."""
    run.start("wal=1500")
    before = run.pids()
    os.kill(before["wal"], signal.SIGSTOP)
    run.wait("ready", len(ALL) + 3)
    assert {name for name in ALL if before[name] != run.pids()[name]} == FATE
    assert "no sign of life for 1500 ms" in run.log


def test_a_process_that_does_not_ping_is_killed_again_and_again(run: Run) -> None:
    run.behave("api-1", "mute")
    run.start("api=2000")
    run.wait("start", len(ALL) + 2)
    assert run.stop() == 0
    assert {name for name, _ in run.events("start")[len(ALL) :]} == {"api-1"}


def test_a_suspended_supervisor_does_not_blame_its_children(run: Run) -> None:
    run.start("api=1500", "lease=1500")
    assert run.process is not None
    os.kill(run.process.pid, signal.SIGSTOP)
    time.sleep(4.0)  # what is tested is that time passes unseen
    os.kill(run.process.pid, signal.SIGCONT)
    time.sleep(3.5)  # two watchdogs long: nothing may happen in it
    assert len(run.events("start")) == len(ALL)
    assert run.stop() == 0


def test_a_refusal_is_not_retried_and_ends_the_member(run: Run) -> None:
    run.behave("wal", "refuse")
    assert run.spawn().wait(LIMIT_S) == 78
    assert [name for name, _ in run.events("start")].count("wal") == 1
    assert run.log.count("refused to start") == 1
    assert "process=wal" in run.log


def test_a_restart_storm_ends_with_a_clear_last_message(run: Run) -> None:
    run.behave("lease", "crash")
    assert run.spawn().wait(LIMIT_S) == 70
    assert [name for name, _ in run.events("start")].count("lease") == 6
    assert "member stops: restarts do not help" in run.log
    assert "6 times in a row it ended before it was ready" in run.log


def test_who_does_not_stop_in_time_is_killed(run: Run) -> None:
    run.behave("lease", "stubborn")
    run.start("stop-lease=300")
    assert run.stop() == 0
    assert "killed: it did not stop in time" in run.log
    assert [name for name, _ in run.events("stop")][4:] == ["raft", "apply", "wal"]


def test_a_frozen_process_does_not_hold_up_the_stop(run: Run) -> None:
    run.start()
    os.kill(run.pids()["apply"], signal.SIGSTOP)
    assert run.stop() == 0
    assert [name for name, _ in run.events("stop")][-2:] == ["apply", "wal"]


def test_a_second_signal_kills_all_at_once(run: Run) -> None:
    run.behave("api-0", "stubborn")
    run.start()
    assert run.process is not None
    run.process.send_signal(signal.SIGINT)
    run.wait("stop", 1)
    run.process.send_signal(signal.SIGINT)
    assert run.process.wait(LIMIT_S) == 0


def test_nobody_is_left_when_the_supervisor_is_killed(run: Run) -> None:
    run.start()
    assert run.process is not None
    run.process.kill()
    run.process.wait()
    assert all(gone(pid) for pid in run.pids().values())


def test_a_child_whose_supervisor_is_already_gone_ends_at_once(tmp_path: Path) -> None:
    """The race between fork and prctl: the parent is compared after the kernel has taken the request."""
    environ = os.environ | {"_ZETCD_SUPERVISOR": "1"}
    if os.getppid() == 1 or os.getpid() == 1:
        pytest.skip("process 1 is our own parent here")
    argv = [sys.executable, str(Path(__file__).with_name("fake_actor.py")), "wal", "0", str(tmp_path)]
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 70
    assert "the supervisor (process 1) is gone" in done.stderr
