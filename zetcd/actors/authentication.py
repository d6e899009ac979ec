"""The ops of etcd's Auth service. Users and roles are kept; nothing is enforced: authentication cannot be enabled yet.

Shaped like those of `operations`: ``op(actor, ticket, index, request)``. Changes go through the log and make no
revision of the store. A password is hashed first (`hashing`), so that neither the log nor the store ever holds it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from msgspec import structs

from zetcd.actors.calls import Call, header_only_done
from zetcd.base import errors
from zetcd.base.errors import Error
from zetcd.service import replies, users
from zetcd.wire import auth
from zetcd.wire import client as api
from zetcd.wire.entry import (
    ROOT,
    AuthCommand,
    RoleDelete,
    RoleRevokePermission,
    UserAdd,
    UserChangePassword,
    UserDelete,
    UserGrantRole,
    UserRevokeRole,
)
from zetcd.wire.queries import AuthStatus, Query, RoleInfo, RoleList, UserInfo, UserList

if TYPE_CHECKING:
    from collections.abc import Callable

    from zetcd.actors.api_actor import ApiActor
    from zetcd.actors.clients import Ticket
    from zetcd.wire.results import AuthIs, Failed, Named, Permitted


def _change(actor: ApiActor, ticket: Ticket, index: int, command: AuthCommand | Error) -> None:
    if isinstance(command, Error):
        actor.refuse(ticket, index, command)
    else:
        actor.write(Call(ticket, index, header_only_done, command), command, len(replies.encode(command)))


# -- authentication itself -----------------------------------------------------------------------------------------
def auth_enable(actor: ApiActor, ticket: Ticket, index: int, _request: auth.AuthEnableRequest) -> None:
    """Auth.AuthEnable: etcd's complaints, and where it has none, that it comes later."""
    query = UserInfo(ROOT)

    def done(actor: ApiActor, call: Call, result: Named) -> None:
        ready = ROOT in result.names
        actor.refuse(call.ticket, call.index, errors.AUTH_LATER if ready else errors.ROOT_ROLE_NOT_FOUND)

    def failed(call: Call, failed: Failed) -> None:
        error = Error(failed.code, failed.message)
        missing = error == errors.USER_NOT_FOUND
        actor.refuse(call.ticket, call.index, errors.ROOT_USER_NOT_FOUND if missing else error)

    actor.read(Call(ticket, index, done, query, linearizable=True, on_failed=failed), query)


def auth_disable(actor: ApiActor, ticket: Ticket, index: int, _request: auth.AuthDisableRequest) -> None:
    """Auth.AuthDisable: it is disabled."""
    actor.answer(ticket, index, {"header": actor.header(actor.revision)})


def auth_status_done(actor: ApiActor, call: Call, result: AuthIs) -> None:
    """AuthStatusResponse."""
    reply = {"header": actor.header(result.revision), "enabled": False, "authRevision": result.auth_revision}
    actor.answer(call.ticket, call.index, reply)


def authenticate(actor: ApiActor, ticket: Ticket, index: int, _request: auth.AuthenticateRequest) -> None:
    """Auth.Authenticate."""
    actor.refuse(ticket, index, errors.AUTH_NOT_ENABLED)


# -- users ---------------------------------------------------------------------------------------------------------
def user_add(actor: ApiActor, ticket: Ticket, index: int, request: auth.UserAddRequest) -> None:
    """Auth.UserAdd."""
    command = users.user_add(request)
    if isinstance(command, Error) or command.no_password:
        _change(actor, ticket, index, command)
    else:
        actor.hashing.hash(ticket, index, request.password, partial(_with_hash, actor, ticket, index, command))


def user_change_password(actor: ApiActor, ticket: Ticket, index: int, request: auth.UserChangePasswordRequest) -> None:
    """Auth.UserChangePassword."""
    command = users.user_change_password(request)
    if isinstance(command, Error) or not request.password:
        _change(actor, ticket, index, command)
    else:
        actor.hashing.hash(ticket, index, request.password, partial(_with_hash, actor, ticket, index, command))


def _with_hash(
    actor: ApiActor, ticket: Ticket, index: int, command: UserAdd | UserChangePassword, hashed: bytes
) -> None:
    _change(actor, ticket, index, structs.replace(command, password_hash=hashed))


def user_delete(actor: ApiActor, ticket: Ticket, index: int, request: auth.UserDeleteRequest) -> None:
    """Auth.UserDelete."""
    _change(actor, ticket, index, UserDelete(request.name))


def user_grant_role(actor: ApiActor, ticket: Ticket, index: int, request: auth.UserGrantRoleRequest) -> None:
    """Auth.UserGrantRole."""
    _change(actor, ticket, index, UserGrantRole(request.user, request.role))


def user_revoke_role(actor: ApiActor, ticket: Ticket, index: int, request: auth.UserRevokeRoleRequest) -> None:
    """Auth.UserRevokeRole."""
    _change(actor, ticket, index, UserRevokeRole(request.name, request.role))


# -- roles ---------------------------------------------------------------------------------------------------------
def role_add(actor: ApiActor, ticket: Ticket, index: int, request: auth.RoleAddRequest) -> None:
    """Auth.RoleAdd."""
    _change(actor, ticket, index, users.role_add(request))


def role_delete(actor: ApiActor, ticket: Ticket, index: int, request: auth.RoleDeleteRequest) -> None:
    """Auth.RoleDelete."""
    _change(actor, ticket, index, RoleDelete(request.role))


def role_grant_permission(
    actor: ApiActor, ticket: Ticket, index: int, request: auth.RoleGrantPermissionRequest
) -> None:
    """Auth.RoleGrantPermission."""
    _change(actor, ticket, index, users.role_grant_permission(request))


def role_revoke_permission(
    actor: ApiActor, ticket: Ticket, index: int, request: auth.RoleRevokePermissionRequest
) -> None:
    """Auth.RoleRevokePermission."""
    _change(actor, ticket, index, RoleRevokePermission(request.role, request.key, request.range_end))


# -- reading -------------------------------------------------------------------------------------------------------
def _reads(ask: Callable[..., Query], done: Callable[..., None]) -> Callable[..., None]:
    """An op that asks this of the store, linearizable: in etcd such reads are entries of the log."""

    def op(actor: ApiActor, ticket: Ticket, index: int, request: api.Request) -> None:
        query = ask(request)
        actor.read(Call(ticket, index, done, query, linearizable=True), query)

    return op


def named_done(field: str, actor: ApiActor, call: Call, result: Named) -> None:
    """AuthUserGetResponse, AuthUserListResponse, AuthRoleListResponse."""
    actor.answer(call.ticket, call.index, {"header": actor.header(result.revision), field: result.names})


def role_get_done(actor: ApiActor, call: Call, result: Permitted) -> None:
    """AuthRoleGetResponse."""
    perm = [auth.Permission(*grant) for grant in result.grants]
    actor.answer(call.ticket, call.index, {"header": actor.header(result.revision), "perm": perm})


OPERATIONS: dict[type, Callable[..., None]] = {
    auth.AuthEnableRequest: auth_enable,
    auth.AuthDisableRequest: auth_disable,
    auth.AuthStatusRequest: _reads(lambda _: AuthStatus(), auth_status_done),
    auth.AuthenticateRequest: authenticate,
    auth.UserAddRequest: user_add,
    auth.UserGetRequest: _reads(lambda request: UserInfo(request.name), partial(named_done, "roles")),
    auth.UserListRequest: _reads(lambda _: UserList(), partial(named_done, "users")),
    auth.UserDeleteRequest: user_delete,
    auth.UserChangePasswordRequest: user_change_password,
    auth.UserGrantRoleRequest: user_grant_role,
    auth.UserRevokeRoleRequest: user_revoke_role,
    auth.RoleAddRequest: role_add,
    auth.RoleGetRequest: _reads(lambda request: RoleInfo(request.role), role_get_done),
    auth.RoleListRequest: _reads(lambda _: RoleList(), partial(named_done, "roles")),
    auth.RoleDeleteRequest: role_delete,
    auth.RoleGrantPermissionRequest: role_grant_permission,
    auth.RoleRevokePermissionRequest: role_revoke_permission,
}
