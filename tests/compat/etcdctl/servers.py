"""Both servers under etcd's own flags: one member or three, on free ports."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.compat.ctl.sides import FORMATS, Side
from tests.compat.ctl.trios import TrioSide, running
from tests.compat.oracle import Etcd, binary

ETCDCTL = Path("/usr/bin/etcdctl")


def program(server: str) -> Path:
    """Of "etcd" (3.4.23) or "zetcd"."""
    path = binary("3.4") if server == "etcd" else Path(sys.executable).with_name("zetcd")
    assert path is not None, "no etcd 3.4 here (Debian: etcd-server, etcd-client)"
    return path


@contextlib.contextmanager
def one(server: str, directory: Path, work: Path, formats: tuple[str, ...] = FORMATS) -> Iterator[Side]:
    """A fresh member. work: the directory etcdctl runs in."""
    with Etcd.running(program(server), directory) as member:
        yield Side(ETCDCTL, member.url, work, formats)


@contextlib.contextmanager
def three(server: str, directory: Path, formats: tuple[str, ...] = FORMATS) -> Iterator[TrioSide]:
    """Three fresh members."""
    directory.mkdir(parents=True, exist_ok=True)
    with running(program(server), directory, "http", "--log-level=error") as trio:
        side = TrioSide(ETCDCTL, "", directory, formats)
        side.trio = trio
        side.wait()
        yield side
