"""/health, /livez and /readyz: what etcd looks at, and its words for what it finds.

/health: no alarm, a leader, and a read of one key. ``exclude=<alarm>`` leaves an alarm out, ``serializable=true`` asks
this member alone. 200 or 503 with ``{"health":"true","reason":""}``; etcd 3.4 has no `reason`.

/livez, /readyz (etcd since 3.5.11): named checks, all of the path's, or ``/livez/<check>`` alone. ``exclude=<check>``
leaves one out, ``verbose`` lists them. 200 ``ok``, or 503 with the list.
"""

import re
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import parse_qs

from google.protobuf.message import Message

from zetcd.gateway.http.answers import TEXT, Exchange, Headers, Request, respond_only, respond_text
from zetcd.gateway.http.asked import Asked
from zetcd.gateway.http.encoder import string
from zetcd.gateway.rpc import Methods, RpcError, Unary

STATUS = "/etcdserverpb.Maintenance/Status"
RANGE = "/etcdserverpb.KV/Range"
# The gateway asks without a user. That nobody may read is no illness.
_FORBIDDEN = ("etcdserver: user name is empty", "etcdserver: permission denied")
_ALARM = re.compile(r"alarm:(\w+)")
_ONE_KEY = {"key": b"\0", "range_end": b"\0", "limit": 1, "keys_only": True}
CHECKS = {
    "livez": ("serializable_read",),
    "readyz": ("data_corruption", "serializable_read", "linearizable_read", "non_learner"),
}

Found = Callable[[str], None]
"""Told what is wrong; "" for nothing."""
Check = Callable[[Found], Asked]


class Health:
    """Asks the member anew for each request, counts what it found (`counters`, as etcd's metrics are called)."""

    __slots__ = ("_range", "_status", "counters", "last", "probes")

    def __init__(self, methods: Methods) -> None:
        status, range_ = methods[STATUS], methods[RANGE]
        assert isinstance(status, Unary)
        assert isinstance(range_, Unary)
        self._status = status
        self._range = range_
        self.counters = {"health_success": 0, "health_failures": 0}
        self.probes: dict[tuple[str, str, str], int] = {}  # (path, check, success or error): how often
        self.last: dict[tuple[str, str], int] = {}  # (path, check): 1 if it was well at last, else 0

    def on_health(self, request: Request, exchange: Exchange, cors: Headers) -> None:
        """/health."""
        query = parse_qs(request.query)
        serializable = query.get("serializable", [""])[0] == "true"
        excluded = query.get("exclude", [])

        def finished(found: list[str]) -> None:
            reason = found[-1]
            self.counters["health_failures" if reason else "health_success"] += 1
            text = f'{{"health":"{"false" if reason else "true"}","reason":{string(reason)}}}'
            if reason:
                respond_text(exchange, 503, text, cors)
            else:
                exchange.respond(200, [*cors, TEXT[0]], text.encode())

        checks: list[Check] = [
            partial(self._ask_status, partial(_standing, excluded, serializable)),
            partial(self._read, serializable, "RANGE ERROR:"),
        ]
        if request.method == "GET":
            _Run(exchange, checks, True, finished).go_on()
        else:
            respond_only(exchange, "GET", cors)

    def on_probe(self, path: str, only: str, request: Request, exchange: Exchange, cors: Headers) -> None:
        """``/livez`` or ``/readyz`` (path without the slash), or one check (only) of it."""
        query = parse_qs(request.query, keep_blank_values=True)
        names = [only] if only else [name for name in CHECKS[path] if name not in query.get("exclude", [])]

        def finished(found: list[str]) -> None:
            lines = []
            for name, reason in zip(names, found, strict=True):
                counted = path, name, "error" if reason else "success"
                self.probes[counted] = self.probes.get(counted, 0) + 1
                self.last[path, name] = 0 if reason else 1
                lines.append(f"[-]{name} failed: {reason}\n" if reason else f"[+]{name} ok\n")
            if any(found):
                respond_text(exchange, 503, "".join(lines), cors)
            else:
                respond_text(exchange, 200, ("".join(lines) if "verbose" in query else "") + "ok", cors)

        checks: dict[str, Check] = {
            "data_corruption": partial(self._ask_status, _corruption),
            "serializable_read": partial(self._read, True, "range error: "),
            "linearizable_read": partial(self._read, False, "range error: "),
            "non_learner": partial(self._ask_status, _learner),
        }
        if request.method == "GET":
            _Run(exchange, [checks[name] for name in names], False, finished).go_on()
        else:
            respond_only(exchange, "GET", cors)

    def _ask_status(self, judge: Callable[[Any], str], found: Found) -> Asked:
        def answered(answer: Message | RpcError) -> None:
            found(answer.message if isinstance(answer, RpcError) else judge(answer))

        return Asked(self._status, self._status.request(), answered)

    def _read(self, serializable: bool, prefix: str, found: Found) -> Asked:
        def answered(answer: Message | RpcError) -> None:
            failed = isinstance(answer, RpcError) and answer.message not in _FORBIDDEN
            found(f"{prefix}{answer}" if failed else "")

        return Asked(self._range, self._range.request(**_ONE_KEY, serializable=serializable), answered)


class _Run:
    """Checks, one after the other, for one exchange; `finished` is told what each found."""

    __slots__ = ("asked", "checks", "exchange", "finished", "found", "starting", "to_first")

    def __init__(
        self, exchange: Exchange, checks: list[Check], to_first: bool, finished: Callable[[list[str]], None]
    ) -> None:
        self.exchange = exchange
        self.checks = iter(checks)
        self.to_first = to_first  # what is wrong
        self.finished = finished
        self.found: list[str] = []
        self.starting = False
        self.asked: Asked | None = None
        exchange.on_cancel = self.cancelled

    def go_on(self) -> None:
        """Start the next check, and those behind it while each has its answer at once."""
        answered = True
        while answered:
            check = next(self.checks, None)
            if check is None or (self.to_first and any(self.found)):
                self.exchange.on_cancel = None
                self.finished(self.found)
                return
            before = len(self.found)
            self.starting = True
            self.asked = check(self.on_found)
            self.starting = False
            answered = len(self.found) > before

    def on_found(self, reason: str) -> None:
        """One has its answer."""
        self.found.append(reason)
        if not self.starting:
            self.go_on()

    def cancelled(self) -> None:
        """The client went away."""
        if self.asked is not None:
            self.asked.cancel()


def _standing(excluded: list[str], serializable: bool, status: Any) -> str:
    """Alarms that nobody excluded, and the leader."""
    for alarm in _alarms(status):
        if alarm not in excluded:
            return f"ALARM {alarm}"
    return "" if status.leader or serializable else "RAFT NO LEADER"


def _corruption(status: Any) -> str:
    return "alarm activated: CORRUPT" if "CORRUPT" in _alarms(status) else ""


def _learner(status: Any) -> str:
    return "not supported for learner" if status.isLearner else ""


def _alarms(status: Any) -> list[str]:
    """The names of the alarms of all members, as Status tells them: ``memberID:1 alarm:NOSPACE``."""
    return _ALARM.findall(" ".join(status.errors))
