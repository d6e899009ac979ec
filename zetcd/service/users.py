"""From a request of the Auth service to the log command it means, or to etcd's error.

What has to be known of other users and roles is for apply to judge; here stands what a request says by itself.
Passwords are not in commands: `zetcd.actors.hashing` makes the hashes that are.
"""

from base64 import b64decode

from zetcd.base import errors, limits
from zetcd.base.errors import Error
from zetcd.wire import auth
from zetcd.wire.entry import PermissionType, RoleAdd, RoleGrantPermission, UserAdd, UserChangePassword

PERMISSION_TYPES = frozenset(PermissionType)
OPEN_END = b"\0"


def user_add(request: auth.UserAddRequest) -> UserAdd | Error:
    """Auth.UserAdd, its hash still missing. ``hashedPassword`` is overwritten by etcd's servers, and ignored here."""
    no_password = request.options is not None and request.options.no_password
    complaint = _complaint_of_name(request.name, errors.USER_EMPTY)
    if complaint is None and not no_password:
        complaint = _complaint_of_password(request.password)
    return complaint or UserAdd(request.name, no_password=no_password)


def user_change_password(request: auth.UserChangePasswordRequest) -> UserChangePassword | Error:
    """Auth.UserChangePassword, its hash still missing if there is a password. If there is none, ``hashedPassword`` (the
    hash in base64) counts, as in etcd 3.5; without that, too, no password fits any more."""
    if request.password:
        return _complaint_of_password(request.password) or UserChangePassword(request.name)
    try:
        return UserChangePassword(request.name, b64decode(request.hashedPassword, validate=True))
    except ValueError:
        return errors.NO_PASSWORD_USER


def role_add(request: auth.RoleAddRequest) -> RoleAdd | Error:
    """Auth.RoleAdd."""
    return _complaint_of_name(request.name, errors.ROLE_EMPTY) or RoleAdd(request.name)


def role_grant_permission(request: auth.RoleGrantPermissionRequest) -> RoleGrantPermission | Error:
    """Auth.RoleGrantPermission; as etcd since 3.5.30, ranges that hold no key are refused."""
    perm = request.perm
    if perm is None:
        return errors.PERMISSION_NOT_GIVEN
    if perm.permType not in PERMISSION_TYPES:
        return errors.invalid("permType is READ, WRITE or READWRITE")
    if not perm.key or (perm.range_end and perm.range_end != OPEN_END and perm.range_end <= perm.key):
        return errors.INVALID_AUTH_MANAGEMENT
    return RoleGrantPermission(request.name, perm.permType, perm.key, perm.range_end)


def _complaint_of_password(password: str) -> Error | None:
    """bcrypt would leave out what goes beyond, so that other passwords would fit as well."""
    return errors.PASSWORD_TOO_LONG if len(password.encode()) > limits.PASSWORD_BYTES_MAX else None


def _complaint_of_name(name: str, empty: Error) -> Error | None:
    if not name:
        return empty
    if len(name.encode()) > limits.AUTH_NAME_BYTES_MAX:
        return errors.invalid(f"a name has at most {limits.AUTH_NAME_BYTES_MAX} bytes")
    return None
