"""Running the writer program: started by list, watched by its output, ended by its own handle."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = [sys.executable, "-m", "tests.process.wal.writer"]
SECONDS = 60
SEGMENT = 65536


class Ended(NamedTuple):
    """A finished child: exit code, the acknowledged indexes (or words) it printed, its stderr."""

    code: int
    out: list[int]
    error: str


def start(*arguments: str, prefix: Sequence[str] = (), **options: object) -> subprocess.Popen[str]:
    """The child, with pipes."""
    command = [*prefix, *PROGRAM, *arguments]
    return subprocess.Popen(  # type: ignore[call-overload,no-any-return]  # options are the caller's
        command,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def finish(child: subprocess.Popen[str]) -> Ended:
    """Wait for the end; all it said."""
    out, error = child.communicate(timeout=SECONDS)
    return Ended(child.returncode, [int(word) for word in out.split() if word.isdigit()], error)


def run(*arguments: str, prefix: Sequence[str] = (), **options: object) -> Ended:
    """Start and finish."""
    return finish(start(*arguments, prefix=prefix, **options))


def recovered(directory: Path) -> tuple[int, int, int, int]:
    """(first, last, commit, suspect) of the log in directory; every entry has been compared with what was written."""
    ended = run("read", str(directory), "--segment-bytes", str(SEGMENT))
    assert ended.code == 0, ended.error
    first, last, commit, suspect = ended.out
    return first, last, commit, suspect


def read_until(child: subprocess.Popen[str], index: int) -> None:
    """Wait until the child has acknowledged index."""
    assert child.stdout is not None
    for line in child.stdout:
        if int(line) >= index:
            return
    raise AssertionError("the child ended early")
