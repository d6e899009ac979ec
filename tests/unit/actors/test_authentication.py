"""The Auth service with authentication off: etcd's answers, in etcd's words."""

from typing import Any

import pytest

from tests.unit.actors.front import Front

NO_USER = (9, "etcdserver: user name not found")
NO_ROLE = (9, "etcdserver: role name not found")
LATER = (12, "zetcd: users and roles are not kept yet; authentication comes with a later version")


@pytest.mark.parametrize(
    ("op", "fields", "expected"),
    [
        ("auth_enable", {}, (9, "etcdserver: root user does not exist")),
        ("authenticate", {"name": "root", "password": "x"}, (9, "etcdserver: authentication is not enabled")),
        ("user_add", {"name": "u", "password": "x", "options": {"no_password": False}}, LATER),
        ("user_add", {}, (3, "etcdserver: user name is empty")),
        ("user_get", {"name": "u"}, NO_USER),
        ("user_delete", {"name": "u"}, NO_USER),
        ("user_change_password", {"name": "u", "password": "p"}, NO_USER),
        ("user_grant_role", {"user": "u", "role": "r"}, NO_USER),
        ("user_revoke_role", {"name": "u", "role": "r"}, NO_USER),
        ("role_add", {"name": "r"}, LATER),
        ("role_add", {}, (3, "etcdserver: role name is empty")),
        ("role_get", {"role": "r"}, NO_ROLE),
        ("role_delete", {"role": "r"}, NO_ROLE),
        ("role_grant_permission", {"name": "r", "perm": {"permType": "WRITE", "key": "a"}}, NO_ROLE),
        ("role_grant_permission", {"name": "r"}, (3, "etcdserver: permission not given")),
        ("role_revoke_permission", {"role": "r", "key": b"a"}, NO_ROLE),
    ],
)
def test_refusals(op: str, fields: dict[str, Any], expected: tuple[int, str]) -> None:
    front = Front()
    front.ask({"op": op, **fields})
    (reply,) = front.replies()
    assert (reply["error"]["code"], reply["error"]["message"]) == expected


@pytest.mark.parametrize(
    ("op", "fields"),
    [
        ("auth_disable", {}),
        ("auth_status", {"enabled": False, "authRevision": 1}),
        ("user_list", {"users": []}),
        ("role_list", {"roles": []}),
    ],
)
def test_answers(op: str, fields: dict[str, Any]) -> None:
    front = Front()
    front.ask({"op": op})
    (reply,) = front.replies()
    assert reply.pop("header")["revision"] == 1
    assert reply == fields
