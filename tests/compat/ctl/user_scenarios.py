"""Users and roles: every verb, the same command lines on either side."""

from tests.compat.ctl.sides import Side


def users_and_roles(side: Side) -> None:
    """Every verb in every format, and what etcd refuses. Leaves nothing behind."""
    for form in side.formats:
        _one_user_and_role(side, form)
    side.quiet("role", "add", "r1")
    side.quiet("role", "add", "r2")
    side.run("role", "add", "r1")
    for words in (
        "u1:pw1", "u2 --new-user-password pw2", "u3 --no-password", "u3 --no-password", "u1:other",
        f"{'n' * 256} --no-password",
    ):  # fmt: skip
        side.run("user", "add", *words.split(), label=f"user add {words}{len(side.steps)}")
    side.run("user", "add", "u4", "--interactive=false", stdin="pw4\n")
    _permissions(side)
    for words in (
        "grant-role u1 r1", "grant-role u1 r1", "grant-role u1 r2", "grant-role u1 root", "grant-role u2 r1",
        "grant-role u1 none", "grant-role nobody r1", "grant-role u1", "get u1", "get u1 --detail", "get none --detail",
        "revoke-role u1 none", "revoke-role u1 r2", "revoke-role u1 r2", "revoke-role nobody r1", "get u1",
    ):  # fmt: skip
        side.run("user", *words.split(), label=f"user {words} #{len(side.steps)}")
    side.run("role", "delete", "r1", label="role delete r1 that two users hold")
    for name in ("u1", "u2", "u3"):
        side.run("user", "get", name, label=f"user get {name} without it")
    side.run("user", "passwd", "u1", "--interactive=false", stdin="new\n")
    side.run("user", "passwd", "u3", "--interactive=false", stdin="new\n")
    side.run("user", "list", label="user list of five")
    for name in ("u1", "u2", "u3", "u4", "u4", "n" * 256):
        side.run("user", "delete", name, label=f"user delete {name} #{len(side.steps)}")
    side.run("role", "delete", "r2")
    side.run("role", "list", label="role list of none")
    side.run("user", "list", label="user list of none")


def _one_user_and_role(side: Side, form: str) -> None:
    for words in (
        "role add r", "role grant-permission r readwrite k", "role grant-permission r read a z", "role get r",
        "role list", "user add u:p", "user grant-role u r", "user get u", "user list",
        "role revoke-permission r k", "user revoke-role u r", "user delete u", "role delete r",
    ):  # fmt: skip
        side.run(*words.split(), "-w", form)
    side.run("user", "add", "u", "--no-password", "-w", form)
    if form != "protobuf":  # a message in the middle of a text
        side.run("user", "get", "u", "--detail", "-w", form)
    side.run("user", "passwd", "u", "--interactive=false", "-w", form, stdin="p\n")
    side.run("user", "delete", "u", "-w", form, label=f"user delete u again -w {form}")


def _permissions(side: Side) -> None:
    """Of role r1: ranges of all kinds, granted twice, of another type, and taken back."""
    for words in (
        "read foo", "read foo", "write foo", "readwrite foo foz", "write --prefix pfx/", "read --from-key zzz",
        "read --prefix pfx/ more", "read --prefix --from-key pfx/", "read a b c", "read", "bogus foo", "READ up",
    ):  # fmt: skip
        side.run("role", "grant-permission", "r1", *words.split(), label=f"grant r1 {words} #{len(side.steps)}")
    for flag in ("--prefix", "--from-key"):
        side.run("role", "grant-permission", "r2", "readwrite", "", flag)
        side.run("role", "get", "r2", label=f"role get r2 of {flag}")
        side.run("role", "revoke-permission", "r2", "", flag)
    for number, (start, end) in enumerate(BACKWARDS):
        side.run("role", "grant-permission", "r2", "read", start, end, label=f"grant of nothing {number}")
        side.run("role", "get", "r2", label=f"role get of nothing {number}")
        side.run("role", "revoke-permission", "r2", start, end, label=f"revoke of nothing {number}")
    side.run("role", "get", "r1", label="role get r1 before")
    for words in ("foo foz", "foo foz", "foo", "--prefix pfx/", "--from-key zzz", "zzz", "", "a b c"):
        side.run("role", "revoke-permission", "r1", *words.split(), label=f"revoke r1 {words} #{len(side.steps)}")
    side.run("role", "get", "r1", label="role get r1 after")


BACKWARDS = (("b", "a"), ("b", "b"))
"""Ranges that hold no key."""


def a_range_twice(side: Side) -> None:
    """Granted again where another range begins at the same key."""
    side.quiet("role", "add", "twice")
    for words in ("read foo", "read foo foz", "write foo foz"):
        side.run("role", "grant-permission", "twice", *words.split())
    side.run("role", "get", "twice", "-w", "json")
    side.run("role", "revoke-permission", "twice", "foo", "foz")
    side.run("role", "get", "twice", "-w", "json", label="role get twice afterwards")
    side.run("role", "delete", "twice")


def without_users(side: Side) -> None:
    """Every verb while nobody and nothing is there, and with arguments that are none."""
    for form in side.formats:
        for words in ("role list", "user list", "role get nobody", "user get nobody"):
            side.run(*words.split(), "-w", form)
        side.run("auth", "disable", "-w", form, label=f"auth disable as {form}")  # says a sentence in any of them
    for words in (
        "auth enable", "auth enable now", "auth disable now", "role add", "role add a b", "role delete",
        "role delete nobody", "role get", "role list all", "role grant-permission nobody read foo",
        "role grant-permission nobody read", "role grant-permission nobody bogus foo",
        "role revoke-permission nobody foo", "role revoke-permission nobody", "user add", "user add a b", "user delete",
        "user delete nobody", "user get", "user get nobody --detail", "user list all", "user grant-role nobody r",
        "user grant-role nobody", "user revoke-role nobody r", "user revoke-role nobody", "user passwd",
    ):  # fmt: skip
        side.run(*words.split())
    side.run("user", "add", "", "--no-password")
    side.run("user", "add", ":x")
    side.run("role", "add", "")
    side.run("user", "passwd", "nobody", "--interactive=false", stdin="new\n")


USERS = (without_users, users_and_roles, a_range_twice)
