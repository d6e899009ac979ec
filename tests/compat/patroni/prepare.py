"""What the proof stands on: PostgreSQL's programs, Patroni in a virtual environment under ``build/patroni``, and the
account that they run under."""

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.compat.oracle import binary

ROOT = Path(__file__).parents[3]
VENV = ROOT / "build" / "patroni" / "venv"
PACKAGES = ("patroni[etcd3]==4.1.5", "psycopg[binary]")
ACCOUNT = "postgres"
PIP_S = 600.0
UNAVAILABLE = 69
"""Exit code where PostgreSQL or Patroni cannot be had (sysexits: unavailable)."""


class UnavailableError(Exception):
    """What is missing, and how to get it."""


def store_program(server: str) -> Path:
    """etcd 3.4, or zetcd of this checkout. Raises UnavailableError."""
    program = binary("3.4") if server == "etcd" else Path(sys.executable).with_name("zetcd")
    if program is None:
        raise UnavailableError("no etcd 3.4 here (Debian: apt-get install etcd-server)")
    return program


def postgresql() -> Path:
    """Directory of initdb, postgres and the others: Debian's newest, or the one on PATH. Raises UnavailableError."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    on_path = shutil.which("initdb")
    if found:
        return found[-1].parent
    if on_path:
        return Path(on_path).resolve().parent
    raise UnavailableError("no PostgreSQL here (Debian: apt-get install postgresql)")


def account() -> dict[str, Any]:
    """Arguments of Popen: PostgreSQL refuses to run as root, so root's nodes run as Debian's account for it. Raises
    UnavailableError."""
    if os.geteuid():
        return {}
    try:
        entry = pwd.getpwnam(ACCOUNT)
    except KeyError as error:
        raise UnavailableError(f"run as root, this needs an account {ACCOUNT} (Debian: postgresql)") from error
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def patroni() -> Path:
    """Directory of patroni and python in the virtual environment, which is made once. Raises UnavailableError."""
    done = VENV / "done"
    if not done.exists() or done.read_text() != " ".join(PACKAGES):
        shutil.rmtree(VENV, ignore_errors=True)
        # The system's interpreter first: the account of PostgreSQL cannot run one that lies in root's home.
        _run(shutil.which("python3", path="/usr/bin") or sys.executable, "-m", "venv", str(VENV))
        _run(str(VENV / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "-q", "install", *PACKAGES)
        done.write_text(" ".join(PACKAGES))
    programs = VENV / "bin"
    try:
        subprocess.run([programs / "patroni", "--version"], check=True, capture_output=True, timeout=60, **account())
    except (OSError, subprocess.SubprocessError) as error:
        raise UnavailableError(f"{ACCOUNT} cannot run {programs}/patroni: is the checkout readable to all?") from error
    return programs


def _run(*command: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PIP_S, env=environment)
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(f"{' '.join(command)}: not within {PIP_S:.0f} s") from error
    if done.returncode:
        raise UnavailableError(f"{' '.join(command)}:\n{done.stderr[-2000:]}")
