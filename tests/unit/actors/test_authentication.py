"""The Auth service at the edge: what is proposed, asked, refused, and passwords that are hashed first."""

from typing import Any

import pytest

from tests.unit.actors.front import Front
from zetcd.actors.hashing import Job
from zetcd.base import errors, limits
from zetcd.base.settings import Settings
from zetcd.wire import entry, queries
from zetcd.wire.entry import Command
from zetcd.wire.local import ReadBatch
from zetcd.wire.queries import Query
from zetcd.wire.results import AuthIs, Done, Failed, Named, Permitted, Result

LATER = (12, "zetcd: users and roles are kept; authentication itself comes with a later version")
TOO_MANY = (8, "etcdserver: too many requests")
MANAGEMENT = (3, "etcdserver: invalid auth management")


class Jobs:
    """A hasher that the test drives."""

    def __init__(self, front: Front) -> None:
        self.waiting: list[Job] = []
        self._front = front
        front.actor.hashing.hasher = self

    def submit(self, job: Job) -> None:
        self.waiting.append(job)

    def work(self, count: int = 1) -> None:
        for job in self.waiting[:count]:
            self._front.actor.hashing.on_hashed(job, b"hash of " + job.password)
        del self.waiting[:count]
        self._front.turn()


def refused(front: Front) -> list[tuple[int, str]]:
    return [(reply["error"]["code"], reply["error"]["message"]) for reply in front.replies()]


def commands(front: Front) -> list[Command]:
    return [each.command for each in front.proposed()]


@pytest.mark.parametrize(
    ("op", "fields", "expected"),
    [
        ("authenticate", {"name": "root", "password": "x"}, (9, "etcdserver: authentication is not enabled")),
        ("user_add", {}, (3, "etcdserver: user name is empty")),
        ("user_add", {"name": "ü" * 129, "password": "x"}, (3, "zetcd: a name has at most 256 bytes")),
        ("user_add", {"name": "u", "password": "ü" * 37}, (3, "bcrypt: password length exceeds 72 bytes")),
        ("user_change_password", {"name": "u", "password": "x" * 73}, (3, "bcrypt: password length exceeds 72 bytes")),
        (
            "user_change_password",
            {"name": "u", "hashedPassword": "no base64"},
            (2, "auth: authentication failed, password was given for no password user"),
        ),
        ("role_add", {}, (3, "etcdserver: role name is empty")),
        ("role_add", {"name": "x" * 257}, (3, "zetcd: a name has at most 256 bytes")),
        ("role_grant_permission", {"name": "r"}, (3, "etcdserver: permission not given")),
        ("role_grant_permission", {"name": "r", "perm": {}}, MANAGEMENT),
        ("role_grant_permission", {"name": "r", "perm": {"key": "b", "range_end": "a"}}, MANAGEMENT),
        ("role_grant_permission", {"name": "r", "perm": {"key": "b", "range_end": "b"}}, MANAGEMENT),
        ("role_grant_permission", {"name": "r", "perm": {"range_end": "\0"}}, MANAGEMENT),
        (
            "role_grant_permission",
            {"name": "r", "perm": {"key": "b", "permType": 3}},
            (3, "zetcd: permType is READ, WRITE or READWRITE"),
        ),
    ],
)
def test_what_is_refused_without_asking_anybody(op: str, fields: dict[str, Any], expected: tuple[int, str]) -> None:
    front = Front()
    jobs = Jobs(front)
    front.ask({"op": op, **fields})
    assert refused(front) == [expected]
    assert (front.sent, jobs.waiting) == ([], [])


@pytest.mark.parametrize(
    ("op", "fields", "command"),
    [
        ("user_add", {"name": "u", "options": {"no_password": True}}, entry.UserAdd("u", no_password=True)),
        ("user_delete", {"name": "u"}, entry.UserDelete("u")),
        ("user_change_password", {"name": "u"}, entry.UserChangePassword("u")),
        (
            "user_change_password",
            {"name": "u", "hashedPassword": "JDJhJA=="},
            entry.UserChangePassword("u", b"$2a$"),
        ),
        ("user_grant_role", {"user": "u", "role": "r"}, entry.UserGrantRole("u", "r")),
        ("user_revoke_role", {"name": "u", "role": "r"}, entry.UserRevokeRole("u", "r")),
        ("role_add", {"name": "r"}, entry.RoleAdd("r")),
        ("role_delete", {"role": "r"}, entry.RoleDelete("r")),
        (
            "role_grant_permission",
            {"name": "r", "perm": {"permType": "WRITE", "key": "a", "range_end": b"\0"}},
            entry.RoleGrantPermission("r", 1, b"a", b"\0"),
        ),
        (
            "role_revoke_permission",
            {"role": "r", "key": "a", "range_end": "b"},
            entry.RoleRevokePermission("r", b"a", b"b"),
        ),
    ],
)
def test_changes_are_proposed_and_answered_by_apply(op: str, fields: dict[str, Any], command: Command) -> None:
    front = Front()
    for _ in range(2):
        front.ask({"op": op, **fields})
    assert commands(front) == [command, command]
    front.answer(1, Done(5))
    front.answer(2, Failed(*errors.USER_NOT_FOUND, 5))
    good, bad = front.replies()
    assert good == {"header": {"cluster_id": 5, "member_id": 9, "revision": 5, "raft_term": 2}}
    assert bad["error"]["message"] == "etcdserver: user name not found"


@pytest.mark.parametrize(
    ("op", "fields", "query", "result", "expected"),
    [
        ("auth_status", {}, queries.AuthStatus(), AuthIs(7, 3), {"enabled": False, "authRevision": 3}),
        ("user_get", {"name": "u"}, queries.UserInfo("u"), Named(7, ["r"]), {"roles": ["r"]}),
        ("user_list", {}, queries.UserList(), Named(7, []), {"users": []}),
        ("role_list", {}, queries.RoleList(), Named(7, ["r", "s"]), {"roles": ["r", "s"]}),
        (
            "role_get",
            {"role": "r"},
            queries.RoleInfo("r"),
            Permitted(7, [(0, b"a", b""), (2, b"b", b"c")]),
            {"perm": [{"key": b"a"}, {"permType": 2, "key": b"b", "range_end": b"c"}]},
        ),
    ],
)
def test_rule_10_reads_are_linearizable(
    op: str, fields: dict[str, Any], query: Query, result: Result, expected: dict[str, Any]
) -> None:
    front = Front()
    front.ask({"op": op, **fields})
    (batch,) = front.take(ReadBatch)
    assert (batch.linearizable, [read.query for read in batch.reads]) == (True, [query])
    front.answer(batch.reads[0].sequence, result)
    (reply,) = front.replies()
    assert reply.pop("header")["revision"] == 7
    assert reply == expected


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (Failed(*errors.USER_NOT_FOUND, 1), (9, "etcdserver: root user does not exist")),
        (Named(1, ["a", "z"]), (9, "etcdserver: root user does not have root role")),
        (Named(1, ["a", "root"]), LATER),
        (Failed(*errors.LEADER_CHANGED, 1), (14, "etcdserver: leader changed")),
    ],
)
def test_authentication_is_never_enabled(result: Result, expected: tuple[int, str]) -> None:
    front = Front()
    front.ask({"op": "auth_enable"})
    (batch,) = front.take(ReadBatch)
    assert [read.query for read in batch.reads] == [queries.UserInfo("root")]
    front.answer(batch.reads[0].sequence, result)
    assert refused(front) == [expected]


def test_disabling_what_is_disabled_is_answered() -> None:
    front = Front()
    front.ask({"op": "auth_disable"})
    (reply,) = front.replies()
    assert list(reply) == ["header"]


# -- passwords -----------------------------------------------------------------------------------------------------
def test_a_password_is_hashed_before_anything_is_proposed_and_other_requests_do_not_wait() -> None:
    front = Front()
    jobs = Jobs(front)
    front.ask({"op": "user_add", "name": "u", "password": "päss", "hashedPassword": "ignored"})
    front.ask({"op": "user_change_password", "name": "u", "password": "2", "hashedPassword": "ignored"})
    front.ask({"op": "role_add", "name": "r"})
    assert commands(front) == [entry.RoleAdd("r")]
    jobs.work()
    jobs.work()
    assert commands(front) == [
        entry.UserAdd("u", "hash of päss".encode()), entry.UserChangePassword("u", b"hash of 2"),
    ]  # fmt: skip


def test_an_empty_password_of_a_new_user_is_a_password() -> None:
    front = Front()
    jobs = Jobs(front)
    front.ask({"op": "user_add", "name": "u"})
    jobs.work()
    assert commands(front) == [entry.UserAdd("u", b"hash of ")]


def test_only_so_many_passwords_wait() -> None:
    front = Front()
    jobs = Jobs(front)
    for at in range(limits.PASSWORDS_WAITING_MAX + 1):
        front.ask({"op": "user_add", "name": f"u{at}", "password": "x"})
    assert refused(front) == [TOO_MANY]
    jobs.work()
    front.ask({"op": "user_add", "name": "more", "password": "x"})
    assert refused(front) == []
    assert front.actor.hashing.count == limits.PASSWORDS_WAITING_MAX


def test_rule_08_who_waited_too_long_for_a_hash_is_refused_for_certain() -> None:
    front = Front()
    jobs = Jobs(front)
    front.ask({"op": "user_add", "name": "early", "password": "x"})
    front.tick(5_000)
    front.ask({"op": "user_add", "name": "late", "password": "x"})
    front.tick(2_100)
    assert refused(front) == [TOO_MANY]
    assert [job.wanted for job in jobs.waiting] == [False, True]
    jobs.work(2)
    assert commands(front) == [entry.UserAdd("late", b"hash of x")], "what was refused never happens"


def test_those_refused_count_until_the_hasher_is_done_with_them() -> None:
    """Else a thread that is at one for long gathers them without a bound."""
    front = Front()
    jobs = Jobs(front)
    for at in range(limits.PASSWORDS_WAITING_MAX):
        front.ask({"op": "user_add", "name": f"u{at}", "password": "x"})
    front.tick(10_000)
    assert refused(front) == [TOO_MANY] * limits.PASSWORDS_WAITING_MAX
    front.ask({"op": "user_add", "name": "more", "password": "x"})
    assert refused(front) == [TOO_MANY]
    jobs.work(limits.PASSWORDS_WAITING_MAX)
    front.ask({"op": "user_add", "name": "later", "password": "x"})
    assert (refused(front), len(jobs.waiting)) == ([], 1)


def test_rule_21_an_api_that_stops_does_not_wait_for_hashes() -> None:
    front = Front()
    jobs = Jobs(front)
    front.ask({"op": "user_add", "name": "u", "password": "x"})
    front.actor.on_stop()
    front.tick(limits.DRAIN_LINGER_MS)
    assert refused(front) == [(14, "etcdserver: server stopped")]
    assert front.actor.stopped()
    jobs.work()
    assert commands(front) == []


def test_a_name_in_a_batch_counts_by_its_bytes() -> None:
    """By its characters a quarter of them counted: commands could be four times as large as a request may be."""
    front = Front(Settings(max_request_bytes=1_000))
    front.ask({"op": "batch", "requests": [{"op": "user_delete", "name": "\U0001f600" * 900}]})
    (reply,) = front.replies()
    assert reply["responses"][0]["error"]["message"] == errors.REQUEST_TOO_LARGE.message
    assert not front.proposed()
