"""Coverage-guided fuzzing of what clients send: `python tests/fuzz/client_fuzz.py -runs=100000 -max_len=4096 [corpus]`.

An input is several frames for an api actor with a real apply actor behind it: raw bytes, or requests built from the
fuzzer's choices so that the code behind the decoder is reached. Neither raises (an entry that apply cannot execute
would end every life of the member), every reply is a map, and what was admitted holds admission until it is answered.
"""

import sys

import atheris

with atheris.instrument_imports(include=["zetcd"]):
    from tests.unit.actors.pair import Pair

import msgpack

OPS = (
    "put", "range", "delete_range", "txn", "compact", "lease_grant", "lease_revoke", "lease_keep_alive",
    "lease_time_to_live", "lease_leases", "status", "hash_kv", "alarm", "member_list", "metrics", "lock", "unlock",
    "campaign", "proclaim", "leader", "observe", "resign", "batch", "watch_create", "watch_cancel", "watch_progress",
    "watch_poll", "no_such_op",
)  # fmt: skip
FIELDS = (
    "key", "value", "range_end", "lease", "prev_kv", "limit", "revision", "sort_order", "sort_target", "compare",
    "success", "failure", "TTL", "ID", "keys", "name", "leader", "action", "alarm", "memberID", "requests", "filters",
    "watch_id", "start_revision", "wait_ms", "fragment", "request_put", "request_txn", "target", "result", "version",
    "token", "physical", "linearizable",
)  # fmt: skip
NAMES = ("DESCEND", "MOD", "EQUAL", "NOPUT", "NOSPACE", "ACTIVATE", "")
BYTES = frozenset({"key", "value", "range_end", "name"})
BOOLS = frozenset({"prev_kv", "keys", "fragment", "physical", "linearizable"})
MAPS = {
    "compare": ("key", "target", "result", "version", "value", "range_end", "lease"),
    "request_put": ("key", "value", "lease", "prev_kv"),
    "request_range": ("key", "range_end", "limit", "revision", "sort_order"),
    "request_delete_range": ("key", "range_end", "prev_kv"),
    "request_txn": ("compare", "success", "failure"),
    "leader": ("name", "key", "rev", "lease"),
    "success": ("request_put", "request_range", "request_delete_range", "request_txn"),
    "failure": ("request_put", "request_range", "request_delete_range", "request_txn"),
}
OF_OP = {
    "put": ("key", "value", "lease", "prev_kv"),
    "range": ("key", "range_end", "limit", "revision", "sort_order", "sort_target"),
    "delete_range": ("key", "range_end", "prev_kv"),
    "txn": ("compare", "success", "failure"),
    "compact": ("revision", "physical"),
    "lease_grant": ("TTL", "ID"),
    "lease_time_to_live": ("ID", "keys"),
    "alarm": ("action", "memberID", "alarm"),
    "lock": ("name", "lease"),
    "unlock": ("key",),
    "campaign": ("name", "lease", "value"),
    "proclaim": ("leader", "value"),
    "leader": ("name",),
    "observe": ("name",),
    "resign": ("leader",),
    "watch_create": ("key", "range_end", "start_revision", "filters", "prev_kv", "watch_id", "fragment"),
    "watch_cancel": ("watch_id",),
    "watch_poll": ("key", "range_end", "start_revision", "filters", "wait_ms"),
    "batch": ("requests",),
}


def integer(source: "atheris.FuzzedDataProvider") -> int:
    """Mostly small."""
    if source.ConsumeBool():
        return int(source.ConsumeIntInRange(-2, 5))
    return int(source.ConsumeIntInRange(-(2**63), 2**63 - 1))


def anything(source: "atheris.FuzzedDataProvider", depth: int) -> object:
    """Any MessagePack value."""
    kind = source.ConsumeIntInRange(0, 6 if depth > 0 else 4)
    if kind == 0:
        return source.ConsumeBytes(source.ConsumeIntInRange(0, 40))
    if kind == 1:
        return integer(source)
    if kind == 2:
        return source.ConsumeBool()
    if kind == 3:
        return NAMES[source.ConsumeIntInRange(0, len(NAMES) - 1)]
    if kind == 4:
        return None
    if kind == 5:
        return [anything(source, depth - 1) for _ in range(source.ConsumeIntInRange(0, 3))]
    return {pick(source, FIELDS): anything(source, depth - 1) for _ in range(source.ConsumeIntInRange(0, 3))}


def pick(source: "atheris.FuzzedDataProvider", words: tuple[str, ...]) -> str:
    """One of them."""
    return words[int(source.ConsumeIntInRange(0, len(words) - 1))]


def value(source: "atheris.FuzzedDataProvider", field: str, depth: int) -> object:
    """Of the type that field wants; one time in sixteen of any."""
    if source.ConsumeIntInRange(0, 15) == 0:
        return anything(source, depth)
    if field in BYTES:
        return (b"", b"a", b"b", b"\0")[source.ConsumeIntInRange(0, 3)]
    if field in BOOLS:
        return source.ConsumeBool()
    if field == "requests":
        return [request(source, depth - 1) for _ in range(source.ConsumeIntInRange(0, 3))]
    if field == "filters":
        return [source.ConsumeIntInRange(0, 2) for _ in range(source.ConsumeIntInRange(0, 2))]
    if field not in MAPS:
        return integer(source)
    if depth <= 0:
        return {}
    if field in ("success", "failure", "compare"):
        return [fields(source, MAPS[field], depth - 1) for _ in range(source.ConsumeIntInRange(0, 2))]
    return fields(source, MAPS[field], depth - 1)


def fields(source: "atheris.FuzzedDataProvider", names: tuple[str, ...], depth: int) -> dict[str, object]:
    """Some of names; one time in sixteen any other."""
    if source.ConsumeIntInRange(0, 15) == 0:
        names = FIELDS
    chosen = [name for name in names if len(names) < 8 and source.ConsumeBool()] or [pick(source, names)]
    return {name: value(source, name, depth) for name in chosen}


def request(source: "atheris.FuzzedDataProvider", depth: int) -> dict[str, object]:
    """Some op with some fields."""
    op = pick(source, OPS)
    return {"op": op, **(fields(source, OF_OP[op], depth) if op in OF_OP else {})}


def one(data: bytes) -> None:
    """One input."""
    source = atheris.FuzzedDataProvider(data)
    pair = Pair()
    for number in range(source.ConsumeIntInRange(1, 8)):
        if source.ConsumeIntInRange(0, 7) == 0:
            body = source.ConsumeBytes(source.ConsumeIntInRange(0, 200))
        else:
            body = msgpack.packb(request(source, 4))
        pair.ask(body, b"c%d" % source.ConsumeIntInRange(0, 1), b"%d" % number)
        if source.ConsumeBool():
            pair.settle()
        if source.ConsumeIntInRange(0, 15) == 0:
            pair.restart()
    pair.check()


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
