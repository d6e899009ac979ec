"""From words to the command they name."""

from collections.abc import Sequence

from zetcd.cli.ctl import flags
from zetcd.cli.ctl.exits import ERROR, Exit
from zetcd.cli.ctl.flags import HELP
from zetcd.cli.ctl.tree import COMMANDS, GLOBAL_FLAGS, PROGRAM, Command, children, lookup

ENVIRONMENTS = ("ZETCDCTL_", "ETCDCTL_")
"""Prefixes of environment variables; the first one wins."""
_SUGGEST_DISTANCE = 2


def find(words: Sequence[str]) -> tuple[Command | None, list[str]]:
    """The command that words name (a unique beginning of a name will do), and words without its name.

    None: no command named. Raises Exit for a name that is none.
    """
    rest = list(words)
    path: tuple[str, ...] = ()
    command: Command | None = None
    while children(path):
        known = (*GLOBAL_FLAGS, HELP)
        if command is not None:
            known += command.flags
        positions = flags.words_of(known, rest)
        if not positions:
            break
        word = rest[positions[0]]
        below = lookup(path, word)
        if below is None:
            if command is None:
                raise Exit(
                    ERROR,
                    f'unknown command "{word}" for "{PROGRAM}"{_suggestions(word)}\n'
                    f"Run '{PROGRAM} --help' for usage.",
                )
            break
        del rest[positions[0]]
        command, path = below, below.path
    return command, rest


def _suggestions(word: str) -> str:
    names = [c.path[0] for c in COMMANDS if len(c.path) == 1]
    close = [n for n in names if n.startswith(word.lower()) or _distance(n, word.lower()) <= _SUGGEST_DISTANCE]
    return "\n\nDid you mean this?\n" + "".join(f"\t{name}\n" for name in close) if close else ""


def _distance(left: str, right: str) -> int:
    """Levenshtein's."""
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        previous, row[0] = row[0], i
        for j, b in enumerate(right, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (a != b))
    return row[-1]
