"""etcdserverpb.KV."""

from typing import Any

from google.protobuf.message import Message

from zetcd.gateway.link import OF_RANGES, READ_ALONE, READS, WRITE_ALONE, WRITES, Link
from zetcd.gateway.rpc import Call, Method, Streaming, Unary
from zetcd.gateway.services.calls import Answer, meant, same, unary
from zetcd.gateway.services.operations import compare, operation
from zetcd.gateway.services.range_stream import RangeStream
from zetcd.wire import client as wire
from zetcd_pb import rpc_pb2 as pb

SERVICE = "/etcdserverpb.KV/"


def methods(link: Link) -> dict[str, Method]:
    """By path."""
    return {
        SERVICE + "Range": Unary(pb.RangeRequest, pb.RangeResponse, _range(link)),
        SERVICE + "RangeStream": Streaming(
            pb.RangeRequest, pb.RangeStreamResponse, False, True, lambda stream: RangeStream(link, stream)
        ),
        SERVICE + "Put": Unary(pb.PutRequest, pb.PutResponse, _put(link)),
        SERVICE + "DeleteRange": unary(
            link, pb.DeleteRangeRequest, pb.DeleteRangeResponse, same(pb.DeleteRangeRequest, wire.DeleteRangeRequest),
            WRITES,
        ),
        SERVICE + "Txn": Unary(pb.TxnRequest, pb.TxnResponse, _txn(link)),
        SERVICE + "Compact": unary(
            link, pb.CompactionRequest, pb.CompactionResponse, same(pb.CompactionRequest, wire.CompactRequest),
            forever=True,  # a physical one waits until the rows are gone
        ),
    }  # fmt: skip


def range_request(message: Any, token: str, leader: bool) -> wire.RangeRequest:
    """Written out, since a call in two is one of these."""
    return wire.RangeRequest(
        key=message.key,
        range_end=message.range_end,
        limit=message.limit,
        revision=message.revision,
        sort_order=message.sort_order,
        sort_target=message.sort_target,
        serializable=message.serializable,
        keys_only=message.keys_only,
        count_only=message.count_only,
        min_mod_revision=message.min_mod_revision,
        max_mod_revision=message.max_mod_revision,
        min_create_revision=message.min_create_revision,
        max_create_revision=message.max_create_revision,
        token=token,
        require_leader=leader,
    )


def _range(link: Link) -> Any:
    ask, shape = link.call, pb.RangeResponse

    def start(message: Message, call: Call) -> None:
        token, leader = meant(call.metadata)
        request = range_request(message, token, leader)
        # A frame is answered when its slowest request is: a long range, one that waits for a leader, one that does not.
        alone = request.serializable or leader
        policy = OF_RANGES if request.range_end else READ_ALONE if alone else READS
        ask(request, policy, Answer(call, shape))

    return start


def _put(link: Link) -> Any:
    ask, shape = link.call, pb.PutResponse

    def start(message: Any, call: Call) -> None:
        token, leader = meant(call.metadata)
        request = wire.PutRequest(
            key=message.key,
            value=message.value,
            lease=message.lease,
            prev_kv=message.prev_kv,
            ignore_value=message.ignore_value,
            ignore_lease=message.ignore_lease,
            token=token,
            require_leader=leader,
        )
        ask(request, WRITE_ALONE if leader else WRITES, Answer(call, shape))

    return start


def _txn(link: Link) -> Any:
    ask, shape = link.call, pb.TxnResponse

    def start(message: Any, call: Call) -> None:
        token, leader = meant(call.metadata)
        request = wire.TxnRequest(
            compare=list(map(compare, message.compare)),
            success=list(map(operation, message.success)),
            failure=list(map(operation, message.failure)),
            token=token,
            require_leader=leader,
        )
        reads = all(one.request_range is not None for one in (*request.success, *request.failure))
        ask(request, READ_ALONE if reads else WRITE_ALONE if leader else WRITES, Answer(call, shape))

    return start
