"""etcdserverpb.Cluster."""

from typing import Any

from google.protobuf.message import Message

from zetcd.gateway.link import READ_ALONE, Link
from zetcd.gateway.rpc import Method
from zetcd.gateway.services.calls import Shape, same, unary, without
from zetcd.wire import client as wire
from zetcd_pb import rpc_pb2 as pb

SERVICE = "/etcdserverpb.Cluster/"
SPOKEN = ("http://", "https://")
"""Client URLs at which etcd's clients are understood. They dial whatever MemberList says, so the others, of the ZeroMQ
API, are not told to them, as zetcdctl leaves these out."""


def methods(link: Link) -> dict[str, Method]:
    """By path."""
    found: dict[str, Method] = {
        SERVICE + name: unary(link, request, reply, same(request, asked), shape=_spoken(reply))
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
        shape=_spoken(without(pb.MemberListResponse, "removed")),
    )
    return found


def _spoken(reply: Shape) -> Shape:
    def shape(**fields: Any) -> Message:
        for member in (*fields.get("members", ()), *filter(None, (fields.get("member"),))):
            urls = member.get("clientURLs")
            if urls:
                member["clientURLs"] = [url for url in urls if url.startswith(SPOKEN)]
        return reply(**fields)

    return shape
