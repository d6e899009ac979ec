"""Random steps, drawn from a seed: everything one member's KV, lease, lock and election services can be asked.

`Draw(seed)` draws; `Draw.saw(answer)` tells it what the oracle answered, so that revisions are drawn near the edges
that matter (current, compacted, future) and leases mostly exist. Keys are few and awkward, so that steps meet.
A step is (op, request) with etcd's field names; ops beginning with ``+`` are macros of `macros.py`.
"""

import random
from collections.abc import Callable
from typing import Any

Request = dict[str, Any]
Step = tuple[str, Request]

KEYS = (
    b"a", b"a\x00", b"a\x00\x00", b"a\x01", b"a\xff", b"a\xff\xff", b"aa", b"ab", b"b", b"b/1", b"b/2", b"b/3", b"b0",
    b"c", b"\x00", b"\x00\x00", b"\x00\xff", b"\xff", b"\xff\xff", b"\xff\x00", b"k" * 300, "\u00e9\u00e9".encode(),
)  # fmt: skip
VALUES = (b"", b"0", b"1", b"10", b"2", b"\x00", b"\xff", b"value", b"x" * 200)
LEASES = (1, 2, 3, 77, -1, -(2**63), 2**63 - 1, 0x7FFF)
TTL_MAX = 9_000_000_000
OPS_MAX = 128
TARGET_VALUE = 3


class Draw:
    """Draws steps; the same seed and the same answers give the same steps."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.revision = 1
        self.compacted = -1
        self.leases: dict[int, None] = {}
        self._makers: tuple[tuple[float, Callable[[], Step]], ...] = (
            (30, self.put), (12, self.delete), (30, self.range), (20, self.txn), (1, self.compact),
            (3, self.grant), (1, self.revoke), (1, self.time_to_live), (1, self.keep_alive), (1, self.leases_list),
            (0.4, self.lease_short), (0.3, self.lock), (0.3, self.election), (0.1, self.large),
        )  # fmt: skip

    def step(self) -> Step:
        """The next step."""
        weights = [weight for weight, _ in self._makers]
        maker = self.dice.choices([maker for _, maker in self._makers], weights)[0]
        return maker()

    def saw(self, step: Step, answer: dict[str, Any]) -> None:
        """What the oracle answered to step."""
        self.revision = max(self.revision, answer.get("header", {}).get("revision", 0))
        if "error" in answer:
            return
        op, request = step
        if op == "lease_grant":
            self.leases[answer["ID"]] = None
        elif op == "lease_revoke":
            self.leases.pop(request["ID"], None)
        elif op == "compact":
            self.compacted = request["revision"]

    # -- parts -----------------------------------------------------------------------------------------------------
    def chance(self, probability: float) -> bool:
        """True with probability."""
        return self.dice.random() < probability

    def key(self) -> bytes:
        """A key; seldom the empty one, which is an error."""
        return b"" if self.chance(0.01) else self.dice.choice(KEYS)

    def range_end(self, key: bytes) -> bytes:
        """None, everything above, a prefix, another key (also a lower one)."""
        kind = self.dice.random()
        if kind < 0.3:
            return b""
        if kind < 0.5:
            return b"\x00"
        if kind < 0.75:
            stripped = key.rstrip(b"\xff")
            return stripped[:-1] + bytes([stripped[-1] + 1]) if stripped else b"\x00"
        return self.dice.choice(KEYS)

    def some_revision(self) -> int:
        """Mostly one that can be read, sometimes at or over either edge."""
        kind = self.dice.random()
        if kind < 0.7:
            return self.dice.randint(max(1, self.compacted), self.revision)
        if kind < 0.8:
            return self.revision + self.dice.randint(0, 2)
        if kind < 0.9:
            return self.compacted + self.dice.randint(-2, 1)
        return self.dice.choice((0, -1, 1, 2**63 - 1, -(2**63)))

    def lease(self) -> int:
        """Mostly one that exists."""
        if self.leases and self.chance(0.85):
            return self.dice.choice(list(self.leases))
        return self.dice.choice(LEASES)

    # -- keys ------------------------------------------------------------------------------------------------------
    def put(self) -> Step:
        """A put with any of its options."""
        return "put", self.put_request()

    def put_request(self) -> Request:
        """The fields of a put."""
        request: Request = {"key": self.key()}
        if self.chance(0.9):
            request["value"] = self.dice.choice(VALUES)
        if self.chance(0.15):
            request["lease"] = self.lease()
        if self.chance(0.2):
            request["prev_kv"] = True
        if self.chance(0.08):
            request["ignore_value"] = True
            if self.chance(0.8):
                request.pop("value", None)
        if self.chance(0.08):
            request["ignore_lease"] = True
            if self.chance(0.8):
                request.pop("lease", None)
        return request

    def large(self) -> Step:
        """A value well over --max-request-bytes, yet under what gRPC takes."""
        return "put", {"key": b"large", "value": b"v" * (1_700 * 1024)}

    def delete(self) -> Step:
        """A delete of a key or a range."""
        return "delete_range", self.delete_request()

    def delete_request(self) -> Request:
        """The fields of a delete; whole-store ranges are rare, lest the store be always empty."""
        key = self.key()
        request: Request = {"key": key}
        if self.chance(0.25):
            request["range_end"] = self.range_end(key)
            if request["range_end"] == b"\x00" and self.chance(0.8):
                request["range_end"] = b""
        if self.chance(0.4):
            request["prev_kv"] = True
        return request

    def range(self) -> Step:
        """A range with any of its options."""
        return "range", self.range_request()

    def range_request(self) -> Request:
        """The fields of a range."""
        key = b"\x00" if self.chance(0.2) else self.key()
        request: Request = {"key": key, "range_end": self.range_end(key)}
        for name in ("keys_only", "count_only", "serializable"):
            if self.chance(0.15):
                request[name] = True
        if self.chance(0.35):
            request["revision"] = self.some_revision()
        if self.chance(0.35):
            request["limit"] = self.dice.choice((1, 1, 2, 3, 5, 100, -1, 2**63 - 1))
        if self.chance(0.4):
            request["sort_order"] = self.dice.choice((0, 1, 1, 2, 2))  # known.py: no unknown ones
            request["sort_target"] = self.dice.randint(0, 4)
        for name in ("min_mod_revision", "max_mod_revision", "min_create_revision", "max_create_revision"):
            if self.chance(0.08):
                request[name] = self.some_revision()
        if request.get("sort_target", 0) and request.get("sort_order", 0) not in {1, 2}:
            request.pop("limit", None)  # known.py: etcd applies the limit before it sorts
        return request

    # -- transactions ----------------------------------------------------------------------------------------------
    def txn(self) -> Step:
        """A transaction, nested at most three deep, seldom with too many operations."""
        request = self.txn_request(0)
        if _has(request, "request_put"):
            _bound_deletes(request)  # known.py: from-key deletes beside puts
            _part_siblings(request)  # known.py: nested transactions
        if self.chance(0.01):
            name = self.dice.choice(("success", "failure", "compare"))
            item = {"key": b"a"} if name == "compare" else {"request_range": {"key": b"a"}}
            request[name] = [item] * self.dice.choice((OPS_MAX, OPS_MAX + 1))
        return "txn", request

    def txn_request(self, depth: int) -> Request:
        """The fields of a transaction."""
        request: Request = {}
        for name in ("success", "failure"):
            count = self.dice.choice((0, 1, 1, 2, 3, 4) if depth == 0 else (0, 1, 2))
            operations = [self.operation(depth) for _ in range(count)]
            if operations:
                request[name] = operations
        compares = [self.compare() for _ in range(self.dice.choice((0, 1, 1, 2, 3)))]
        if compares:
            request["compare"] = compares
        return request

    def operation(self, depth: int) -> Request:
        """One operation of a branch; seldom an empty one, which is an error."""
        kind = self.dice.random()
        if kind < 0.45:
            return {"request_put": self.put_request()}
        if kind < 0.65:
            return {"request_delete_range": self.delete_request()}
        if kind < 0.87 or depth >= 3:
            return {"request_range": self.range_request()}
        if kind < 0.995:
            return {"request_txn": self.txn_request(depth + 1)}
        return {}

    def compare(self) -> Request:
        """Any target, result, operand; sometimes over a range, sometimes with the operand of another target."""
        key = self.key()
        target = self.dice.randint(0, 4)
        request: Request = {"key": key, "target": target, "result": self.dice.randint(0, 3)}
        operand = target if self.chance(0.97) else self.dice.randint(0, 4)
        if operand == TARGET_VALUE:
            request["value"] = self.dice.choice(VALUES)
        elif self.chance(0.9):
            name = ("version", "create_revision", "mod_revision", "", "lease")[operand]
            near = self.lease() if name == "lease" else self.some_revision()
            request[name] = self.dice.choice((0, 1, 2, near, near))
        if self.chance(0.2):
            request["range_end"] = self.range_end(key)
        return request

    def compact(self) -> Step:
        """A compaction, mostly of the older half, sometimes of what is gone or not there yet."""
        revision = self.some_revision()
        if self.chance(0.6):
            revision = self.dice.randint(max(0, self.compacted), max(0, self.compacted, self.revision - 5))
        return "compact", {"revision": revision, "physical": self.chance(0.5)}

    # -- leases ----------------------------------------------------------------------------------------------------
    def grant(self) -> Step:
        """A lease that outlives the run, or one that is refused."""
        ttl = self.dice.choice((600, 3_600, 100_000, TTL_MAX, TTL_MAX + 1, 2**63 - 1))
        return "lease_grant", {"TTL": ttl, "ID": self.dice.choice(LEASES)}

    def lease_short(self) -> Step:
        """A lease of a TTL below the smallest, or of an id the server chooses; revoked before it can expire."""
        identity = self.dice.choice((0, 999_999))
        return "+grant_and_revoke", {"TTL": self.dice.choice((0, 1, 2, 5, -1, -(2**63))), "ID": identity}

    def revoke(self) -> Step:
        """Takes its keys along, in one revision."""
        return "lease_revoke", {"ID": self.lease()}

    def time_to_live(self) -> Step:
        """With or without the keys."""
        return "lease_time_to_live", {"ID": self.lease(), "keys": self.chance(0.7)}

    def keep_alive(self) -> Step:
        """One renewal."""
        return "lease_keep_alive", {"ID": self.lease()}

    def leases_list(self) -> Step:
        """All leases."""
        return "lease_leases", {}

    # -- lock and election -------------------------------------------------------------------------------------------
    def lock(self) -> Step:
        """Lock and unlock with nobody else about: no name here is the prefix of a key that others write."""
        return "+lock", {"name": self.dice.choice((b"lock", b"a", b"l/k")), "lease": self.dice.choice((77, 0x7FFF, 5))}

    def election(self) -> Step:
        """Campaign, proclaim, resign with nobody else about."""
        request = {"name": self.dice.choice((b"vote", b"v/w")), "lease": self.dice.choice((77, 0x7FFF, 5))}
        return "+election", {**request, "value": self.dice.choice(VALUES), "second": self.dice.choice(VALUES)}


def _operations(txn: Request) -> list[Request]:
    """Every operation of a transaction, those of nested ones included."""
    found = []
    for operation in [*txn.get("success", []), *txn.get("failure", [])]:
        found.append(operation)
        found += _operations(operation.get("request_txn", {}))
    return found


def _has(txn: Request, name: str) -> bool:
    return any(name in operation for operation in _operations(txn))


def _bound_deletes(txn: Request) -> None:
    for operation in _operations(txn):
        delete = operation.get("request_delete_range", {})
        if delete.get("range_end") == b"\x00":
            delete["range_end"] = b"\xff\xff\xff"


def _part_siblings(txn: Request) -> None:
    """Let no delete within a nested transaction hit what a nested one before it puts: it becomes a range."""
    for branch in (txn.get("success", []), txn.get("failure", [])):
        put: set[bytes] = set()
        for nested in (operation["request_txn"] for operation in branch if "request_txn" in operation):
            operations = _operations(nested)
            for operation in operations:
                delete = operation.get("request_delete_range")
                if delete and any(_within(key, delete) for key in put):
                    operation["request_range"] = {"key": operation.pop("request_delete_range")["key"]}
            put |= {operation["request_put"]["key"] for operation in operations if "request_put" in operation}
            _part_siblings(nested)


def _within(key: bytes, delete: Request) -> bool:
    start: bytes = delete["key"]
    end: bytes = delete.get("range_end", b"")
    return start <= key < end if end else key == start
