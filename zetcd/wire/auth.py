"""What a client asks of etcd's Auth service; see `zetcd.wire.client`."""

from msgspec import Struct

from zetcd.wire.request import ClientRequest


class AuthEnableRequest(ClientRequest, frozen=True, tag="auth_enable", gc=False):
    """etcd Auth.AuthEnable."""

    token: str = ""


class AuthDisableRequest(ClientRequest, frozen=True, tag="auth_disable", gc=False):
    """etcd Auth.AuthDisable."""

    token: str = ""


class AuthStatusRequest(ClientRequest, frozen=True, tag="auth_status", gc=False):
    """etcd Auth.AuthStatus."""

    token: str = ""


class AuthenticateRequest(ClientRequest, frozen=True, tag="authenticate", gc=False):
    """etcd Auth.Authenticate."""

    name: str = ""
    password: str = ""
    token: str = ""


class UserAddOptions(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """etcd UserAddOptions."""

    no_password: bool = False


class UserAddRequest(ClientRequest, frozen=True, tag="user_add", gc=False):
    """etcd Auth.UserAdd."""

    name: str = ""
    password: str = ""
    options: UserAddOptions | None = None
    hashedPassword: str = ""
    token: str = ""


class UserGetRequest(ClientRequest, frozen=True, tag="user_get", gc=False):
    """etcd Auth.UserGet."""

    name: str = ""
    token: str = ""


class UserListRequest(ClientRequest, frozen=True, tag="user_list", gc=False):
    """etcd Auth.UserList."""

    token: str = ""


class UserDeleteRequest(ClientRequest, frozen=True, tag="user_delete", gc=False):
    """etcd Auth.UserDelete."""

    name: str = ""
    token: str = ""


class UserChangePasswordRequest(ClientRequest, frozen=True, tag="user_change_password", gc=False):
    """etcd Auth.UserChangePassword."""

    name: str = ""
    password: str = ""
    hashedPassword: str = ""
    token: str = ""


class UserGrantRoleRequest(ClientRequest, frozen=True, tag="user_grant_role", gc=False):
    """etcd Auth.UserGrantRole."""

    user: str = ""
    role: str = ""
    token: str = ""


class UserRevokeRoleRequest(ClientRequest, frozen=True, tag="user_revoke_role", gc=False):
    """etcd Auth.UserRevokeRole; the user is in ``name`` here."""

    name: str = ""
    role: str = ""
    token: str = ""


class RoleAddRequest(ClientRequest, frozen=True, tag="role_add", gc=False):
    """etcd Auth.RoleAdd."""

    name: str = ""
    token: str = ""


class RoleGetRequest(ClientRequest, frozen=True, tag="role_get", gc=False):
    """etcd Auth.RoleGet."""

    role: str = ""
    token: str = ""


class RoleListRequest(ClientRequest, frozen=True, tag="role_list", gc=False):
    """etcd Auth.RoleList."""

    token: str = ""


class RoleDeleteRequest(ClientRequest, frozen=True, tag="role_delete", gc=False):
    """etcd Auth.RoleDelete."""

    role: str = ""
    token: str = ""


class Permission(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """etcd authpb.Permission: permType READ 0, WRITE 1, READWRITE 2 on the keys [key, range_end)."""

    permType: int = 0
    key: bytes = b""
    range_end: bytes = b""


class RoleGrantPermissionRequest(ClientRequest, frozen=True, tag="role_grant_permission", gc=False):
    """etcd Auth.RoleGrantPermission."""

    name: str = ""
    perm: Permission | None = None
    token: str = ""


class RoleRevokePermissionRequest(ClientRequest, frozen=True, tag="role_revoke_permission", gc=False):
    """etcd Auth.RoleRevokePermission."""

    role: str = ""
    key: bytes = b""
    range_end: bytes = b""
    token: str = ""


AuthRequest = (
    AuthEnableRequest
    | AuthDisableRequest
    | AuthStatusRequest
    | AuthenticateRequest
    | UserAddRequest
    | UserGetRequest
    | UserListRequest
    | UserDeleteRequest
    | UserChangePasswordRequest
    | UserGrantRoleRequest
    | UserRevokeRoleRequest
    | RoleAddRequest
    | RoleGetRequest
    | RoleListRequest
    | RoleDeleteRequest
    | RoleGrantPermissionRequest
    | RoleRevokePermissionRequest
)
