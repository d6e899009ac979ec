"""Steps of several requests that belong together, because a server chooses a name or time would pass between them."""

from collections.abc import Callable
from typing import Any

from tests.compat.differential import streams
from tests.compat.differential.sides import Side

Answer = dict[str, Any]


def grant_and_revoke(side: Side, request: dict[str, Any]) -> Answer:
    """A lease, and its end before it can expire; an id that the server chose is only said to be positive."""
    granted = side.call("lease_grant", request)
    if "error" in granted:
        return granted
    identity = granted["ID"]
    if not request["ID"]:
        granted["ID"] = identity > 0
    return {"header": granted["header"], "granted": granted, "revoked": side.call("lease_revoke", {"ID": identity})}


def lock(side: Side, request: dict[str, Any]) -> Answer:
    """Lock, look, unlock."""
    locked = side.call("lock", request)
    if "error" in locked:
        return locked
    seen = side.call("range", {"key": locked["key"]})
    return {
        "header": seen["header"],
        "locked": locked,
        "seen": seen,
        "unlocked": side.call("unlock", {"key": locked["key"]}),
    }


def election(side: Side, request: dict[str, Any]) -> Answer:
    """Campaign, look, proclaim, look, resign, look."""
    name = request["name"]
    before = side.call("leader", {"name": name})
    won = side.call("campaign", {field: request[field] for field in ("name", "lease", "value")})
    if "error" in won:
        return {"before": before, "won": won}
    leader = won["leader"]
    answers = {
        "before": before,
        "won": won,
        "first": side.call("leader", {"name": name}),
        "proclaimed": side.call("proclaim", {"leader": leader, "value": request["second"]}),
        "second": side.call("leader", {"name": name}),
        "resigned": side.call("resign", {"leader": leader}),
        "after": side.call("leader", {"name": name}),
        "late": side.call("proclaim", {"leader": leader, "value": b"late"}),
    }
    return {"header": answers["resigned"].get("header", {}), **answers}


MACROS: dict[str, Callable[[Any, dict[str, Any]], Answer]] = {
    **streams.MACROS,
    "+grant_and_revoke": grant_and_revoke,
    "+lock": lock,
    "+election": election,
}


def perform(side: Side, op: str, request: dict[str, Any]) -> Answer:
    """One step on one side."""
    macro = MACROS.get(op)
    return macro(side, request) if macro else side.call(op, request)
