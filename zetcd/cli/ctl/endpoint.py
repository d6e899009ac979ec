"""endpoint health, status, hashkv: questions to each endpoint on its own."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from zetcd.cli.ctl.console import Console
from zetcd.cli.ctl.exits import ERROR, SUCCESS, Exit
from zetcd.cli.ctl.formats.schema import ALARMS
from zetcd.cli.ctl.golang import format_duration
from zetcd.wire.client import AlarmRequest, HashKvRequest, MemberListRequest, RangeRequest, StatusRequest

_PERMISSION_DENIED = "etcdserver: permission denied"
_ASKED_AT_ONCE_MAX = 64


def endpoints_of(console: Console) -> list[str]:
    """--endpoints, or with --cluster what the members advertise to ZeroMQ clients."""
    if not console.parsed.on("cluster"):
        return console.endpoints
    frame = "failed to fetch endpoints from etcd cluster member list: {}"
    members = console.call(MemberListRequest(), frame=frame).get("members", ())
    return [url for member in members for url in member.get("clientURLs", ()) if url.startswith("tcp://")]


def health(console: Console) -> int:
    """The endpoint health command: a linearizable read of one key, then the alarms."""
    endpoints = endpoints_of(console)
    console.check_format()
    assert console.client, "made once, before the threads: one more would never be closed, and hold up the end"
    with ThreadPoolExecutor(min(len(endpoints), _ASKED_AT_ONCE_MAX) or 1) as pool:
        rows = list(pool.map(lambda endpoint: _health_of(console, endpoint), endpoints))
    console.show("health", {"endpoints": rows})
    if console.format == "simple":
        for row in rows:
            if row["error"]:
                console.complain(f"{row['endpoint']} is unhealthy: failed to commit proposal: {row['error']}")
    if any(row["error"] for row in rows):
        raise Exit(ERROR, "unhealthy cluster")
    return SUCCESS


def _health_of(console: Console, endpoint: str) -> dict[str, Any]:
    began = time.monotonic()
    error = ""
    try:
        console.call(RangeRequest(b"health"), endpoint=endpoint)
        took = time.monotonic() - began
        alarms = console.call(AlarmRequest(0), endpoint=endpoint, frame="Unable to fetch the alarm list").get("alarms")
        if alarms:
            error = "Active Alarm(s): " + "".join(f"{ALARMS[alarm.get('alarm', 0)]} " for alarm in alarms)
    except Exit as exit_:
        took = time.monotonic() - began
        # Who may not read the key has still been answered by a leader that has its quorum.
        error = "" if exit_.text == _PERMISSION_DENIED else exit_.text
    return {"endpoint": endpoint, "health": not error, "took": format_duration(took), "error": error}


def status(console: Console) -> int:
    """The endpoint status command."""
    found, failure = _ask_each(console, "status", lambda endpoint: console.call(StatusRequest(), endpoint=endpoint))
    console.show("statuses", {"endpoints": found})
    return ERROR if failure else SUCCESS


def hashkv(console: Console) -> int:
    """The endpoint hashkv command."""
    request = HashKvRequest(console.parsed.number("rev"))
    found, failure = _ask_each(console, "hash", lambda endpoint: console.call(request, endpoint=endpoint))
    console.show("hashes", {"endpoints": found})
    if failure:
        raise Exit(ERROR, failure)
    return SUCCESS


def _ask_each(console: Console, what: str, ask: Callable[[str], dict[str, Any]]) -> tuple[list[dict[str, Any]], str]:
    """Answers of the endpoints that answered, and the last complaint of those that did not."""
    found, failure = [], ""
    endpoints = endpoints_of(console)
    console.check_format()
    for endpoint in endpoints:
        try:
            found.append({"endpoint": endpoint, "reply": ask(endpoint)})
        except Exit as exit_:
            failure = exit_.text
            console.complain(f"Failed to get the {what} of endpoint {endpoint} ({failure})")
    return found, failure
