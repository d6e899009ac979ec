"""etcdserverpb.Maintenance."""

from typing import Any

from zetcd.gateway.http.version import ETCD_VERSION
from zetcd.gateway.link import READ_ALONE, Link
from zetcd.gateway.rpc import Method, Streaming
from zetcd.gateway.services.calls import same, unary, without
from zetcd.gateway.services.snapshot import Snapshot
from zetcd.wire import client as wire
from zetcd_pb import rpc_pb2 as pb

SERVICE = "/etcdserverpb.Maintenance/"


def methods(link: Link) -> dict[str, Method]:
    """By path."""
    return {
        SERVICE + "Alarm": unary(link, pb.AlarmRequest, pb.AlarmResponse, same(pb.AlarmRequest, wire.AlarmRequest)),
        SERVICE + "Status": unary(
            link, pb.StatusRequest, pb.StatusResponse, same(pb.StatusRequest, wire.StatusRequest), READ_ALONE,
            shape=_status,
        ),
        SERVICE + "Defragment": unary(
            link, pb.DefragmentRequest, pb.DefragmentResponse, same(pb.DefragmentRequest, wire.DefragmentRequest),
            READ_ALONE, shape=without(pb.DefragmentResponse, "header"), forever=True,
        ),
        SERVICE + "Hash": unary(
            link, pb.HashRequest, pb.HashResponse, same(pb.HashRequest, wire.HashRequest), READ_ALONE, forever=True
        ),
        SERVICE + "HashKV": unary(
            link, pb.HashKVRequest, pb.HashKVResponse, same(pb.HashKVRequest, wire.HashKvRequest), READ_ALONE,
            forever=True,
        ),
        SERVICE + "Snapshot": Streaming(
            pb.SnapshotRequest, pb.SnapshotResponse, False, True, lambda stream: Snapshot(link, stream)
        ),
        SERVICE + "MoveLeader": unary(
            link, pb.MoveLeaderRequest, pb.MoveLeaderResponse, same(pb.MoveLeaderRequest, wire.MoveLeaderRequest),
            shape=without(pb.MoveLeaderResponse, "header"),
        ),
        SERVICE + "Downgrade": unary(
            link, pb.DowngradeRequest, pb.DowngradeResponse, same(pb.DowngradeRequest, wire.DowngradeRequest)
        ),
    }  # fmt: skip


def _status(**fields: Any) -> pb.StatusResponse:
    # Clients take the version for etcd's, and refuse a member that seems older than what they need.
    fields["version"] = ETCD_VERSION
    return pb.StatusResponse(**fields)
