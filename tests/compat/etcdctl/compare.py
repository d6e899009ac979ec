"""Runs scenarios on two sides and compares what each step left behind, masked, after `differences`."""

import contextlib
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from tests.compat.ctl.differences import Shown
from tests.compat.ctl.masking import masked, masked_message, unordered
from tests.compat.ctl.member_scenarios import ANY
from tests.compat.ctl.sides import Outcome
from tests.compat.etcdctl.differences import DIFFERENCES, Difference

_PROGRESS = re.compile(r".*%( [\dms]+s)?\n?", re.DOTALL)
_FIGURE = re.compile(r"\d+(\.\d+)?")
_SNAPSHOT = re.compile(r"^[0-9a-f]{1,8}, (\d+), (\d+), [\d.]+ [kM]?B$")


class Compared(NamedTuple):
    """wrong: one entry a step; known: steps that differ as `differences` says; steps: how many were run."""

    wrong: list[str]
    known: dict[str, Difference]
    steps: int


def shown(label: str, outcome: Outcome) -> Shown:
    """What a step left behind, without what differs between two clusters."""
    if label.startswith("check "):
        text = _PROGRESS.sub("", outcome.stdout.decode())
        return Shown(_FIGURE.sub("<figure>", text).splitlines(), masked(outcome.stderr), outcome.code)
    message = "-w protobuf" in label and outcome.stdout and outcome.code in {0, -15}
    stdout: list[Any] = masked(outcome.stdout)
    if message:
        with contextlib.suppress(ValueError):  # some commands ignore the format
            stdout = masked_message(outcome.stdout)
    if label.startswith("snapshot"):
        stdout = [_snapshot(line) for line in stdout]
    stderr = masked(outcome.stderr)
    if any(line.startswith("panic: ") for line in stderr):  # etcdctl's own: what follows are its addresses
        stderr = stderr[:1]
    if label.startswith("snapshot"):
        stderr = [_snapshot(line) for line in stderr]
    return Shown(stdout, stderr, outcome.code)


def _snapshot(line: Any) -> Any:
    """Hash and size of a snapshot; a path of its own for each side."""
    if isinstance(line, list):
        return [(name, "<number>" if name in {"hash", "totalSize"} else value) for name, value in line]
    line = _SNAPSHOT.sub(r"<hash>, \1, \2, <size>", line)
    line = re.sub(r'^("Hash" : |"Size" : )\d+$', r"\1<number>", line)
    line = re.sub(r"^(?:[0-9a-f]{1,8}|<figure>) \| ", "<hash> | ", line)  # one in fifty has no letter
    return re.sub(r"saved/\d+", "saved/<port>", line)


Steps = dict[str, Outcome]
"""What one scenario recorded on one side, by label."""


def compare(theirs: Steps, ours: Steps) -> Compared:
    """One scenario."""
    wrong, known = [], {}
    if list(theirs) != list(ours):
        wrong.append(f"steps of one side only: {sorted({*theirs} ^ {*ours})}")
    for label in theirs:
        if label not in ours:
            continue
        etcd, zetcd = shown(label, theirs[label]), shown(label, ours[label])
        if label.endswith(ANY):
            etcd, zetcd = (each._replace(stdout=unordered(each.stdout)) for each in (etcd, zetcd))
        wanted = etcd
        for difference in DIFFERENCES:
            if re.fullmatch(difference.steps, label, re.DOTALL):
                changed = difference.expected(wanted)
                if changed == wanted:
                    wrong.append(f"{label}\n  said to differ, and etcd shows it already: {difference.reason}")
                wanted = changed
                known[label] = difference
        if wanted != zetcd:
            wrong.append(f"{label}\n  etcd   {_short(wanted)}\n  zetcd  {_short(zetcd)}")
    return Compared(wrong, known, len(theirs))


def together(parts: Iterable[Compared]) -> Compared:
    """Of several scenarios."""
    parts = list(parts)
    known = {label: difference for part in parts for label, difference in part.known.items()}
    return Compared([text for part in parts for text in part.wrong], known, sum(part.steps for part in parts))


def _short(seen: Shown) -> str:
    text = f"{seen.code} {seen.stdout} {seen.stderr}"
    return text if len(text) < 1500 else f"{text[:700]} ... {text[-700:]}"
