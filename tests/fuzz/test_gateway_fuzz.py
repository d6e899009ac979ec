"""Bounded runs of the coverage-guided fuzzer of the gateway: a short one always, a long one with `make fuzz`."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

TARGET = Path(__file__).with_name("gateway_fuzz.py")
ROOT = TARGET.parents[2]


def fuzz(runs: int, artifacts: Path, seed: int) -> None:
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed")
    command = [
        sys.executable,
        str(TARGET),
        f"-runs={runs}",
        "-max_len=1024",
        "-len_control=0",
        "-rss_limit_mb=768",
        "-timeout=10",
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [*command, f"-seed={seed}", f"-artifact_prefix={artifacts}/"],
        capture_output=True, text=True, timeout=1800, check=False, env=environment,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-4000:]


def test_the_gateway_survives_a_short_run(tmp_path: Path) -> None:
    fuzz(5_000, tmp_path, seed=1)


@pytest.mark.fuzz
def test_the_gateway_survives_a_long_run(tmp_path: Path) -> None:
    fuzz(1_000_000, tmp_path, seed=0)
