"""The Python client: `Client` for threads, `AsyncClient` for asyncio, of the protocol in `docs/protocol.md`.

with Client("tcp://127.0.0.1:2378") as client:
    client.put("greeting", "hello")
    print(client.get("greeting").value)
    for event in client.watch("greeting"):
        print(event.kv.mod_revision, event.kv.value)
"""

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
