"""SIGKILL of every kind of process under load: nothing acknowledged is lost, no event is lost or repeated.

The short version; `make chaos` kills fifty times and more, and judges the time until service is back.
"""

from pathlib import Path

import pytest

from tests.process.crash.rounds import VICTIMS, run


@pytest.mark.timeout(300)
def test_every_process_is_killed_once_under_load(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        summary = run(tmp_path, len(VICTIMS), seed=7, say=lambda _line: None)
    assert summary["acknowledged"], summary
