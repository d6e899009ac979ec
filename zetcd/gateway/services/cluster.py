"""etcdserverpb.Cluster."""

from zetcd.gateway.link import READ_ALONE, Link
from zetcd.gateway.rpc import Method
from zetcd.gateway.services.calls import same, unary, without
from zetcd.wire import client as wire
from zetcd_pb import rpc_pb2 as pb

SERVICE = "/etcdserverpb.Cluster/"


def methods(link: Link) -> dict[str, Method]:
    """By path."""
    found: dict[str, Method] = {
        SERVICE + name: unary(link, request, reply, same(request, asked))
        for name, request, reply, asked in (
            ("MemberAdd", pb.MemberAddRequest, pb.MemberAddResponse, wire.MemberAddRequest),
            ("MemberRemove", pb.MemberRemoveRequest, pb.MemberRemoveResponse, wire.MemberRemoveRequest),
            ("MemberUpdate", pb.MemberUpdateRequest, pb.MemberUpdateResponse, wire.MemberUpdateRequest),
            ("MemberPromote", pb.MemberPromoteRequest, pb.MemberPromoteResponse, wire.MemberPromoteRequest),
        )
    }
    found[SERVICE + "MemberList"] = unary(
        link,
        pb.MemberListRequest,
        pb.MemberListResponse,
        same(pb.MemberListRequest, wire.MemberListRequest),
        READ_ALONE,
        shape=without(pb.MemberListResponse, "removed"),
    )
    return found
