"""What a client is answered: MessagePack maps with ``header`` or ``error``, etcd's own field names, defaults left out.

The requests are in `client`; `docs/protocol.md` is the specification of both.
"""

from typing import Any

from msgspec import Struct


class Header(Struct, frozen=True, gc=False, omit_defaults=True):
    """etcd ResponseHeader. Inside a transaction's responses only the revision is set (nothing for a nested txn)."""

    cluster_id: int = 0
    member_id: int = 0
    revision: int = 0
    raft_term: int = 0


class KeyValue(Struct, frozen=True, gc=False, omit_defaults=True):
    """etcd KeyValue; fields at their default are left out, the key never."""

    key: bytes
    create_revision: int = 0
    mod_revision: int = 0
    version: int = 0
    value: bytes = b""
    lease: int = 0


class EventMap(Struct, frozen=True, omit_defaults=True, gc=False):
    """etcd Event: type PUT 0 (left out), DELETE 1."""

    kv: KeyValue
    type: int = 0
    prev_kv: KeyValue | None = None


class ErrorMap(Struct, frozen=True, gc=False):
    """What ``error`` holds."""

    code: int
    status: str
    message: str


class ErrorReply(Struct, frozen=True, gc=False):
    """The reply to a request that failed."""

    error: ErrorMap


class PutReply(Struct, frozen=True, omit_defaults=True, gc=False):
    """etcd PutResponse."""

    header: Header
    prev_kv: KeyValue | None = None


class RangeReply(Struct, frozen=True, omit_defaults=True, gc=False):
    """etcd RangeResponse."""

    header: Header
    kvs: list[KeyValue] = []
    more: bool = False
    count: int = 0


class DeleteRangeReply(Struct, frozen=True, omit_defaults=True, gc=False):
    """etcd DeleteRangeResponse."""

    header: Header
    deleted: int = 0
    prev_kvs: list[KeyValue] = []


class ResponseOp(Struct, frozen=True, omit_defaults=True):
    """etcd ResponseOp: exactly one of the four."""

    response_range: RangeReply | None = None
    response_put: PutReply | None = None
    response_delete_range: DeleteRangeReply | None = None
    response_txn: "TxnReply | None" = None


class TxnReply(Struct, frozen=True, omit_defaults=True):
    """etcd TxnResponse."""

    header: Header
    succeeded: bool = False
    responses: list[ResponseOp] = []


class BatchReply(Struct, frozen=True, gc=False):
    """Answers to a batch, in order; a failed one is an ErrorReply."""

    responses: list[Any]


class WatchReply(Struct, frozen=True, omit_defaults=True):
    """etcd WatchResponse. Where several watches of one stream get the same events, one reply names them all in
    watch_ids and watch_id is left out. -1 is "the whole stream" (progress)."""

    header: Header
    watch_id: int = 0
    watch_ids: list[int] = []
    created: bool = False
    canceled: bool = False
    compact_revision: int = 0
    cancel_reason: str = ""
    fragment: bool = False
    events: list[EventMap] = []


class WatchPollReply(Struct, frozen=True, gc=False):
    """Answer to watch_poll; compacted polls get an error reply plus ``compact_revision``."""

    header: Header
    next_revision: int
    events: list[EventMap]


class SnapshotReply(Struct, frozen=True, omit_defaults=True, gc=False):
    """etcd SnapshotResponse, one of a stream: the next bytes of a bbolt database file, and how many follow in such
    replies. The last one has done, and as its blob the SHA-256 (32 bytes) of all before."""

    header: Header
    remaining_bytes: int = 0
    blob: bytes = b""
    done: bool = False


class Histogram(Struct, frozen=True, gc=False):
    """counts[i]: observations at most bounds[i] (seconds) and above bounds[i - 1]; the last, one more than bounds, are
    those above all. sum: of all observations."""

    bounds: list[float]
    counts: list[int]
    sum: float


class MetricsReply(Struct, frozen=True, omit_defaults=True):
    """metrics: counters of the api process that answers. series, histograms: of the whole member, by etcd's names, some
    with labels behind them as Prometheus writes them (``name{To="..."}``). missing: processes that did not answer in
    time. hops: with --trace-hops."""

    header: Header
    metrics: dict[str, int]
    series: dict[str, float] = {}
    histograms: dict[str, Histogram] = {}
    missing: list[str] = []
    hops: Any = None
