"""Transactions and questions about who is primary, until standard input ends; a JSON document a line.

Run by the interpreter of Patroni's virtual environment (for psycopg), alone: ``python traffic.py '<Plan as JSON>'``.
Seven threads: a writer that goes to whoever takes writes, as an application would; and for each of two nodes one that
tries to write there, one that asks PostgreSQL whether it is in recovery, one that asks Patroni's REST API. Every line
holds when the question began and ended (CLOCK_MONOTONIC, the same in all processes of a machine).
"""

import contextlib
import http.client
import json
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg

WRITE_EVERY_S = 0.02
PROBE_EVERY_S = 0.1
ASK_EVERY_S = 0.05
REST_S = 2.0
CONNECT_S = 2
TIMELINE = "('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int"
INSERT = f"INSERT INTO numbers (writer, number) VALUES (%s, %s) RETURNING inet_server_port(), {TIMELINE}"
ROLE = (
    "SELECT NOT pg_is_in_recovery(), CASE WHEN pg_is_in_recovery() THEN 0 ELSE "
    f"{TIMELINE} END, pg_postmaster_start_time()::text"
)
ACKNOWLEDGED, REFUSED, UNKNOWN = "acknowledged", "refused", "unknown"

Line = dict[str, Any]
ended = threading.Event()
printing = threading.Lock()


def say(line: Line) -> None:
    """One line of output."""
    with printing:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


class Session:
    """A connection that is made when it is needed. `dsn` says to which node."""

    def __init__(self, dsn: str) -> None:
        self._dsn = f"{dsn} connect_timeout={CONNECT_S}"
        self._connection: psycopg.Connection[Any] | None = None
        self.warned = False

    def open(self) -> "psycopg.Connection[Any]":
        """Raises psycopg.Error."""
        if self._connection is None:
            self._connection = psycopg.connect(self._dsn)
            self._connection.add_notice_handler(self._notice)
        self.warned = False
        return self._connection

    def drop(self) -> None:
        """After an error."""
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                self._connection.close()
            self._connection = None

    def _notice(self, _: object) -> None:
        # "canceling wait for synchronous replication": committed here, perhaps nowhere else.
        self.warned = True


def write(session: Session, writer: str, number: int) -> Line:
    """One transaction. Unknown: COMMIT was sent and not answered, or with a warning. It is never tried again."""
    line: Line = {
        "kind": "write",
        "writer": writer,
        "number": number,
        "began": time.monotonic(),
        "port": 0,
        "timeline": 0,
    }
    outcome = REFUSED
    try:
        connection = session.open()
        row = connection.execute(INSERT, (writer, number)).fetchone()
        assert row is not None
        line |= {"port": row[0], "timeline": row[1]}
        outcome = UNKNOWN
        connection.commit()
        if not session.warned:
            outcome = ACKNOWLEDGED
    except psycopg.Error as error:
        line["said"] = str(error).strip()[:200]
        session.drop()
    return line | {"outcome": outcome, "ended": time.monotonic()}


def role(session: Session, port: int, _: int) -> Line:
    """What PostgreSQL of one node says of itself."""
    line: Line = {"kind": "role", "port": port, "began": time.monotonic(), "primary": False}
    try:
        connection = session.open()
        row = connection.execute(ROLE).fetchone()
        connection.rollback()
        assert row is not None
        line |= {"primary": row[0], "timeline": row[1], "life": row[2], "answered": True}
    except psycopg.Error:
        session.drop()
    return line | {"ended": time.monotonic()}


def rest(port: int, rest_port: int, _: int) -> Line:
    """What Patroni of one node says of itself."""
    line: Line = {"kind": "rest", "port": port, "began": time.monotonic(), "primary": False}
    connection = http.client.HTTPConnection("127.0.0.1", rest_port, timeout=REST_S)
    try:
        connection.request("GET", "/primary")
        status = connection.getresponse().status
        line |= {"primary": status == 200, "answered": True}
    except (OSError, http.client.HTTPException):
        pass
    finally:
        connection.close()
    return line | {"ended": time.monotonic()}


def every(seconds: float, do: Callable[[int], Line]) -> threading.Thread:
    """A thread that says do(1), do(2), ... until the end."""

    def work() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            say(do(number))
            ended.wait(seconds)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def main() -> None:
    """Plan: {"dsn": user and database, "ports": of PostgreSQL, "rest_ports": of Patroni}; PGPASSWORD is set."""
    plan = json.loads(sys.argv[1])
    ports = plan["ports"]
    hosts = ",".join("127.0.0.1" for _ in ports)
    anyone = Session(f"{plan['dsn']} host={hosts} port={','.join(map(str, ports))} target_session_attrs=read-write")
    threads = [every(WRITE_EVERY_S, partial(write, anyone, "application"))]
    for port, rest_port in zip(ports, plan["rest_ports"], strict=True):
        dsn = f"{plan['dsn']} host=127.0.0.1 port={port}"
        prober, asker = Session(dsn), Session(dsn)
        threads += [
            every(PROBE_EVERY_S, partial(write, prober, f"probe {port}")),
            every(ASK_EVERY_S, partial(role, asker, port)),
            every(ASK_EVERY_S, partial(rest, port, rest_port)),
        ]
    sys.stdin.read()
    ended.set()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
