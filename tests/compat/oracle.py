"""Real etcd as the oracle: a server in a directory and on ports of its own, and its JSON gateway as plain calls.

`Etcd.running(program, directory)` gives a running member, `Gateway` speaks to it. What `Gateway.call` takes and gives
is etcd's JSON with bytes as bytes and 64-bit integers as integers, that is, the maps of zetcd's public API.
"""

import base64
import contextlib
import http.client
import itertools
import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pytest

START_S = 20.0
STOP_S = 10.0
PORTS = (12_000, 32_000)
PATHS = {
    "range": "/v3/kv/range",
    "put": "/v3/kv/put",
    "delete_range": "/v3/kv/deleterange",
    "txn": "/v3/kv/txn",
    "compact": "/v3/kv/compaction",
    "lease_grant": "/v3/lease/grant",
    "lease_revoke": "/v3/lease/revoke",
    "lease_keep_alive": "/v3/lease/keepalive",
    "lease_time_to_live": "/v3/lease/timetolive",
    "lease_leases": "/v3/lease/leases",
    "status": "/v3/maintenance/status",
    "hash_kv": "/v3/maintenance/hash",
    "alarm": "/v3/maintenance/alarm",
    "member_list": "/v3/cluster/member/list",
    "member_promote": "/v3/cluster/member/promote",
    "member_remove": "/v3/cluster/member/remove",
    "move_leader": "/v3/maintenance/transfer-leadership",
    "auth_enable": "/v3/auth/enable",
    "auth_status": "/v3/auth/status",
    "authenticate": "/v3/auth/authenticate",
    "user_get": "/v3/auth/user/get",
    "user_list": "/v3/auth/user/list",
    "role_get": "/v3/auth/role/get",
    "role_list": "/v3/auth/role/list",
    "user_add": "/v3/auth/user/add",
    "user_delete": "/v3/auth/user/delete",
    "user_change_password": "/v3/auth/user/changepw",
    "user_grant_role": "/v3/auth/user/grant",
    "user_revoke_role": "/v3/auth/user/revoke",
    "role_add": "/v3/auth/role/add",
    "role_delete": "/v3/auth/role/delete",
    "role_grant_permission": "/v3/auth/role/grant",
    "role_revoke_permission": "/v3/auth/role/revoke",
    "lock": "/v3/lock/lock",
    "unlock": "/v3/lock/unlock",
    "campaign": "/v3/election/campaign",
    "proclaim": "/v3/election/proclaim",
    "leader": "/v3/election/leader",
    "resign": "/v3/election/resign",
}
BYTES_FIELDS = frozenset({"key", "range_end", "value", "name"})
BYTES_LISTS = frozenset({"keys"})
TEXT_FIELDS = frozenset({"error", "message", "cancel_reason"})


def binary(version: str) -> Path | None:
    """The etcd program of version "3.5" (from the development dependencies) or "3.4" (Debian's), if it is here."""
    candidates = {"3.5": [Path(sys.executable).with_name("etcd")], "3.4": [Path("/usr/bin/etcd")]}[version]
    for path in candidates:
        if path.exists():
            out = subprocess.run([path, "--version"], capture_output=True, text=True, check=False, timeout=30).stdout
            if f"etcd Version: {version}." in out:
                return path
    return None


def _port_numbers() -> Iterator[int]:
    """Each worker of a run goes round its own slice from a random place: a port that is claimed but not bound (a
    member's peer port) looks free, so none may be drawn twice while it is in use."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % SLICES
    low, high = PORTS
    size = (high - low) // SLICES
    start = random.SystemRandom().randrange(size)
    for step in itertools.count():
        yield low + worker * size + (start + step) % size


SLICES = 16
_PORT_NUMBERS = _port_numbers()


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on, all different.

    They lie below those that the system gives to outgoing connections: a client that dials a dead server again and
    again would one day be given the server's own port, be connected to itself, and keep the server from coming back.
    """
    found: list[int] = []
    while len(found) < count:
        port = next(_PORT_NUMBERS)
        with socket.socket() as item:
            try:
                item.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found


@dataclass(slots=True)
class Etcd:
    """One running member of real etcd."""

    program: Path
    directory: Path
    flags: tuple[str, ...] = ()
    port: int = 0
    peer: int = 0
    process: subprocess.Popen[bytes] | None = field(default=None)

    @classmethod
    @contextlib.contextmanager
    def running(cls, program: Path, directory: Path, *flags: str) -> Iterator[Self]:
        """A member that is stopped at the end of the block."""
        member = cls(program, directory, flags)
        member.start()
        try:
            yield member
        finally:
            member.stop()

    @property
    def pid(self) -> int:
        """Process id; the member must be running."""
        assert self.process is not None
        return self.process.pid

    @property
    def url(self) -> str:
        """Client URL."""
        return f"http://127.0.0.1:{self.port}"

    def reserve(self) -> None:
        """Choose the ports before the start, for whoever has to know them."""
        if not self.port:
            self.port, self.peer = free_ports(2)

    def start(self) -> None:
        """Start on fresh ports (the first time) and wait until a linearizable read is answered."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.reserve()
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(self._command(), stdout=log, stderr=log, env=self._environment())
        deadline = time.monotonic() + START_S
        while True:
            try:
                with contextlib.closing(Gateway(self.port)) as gateway:
                    if "error" not in gateway.call("range", {"key": b"\x00"}):
                        return
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"etcd did not start: {(self.directory / 'log').read_text()[-2000:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        """SIGTERM, then SIGKILL if that does not help."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def _command(self) -> list[str]:
        peer = f"http://127.0.0.1:{self.peer}"
        return [
            str(self.program), "--name", "oracle", "--data-dir", str(self.directory / "data"),
            "--listen-client-urls", self.url, "--advertise-client-urls", self.url,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", f"oracle={peer}",
            "--logger", "zap", "--log-level", "error", *self.flags,
        ]  # fmt: skip

    @staticmethod
    def _environment() -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if not name.startswith(("ETCD_", "ETCDCTL_"))}


class Gateway:
    """etcd's JSON gateway over one kept connection."""

    def __init__(self, port: int, timeout_s: float = 30.0) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def call(self, op: str, request: dict[str, Any]) -> dict[str, Any]:
        """One request; the answer as a map, or ``{"error": {"code": n, "message": text}}``."""
        body = json.dumps(to_json(request))
        try:
            self._connection.request("POST", PATHS[op], body, {"Content-Type": "application/json"})
            reply = self._connection.getresponse()
            text = reply.read()
        except (http.client.HTTPException, OSError):
            self._connection.close()
            raise
        # A stream answers one JSON document a line; a stream of one request has one that counts.
        return decoded(text.splitlines()[0])


def decoded(line: bytes) -> dict[str, Any]:
    """One JSON document of an answer or a stream, as `Gateway.call` gives it."""
    document = json.loads(line)
    if "error" in document:
        error = document["error"]
        if isinstance(error, dict):  # of a stream
            return {"error": {"code": error["grpc_code"], "message": error["message"]}}
        return {"error": {"code": document["code"], "message": document["message"]}}
    answer: dict[str, Any] = from_json(document.get("result", document))
    return answer


def to_json(value: Any) -> Any:
    """Bytes as base64 and integers as they are."""
    if isinstance(value, dict):
        return {name: to_json(item) for name, item in value.items()}
    if isinstance(value, list):
        return [to_json(item) for item in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value


def from_json(value: Any, name: str = "") -> Any:
    """Base64 as bytes where the field is bytes, decimal strings as integers."""
    if isinstance(value, dict):
        return {field_name: from_json(item, field_name) for field_name, item in value.items()}
    if isinstance(value, list):
        if name in BYTES_LISTS:
            return [base64.b64decode(item) for item in value]
        return [from_json(item, name) for item in value]
    if isinstance(value, str) and name not in TEXT_FIELDS:
        if name in BYTES_FIELDS:
            return base64.b64decode(value)
        if value.lstrip("-").isdigit():
            return int(value)
    return value


def _member(version: str, directory: Path) -> Iterator[Etcd]:
    program = binary(version)
    if program is None:
        pytest.skip(f"no etcd {version} on this machine")
    with Etcd.running(program, directory) as member:
        yield member


@pytest.fixture(scope="session")
def etcd35(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    """etcd 3.5.1, shared by the tests of a session: use keys of your own, or a member of your own."""
    yield from _member("3.5", tmp_path_factory.mktemp("etcd35"))


@pytest.fixture(scope="session")
def etcd34(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    """etcd 3.4.23, shared by the tests of a session; skips where Debian's package is not installed."""
    yield from _member("3.4", tmp_path_factory.mktemp("etcd34"))
