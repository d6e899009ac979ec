"""Help texts, in etcdctl's layout: NAME, USAGE, COMMANDS, DESCRIPTION, OPTIONS, GLOBAL OPTIONS; tabs of eight align."""

from collections.abc import Iterable, Sequence

from zetcd import __version__
from zetcd.cli.ctl import flags, golang
from zetcd.cli.ctl.flags import HELP, Flag
from zetcd.cli.ctl.tree import API_VERSION, COMMANDS, GLOBAL_FLAGS, PROGRAM, Command

_SHORT = "A command line client for zetcd, in etcdctl's manner."


def usage(command: Command | None) -> str:
    """The help of a command; of the program for None."""
    path = command.path if command else ()
    name = " ".join(path) or PROGRAM
    short = command.short if command else _SHORT
    out = f"NAME:\n\t{name} - {short}\n\nUSAGE:\n\t{PROGRAM} {f'{command.use} ' if command else ''}[flags]\n"
    if command is None:
        out += f"\nVERSION:\n\t{__version__}\n"
    below = [c for c in COMMANDS if c.target and len(c.path) > len(path) and c.path[: len(path)] == path]
    if below and not (command and command.target):
        out += f"\nAPI VERSION:\n\t{API_VERSION}\n\n\nCOMMANDS:\n"
        out += _columns((f"\t{' '.join(c.path[len(path) :])}", c.short) for c in below)
    if command and command.long:
        out += "\nDESCRIPTION:\n" + "".join(f"\t{line}\n" for line in command.long.split("\n"))
    own = (*(command.flags if command else GLOBAL_FLAGS), HELP)
    out += "\nOPTIONS:\n" + _options(own)
    if command:
        out += "\nGLOBAL OPTIONS:\n" + _options(GLOBAL_FLAGS)
    return out + "\n"


def _options(shown: Sequence[Flag]) -> str:
    return _columns((_option(f), f.usage) for f in sorted(shown, key=lambda f: f.name))


def _option(f: Flag) -> str:
    lead = f"  -{f.short}, --{f.name}" if f.short else f"      --{f.name}"
    if f.kind == flags.BOOL:
        return f"{lead}[={flags.shown(f, f.default)}]"
    if f.kind == flags.STRING:
        return f"{lead}={golang.quote(str(f.default).encode())}"
    return f"{lead}={flags.shown(f, f.default)}"


def _columns(rows: Iterable[tuple[str, str]]) -> str:
    """Two columns; the second begins at the first tab stop that lies beyond every cell of the first."""
    lines = [(left, right, len(left.lstrip("\t"))) for left, right in rows]
    width = (max(size for _, _, size in lines) // 8 + 1) * 8
    return "".join(f"{left}{chr(9) * -(-(width - size) // 8)}{right}\n" for left, right, size in lines)
