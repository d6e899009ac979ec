"""-w fields: one ``"Name" : value`` line per field, strings quoted as Go quotes them, zero values written out."""

from typing import Any

from zetcd.cli.ctl.formats import Options, Printer, Reply
from zetcd.cli.ctl.formats.rows import truth
from zetcd.cli.ctl.formats.schema import ALARMS, AUTH_CHANGES, EVENTS, PERMISSIONS
from zetcd.cli.ctl.golang import quote


def _line(name: str, value: object) -> str:
    return f'"{name}" : {value}\n'


def _header(reply: Reply) -> str:
    header = reply.get("header", {})
    return (
        _line("ClusterID", header.get("cluster_id", 0))
        + _line("MemberID", header.get("member_id", 0))
        + _line("Revision", header.get("revision", 0))
        + _line("RaftTerm", header.get("raft_term", 0))
    )


def _kv(prefix: str, kv: dict[str, Any]) -> str:
    return (
        _line(prefix + "Key", quote(kv.get("key", b"")))
        + _line(prefix + "CreateRevision", kv.get("create_revision", 0))
        + _line(prefix + "ModRevision", kv.get("mod_revision", 0))
        + _line(prefix + "Version", kv.get("version", 0))
        + _line(prefix + "Value", quote(kv.get("value", b"")))
        + _line(prefix + "Lease", kv.get("lease", 0))
    )


def _put(reply: Reply) -> str:
    previous = reply.get("prev_kv")
    return _header(reply) + (_kv("Prev", previous) if previous else "")


def _get(reply: Reply) -> str:
    kvs = "".join(_kv("", kv) for kv in reply.get("kvs", ()))
    return _header(reply) + kvs + _line("More", truth(reply.get("more"))) + _line("Count", reply.get("count", 0))


def _delete(reply: Reply) -> str:
    previous = "".join(_kv("Prev", kv) for kv in reply.get("prev_kvs", ()))
    return _header(reply) + _line("Deleted", reply.get("deleted", 0)) + previous


def _txn(reply: Reply) -> str:
    out = _header(reply) + _line("Succeeded", truth(reply.get("succeeded")))
    for op in reply.get("responses", ()):
        (name, response), *_ = op.items()
        out += _OPS[name](response)
    return out


_OPS = {
    "response_put": _put,
    "response_range": _get,
    "response_delete_range": _delete,
    "response_txn": _txn,
}


def _watch(reply: Reply) -> str:
    out = _header(reply)
    for event in reply.get("events", ()):
        out += _line("Type", EVENTS[event.get("type", 0)])
        if event.get("prev_kv"):
            out += _kv("Prev", event["prev_kv"])
        out += _kv("", event["kv"])
    return out


def _lease(reply: Reply) -> str:
    return _header(reply) + _line("ID", reply.get("ID", 0)) + _line("TTL", reply.get("TTL", 0))


def _time_to_live(reply: Reply) -> str:
    keys = "".join(_line("Key", quote(key)) for key in reply.get("keys", ()))
    return _lease(reply) + _line("GrantedTTL", reply.get("grantedTTL", 0)) + keys


def _leases(reply: Reply) -> str:
    return _header(reply) + "".join(_line("ID", lease["ID"]) for lease in reply.get("leases", ()))


def _alarm(reply: Reply) -> str:
    out = _header(reply)
    for alarm in reply.get("alarms", ()):
        out += _line("MemberID", alarm.get("memberID", 0)) + _line("AlarmType", ALARMS[alarm.get("alarm", 0)]) + "\n"
    return out


def _members(reply: Reply) -> str:
    out = _header(reply)
    for member in reply.get("members", ()):
        out += _line("ID", member.get("ID", 0)) + _line("Name", quote(member.get("name", "").encode()))
        out += "".join(_line("PeerURL", quote(url.encode())) for url in member.get("peerURLs", ()))
        out += "".join(_line("ClientURL", quote(url.encode())) for url in member.get("clientURLs", ()))
        out += _line("IsLearner", truth(member.get("isLearner"))) + "\n"
    return out


def _statuses(reply: Reply) -> str:
    out = ""
    for entry in reply["endpoints"]:
        status = entry["reply"]
        out += _header(status) + _line("Version", quote(status.get("version", "").encode()))
        out += _line("DBSize", status.get("dbSize", 0)) + _line("Leader", status.get("leader", 0))
        out += _line("IsLearner", truth(status.get("isLearner"))) + _line("RaftIndex", status.get("raftIndex", 0))
        out += _line("RaftTerm", status.get("raftTerm", 0))
        out += _line("RaftAppliedIndex", status.get("raftAppliedIndex", 0))
        out += _line("Errors", f"[{' '.join(status.get('errors', ()))}]")
        out += _line("Endpoint", quote(entry["endpoint"].encode())) + "\n"
    return out


def _hashes(reply: Reply) -> str:
    return "".join(
        _header(entry["reply"])
        + _line("Endpoint", quote(entry["endpoint"].encode()))
        + _line("Hash", entry["reply"].get("hash", 0))
        + "\n"
        for entry in reply["endpoints"]
    )


def _auth_status(reply: Reply) -> str:
    enabled = _line("Enabled", truth(reply.get("enabled")))
    return _header(reply) + enabled + _line("AuthRevision", reply.get("authRevision", 0))


def _role(reply: Reply) -> str:
    return _header(reply) + "".join(
        _line("PermType", f" {PERMISSIONS[perm.get('permType', 0)]}")
        + _line("Key", quote(perm.get("key", b"")))
        + _line("RangeEnd", quote(perm.get("range_end", b"")))
        for perm in reply.get("perm", ())
    )


def _roles(reply: Reply) -> str:
    names = [quote(name.encode()) for name in reply.get("roles", ())]
    return _header(reply) + " ".join(['"Roles" :', *names]) + "\n"


def _snapshot(reply: Reply) -> str:
    size = _line("Keys", reply["totalKey"]) + _line("Size", reply["totalSize"])
    return _line("Hash", reply["hash"]) + _line("Revision", reply["revision"]) + size


def _health(reply: Reply) -> str:
    return "".join(
        _line("Endpoint", quote(row["endpoint"].encode()))
        + _line("Health", truth(row["health"]))
        + _line("Took", row["took"])
        + _line("Error", row["error"])
        + "\n"
        for row in reply["endpoints"]
    )


_TEXTS = {
    "put": _put,
    "get": _get,
    "delete": _delete,
    "txn": _txn,
    "watch": _watch,
    "lease_grant": _lease,
    "lease_revoke": _header,
    "lease_keep_alive": _lease,
    "lease_time_to_live": _time_to_live,
    "leases": _leases,
    "alarm": _alarm,
    "members": _members,
    "statuses": _statuses,
    "hashes": _hashes,
    "health": _health,
    "snapshot": _snapshot,
    **dict.fromkeys(AUTH_CHANGES, _header),
    "auth_status": _auth_status,
    "role_get": _role,
    "roles": _roles,
}


def _printer(kind: str) -> Printer:
    text = _TEXTS[kind]

    def show(reply: Reply, _: Options) -> bytes:
        return text(reply).encode("utf-8", "surrogateescape")

    return show


PRINTERS: dict[str, Printer] = {kind: _printer(kind) for kind in _TEXTS}
