"""`zetcd actor ROLE [N] [flags]`: one process of a member. The supervisor and the systemd units start it.

Exit codes: 0 after a clean stop, 2 for a command line that is none, 78 for a start that would fail again (a wrong
setting, a directory or port that is taken, damaged files), 70 for everything that a fresh life may cure.
"""

import os
import resource
import sys
from collections.abc import Sequence

from zetcd.base.errors import Fatal, Refusal
from zetcd.base.settings import Settings
from zetcd.host import logs
from zetcd.host.process import EX_CONFIG, EX_FATAL, SUPERVISOR_VARIABLE, die_with_parent, entitle, pin
from zetcd.wire.routes import PROCESSES, title

EX_USAGE = 2
_SHOWN = ("--name", "--data-dir")
"""Flags a supervised process carries for `ps` alone; its settings come from the supervisor."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one actor; argv is ROLE [N] [flags]. Returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    role = words.pop(0) if words else ""
    if role not in PROCESSES:
        sys.stderr.write(f"zetcd actor: which one? {', '.join(PROCESSES)}, not {role!r}\n")
        return EX_USAGE
    number = int(words.pop(0)) if words and words[0].isdigit() else 0
    try:
        die_with_parent()
        entitle(role, number)
        settings = _inherited(words) or _configured(role, words)
        if settings is None:
            return EX_USAGE
        _run(role, number, settings)
    except Refusal as refusal:
        logs.say(2, f"zetcd {title(role, number)}: {refusal}\n")
        return EX_CONFIG
    except Fatal as fatal:
        logs.say(2, f"zetcd {title(role, number)}: {fatal}\n")
        return EX_FATAL
    return 0


def _inherited(words: list[str]) -> Settings | None:
    """What the supervisor hands down, so that no process of a member reads files or flags of its own."""
    if SUPERVISOR_VARIABLE not in os.environ:
        return None
    from zetcd.node.children import inherited_settings  # under systemd it is not needed

    assert [word for word in words[::2] if word not in _SHOWN] == [], words
    return inherited_settings()


def _configured(role: str, words: list[str]) -> Settings | None:
    """From flags, environment or file; None after a message about the command line."""
    from zetcd.node import bootstrap, config  # 10 ms that a supervised process need not spend
    from zetcd.node.sources import UsageError

    named = words[words.index("--name") + 1 : words.index("--name") + 2] if "--name" in words else []
    try:
        loaded = config.load(words)
    except UsageError as error:
        sys.stderr.write(f"zetcd actor {role}: {error}; see zetcd --help\n")
        return None
    settings = loaded.settings
    if named and settings.name != named[0]:
        raise Refusal(f"--name is {named[0]}, but the configuration file says name: {settings.name}; make them equal")
    warnings = (*loaded.warnings, *bootstrap.make_directories(settings))
    if role == "wal":
        from zetcd.cli.serve import identify  # who this member is stands in the log from now on

        settings = identify(settings)
    if role == "raft":
        # One voice for all processes of the member, and one that holds its ports: there is one raft, many api.
        _HELD.extend(bootstrap.claim_ports(settings))
        journal = logs.configure(settings, role)
        for warning in warnings:
            journal.warn(warning)
    return settings


def _run(role: str, number: int, settings: Settings) -> None:
    own = settings.cpu_affinity.get(f"{role}-{number}" if number else role, ())
    pin(own)  # before the first thread starts
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # every client is a descriptor
    from zetcd.node.run import run  # ZeroMQ after pinning, and nothing of it for a refusal

    run(role, number, settings)


_HELD: list[object] = []
"""Claims that live as long as the process."""

if __name__ == "__main__":
    sys.exit(main())
