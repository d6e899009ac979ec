"""downgrade validate, enable, cancel (etcdctl 3.5)."""

from zetcd.cli.ctl.console import Console
from zetcd.cli.ctl.exits import BAD_ARGS, Exit
from zetcd.wire.client import DowngradeRequest

_VALIDATE, _ENABLE, _CANCEL = range(3)


def validate(console: Console) -> None:
    """The downgrade validate command."""
    _ask(console, _VALIDATE, "validate")


def enable(console: Console) -> None:
    """The downgrade enable command."""
    _ask(console, _ENABLE, "enable")


def cancel(console: Console) -> None:
    """The downgrade cancel command; a version given with it is ignored, as etcdctl does."""
    reply = console.call(DowngradeRequest(_CANCEL))
    _done(console, "cancel", reply)


def _ask(console: Console, action: int, what: str) -> None:
    if not console.args:
        raise Exit(BAD_ARGS, "TARGET_VERSION not provided")
    if len(console.args) > 1:
        raise Exit(BAD_ARGS, "too many arguments")
    _done(console, what, console.call(DowngradeRequest(action, console.args[0])))


def _done(console: Console, what: str, reply: dict[str, object]) -> None:
    console.line(f"Downgrade {what} success, cluster version {reply.get('version', '')}")
