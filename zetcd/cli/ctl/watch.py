"""watch: events of one watch until the server ends it, or several watches typed on standard input (-i)."""

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from zetcd.cli.ctl import flags
from zetcd.cli.ctl.console import Console, octets
from zetcd.cli.ctl.exits import BAD_ARGS, ERROR, INTERRUPTED, INVALID_INPUT, Exit
from zetcd.cli.ctl.find import ENVIRONMENTS
from zetcd.cli.ctl.flags import Parsed
from zetcd.cli.ctl.formats.schema import EVENTS
from zetcd.cli.ctl.golang import quote
from zetcd.cli.ctl.kv import prefix_end
from zetcd.cli.ctl.tree import WATCH_FLAGS
from zetcd.cli.ctl.txn import words
from zetcd.session.errors import Error
from zetcd.wire.client import StatusRequest

if TYPE_CHECKING:
    from zetcd.client.watch import Watcher
    from zetcd.wire.replies import WatchReply

_BAD_NUMBER = "bad number of arguments"
_CONFLICT = "bad number of arguments (found conflicting environment key)"
_NO_COMMAND = "bad number of arguments (found separator --, but no commands)"
_ENDED = "watch is canceled by the server"


class Target(NamedTuple):
    """What to watch, and the command to run per event (empty: none)."""

    key: bytes
    range_end: bytes
    revision: int
    prev_kv: bool
    progress_notify: bool
    command: list[str]


def watch(console: Console) -> None:
    """The watch command."""
    key, range_end = _from_environment("WATCH_KEY"), _from_environment("WATCH_RANGE_END")
    if range_end and not key:
        raise Exit(BAD_ARGS, f"ETCDCTL_WATCH_KEY is empty but got ETCDCTL_WATCH_RANGE_END={quote(octets(range_end))}")
    if console.parsed.on("interactive"):
        _interactive(console, key, range_end)
        return
    target = target_of(console.parsed, key, range_end)
    follow(console, _open(console, target), target)
    raise Exit(INTERRUPTED, _ENDED)


def _from_environment(name: str) -> str:
    return next((os.environ[p + name] for p in ENVIRONMENTS if os.environ.get(p + name)), "")


def target_of(parsed: Parsed, key: str, range_end: str) -> Target:
    """What a watch command line asks for; key and range_end are the environment's. Raises Exit."""
    args = parsed.args if parsed.dash < 0 else parsed.args[: parsed.dash]
    command = [] if parsed.dash < 0 else parsed.args[parsed.dash :]
    if parsed.dash >= 0 and not command:
        raise Exit(BAD_ARGS, _NO_COMMAND)
    if key and args:
        raise Exit(BAD_ARGS, _CONFLICT)
    if key:
        args = [key, range_end] if range_end else [key]
    if not args:
        raise Exit(BAD_ARGS, _BAD_NUMBER)
    start, end = octets(args[0]), b""
    if len(args) == 2:
        if parsed.on("prefix"):
            raise Exit(BAD_ARGS, "`range_end` and `--prefix` are mutually exclusive")
        end = octets(args[1])
    if parsed.on("prefix"):
        start, end = start or b"\0", prefix_end(start)
    return Target(start, end, parsed.number("rev"), parsed.on("prev-kv"), parsed.on("progress-notify"), command)


def _open(console: Console, target: Target) -> "Watcher | Error":
    """The watcher, or the error that says why there is none: a compacted start ends a watch as if it had run."""
    try:
        return console.client.watch(
            target.key,
            range_end=target.range_end,
            start_revision=target.revision,
            prev_kv=target.prev_kv,
            progress_notify=target.progress_notify,
            timeout=console.timeout,
        )
    except Error as error:
        if error.compact_revision:
            return error
        raise Exit(ERROR, error.message) from None


def follow(console: Console, watcher: "Watcher | Error", target: Target) -> None:
    """Print what a watch brings, until it ends."""
    if isinstance(watcher, Error):
        _canceled(console, watcher)
        return
    try:
        for reply in watcher.replies():
            _print(console, reply)
            if target.command:
                _run_for_each(console, target.command, reply)
    except Error as error:
        _canceled(console, error)


def _print(console: Console, reply: "WatchReply") -> None:
    if not reply.events and not reply.created:
        console.line(f"progress notify: {reply.header.revision}")
    plain: dict[str, Any] = msgspec.to_builtins(reply, builtin_types=(bytes,))
    console.show("watch", plain)


def _canceled(console: Console, error: Error) -> None:
    console.complain(f"watch was canceled ({error.message})")
    header = console.call(StatusRequest())["header"]
    header.pop("revision", None)
    console.show("watch", {"header": header, "canceled": True, "compact_revision": error.compact_revision})


def _run_for_each(console: Console, command: Sequence[str], reply: "WatchReply") -> None:
    for event in reply.events:
        variables = {
            "ETCD_WATCH_REVISION": str(reply.header.revision),
            "ETCD_WATCH_EVENT_TYPE": quote(EVENTS[event.type].encode()),
            "ETCD_WATCH_KEY": quote(event.kv.key),
            "ETCD_WATCH_VALUE": quote(event.kv.value),
        }
        try:
            ended = subprocess.run(  # noqa: S603 (the user's own command)
                command, env=os.environ | variables, stdin=subprocess.DEVNULL, check=False
            )
        except OSError as error:
            failure = start_failure(error)
        else:
            failure = exit_text(ended.returncode)
        if failure:
            shown = " ".join(quote(octets(word)) for word in command)
            console.complain(f"command [{shown}] error ({failure})")
            console.abandon(ERROR)


def exit_text(code: int) -> str:
    """How a child ended, in Go's words; empty for success."""
    return f"signal: {-code}" if code < 0 else f"exit status {code}" if code else ""


def start_failure(error: OSError) -> str:
    """Why a command did not start, in Go's words."""
    reason = (
        "executable file not found in $PATH" if isinstance(error, FileNotFoundError) else str(error.strerror).lower()
    )
    return f"exec: {quote(octets(str(error.filename)))}: {reason}"


# -- interactive -------------------------------------------------------------------------------------------------------
def _interactive(console: Console, key: str, range_end: str) -> None:
    """Lines of standard input: ``watch [flags] key [range_end] [-- command]`` and ``progress``."""
    watchers: list[Watcher] = []
    _ = console.client  # the flags about it are wrong or right before the first line is read
    while True:
        raw = sys.stdin.buffer.readline()
        if not raw.endswith(b"\n"):
            raise Exit(INVALID_INPUT, "error reading watch request line: EOF")
        line = raw[:-1].decode("utf-8", "surrogateescape")
        found = words(line)
        if not found:
            console.complain(f"Invalid command: {line} (watch and progress supported)")
        elif found[0] == "progress":
            for watcher in watchers:
                watcher.request_progress()
        elif found[0] != "watch":
            console.complain(f"Invalid command {line} (only support watch)")
        elif len(found) < 2 and not key:
            console.complain(f"Invalid command {line} (command type or key is not provided)")
        else:
            _start(console, target_of(_parse(found[1:]), key, range_end), watchers)


def _parse(found: list[str]) -> Parsed:
    try:
        return flags.parse(WATCH_FLAGS, found)
    except Exit as exit_:
        raise Exit(BAD_ARGS, exit_.text) from None


def _start(console: Console, target: Target, watchers: "list[Watcher]") -> None:
    watcher = _open(console, target)
    if not isinstance(watcher, Error):
        watchers.append(watcher)
    threading.Thread(target=follow, args=(console, watcher, target), daemon=True).start()
