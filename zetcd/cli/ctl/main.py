"""Entry of zetcdctl: finds the command, reads flags and environment, runs it, and turns failures into exit codes."""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from zetcd.cli.ctl import flags
from zetcd.cli.ctl.console import Console
from zetcd.cli.ctl.exits import BAD_ARGS, ERROR, SUCCESS, Exit
from zetcd.cli.ctl.find import ENVIRONMENTS, find
from zetcd.cli.ctl.flags import HELP, Flag, Parsed
from zetcd.cli.ctl.tree import GLOBAL_FLAGS, PROGRAM

_ENVIRONMENT_ONLY = ("API", "WATCH_KEY", "WATCH_RANGE_END")


def main(argv: Sequence[str] | None = None) -> int:
    """The program. argv: without the program's name; None: the process's own. Returns the exit code."""
    if argv is None:
        _die_of_signals()
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return run(words)
    except Exit as exit_:
        if exit_.text:
            _complain(f"Error: {exit_.text}")
        return exit_.code


def _die_of_signals() -> None:
    """SIGINT and SIGPIPE (``| head`` has seen enough) end the process at once and in silence, as they end etcdctl."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)


def run(words: Sequence[str]) -> int:
    """One command line. Raises Exit."""
    command, rest = find(words)
    if command is not None and command.target == "wal":
        return _run_wal([command.path[-1], *rest])
    own = command.flags if command else ()
    try:
        parsed = flags.parse((*GLOBAL_FLAGS, *own, HELP), rest)
    except Exit as exit_:
        name = f"{PROGRAM} {command.name}" if command else PROGRAM
        raise Exit(exit_.code, f"{exit_.text}\nRun '{name} --help' for usage.") from None
    if command is None or not command.target or parsed.on("help"):
        from zetcd.cli.ctl.usage import usage

        sys.stdout.write(usage(command))
        return SUCCESS
    if not command.target.startswith("about:"):
        read_environment(parsed, os.environ)
        if parsed.on("debug"):
            _show_settings(parsed)
    console = Console(parsed)
    try:
        return _load(command.target)(console) or SUCCESS
    finally:
        console.close()


def _run_wal(words: Sequence[str]) -> int:
    """A program of its own, with a parser of its own."""
    program: Callable[[Sequence[str]], int] = import_module("zetcd.cli.wal").main
    try:
        return program(words)
    except SystemExit as ended:  # how argparse ends
        return BAD_ARGS if ended.code else SUCCESS


def _load(target: str) -> Callable[[Console], int | None]:
    module, _, function = target.partition(":")
    loaded: Callable[[Console], int | None] = getattr(import_module(f"zetcd.cli.ctl.{module}"), function)
    return loaded


def read_environment(parsed: Parsed, environment: "os._Environ[str] | dict[str, str]") -> None:
    """Global flags from ZETCDCTL_* and, where those are unset, ETCDCTL_*.

    A flag and its variable both set is fatal, as in etcdctl: one of them would be ignored silently.
    """
    for f in GLOBAL_FLAGS:
        for prefix in ENVIRONMENTS:
            name = _variable(prefix, f)
            if name not in environment:
                continue
            if f.name in parsed.changed:
                raise Exit(
                    ERROR,
                    f'conflicting environment variable "{name}" is shadowed by corresponding command-line flag '
                    "(either unset environment variable or disable flag)",
                )
            if environment[name]:
                try:
                    parsed.set(f, environment[name])
                except Exit as exit_:
                    raise Exit(ERROR, f"{name}: {exit_.text}") from None
                parsed.changed.discard(f.name)
                break
    known = {_variable(prefix, f) for f in GLOBAL_FLAGS for prefix in ENVIRONMENTS}
    known |= {prefix + name for name in _ENVIRONMENT_ONLY for prefix in ENVIRONMENTS}
    for name in environment:
        if name.startswith(ENVIRONMENTS) and name not in known:
            _complain(f"unrecognized environment variable {name}={environment[name]}")


def _variable(prefix: str, f: Flag) -> str:
    return prefix + f.name.upper().replace("-", "_")


def _show_settings(parsed: Parsed) -> None:
    for f in GLOBAL_FLAGS:
        value = parsed.values[f.name]
        shown = f"[{' '.join(value)}]" if isinstance(value, list) else flags.shown(f, value)
        _complain(f"{_variable(ENVIRONMENTS[0], f)}={shown}")


def _complain(text: str) -> None:
    sys.stderr.buffer.write(text.encode("utf-8", "surrogateescape") + b"\n")
    sys.stderr.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
