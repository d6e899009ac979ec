"""role add, delete, get, grant-permission, list, revoke-permission."""

from zetcd.cli.ctl.console import Console, octets
from zetcd.cli.ctl.exits import BAD_ARGS, Exit
from zetcd.cli.ctl.formats.schema import PERMISSIONS
from zetcd.cli.ctl.kv import prefix_end
from zetcd.cli.ctl.user import arguments, checked
from zetcd.wire.auth import (
    Permission,
    RoleAddRequest,
    RoleDeleteRequest,
    RoleGetRequest,
    RoleGrantPermissionRequest,
    RoleListRequest,
    RoleRevokePermissionRequest,
)

_TYPES = {name: number for number, name in PERMISSIONS.items()}
_OPEN_END = b"\0"


def add(console: Console) -> None:
    """The role add command."""
    role = arguments(console, 1, "role add command requires role name as its argument")[0]
    console.show("role_add", console.call(RoleAddRequest(role)) | {"role": role})


def delete(console: Console) -> None:
    """The role delete command."""
    role = arguments(console, 1, "role delete command requires role name as its argument")[0]
    console.show("role_delete", console.call(RoleDeleteRequest(role)) | {"role": role})


def get(console: Console) -> None:
    """The role get command."""
    role = arguments(console, 1, "role get command requires role name as its argument")[0]
    console.show("role_get", console.call(RoleGetRequest(role)) | {"role": role})


def show(console: Console) -> None:
    """The role list command."""
    arguments(console, 0, "role list command requires no arguments")
    console.show("roles", console.call(RoleListRequest()))


def grant_permission(console: Console) -> None:
    """The role grant-permission command."""
    if len(console.args) < 3:
        text = "role grant command requires role name, permission type, and key [endkey] as its argument"
        raise Exit(BAD_ARGS, text)
    role, kind, *keys = console.args
    permission = _TYPES.get(kind.upper())
    if permission is None:
        raise Exit(BAD_ARGS, f"invalid permission type: {kind}")
    request = RoleGrantPermissionRequest(checked(role), Permission(permission, *_range(console, keys)))
    console.show("role_grant", console.call(request) | {"role": role})


def revoke_permission(console: Console) -> None:
    """The role revoke-permission command."""
    if len(console.args) < 2:
        text = "role revoke-permission command requires role name and key [endkey] as its argument"
        raise Exit(BAD_ARGS, text)
    role, *keys = console.args
    key, end = _range(console, keys)
    reply = console.call(RoleRevokePermissionRequest(checked(role), key, end))
    console.show("role_revoke", reply | {"role": role, "key": octets(keys[0]), "range_end": end})


def _range(console: Console, keys: list[str]) -> tuple[bytes, bytes]:
    """A permission's range. Raises Exit."""
    prefix, from_key = console.parsed.on("prefix"), console.parsed.on("from-key")
    key, *ends = [octets(word) for word in keys]
    if not ends or not key:
        if prefix and from_key:
            raise Exit(BAD_ARGS, "--from-key and --prefix flags are mutually exclusive")
        if not key:  # no permission begins there: all keys are those from the lowest on
            return _OPEN_END, _OPEN_END if prefix or from_key else b""
        return key, prefix_end(key) if prefix else _OPEN_END if from_key else b""
    for name, on in (("prefix", prefix), ("from-key", from_key)):
        if on:
            raise Exit(BAD_ARGS, f"unexpected endkey argument with --{name} flag")
    return key, ends[0]
