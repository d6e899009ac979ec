"""Three members of etcd or of zetcd, started with the same flags: what the cluster commands are compared on."""

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.compat.ctl.sides import START_S, STOP_S, Side
from tests.compat.oracle import free_ports

NAMES = ("m1", "m2", "m3")
SETTLE_S = 1.0
"""A learner may be added when a majority is heard, a voter when all are: a heartbeat or two later."""


@dataclass(slots=True)
class Trio:
    """Members by name; each has its client URL and, while it runs, its process."""

    program: Path
    directory: Path
    scheme: str
    flags: tuple[str, ...]
    urls: dict[str, str] = field(default_factory=dict)
    peers: dict[str, str] = field(default_factory=dict)
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in NAMES:
            self.name(name)

    def name(self, name: str) -> None:
        """Give a member its URLs."""
        client, peer = free_ports(2)
        self.urls[name] = f"{self.scheme}://127.0.0.1:{client}"
        self.peers[name] = f"{self.scheme}://127.0.0.1:{peer}"

    def start(self, name: str, state: str = "new") -> None:
        """Without waiting."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("ETCD_", "ETCDCTL_", "ZETCD"))}
        with (self.directory / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [
                    self.program, "--name", name, "--data-dir", self.directory / name,
                    "--listen-client-urls", self.urls[name], "--advertise-client-urls", self.urls[name],
                    "--listen-peer-urls", self.peers[name], "--initial-advertise-peer-urls", self.peers[name],
                    "--initial-cluster", ",".join(f"{each}={url}" for each, url in self.peers.items()),
                    "--initial-cluster-state", state, *self.flags,
                ],
                stdout=log, stderr=log, env=environment,
            )  # fmt: skip

    def stop(self, name: str) -> None:
        """In order, and at once if that does not help."""
        process = self.processes.pop(name)
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_S)

    def forget(self, name: str) -> None:
        """A member that was removed, and stops by itself."""
        self.processes[name].wait(START_S)
        for known in (self.processes, self.urls, self.peers):
            known.pop(name)


@contextlib.contextmanager
def running(program: Path, directory: Path, scheme: str, *flags: str) -> Iterator[Trio]:
    """Three members, until the end of the block."""
    trio = Trio(program, directory, scheme, flags)
    for name in NAMES:
        trio.start(name)
    try:
        yield trio
    finally:
        for name in list(trio.processes):
            trio.stop(name)


class TrioSide(Side):
    """A side whose endpoint is the leader's; it can stop members."""

    trio: Trio

    def wait(self) -> None:
        """Until all members are named, one leads, and a member may be added: etcd refuses that for five seconds."""
        deadline = time.monotonic() + 2 * START_S
        while time.monotonic() < deadline:
            with contextlib.suppress(AssertionError, KeyError, IndexError, StopIteration):
                self.find_leader()
                rows = json.loads(self.quiet("member", "list", "-w", "json"))["members"]
                assert all(row.get("name") and row.get("clientURLs") for row in rows)
                self._probe()
                self.quiet("put", "k", "v")
                return
            time.sleep(0.2)
        raise AssertionError("the cluster did not come up")

    def settle(self) -> None:
        """Make the leader the endpoint, and wait until it adds members: a new one has to hear of the others first."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            with contextlib.suppress(AssertionError, StopIteration):
                self.find_leader()
                self._probe()
                time.sleep(SETTLE_S)
                return
            time.sleep(0.1)
        raise AssertionError("the cluster does not settle")

    def _probe(self) -> None:
        added = self.quiet("member", "add", "probe", "--learner", "--peer-urls=http://127.0.0.9:999")
        self.quiet("member", "remove", added.split()[1])

    def wait_for(self, name: str, consistency: str = "s") -> None:
        """Until this member answers with what was written at the start."""
        url = self.trio.urls[name]
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            before, self.endpoint = self.endpoint, url
            try:
                if "v" in self.quiet("get", "k", f"--consistency={consistency}", "--command-timeout=1s"):
                    return
            except AssertionError:
                time.sleep(0.1)
            finally:
                self.endpoint = before
        raise AssertionError(f"{name} does not answer")

    def statuses(self) -> list[dict[str, Any]]:
        """`endpoint status` of the members that run."""
        self.endpoint = ",".join(self.trio.urls[name] for name in self.trio.processes)
        found: list[dict[str, Any]] = json.loads(self.quiet("endpoint", "status", "-w", "json"))
        return found

    def find_leader(self) -> str:
        """Make the leader the endpoint; its name."""
        endpoint = next(
            row["Endpoint"]
            for row in self.statuses()
            if row["Status"].get("leader") == row["Status"]["header"]["member_id"]
        )
        self.endpoint = endpoint
        return next(name for name, url in self.trio.urls.items() if url == endpoint)

    def ids(self) -> dict[str, str]:
        """Member ids by name; ``""`` names those that were never started."""
        return {
            row.get("name", ""): f"{row['ID']:x}"
            for row in json.loads(self.quiet("member", "list", "-w", "json"))["members"]
        }
