"""Clients as their users install them: each with its packages in a directory of its own below ``build/clients``."""

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = ROOT / "examples" / "etcd"
CACHE = ROOT / "build" / "clients"
INSTALL_S = 240.0
DEBIANS_GO = Path("/usr/share/gocode")
_NO_REGISTRY = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ETIMEDOUT", "NewConnectionError", "No matching distribution")


class UnavailableError(Exception):
    """This machine cannot have the client; the text says why."""


def python(name: str, *packages: str) -> Path:
    """The interpreter of a virtual environment with these packages. Raises UnavailableError."""
    directory = CACHE / name
    with _alone(directory):
        if _begin(directory, packages):
            pip = (str(directory / "bin/python"), "-m", "pip", "--disable-pip-version-check", "-q")
            _run([sys.executable, "-m", "venv", str(directory)])
            _run([*pip, "install", *packages])
            _done(directory, packages)
    return directory / "bin/python"


def node(name: str, script: Path, *packages: str) -> Path:
    """A copy of the script beside the packages it imports. Raises UnavailableError."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise UnavailableError("needs Node and npm (Debian: nodejs, npm)")
    directory = CACHE / name
    with _alone(directory):
        if _begin(directory, packages):
            quiet = ("--no-audit", "--no-fund", "--ignore-scripts")
            _run(["npm", "install", "--prefix", str(directory), *quiet, *packages])
            _done(directory, packages)
    return Path(shutil.copy(script, directory))


def go(source: Path) -> Path:
    """The program compiled from a file with Debian's Go packages. Raises UnavailableError."""
    if shutil.which("go") is None or not (DEBIANS_GO / "src/go.etcd.io/etcd/clientv3/concurrency").is_dir():
        raise UnavailableError("needs etcd's Go client (Debian: golang-go, golang-etcd-server-dev)")
    program = CACHE / "go" / source.stem
    program.parent.mkdir(parents=True, exist_ok=True)
    environ = {"GOPATH": str(DEBIANS_GO), "GO111MODULE": "off", "GOFLAGS": ""}
    with _alone(program):
        _run(["go", "build", "-o", str(program), str(source)], environ)  # go's own cache knows whether there is work
    return program


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Tests of one client run in several processes: one of them installs it, the others wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f"{path.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _begin(directory: Path, packages: Sequence[str]) -> bool:
    """Whether there is something to install; then the directory is empty."""
    if (directory / "done").exists() and (directory / "done").read_text() == _wanted(packages):
        return False
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return True


def _done(directory: Path, packages: Sequence[str]) -> None:
    (directory / "done").write_text(_wanted(packages))


def _wanted(packages: Sequence[str]) -> str:
    return repr((packages, sys.version_info[:2], sys.base_prefix))


def _run(command: list[str], environ: dict[str, str] | None = None) -> None:
    """Raises UnavailableError if the registry cannot be reached or does not have the package."""
    around = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME"}}
    done = subprocess.run(
        command, env=around | (environ or {}), capture_output=True, text=True, timeout=INSTALL_S, check=False
    )
    if any(word in done.stderr for word in _NO_REGISTRY):
        raise UnavailableError(f"{' '.join(command[-2:])}: its registry does not give it from here")
    assert done.returncode == 0, (command, done.stderr)
