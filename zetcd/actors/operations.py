"""What api does for each op of the public API: validate, send, and build the reply from the result.

The services Maintenance and Cluster are in `maintenance`.

Every function here is ``op(actor, ticket, index, request)``; its ``..._done(actor, call, result)`` answers. Field names
and rules are etcd's; `docs/protocol.md` lists them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from zetcd.actors import authentication, maintenance
from zetcd.actors.calls import Call, header_only_done
from zetcd.actors.clients import Ticket
from zetcd.base.errors import LEARNER_UNSUPPORTED, Error
from zetcd.mvcc.txn import puts_anything, reads_only
from zetcd.service import commands, replies
from zetcd.wire import client as api
from zetcd.wire.entry import Compact, LeaseRevoke, Put, Txn
from zetcd.wire.local import LeaseAnswer
from zetcd.wire.queries import CompactWait, LeaseInfo, LeaseList
from zetcd.wire.replies import PutReply
from zetcd.wire.results import (
    DeleteDone,
    Done,
    LeaseGranted,
    LeaseIs,
    Leases,
    PutDone,
    RangeDone,
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
    """KV.Txn; where nothing but ranges is in it, a read."""
    command = commands.txn(request, actor.settings.max_txn_ops)
    if isinstance(command, Error):
        actor.refuse(ticket, index, command)
        return
    if reads_only(command):
        actor.read(Call(ticket, index, txn_done, command, not commands.serializable(request)), command)
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


# -- the member -------------------------------------------------------------------------------------------------------
def metrics(actor: ApiActor, ticket: Ticket, index: int, _request: api.MetricsRequest) -> None:
    """What all processes of the member have counted."""
    actor.measure(ticket, index)


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
    **maintenance.OPERATIONS,
    **authentication.OPERATIONS,
    api.MetricsRequest: metrics,
    api.WatchCreateRequest: watching,
    api.WatchCancelRequest: watching,
    api.WatchProgressRequest: watching,
    api.WatchPollRequest: watching,
    api.CancelRequest: watching,
    api.LockRequest: watching,
    api.UnlockRequest: watching,
    api.CampaignRequest: watching,
    api.ProclaimRequest: watching,
    api.LeaderRequest: watching,
    api.ObserveRequest: watching,
    api.ResignRequest: watching,
}


# -- on a learner --------------------------------------------------------------------------------------------------
def range_on_learner(actor: ApiActor, ticket: Ticket, index: int, request: api.RangeRequest) -> None:
    """A learner answers what it has, and only that."""
    if request.serializable:
        range_(actor, ticket, index, request)
    else:
        refuse_on_learner(actor, ticket, index, request)


def refuse_on_learner(actor: ApiActor, ticket: Ticket, index: int, _request: api.Request) -> None:
    """Everything that a voter has to answer for."""
    actor.refuse(ticket, index, LEARNER_UNSUPPORTED)


LEARNER_OPERATIONS: dict[type, Callable[..., None]] = dict.fromkeys(OPERATIONS, refuse_on_learner) | {
    api.RangeRequest: range_on_learner,
    api.StatusRequest: maintenance.status,
    api.MetricsRequest: metrics,
    **dict.fromkeys((api.SnapshotRequest, api.SnapshotCreditRequest, api.SnapshotCancelRequest), maintenance.snapshot),
}
"""What etcd lets a learner answer (`server/etcdserver/api/v3rpc/interceptor.go`), and what the member has counted."""
