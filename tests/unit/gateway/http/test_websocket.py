"""Calls over websockets: messages for lines, streams in both directions, tokens of browsers, who may open one."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

import pytest
from websockets.protocol import Protocol, Side

from tests.unit.gateway.http.fakes import HEADER, FakeInbound, World
from tests.unit.gateway.http1.site import get
from tests.unit.gateway.http1.test_websocket import ASK, KEY
from zetcd.base.errors import NOT_FOUND, UNAVAILABLE
from zetcd.base.limits import GRPC_OVERHEAD_BYTES, JSON_REQUESTS_PER_TURN, REQUEST_BYTES_DEFAULT
from zetcd.gateway.held import Held
from zetcd.gateway.http1.connection import Connection
from zetcd.gateway.rpc import RpcError
from zetcd_pb import rpc_pb2 as pb

CREATE = '{"create_request":{"key":"Zm9v"}}'
CREATED = pb.WatchResponse(header=HEADER, created=True)


def in_a_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Streams ask the loop to call them again."""

    @wraps(test)
    def run(**values: Any) -> None:
        async def scenario() -> None:
            await test(**values)

        asyncio.run(scenario())

    return run


def creates(inbound: FakeInbound) -> list[bytes | str]:
    return [one if isinstance(one, str) else one.create_request.key for one in inbound.seen]


@in_a_loop
async def test_a_stream_takes_requests_as_they_come() -> None:
    world = World()
    got, socket = world.websocket("/v3/watch")
    assert got.status == 101
    assert not world.streams, "a stream begins with its first request"
    socket.say(CREATE)
    (inbound,) = world.streams
    assert creates(inbound) == [b"foo"]
    assert inbound.stream.send(CREATED)
    socket.say(CREATE + CREATE, CREATE)
    assert creates(inbound) == [b"foo"] * 4
    inbound.stream.send(CREATED)
    assert socket.json() == [{"result": {"header": {k: str(v) for k, v in HEADER.items()}, "created": True}}] * 2
    assert b"\n" not in b"".join(socket.sent)
    inbound.stream.finish()
    assert socket.ended


@in_a_loop
async def test_requests_may_come_with_the_handshake_and_through_v3beta() -> None:
    world = World()
    _, socket = world.websocket("/v3beta/watch", CREATE, CREATE)
    assert creates(world.streams[0]) == [b"foo"] * 2
    assert not socket.ended


@in_a_loop
async def test_many_requests_are_read_some_in_each_turn() -> None:
    world = World()
    _, socket = world.websocket("/v3/watch")
    socket.say(*[CREATE] * (JSON_REQUESTS_PER_TURN + 10))
    (inbound,) = world.streams
    assert len(inbound.seen) == JSON_REQUESTS_PER_TURN
    socket.say(CREATE)
    await asyncio.sleep(0)
    assert creates(inbound) == [b"foo"] * (JSON_REQUESTS_PER_TURN + 11)


@in_a_loop
async def test_a_paused_stream_takes_nothing() -> None:
    world = World()

    def prepare(inbound: FakeInbound) -> None:
        inbound.pause_after = 2

    world.prepare = prepare
    _, socket = world.websocket("/v3/watch", *[CREATE] * 5)
    (inbound,) = world.streams
    socket.say(CREATE)
    await asyncio.sleep(0)
    assert len(inbound.seen) == 2
    assert len(socket.waiting) == 4
    inbound.stream.resume()
    await asyncio.sleep(0)
    assert len(inbound.seen) == 6
    socket.say(CREATE)
    assert len(inbound.seen) == 7


@in_a_loop
async def test_a_request_too_large_ends_a_stream_that_had_been_paused() -> None:
    """It raised in a callback of the loop, and the client heard nothing."""
    world = World()

    def prepare(inbound: FakeInbound) -> None:
        inbound.pause_after = 1

    world.prepare = prepare
    large = '{"create_request":{"key":"' + "AAAA" * ((REQUEST_BYTES_DEFAULT + GRPC_OVERHEAD_BYTES) // 3 + 1) + '"}}'
    _, socket = world.websocket("/v3/watch", CREATE, large)
    world.streams[0].stream.resume()
    await asyncio.sleep(0)
    assert socket.json()[0]["code"] == 8
    assert socket.ended


@in_a_loop
async def test_a_fault_in_the_first_request_is_told_in_a_later_one_it_is_the_last() -> None:
    world = World()
    _, socket = world.websocket("/v3/watch", "{bad")
    text = "invalid character 'b' looking for beginning of object key string"
    assert socket.json() == [{"error": text, "message": text, "code": 2}]
    assert socket.ended
    _, socket = world.websocket("/v3/watch", CREATE, "{bad", CREATE)
    assert creates(world.streams[0]) == [b"foo", "half closed"]
    assert socket.ignored
    assert not socket.ended


@in_a_loop
async def test_errors_of_the_service() -> None:
    world = World()
    _, socket = world.websocket("/v3/watch", CREATE)
    world.streams[0].stream.fail(RpcError(UNAVAILABLE, "x"))
    assert socket.json() == [{"error": "x", "message": "x", "code": 14}]
    _, socket = world.websocket("/v3/watch", CREATE)
    world.streams[1].stream.send(CREATED)
    world.streams[1].stream.fail(RpcError(UNAVAILABLE, "x"))
    told = {"grpc_code": 14, "http_code": 503, "message": "x", "http_status": "Service Unavailable"}
    assert socket.json()[1] == {"error": told}
    assert socket.ended


@in_a_loop
async def test_a_unary_call_takes_the_first_message_and_ends() -> None:
    world = World()
    _, socket = world.websocket("/v3/kv/put")
    socket.say('{"key":"Zm9v"}', '{"key":"YmFy"}')
    assert [asked for asked, _call in world.unaries.asked] == [pb.PutRequest(key=b"foo")]
    assert socket.ignored
    world.unaries.asked[0][1].reply(pb.PutResponse())
    assert socket.sent == [b"{}"]
    assert socket.ended
    world.unaries.answers["Put"] = RpcError(NOT_FOUND, "x")
    _, socket = world.websocket("/v3/kv/put", "{}")
    assert socket.json() == [{"error": "x", "message": "x", "code": 5}]
    assert socket.ended


@in_a_loop
async def test_where_only_the_server_streams_one_request_is_taken() -> None:
    world = World()
    _, socket = world.websocket("/v3/maintenance/snapshot", "{}", "{bad")
    assert world.streams[0].seen == [pb.SnapshotRequest(), "half closed"]
    assert socket.ignored


@in_a_loop
async def test_a_client_that_goes_cancels() -> None:
    world = World()
    _, socket = world.websocket("/v3/watch", CREATE)
    _, other = world.websocket("/v3/kv/put", "{}")
    for one in (socket, other):
        assert one.on_cancel is not None
        one.on_cancel()
    assert world.streams[0].seen[-1] == "cancelled"
    assert world.unaries.cancelled == 1
    _, early = world.websocket("/v3/watch")
    assert early.on_cancel is not None
    early.on_cancel()


@in_a_loop
async def test_a_client_that_reads_slowly_stops_the_service() -> None:
    world = World()
    _, socket = world.websocket("/v3/watch", CREATE, room=2)
    stream = world.streams[0].stream
    assert stream.send(CREATED)
    assert not stream.send(CREATED)
    assert socket.on_writable is not None
    socket.on_writable()
    assert world.streams[0].seen[-1] == "writable"


@pytest.mark.parametrize("path", ["/v3/kv/put", "/v3/maintenance/snapshot", "/v3/watch"])
@in_a_loop
async def test_who_says_goodbye_behind_the_first_request_leaves_no_call(path: str) -> None:
    """A lock that was asked for so waited for ever, and was then held for nobody."""
    world = World()
    wire = Connection(world.handler, lambda: None, 0.0, "p", date=lambda: "", held=Held(1 << 20))
    wire.receive(get(path.encode(), ASK + KEY), 0.0)
    assert wire.take().startswith(b"HTTP/1.1 101 ")
    client = Protocol(Side.CLIENT)
    client.send_text(b"{}")
    client.send_close(1000)
    wire.receive(b"".join(client.data_to_send()), 0.0)
    await asyncio.sleep(0)
    assert wire.closing
    assert world.unaries.cancelled == len(world.unaries.asked)
    assert all(inbound.seen[-1:] == ["cancelled"] for inbound in world.streams)


@in_a_loop
async def test_a_path_that_is_nobodys_is_told_so_at_once() -> None:
    _, socket = World().websocket("/v3/nope")
    assert socket.sent == [b"Not Found"]
    assert socket.ended


def test_outside_the_gateway_the_wish_is_not_heard() -> None:
    got, _ = World().websocket("/version")
    assert got.status == 200


@pytest.mark.parametrize(
    "bad", [{"sec_websocket_version": "12"}, {"sec_websocket_version": ""}, {"sec_websocket_key": ""}]
)
def test_a_bad_handshake_is_answered_as_etcd_does(bad: dict[str, Any]) -> None:
    got, _ = World().websocket("/v3/watch", **bad)
    assert (got.status, got.body) == (400, b"Bad Request\n")
    assert ("Sec-Websocket-Version", "13") in got.headers


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ({"sec_websocket_protocol": "Bearer, abc.9"}, "abc.9"),
        ({"sec_websocket_protocol": "Bearer,abc.9"}, "abc.9"),
        ({"cookie": "a=b; token=abc.9"}, "abc.9"),
        ({"cookie": "token=x", "sec_websocket_protocol": "Bearer, y"}, "x"),
        ({"sec_websocket_protocol": "chat"}, None),
        ({"sec_websocket_protocol": "Bearer"}, None),
        ({"authorization": "abc.9", "grpc_metadata_token": "abc.9", "cookie": "\x00;=,"}, None),
    ],
)
@in_a_loop
async def test_a_token_comes_as_a_browser_can_send_it(headers: dict[str, Any], token: str | None) -> None:
    world = World()
    got, _ = world.websocket("/v3/kv/put", "{}", **headers)
    asks_bearer = headers.get("sec_websocket_protocol", "").startswith("Bearer")
    assert got.headers == ([("Sec-WebSocket-Protocol", "Bearer")] if asks_bearer else [])
    metadata = world.unaries.asked[0][1].metadata
    assert (metadata.get("token"), metadata.get("authorization")) == (token, token)


def test_pages_of_other_origins_are_refused_where_cors_is_set() -> None:
    world = World(cors=["http://good"])
    assert world.websocket("/v3/watch", origin="http://evil")[0].status == 403
    assert world.websocket("/v3/watch", origin="http://good")[0].status == 101
    assert world.websocket("/v3/watch")[0].status == 101
    assert World().websocket("/v3/watch", origin="http://evil")[0].status == 101
    assert World(host_whitelist=["a"]).websocket("/v3/watch", host="evil")[0].status == 421
