"""Bounded runs of the coverage-guided fuzzer of the gateway: a short one always, a long one with `make fuzz`."""

from pathlib import Path

import pytest

from tests.fuzz.running import fuzz


def test_the_gateway_survives_a_short_run(tmp_path: Path) -> None:
    fuzz("gateway_fuzz.py", 5_000, tmp_path, seed=1)


@pytest.mark.fuzz
def test_the_gateway_survives_a_long_run(tmp_path: Path) -> None:
    fuzz("gateway_fuzz.py", 1_000_000, tmp_path, seed=0)
