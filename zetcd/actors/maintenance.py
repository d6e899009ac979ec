"""The ops of etcd's Maintenance and Cluster services: status, hashes, alarms, members, leadership.

Shaped like those of `operations`: ``op(actor, ticket, index, request)``. A membership change is proposed alone; raft's
leader checks whether the cluster can bear it (`zetcd.cluster.reconfigure`), apply decides (rule 14).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import zetcd
from zetcd.actors.calls import Call, header_only_done
from zetcd.base import errors
from zetcd.base.errors import Error
from zetcd.cluster.membership import ChangeKind
from zetcd.service import commands, replies
from zetcd.wire import client as api
from zetcd.wire.entry import Alarm, MemberChange
from zetcd.wire.queries import Defragment, Hash, HashKv, StoreStatus
from zetcd.wire.results import Alarmed, Failed, Hashed, MembersAre, Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from zetcd.actors.api_actor import ApiActor
    from zetcd.actors.clients import Ticket

ALARMS = {1: "NOSPACE", 2: "CORRUPT"}
SALT_MAX = 2**63


# -- Maintenance ---------------------------------------------------------------------------------------------------
def status(actor: ApiActor, ticket: Ticket, index: int, _request: api.StatusRequest) -> None:
    """Maintenance.Status: local, works without a leader."""
    query = StoreStatus()
    actor.read(Call(ticket, index, status_done, query), query)


def status_done(actor: ApiActor, call: Call, result: Status) -> None:
    """StatusResponse."""
    standing = actor.standing
    complaints = [] if standing.leader else [errors.NO_LEADER.message]
    complaints += [f"memberID:{member} alarm:{ALARMS.get(kind, kind)} " for member, kind in result.alarms]
    reply = {
        "header": actor.header(result.revision),
        "version": zetcd.__version__,
        "dbSize": result.db_bytes,
        "leader": standing.leader,
        "raftIndex": max(standing.commit, result.applied),
        "raftTerm": standing.term,
        "raftAppliedIndex": result.applied,
        "dbSizeInUse": result.db_bytes_in_use,
        "isLearner": standing.is_learner,
        "dbSizeQuota": max(0, actor.settings.quota_backend_bytes),
        "errors": complaints,
    }
    actor.answer(call.ticket, call.index, reply)


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


def hash_(actor: ApiActor, ticket: Ticket, index: int, _request: api.HashRequest) -> None:
    """Maintenance.Hash."""
    query = Hash()
    actor.calls.ask(Call(ticket, index, hash_done, query), query)


def hash_done(actor: ApiActor, call: Call, result: Hashed) -> None:
    """HashResponse."""
    actor.answer(call.ticket, call.index, {"header": actor.header(result.revision), "hash": result.hash})


def defragment(actor: ApiActor, ticket: Ticket, index: int, _request: api.DefragmentRequest) -> None:
    """Maintenance.Defragment."""
    query = Defragment()
    actor.calls.ask(Call(ticket, index, header_only_done, query), query)


def snapshot(actor: ApiActor, ticket: Ticket, index: int, request: api.Request) -> None:
    """Maintenance.Snapshot, and what its client says on the stream."""
    actor.exporting.on_request(ticket, index, request)


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


def downgrade(actor: ApiActor, ticket: Ticket, index: int, request: api.DowngradeRequest) -> None:
    """Maintenance.Downgrade: never possible."""
    actor.refuse(ticket, index, commands.downgrade(request))


def move_leader(actor: ApiActor, ticket: Ticket, index: int, request: api.MoveLeaderRequest) -> None:
    """Maintenance.MoveLeader: asked of the leader, answered when the target leads."""
    standing = actor.standing
    if not standing.is_leader:
        actor.refuse(ticket, index, errors.NOT_LEADER if standing.leader else errors.NO_LEADER)
    elif request.targetID == actor.member:
        actor.answer(ticket, index, {"header": actor.header(0)})
    else:
        call = Call(ticket, index, moved, request.targetID, on_failed=partial(not_moved, actor))
        actor.moving[actor.calls.move_leader(call, request.targetID)] = request.targetID


def moved(actor: ApiActor, call: Call, _result: object) -> None:
    """MoveLeaderResponse."""
    actor.answer(call.ticket, call.index, {"header": actor.header(0)})


def not_moved(actor: ApiActor, call: Call, failed: Failed) -> None:
    """Refused by raft, or the target did not win in time."""
    late = failed.message in (errors.TIMEOUT.message, errors.TIMEOUT_LEADER_FAIL.message)
    error = errors.LEADER_TRANSFER_TIMEOUT if late else Error(failed.code, failed.message)
    actor.refuse(call.ticket, call.index, error)


def on_standing(actor: ApiActor) -> None:
    """Somebody waits for another leader: perhaps it is there."""
    leader, writes = actor.standing.leader, actor.calls.writes
    for sequence, target in list(actor.moving.items()):
        if sequence not in writes:
            del actor.moving[sequence]  # refused, or overdue
        elif leader == target:
            del actor.moving[sequence]
            call = writes.pop(sequence)
            call.done(actor, call, None)


# -- Cluster -------------------------------------------------------------------------------------------------------
def member_list(actor: ApiActor, ticket: Ticket, index: int, request: api.MemberListRequest) -> None:
    """Cluster.MemberList, linearizable unless asked otherwise."""
    query = StoreStatus()
    actor.read(Call(ticket, index, member_list_done, query, request.linearizable), query)


def member_list_done(actor: ApiActor, call: Call, result: Status) -> None:
    """MemberListResponse, by id; its header, as all of this service, carries no revision (etcd's way)."""
    reply: dict[str, object] = {"header": actor.header(0), "members": replies.members(result.members)}
    if result.removed:
        reply["removed"] = result.removed
    actor.answer(call.ticket, call.index, reply)


def member_add(actor: ApiActor, ticket: Ticket, index: int, request: api.MemberAddRequest) -> None:
    """Cluster.MemberAdd, a voter or a learner."""
    change = commands.member_add(request, actor.rng.randrange(SALT_MAX), actor.settings.max_learners)
    _propose(actor, ticket, index, change)


def member_update(actor: ApiActor, ticket: Ticket, index: int, request: api.MemberUpdateRequest) -> None:
    """Cluster.MemberUpdate. Of a member that is none, etcd complains before it looks at URLs."""
    change = commands.member_update(request)
    if isinstance(change, Error):
        query, complaint = StoreStatus(), change

        def done(actor: ApiActor, call: Call, result: Status) -> None:
            known = any(row[0] == request.ID for row in result.members)
            actor.refuse(call.ticket, call.index, complaint if known else errors.MEMBER_NOT_FOUND)

        actor.read(Call(ticket, index, done, query, linearizable=True), query)
    else:
        _propose(actor, ticket, index, change)


def member_remove(actor: ApiActor, ticket: Ticket, index: int, request: api.MemberRemoveRequest) -> None:
    """Cluster.MemberRemove."""
    _propose(actor, ticket, index, MemberChange(ChangeKind.REMOVE, request.ID))


def member_promote(actor: ApiActor, ticket: Ticket, index: int, request: api.MemberPromoteRequest) -> None:
    """Cluster.MemberPromote."""
    _propose(actor, ticket, index, MemberChange(ChangeKind.PROMOTE, request.ID))


def _propose(actor: ApiActor, ticket: Ticket, index: int, change: MemberChange | Error) -> None:
    if isinstance(change, Error):
        actor.refuse(ticket, index, change)
    else:
        actor.calls.change_members(Call(ticket, index, member_change_done, change), change)


def member_change_done(actor: ApiActor, call: Call, result: MembersAre) -> None:
    """The replies of all four: the members there are now, and after an addition the new one."""
    change: MemberChange = call.subject
    members = replies.members(result.members)
    reply: dict[str, object] = {"header": actor.header(0), "members": members}
    if change.kind in (ChangeKind.ADD, ChangeKind.ADD_LEARNER):
        reply["member"] = next(member for member in members if member["ID"] == change.member)
    actor.answer(call.ticket, call.index, reply)


OPERATIONS: dict[type, Callable[..., None]] = {
    api.StatusRequest: status,
    api.HashKvRequest: hash_kv,
    api.HashRequest: hash_,
    api.DefragmentRequest: defragment,
    **dict.fromkeys((api.SnapshotRequest, api.SnapshotCreditRequest, api.SnapshotCancelRequest), snapshot),
    api.AlarmRequest: alarm,
    api.DowngradeRequest: downgrade,
    api.MoveLeaderRequest: move_leader,
    api.MemberListRequest: member_list,
    api.MemberAddRequest: member_add,
    api.MemberUpdateRequest: member_update,
    api.MemberRemoveRequest: member_remove,
    api.MemberPromoteRequest: member_promote,
}
