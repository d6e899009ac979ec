"""A bounded run of the coverage-guided fuzzer of the log reader."""

from pathlib import Path

import pytest

from tests.fuzz.running import fuzz


@pytest.mark.fuzz
def test_recovery_survives_coverage_guided_fuzzing(tmp_path: Path) -> None:
    fuzz("wal_fuzz.py", 100_000, tmp_path, seed=0, longest=4_096)
