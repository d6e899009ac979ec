"""``python -m tests.compat.patroni [--server zetcd|etcd]``: Patroni keeps two PostgreSQL nodes on a three-member store.

Bootstrap, a planned switchover, and SIGKILL: of the primary's postmaster, of its node (postmaster and Patroni), of the
store's leader with every process it has; all while an application writes. Prints each step with its time, then what
was wrong; exit code 1 if anything was, 69 if PostgreSQL or Patroni cannot be had. Everything runs on loopback, in a
temporary directory.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType

from tests.compat.patroni.prepare import UNAVAILABLE, UnavailableError, account, patroni, postgresql, store_program
from tests.compat.patroni.proof import Proof
from tests.compat.patroni.store import Store


def main() -> int:
    """Flags in, exit code out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", choices=("zetcd", "etcd"), default="zetcd", help="the store; etcd is Debian's 3.4")
    parser.add_argument("--keep", type=Path, help="directory for the logs, the configuration and every answer")
    parser.add_argument("--control", action="store_true", help="make two primaries; exit code 0 if they were seen")
    flags = parser.parse_args()
    try:
        program = store_program(flags.server)
        postgresql()
        account()
        patroni()
    except UnavailableError as error:
        print(error, file=sys.stderr)
        return UNAVAILABLE
    signal.signal(signal.SIGTERM, _leave)
    directory = Path(tempfile.mkdtemp(prefix="patroni-"))
    directory.chmod(0o711)  # the account of PostgreSQL passes through
    try:
        with Store(program, directory / "store") as store, Proof(store, directory) as proof:
            if flags.control:
                return 0 if proof.control() else 1
            return 1 if proof.run() else 0
    finally:
        if flags.keep is not None:
            _keep(directory, flags.keep)
        shutil.rmtree(directory, ignore_errors=True)


def _leave(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)


def _keep(directory: Path, into: Path) -> None:
    for path in directory.rglob("*"):
        kept = path.name in {"log", "lines", "patroni.yml"}
        if kept and path.is_file() and os.access(path, os.R_OK):
            into.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, into / "-".join(path.relative_to(directory).parts))


if __name__ == "__main__":
    sys.exit(main())
