"""Users and roles on three members: made anywhere, the same everywhere, there after every restart; no password kept."""

from pathlib import Path
from typing import Any

import bcrypt
import pytest

from tests.process.api.dealer import Dealer
from tests.process.api.snapshots import take
from tests.process.cluster import Cluster, ClusterMember, put, wait_for
from tests.unit.bolt.reading import buckets

PASSWORD = b"a password that nobody else has"
GRANTS = [{"permType": 2, "key": b"k/", "range_end": b"k0"}]


def done(member: ClusterMember, **request: Any) -> dict[str, Any]:
    reply = member.call(request)
    assert "error" not in reply, reply
    return reply


def refused(member: ClusterMember, **request: Any) -> str:
    text: str = member.call(request)["error"]["message"]
    return text


def seen(member: ClusterMember) -> dict[str, Any]:
    """What a member answers, and what a snapshot of it holds."""
    asked: tuple[dict[str, Any], ...] = (
        {"op": "auth_status"}, {"op": "user_list"}, {"op": "role_list"}, {"op": "user_get", "name": "ann"},
        {"op": "role_get", "role": "r"}, {"op": "user_get", "name": "nobody"},
    )  # fmt: skip
    replies = [member.call(request) for request in asked]
    for reply in replies:
        reply.pop("header", None)
    with Dealer(member.endpoint) as dealer:
        found = buckets(take(dealer)[0])
    return {"replies": replies, **{name.decode(): found[name] for name in (b"auth", b"authUsers", b"authRoles")}}


@pytest.mark.timeout(240)
def test_made_anywhere_they_are_the_same_everywhere_and_outlive_restarts(tmp_path: Path) -> None:
    with Cluster(tmp_path, 3, "--bcrypt-cost=5") as cluster:
        first, second, third = cluster.members
        revision = put(first, b"before", b"1")
        password = PASSWORD.decode()
        done(first, op="user_add", name="ann", password=password)
        done(second, op="user_add", name="bob", options={"no_password": True})
        assert refused(third, op="user_add", name="ann", password="x") == "etcdserver: user name already exists"
        done(third, op="role_add", name="r")
        done(first, op="role_grant_permission", name="r", perm=GRANTS[0])
        done(second, op="user_grant_role", user="ann", role="r")
        done(second, op="user_grant_role", user="ann", role="root")
        states = [seen(member) for member in cluster.members]
        assert states[0] == states[1] == states[2]
        replies = states[0]["replies"]
        assert replies[0] == {"enabled": False, "authRevision": 7}
        assert replies[1:5] == [
            {"users": ["ann", "bob"]}, {"roles": ["r"]}, {"roles": ["r", "root"]}, {"perm": GRANTS},
        ]  # fmt: skip
        assert replies[5]["error"]["message"] == "etcdserver: user name not found"
        digest = states[0]["authUsers"][b"ann"].split(b"\x12\x3c")[1][:60]
        assert digest.startswith(b"$2a$05$")
        assert bcrypt.checkpw(PASSWORD, digest)
        assert put(third, b"after", b"1") == revision + 1, "no revision of the store came of it"

        for member in cluster.members:  # some from the log, some from the store
            if member is second:
                member.stop()
            else:
                member.kill_all()
        for file in tmp_path.rglob("*"):
            assert not file.is_file() or PASSWORD not in file.read_bytes(), f"the password stands in {file}"
        for member in cluster.members:
            member.founding = ""
        cluster.start()
        assert [seen(member) for member in cluster.members] == states
        wait_for(lambda: len({m.call({"op": "hash"})["hash"] for m in cluster.members}) == 1, "equal hashes")

        done(third, op="role_delete", role="r")
        assert done(first, op="user_get", name="ann")["roles"] == ["root"]
        assert refused(first, op="auth_enable") == "etcdserver: root user does not exist"


@pytest.mark.timeout(240)
def test_a_member_that_was_away_gets_them_with_the_store(tmp_path: Path) -> None:
    flags = ("--snapshot-count=50", "--snapshot-catchup-entries=10", "--bcrypt-cost=4")
    with Cluster(tmp_path, 3, *flags) as cluster:
        away = cluster.followers()[0]
        away.kill_all()
        here = cluster.leader(cluster.running)
        for number in range(20):
            done(here, op="user_add", name=f"u{number}", password=f"p{number}")
            done(here, op="role_add", name=f"r{number}")
            done(here, op="user_grant_role", user=f"u{number}", role=f"r{number}")
        for number in range(400):
            put(here, b"k%d" % number, bytes(100))
        states = [seen(member) for member in cluster.running]  # a snapshot waits for the flush of what was executed
        assert states[0] == states[1]
        for number in range(100):  # so that the log up to that flush goes
            put(here, b"more%d" % number, b"")
        away.spawn()
        away.wait_served(60)
        cluster.alike()
        assert (away.data_dir / "member" / "CURRENT").exists(), "it took a snapshot, not the log"
        assert done(away, op="auth_status")["authRevision"] == 61
        assert seen(away) == states[0]
        assert done(away, op="user_get", name="u7")["roles"] == ["r7"]


@pytest.mark.timeout(120)
def test_hashing_holds_up_nobody_and_has_a_bound(tmp_path: Path) -> None:
    """At a cost of a second each: reads and writes go on, whoever waits too long is told that nothing happened."""
    with Cluster(tmp_path, 1, "--bcrypt-cost=14") as cluster:
        (member,) = cluster.members
        with Dealer(member.endpoint) as dealer:
            asked = [dealer.send({"op": "user_add", "name": f"u{at}", "password": "x"}) for at in range(40)]
            put(member, b"k", b"v")
            names = done(member, op="user_list").get("users", [])
            assert len(names) < 20, "the put was not behind them"
            replies = [dealer.reply(address, 60) for address in asked]
        errors = {reply["error"]["message"] for reply in replies if "error" in reply}
        assert errors == {"etcdserver: too many requests"}
        made = sorted(f"u{at}" for at, reply in enumerate(replies) if "error" not in reply)
        assert done(member, op="user_list")["users"] == made
