"""Unary calls and streams over the handler: bodies, statuses, errors, deadlines, clients that go or read slowly."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.unit.gateway.http.fakes import HEADER, FakeInbound, World
from zetcd.base.errors import FAILED_PRECONDITION, NOT_FOUND, OUT_OF_RANGE, UNAVAILABLE
from zetcd.base.limits import GRPC_OVERHEAD_BYTES, JSON_REQUESTS_PER_TURN, REQUEST_BYTES_DEFAULT
from zetcd.gateway.http.paths import PATHS
from zetcd.gateway.rpc import RpcError
from zetcd_pb import rpc_pb2 as pb

CORS = {
    ("Access-Control-Allow-Headers", "accept, content-type, authorization"),
    ("Access-Control-Allow-Methods", "POST, GET, OPTIONS, PUT, DELETE"),
    ("Access-Control-Allow-Origin", "*"),
}
CREATED = pb.WatchResponse(header=HEADER, created=True)
CREATED_LINE = (
    b'{"result":{"header":{"cluster_id":"14841639068965178418","member_id":"10276657743932975437","revision":"7",'
    b'"raft_term":"2"},"created":true}}\n'
)


def test_a_put_is_answered_byte_for_byte_as_etcd_does() -> None:
    world = World()
    world.unaries.answers["Put"] = pb.PutResponse(header=HEADER)
    got = world.post("/v3/kv/put", '{"key":"Zm9v","value":"YmFy"}')
    assert world.unaries.asked[0][0] == pb.PutRequest(key=b"foo", value=b"bar")
    assert got.status == 200
    assert set(got.headers) == CORS | {
        ("Content-Type", "application/json"),
        ("Grpc-Metadata-Content-Type", "application/grpc"),
    }
    assert got.body == (
        b'{"header":{"cluster_id":"14841639068965178418","member_id":"10276657743932975437","revision":"7",'
        b'"raft_term":"2"}}'
    )


def test_an_empty_body_is_an_empty_request_and_what_follows_a_request_is_nobodys() -> None:
    world = World()
    world.unaries.answers["Range"] = pb.RangeResponse()
    for body in ("", " \n", "null", "{}", "{} {bad"):
        assert world.post("/v3/kv/range", body).body == b"{}"
    assert [asked for asked, _call in world.unaries.asked] == [pb.RangeRequest()] * 5


@pytest.mark.parametrize(
    ("code", "status"), [(3, 400), (5, 404), (7, 403), (8, 429), (9, 412), (11, 400), (14, 503), (15, 500), (16, 401),
                         (2, 500), (4, 504), (12, 501), (13, 500), (1, 408), (10, 409), (6, 409)]
)  # fmt: skip
def test_errors_have_etcds_body_and_status(code: int, status: int) -> None:
    world = World()
    world.unaries.answers["Range"] = RpcError(code, 'etcdserver: "x" <y>')
    got = world.post("/v3/kv/range")
    assert got.status == status
    assert got.body == (
        b'{"error":"etcdserver: \\"x\\" \\u003cy\\u003e","message":"etcdserver: \\"x\\" \\u003cy\\u003e","code":%d}'
        % code
    )
    assert ("Content-Type", "application/json") in got.headers


def test_a_fault_in_the_text_is_an_invalid_argument() -> None:
    got = World().post("/v3/kv/range", "{bad json")
    assert got.status == 400
    assert got.json()["code"] == 3
    assert got.json()["error"] == "invalid character 'b' looking for beginning of object key string"


def test_a_message_over_the_limit_is_refused_with_grpcs_words() -> None:
    world = World()
    bound = REQUEST_BYTES_DEFAULT + GRPC_OVERHEAD_BYTES
    size = bound // 3 * 3 + 3
    got = world.post("/v3/kv/put", '{"value":"' + "AAAA" * (size // 3) + '"}')
    told = f"grpc: received message larger than max ({size + 5} vs. {bound})"
    assert (got.status, got.json()) == (429, {"error": told, "message": told, "code": 8})
    world.post("/v3/kv/put", '{"value":"AAAA"' + " " * bound + "}")
    assert world.unaries.asked[0][0] == pb.PutRequest(value=b"\0\0\0")


def test_metadata_and_tokens_come_with_the_call() -> None:
    world = World()
    world.post("/v3/kv/range", authorization="secret", grpc_metadata_hasleader="true", accept="*/*")
    call = world.unaries.asked[0][1]
    assert dict(call.metadata) == {"authorization": "secret", "token": "secret", "hasleader": "true"}
    assert call.deadline is None
    assert call.peer == "127.0.0.1:1"


def test_a_client_that_goes_away_cancels_once() -> None:
    world = World()
    got = world.post("/v3/kv/range")
    assert got.on_cancel is not None
    got.on_cancel()
    assert world.unaries.cancelled == 1
    world.unaries.asked[0][1].reply(pb.RangeResponse())
    assert not got.status


def test_a_call_is_answered_once() -> None:
    world = World()
    got = world.post("/v3/kv/range")
    call = world.unaries.asked[0][1]
    call.reply(pb.RangeResponse(count=1))
    call.reply(pb.RangeResponse(count=2))
    call.fail(RpcError(UNAVAILABLE, "late"))
    assert got.json() == {"count": "1"}
    assert got.on_cancel is None


def test_a_deadline_ends_the_call() -> None:
    async def scenario() -> None:
        world = World()
        got = world.post("/v3/kv/range", grpc_timeout="1m")
        deadline = world.unaries.asked[0][1].deadline
        assert deadline is not None
        await got.finished()
        assert (got.status, got.json()["error"], got.json()["code"]) == (504, "context deadline exceeded", 4)
        assert world.unaries.cancelled == 1
        got = world.post("/v3/kv/range", grpc_timeout="abc")
        assert (got.status, got.json()["error"]) == (400, "invalid grpc-timeout: abc")

    asyncio.run(scenario())


# -- streams -----------------------------------------------------------------------------------------------------------
def test_a_watch_gets_a_line_for_each_reply() -> None:
    world = World()
    got = world.post("/v3/watch", '{"create_request":{"key":"YQ=="}}\n{"progressRequest":{}} ')
    (inbound,) = world.streams
    assert inbound.seen == [
        pb.WatchRequest(create_request={"key": b"a"}),
        pb.WatchRequest(progress_request={}),
        "half closed",
    ]
    assert not got.status  # as etcd: no head before the first reply
    assert inbound.stream.send(CREATED)
    assert got.body == CREATED_LINE
    assert (got.status, got.streamed, got.ended) == (200, True, False)
    assert ("Grpc-Metadata-Content-Type", "application/grpc") in got.headers
    inbound.stream.finish()
    assert got.ended


def test_a_stream_of_no_requests_is_opened_and_ends_with_an_empty_body() -> None:
    world = World()
    got = world.post("/v3/watch", "")
    assert world.streams[0].seen == ["half closed"]
    world.streams[0].stream.finish()
    assert (got.status, got.streamed, got.body, got.ended) == (200, True, b"", True)


def test_a_fault_in_the_first_request_of_a_stream() -> None:
    world = World()
    for target, status, code in (("/v3/watch", 500, 2), ("/v3/maintenance/snapshot", 400, 3)):
        got = world.post(target, "{bad")
        assert (got.status, got.json()["code"]) == (status, code)
    assert not world.streams


def test_a_fault_in_a_later_request_only_ends_the_requests() -> None:
    world = World()
    world.post("/v3/watch", '{"progress_request":{}} x')
    assert world.streams[0].seen == [pb.WatchRequest(progress_request={}), "half closed"]


def test_where_only_the_server_streams_there_is_one_request() -> None:
    world = World()
    world.post("/v3/maintenance/snapshot", "")
    world.post("/v3/maintenance/snapshot", "{}{}")
    assert [inbound.seen for inbound in world.streams] == [[pb.SnapshotRequest(), "half closed"]] * 2


def test_a_stream_fails_before_and_after_its_first_reply() -> None:
    world = World()
    error = RpcError(UNAVAILABLE, "etcdserver: no leader")
    got = world.post("/v3/watch")
    world.streams[0].stream.fail(error)
    told = {"error": error.message, "message": error.message, "code": 14}
    assert (got.status, got.json(), got.streamed) == (503, told, False)
    got = world.post("/v3/watch")
    world.streams[1].stream.send(CREATED)
    world.streams[1].stream.fail(error)
    assert got.ended
    assert got.body == CREATED_LINE + (
        b'{"error":{"grpc_code":14,"http_code":503,"message":"etcdserver: no leader",'
        b'"http_status":"Service Unavailable"}}\n'
    )


def test_a_request_that_the_service_refuses_ends_the_stream() -> None:
    world = World()

    def refuse(inbound: FakeInbound) -> None:
        inbound.refuse = RpcError(NOT_FOUND, "no")

    world.prepare = refuse
    assert world.post("/v3/watch").status == 404


def test_a_client_that_reads_slowly_is_told_to_the_service() -> None:
    world = World()
    got = world.post("/v3/watch", room=2)
    stream = world.streams[0].stream
    assert stream.send(CREATED)
    assert not stream.send(CREATED)
    assert got.on_writable is not None
    got.on_writable()
    assert world.streams[0].seen[-1] == "writable"


def test_a_watcher_that_goes_away_is_cancelled_and_sends_nothing_more() -> None:
    world = World()
    got = world.post("/v3/watch")
    assert got.on_cancel is not None
    got.on_cancel()
    stream = world.streams[0].stream
    assert world.streams[0].seen[-1] == "cancelled"
    assert not stream.send(CREATED)
    stream.finish()
    stream.fail(RpcError(OUT_OF_RANGE, "x"))
    assert not got.status


def test_many_requests_are_read_in_several_turns_and_no_more_than_the_service_takes() -> None:
    async def scenario() -> None:
        world = World()

        def pause(inbound: FakeInbound) -> None:
            inbound.pause_after = 5

        world.prepare = pause
        count = 2 * JSON_REQUESTS_PER_TURN + 10
        world.post("/v3/watch", "{}" * count)
        (inbound,) = world.streams
        await asyncio.sleep(0)
        assert len(inbound.seen) == 5
        inbound.stream.resume()
        await asyncio.sleep(0)
        assert len(inbound.seen) == 5 + JSON_REQUESTS_PER_TURN
        for _ in range(3):
            await asyncio.sleep(0)
        assert inbound.seen[count:] == ["half closed"]

    asyncio.run(scenario())


def test_a_stream_that_goes_away_reads_no_further_requests() -> None:
    async def scenario() -> None:
        world = World()
        got = world.post("/v3/watch", "{}" * (2 * JSON_REQUESTS_PER_TURN))
        assert got.on_cancel is not None
        got.on_cancel()
        for _ in range(3):
            await asyncio.sleep(0)
        assert world.streams[0].seen[JSON_REQUESTS_PER_TURN:] == ["cancelled"]

    asyncio.run(scenario())


# -- paths -------------------------------------------------------------------------------------------------------------
def test_paths_and_methods_that_etcd_does_not_serve() -> None:
    world = World()
    for method in ("GET", "PUT", "DELETE", "HEAD", "PATCH"):
        got = world.ask(method, "/v3/kv/range")
        assert (got.status, got.body) == (405, b"Method Not Allowed\n")
        assert ("X-Content-Type-Options", "nosniff") in got.headers
    for path in ("/v3/kv/nope", "/v3/", "/v3/kv/range/", "/v3beta/kv/nope"):
        got = world.post(path)
        assert (got.status, got.body) == (404, b"Not Found\n")
    for path in (
        "/v3alpha/kv/range",
        "/v2/keys/x",
        "/",
        "/v3beta",
        "/V3/kv/range",
        "/config/local/log",
        "/debug/pprof/",
    ):
        got = world.post(path)
        assert (got.status, got.body) == (404, b"404 page not found\n")
        assert ("Content-Type", "text/plain; charset=utf-8") in got.headers


def test_paths_are_taken_in_every_spelling_of_etcd() -> None:
    world = World()
    world.unaries.answers["Range"] = pb.RangeResponse()
    for path in ("/v3/kv/range", "/v3beta/kv/range", "/v3/kv/%72ange", "/v3/kv/range?key=x"):
        assert world.post(path).status == 200


def test_every_path_of_the_captures_is_known() -> None:
    golden = json.loads(Path(__file__).with_name("etcd34.json").read_text())
    assert {path for path, _body, _said in golden} <= set(PATHS)


def test_options_tell_a_browser_what_it_may() -> None:
    for path in ("/v3/kv/range", "/nope", "/health"):
        got = World().ask("OPTIONS", path)
        assert (got.status, got.body, set(got.headers)) == (200, b"", CORS)


def test_only_origins_of_the_list_may_read() -> None:
    world = World(cors=["https://a.example"])
    assert ("Access-Control-Allow-Origin", "https://a.example") in world.ask(
        "GET", "/version", origin="https://a.example"
    ).headers
    for origin in ("", "https://b.example"):
        got = world.ask("GET", "/version", origin=origin)
        assert got.status == 200
        assert not [name for name, _ in got.headers if name.startswith("Access-Control")]


def test_only_hosts_of_the_whitelist_are_served_where_there_is_no_tls() -> None:
    world = World(host_whitelist=["good.example", "::1"])
    for host in ("good.example", "good.example:2379", "[::1]:2379"):
        assert world.ask("GET", "/version", host=host).status == 200
    for host in ("evil.example", "", "good.example.evil", "["):
        got = world.ask("GET", "/version", host=host)
        assert got.status == 421
        assert b"--host-whitelist" in got.body
    secure = World(host_whitelist=["good.example"], secure=True)
    assert secure.ask("GET", "/version", host="evil.example").status == 200


def test_failed_preconditions_answer_as_34_does() -> None:
    world = World()
    world.unaries.answers["Put"] = RpcError(FAILED_PRECONDITION, "etcdserver: lease already exists")
    assert world.post("/v3/kv/put").status == 412
