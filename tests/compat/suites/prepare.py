"""A virtual environment and the unpacked source package for each suite, under ``build/suites``, made once."""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from tests.compat.suites.recipes import Recipe

ROOT = Path(__file__).parents[3]
CACHE = ROOT / "build" / "suites"
PIP_S = 600.0
NO_PACKAGES = 69
"""Exit code of `python -m tests.compat.suites` where the packages cannot be had (sysexits: unavailable)."""


class UnavailableError(Exception):
    """The packages could not be installed: what pip said."""


class Prepared:
    """Where a suite lies."""

    def __init__(self, recipe: Recipe) -> None:
        words = repr((recipe, sys.version_info[:2], sys.base_prefix))
        self.recipe = recipe
        self.directory = CACHE / f"{recipe.name}-{hashlib.sha256(words.encode()).hexdigest()[:12]}"

    @property
    def python(self) -> Path:
        """The interpreter of its virtual environment."""
        return self.directory / "venv" / "bin" / "python"

    @property
    def source(self) -> Path:
        """The unpacked source package, where its tests are run."""
        return self.directory / f"{self.recipe.name}-{self.recipe.version}"


def prepare(recipe: Recipe) -> Prepared:
    """Install and unpack, unless that was done. Raises UnavailableError."""
    prepared = Prepared(recipe)
    directory = prepared.directory
    if (directory / "done").exists():
        return prepared
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    _run(sys.executable, "-m", "venv", str(directory / "venv"))
    pip = (str(prepared.python), "-m", "pip", "--disable-pip-version-check", "-q")
    _run(*pip, "install", *recipe.packages)
    wanted = directory / "sdist.txt"
    wanted.write_text(f"{recipe.sdist} --hash=sha256:{recipe.sha256}\n")
    _run(
        *pip, "download", "--no-deps", "--no-binary", ":all:", "--require-hashes",
        "--dest", str(directory), "-r", str(wanted),
    )  # fmt: skip
    with tarfile.open(directory / f"{recipe.name}-{recipe.version}.tar.gz") as archive:
        archive.extractall(directory)  # what the hash above names, and nothing else
    for name, text in recipe.files.items():
        (prepared.source / name).write_text(text)
    (directory / "done").touch()
    return prepared


def _run(*command: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME"}}
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PIP_S, env=environment)
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(f"{' '.join(command)}: not within {PIP_S:.0f} s") from error
    if done.returncode:
        raise UnavailableError(f"{' '.join(command)}:\n{done.stderr[-2000:]}")
