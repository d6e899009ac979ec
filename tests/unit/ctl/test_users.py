"""What the user, role and auth commands ask; what cannot be compared with etcdctl: prompts, enabling, the status."""

import io
import os
from typing import Any

import pytest

from zetcd.cli.ctl import auth, role, user
from zetcd.cli.ctl.console import Console
from zetcd.cli.ctl.exits import ERROR, Exit
from zetcd.cli.ctl.flags import parse
from zetcd.cli.ctl.tree import COMMANDS, GLOBAL_FLAGS
from zetcd.wire import auth as asked
from zetcd.wire.client import Request

HEADER = {"cluster_id": 1, "member_id": 2, "revision": 3, "raft_term": 4}


class Scripted(Console):
    """Answers each request with the next of replies; a text is a refusal."""

    def __init__(self, *words: str, replies: tuple[dict[str, Any] | str, ...] = ({},)) -> None:
        found = next(each for each in COMMANDS if each.path == words[:2])
        super().__init__(parse((*GLOBAL_FLAGS, *found.flags), words[2:]))
        self.requests: list[Request] = []
        self._replies = list(replies)

    def call(self, request: Request, **_: Any) -> dict[str, Any]:
        self.requests.append(request)
        reply = self._replies.pop(0)
        if isinstance(reply, str):
            raise Exit(ERROR, reply)
        return {"header": HEADER} | reply


def typed(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))


def test_a_password_is_asked_for_twice(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    typed(monkeypatch, "se cret\nse cret\n")
    console = Scripted("user", "add", "ann")
    user.add(console)
    assert console.requests == [asked.UserAddRequest("ann", "se cret", asked.UserAddOptions())]
    prompts = "Password of ann: Type password of ann again for confirmation: "
    assert capsys.readouterr().out == f"{prompts}User ann created\n"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("", "empty password"), ("\nx\n", "empty password"), ("a\nb\n", "given passwords are different")],
)
def test_passwords_that_are_none(monkeypatch: pytest.MonkeyPatch, text: str, complaint: str) -> None:
    typed(monkeypatch, text)
    console = Scripted("user", "passwd", "ann")
    with pytest.raises(Exit) as raised:
        user.passwd(console)
    assert (raised.value.code, raised.value.text) == (128, complaint)
    assert console.requests == []


@pytest.mark.parametrize(
    ("words", "name", "password"),
    [
        (("ann:a:b",), "ann", "a:b"),
        (("ann:",), "ann", ""),
        (("a:b", "--new-user-password=x"), "a:b", "x"),
        (("ann", "--interactive=false"), "ann", "first"),
    ],
)
def test_where_the_password_of_a_new_user_comes_from(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], name: str, password: str
) -> None:
    typed(monkeypatch, "  first word\n")
    console = Scripted("user", "add", *words)
    user.add(console)
    assert console.requests == [asked.UserAddRequest(name, password, asked.UserAddOptions())]


def test_names_that_are_no_text_are_refused_here() -> None:
    for run, words in (
        (user.delete, ("user", "delete", "a\udcff")),
        (role.grant_permission, ("role", "grant-permission", "r\udcff", "read", "k")),
    ):
        with pytest.raises(Exit, match="names are UTF-8"):
            run(Scripted(*words))


def test_keys_of_permissions_are_the_bytes_that_the_shell_gave() -> None:
    console = Scripted("role", "grant-permission", "r", "ReadWrite", "--prefix", os.fsdecode(b"k\xff"))
    role.grant_permission(console)
    assert console.requests == [asked.RoleGrantPermissionRequest("r", asked.Permission(2, b"k\xff", b"l"))]


def test_enabling_makes_the_root_role_where_it_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    missing = "etcdserver: root user does not have root role"
    console = Scripted("auth", "enable", replies=(missing, {}, {}, {}))
    auth.enable(console)
    enable, grant = asked.AuthEnableRequest(), asked.UserGrantRoleRequest("root", "root")
    assert console.requests == [enable, asked.RoleAddRequest("root"), grant, enable]
    assert capsys.readouterr().out == "Authentication Enabled\n"
    with pytest.raises(Exit, match="root user does not exist"):
        auth.enable(Scripted("auth", "enable", replies=("etcdserver: root user does not exist",)))


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("simple", "Authentication Status: false\nAuthRevision: 7\n"),
        (
            "json",
            '{"header":{"cluster_id":1,"member_id":2,"revision":3,"raft_term":4},"authRevision":7}\n',
        ),
        (
            "fields",
            '"ClusterID" : 1\n"MemberID" : 2\n"Revision" : 3\n"RaftTerm" : 4\n"Enabled" : false\n"AuthRevision" : 7\n',
        ),
    ],
)
def test_the_status_as_etcdctl_35_shows_it(form: str, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    auth.status(Scripted("auth", "status", "-w", form, replies=({"authRevision": 7},)))
    assert capsys.readouterr().out == expected
