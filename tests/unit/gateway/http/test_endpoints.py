"""/health, /livez, /readyz, /version, /metrics, /debug/vars."""

import asyncio
from typing import Any

import pytest

from tests.unit.gateway.http.fakes import HEADER, Exchange, World
from zetcd.base.errors import INVALID_ARGUMENT, PERMISSION_DENIED, UNAVAILABLE
from zetcd.base.limits import HEALTH_TIMEOUT_MS
from zetcd.gateway.http.handler import handler
from zetcd.gateway.http.health import Health
from zetcd.gateway.http.metrics import exposition
from zetcd.gateway.rpc import RpcError
from zetcd.wire.replies import Header, Histogram, MetricsReply
from zetcd_pb import rpc_pb2 as pb

WELL = pb.StatusResponse(header=HEADER, leader=5)
NOSPACE = pb.StatusResponse(header=HEADER, leader=5, errors=["memberID:8 alarm:NOSPACE "])
CORRUPT = pb.StatusResponse(header=HEADER, leader=5, errors=["memberID:8 alarm:CORRUPT "])
LEADERLESS = pb.StatusResponse(header=HEADER, errors=["etcdserver: no leader"])
LEARNER = pb.StatusResponse(header=HEADER, leader=5, isLearner=True)
READ = pb.RangeResponse(header=HEADER)
CORRUPTION = "[-]data_corruption failed: alarm activated: CORRUPT\n"
FAILED = RpcError(UNAVAILABLE, "etcdserver: request timed out")


def get(target: str, status: Any, read: Any = READ, method: str = "GET", world: World | None = None) -> Exchange:
    """One request to a member that answers so."""

    async def scenario() -> Exchange:
        one = world or World()
        one.unaries.answers.update({"Status": status, "Range": read})
        return one.ask(method, target)

    return asyncio.run(scenario())


@pytest.mark.parametrize(
    ("target", "status", "read", "reason"),
    [
        ("/health", WELL, READ, ""),
        ("/health", NOSPACE, READ, "ALARM NOSPACE"),
        ("/health", CORRUPT, READ, "ALARM CORRUPT"),
        ("/health?exclude=NOSPACE", NOSPACE, READ, ""),
        ("/health?exclude=CORRUPT&exclude=NOSPACE", NOSPACE, READ, ""),
        ("/health?exclude=", NOSPACE, READ, "ALARM NOSPACE"),
        ("/health", LEADERLESS, READ, "RAFT NO LEADER"),
        ("/health?serializable=true", LEADERLESS, READ, ""),
        ("/health?serializable=false", LEADERLESS, READ, "RAFT NO LEADER"),
        ("/health", WELL, FAILED, "RANGE ERROR:etcdserver: request timed out"),
        ("/health", FAILED, READ, "etcdserver: request timed out"),
        ("/health", WELL, RpcError(INVALID_ARGUMENT, "etcdserver: user name is empty"), ""),
        ("/health", WELL, RpcError(PERMISSION_DENIED, "etcdserver: permission denied"), ""),
    ],
)
def test_health_says_what_is_wrong(target: str, status: Any, read: Any, reason: str) -> None:
    got = get(target, status, read)
    if reason:
        assert (got.status, got.body) == (503, f'{{"health":"false","reason":"{reason}"}}\n'.encode())
        assert ("X-Content-Type-Options", "nosniff") in got.headers
    else:
        assert (got.status, got.body) == (200, b'{"health":"true","reason":""}')
        assert ("Content-Type", "text/plain; charset=utf-8") in got.headers


def test_health_reads_one_key_the_way_it_is_asked() -> None:
    for target, serializable in (("/health", False), ("/health?serializable=true", True)):
        world = World()
        get(target, WELL, world=world)
        request = world.unaries.asked[1][0]
        assert isinstance(request, pb.RangeRequest)
        assert (request.limit, request.keys_only, request.serializable) == (1, True, serializable)


@pytest.mark.parametrize(
    ("target", "status", "read", "number", "body"),
    [
        ("/livez", WELL, READ, 200, "ok\n"),
        ("/livez?verbose", NOSPACE, READ, 200, "[+]serializable_read ok\nok\n"),
        ("/livez", WELL, FAILED, 503, "[-]serializable_read failed: range error: etcdserver: request timed out\n\n"),
        ("/livez/serializable_read", WELL, READ, 200, "ok\n"),
        ("/readyz", WELL, READ, 200, "ok\n"),
        ("/readyz/linearizable_read", WELL, READ, 200, "ok\n"),
        (
            "/readyz?verbose", WELL, READ, 200,
            "[+]data_corruption ok\n[+]serializable_read ok\n[+]linearizable_read ok\n[+]non_learner ok\nok\n",
        ),
        (
            "/readyz?verbose&exclude=linearizable_read&exclude=nothing", NOSPACE, READ, 200,
            "[+]data_corruption ok\n[+]serializable_read ok\n[+]non_learner ok\nok\n",
        ),
        (
            "/readyz", CORRUPT, READ, 503,
            CORRUPTION + "[+]serializable_read ok\n[+]linearizable_read ok\n[+]non_learner ok\n\n",
        ),
        ("/readyz/non_learner", LEARNER, READ, 503, "[-]non_learner failed: not supported for learner\n\n"),
        ("/readyz/nothing", WELL, READ, 404, "404 page not found\n"),
    ],
)  # fmt: skip
def test_probes_list_their_checks(target: str, status: Any, read: Any, number: int, body: str) -> None:
    got = get(target, status, read)
    assert (got.status, got.body.decode()) == (number, body)
    assert {("Content-Type", "text/plain; charset=utf-8"), ("X-Content-Type-Options", "nosniff")} <= set(got.headers)


@pytest.mark.parametrize("target", ["/health", "/livez", "/readyz", "/readyz/non_learner", "/version", "/debug/vars"])
def test_they_are_only_to_be_got(target: str) -> None:
    got = get(target, WELL, method="POST")
    assert (got.status, got.body) == (405, b"Method Not Allowed\n")
    assert ("Allow", "GET") in got.headers


def test_a_probe_that_goes_away_lets_go_of_what_it_asked() -> None:
    async def scenario() -> None:
        world = World()
        world.unaries.answers["Status"] = WELL
        for target in ("/health", "/readyz"):
            before = world.unaries.cancelled
            got = world.ask("GET", target)
            assert got.on_cancel is not None
            got.on_cancel()
            assert world.unaries.cancelled == before + 1
            world.unaries.asked[-1][1].reply(READ)
            assert not got.status

    asyncio.run(scenario())


def test_a_member_that_does_not_answer_is_not_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zetcd.gateway.http.asked.HEALTH_TIMEOUT_MS", HEALTH_TIMEOUT_MS // 7_000)

    async def scenario() -> None:
        world = World()
        got = world.ask("GET", "/health")
        await got.finished()
        assert got.json() == {"health": "false", "reason": "etcdserver: request timed out"}
        assert world.unaries.cancelled == 1

    asyncio.run(scenario())


def test_the_version_is_one_that_clients_of_etcd_take() -> None:
    got = World().ask("GET", "/version")
    assert got.json()["etcdcluster"] == "3.5.0"
    assert got.body.startswith(b'{"etcdserver":"3.5.')
    assert ("Content-Type", "application/json") in got.headers


# -- metrics -----------------------------------------------------------------------------------------------------------
HEAD = Header(cluster_id=1, member_id=2, revision=3, raft_term=4)
REPLY = MetricsReply(
    HEAD,
    {"requests": 7},
    {"etcd_server_has_leader": 1, "etcd_server_proposals_failed_total": 2, 'etcd_network_active_peers{Remote="a"}': 1},
    {"etcd_disk_wal_fsync_duration_seconds": Histogram([0.001, 0.002], [3, 0, 1], 0.5)},
)


def test_metrics_have_etcds_names_and_types() -> None:
    got = get("/metrics", WELL, world=World(metrics=REPLY))
    assert ("Content-Type", "text/plain; version=0.0.4; charset=utf-8") in got.headers
    lines = got.body.decode().splitlines()
    assert [line for line in lines if "etcd_disk" in line] == [
        "# TYPE etcd_disk_wal_fsync_duration_seconds histogram",
        'etcd_disk_wal_fsync_duration_seconds_bucket{le="0.001"} 3',
        'etcd_disk_wal_fsync_duration_seconds_bucket{le="0.002"} 3',
        'etcd_disk_wal_fsync_duration_seconds_bucket{le="+Inf"} 4',
        "etcd_disk_wal_fsync_duration_seconds_sum 0.5",
        "etcd_disk_wal_fsync_duration_seconds_count 4",
    ]
    assert {
        "# TYPE etcd_server_has_leader gauge", "etcd_server_has_leader 1",
        "# TYPE etcd_server_proposals_failed_total counter", "etcd_server_proposals_failed_total 2",
        "# TYPE etcd_network_active_peers gauge", 'etcd_network_active_peers{Remote="a"} 1',
        "zetcd_api_requests 7", 'etcd_cluster_version{cluster_version="3.5"} 1', "etcd_server_health_success 0",
    } <= set(lines)  # fmt: skip


def test_metrics_without_an_answer_are_those_of_the_gateway() -> None:
    world = World()
    get("/health", WELL, world=world)
    get("/health", NOSPACE, world=world)
    get("/readyz", CORRUPT, world=world)
    lines = get("/metrics", WELL, world=world).body.decode().splitlines()
    assert {
        "# TYPE etcd_server_health_success counter", "etcd_server_health_success 1", "etcd_server_health_failures 1",
        'etcd_server_healthchecks_total{type="readyz",name="data_corruption",status="error"} 1',
        'etcd_server_healthcheck{type="readyz",name="data_corruption"} 0',
        'etcd_server_healthcheck{type="readyz",name="non_learner"} 1',
    } <= set(lines)  # fmt: skip


def test_listeners_of_one_process_share_their_health_checks() -> None:
    one = World()
    health = Health(one.methods)
    one.handler, other = (handler(one.methods, one, health=health) for _ in range(2))
    get("/health", WELL, world=one)
    one.handler = other
    assert "etcd_server_health_success 1\n" in get("/metrics", WELL, world=one).body.decode()


def test_whole_numbers_are_written_as_such() -> None:
    text = exposition({"a": 3.0, "b": 2.0**60, "c": float("inf"), "d": 0.25}, {})
    assert [line.split()[1] for line in text.splitlines() if line[0] != "#"] == ["3", str(2**60), "inf", "0.25"]


def test_families_stand_together_and_labels_are_kept_in_histograms() -> None:
    text = exposition({'b{x="1"}': 1, "a": 0.5, 'b{x="2"}': 2e-9}, {'h{To="z"}': Histogram([1.0], [1, 1], 3.5)})
    assert text == (
        "# TYPE a gauge\na 0.5\n"
        '# TYPE b gauge\nb{x="1"} 1\nb{x="2"} 2e-09\n'
        '# TYPE h histogram\nh_bucket{To="z",le="1"} 1\nh_bucket{To="z",le="+Inf"} 2\nh_sum{To="z"} 3.5\n'
        'h_count{To="z"} 2\n'
    )


def test_debug_vars_is_json() -> None:
    assert get("/debug/vars", WELL).json() == {}
