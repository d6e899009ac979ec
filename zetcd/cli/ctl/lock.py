"""lock: holds a named lock until a signal, or while a command runs."""

import os
import subprocess
from typing import TYPE_CHECKING

from zetcd.cli.ctl import holding
from zetcd.cli.ctl.console import Console, octets
from zetcd.cli.ctl.exits import BAD_ARGS, ERROR, SUCCESS, Exit
from zetcd.cli.ctl.holding import WAIT_FOREVER_S, Interrupted, Signals
from zetcd.cli.ctl.watch import exit_text, start_failure
from zetcd.wire.client import LockRequest, RangeRequest, UnlockRequest

if TYPE_CHECKING:
    from zetcd.client.lease import Lease


def lock(console: Console) -> int:
    """The lock command; returns the command's exit code where there is one."""
    if not console.args:
        raise Exit(BAD_ARGS, "lock takes a lock name argument and an optional command to execute")
    name, *command = console.args
    signals = Signals()
    lease = holding.session(console, console.parsed.number("ttl"))
    try:
        request = LockRequest(octets(name), lease.id)
        held = signals.during(lambda: console.call(request, timeout=WAIT_FOREVER_S), lease)
    except Interrupted:
        holding.end(lease)
        raise Exit(ERROR, "context canceled") from None
    key = held["key"]
    try:
        if command:
            _run(signals, command, key, held["header"].get("revision", 0))
        else:
            _hold(console, signals, lease, key)
    finally:
        console.call(UnlockRequest(key))
        holding.end(lease)
    return SUCCESS


def _hold(console: Console, signals: Signals, lease: "Lease", key: bytes) -> None:
    """Until a signal."""
    reply = console.call(RangeRequest(key))
    if not reply.get("kvs"):
        raise Exit(ERROR, "lock lost on init")
    console.show("get", reply)
    if not signals.wait(lease):
        raise Exit(ERROR, "session expired")


def _run(signals: Signals, command: list[str], key: bytes, revision: int) -> None:
    """Until the command ends; raises Exit with its exit code. Signals that reach us in the meantime go to it."""
    variables = {"ETCD_LOCK_KEY": os.fsdecode(key), "ETCD_LOCK_REV": str(revision)}
    try:
        child = subprocess.Popen(  # noqa: S603 (the user's own command)
            command, env=variables | os.environ, stdin=subprocess.DEVNULL
        )
    except OSError as error:
        raise Exit(ERROR, start_failure(error)) from None
    signals.hand_on = child.send_signal
    code = child.wait()
    signals.hand_on = None
    if code:
        raise Exit(code if code > 0 else 128 - code, exit_text(code))
