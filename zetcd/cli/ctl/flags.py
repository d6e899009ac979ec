"""Flags as etcdctl's users know them: GNU style in the reading of Go's pflag.

- Flags and arguments mix freely; ``--`` ends the flags. ``-`` alone is an argument.
- ``--name=value`` and ``--name value``; a boolean is ``--name`` or ``--name=false``, never ``--name false``.
- ``-w json``, ``-wjson``, ``-w=json``; booleans may be joined: ``-ih``.
- A list is comma separated; the first use replaces the default, each further one appends.
- Nothing is abbreviated. Complaints carry pflag's words, since scripts match them.

Written out rather than built on argparse, which differs in each of these points, takes ``-1`` for a flag or not
depending on the other flags, and costs more time to import than everything `version` does.
"""

from collections import namedtuple
from collections.abc import Iterable, Sequence

from zetcd.cli.ctl import golang
from zetcd.cli.ctl.exits import ERROR, Exit

Value = str | bool | int | float | list[str]

BOOL, STRING, INT, DURATION, LIST = "bool", "string", "int", "duration", "list"

_Flag = namedtuple("_Flag", "name kind default usage short")  # noqa: PYI024 (typing costs start-up time)


class Flag(_Flag):
    """One flag. default: False for BOOL, str, int, seconds (DURATION) or a list of str."""

    __slots__ = ()
    name: str
    kind: str
    default: Value
    usage: str
    short: str

    @property
    def label(self) -> str:
        """The flag as complaints show it."""
        return f"-{self.short}, --{self.name}" if self.short else f"--{self.name}"


def flag(name: str, default: Value, usage: str, short: str = "", *, duration: bool = False) -> Flag:
    """A flag whose kind follows from its default; a duration's default is in seconds."""
    kind = DURATION if duration else {bool: BOOL, str: STRING, int: INT, list: LIST}[type(default)]
    return Flag(name, kind, default, usage, short)


def shown(f: Flag, value: Value) -> str:
    """A flag's value as help and --debug show it."""
    if f.kind == LIST and isinstance(value, list):
        return f"[{','.join(value)}]"
    if f.kind == DURATION and isinstance(value, int | float):
        return golang.format_duration(value)
    return str(value).lower() if f.kind == BOOL else str(value)


HELP = flag("help", False, "help for this command", "h")


class Parsed:
    """Flags and arguments of one command line."""

    __slots__ = ("args", "changed", "dash", "values")

    def __init__(self, flags: Iterable[Flag]) -> None:
        self.values: dict[str, Value] = {f.name: f.default for f in flags}
        self.changed: set[str] = set()
        self.args: list[str] = []
        self.dash = -1
        """How many arguments stand before ``--``; -1 where there is none."""

    def text(self, name: str) -> str:
        """A STRING flag."""
        value = self.values[name]
        assert isinstance(value, str)
        return value

    def on(self, name: str) -> bool:
        """A BOOL flag."""
        value = self.values[name]
        assert isinstance(value, bool)
        return value

    def number(self, name: str) -> int:
        """An INT flag."""
        value = self.values[name]
        assert isinstance(value, int)
        return value

    def seconds(self, name: str) -> float:
        """A DURATION flag."""
        value = self.values[name]
        assert isinstance(value, int | float)
        return float(value)

    def items(self, name: str) -> list[str]:
        """A LIST flag."""
        value = self.values[name]
        assert isinstance(value, list)
        return value

    def set(self, f: Flag, raw: str) -> None:
        """One use of a flag. Raises Exit with pflag's complaint."""
        try:
            value = _convert(f.kind, raw)
        except ValueError as error:
            shown = golang.quote(raw.encode("utf-8", "surrogateescape"))
            raise Exit(ERROR, f'invalid argument {shown} for "{f.label}" flag: {error}') from None
        if f.kind == LIST and f.name in self.changed:
            value = self.items(f.name) + (value if isinstance(value, list) else [])
        self.values[f.name] = value
        self.changed.add(f.name)


def _convert(kind: str, raw: str) -> Value:
    if kind == BOOL:
        return golang.parse_bool(raw)
    if kind == INT:
        return golang.parse_int(raw, 0)
    if kind == DURATION:
        return golang.parse_duration(raw)
    if kind == LIST:
        return raw.split(",") if raw else []
    return raw


def parse(flags: Sequence[Flag], words: Sequence[str]) -> Parsed:
    """Flags and arguments out of words. Raises Exit where a flag is unknown or its value wrong."""
    by_name = {f.name: f for f in flags}
    by_short = {f.short: f for f in flags if f.short}
    parsed = Parsed(flags)
    queue = list(reversed(words))
    while queue:
        word = queue.pop()
        if word == "--":
            parsed.dash = len(parsed.args)
            parsed.args.extend(reversed(queue))
            break
        if len(word) < 2 or word[0] != "-":
            parsed.args.append(word)
        elif word[1] == "-":
            _long(word, queue, by_name, parsed)
        else:
            _shorts(word, queue, by_short, parsed)
    return parsed


def _long(word: str, queue: list[str], by_name: dict[str, Flag], parsed: Parsed) -> None:
    name, equals, value = word[2:].partition("=")
    if not name or name[0] == "-":
        raise Exit(ERROR, f"bad flag syntax: {word}")
    f = by_name.get(name)
    if f is None:
        raise Exit(ERROR, f"unknown flag: --{name}")
    if equals:
        parsed.set(f, value)
    elif f.kind == BOOL:
        parsed.set(f, "true")
    elif queue:
        parsed.set(f, queue.pop())
    else:
        raise Exit(ERROR, f"flag needs an argument: {word}")


def _shorts(word: str, queue: list[str], by_short: dict[str, Flag], parsed: Parsed) -> None:
    rest = word[1:]
    while rest:
        letter, whole, rest = rest[0], rest, rest[1:]
        f = by_short.get(letter)
        if f is None:
            raise Exit(ERROR, f"unknown shorthand flag: '{letter}' in -{whole}")
        if rest[:1] == "=" and len(rest) > 1:
            parsed.set(f, rest[1:])
            return
        if f.kind == BOOL:
            parsed.set(f, "true")
        elif rest:
            parsed.set(f, rest)
            return
        elif queue:
            parsed.set(f, queue.pop())
        else:
            raise Exit(ERROR, f"flag needs an argument: '{letter}' in -{whole}")


def words_of(flags: Sequence[Flag], words: Sequence[str]) -> list[int]:
    """Positions of the words before ``--`` that are neither flags nor values of flags: where a command's name is."""
    by_name = {f.name: f for f in flags}
    by_short = {f.short: f for f in flags if f.short}
    found: list[int] = []
    skip = False
    for position, word in enumerate(words):
        if skip:
            skip = False
        elif word == "--":
            break
        elif word.startswith("--"):
            f = by_name.get(word[2:])
            skip = f is not None and f.kind != BOOL
        elif word.startswith("-") and len(word) > 1:
            f = by_short.get(word[-1]) if len(word) == 2 else None
            skip = f is not None and f.kind != BOOL
        elif word:
            found.append(position)
    return found
