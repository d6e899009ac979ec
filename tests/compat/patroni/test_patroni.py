"""Patroni keeps a PostgreSQL cluster on three members: what `python -m tests.compat.patroni` exits with."""

import subprocess
import sys

import pytest

from tests.compat.patroni.prepare import ROOT, UNAVAILABLE

RUN_S = 900


@pytest.mark.slow
@pytest.mark.timeout(RUN_S)
def test_never_two_primaries_and_no_acknowledged_transaction_lost() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.compat.patroni"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=RUN_S,
    )  # fmt: skip
    if done.returncode == UNAVAILABLE:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stdout + done.stderr
