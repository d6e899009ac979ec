"""The generated messages are what `proto/` says."""

import importlib.util
from pathlib import Path

from tests.tidy.sources import ROOT


def _code(path: Path) -> list[str]:
    """Without imports, whose form in type stubs changes with the generator's version."""
    return [
        line for line in path.read_text().splitlines() if not line.startswith(("import ", "from typing", "from coll"))
    ]


def test_generating_again_changes_nothing(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "proto/generate.py")
    assert spec is not None
    assert spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    generate.generate(tmp_path)
    fresh = sorted(path.name for path in tmp_path.iterdir())
    assert fresh == sorted(path.name for path in (ROOT / "zetcd_pb").glob("*_pb2.py*"))
    stale = [name for name in fresh if _code(tmp_path / name) != _code(ROOT / "zetcd_pb" / name)]
    assert not stale, "make proto"
