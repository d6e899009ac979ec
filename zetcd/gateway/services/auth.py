"""etcdserverpb.Auth."""

from typing import Any

from google.protobuf.message import Message

from zetcd.gateway.link import Link
from zetcd.gateway.rpc import Method
from zetcd.gateway.services.calls import Ask, same, unary
from zetcd.session.call import ALONE, POLICIES, Policy
from zetcd.wire import auth as asked
from zetcd.wire import client as wire
from zetcd_pb import rpc_pb2 as pb

SERVICE = "/etcdserverpb.Auth/"


def methods(link: Link) -> dict[str, Method]:
    """By path."""
    found: dict[str, Method] = {}
    for name, request, reply, op in _METHODS:
        policy = Policy(ALONE, POLICIES[op].repeatable)
        found[SERVICE + name] = unary(link, request, reply, _SPECIAL.get(name) or same(request, op), policy)
    return found


def _user_add(message: Any, token: str, leader: bool) -> wire.Request:
    return asked.UserAddRequest(
        name=message.name,
        password=message.password,
        options=asked.UserAddOptions(message.options.no_password) if message.HasField("options") else None,
        hashedPassword=message.hashedPassword,
        token=token,
        require_leader=leader,
    )


def _role_grant_permission(message: Any, token: str, leader: bool) -> wire.Request:
    perm = message.perm
    return asked.RoleGrantPermissionRequest(
        name=message.name,
        perm=asked.Permission(perm.permType, perm.key, perm.range_end) if message.HasField("perm") else None,
        token=token,
        require_leader=leader,
    )


_SPECIAL: dict[str, Ask] = {"UserAdd": _user_add, "RoleGrantPermission": _role_grant_permission}
_METHODS: tuple[tuple[str, type[Message], type[Message], type], ...] = (
    ("AuthEnable", pb.AuthEnableRequest, pb.AuthEnableResponse, asked.AuthEnableRequest),
    ("AuthDisable", pb.AuthDisableRequest, pb.AuthDisableResponse, asked.AuthDisableRequest),
    ("AuthStatus", pb.AuthStatusRequest, pb.AuthStatusResponse, asked.AuthStatusRequest),
    ("Authenticate", pb.AuthenticateRequest, pb.AuthenticateResponse, asked.AuthenticateRequest),
    ("UserAdd", pb.AuthUserAddRequest, pb.AuthUserAddResponse, asked.UserAddRequest),
    ("UserGet", pb.AuthUserGetRequest, pb.AuthUserGetResponse, asked.UserGetRequest),
    ("UserList", pb.AuthUserListRequest, pb.AuthUserListResponse, asked.UserListRequest),
    ("UserDelete", pb.AuthUserDeleteRequest, pb.AuthUserDeleteResponse, asked.UserDeleteRequest),
    ("UserChangePassword", pb.AuthUserChangePasswordRequest, pb.AuthUserChangePasswordResponse,
     asked.UserChangePasswordRequest),
    ("UserGrantRole", pb.AuthUserGrantRoleRequest, pb.AuthUserGrantRoleResponse, asked.UserGrantRoleRequest),
    ("UserRevokeRole", pb.AuthUserRevokeRoleRequest, pb.AuthUserRevokeRoleResponse, asked.UserRevokeRoleRequest),
    ("RoleAdd", pb.AuthRoleAddRequest, pb.AuthRoleAddResponse, asked.RoleAddRequest),
    ("RoleGet", pb.AuthRoleGetRequest, pb.AuthRoleGetResponse, asked.RoleGetRequest),
    ("RoleList", pb.AuthRoleListRequest, pb.AuthRoleListResponse, asked.RoleListRequest),
    ("RoleDelete", pb.AuthRoleDeleteRequest, pb.AuthRoleDeleteResponse, asked.RoleDeleteRequest),
    ("RoleGrantPermission", pb.AuthRoleGrantPermissionRequest, pb.AuthRoleGrantPermissionResponse,
     asked.RoleGrantPermissionRequest),
    ("RoleRevokePermission", pb.AuthRoleRevokePermissionRequest, pb.AuthRoleRevokePermissionResponse,
     asked.RoleRevokePermissionRequest),
)  # fmt: skip
