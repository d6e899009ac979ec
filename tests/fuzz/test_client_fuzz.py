"""Bounded runs of the coverage-guided fuzzer of client frames: a short one always, a long one with `make fuzz`."""

from pathlib import Path

import pytest

from tests.fuzz.running import fuzz


def test_an_api_actor_survives_a_short_run(tmp_path: Path) -> None:
    fuzz("client_fuzz.py", 1_000, tmp_path, seed=1)


@pytest.mark.fuzz
def test_an_api_actor_survives_a_long_run(tmp_path: Path) -> None:
    fuzz("client_fuzz.py", 200_000, tmp_path, seed=0)
