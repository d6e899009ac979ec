"""alarm list and disarm."""

from zetcd.cli.ctl.console import Console
from zetcd.cli.ctl.exits import BAD_ARGS, Exit
from zetcd.wire.client import AlarmRequest

_GET, _DEACTIVATE = 0, 2


def show(console: Console) -> None:
    """The alarm list command."""
    if console.args:
        raise Exit(BAD_ARGS, "alarm list command accepts no arguments")
    console.show("alarm", console.call(AlarmRequest(_GET)))


def disarm(console: Console) -> None:
    """The alarm disarm command: each alarm there is, one by one; prints what was cleared."""
    if console.args:
        raise Exit(BAD_ARGS, "alarm disarm command accepts no arguments")
    active = console.call(AlarmRequest(_GET))
    cleared = []
    for alarm in active.get("alarms", ()):
        active = console.call(AlarmRequest(_DEACTIVATE, alarm.get("memberID", 0), alarm.get("alarm", 0)))
        cleared += active.get("alarms", ())
    console.show("alarm", {"header": active["header"], "alarms": cleared})
