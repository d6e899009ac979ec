"""A node: Patroni, the PostgreSQL that it keeps, and their directory."""

import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import psutil

from tests.compat.oracle import free_ports
from tests.compat.patroni import prepare

SCOPE = "proof"
TTL_S = 20
STOP_S = 60.0
ASK_S = 3.0
DATABASE = "postgres"
SUPERUSER = "postgres"


class Node:
    """One node. Directory, ports and configuration stay the same over restarts."""

    def __init__(self, directory: Path, name: str, hosts: list[str], password: str) -> None:
        self.directory = directory
        self.name = name
        self.programs = prepare.patroni()
        self.postgresql = prepare.postgresql()
        self.account = prepare.account()
        self.port, self.rest_port = free_ports(2)
        self.process: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True, mode=0o700)
        self.configuration = directory / "patroni.yml"
        # JSON is YAML too: what docs/patroni.md shows, written without a YAML library.
        self.configuration.write_text(json.dumps(self._configuration(hosts, password), indent=2))
        if self.account:
            for path in (directory, self.configuration):
                shutil.chown(path, self.account["user"], self.account["group"])

    def spawn(self) -> None:
        """Start Patroni without waiting."""
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("PG", "PATRONI", "PYTHON"))
        }
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [self.programs / "python", self.programs / "patroni", self.configuration],
                stdout=log, stderr=log, cwd=self.directory, env=environment, **self.account,
            )  # fmt: skip

    def ask(
        self, method: str, path: str, body: dict[str, Any] | None = None, limit_s: float = ASK_S
    ) -> tuple[int, Any]:
        """Status and document of Patroni's REST API; (0, text) where there is no answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.rest_port, timeout=limit_s)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            reply = connection.getresponse()
            text = reply.read().decode()
        except (OSError, http.client.HTTPException) as error:
            return 0, repr(error)
        finally:
            connection.close()
        try:
            return reply.status, json.loads(text)
        except ValueError:
            return reply.status, text

    def sql(self, text: str, password: str) -> str:
        """What psql prints, unaligned. Raises CalledProcessError."""
        environment = {"PGPASSWORD": password, "PGCONNECT_TIMEOUT": "5", "LC_ALL": "C"}
        command = [
            str(self.postgresql / "psql"), "-X", "-At", "-v", "ON_ERROR_STOP=1",
            "-h", "127.0.0.1", "-p", str(self.port), "-U", SUPERUSER, "-d", DATABASE, "-c", text,
        ]  # fmt: skip
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
        return done.stdout.strip()

    def postmaster(self) -> psutil.Process | None:
        """PostgreSQL's first process, if it runs on this node's directory."""
        with contextlib.suppress(OSError, ValueError, IndexError, psutil.NoSuchProcess):
            pid = int((self.directory / "data" / "postmaster.pid").read_text().splitlines()[0])
            process = psutil.Process(pid)
            if str(self.directory / "data") in " ".join(process.cmdline()):
                return process
        return None

    def connected(self) -> set[int]:
        """Ports that Patroni holds a connection to."""
        assert self.process is not None
        found = psutil.Process(self.process.pid).net_connections("tcp4")
        return {each.raddr.port for each in found if each.status == psutil.CONN_ESTABLISHED}

    def kill(self, *, patroni: bool) -> None:
        """SIGKILL to the postmaster, and first to Patroni if that is to die with it."""
        postmaster = self.postmaster()
        assert postmaster is not None, f"{self.name} runs no PostgreSQL"
        if patroni and self.process is not None:
            self.process.kill()
        postmaster.kill()
        if patroni and self.process is not None:
            self.process.wait(STOP_S)
            self.process = None

    def stop(self) -> None:
        """SIGTERM to Patroni, which stops PostgreSQL; what is left after a bound is killed."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None
        postmaster = self.postmaster()
        if postmaster is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                postmaster.kill()

    def _configuration(self, hosts: list[str], password: str) -> dict[str, Any]:
        return {
            "scope": SCOPE,
            "name": self.name,
            "etcd3": {"hosts": hosts},
            "restapi": {"listen": f"127.0.0.1:{self.rest_port}", "connect_address": f"127.0.0.1:{self.rest_port}"},
            "bootstrap": {
                "dcs": {
                    "ttl": TTL_S,
                    "loop_wait": 2,
                    "retry_timeout": 5,
                    "synchronous_mode": True,
                    "postgresql": {"use_pg_rewind": True, "parameters": {"max_connections": 40}},
                },
                "initdb": [
                    {"encoding": "UTF8"},
                    {"locale": "C"},
                    {"auth-local": "trust"},
                    {"auth-host": "scram-sha-256"},
                    "data-checksums",
                ],
            },
            "postgresql": {
                "listen": f"127.0.0.1:{self.port}",
                "connect_address": f"127.0.0.1:{self.port}",
                "data_dir": str(self.directory / "data"),
                "bin_dir": str(self.postgresql),
                "pgpass": str(self.directory / "pgpass"),
                "authentication": {
                    "superuser": {"username": SUPERUSER, "password": password},
                    "replication": {"username": "replicator", "password": password},
                },
                "pg_hba": [
                    "local all all trust",
                    "host all all 127.0.0.1/32 scram-sha-256",
                    "host replication replicator 127.0.0.1/32 scram-sha-256",
                ],
                "parameters": {"unix_socket_directories": str(self.directory), "shared_buffers": "32MB"},
            },
        }
