"""Whether two answers to one step mean the same; what may differ is in `known.py`."""

from itertools import groupby
from operator import itemgetter
from typing import Any

from tests.compat.differential.draw import Request, Step

Answer = dict[str, Any]

TTL_TOLERANCE_S = 10
IGNORED_HEADER = frozenset({"cluster_id", "member_id", "raft_term"})
COMPARED_ERROR = frozenset({"code", "message"})
ENUMS = {"PUT": 0, "DELETE": 1}
SORT_FIELD = {1: "version", 2: "create_revision", 3: "mod_revision", 4: "value"}
EMPTY: tuple[Any, ...] = (0, "", b"", [], None)


def normal(value: Any, name: str = "") -> Any:
    """The answer without what two servers must differ in, and without fields at their default."""
    if isinstance(value, dict):
        kept = {}
        for field, item in value.items():
            if (name == "header" and field in IGNORED_HEADER) or (name == "error" and field not in COMPARED_ERROR):
                continue
            plain = normal(item, field)
            # A member of a union counts by being there.
            if not (plain in EMPTY or plain == {}) or field.startswith("response_"):
                kept[field] = plain
        return kept
    if isinstance(value, list):
        return [normal(item) for item in value]
    if name == "type" and isinstance(value, str):
        return ENUMS[value]
    return value


def difference(step: Step, oracle: Answer, ours: Answer) -> str:
    """Empty where the answers mean the same, otherwise what differs."""
    op, request = step
    if "error" in oracle or "error" in ours:
        theirs, mine = _error(oracle), _error(ours)
        return "" if theirs == mine else f"error {theirs} != {mine}"
    theirs, mine = normal(oracle), normal(ours)
    if op == "lease_time_to_live":
        if abs(theirs.pop("TTL", 0) - mine.pop("TTL", 0)) > TTL_TOLERANCE_S:
            return f"TTL {oracle.get('TTL')} != {ours.get('TTL')}"
        theirs["keys"], mine["keys"] = sorted(theirs.get("keys", [])), sorted(mine.get("keys", []))
    elif op == "lease_leases":
        for answer in (theirs, mine):
            answer["leases"] = sorted(answer.get("leases", []), key=lambda lease: int(lease["ID"]))
    elif op == "hash_kv":
        for answer in (theirs, mine):
            answer.pop("hash", None)
            answer.pop("hash_revision", None)
    elif op == "+watch_ids":
        for answer in (theirs, mine):
            answer.get("answers", []).sort(key=lambda item: item.get("watch_id", 0))
    elif op == "range":
        _loosen(request, theirs, mine)
    elif op == "txn":
        _loosen_txn(request, theirs, mine)
    return "" if theirs == mine else _where("", theirs, mine)


def _error(answer: Answer) -> tuple[Any, Any]:
    error = answer.get("error") or {}
    return error.get("code"), error.get("message")


def _loosen(request: Request, theirs: Answer, mine: Answer) -> None:
    """Where equals were sorted: replace both lists by the sort keys in order and the complete groups as sorted lists.
    keys_only answers lack the value they were sorted by, so only their keys can be compared, if nothing was cut."""
    field = SORT_FIELD.get(request.get("sort_target", 0))
    if field is None or (request.get("sort_order", 0) not in {0, 1, 2} and not theirs.get("kvs")):
        return
    cut = theirs.get("more", False) is True
    for answer in (theirs, mine):
        rows = answer.get("kvs", [])
        if field == "value" and request.get("keys_only"):
            answer["kvs"] = len(rows) if cut else sorted(rows, key=itemgetter("key"))
            continue
        groups = [(key, list(group)) for key, group in groupby(rows, key=lambda row: row.get(field, b""))]
        whole = groups[:-1] if cut else groups
        answer["kvs"] = [
            [(key, len(group)) for key, group in groups],
            [sorted(group, key=itemgetter("key")) for _, group in whole],
        ]


def _loosen_txn(request: Request, theirs: Answer, mine: Answer) -> None:
    if theirs.get("succeeded") != mine.get("succeeded"):
        return
    branch = request.get("success" if theirs.get("succeeded") else "failure", [])
    for operation, one, other in zip(branch, theirs.get("responses", []), mine.get("responses", []), strict=False):
        if "request_range" in operation and "response_range" in one and "response_range" in other:
            _loosen(operation["request_range"], one["response_range"], other["response_range"])
        elif "request_txn" in operation and "response_txn" in one and "response_txn" in other:
            _loosen_txn(operation["request_txn"], one["response_txn"], other["response_txn"])


def _where(path: str, one: Any, other: Any) -> str:
    """The first place where two normalised answers part."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted({*one, *other}):
            if one.get(name) != other.get(name):
                return _where(f"{path}.{name}", one.get(name), other.get(name))
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, (left, right) in enumerate(zip(one, other, strict=True)):
            if left != right:
                return _where(f"{path}[{number}]", left, right)
    return f"{path or 'answer'}: {one!r} != {other!r}"
