"""Users and roles as replicated state: etcd's rules, the auth revision, bounds, and what outlives a restart."""

import random

import pytest

from tests.unit.state.replica import Replica
from zetcd.base import errors, limits
from zetcd.base.errors import Error
from zetcd.mvcc.engine import MemoryEngine
from zetcd.state.machine import Machine
from zetcd.wire.entry import (
    AuthCommand,
    Block,
    Entry,
    Put,
    RoleAdd,
    RoleDelete,
    RoleGrantPermission,
    RoleRevokePermission,
    UserAdd,
    UserChangePassword,
    UserDelete,
    UserGrantRole,
    UserRevokeRole,
    encode_entries,
)
from zetcd.wire.queries import AuthStatus, Hash, HashKv, RoleInfo, RoleList, UserInfo, UserList
from zetcd.wire.results import AuthIs, Done, Failed, Grant, Hashed, Named, Permitted, Result

READ, WRITE, READWRITE = range(3)


@pytest.fixture
def replica() -> Replica:
    made = Replica(MemoryEngine())
    made.run(UserAdd("ann", b"hash"), UserAdd("bob", no_password=True), RoleAdd("r"), RoleAdd("s"))
    return made


def failed(error: Error) -> Failed:
    return Failed(error.code, error.message, 1)


def names(replica: Replica, query: UserInfo | UserList | RoleList) -> list[str]:
    answer = replica.read(query)
    assert isinstance(answer, Named), answer
    return answer.names


def grants(replica: Replica, role: str = "r") -> list[Grant]:
    answer = replica.read(RoleInfo(role))
    assert isinstance(answer, Permitted), answer
    return answer.grants


def auth_revision(replica: Replica) -> int:
    answer = replica.read(AuthStatus())
    assert isinstance(answer, AuthIs)
    assert answer.auth_revision == replica.machine.auth_revision
    return answer.auth_revision


def reopened(replica: Replica) -> Replica:
    replica.flush()
    replica.open(replica.engine)
    return replica


def test_a_fresh_store_is_at_auth_revision_1_and_each_change_adds_1_and_no_revision_of_the_store() -> None:
    replica = Replica(MemoryEngine())
    assert auth_revision(replica) == 1
    changes: list[AuthCommand] = [
        UserAdd("u", b"h"), RoleAdd("r"), UserGrantRole("u", "r"), RoleGrantPermission("r", READ, b"a"),
        RoleGrantPermission("r", READ, b"a"), RoleRevokePermission("r", b"a"), UserChangePassword("u", b"i"),
        UserRevokeRole("u", "r"), UserGrantRole("u", "r"), RoleDelete("r"), UserDelete("u"),
    ]  # fmt: skip
    for at, change in enumerate(changes):
        assert replica.one(change) == Done(1)
        assert auth_revision(replica) == 2 + at
    assert replica.machine.revision == 1
    assert auth_revision(reopened(replica)) == 1 + len(changes)


@pytest.mark.parametrize(
    ("command", "error"),
    [
        (UserAdd("ann", b"x"), errors.USER_EXISTS),
        (UserDelete("nobody"), errors.USER_NOT_FOUND),
        (UserDelete(""), errors.USER_NOT_FOUND),
        (UserChangePassword("nobody", b"x"), errors.USER_NOT_FOUND),
        (UserGrantRole("nobody", "none"), errors.USER_NOT_FOUND),
        (UserGrantRole("ann", "none"), errors.ROLE_NOT_FOUND),
        (UserRevokeRole("nobody", "r"), errors.USER_NOT_FOUND),
        (UserRevokeRole("ann", "r"), errors.ROLE_NOT_GRANTED),
        (UserRevokeRole("ann", "none"), errors.ROLE_NOT_GRANTED),
        (RoleAdd("r"), errors.ROLE_EXISTS),
        (RoleDelete("none"), errors.ROLE_NOT_FOUND),
        (RoleGrantPermission("none", READ, b"a"), errors.ROLE_NOT_FOUND),
        (RoleRevokePermission("none", b"a"), errors.ROLE_NOT_FOUND),
        (RoleRevokePermission("r", b"a"), errors.PERMISSION_NOT_GRANTED),
    ],
)
def test_what_does_not_hold_changes_nothing(replica: Replica, command: AuthCommand, error: Error) -> None:
    before = auth_revision(replica), replica.read(Hash())
    assert replica.one(command) == failed(error)
    assert (auth_revision(replica), replica.read(Hash())) == before


@pytest.mark.parametrize(
    ("query", "error"), [(UserInfo("nobody"), errors.USER_NOT_FOUND), (RoleInfo("none"), errors.ROLE_NOT_FOUND)]
)
def test_who_is_not_there_is_not_found(replica: Replica, query: UserInfo | RoleInfo, error: Error) -> None:
    assert replica.read(query) == failed(error)


def test_names_are_ascending_and_may_be_any_text(replica: Replica) -> None:
    for name in ("ü", "a/b", "user/", "A", "n\0l"):
        assert replica.run(UserAdd(name, b"h"), RoleAdd(name)) == [Done(1), Done(1)]
    for _ in range(2):
        assert names(replica, UserList()) == ["A", "a/b", "ann", "bob", "n\0l", "user/", "ü"]
        assert names(replica, RoleList()) == ["A", "a/b", "n\0l", "r", "s", "user/", "ü"]
        reopened(replica)


def test_roles_of_a_user_are_ascending_and_once_and_root_needs_no_role_of_that_name(replica: Replica) -> None:
    replica.run(UserGrantRole("ann", "s"), UserGrantRole("ann", "root"), UserGrantRole("ann", "r"))
    before = auth_revision(replica)
    assert replica.one(UserGrantRole("ann", "r")) == Done(1)
    assert auth_revision(replica) == before, "granted already: etcd counts no change"
    assert names(replica, UserInfo("ann")) == ["r", "root", "s"]
    replica.one(UserRevokeRole("ann", "root"))
    assert names(reopened(replica), UserInfo("ann")) == ["r", "s"]


def test_a_role_that_is_deleted_is_taken_from_all_who_had_it(replica: Replica) -> None:
    replica.run(*[UserGrantRole(user, role) for user in ("ann", "bob") for role in ("r", "s", "root")])
    replica.one(RoleDelete("s"))
    for _ in range(2):
        assert names(replica, UserInfo("ann")) == names(replica, UserInfo("bob")) == ["r", "root"]
        assert names(replica, RoleList()) == ["r"]
        reopened(replica)
    replica.one(RoleAdd("s"))
    assert names(replica, UserInfo("ann")) == ["r", "root"], "a role of the same name is another one"


def test_permissions_stand_by_key_and_a_range_stands_once(replica: Replica) -> None:
    replica.run(
        RoleGrantPermission("r", READ, b"foo"), RoleGrantPermission("r", READ, b"foo", b"foz"),
        RoleGrantPermission("r", READWRITE, b"a", b"\0"), RoleGrantPermission("r", WRITE, b"foo", b"foz"),
    )  # fmt: skip
    expected = [(READWRITE, b"a", b"\0"), (READ, b"foo", b""), (WRITE, b"foo", b"foz")]
    assert grants(replica) == grants(reopened(replica)) == expected
    assert replica.one(RoleRevokePermission("r", b"foo", b"fox")) == failed(errors.PERMISSION_NOT_GRANTED)
    assert replica.one(RoleRevokePermission("r", b"foo")) == Done(1)
    assert grants(replica) == [expected[0], expected[2]]


def test_passwords_are_kept_as_hashes_and_never_for_a_user_without_one(replica: Replica) -> None:
    replica.run(UserChangePassword("ann", b"other"), UserChangePassword("bob", b"other"))
    rows = dict(replica.machine._users._meta.all(b"user/", b"user0"))
    assert b"other" in rows[b"user/ann"]
    assert b"hash" not in rows[b"user/ann"]
    assert b"other" not in rows[b"user/bob"]


def test_hash_covers_users_and_roles_and_hash_kv_does_not(replica: Replica) -> None:
    def hashes() -> tuple[Result, Result]:
        return replica.read(HashKv()), replica.read(Hash())

    before = hashes()
    seen = [before[1]]
    for change in (UserAdd("c", b"h"), UserChangePassword("c", b"i"), RoleGrantPermission("r", READ, b"k")):
        replica.one(change)
        assert isinstance(hashes()[1], Hashed)
        assert hashes()[0] == before[0]
        assert hashes()[1] not in seen
        seen.append(hashes()[1])
    assert reopened(replica).read(Hash()) == seen[-1]


@pytest.mark.parametrize("seed", range(5))
def test_rule_15_members_agree_wherever_blocks_are_cut_and_flushed(seed: int) -> None:
    rng = random.Random(seed)
    users, roles = ["u1", "u2", "u3"], ["r1", "r2", "root"]

    def drawn() -> AuthCommand | Put:
        user, role, key = rng.choice(users), rng.choice(roles), rng.choice((b"a", b"b"))
        return rng.choice(
            (
                UserAdd(user, b"h"), UserDelete(user), UserChangePassword(user, b"x"), UserGrantRole(user, role),
                UserRevokeRole(user, role), RoleAdd(role), RoleDelete(role), RoleRevokePermission(role, key),
                RoleGrantPermission(role, rng.randrange(3), key, rng.choice((b"", b"\0", b"c"))), Put(key, b"v"),
            )
        )  # fmt: skip

    one, other = Replica(MemoryEngine()), Replica(MemoryEngine())
    for _ in range(60):
        commands = [drawn() for _ in range(rng.randrange(1, 8))]
        together = one.run(*commands)
        assert [other.one(command) for command in commands] == together
        if rng.random() < 0.3:
            reopened(other)
    assert auth_revision(one) == auth_revision(other)
    assert one.read(Hash()) == other.read(Hash())
    assert [one.read(RoleInfo(role)) for role in roles] == [other.read(RoleInfo(role)) for role in roles]


# -- bounds --------------------------------------------------------------------------------------------------------
def test_there_are_only_so_many_users_and_roles(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "USERS_MAX", 3)
    monkeypatch.setattr(limits, "ROLES_MAX", 3)
    full = failed(errors.AUTH_FULL)
    assert replica.run(UserAdd("c"), UserAdd("d"), RoleAdd("t"), RoleAdd("v")) == [Done(1), full, Done(1), full]
    assert replica.run(UserGrantRole("c", "t"), UserDelete("ann"), UserAdd("d")) == [Done(1)] * 3


def test_a_role_holds_only_so_much_and_lets_go_of_it(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "AUTH_RECORD_BYTES_MAX", 1_000)
    keys = [bytes([65 + at]) * 100 for at in range(10)]
    results = replica.run(*[RoleGrantPermission("r", READ, key) for key in keys])
    assert results.index(failed(errors.AUTH_FULL)) == 9
    before = auth_revision(replica)
    assert replica.run(RoleRevokePermission("r", keys[0]), RoleGrantPermission("r", READ, keys[9])) == [Done(1)] * 2
    assert auth_revision(replica) == before + 2


def test_all_together_hold_only_so_much_also_after_a_restart(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "AUTH_BYTES_MAX", 2_000)
    keys = [bytes([65 + at]) * 100 for at in range(30)]
    added = 0
    for key in keys:
        result = replica.one(RoleGrantPermission("r", READ, key))
        if result == failed(errors.AUTH_FULL):
            break
        added += 1
        if added == 10:
            reopened(replica)
    assert 15 < added < 20
    assert replica.run(RoleGrantPermission("s", READ, keys[0]), UserAdd("c")) == [failed(errors.AUTH_FULL), Done(1)]
    assert replica.run(RoleDelete("r"), RoleGrantPermission("s", READ, keys[0])) == [Done(1)] * 2


def test_rule_20_a_block_full_of_changes_of_a_large_role_is_not_taken_for_a_hang() -> None:
    """At 10 ms each a block of 20,000 took minutes: the process was killed, and met them again in each member's log."""
    calls = 0

    def alive() -> None:
        nonlocal calls
        calls += 1

    machine = Machine(MemoryEngine(), alive)
    entries = [Entry(0, 0, RoleAdd("r")), *[Entry(0, 0, RoleGrantPermission("r", READ, b"%d" % at)) for at in range(9)]]
    machine.apply(Block(1, len(entries), 1, encode_entries(entries)))
    assert calls == len(entries)


@pytest.mark.parametrize("seed", range(3))
def test_permissions_are_those_of_a_plain_list(seed: int, replica: Replica) -> None:
    rng = random.Random(seed)
    model: list[Grant] = []
    for _ in range(300):
        permission, key, end = rng.randrange(3), rng.choice([b"a", b"b", b"c"]), rng.choice([b"", b"\0", b"x", b"y"])
        stands = any(each[1:] == (key, end) for each in model)
        if rng.random() < 0.4:
            expected: Result = Done(1) if stands else failed(errors.PERMISSION_NOT_GRANTED)
            assert replica.one(RoleRevokePermission("r", key, end)) == expected
            model = [each for each in model if each[1:] != (key, end)]
        else:
            assert replica.one(RoleGrantPermission("r", permission, key, end)) == Done(1)
            granted = (permission, key, end)
            if stands:
                model = [granted if each[1:] == (key, end) else each for each in model]
            else:
                model = sorted([*model, granted], key=lambda each: each[1])
        assert grants(replica) == model
