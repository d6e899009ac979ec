"""Runs a target of coverage-guided fuzzing in a process of its own, bounded in runs, memory and time."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RUN_S = 1_800


def fuzz(target: str, runs: int, artifacts: Path, seed: int, *, longest: int = 1_024) -> None:
    """`target` is a program of this directory; longest: input, in bytes. seed 0: a new one. Faults go to artifacts."""
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed")
    bounds = [f"-max_len={longest}", "-len_control=0", "-rss_limit_mb=768", "-timeout=10"]
    run = subprocess.run(
        [sys.executable, HERE / target, f"-runs={runs}", *bounds, f"-seed={seed}", f"-artifact_prefix={artifacts}/"],
        capture_output=True, text=True, timeout=RUN_S, check=False, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-4000:]
