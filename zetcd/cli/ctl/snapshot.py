"""snapshot save and status, defrag."""

import contextlib
import mmap
import os
from pathlib import Path

from zetcd.cli.ctl.console import Console, address, octets
from zetcd.cli.ctl.endpoint import endpoints_of
from zetcd.cli.ctl.exits import BAD_ARGS, ERROR, INTERRUPTED, SUCCESS, Exit
from zetcd.wire.client import DefragmentRequest

SILENCE_S = 60.0
"""Without a sign of life from the member a snapshot is given up; it has no other limit, as etcdctl's."""


def save(console: Console) -> None:
    """The snapshot save command: into a file beside it, synced and renamed when it is whole."""
    if len(console.args) != 1:
        raise Exit(BAD_ARGS, "snapshot save expects one argument")
    if len(console.endpoints) != 1:
        listed = " ".join(console.endpoints)
        raise Exit(INTERRUPTED, f"snapshot must be requested to one selected node, not multiple [{listed}]")
    console.check_format()
    console.check_security()
    path = octets(console.args[0])
    part = path + b".part"
    shown, shown_part = os.fsdecode(path), os.fsdecode(part)
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    except OSError as error:
        text = f"could not open {shown_part} (open {shown_part}: {(error.strerror or '').lower()})"
        raise Exit(INTERRUPTED, text) from None
    from zetcd.client.snapshot import snapshot
    from zetcd.session.errors import Error

    try:
        with os.fdopen(descriptor, "wb") as file:
            for chunk in snapshot(address(console.endpoints[0]), console.parsed.seconds("dial-timeout"), SILENCE_S):
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        Path(shown_part).rename(shown)
    except Error as error:
        raise Exit(INTERRUPTED, error.message) from None
    except OSError as error:
        raise Exit(INTERRUPTED, f"could not write {shown_part} ({(error.strerror or '').lower()})") from None
    finally:
        with contextlib.suppress(OSError):
            Path(shown_part).unlink()
    console.line(f"Snapshot saved at {shown}")


def status(console: Console) -> None:
    """The snapshot status command, of a file of zetcd or of etcd."""
    if len(console.args) != 1:
        raise Exit(BAD_ARGS, "snapshot status requires exactly one argument")
    console.check_format()
    console.show("snapshot", _figures(Path(os.fsdecode(octets(console.args[0])))))


def _figures(path: Path) -> dict[str, int]:
    import google_crc32c

    from zetcd.bolt.reading import Damage, File

    crc = total = revision = 0
    try:
        with path.open("rb") as opened:
            file = File(memoryview(mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)))
        for name, pairs in file.buckets():
            crc = google_crc32c.extend(crc, name)
            for key, value in pairs:
                crc = google_crc32c.extend(crc, key + value)
                total += 1
                if name == b"key":
                    revision = int.from_bytes(key[:8], "big")
    except OSError as error:
        raise Exit(ERROR, f"stat {path}: {(error.strerror or '').lower()}") from None
    except ValueError as error:  # an empty file cannot be mapped
        raise Exit(ERROR, str(error) if isinstance(error, Damage) else "invalid database") from None
    return {"hash": crc, "revision": revision, "totalKey": total, "totalSize": file.size}


def defrag(console: Console) -> int:
    """The defrag command: each endpoint by itself."""
    if console.parsed.text("data-dir"):
        raise Exit(ERROR, "--data-dir: a member that is not running needs no defragmentation")
    failures = 0
    for endpoint in endpoints_of(console):
        try:
            console.call(DefragmentRequest(), endpoint=endpoint)
        except Exit as exit_:
            console.complain(f"Failed to defragment etcd member[{endpoint}] ({exit_.text})")
            failures += 1
        else:
            console.line(f"Finished defragmenting etcd member[{endpoint}]")
    return ERROR if failures else SUCCESS
