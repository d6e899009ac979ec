"""A server through gRPC, by a client that is not ours (grpcio): maps with etcd's field names in, such maps out."""

import contextlib
import queue
from collections.abc import Iterator
from typing import Any

from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from tests.compat.differential.streams import history
from tests.compat.gateway_grpc.stub import METHODS, Failed, Stub

ANSWER_S = 15.0
PATHS = {
    "range": "/etcdserverpb.KV/Range",
    "put": "/etcdserverpb.KV/Put",
    "delete_range": "/etcdserverpb.KV/DeleteRange",
    "txn": "/etcdserverpb.KV/Txn",
    "compact": "/etcdserverpb.KV/Compact",
    "lease_grant": "/etcdserverpb.Lease/LeaseGrant",
    "lease_revoke": "/etcdserverpb.Lease/LeaseRevoke",
    "lease_time_to_live": "/etcdserverpb.Lease/LeaseTimeToLive",
    "lease_leases": "/etcdserverpb.Lease/LeaseLeases",
    "hash_kv": "/etcdserverpb.Maintenance/HashKV",
    "alarm": "/etcdserverpb.Maintenance/Alarm",
    "member_list": "/etcdserverpb.Cluster/MemberList",
    "member_promote": "/etcdserverpb.Cluster/MemberPromote",
    "member_remove": "/etcdserverpb.Cluster/MemberRemove",
    "move_leader": "/etcdserverpb.Maintenance/MoveLeader",
    "auth_enable": "/etcdserverpb.Auth/AuthEnable",
    "auth_status": "/etcdserverpb.Auth/AuthStatus",
    "authenticate": "/etcdserverpb.Auth/Authenticate",
    "user_get": "/etcdserverpb.Auth/UserGet",
    "user_list": "/etcdserverpb.Auth/UserList",
    "role_get": "/etcdserverpb.Auth/RoleGet",
    "role_list": "/etcdserverpb.Auth/RoleList",
    "user_add": "/etcdserverpb.Auth/UserAdd",
    "user_delete": "/etcdserverpb.Auth/UserDelete",
    "user_change_password": "/etcdserverpb.Auth/UserChangePassword",
    "user_grant_role": "/etcdserverpb.Auth/UserGrantRole",
    "user_revoke_role": "/etcdserverpb.Auth/UserRevokeRole",
    "role_add": "/etcdserverpb.Auth/RoleAdd",
    "role_delete": "/etcdserverpb.Auth/RoleDelete",
    "role_grant_permission": "/etcdserverpb.Auth/RoleGrantPermission",
    "role_revoke_permission": "/etcdserverpb.Auth/RoleRevokePermission",
    "lock": "/v3lockpb.Lock/Lock",
    "unlock": "/v3lockpb.Lock/Unlock",
    "campaign": "/v3electionpb.Election/Campaign",
    "proclaim": "/v3electionpb.Election/Proclaim",
    "leader": "/v3electionpb.Election/Leader",
    "resign": "/v3electionpb.Election/Resign",
}
WATCH = "/etcdserverpb.Watch/Watch"
KEEP_ALIVE = "/etcdserverpb.Lease/LeaseKeepAlive"


class GrpcSide:
    """One server, one channel."""

    def __init__(self, port: int) -> None:
        self._stub = Stub(f"127.0.0.1:{port}")

    def close(self) -> None:
        """Close the channel."""
        self._stub.__exit__(None, None, None)

    def call(self, op: str, request: dict[str, Any]) -> dict[str, Any]:
        """One request; the answer, or ``{"error": {"code": n, "message": text}}``."""
        if op == "lease_keep_alive":
            return self.keep_alives([request["ID"]])[0]
        path = PATHS[op]
        return plain(self._stub.call(path, _message(path, request), timeout=ANSWER_S))

    def keep_alives(self, ids: list[int]) -> list[dict[str, Any]]:
        """Renewals of one stream, up to the first that fails; the stream's end is not among the answers."""
        talk = self._stub.stream(KEEP_ALIVE)
        try:
            answers: list[dict[str, Any]] = []
            for identity in ids:
                talk.say(_message(KEEP_ALIVE, {"ID": identity}))
                answers.append(plain(talk.hear(ANSWER_S)))
                if "error" in answers[-1]:
                    return answers
            talk.no_more()
            assert talk.hear(ANSWER_S) is None
            return answers
        finally:
            talk.cancel()

    @contextlib.contextmanager
    def watch(self, requests: list[dict[str, Any]]) -> Iterator[Iterator[dict[str, Any]]]:
        """The answers of one stream, as they come."""
        talk = self._stub.stream(WATCH)
        talk.say(*(_message(WATCH, request) for request in requests))

        def answers() -> Iterator[dict[str, Any]]:
            try:
                while (answer := talk.hear(ANSWER_S)) is not None:
                    yield plain(answer)
            except queue.Empty:
                yield {"error": {"code": -1, "message": f"silence for {ANSWER_S} s"}}

        try:
            yield answers()
        finally:
            talk.cancel()

    def history(self, watch: dict[str, Any], last: int) -> dict[str, Any]:
        """Events of a watch stream."""
        return history(self, watch, last)


def _message(path: str, request: dict[str, Any]) -> Message:
    return GetMessageClass(METHODS[path].input_type)(**request)


def plain(answer: Message | Failed | None) -> dict[str, Any]:
    """A message as a map of the fields that are set."""
    assert answer is not None, "the stream ended"
    if isinstance(answer, Failed):
        return {"error": {"code": answer.code, "message": answer.message}}
    found: dict[str, Any] = {}
    for field, value in answer.ListFields():
        if field.is_repeated:
            found[field.name] = [plain(item) if field.message_type else item for item in value]
        else:
            found[field.name] = plain(value) if field.message_type else value
    return found
