"""Users and roles as replicated state: rows of the meta table, also held in memory. Nothing is enforced by them yet.

Rows: ``user/`` + name -> MessagePack [bcrypt hash, roles ascending, no password]; ``role/`` + name -> MessagePack list
of (permission, key, range_end), by key; ``auth/revision`` -> u64. Names are UTF-8.

The rules are etcd's (`server/auth/store.go` behaviour): the first complaint is the one the client reads, each change
raises the auth revision by one, a role that a user has already changes nothing. The role root may be granted without
being there. One rule is stricter: a range stands in a role once, where etcd adds it again if another range begins at
the same key.
"""

from bisect import bisect_left, insort
from collections.abc import Callable
from struct import Struct
from typing import Any, TypeVar

import msgspec

from zetcd.base import limits
from zetcd.base.errors import (
    AUTH_FULL,
    PERMISSION_NOT_GRANTED,
    ROLE_EXISTS,
    ROLE_NOT_FOUND,
    ROLE_NOT_GRANTED,
    USER_EXISTS,
    USER_NOT_FOUND,
    Error,
)
from zetcd.mvcc.keys import successor
from zetcd.mvcc.overlay import Overlay
from zetcd.mvcc.scan import Scan
from zetcd.wire.entry import (
    ROOT,
    AuthCommand,
    RoleAdd,
    RoleDelete,
    RoleGrantPermission,
    RoleRevokePermission,
    UserAdd,
    UserChangePassword,
    UserDelete,
    UserGrantRole,
    UserRevokeRole,
)
from zetcd.wire.results import Grant

USER, ROLE, AUTH_REVISION = b"user/", b"role/", b"auth/revision"
FIRST_REVISION = 1
"""The auth revision of a store in which no user or role was ever made."""

_revision = Struct(">Q")


class User(msgspec.Struct, frozen=True, array_like=True):
    """password_hash: empty where no password fits."""

    password_hash: bytes
    roles: list[str]
    no_password: bool = False


Role = list[Grant]

_encode = msgspec.msgpack.Encoder().encode
_user = msgspec.msgpack.Decoder(User).decode
_role = msgspec.msgpack.Decoder(Role).decode

T = TypeVar("T", User, Role)


def user_of(key: bytes, row: bytes) -> tuple[str, User]:
    """A stored user; key as in the meta table."""
    return key[len(USER) :].decode(), _user(row)


def role_of(key: bytes, row: bytes) -> tuple[str, Role]:
    """A stored role."""
    return key[len(ROLE) :].decode(), _role(row)


def revision_of(row: bytes | None) -> int:
    """The stored auth revision; None: there is none yet."""
    revision: int = FIRST_REVISION if row is None else _revision.unpack(row)[0]
    return revision


class Users:
    """All users and roles. revision: etcd's auth revision."""

    __slots__ = ("_bytes", "_changed", "_changes", "_meta", "_roles", "_users", "revision")

    def __init__(self, overlay: Overlay) -> None:
        self._meta = meta = overlay.meta
        self.revision = revision_of(meta.get(AUTH_REVISION))
        users, roles = list(meta.all(USER, successor(USER))), list(meta.all(ROLE, successor(ROLE)))
        self._users: dict[str, User] = dict(user_of(*pair) for pair in users)
        self._roles: dict[str, Role] = dict(role_of(*pair) for pair in roles)
        self._changed = False  # by the command being carried out
        self._bytes = sum(len(key) + len(row) for pairs in (users, roles) for key, row in pairs)
        self._changes: dict[type, Callable[[Any], Error | None]] = {
            UserAdd: self._user_add,
            UserDelete: self._user_delete,
            UserChangePassword: self._user_change_password,
            UserGrantRole: self._user_grant_role,
            UserRevokeRole: self._user_revoke_role,
            RoleAdd: self._role_add,
            RoleDelete: self._role_delete,
            RoleGrantPermission: self._role_grant_permission,
            RoleRevokePermission: self._role_revoke_permission,
        }

    # -- reading ---------------------------------------------------------------------------------------------------
    def names(self) -> list[str]:
        """Of all users, ascending."""
        return sorted(self._users)

    def role_names(self) -> list[str]:
        """Of all roles, ascending."""
        return sorted(self._roles)

    def roles_of(self, user: str) -> list[str] | None:
        """Ascending; None where there is no such user."""
        found = self._users.get(user)
        return None if found is None else found.roles

    def grants_of(self, role: str) -> list[Grant] | None:
        """By key; None where there is no such role."""
        return self._roles.get(role)

    def scans(self) -> list[Scan]:
        """Everything as it is stored, in one order on all members."""
        return [self._meta.scan(prefix, successor(prefix)) for prefix in (AUTH_REVISION, ROLE, USER)]

    # -- changes ---------------------------------------------------------------------------------------------------
    def change(self, command: AuthCommand) -> Error | None:
        """Carry out a committed change, or say why it does not hold."""
        self._changed = False
        error = self._changes[type(command)](command)
        if self._changed:
            self.revision += 1
            self._meta.put(AUTH_REVISION, _revision.pack(self.revision))
        return error

    def _user_add(self, add: UserAdd) -> Error | None:
        if add.name in self._users:
            return USER_EXISTS
        return self._set_user(add.name, User(add.password_hash, [], add.no_password))

    def _user_delete(self, delete: UserDelete) -> Error | None:
        if delete.name not in self._users:
            return USER_NOT_FOUND
        self._remove(self._users, USER, delete.name)
        return None

    def _user_change_password(self, change: UserChangePassword) -> Error | None:
        user = self._users.get(change.name)
        if user is None:
            return USER_NOT_FOUND
        password_hash = b"" if user.no_password else change.password_hash
        return self._set_user(change.name, User(password_hash, user.roles, user.no_password))

    def _user_grant_role(self, grant: UserGrantRole) -> Error | None:
        user = self._users.get(grant.user)
        if user is None:
            return USER_NOT_FOUND
        if grant.role != ROOT and grant.role not in self._roles:
            return ROLE_NOT_FOUND
        if grant.role in user.roles:
            return None
        return self._set_user(grant.user, _with_roles(user, sorted([*user.roles, grant.role])))

    def _user_revoke_role(self, revoke: UserRevokeRole) -> Error | None:
        user = self._users.get(revoke.user)
        if user is None:
            return USER_NOT_FOUND
        if revoke.role not in user.roles:
            return ROLE_NOT_GRANTED
        return self._set_user(revoke.user, _without_role(user, revoke.role))

    def _role_add(self, add: RoleAdd) -> Error | None:
        if add.name in self._roles:
            return ROLE_EXISTS
        return self._set_role(add.name, [])

    def _role_delete(self, delete: RoleDelete) -> Error | None:
        role = delete.name
        if role not in self._roles:
            return ROLE_NOT_FOUND
        self._remove(self._roles, ROLE, role)
        for name, user in self._users.items():
            if role in user.roles:
                self._write(self._users, USER, name, _without_role(user, role))
        return None

    def _role_grant_permission(self, grant: RoleGrantPermission) -> Error | None:
        role = self._roles.get(grant.role)
        if role is None:
            return ROLE_NOT_FOUND
        granted, at = (grant.permission, grant.key, grant.range_end), _place(role, grant.key, grant.range_end)
        changed = role.copy()
        if at < 0:
            insort(changed, granted, key=_key)
        else:
            changed[at] = granted
        return self._set_role(grant.role, changed)

    def _role_revoke_permission(self, revoke: RoleRevokePermission) -> Error | None:
        role = self._roles.get(revoke.role)
        if role is None:
            return ROLE_NOT_FOUND
        at = _place(role, revoke.key, revoke.range_end)
        return PERMISSION_NOT_GRANTED if at < 0 else self._set_role(revoke.role, role[:at] + role[at + 1 :])

    # -- rows ------------------------------------------------------------------------------------------------------
    def _set_user(self, name: str, user: User) -> Error | None:
        if name not in self._users and len(self._users) >= limits.USERS_MAX:
            return AUTH_FULL
        return self._write(self._users, USER, name, user)

    def _set_role(self, name: str, role: Role) -> Error | None:
        if name not in self._roles and len(self._roles) >= limits.ROLES_MAX:
            return AUTH_FULL
        return self._write(self._roles, ROLE, name, role)

    def _write(self, table: dict[str, T], prefix: bytes, name: str, record: T) -> Error | None:
        """What shrinks always finds room."""
        key, row = prefix + name.encode(), _encode(record)
        size, former = len(key) + len(row), self._size(key)
        if size > former and (
            size > limits.AUTH_RECORD_BYTES_MAX or self._bytes + size - former > limits.AUTH_BYTES_MAX
        ):
            return AUTH_FULL
        self._bytes += size - former
        table[name] = record
        self._meta.put(key, row)
        self._changed = True
        return None

    def _remove(self, table: dict[str, T], prefix: bytes, name: str) -> None:
        key = prefix + name.encode()
        self._bytes -= self._size(key)
        del table[name]
        self._meta.delete(key)
        self._changed = True

    def _size(self, key: bytes) -> int:
        row = self._meta.get(key)
        return 0 if row is None else len(key) + len(row)


def _key(grant: Grant) -> bytes:
    return grant[1]


def _place(role: Role, key: bytes, range_end: bytes) -> int:
    """Where a range stands in role; below 0: nowhere. A role may hold tens of thousands."""
    at = bisect_left(role, key, key=_key)
    while at < len(role) and role[at][1] == key:
        if role[at][2] == range_end:
            return at
        at += 1
    return -1


def _with_roles(user: User, roles: list[str]) -> User:
    return User(user.password_hash, roles, user.no_password)


def _without_role(user: User, role: str) -> User:
    return _with_roles(user, [each for each in user.roles if each != role])
