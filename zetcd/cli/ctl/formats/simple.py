"""-w simple: what a person reads and a shell script cuts apart; keys and values as they are, byte for byte."""

from typing import Any

from zetcd.cli.ctl.formats import Options, Printer, Reply
from zetcd.cli.ctl.formats.rows import hash_rows, member_rows, snapshot_rows, status_rows, truth
from zetcd.cli.ctl.formats.schema import ALARMS, EVENTS
from zetcd.cli.ctl.kv import prefix_end


def _shown(data: bytes, options: Options) -> bytes:
    return b"".join(b"\\x%02x" % byte for byte in data) if options.hex else data


def _kv(kv: dict[str, Any], options: Options) -> bytes:
    value = _shown(kv.get("value", b""), options) + b"\n"
    return value if options.value_only else _shown(kv.get("key", b""), options) + b"\n" + value


def _kvs(kvs: list[dict[str, Any]], options: Options) -> bytes:
    return b"".join(_kv(kv, options) for kv in kvs)


def _put(reply: Reply, options: Options) -> bytes:
    previous = reply.get("prev_kv")
    return b"OK\n" + (_kv(previous, options) if previous else b"")


def _get(reply: Reply, options: Options) -> bytes:
    return _kvs(reply.get("kvs", []), options)


def _delete(reply: Reply, options: Options) -> bytes:
    return b"%d\n" % reply.get("deleted", 0) + _kvs(reply.get("prev_kvs", []), options)


def _txn(reply: Reply, options: Options) -> bytes:
    out = b"SUCCESS\n" if reply.get("succeeded") else b"FAILURE\n"
    for op in reply.get("responses", ()):
        (name, response), *_ = op.items()
        out += b"\n" + _OPS[name](response, options)
    return out


_OPS: dict[str, Printer] = {
    "response_put": _put,
    "response_range": _get,
    "response_delete_range": _delete,
    "response_txn": _txn,
}


def _watch(reply: Reply, options: Options) -> bytes:
    out = b""
    for event in reply.get("events", ()):
        out += EVENTS[event.get("type", 0)].encode() + b"\n"
        if event.get("prev_kv"):
            out += _kv(event["prev_kv"], options)
        out += _kv(event["kv"], options)
    return out


def lease_id(number: int) -> str:
    """Sixteen hexadecimal digits; Go shows a negative id with its sign."""
    return f"{number:016x}"


def _time_to_live(reply: Reply, options: Options) -> bytes:
    lease, granted, ttl = lease_id(reply.get("ID", 0)), reply.get("grantedTTL", 0), reply.get("TTL", 0)
    if not granted and ttl == -1:
        return f"lease {lease} already expired\n".encode()
    line = f"lease {lease} granted with TTL({granted}s), remaining({ttl}s)".encode()
    if options.keys:
        line += b", attached keys([" + b" ".join(reply.get("keys", ())) + b"])"
    return line + b"\n"


def _leases(reply: Reply, _: Options) -> bytes:
    leases = reply.get("leases", ())
    return f"found {len(leases)} leases\n".encode() + b"".join(f"{lease_id(x['ID'])}\n".encode() for x in leases)


def _alarm(reply: Reply, _: Options) -> bytes:
    out = ""
    for alarm in reply.get("alarms", ()):
        parts = []
        if alarm.get("memberID"):
            parts.append(f"memberID:{alarm['memberID']} ")
        if alarm.get("alarm"):
            parts.append(f"alarm:{ALARMS[alarm['alarm']]} ")
        out += "".join(parts) + "\n"
    return out.encode()


def _joined(rows: list[list[str]]) -> bytes:
    return "".join(", ".join(row) + "\n" for row in rows).encode("utf-8", "surrogateescape")


def _health(reply: Reply, _: Options) -> bytes:
    out = ""
    for row in reply["endpoints"]:
        if not row["error"]:
            out += f"{row['endpoint']} is healthy: successfully committed proposal: took = {row['took']}\n"
    return out.encode()


def _member_changed(what: str) -> Printer:
    def show(reply: Reply, _: Options) -> bytes:
        member = reply["member"]["ID"] if "member" in reply else reply["ID"]
        return f"Member {member:16x} {what} cluster {reply['header'].get('cluster_id', 0):16x}\n".encode()

    return show


def _said(text: str) -> Printer:
    """What was done, names from the reply set into text."""
    return lambda reply, _: (text.format(**reply) + "\n").encode()


def _listed(field: str) -> Printer:
    return lambda reply, _: "".join(f"{name}\n" for name in reply.get(field, ())).encode()


def _interval(key: bytes, end: bytes) -> bytes:
    """etcdctl closes no bracket behind an open end."""
    return b"[" + key + b", " + (b"<open ended>" if end == b"\0" else end + b")")


def _role(reply: Reply, _: Options) -> bytes:
    out = f"Role {reply['role']}\n".encode()
    for heading, types in ((b"KV Read:\n", (0, 2)), (b"KV Write:\n", (1, 2))):
        out += heading
        for perm in reply.get("perm", ()):
            if perm.get("permType", 0) in types:
                key, end = perm.get("key", b""), perm.get("range_end", b"")
                of_prefix = b" (prefix " + key + b")" if end and prefix_end(key) == end else b""
                out += b"\t" + (_interval(key, end) if end else key) + of_prefix + b"\n"
    return out


def _role_revoke(reply: Reply, _: Options) -> bytes:
    key, end = reply["key"], reply["range_end"]
    what = b"range " + _interval(key, end) if end else b"key " + key
    return b"Permission of " + what + f" is revoked from role {reply['role']}\n".encode()


def _auth_status(reply: Reply, _: Options) -> bytes:
    enabled = truth(reply.get("enabled"))
    return f"Authentication Status: {enabled}\nAuthRevision: {reply.get('authRevision', 0)}\n".encode()


PRINTERS: dict[str, Printer] = {
    "put": _put,
    "get": _get,
    "delete": _delete,
    "txn": _txn,
    "watch": _watch,
    "lease_grant": lambda r, _: f"lease {lease_id(r.get('ID', 0))} granted with TTL({r.get('TTL', 0)}s)\n".encode(),
    "lease_revoke": lambda r, _: f"lease {lease_id(r['ID'])} revoked\n".encode(),
    "lease_keep_alive": lambda r, _: (
        f"lease {lease_id(r.get('ID', 0))} keepalived with TTL({r.get('TTL', 0)})\n".encode()
    ),
    "lease_time_to_live": _time_to_live,
    "leases": _leases,
    "alarm": _alarm,
    "member_added": _member_changed("added to"),
    "member_removed": _member_changed("removed from"),
    "member_updated": _member_changed("updated in"),
    "member_promoted": _member_changed("promoted in"),
    "leader_moved": lambda r, _: f"Leadership transferred from {r['from']:x} to {r['to']:x}\n".encode(),
    "members": lambda r, _: _joined(member_rows(r)),
    "statuses": lambda r, _: _joined(status_rows(r)),
    "hashes": lambda r, _: _joined(hash_rows(r)),
    "health": _health,
    "user_add": _said("User {name} created"),
    "user_delete": _said("User {name} deleted"),
    "user_get": lambda r, _: " ".join([f"User: {r['name']}\nRoles:", *r.get("roles", ())]).encode() + b"\n",
    "users": _listed("users"),
    "user_password": _said("Password updated"),
    "user_grant": _said("Role {role} is granted to user {user}"),
    "user_revoke": _said("Role {role} is revoked from user {user}"),
    "role_add": _said("Role {role} created"),
    "role_delete": _said("Role {role} deleted"),
    "role_get": _role,
    "roles": _listed("roles"),
    "role_grant": _said("Role {role} updated"),
    "role_revoke": _role_revoke,
    "auth_status": _auth_status,
    "snapshot": lambda r, _: _joined(snapshot_rows(r)),
}
