"""Real clusters for tests: several members on loopback, each with its supervisor and all its processes."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import msgpack

from tests.process.member import START_S, Member

WAIT_S = 30.0
Reply = dict[str, Any]
T = TypeVar("T")


class ClusterMember(Member):
    """A member that knows the others by its flags. founding: what --initial-cluster says; empty: no such flag, as for a
    restart from the data directory alone."""

    founding = ""
    state = "new"
    token = "tests"

    @property
    def peer(self) -> str:
        """Peer URL."""
        return f"tcp://127.0.0.1:{self.peer_port}"

    def command(self) -> list[str]:
        """argv of the supervisor."""
        argv = super().command()
        at = argv.index("--initial-cluster")
        cluster = ["--initial-cluster", self.founding, "--initial-cluster-state", self.state]
        argv[at : at + 2] = [*cluster, "--initial-cluster-token", self.token] if self.founding else []
        return argv


class Cluster:
    """Members m1, m2, ... that found a cluster together."""

    def __init__(self, directory: Path, size: int = 3, *flags: str) -> None:
        self.members = [ClusterMember(directory / f"m{n}", *flags, name=f"m{n}") for n in range(1, size + 1)]
        founding = ",".join(f"{member.name}={member.peer}" for member in self.members)
        for member in self.members:
            member.founding = founding

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for member in self.members:
            with contextlib.suppress(Exception):
                if member.process is not None:
                    member.kill_all()

    def start(self) -> Self:
        """Start all, and wait until each of them serves."""
        for member in self.members:
            member.spawn()
        for member in self.members:
            member.wait_served(START_S)
        return self

    @property
    def running(self) -> list[ClusterMember]:
        """Those that were started and not stopped."""
        return [member for member in self.members if member.process is not None]

    def leader(self, among: Iterable[ClusterMember] | None = None) -> ClusterMember:
        """Whom a majority takes for the leader."""

        def find() -> ClusterMember | None:
            votes: dict[int, int] = {}
            own: dict[int, ClusterMember] = {}
            for member in among or self.running:
                status = quietly(member, {"op": "status"})
                if status.get("leader"):
                    votes[status["leader"]] = votes.get(status["leader"], 0) + 1
                    own[status["header"]["member_id"]] = member
            for leader, count in votes.items():
                if count > len(self.members) // 2 and leader in own:
                    return own[leader]
            return None

        return wait_for(find, "a leader that a majority follows")

    def followers(self) -> list[ClusterMember]:
        """The running members that do not lead."""
        leader = self.leader()
        return [member for member in self.running if member is not leader]

    def alike(self) -> int:
        """Wait until all running members hold the same; their common revision."""

        replies: list[Reply] = []

        def same() -> int | None:
            replies[:] = [quietly(member, {"op": "hash_kv"}) for member in self.running]
            seen = {(reply.get("hash"), reply.get("header", {}).get("revision")) for reply in replies}
            [(digest, revision), *others] = seen
            return revision if not others and digest is not None else None

        try:
            return wait_for(same, "equal hash_kv on all members")
        except TimeoutError as error:
            raise TimeoutError(f"{error}: {replies}") from None


def quietly(member: Member, request: Reply, limit_s: float = 2.0) -> Reply:
    """The reply, or an empty one where none came in time."""
    try:
        return member.call(request, limit_s)
    except TimeoutError:
        return {}


def wait_for(ask: Callable[[], T | None], what: str, limit_s: float = WAIT_S) -> T:
    """What ask gives once that is something. Raises TimeoutError."""
    started = time.monotonic()
    while time.monotonic() - started < limit_s:
        found = ask()
        if found is not None:
            return found
        time.sleep(0.02)
    raise TimeoutError(f"no {what} within {limit_s} s")


def put(member: Member, key: bytes, value: bytes, limit_s: float = 10.0) -> int:
    """Put through member; the revision."""
    reply = member.call({"op": "put", "key": key, "value": value}, limit_s)
    assert "error" not in reply, reply
    return int(reply["header"]["revision"])


def get(member: Member, key: bytes, *, serializable: bool = False, limit_s: float = 10.0) -> bytes | None:
    """The value of key at member."""
    reply = member.call({"op": "range", "key": key, "serializable": serializable}, limit_s)
    assert "error" not in reply, reply
    return reply["kvs"][0]["value"] if reply.get("kvs") else None


class Load:
    """Puts through one member, one after the other, until it is ended."""

    def __init__(self, member: Member) -> None:
        self.acked = 0
        self.slowest_s = 0.0
        self._member = member
        self._errors: list[object] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with self._member.req() as sock:
            number = 0
            while not self._stop.is_set():
                number += 1
                started = time.monotonic()
                key = f"{self._member.name}/{number % 100}".encode()
                sock.send(msgpack.packb({"op": "put", "key": key, "value": b"%d" % number}))
                if not sock.poll(20_000):
                    self._errors.append("no answer")
                    return
                reply = msgpack.unpackb(sock.recv())
                self.slowest_s = max(self.slowest_s, time.monotonic() - started)
                if "error" in reply:
                    self._errors.append(reply["error"])
                else:
                    self.acked += 1

    def wait_acked(self, count: int) -> None:
        """Until so many more are acknowledged."""
        upto = self.acked + count
        wait_for(lambda: True if self.acked >= upto or self._errors else None, f"{count} more puts")

    def end(self) -> list[object]:
        """Stop; the errors."""
        self._stop.set()
        self._thread.join()
        return self._errors
