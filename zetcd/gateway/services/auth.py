"""etcdserverpb.Auth."""

from typing import Any

from google.protobuf.message import Message

from zetcd.gateway.link import Link
from zetcd.gateway.rpc import Method
from zetcd.gateway.services.calls import Ask, same, unary
from zetcd.session.call import ALONE, POLICIES, Policy
from zetcd.wire import client as wire
from zetcd_pb import rpc_pb2 as pb

SERVICE = "/etcdserverpb.Auth/"


def methods(link: Link) -> dict[str, Method]:
    """By path."""
    found: dict[str, Method] = {}
    for name, request, reply, asked in _METHODS:
        policy = Policy(ALONE, POLICIES[asked].repeatable)
        found[SERVICE + name] = unary(link, request, reply, _SPECIAL.get(name) or same(request, asked), policy)
    return found


def _user_add(message: Any, token: str, leader: bool) -> wire.Request:
    return wire.UserAddRequest(
        name=message.name,
        password=message.password,
        options=wire.UserAddOptions(message.options.no_password) if message.HasField("options") else None,
        hashedPassword=message.hashedPassword,
        token=token,
        require_leader=leader,
    )


def _role_grant_permission(message: Any, token: str, leader: bool) -> wire.Request:
    perm = message.perm
    return wire.RoleGrantPermissionRequest(
        name=message.name,
        perm=wire.Permission(perm.permType, perm.key, perm.range_end) if message.HasField("perm") else None,
        token=token,
        require_leader=leader,
    )


_SPECIAL: dict[str, Ask] = {"UserAdd": _user_add, "RoleGrantPermission": _role_grant_permission}
_METHODS: tuple[tuple[str, type[Message], type[Message], type], ...] = (
    ("AuthEnable", pb.AuthEnableRequest, pb.AuthEnableResponse, wire.AuthEnableRequest),
    ("AuthDisable", pb.AuthDisableRequest, pb.AuthDisableResponse, wire.AuthDisableRequest),
    ("AuthStatus", pb.AuthStatusRequest, pb.AuthStatusResponse, wire.AuthStatusRequest),
    ("Authenticate", pb.AuthenticateRequest, pb.AuthenticateResponse, wire.AuthenticateRequest),
    ("UserAdd", pb.AuthUserAddRequest, pb.AuthUserAddResponse, wire.UserAddRequest),
    ("UserGet", pb.AuthUserGetRequest, pb.AuthUserGetResponse, wire.UserGetRequest),
    ("UserList", pb.AuthUserListRequest, pb.AuthUserListResponse, wire.UserListRequest),
    ("UserDelete", pb.AuthUserDeleteRequest, pb.AuthUserDeleteResponse, wire.UserDeleteRequest),
    ("UserChangePassword", pb.AuthUserChangePasswordRequest, pb.AuthUserChangePasswordResponse,
     wire.UserChangePasswordRequest),
    ("UserGrantRole", pb.AuthUserGrantRoleRequest, pb.AuthUserGrantRoleResponse, wire.UserGrantRoleRequest),
    ("UserRevokeRole", pb.AuthUserRevokeRoleRequest, pb.AuthUserRevokeRoleResponse, wire.UserRevokeRoleRequest),
    ("RoleAdd", pb.AuthRoleAddRequest, pb.AuthRoleAddResponse, wire.RoleAddRequest),
    ("RoleGet", pb.AuthRoleGetRequest, pb.AuthRoleGetResponse, wire.RoleGetRequest),
    ("RoleList", pb.AuthRoleListRequest, pb.AuthRoleListResponse, wire.RoleListRequest),
    ("RoleDelete", pb.AuthRoleDeleteRequest, pb.AuthRoleDeleteResponse, wire.RoleDeleteRequest),
    ("RoleGrantPermission", pb.AuthRoleGrantPermissionRequest, pb.AuthRoleGrantPermissionResponse,
     wire.RoleGrantPermissionRequest),
    ("RoleRevokePermission", pb.AuthRoleRevokePermissionRequest, pb.AuthRoleRevokePermissionResponse,
     wire.RoleRevokePermissionRequest),
)  # fmt: skip
