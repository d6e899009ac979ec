"""One put or get at a time, asked of either server, and what is known of it afterwards.

A caller stays with one endpoint (`Pinned`, `Gateway`), or goes on to the next where one does not take requests any more
(`Roaming`, `RoamingGateway`), as clients do.
"""

import contextlib
import http.client
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from tests.compat import oracle
from tests.process.crash.workload import Req
from zetcd.client import Client, Error

OK, REFUSED, UNKNOWN = "ok", "refused", "unknown"
DEFINITE = frozenset(
    "etcdserver: " + text
    for text in (
        "no leader", "not leader", "unhealthy cluster", "rpc not supported for learner", "server stopped",
    )
)  # fmt: skip
"""Of docs/protocol.md: what was certainly not applied although the code alone does not say so."""
IN_DOUBT = frozenset({2, 4, 13, 14})


class Answer(NamedTuple):
    """What came back. revision: of the header; value, mod_revision: of a get, None and 0 where there is no such key."""

    outcome: str
    revision: int = 0
    value: bytes | None = None
    mod_revision: int = 0
    message: str = ""


class Caller(Protocol):
    """What load needs of either server."""

    def put(self, key: bytes, value: bytes) -> Answer: ...

    def get(self, key: bytes, *, serializable: bool = False) -> Answer: ...

    def close(self) -> None: ...


MakeCaller = Callable[[], Caller]


def answer_of(reply: dict[str, Any] | None) -> Answer:
    """From the map of the public API; None: nothing came in time."""
    if reply is None:
        return Answer(UNKNOWN, message="no answer in time")
    if "error" in reply:
        return _failed(reply["error"].get("code", 2), reply["error"].get("message", ""))
    kv = (reply.get("kvs") or [{}])[0]
    found = kv.get("value", b"") if kv else None
    return Answer(OK, reply["header"].get("revision", 0), found, kv.get("mod_revision", 0))


def _failed(code: int, message: str) -> Answer:
    certain = code not in IN_DOUBT or message in DEFINITE
    return Answer(REFUSED if certain else UNKNOWN, message=message)


class Pinned:
    """Of zetcd, over REQ."""

    def __init__(self, endpoint: str, limit_s: float) -> None:
        self._req = Req(endpoint)
        self._limit_s = limit_s

    def put(self, key: bytes, value: bytes) -> Answer:
        return answer_of(self._req.call({"op": "put", "key": key, "value": value}, self._limit_s))

    def get(self, key: bytes, *, serializable: bool = False) -> Answer:
        return answer_of(self._req.call({"op": "range", "key": key, "serializable": serializable}, self._limit_s))

    def close(self) -> None:
        self._req.close()


class Roaming:
    """Of zetcd, through the client library, which goes from endpoint to endpoint by itself."""

    def __init__(self, endpoints: Sequence[str], limit_s: float) -> None:
        self._client = Client(endpoints, timeout=limit_s)

    def put(self, key: bytes, value: bytes) -> Answer:
        try:
            return Answer(OK, self._client.put(key, value).header.revision)
        except Error as error:
            return Answer(UNKNOWN if error.outcome_unknown else REFUSED, message=str(error))

    def get(self, key: bytes, *, serializable: bool = False) -> Answer:
        try:
            reply = self._client.range(key, serializable=serializable)
        except Error as error:
            return Answer(UNKNOWN, message=str(error))
        if not reply.kvs:
            return Answer(OK, reply.header.revision)
        return Answer(OK, reply.header.revision, reply.kvs[0].value, reply.kvs[0].mod_revision)

    def close(self) -> None:
        self._client.close()


class RoamingGateway:
    """Of etcd, over the JSON gateway; with one port it is a caller that stays. Where the request was certainly not
    taken (refused, or the connection was closed before it was sent), and for a get whose connection broke, the next
    port is asked, as etcd's own client does; any other failure is the request's."""

    def __init__(self, ports: Sequence[int], limit_s: float) -> None:
        self._ports = list(ports)
        self._limit_s = limit_s
        self._gateway = oracle.Gateway(self._ports[0], limit_s)

    def put(self, key: bytes, value: bytes) -> Answer:
        return self._call("put", {"key": key, "value": value})

    def get(self, key: bytes, *, serializable: bool = False) -> Answer:
        return self._call("range", {"key": key, "serializable": serializable})

    def _call(self, op: str, request: dict[str, Any]) -> Answer:
        for _ in self._ports:
            try:
                return answer_of(self._gateway.call(op, request))
            except (ConnectionRefusedError, BrokenPipeError):
                self._next()
            except (OSError, http.client.HTTPException, ValueError, IndexError) as error:
                if op == "put" or isinstance(error, TimeoutError):
                    return Answer(UNKNOWN, message=repr(error))
                self._next()
        return Answer(REFUSED, message="connection refused")

    def _next(self) -> None:
        self._ports.append(self._ports.pop(0))
        self._gateway = oracle.Gateway(self._ports[0], self._limit_s)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._gateway.close()
