"""The Python client: `Client` for threads, `AsyncClient` for asyncio, of the protocol in `docs/protocol.md`.

with Client("tcp://127.0.0.1:2378") as client:
    client.put("greeting", "hello")
    print(client.get("greeting").value)
    for event in client.watch("greeting"):
        print(event.kv.mod_revision, event.kv.value)

Names are loaded when they are first used (PEP 562): a program that puts and gets never loads asyncio.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zetcd.client.aio import AsyncClient
    from zetcd.client.election import AsyncElection, Election
    from zetcd.client.lease import AsyncLease, Lease
    from zetcd.client.lock import AsyncLock, Lock
    from zetcd.client.requests import prefix_end
    from zetcd.client.sync import Client
    from zetcd.client.txn import Txn, compare, op
    from zetcd.client.watch import AsyncWatcher, Watcher
    from zetcd.session.errors import Error
    from zetcd.wire.replies import DeleteRangeReply, KeyValue, PutReply, RangeReply, TxnReply, WatchReply
    from zetcd.wire.replies import EventMap as Event

__all__ = [
    "AsyncClient",
    "AsyncElection",
    "AsyncLease",
    "AsyncLock",
    "AsyncWatcher",
    "Client",
    "DeleteRangeReply",
    "Election",
    "Error",
    "Event",
    "KeyValue",
    "Lease",
    "Lock",
    "PutReply",
    "RangeReply",
    "Txn",
    "TxnReply",
    "WatchReply",
    "Watcher",
    "compare",
    "op",
    "prefix_end",
]

_HOMES = {
    "zetcd.client.aio": ("AsyncClient",),
    "zetcd.client.election": ("AsyncElection", "Election"),
    "zetcd.client.lease": ("AsyncLease", "Lease"),
    "zetcd.client.lock": ("AsyncLock", "Lock"),
    "zetcd.client.requests": ("prefix_end",),
    "zetcd.client.sync": ("Client",),
    "zetcd.client.txn": ("Txn", "compare", "op"),
    "zetcd.client.watch": ("AsyncWatcher", "Watcher"),
    "zetcd.session.errors": ("Error",),
    "zetcd.wire.replies": (
        "DeleteRangeReply", "Event", "KeyValue", "PutReply", "RangeReply", "TxnReply", "WatchReply",
    ),
}  # fmt: skip
_HOME = {name: home for home, names in _HOMES.items() for name in names}
_NAMES_THERE = {"Event": "EventMap"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME[name]), _NAMES_THERE.get(name, name))
    return value


def __dir__() -> list[str]:
    return __all__
