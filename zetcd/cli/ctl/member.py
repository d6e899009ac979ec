"""member list."""

from zetcd.cli.ctl.console import Console
from zetcd.wire.client import MemberListRequest


def show(console: Console) -> None:
    """The member list command."""
    console.show("members", console.call(MemberListRequest()))
