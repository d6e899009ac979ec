"""What api does for each op of the public API: validate, send, and build the reply from the result.

Every function here is ``op(actor, ticket, index, request)``; its ``..._done(actor, call, result)`` answers. Field names
and rules are etcd's; `docs/protocol.md` lists them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import zetcd
from zetcd.actors.calls import Call
from zetcd.actors.clients import Ticket
from zetcd.base.errors import Error
from zetcd.mvcc.txn import puts_anything
from zetcd.service import commands, replies
from zetcd.wire import client as api
from zetcd.wire.entry import Alarm, Compact, LeaseRevoke, Put, Txn
from zetcd.wire.local import LeaseAnswer
from zetcd.wire.queries import CompactWait, HashKv, LeaseInfo, LeaseList, StoreStatus
from zetcd.wire.replies import PutReply
from zetcd.wire.results import (
    Alarmed,
    DeleteDone,
    Done,
    Hashed,
    LeaseGranted,
    LeaseIs,
    Leases,
    PutDone,
    RangeDone,
    Status,
    TxnDone,
)

if TYPE_CHECKING:
    from zetcd.actors.api_actor import ApiActor

PUT_COST = 256  # etcd's quota cost of a put besides key and value
LEASE_COST = 64


# -- KV ------------------------------------------------------------------------------------------------------------
def put(actor: ApiActor, ticket: Ticket, index: int, request: api.PutRequest) -> None:
    """KV.Put."""
    command = commands.put(request)
    if type(command) is not Put:
        actor.refuse(ticket, index, command)  # type: ignore[arg-type]
        return
    size = len(command.key) + len(command.value)
    if actor.within_quota(ticket, index, PUT_COST + size):
        actor.write(Call(ticket, index, put_done, command), command, size)


def put_done(actor: ApiActor, call: Call, result: PutDone) -> None:
    """PutResponse."""
    header = actor.header(result.revision)
    if result.prev is None:
        actor.answer(call.ticket, call.index, PutReply(header))
    else:
        actor.answer(call.ticket, call.index, replies.put(header, call.subject.key, result))


def range_(actor: ApiActor, ticket: Ticket, index: int, request: api.RangeRequest) -> None:
    """KV.Range."""
    query = commands.range_(request)
    if isinstance(query, Error):
        actor.refuse(ticket, index, query)
    else:
        actor.read(Call(ticket, index, range_done, query, not request.serializable), query)


def range_done(actor: ApiActor, call: Call, result: RangeDone) -> None:
    """RangeResponse."""
    actor.answer(call.ticket, call.index, replies.range_(actor.header(result.revision), result))


def delete_range(actor: ApiActor, ticket: Ticket, index: int, request: api.DeleteRangeRequest) -> None:
    """KV.DeleteRange."""
    command = commands.delete_range(request)
    if isinstance(command, Error):
        actor.refuse(ticket, index, command)
    else:
        size = len(command.key) + len(command.range_end)
        actor.write(Call(ticket, index, delete_range_done, command), command, size)


def delete_range_done(actor: ApiActor, call: Call, result: DeleteDone) -> None:
    """DeleteRangeResponse."""
    actor.answer(call.ticket, call.index, replies.delete_range(actor.header(result.revision), result))


def txn(actor: ApiActor, ticket: Ticket, index: int, request: api.TxnRequest) -> None:
    """KV.Txn."""
    command = commands.txn(request, actor.settings.max_txn_ops)
    if isinstance(command, Error):
        actor.refuse(ticket, index, command)
        return
    size = len(replies.encode(command))
    if not puts_anything(command) or actor.within_quota(ticket, index, size):
        actor.write(Call(ticket, index, txn_done, command), command, size)


def txn_done(actor: ApiActor, call: Call, result: TxnDone) -> None:
    """TxnResponse."""
    assert isinstance(call.subject, Txn)
    actor.answer(call.ticket, call.index, replies.txn(actor.header(result.revision), result, call.subject))


def compact(actor: ApiActor, ticket: Ticket, index: int, request: api.CompactRequest) -> None:
    """KV.Compact; physical is answered once this member's rows are gone."""
    command = Compact(request.revision, request.physical)
    actor.write(Call(ticket, index, compact_done, command), command, 16)


def compact_done(actor: ApiActor, call: Call, result: Done) -> None:
    """The revision is compacted logically; physical waits on."""
    command = call.subject
    assert isinstance(command, Compact)
    if command.physical:
        wait = CompactWait(command.revision)
        actor.read(Call(call.ticket, call.index, header_only_done, wait), wait)
    else:
        header_only_done(actor, call, result)


def header_only_done(actor: ApiActor, call: Call, result: Done) -> None:
    """A reply that is nothing but its header."""
    actor.answer(call.ticket, call.index, {"header": actor.header(result.revision)})


# -- Lease ---------------------------------------------------------------------------------------------------------
def lease_grant(actor: ApiActor, ticket: Ticket, index: int, request: api.LeaseGrantRequest) -> None:
    """Lease.LeaseGrant."""
    command = commands.lease_grant(request, actor.rng.randrange(1, 2**63), actor.settings.min_lease_ttl_s)
    if isinstance(command, Error):
        actor.refuse(ticket, index, command)
    elif actor.within_quota(ticket, index, LEASE_COST):
        actor.write(Call(ticket, index, lease_grant_done, command), command, 32)


def lease_grant_done(actor: ApiActor, call: Call, result: LeaseGranted) -> None:
    """LeaseGrantResponse."""
    actor.answer(call.ticket, call.index, {"header": actor.header(result.revision), "ID": result.id, "TTL": result.ttl})


def lease_revoke(actor: ApiActor, ticket: Ticket, index: int, request: api.LeaseRevokeRequest) -> None:
    """Lease.LeaseRevoke."""
    command = LeaseRevoke(request.ID)
    actor.write(Call(ticket, index, header_only_done, command), command, 16)


def lease_keep_alive(actor: ApiActor, ticket: Ticket, index: int, request: api.LeaseKeepAliveRequest) -> None:
    """Lease.LeaseKeepAlive, one renewal."""
    actor.calls.lease(Call(ticket, index, lease_keep_alive_done, request.ID, linearizable=True), request.ID, renew=True)


def lease_keep_alive_done(actor: ApiActor, call: Call, result: LeaseAnswer) -> None:
    """LeaseKeepAliveResponse; TTL 0 where the lease is gone."""
    actor.answer(
        call.ticket, call.index, {"header": actor.header(actor.revision), "ID": result.id, "TTL": max(0, result.ttl)}
    )


def lease_time_to_live(actor: ApiActor, ticket: Ticket, index: int, request: api.LeaseTimeToLiveRequest) -> None:
    """Lease.LeaseTimeToLive: what remains is known to lease, the keys to apply."""
    done = lease_time_to_live_keys if request.keys else lease_time_to_live_done
    actor.calls.lease(Call(ticket, index, done, request.ID), request.ID, renew=False)


def lease_time_to_live_done(actor: ApiActor, call: Call, result: LeaseAnswer) -> None:
    """LeaseTimeToLiveResponse without keys; TTL -1 for an unknown lease."""
    actor.answer(call.ticket, call.index, _time_to_live(actor, actor.revision, result, []))


def lease_time_to_live_keys(actor: ApiActor, call: Call, result: LeaseAnswer) -> None:
    """The remaining TTL is known; ask for the keys."""
    query = LeaseInfo(result.id, keys=True)

    def done(_actor: ApiActor, call: Call, info: LeaseIs) -> None:
        actor.answer(call.ticket, call.index, _time_to_live(actor, info.revision, result, info.keys))

    actor.read(Call(call.ticket, call.index, done, query), query)


def _time_to_live(actor: ApiActor, revision: int, result: LeaseAnswer, keys: list[bytes]) -> dict[str, object]:
    reply: dict[str, object] = {
        "header": actor.header(revision),
        "ID": result.id,
        "TTL": result.ttl,
        "grantedTTL": result.granted,
    }
    if keys:
        reply["keys"] = keys
    return reply


def lease_leases(actor: ApiActor, ticket: Ticket, index: int, _request: api.LeaseLeasesRequest) -> None:
    """Lease.LeaseLeases."""
    query = LeaseList()
    actor.read(Call(ticket, index, lease_leases_done, query), query)


def lease_leases_done(actor: ApiActor, call: Call, result: Leases) -> None:
    """LeaseLeasesResponse."""
    leases = [{"ID": each} for each in result.ids]
    actor.answer(call.ticket, call.index, {"header": actor.header(result.revision), "leases": leases})


# -- Maintenance and Cluster ---------------------------------------------------------------------------------------
def status(actor: ApiActor, ticket: Ticket, index: int, _request: api.StatusRequest) -> None:
    """Maintenance.Status: local, works without a leader."""
    query = StoreStatus()
    actor.read(Call(ticket, index, status_done, query), query)


def status_done(actor: ApiActor, call: Call, result: Status) -> None:
    """StatusResponse."""
    standing = actor.standing
    complaints = [] if standing.leader else ["etcdserver: no leader"]
    complaints += [f"memberID:{member} alarm:{ALARMS.get(kind, kind)} " for member, kind in result.alarms]
    reply = {
        "header": actor.header(result.revision),
        "version": zetcd.__version__,
        "dbSize": result.db_bytes,
        "leader": standing.leader,
        "raftIndex": max(standing.last_index, result.applied),
        "raftTerm": standing.term,
        "raftAppliedIndex": result.applied,
        "dbSizeInUse": result.db_bytes_in_use,
        "isLearner": standing.is_learner,
        "dbSizeQuota": max(0, actor.settings.quota_backend_bytes),
        "errors": complaints,
    }
    actor.answer(call.ticket, call.index, reply)


ALARMS = {1: "NOSPACE", 2: "CORRUPT"}


def hash_kv(actor: ApiActor, ticket: Ticket, index: int, request: api.HashKvRequest) -> None:
    """Maintenance.HashKV."""
    query = HashKv(request.revision)
    actor.read(Call(ticket, index, hash_kv_done, query), query)


def hash_kv_done(actor: ApiActor, call: Call, result: Hashed) -> None:
    """HashKVResponse."""
    reply = {
        "header": actor.header(result.revision),
        "hash": result.hash,
        "compact_revision": result.compact_revision,
        "hash_revision": result.hash_revision,
    }
    actor.answer(call.ticket, call.index, reply)


def alarm(actor: ApiActor, ticket: Ticket, index: int, request: api.AlarmRequest) -> None:
    """Maintenance.Alarm: GET reads, the others go through the log."""
    command = commands.alarm(request)
    if isinstance(command, Error):
        actor.refuse(ticket, index, command)
    elif request.action == 0:
        query = StoreStatus()
        actor.read(Call(ticket, index, partial(alarm_get_done, command), query, linearizable=True), query)
    else:
        actor.write(Call(ticket, index, alarm_done, command), command, 32)


def alarm_get_done(command: Alarm, actor: ApiActor, call: Call, result: Status) -> None:
    """AlarmResponse of GET; NONE asks for all."""
    alarms = [{"memberID": member, "alarm": kind} for member, kind in result.alarms if command.alarm in (0, kind)]
    actor.answer(call.ticket, call.index, {"header": actor.header(result.revision), "alarms": alarms})


def alarm_done(actor: ApiActor, call: Call, result: Alarmed) -> None:
    """AlarmResponse: the alarms that were raised or taken back."""
    alarms = [{"memberID": member, "alarm": kind} for member, kind in result.alarms]
    actor.answer(call.ticket, call.index, {"header": actor.header(result.revision), "alarms": alarms})


def member_list(actor: ApiActor, ticket: Ticket, index: int, request: api.MemberListRequest) -> None:
    """Cluster.MemberList, linearizable unless asked otherwise."""
    query = StoreStatus()
    actor.read(Call(ticket, index, member_list_done, query, request.linearizable), query)


def member_list_done(actor: ApiActor, call: Call, result: Status) -> None:
    """MemberListResponse, by id; its header carries no revision (etcd's way)."""
    members = []
    for member, name, peer_urls, client_urls, is_learner in sorted(result.members):
        entry: dict[str, object] = {"ID": member, "name": name, "peerURLs": peer_urls, "clientURLs": client_urls}
        if is_learner:
            entry["isLearner"] = True
        members.append(entry)
    actor.answer(call.ticket, call.index, {"header": actor.header(0), "members": members})


def metrics(actor: ApiActor, ticket: Ticket, index: int, _request: api.MetricsRequest) -> None:
    """Counters of this api process."""
    clients = actor.clients
    counters = {
        **actor.counters,
        "inflight": len(actor.calls),
        "clients_stalled": clients.stalled,
        "clients_dropped": clients.dropped,
        "clients_unreachable": clients.unreachable,
        "backlog_bytes": clients.backlog_bytes,
        "revision": actor.revision,
        "api_process": actor.number,
    }
    reply: dict[str, object] = {"header": actor.header(actor.revision), "metrics": counters}
    if actor.tracer is not None:
        reply["hops"] = actor.tracer.sums
    actor.answer(ticket, index, reply)


# -- Watch, Lock, Election -----------------------------------------------------------------------------------------
def watching(actor: ApiActor, ticket: Ticket, index: int, request: api.Request) -> None:
    """Everything that waits for events."""
    actor.watching.on_request(ticket, index, request)


OPERATIONS: dict[type, Callable[..., None]] = {
    api.PutRequest: put,
    api.RangeRequest: range_,
    api.DeleteRangeRequest: delete_range,
    api.TxnRequest: txn,
    api.CompactRequest: compact,
    api.LeaseGrantRequest: lease_grant,
    api.LeaseRevokeRequest: lease_revoke,
    api.LeaseKeepAliveRequest: lease_keep_alive,
    api.LeaseTimeToLiveRequest: lease_time_to_live,
    api.LeaseLeasesRequest: lease_leases,
    api.StatusRequest: status,
    api.HashKvRequest: hash_kv,
    api.AlarmRequest: alarm,
    api.MemberListRequest: member_list,
    api.MetricsRequest: metrics,
    api.WatchCreateRequest: watching,
    api.WatchCancelRequest: watching,
    api.WatchProgressRequest: watching,
    api.WatchPollRequest: watching,
    api.LockRequest: watching,
    api.UnlockRequest: watching,
    api.CampaignRequest: watching,
    api.ProclaimRequest: watching,
    api.LeaderRequest: watching,
    api.ObserveRequest: watching,
    api.ResignRequest: watching,
}
