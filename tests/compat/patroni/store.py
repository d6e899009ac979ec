"""Three members of zetcd, or of real etcd, under the same flags: where Patroni keeps its state."""

import contextlib
import http.client
import os
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from tests.compat import oracle
from tests.compat.suites.servers import environment

START_S = 60.0
STOP_S = 30.0
ASK_S = 2.0
MOVES = 10


class Member:
    """One member. Directory and ports stay the same over restarts."""

    def __init__(self, program: Path, directory: Path, name: str) -> None:
        self.program = program
        self.directory = directory
        self.name = name
        self.port, self.peer_port = oracle.free_ports(2)
        self.process: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True)

    @property
    def founder(self) -> str:
        """Its part of --initial-cluster."""
        return f"{self.name}=http://127.0.0.1:{self.peer_port}"

    def spawn(self, cluster: str) -> None:
        """Start without waiting."""
        client, peer = (f"http://127.0.0.1:{port}" for port in (self.port, self.peer_port))
        command = [
            str(self.program), "--name", self.name, "--data-dir", str(self.directory / "data"),
            "--listen-client-urls", client, "--advertise-client-urls", client,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
            "--initial-cluster", cluster, "--initial-cluster-state", "new",
        ]  # fmt: skip
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment())

    def ask(self, op: str, request: dict[str, Any]) -> dict[str, Any] | None:
        """The answer over JSON; None where there is none, or an error."""
        with contextlib.closing(oracle.Gateway(self.port, ASK_S)) as gateway:
            try:
                answer = gateway.call(op, request)
            except (OSError, http.client.HTTPException, ValueError, IndexError):
                return None
        return None if "error" in answer else answer

    def leads(self) -> bool:
        """Whether it takes itself for the leader."""
        status = self.ask("status", {})
        return status is not None and status.get("leader", 0) == status["header"]["member_id"]

    def kill(self) -> None:
        """SIGKILL to the process and all below it, the supervisor first so that it starts nothing anew."""
        assert self.process is not None
        below = psutil.Process(self.process.pid).children(recursive=True)
        self.process.kill()
        for process in below:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait(STOP_S)
        self.process = None

    def stop(self) -> None:
        """SIGTERM, and after a bound SIGKILL."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
        self.process = None


class Store:
    """Three members that found a cluster together; stopped at the end of the block."""

    def __init__(self, program: Path, directory: Path) -> None:
        self.members = [Member(program, directory / f"m{number}", f"m{number}") for number in (1, 2, 3)]

    def __enter__(self) -> Self:
        try:
            for member in self.members:
                self.spawn(member)
            self.wait_served()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for member in self.members:
            member.stop()

    @property
    def hosts(self) -> list[str]:
        """Of Patroni's configuration."""
        return [f"127.0.0.1:{member.port}" for member in self.members]

    def spawn(self, member: Member) -> None:
        """Start a member, the first time or again, without waiting."""
        member.spawn(",".join(each.founder for each in self.members))

    def leader(self) -> Member:
        """The member that leads. Raises TimeoutError."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            for member in self.members:
                if member.process is not None and member.leads():
                    return member
            time.sleep(0.05)
        raise TimeoutError("the members have no leader")

    def lead_among(self, ports: set[int]) -> Member:
        """The leader, after the lead was given to one of the members on these ports if it was elsewhere. Raises
        TimeoutError."""
        wanted = [member for member in self.members if member.port in ports]
        for _ in range(MOVES):
            leader = self.leader()
            if not wanted or leader in wanted:
                return leader
            status = wanted[0].ask("status", {})
            if status is not None:
                leader.ask("move_leader", {"targetID": status["header"]["member_id"]})
        raise TimeoutError("the lead could not be moved")

    def wait_served(self) -> None:
        """Until every running member answers a linearizable read. Raises TimeoutError."""
        deadline = time.monotonic() + START_S
        for member in self.members:
            while member.process is not None and member.ask("range", {"key": b"served?"}) is None:
                if time.monotonic() > deadline or member.process.poll() is not None:
                    raise TimeoutError(f"{member.name}: {(member.directory / 'log').read_text()[-2000:]}")
                time.sleep(0.05)
