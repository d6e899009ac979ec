"""The import floors, by import-linter and by looking at what a process has really loaded."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.tidy.sources import BELOW_HOST, ROOT, imported, server
from zetcd.wire.routes import ROLES

NEVER = (
    "asyncio",
    "argparse",
    "yaml",
    "multiprocessing",
    "concurrent.futures",
    "zetcd.node",
    "zetcd.cli",
    "zetcd.client",
)


def _contracts() -> list[dict[str, list[str]]]:
    contracts: list[dict[str, list[str]]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"][
        "importlinter"
    ]["contracts"]
    return contracts


def test_import_linter_keeps_the_floors() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    run = subprocess.run([program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_every_room_stands_on_a_floor() -> None:
    """A package that no floor names would be free to import anything."""
    rooms = {path.name for path in (ROOT / "zetcd").iterdir() if (path / "__init__.py").exists()}
    named = set(re.findall(r"zetcd\.(\w+)", " ".join(_contracts()[0]["layers"])))
    assert rooms <= named


def test_every_pure_room_is_held_to_purity() -> None:
    rooms = {path.name for path in (ROOT / "zetcd").iterdir() if (path / "__init__.py").exists()}
    modules = {path.stem for path in (ROOT / "zetcd").glob("*.py")} - {"__init__", "__main__"}
    held = {name.removeprefix("zetcd.") for name in _contracts()[1]["source_modules"]}
    assert (rooms | modules) & set(BELOW_HOST) <= held


def test_only_standard_library_in_base() -> None:
    bad = [
        f"{source.path}:{line} {name}"
        for source in server()
        if source.room == "base"
        for name, line in imported(source)
        if name.split(".")[0] not in sys.stdlib_module_names and not name.startswith("zetcd.base")
    ]
    assert not bad


@pytest.mark.parametrize("role", ROLES)
def test_a_bare_actor_loads_little(role: str) -> None:
    """asyncio stays out of the five actors and plyvel out of all but apply: 13 MB and 50 ms instead of 60 and 300."""
    program = (
        f"import sys; import zetcd.host.process, zetcd.actors.{role}_actor; print('\\n'.join(sorted(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    loaded = set(run.stdout.split())
    unwanted = NEVER if role == "apply" else (*NEVER, "plyvel")
    assert not [name for name in unwanted if name in loaded]
    others = [f"zetcd.actors.{other}_actor" for other in ROLES if other != role]
    assert not [name for name in others if name in loaded], "no actor sees another"
