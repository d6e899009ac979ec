"""user add, delete, get, grant-role, list, passwd, revoke-role."""

import sys

from zetcd.cli.ctl.console import Console
from zetcd.cli.ctl.exits import BAD_ARGS, Exit
from zetcd.wire.auth import (
    RoleGetRequest,
    UserAddOptions,
    UserAddRequest,
    UserChangePasswordRequest,
    UserDeleteRequest,
    UserGetRequest,
    UserGrantRoleRequest,
    UserListRequest,
    UserRevokeRoleRequest,
)


def add(console: Console) -> None:
    """The user add command."""
    name = arguments(console, 1, "user add command requires user name as its argument")[0]
    password = ""
    no_password = console.parsed.on("no-password")
    if not no_password:
        password = console.parsed.text("new-user-password")
        if not password:
            name, colon, password = name.partition(":")
            if colon and not name:
                raise Exit(BAD_ARGS, "empty user name is not allowed")
            if not colon:
                password = new_password(console, name)
    request = UserAddRequest(name, password, UserAddOptions(no_password))
    console.show("user_add", console.call(request) | {"name": name})


def delete(console: Console) -> None:
    """The user delete command."""
    name = arguments(console, 1, "user delete command requires user name as its argument")[0]
    console.show("user_delete", console.call(UserDeleteRequest(name)) | {"name": name})


def get(console: Console) -> None:
    """The user get command."""
    name = arguments(console, 1, "user get command requires user name as its argument")[0]
    reply = console.call(UserGetRequest(name))
    if not console.parsed.on("detail"):
        console.show("user_get", reply | {"name": name})
        return
    console.line(f"User: {name}")
    for role in reply.get("roles", ()):
        console.line("")
        console.show("role_get", console.call(RoleGetRequest(role)) | {"role": role})


def show(console: Console) -> None:
    """The user list command."""
    arguments(console, 0, "user list command requires no arguments")
    console.show("users", console.call(UserListRequest()))


def passwd(console: Console) -> None:
    """The user passwd command."""
    name = arguments(console, 1, "user passwd command requires user name as its argument")[0]
    request = UserChangePasswordRequest(name, new_password(console, name))
    console.show("user_password", console.call(request))


def grant_role(console: Console) -> None:
    """The user grant-role command."""
    text = "user grant command requires user name and role name as its argument"
    user, role = arguments(console, 2, text)
    reply = console.call(UserGrantRoleRequest(user, role))
    console.show("user_grant", reply | {"user": user, "role": role})


def revoke_role(console: Console) -> None:
    """The user revoke-role command."""
    user, role = arguments(console, 2, "user revoke-role requires user name and role name as its argument")
    reply = console.call(UserRevokeRoleRequest(user, role))
    console.show("user_revoke", reply | {"user": user, "role": role})


def arguments(console: Console, count: int, complaint: str) -> list[str]:
    """So many of them. Raises Exit with this complaint, or where one is not UTF-8, as names are."""
    if len(console.args) != count:
        raise Exit(BAD_ARGS, complaint)
    for word in console.args:
        checked(word)
    return console.args


def checked(name: str) -> str:
    """A name as messages can hold it. Raises Exit."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise Exit(BAD_ARGS, "names are UTF-8") from None
    return name


def new_password(console: Console, name: str) -> str:
    """Asked for twice, or with --interactive=false the first word of the input. Raises Exit."""
    if not console.parsed.on("interactive"):
        words = sys.stdin.readline().split()
        return checked(words[0]) if words else ""
    password = _asked(console, f"Password of {name}: ")
    if not password:
        raise Exit(BAD_ARGS, "empty password")
    if _asked(console, f"Type password of {name} again for confirmation: ") != password:
        raise Exit(BAD_ARGS, "given passwords are different")
    return password


def _asked(console: Console, prompt: str) -> str:
    """A line of the input; a terminal does not show it."""
    console.write(prompt.encode("utf-8", "surrogateescape"))
    if not sys.stdin.isatty():
        return checked(sys.stdin.readline().rstrip("\n"))
    import termios

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    quiet = termios.tcgetattr(descriptor)
    quiet[3] &= ~termios.ECHO
    try:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, quiet)
        return checked(sys.stdin.readline().rstrip("\n"))
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
        console.line("")
