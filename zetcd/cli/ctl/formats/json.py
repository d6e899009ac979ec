"""-w json: what Go's encoding/json makes of etcd's reply structs, on one line.

Bytes are base64, zero fields are left out (``omitempty``), enums are numbers. Replies that etcdctl's client library
wraps in structs of its own have other names: leases carry the header's fields beside their own, a watch response
has capitals, a transaction's operations sit in a ``Response``.
"""

from typing import Any

import msgspec

from zetcd.cli.ctl.formats import Options, Printer, Reply
from zetcd.cli.ctl.formats.schema import KINDS, MESSAGES

_BOOLS = frozenset({"more", "succeeded", "isLearner", "enabled"})


def encode(value: Any) -> bytes:
    """One line. Go escapes <, > and & because JSON may end up in HTML."""
    line = msgspec.json.encode(value)
    return line.replace(b"<", b"\\u003c").replace(b">", b"\\u003e").replace(b"&", b"\\u0026") + b"\n"


def plain(message: str, reply: Reply) -> dict[str, Any]:
    """The named message as a dict in field order, zero fields left out."""
    out: dict[str, Any] = {}
    for _, name, kind in MESSAGES[message]:
        value = reply.get(name)
        if kind in MESSAGES:
            if value is not None:
                out[name] = plain(kind, value)
        elif not value:
            continue
        elif kind[0] == "*" and kind[1:] in MESSAGES:
            out[name] = [_element(kind[1:], item) for item in value]
        else:
            out[name] = bool(value) if name in _BOOLS else value
    return out


def _element(message: str, item: Reply) -> dict[str, Any]:
    shown = plain(message, item)
    return {"Response": shown} if message == "ResponseOp" else shown


def _watch(reply: Reply, _: Options) -> bytes:
    return encode(
        {
            "Header": plain("ResponseHeader", reply["header"]),
            "Events": [plain("Event", event) for event in reply.get("events", ())],
            "CompactRevision": reply.get("compact_revision", 0),
            "Canceled": reply.get("canceled", False),
            "Created": reply.get("created", False),
        },
    )


def _lease(reply: Reply) -> dict[str, Any]:
    return {
        **plain("ResponseHeader", reply["header"]),
        "ID": reply.get("ID", 0),
        "TTL": reply.get("TTL", 0),
    }


def _time_to_live(reply: Reply, options: Options) -> bytes:
    shown = plain("ResponseHeader", reply["header"])
    shown |= {"id": reply.get("ID", 0), "ttl": reply.get("TTL", 0), "granted-ttl": reply.get("grantedTTL", 0)}
    shown["keys"] = reply.get("keys", []) if options.keys and reply.get("keys") else None
    return encode(shown)


def _leases(reply: Reply, _: Options) -> bytes:
    leases = [{"id": lease["ID"]} for lease in reply.get("leases", ())]
    return encode({**plain("ResponseHeader", reply["header"]), "leases": leases})


def _members(reply: Reply, options: Options) -> bytes:
    shown = plain("MemberListResponse", reply)
    if options.hex:
        for holder in (shown["header"], *shown.get("members", ())):
            for name in ("cluster_id", "member_id", "ID"):
                if name in holder:
                    holder[name] = f"{holder[name]:x}"
    return encode(shown)


def _statuses(reply: Reply, _: Options) -> bytes:
    rows = [{"Endpoint": e["endpoint"], "Status": plain("StatusResponse", e["reply"])} for e in reply["endpoints"]]
    return encode(rows)


def _hashes(reply: Reply, _: Options) -> bytes:
    rows = [{"Endpoint": e["endpoint"], "HashKV": plain("HashKVResponse", e["reply"])} for e in reply["endpoints"]]
    return encode(rows)


def _health(reply: Reply, _: Options) -> bytes:
    rows = []
    for row in reply["endpoints"]:
        shown = {"endpoint": row["endpoint"], "health": row["health"], "took": row["took"]}
        rows.append(shown | ({"error": row["error"]} if row["error"] else {}))
    return encode(rows)


def _printer(message: str) -> Printer:
    def show(reply: Reply, _: Options) -> bytes:
        return encode(plain(message, reply))

    return show


PRINTERS: dict[str, Printer] = {kind: _printer(message) for kind, message in KINDS.items()} | {
    "watch": _watch,
    "lease_grant": lambda reply, _: encode({**_lease(reply), "Error": reply.get("error", "")}),
    "lease_keep_alive": lambda reply, _: encode(_lease(reply)),
    "lease_time_to_live": _time_to_live,
    "leases": _leases,
    "members": _members,
    "statuses": _statuses,
    "hashes": _hashes,
    "snapshot": lambda reply, _: encode(reply),
    "health": _health,
}
