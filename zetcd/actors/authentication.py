"""The ops of etcd's Auth service while authentication does not exist: what etcd answers with it off and without users.

Nothing is kept, so what would have to be (users, roles) is refused as unimplemented, whatever it names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zetcd.base import errors
from zetcd.base.errors import Error
from zetcd.wire import auth
from zetcd.wire import client as api

if TYPE_CHECKING:
    from collections.abc import Callable

    from zetcd.actors.api_actor import ApiActor
    from zetcd.actors.clients import Ticket

AUTH_REVISION = 1
"""Of a store in which no user or role was ever made."""


def _says(**fields: object) -> Callable[..., None]:
    """An op that is answered with these fields."""

    def op(actor: ApiActor, ticket: Ticket, index: int, _request: api.Request) -> None:
        actor.answer(ticket, index, {"header": actor.header(actor.revision), **fields})

    return op


def _refuses(error: Error) -> Callable[..., None]:
    """An op that is refused."""

    def op(actor: ApiActor, ticket: Ticket, index: int, _request: api.Request) -> None:
        actor.refuse(ticket, index, error)

    return op


def user_add(actor: ApiActor, ticket: Ticket, index: int, request: auth.UserAddRequest) -> None:
    """Auth.UserAdd."""
    actor.refuse(ticket, index, errors.AUTH_LATER if request.name else errors.USER_EMPTY)


def role_add(actor: ApiActor, ticket: Ticket, index: int, request: auth.RoleAddRequest) -> None:
    """Auth.RoleAdd."""
    actor.refuse(ticket, index, errors.AUTH_LATER if request.name else errors.ROLE_EMPTY)


def role_grant_permission(
    actor: ApiActor, ticket: Ticket, index: int, request: auth.RoleGrantPermissionRequest
) -> None:
    """Auth.RoleGrantPermission."""
    actor.refuse(ticket, index, errors.ROLE_NOT_FOUND if request.perm else errors.PERMISSION_NOT_GIVEN)


OPERATIONS: dict[type, Callable[..., None]] = {
    auth.AuthEnableRequest: _refuses(errors.ROOT_USER_NOT_FOUND),
    auth.AuthDisableRequest: _says(),
    auth.AuthStatusRequest: _says(enabled=False, authRevision=AUTH_REVISION),
    auth.AuthenticateRequest: _refuses(errors.AUTH_NOT_ENABLED),
    auth.UserAddRequest: user_add,
    auth.UserListRequest: _says(users=[]),
    **dict.fromkeys(
        (
            auth.UserGetRequest,
            auth.UserDeleteRequest,
            auth.UserChangePasswordRequest,
            auth.UserGrantRoleRequest,
            auth.UserRevokeRoleRequest,
        ),
        _refuses(errors.USER_NOT_FOUND),
    ),
    auth.RoleAddRequest: role_add,
    auth.RoleListRequest: _says(roles=[]),
    **dict.fromkeys(
        (auth.RoleGetRequest, auth.RoleDeleteRequest, auth.RoleRevokePermissionRequest), _refuses(errors.ROLE_NOT_FOUND)
    ),
    auth.RoleGrantPermissionRequest: role_grant_permission,
}
