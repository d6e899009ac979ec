"""A bounded run of the coverage-guided fuzzer of the log reader."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

TARGET = Path(__file__).with_name("wal_fuzz.py")


@pytest.mark.fuzz
def test_recovery_survives_coverage_guided_fuzzing(tmp_path: Path) -> None:
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed")
    command = [sys.executable, str(TARGET), "-runs=100000", "-max_len=4096", "-rss_limit_mb=512", "-timeout=5"]
    run = subprocess.run(
        [*command, f"-artifact_prefix={tmp_path}/"], capture_output=True, text=True, timeout=1200, check=False
    )
    assert run.returncode == 0, run.stderr[-4000:]
