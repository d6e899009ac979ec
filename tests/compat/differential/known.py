"""What is known to differ between etcd and zetcd, and why. Nothing else may.

Each entry says how the comparison deals with it: *avoided* (never drawn), *normalised* (removed from both answers
before they are compared) or *tolerated* (compared less strictly).
"""

from typing import NamedTuple


class Known(NamedTuple):
    """One difference."""

    what: str
    dealt: str
    why: str


KNOWN = (
    Known(
        "cluster_id, member_id and raft_term in headers",
        "normalised",
        "two clusters; etcd 3.5 starts at term 2, zetcd at 1",
    ),
    Known(
        "status beside code and message in errors",
        "normalised",
        "zetcd names the code; etcd's gateway has no place for it",
    ),
    Known(
        "fields at their default, absent or present",
        "normalised",
        "absence means the default in either dialect",
    ),
    Known(
        "order of equals under sort_target VERSION, CREATE, MOD, VALUE, and which of them a limit keeps",
        "tolerated",
        "etcd's sort is not stable; the sort keys in order, and each complete group of equals as a set, must agree",
    ),
    Known(
        "sort_target other than KEY with sort_order NONE and a limit",
        "avoided",
        "etcd applies the limit before it sorts, so its top k are not the top k",
    ),
    Known(
        "an unknown sort_target",
        "avoided",
        "the oracle crashes (nil dereference, up to 3.5.30); zetcd answers invalid sort option, as 3.6 does",
    ),
    Known(
        "an unknown sort_order",
        "avoided",
        "3.5 ignores it; zetcd answers invalid sort option, as 3.6 does",
    ),
    Known(
        "a put and a delete of everything from a key on (range_end 00) in one transaction",
        "avoided",
        "etcd's duplicate check takes the 00 for a key, finds the range empty and lets the transaction change a key "
        "twice; zetcd's store changes a key once a revision and answers duplicate key, as for every other range",
    ),
    Known(
        "remaining TTL in lease_time_to_live",
        "tolerated",
        "two clocks on a busy machine: up to 10 seconds apart (TTLs here are 600 and more); the granted one must agree",
    ),
    Known(
        "order of the keys in lease_time_to_live",
        "normalised",
        "etcd walks a Go map, in another order each time; zetcd sorts them",
    ),
    Known(
        "order of lease_leases",
        "normalised",
        "etcd sorts by expiry, which two leases granted in the same second reach in either order; zetcd by id",
    ),
    Known(
        "a request between 1.5 MiB less some hundred bytes and 1.5 MiB",
        "avoided",
        "etcd measures its protobuf, zetcd its own encoding of the command",
    ),
    Known(
        "hash and hash_revision in hash_kv",
        "normalised",
        "each store hashes its own encoding (members of one cluster agree, which other tests hold); 3.6 has the other",
    ),
    Known(
        "/v3/maintenance/hash",
        "avoided",
        "3.4 answers it as HashKV, and so does zetcd; 3.5 as Hash, which knows no revision; gRPC has both",
    ),
    Known(
        "a watch from a negative revision",
        "avoided",
        "3.5.1 says nothing for ever from -1 on, and cancels others later; zetcd refuses them, as later releases do",
    ),
    Known(
        "an unknown alarm action",
        "avoided",
        "the oracle crashes (nil dereference); zetcd refuses it",
    ),
    Known(
        "a put within one nested transaction, and a delete of its key within a later one beside it",
        "avoided",
        "etcd's duplicate check looks for them in the other order only, and the transaction changes a key twice in one "
        "revision; zetcd answers duplicate key in either order",
    ),
    Known(
        "which of several watches of a stream is answered first, where one is canceled before it has begun",
        "tolerated",
        "zetcd tells that one of its beginning and its end at once; the answers of each watch keep their order",
    ),
    Known(
        "hash_kv at the compacted revision",
        "avoided",
        "3.4 and the oracle call it compacted; zetcd answers, as 3.6 does",
    ),
    Known(
        "a watch from exactly the compacted revision",
        "avoided",
        "etcd's compaction takes a delete of that revision along, sooner or later, and the watch misses it (mended "
        "in later releases); zetcd shows it",
    ),
)
