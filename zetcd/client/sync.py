"""The synchronous client. Calls run in the caller's thread; threads that call at once share frames.

Watches, leases, locks and elections run in a background loop. They, and with them asyncio, are loaded by the first of
these, since a short program spends a third of its time on starting.
"""

import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

from zetcd.base import errors as etcd
from zetcd.client import requests
from zetcd.client.options import RangeOptions
from zetcd.client.requests import Filter, Key, octets, prefix_range, range_request
from zetcd.client.threads import Engine
from zetcd.client.txn import Txn
from zetcd.session import call as kinds
from zetcd.session.errors import CLIENT_CLOSED, Error
from zetcd.session.options import Options
from zetcd.wire import client as wire
from zetcd.wire.replies import DeleteRangeReply, KeyValue, PutReply, RangeReply, TxnReply, WatchReply

if TYPE_CHECKING:
    from zetcd.client.background import Background
    from zetcd.client.election import Election
    from zetcd.client.lease import Lease
    from zetcd.client.lock import Lock
    from zetcd.client.watch import Watcher

ReplyCallback = Callable[[WatchReply], None]


class Client:
    """A client of one cluster.

    endpoints: ``tcp://host:port``, a comma-separated list of them, or a list; they must be members of one cluster.
    timeout: seconds a call may take altogether, retries included, where the call does not say otherwise.
    try_timeout: seconds after which an endpoint that answers nothing is left for the next one.
    sockets: connections to the endpoint; more than one helps where it runs several api processes.

    Every call takes ``timeout`` (seconds) and raises `Error`. Writes are sent again only if they certainly were not
    applied; otherwise the error says ``outcome_unknown``. Safe to use from many threads.
    """

    def __init__(
        self,
        endpoints: str | Iterable[str] = "tcp://127.0.0.1:2378",
        *,
        timeout: float = 5.0,
        try_timeout: float = 2.0,
        connect_timeout: float = 2.0,
        sockets: int = 2,
    ) -> None:
        self._options = Options.of(endpoints, timeout, try_timeout, connect_timeout, sockets)
        self._engine = Engine(self._options)
        self._run = self._engine.run
        self._lock = threading.Lock()
        self._loop: Background | None = None
        self._closed = False
        self._at: dict[str, Client] = {}

    def close(self) -> None:
        """End all watches and keep-alives and close the connections. Leases are left to expire."""
        for other in self._at.values():
            other.close()
        with self._lock:
            self._closed = True
        if self._loop is not None:
            self._loop.close()
        self._engine.close()

    @property
    def _background(self) -> "Background":
        with self._lock:
            if self._loop is None:
                if self._closed:
                    raise Error(etcd.CANCELED, CLIENT_CLOSED)
                from zetcd.client.background import Background

                self._loop = Background(self._options)
            return self._loop

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def endpoints(self) -> list[str]:
        """As given, normalised."""
        return list(self._options.endpoints)

    def at(self, endpoint: str) -> "Client":
        """A client of this one endpoint alone, for questions to a certain member; closed with this client."""
        with self._lock:
            other = self._at.get(endpoint)
            if other is None:
                other = self._at[endpoint] = Client(
                    endpoint,
                    timeout=self._options.timeout,
                    try_timeout=self._options.try_timeout,
                    connect_timeout=self._options.connect_timeout,
                    sockets=1,
                )
            return other

    def call(
        self, request: wire.Request, *, timeout: float | None = None, endpoint: str | None = None
    ) -> dict[str, Any]:
        """Any request but a watch's; the reply as the plain map the server sent (fields at their default are absent).

        endpoint: ask this one and no other.
        """
        if endpoint is not None:
            return self.at(endpoint).call(request, timeout=timeout)
        return self._run(request, kinds.PLAIN, timeout)

    # -- keys ------------------------------------------------------------------------------------------------------
    def put(
        self,
        key: Key,
        value: Key = b"",
        *,
        lease: int = 0,
        prev_kv: bool = False,
        ignore_value: bool = False,
        ignore_lease: bool = False,
        timeout: float | None = None,
    ) -> PutReply:
        """Write one key. lease 0 detaches it from its lease unless ignore_lease."""
        request = wire.PutRequest(octets(key), octets(value), lease, prev_kv, ignore_value, ignore_lease)
        return self._run(request, kinds.PUT, timeout)

    def get(
        self, key: Key, *, revision: int = 0, serializable: bool = False, timeout: float | None = None
    ) -> KeyValue | None:
        """One key, None where it does not exist. Linearizable unless serializable."""
        request = wire.RangeRequest(octets(key), revision=revision, serializable=serializable)
        return self._run(request, kinds.GET, timeout)

    def range(
        self, key: Key, range_end: Key = b"", *, timeout: float | None = None, **options: Unpack[RangeOptions]
    ) -> RangeReply:
        """Keys in [key, range_end); options are etcd's."""
        return self._run(range_request(key, range_end, **options), kinds.RANGE, timeout)

    def get_prefix(self, prefix: Key, *, timeout: float | None = None, **options: Unpack[RangeOptions]) -> RangeReply:
        """All keys that begin with prefix."""
        return self._run(range_request(*prefix_range(prefix), **options), kinds.RANGE, timeout)

    def delete(self, key: Key, *, prev_kv: bool = False, timeout: float | None = None) -> DeleteRangeReply:
        """Delete one key; ``deleted`` of the reply is 0 or 1."""
        return self._run(wire.DeleteRangeRequest(octets(key), b"", prev_kv), kinds.DELETE, timeout)

    def delete_range(
        self, key: Key, range_end: Key, *, prev_kv: bool = False, timeout: float | None = None
    ) -> DeleteRangeReply:
        """Delete all keys in [key, range_end)."""
        return self._run(wire.DeleteRangeRequest(octets(key), octets(range_end), prev_kv), kinds.DELETE, timeout)

    def delete_prefix(self, prefix: Key, *, prev_kv: bool = False, timeout: float | None = None) -> DeleteRangeReply:
        """Delete all keys that begin with prefix."""
        return self.delete_range(*prefix_range(prefix), prev_kv=prev_kv, timeout=timeout)

    def txn(self, *compares: wire.CompareMap) -> Txn[TxnReply]:
        """A transaction builder; see `zetcd.client.txn`."""
        return Txn(compares, lambda request, timeout: self._run(request, kinds.TXN, timeout))

    def compact(self, revision: int, *, physical: bool = False, timeout: float | None = None) -> dict[str, Any]:
        """Forget history below revision; physical waits until the member has deleted it."""
        return self.call(wire.CompactRequest(revision, physical), timeout=timeout)

    # -- watch -----------------------------------------------------------------------------------------------------
    def watch(
        self,
        key: Key,
        *,
        prefix: bool = False,
        range_end: Key = b"",
        start_revision: int = 0,
        prev_kv: bool = False,
        filters: Iterable[Filter] = (),
        progress_notify: bool = False,
        fragment: bool = False,
        callback: ReplyCallback | None = None,
        timeout: float | None = None,
    ) -> "Watcher":
        """Changes of a key, a range or a prefix, from start_revision on (0: from now; fixed when this returns).

        The watcher resumes by itself after any failure, without loss or repetition, until closed. Iterate it for
        events; or give a callback, which gets every WatchReply with events or progress on the client's thread.
        Raises Error with ``compact_revision`` where the history asked for is gone.
        """
        from zetcd.client.watch import Watcher

        key, range_end = prefix_range(key) if prefix else (octets(key), octets(range_end))
        request = wire.WatchCreateRequest(
            key, range_end, start_revision, progress_notify, requests.watch_filters(filters), prev_kv, 0, fragment
        )
        return Watcher.open(self._background, request, callback, timeout)

    # -- leases ----------------------------------------------------------------------------------------------------
    def lease_grant(self, ttl: int, id: int = 0, *, timeout: float | None = None) -> "Lease":  # noqa: A002
        """A lease of ttl seconds. ``keep_alive()`` on it, or using it as a context manager, renews it by itself."""
        from zetcd.client.lease import Lease

        granted = self._run(wire.LeaseGrantRequest(ttl, id), kinds.GRANT, timeout)
        return Lease(self._background, *granted)

    def lease_revoke(self, id: int, *, timeout: float | None = None) -> dict[str, Any]:  # noqa: A002
        """End a lease and delete its keys."""
        return self.call(wire.LeaseRevokeRequest(id), timeout=timeout)

    def lease_keep_alive_once(self, id: int, *, timeout: float | None = None) -> int:  # noqa: A002
        """Renew a lease; its TTL in seconds, or 0 where it is gone."""
        return self._run(wire.LeaseKeepAliveRequest(id), kinds.KEEP_ALIVE, timeout)

    def lease_time_to_live(
        self,
        id: int,  # noqa: A002
        *,
        keys: bool = False,
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """``TTL`` left in seconds (-1 for an unknown lease), ``grantedTTL``, and ``keys`` where asked for."""
        return self.call(wire.LeaseTimeToLiveRequest(id, keys), timeout=timeout)

    def lease_leases(self, *, timeout: float | None = None) -> list[int]:
        """Ids of all leases."""
        return self._run(wire.LeaseLeasesRequest(), kinds.LEASES, timeout)

    # -- lock and election -------------------------------------------------------------------------------------------
    def lock(self, name: Key, *, ttl: int = 60) -> "Lock":
        """A lock for ``with``: held across members, lost when its lease (of ttl seconds, kept alive) ends."""
        from zetcd.client.lock import Lock

        return Lock(self._background, octets(name), ttl)

    def election(self, name: Key, *, ttl: int = 60) -> "Election":
        """An election: campaign, proclaim, resign, leader, observe."""
        from zetcd.client.election import Election

        return Election(self._background, octets(name), ttl)

    # -- cluster and maintenance -----------------------------------------------------------------------------------
    def status(self, endpoint: str | None = None, *, timeout: float | None = None) -> dict[str, Any]:
        """etcd's Status of one member."""
        return self.call(wire.StatusRequest(), timeout=timeout, endpoint=endpoint)

    def hash_kv(
        self, revision: int = 0, *, endpoint: str | None = None, timeout: float | None = None
    ) -> dict[str, Any]:
        """``hash`` of what one member holds at revision (0: now), ``compact_revision``, ``hash_revision``."""
        return self.call(wire.HashKvRequest(revision), timeout=timeout, endpoint=endpoint)

    def member_list(self, *, linearizable: bool = True, timeout: float | None = None) -> dict[str, Any]:
        """``members`` of the cluster."""
        return self.call(wire.MemberListRequest(linearizable), timeout=timeout)

    def member_add(
        self, peer_urls: Iterable[str], *, learner: bool = False, timeout: float | None = None
    ) -> dict[str, Any]:
        """Add a member, as a voter or a learner; ``member`` of the reply has its ``ID``."""
        return self.call(wire.MemberAddRequest(list(peer_urls), learner), timeout=timeout)

    def member_remove(self, member_id: int, *, timeout: float | None = None) -> dict[str, Any]:
        """Remove a member; its process stops by itself."""
        return self.call(wire.MemberRemoveRequest(member_id), timeout=timeout)

    def member_update(
        self, member_id: int, peer_urls: Iterable[str], *, timeout: float | None = None
    ) -> dict[str, Any]:
        """Give a member other peer URLs."""
        return self.call(wire.MemberUpdateRequest(member_id, list(peer_urls)), timeout=timeout)

    def member_promote(self, member_id: int, *, timeout: float | None = None) -> dict[str, Any]:
        """Make a voter of a learner that has caught up."""
        return self.call(wire.MemberPromoteRequest(member_id), timeout=timeout)

    def move_leader(
        self, target_id: int, *, endpoint: str | None = None, timeout: float | None = None
    ) -> dict[str, Any]:
        """Have the leader, which must be the one asked, hand over to target_id."""
        return self.call(wire.MoveLeaderRequest(target_id), timeout=timeout, endpoint=endpoint)

    def alarm(
        self, action: str | int = "GET", alarm: str | int = "NONE", *, member_id: int = 0, timeout: float | None = None
    ) -> dict[str, Any]:
        """List, raise or clear alarms: action GET, ACTIVATE or DEACTIVATE; alarm NONE, NOSPACE or CORRUPT."""
        request = wire.AlarmRequest(requests.number("action", action), member_id, requests.number("alarm", alarm))
        return self.call(request, timeout=timeout)
