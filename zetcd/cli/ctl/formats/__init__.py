"""The five output formats: pure functions from a reply (a dict with etcd's field names) to the bytes to print."""

from collections import namedtuple
from collections.abc import Callable
from importlib import import_module
from typing import Any

from zetcd.cli.ctl.exits import BAD_FEATURE, Exit

Reply = dict[str, Any]

_Options = namedtuple("_Options", "hex value_only keys")  # noqa: PYI024 (typing costs start-up time)


class Options(_Options):
    """hex: byte strings in hexadecimal; value_only: get --print-value-only; keys: lease timetolive --keys."""

    __slots__ = ()
    hex: bool
    value_only: bool
    keys: bool


Printer = Callable[[Reply, Options], bytes]

NAMES = ("fields", "json", "protobuf", "simple", "table")


def printer(name: str, kind: str) -> Printer:
    """The function that prints replies of this kind in this format. Raises Exit where there is none."""
    printers: dict[str, Printer] = import_module(f"{__name__}.{name}").PRINTERS
    found = printers.get(kind)
    if found is None:
        raise Exit(BAD_FEATURE, f"{name} not supported as output format")
    return found
