"""version and help."""

import sys

from zetcd import __version__
from zetcd.cli.ctl.console import Console
from zetcd.cli.ctl.exits import ERROR, Exit
from zetcd.cli.ctl.find import find
from zetcd.cli.ctl.tree import API_VERSION, PROGRAM
from zetcd.cli.ctl.usage import usage


def version(console: Console) -> None:
    """The version command."""
    console.line(f"{PROGRAM} version: {__version__}\nAPI version: {API_VERSION}")


def explain(console: Console) -> None:
    """The help command."""
    command, rest = find(console.args)
    if rest:
        raise Exit(ERROR, f"unknown help topic {' '.join(rest)}")
    sys.stdout.write(usage(command))
