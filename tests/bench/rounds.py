"""The workloads, and rounds of them on both servers in turn: A B, B A, A B, so that drift of the machine cancels."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.clusters import Cluster
from tests.bench.servers import ROOT, EtcdServer, Server, ZetcdServer, cpu_seconds, pss_bytes

Figures = dict[str, Any]
Say = Callable[[str], None]
Servers = Callable[[str], AbstractContextManager[Server]]

SMALL_KEYS = 1_000
CONNECTIONS = (
    8  # of the Go client under 1,000 outstanding: the number with which etcd is fastest here (1, 8, 100 tried)
)


@dataclass(frozen=True, slots=True)
class Workload:
    """One row of work: how each side's load program is called."""

    name: str
    etcd: dict[str, str | int]
    zetcd: dict[str, str | int]


WORKLOADS = (
    Workload("put_1000", {"work": "put", "clients": 1000, "conns": CONNECTIONS}, {"work": "put", "clients": 1000}),
    Workload("put_1000_req", {}, {"work": "put", "clients": 1000, "via": "req"}),
    Workload("put_1", {"work": "put", "clients": 1}, {"work": "put", "clients": 1, "via": "sync"}),
    Workload("put_1_req", {}, {"work": "put", "clients": 1, "via": "req"}),
    Workload("get_1000", {"work": "get", "clients": 1000, "conns": CONNECTIONS}, {"work": "get", "clients": 1000}),
    Workload("get_1000_req", {}, {"work": "get", "clients": 1000, "via": "req"}),
    Workload("get_1", {"work": "get", "clients": 1}, {"work": "get", "clients": 1, "via": "sync"}),
    Workload("get_1_req", {}, {"work": "get", "clients": 1, "via": "req"}),
    Workload("watch_1000", {"work": "watch", "clients": 1000, "conns": 1}, {"work": "watch", "clients": 1000}),
)
SPREAD = "spread"
"""In a workload's flags: over the endpoints of all members instead of the leader's alone."""
CLUSTER_WORKLOADS = (
    Workload("c3_put_1000", {"work": "put", "clients": 1000, "conns": CONNECTIONS}, {"work": "put", "clients": 1000}),
    Workload(
        "c3_put_1000_spread",
        {"work": "put", "clients": 1000, "conns": 9, SPREAD: 1},
        {"work": "put", "clients": 1000, SPREAD: 1},
    ),
    Workload("c3_put_1", {"work": "put", "clients": 1}, {"work": "put", "clients": 1, "via": "sync"}),
    Workload(
        "c3_get_1000_spread",
        {"work": "get", "clients": 1000, "conns": 9, SPREAD: 1},
        {"work": "get", "clients": 1000, SPREAD: 1},
    ),
    Workload("c3_get_1000", {"work": "get", "clients": 1000, "conns": CONNECTIONS}, {"work": "get", "clients": 1000}),
    Workload("c3_get_1", {"work": "get", "clients": 1}, {"work": "get", "clients": 1, "via": "sync"}),
)
"""With three members on the same processors."""
GO = {"via": "go"}
"""In a workload's flags of zetcd: the load program is etcd's, through the gateway."""


def _through_gateway(work: str, clients: int, conns: int) -> Workload:
    flags: dict[str, str | int] = {"work": work, "clients": clients, "conns": conns}
    return Workload(f"gw_{work}_{clients}", flags, {**flags, **GO})


GATEWAY_WORKLOADS = (
    *(
        _through_gateway(work, clients, conns)
        for work in ("put", "get")
        for clients, conns in ((1000, CONNECTIONS), (100, CONNECTIONS), (1, 1))
    ),
    _through_gateway("watch", 1000, 1),
)
"""etcd's own Go client against both servers."""
AT_SIZE = ("put_1000", "get_1000")
"""What is repeated on a small and on a large keyspace."""


@dataclass(slots=True)
class Bench:
    """One comparison: its settings, and what it has seen so far."""

    seconds: float
    rounds: int
    keys: int
    zetcd_flags: tuple[str, ...]
    only: tuple[str, ...]
    say: Say
    results: dict[str, dict[str, list[Figures]]] = field(default_factory=dict)
    large: dict[str, Figures] = field(default_factory=dict)

    def run(self) -> None:
        """All rounds, then the large keyspace."""
        build_loadgo()
        for number in range(self.rounds):
            sides = ("etcd", "zetcd") if number % 2 == 0 else ("zetcd", "etcd")
            for side in sides:
                self.say(f"round {number + 1} of {self.rounds}: {side}")
                self._round(side, WORKLOADS, self._server)
                self._round(side, CLUSTER_WORKLOADS, self._cluster)
                self._round(side, GATEWAY_WORKLOADS, self._gateway)
        if "large" in self.only or not self.only:
            for side in ("etcd", "zetcd"):
                self.large[side] = self._large(side)

    def _wanted(self, name: str) -> bool:
        return not self.only or name in self.only

    def _round(self, side: str, workloads: Sequence[Workload], servers: Servers) -> None:
        wanted = [one for one in workloads if self._wanted(one.name) and (one.etcd if side == "etcd" else one.zetcd)]
        if not wanted:
            return
        with servers(side) as server:
            self.load(server, {"work": "fill", "clients": 20, "keys": SMALL_KEYS})
            for workload in wanted:
                flags = dict(workload.etcd if side == "etcd" else workload.zetcd)
                if flags.pop(SPREAD, 0):
                    assert isinstance(server, Cluster)
                    flags["endpoint"] = ",".join(server.endpoints)
                figures = self.load(server, {**flags, "keys": SMALL_KEYS})
                self.results.setdefault(workload.name, {}).setdefault(side, []).append(figures)
                self.say(
                    f"  {workload.name:18} {figures['per_second']:>12,.0f}/s  p50 {figures['p50_us']:>8,.0f} us"
                    f"  p99 {figures['p99_us']:>9,.0f} us"
                )

    def _large(self, side: str) -> Figures:
        """The same rates at SMALL_KEYS and at self.keys keys, then restart and memory with all of them loaded."""
        small: dict[str, list[float]] = {name: [] for name in AT_SIZE}
        many: dict[str, list[float]] = {name: [] for name in AT_SIZE}
        with self._server(side) as few, self._server(side) as full:
            self.load(few, {"work": "fill", "clients": 20, "keys": SMALL_KEYS})
            fill = self.load(full, {"work": "fill", "clients": 20, "keys": self.keys})
            loaded_pss = pss_bytes(full.pids)
            self.say(f"  {side}: {self.keys:,} keys loaded at {fill['per_second']:,.0f}/s, {loaded_pss >> 20} MiB")
            restarts = []
            for _ in range(max(2, self.rounds)):
                full.stop()
                restarts.append(full.start())
            restarted_pss = pss_bytes(full.pids)
            self.say(f"  {side}: restart to first get {', '.join(f'{s:.2f} s' for s in restarts)}")
            for _ in range(self.rounds):
                for workload in WORKLOADS:
                    if workload.name in AT_SIZE:
                        flags = workload.etcd if side == "etcd" else workload.zetcd
                        for server, keys, into in ((few, SMALL_KEYS, small), (full, self.keys, many)):
                            figures = self.load(server, {**flags, "keys": keys})
                            into[workload.name].append(figures["per_second"])
            self.say(f"  {side}: at {SMALL_KEYS:,} keys {small}, at {self.keys:,} keys {many}")
            return {
                "keys": self.keys, "fill_per_second": fill["per_second"], "loaded_pss": loaded_pss,
                "restarted_pss": restarted_pss, "used_pss": pss_bytes(full.pids), "restart_s": restarts,
                "small": small, "many": many, "disk_bytes": _disk_bytes(full),
            }  # fmt: skip

    def load(self, server: Server, flags: dict[str, str | int]) -> Figures:
        """Run server's load program; its figures, and what the server spent meanwhile."""
        options: dict[str, str | int | float] = {
            "endpoint": server.endpoint, "seconds": self.seconds, "warmup": min(2.0, self.seconds / 2), **flags,
        }  # fmt: skip
        if server.name == "etcd" or flags.get("via") == GO["via"]:
            options["endpoint"] = flags.get("endpoint", server.http)
            options.pop("via", None)
            command = [str(LOADGO), *(f"-{name}={value}" for name, value in options.items())]
        else:
            command = [
                sys.executable,
                "-m",
                "tests.bench.load",
                *(f"--{name}={value}" for name, value in options.items()),
            ]
        before = cpu_seconds(server.pids)
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=1_800)
        used = cpu_seconds(server.pids) - before
        if run.returncode:
            raise RuntimeError(f"{' '.join(command)}\n{run.stderr[-4000:]}")
        figures: Figures = json.loads(run.stdout)
        figures["server_cpu_s"] = used
        figures["pss"] = pss_bytes(server.pids)
        figures["server_cpu_ms_per_1000"] = 1e6 * used / max(1, figures["requests_all"])
        figures["client_cpu_ms_per_1000"] = 1e6 * figures["cpu_s"] / max(1, figures["requests"])
        return figures

    @contextmanager
    def _cluster(self, side: str) -> Iterator[Server]:
        # Three members share the processors: pinned, all three would crowd the same one with the same process.
        flags = ("--log-level", "error") if side == "etcd" else ("--cpu-affinity=none", *self.zetcd_flags)
        with _directory(side) as directory:
            cluster = Cluster(side, directory, flags)
            try:
                cluster.start()
                yield cluster
            finally:
                cluster.stop()

    @contextmanager
    def _gateway(self, side: str) -> Iterator[Server]:
        with self._server(side, gateway=True) as server:
            yield server

    @contextmanager
    def _server(self, side: str, *, gateway: bool = False) -> Iterator[Server]:
        with _directory(side) as directory:
            server: Server = (
                EtcdServer(directory) if side == "etcd" else ZetcdServer(directory, self.zetcd_flags, gateway=gateway)
            )
            try:
                server.start()
                yield server
            finally:
                server.stop()


@contextmanager
def _directory(side: str) -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix=f"bench-{side}-", dir=os.environ.get("BENCH_DIRECTORY")))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        os.sync()  # what one side left to the page cache is no burden of the other


LOADGO = ROOT / "build/bench/loadgo"


def build_loadgo() -> None:
    """Compile the Go load program against Debian's packages, if it is older than its source."""
    source = ROOT / "tests/bench/loadgo/main.go"
    if LOADGO.exists() and LOADGO.stat().st_mtime >= source.stat().st_mtime:
        return
    LOADGO.parent.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"GOPATH": "/usr/share/gocode", "GO111MODULE": "off", "GOFLAGS": ""}
    subprocess.run(["go", "build", "-o", LOADGO, "."], cwd=source.parent, env=environment, check=True, timeout=600)


def _disk_bytes(server: Server) -> int:
    directory: Path = server.directory  # type: ignore[attr-defined]
    return sum(path.stat().st_blocks * 512 for path in directory.rglob("*") if path.is_file())
