"""auth enable, disable, status."""

from zetcd.base.errors import ROOT_ROLE_NOT_FOUND
from zetcd.cli.ctl.console import Console
from zetcd.cli.ctl.exits import Exit
from zetcd.cli.ctl.user import arguments
from zetcd.wire.auth import (
    AuthDisableRequest,
    AuthEnableRequest,
    AuthStatusRequest,
    RoleAddRequest,
    UserGrantRoleRequest,
)

_ROOT = "root"


def enable(console: Console) -> None:
    """The auth enable command; the role root is made and granted where it is missing."""
    arguments(console, 0, "auth enable command does not accept any arguments")
    try:
        console.call(AuthEnableRequest())
    except Exit as exit_:
        if exit_.text != ROOT_ROLE_NOT_FOUND.message:
            raise
        console.call(RoleAddRequest(_ROOT))
        console.call(UserGrantRoleRequest(_ROOT, _ROOT))
        console.call(AuthEnableRequest())
    console.line("Authentication Enabled")


def disable(console: Console) -> None:
    """The auth disable command."""
    arguments(console, 0, "auth disable command does not accept any arguments")
    console.call(AuthDisableRequest())
    console.line("Authentication Disabled")


def status(console: Console) -> None:
    """The auth status command (etcdctl 3.5)."""
    arguments(console, 0, "auth status command does not accept any arguments")
    console.show("auth_status", console.call(AuthStatusRequest()))
