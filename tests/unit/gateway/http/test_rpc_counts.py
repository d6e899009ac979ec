"""Calls, messages and codes are counted by method, however a call ends."""

import asyncio
from collections.abc import Mapping

from tests.unit.gateway.http.fakes import World
from zetcd.base import limits
from zetcd.base.errors import NOT_FOUND, UNAVAILABLE
from zetcd.gateway.http.handler import handler
from zetcd.gateway.http.rpc_counts import counted
from zetcd.gateway.rpc import RpcError
from zetcd_pb import rpc_pb2 as pb


def counts(series: Mapping[str, float], method: str) -> dict[str, float]:
    """What was counted of one method, without what is 0: short names."""
    return {
        name.partition("{")[0].removeprefix("grpc_server_") + (name.split('"')[1] if "grpc_code" in name else ""): count
        for name, count in series.items()
        if count and f'grpc_method="{method}"' in name
    }


class Counting(World):
    """A world whose methods are counted."""

    def __init__(self) -> None:
        super().__init__()
        wrapped, self.series = counted(self.methods)
        self.handler = handler(wrapped, self, counters=[self.series])


def test_unary_calls_are_counted_by_their_code() -> None:
    world = Counting()
    world.unaries.answers["Range"] = pb.RangeResponse()
    world.post("/v3/kv/range")
    world.unaries.answers["Range"] = RpcError(NOT_FOUND, "x")
    world.post("/v3/kv/range")
    del world.unaries.answers["Range"]
    world.post("/v3/kv/range")
    world.unaries.asked[-1][1].fail(RpcError(UNAVAILABLE, "x"))
    assert counts(world.series(), "Range") == {
        "started_total": 3, "msg_received_total": 3, "msg_sent_total": 1,
        "handled_totalOK": 1, "handled_totalNotFound": 1, "handled_totalUnavailable": 1,
    }  # fmt: skip


def test_calls_are_counted_by_what_clients_call_their_version() -> None:
    world = Counting()
    world.unaries.answers["Range"] = pb.RangeResponse()
    for version in ("3.5", "3.5", "", 'x"} 1', "3.5" * 20):
        world.post("/v3/kv/range", grpc_metadata_client_api_version=version)
    world.post("/v3/kv/range")
    for number in range(limits.CLIENT_VERSIONS_COUNTED_MAX):
        world.post("/v3/kv/range", grpc_metadata_client_api_version=f"v{number}")
    found = {name: count for name, count in world.series().items() if name.startswith("etcd_server_client_requests")}
    assert len(found) == limits.CLIENT_VERSIONS_COUNTED_MAX
    assert found['etcd_server_client_requests_total{client_api_version="3.5",type="unary"}'] == 2
    assert found['etcd_server_client_requests_total{client_api_version="unknown",type="unary"}'] == 4 + 2


def test_calls_that_nobody_waits_for_are_counted_and_cancelled() -> None:
    async def scenario() -> None:
        world = Counting()
        got = world.post("/v3/kv/range")
        assert got.on_cancel is not None
        got.on_cancel()
        await world.post("/v3/kv/range", grpc_timeout="1m").finished()
        assert world.unaries.cancelled == 2
        assert counts(world.series(), "Range") == {
            "started_total": 2, "msg_received_total": 2, "handled_totalCanceled": 1,
            "handled_totalDeadlineExceeded": 1,
        }  # fmt: skip

    asyncio.run(scenario())


def test_streams_are_counted_once_and_all_their_messages() -> None:
    world = Counting()
    world.post("/v3/watch", "{}{}")
    stream = world.streams[0].stream
    stream.send(pb.WatchResponse())
    stream.pause()
    stream.finish()
    stream.fail(RpcError(UNAVAILABLE, "x"))
    gone = world.post("/v3/watch", "{}")
    assert gone.on_cancel is not None
    gone.on_cancel()
    assert world.streams[1].seen[-1] == "cancelled"
    assert counts(world.series(), "Watch") == {
        "started_total": 2, "msg_received_total": 3, "msg_sent_total": 1, "handled_totalOK": 1,
        "handled_totalCanceled": 1,
    }  # fmt: skip


def test_metadata_and_slow_readers_come_through() -> None:
    world = Counting()
    got = world.post("/v3/watch", "{}", grpc_metadata_hasleader="true", room=1)
    (inbound,) = world.streams
    assert inbound.stream.metadata["hasleader"] == "true"
    assert inbound.stream.deadline is None
    assert not inbound.stream.send(pb.WatchResponse())
    assert got.on_writable is not None
    got.on_writable()
    assert inbound.seen[-1] == "writable"


def test_they_stand_in_metrics() -> None:
    text = Counting().ask("GET", "/metrics").body.decode()
    assert "# TYPE grpc_server_started_total counter\n" in text
    watch = 'grpc_method="Watch",grpc_service="etcdserverpb.Watch",grpc_type="bidi_stream"'
    range_ = 'grpc_method="Range",grpc_service="etcdserverpb.KV",grpc_type="unary"'
    assert f"grpc_server_started_total{{{watch}}} 0\n" in text
    assert f'grpc_server_handled_total{{grpc_code="OK",{range_}}} 0\n' in text
