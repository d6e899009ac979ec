"""The two sides: real etcd through its JSON gateway, zetcd through a plain REQ socket and MessagePack maps.

Both speak maps with etcd's field names; a side is fresh, so both begin at revision 1. `history` reads events the way
each side lets a simple client do it: a watch stream of the gateway, a long poll of the REQ socket.
"""

import contextlib
import http.client
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import msgpack
import zmq

from tests.bench.servers import ZetcdServer
from tests.compat.differential.grpc_side import GrpcSide
from tests.compat.differential.streams import history
from tests.compat.oracle import PATHS, Etcd, Gateway, binary, decoded, to_json

CALL_MS = 15_000


class Side(Protocol):
    """One server under comparison."""

    def call(self, op: str, request: dict[str, Any]) -> dict[str, Any]:
        """One request; the answer, or ``{"error": {...}}``."""
        ...

    def history(self, watch: dict[str, Any], last: int) -> dict[str, Any]:
        """``{"events": [...]}`` of a watch from its start_revision until an event of revision last has come, or
        ``{"compact_revision": n}`` where the start is gone."""
        ...


class EtcdSide:
    """Real etcd, or what stands in its place, through JSON."""

    def __init__(self, member: Etcd) -> None:
        self._port = member.port
        self._gateway = Gateway(member.port)

    def call(self, op: str, request: dict[str, Any]) -> dict[str, Any]:
        """One request."""
        return self._gateway.call(op, request)

    def close(self) -> None:
        """Close the connection."""
        self._gateway.close()

    def history(self, watch: dict[str, Any], last: int) -> dict[str, Any]:
        """Events of a watch stream."""
        return history(self, watch, last)

    @contextlib.contextmanager
    def watch(self, requests: list[dict[str, Any]]) -> Iterator[Iterator[dict[str, Any]]]:
        """The answers of one stream, as they come; its requests are one body."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=CALL_MS / 1000)
        with contextlib.closing(connection):
            connection.request("POST", "/v3/watch", "".join(json.dumps(to_json(request)) for request in requests))
            reply = connection.getresponse()

            def answers() -> Iterator[dict[str, Any]]:
                try:
                    while line := reply.readline():
                        yield decoded(line)
                except TimeoutError:
                    yield {"error": {"code": -1, "message": f"silence for {CALL_MS} ms"}}

            yield answers()

    def keep_alives(self, ids: list[int]) -> list[dict[str, Any]]:
        """Renewals of one stream."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=CALL_MS / 1000)
        with contextlib.closing(connection):
            connection.request("POST", PATHS["lease_keep_alive"], "".join(json.dumps({"ID": each}) for each in ids))
            return [decoded(line) for line in connection.getresponse().read().splitlines()]


class ZetcdSide:
    """zetcd, as a client that knows nothing but its public protocol."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._context = zmq.Context()
        self._socket = self._connect()

    def close(self) -> None:
        """Close the socket."""
        self._context.destroy(linger=0)

    def _connect(self) -> "zmq.Socket[bytes]":
        sock = self._context.socket(zmq.REQ)
        sock.linger = 0
        sock.rcvtimeo = CALL_MS
        sock.connect(self._endpoint)
        return sock

    def call(self, op: str, request: dict[str, Any]) -> dict[str, Any]:
        """One request."""
        try:
            self._socket.send(msgpack.packb({"op": op, **request}))
            answer: dict[str, Any] = msgpack.unpackb(self._socket.recv())
        except zmq.Again:
            # A REQ socket whose answer never came is of no use any more.
            self._socket.close()
            self._socket = self._connect()
            return {"error": {"code": -1, "message": f"no answer within {CALL_MS} ms"}}
        return answer

    def history(self, watch: dict[str, Any], last: int) -> dict[str, Any]:
        """Events of long polls, each from where the former one ended."""
        events: list[Any] = []
        start = watch["start_revision"]
        while not events or events[-1]["kv"]["mod_revision"] < last:
            answer = self.call("watch_poll", {**watch, "start_revision": start, "wait_ms": 5_000})
            if "error" in answer:
                compacted = answer.get("compact_revision", 0)
                return {"compact_revision": compacted} if compacted else answer
            if not answer["events"] and answer["next_revision"] > last:
                break
            events += answer["events"]
            start = answer["next_revision"]
        return {"events": events}


@contextlib.contextmanager
def etcd_side(directory: Path, version: str = "3.5", *, grpc: bool = False) -> Iterator[Side]:
    """A fresh member of real etcd, or with version "zetcd" of zetcd under etcd's flags, through JSON or gRPC."""
    program = Path(sys.executable).with_name("zetcd") if version == "zetcd" else binary(version)
    assert program is not None, f"no etcd {version} here: make setup"
    with Etcd.running(program, directory) as member:
        side = GrpcSide(member.port) if grpc else EtcdSide(member)
        with contextlib.closing(side):
            yield side


@contextlib.contextmanager
def zetcd_side(directory: Path) -> Iterator[Side]:
    """A fresh member of zetcd."""
    server = ZetcdServer(directory)
    server.start()
    try:
        side = ZetcdSide(server.endpoint)
        try:
            yield side
        finally:
            side.close()
    finally:
        server.stop()
