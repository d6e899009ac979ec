"""Every transcript still reads as it is written. `make rewrite` writes them anew: judge what differs."""

import os
from pathlib import Path

import pytest

from tests.transcripts.stage import play

TRANSCRIPTS = sorted(Path(__file__).parent.glob("*.txt"))


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    written = path.read_text()
    played = play(written)
    if os.environ.get("REWRITE"):
        path.write_text(played)
        return
    assert played == written


def test_there_are_transcripts_and_all_commands_are_documented() -> None:
    from tests.transcripts import stage  # noqa: PLC0415 - for its docstring

    assert len(TRANSCRIPTS) > 25
    assert stage.__doc__ is not None
    commands = [name[3:].replace("_", "-") for name in vars(stage.Stage) if name.startswith("do_")]
    assert [command for command in commands if f"`{command}" not in stage.__doc__] == []
