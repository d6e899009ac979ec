"""The synchronous client against a small server that misbehaves."""

import threading
from collections.abc import Callable, Iterator

import pytest

from tests.unit.client.stub import Stub
from zetcd.base import errors as etcd
from zetcd.client import Client, Error, compare, op
from zetcd.wire import client as wire
from zetcd.wire.replies import KeyValue, TxnReply, WatchReply


@pytest.fixture
def stub() -> Iterator[Stub]:
    with Stub() as server:
        yield server


@pytest.fixture
def client(stub: Stub) -> Iterator[Client]:
    with Client(stub.endpoint) as one:
        yield one


def refuse(error: etcd.Error) -> dict[str, object]:
    return {"code": error.code, "status": error.status, "message": error.message}


def test_keys(client: Client) -> None:
    assert client.put("a", "1").header.revision == 2
    client.put(b"b", b"2")
    assert client.put("a", "3", prev_kv=True).prev_kv == KeyValue(b"a", 2, 2, 1, b"1")
    assert client.get("a") == KeyValue(b"a", 2, 4, 2, b"3")
    assert client.get("none") is None
    assert [kv.key for kv in client.range("a", "c", limit=1).kvs] == [b"a"]
    assert client.get_prefix("").count == 2
    assert client.delete("a").deleted == 1
    assert client.delete_prefix("b").deleted == 1
    assert client.call(wire.RangeRequest(b"a", b"\0"))["count"] == 0


def test_options_reach_the_server_by_name_and_number(client: Client, stub: Stub) -> None:
    client.range("a", sort_order="DESCEND", sort_target=3, serializable=True, keys_only=True)
    assert stub.requests[-1] == {
        "op": "range", "key": b"a", "sort_order": 2, "sort_target": 3, "serializable": True, "keys_only": True,
    }  # fmt: skip


def test_changes_of_the_cluster_reach_the_server(client: Client, stub: Stub) -> None:
    kinds = ("member_", "move_")
    stub.refuse = lambda request: refuse(etcd.UNHEALTHY) if request["op"].startswith(kinds) else None
    asks: tuple[Callable[[], object], ...] = (
        lambda: client.member_add(("tcp://a:1",), learner=True),
        lambda: client.member_update(7, ["tcp://b:1"]),
        lambda: client.member_promote(7),
        lambda: client.member_remove(2**64 - 1),
        lambda: client.move_leader(7, endpoint=stub.endpoint),
    )
    for ask in asks:
        with pytest.raises(Error, match="unhealthy cluster") as raised:
            ask()
        assert not raised.value.outcome_unknown, "the leader never proposed it"
    assert [request for request in stub.requests if request["op"].startswith(kinds)] == [
        {"op": "member_add", "peerURLs": ["tcp://a:1"], "isLearner": True},
        {"op": "member_update", "ID": 7, "peerURLs": ["tcp://b:1"]},
        {"op": "member_promote", "ID": 7},
        {"op": "member_remove", "ID": 2**64 - 1},
        {"op": "move_leader", "targetID": 7},
    ]


def test_what_a_learner_refuses_another_member_answers(stub: Stub) -> None:
    with Stub() as learner:
        learner.refuse = lambda _: refuse(etcd.LEARNER_UNSUPPORTED)
        with Client([learner.endpoint, stub.endpoint], timeout=10) as client:
            client.put("a", "1")
            assert client.get("a") is not None
        assert b"a" in stub.keys


def test_a_learner_alone_is_not_asked_again_and_again() -> None:
    """It used to be, until the deadline."""
    with Stub() as learner:
        learner.refuse = lambda _: refuse(etcd.LEARNER_UNSUPPORTED)
        with Client([learner.endpoint], timeout=10) as client:
            for ask in (lambda: client.put("a", "1"), lambda: client.get("a"), client.member_list):
                with pytest.raises(Error, match="rpc not supported for learner") as raised:
                    ask()
                assert not raised.value.outcome_unknown
        assert [request["op"] for request in learner.requests if request["op"] != "watch_progress"] == [
            "put", "range", "member_list",
        ]  # fmt: skip


def test_transactions(client: Client) -> None:
    def claim() -> TxnReply:
        absent = compare.version("lock", "==", 0)
        return client.txn(absent).then(op.put("lock", "me")).otherwise(op.get("lock")).commit()

    assert claim().succeeded
    second = claim()
    assert not second.succeeded
    found = second.responses[0].response_range
    assert found is not None
    assert found.kvs[0].value == b"me"
    guards = [
        compare.value("lock", "=", "me"),
        compare.lease("lock", "=", 0),
        compare.create_revision("lock", ">", 0),
        compare.mod_revision("lock", "<", 100),
    ]
    assert client.txn().when(*guards).then(op.delete("lock")).commit().succeeded


def test_errors_carry_code_status_and_message(client: Client) -> None:
    with pytest.raises(Error, match="requested lease not found") as raised:
        client.lease_revoke(17)
    assert (raised.value.code, raised.value.status, raised.value.outcome_unknown) == (5, "NOT_FOUND", False)
    with pytest.raises(Error, match="unknown op"):
        client.call(wire.MemberListRequest())


def test_leases(client: Client) -> None:
    lease = client.lease_grant(30)
    client.put("k", "v", lease=lease.id)
    assert client.lease_keep_alive_once(lease.id) == 30
    assert client.lease_leases() == [lease.id]
    with lease:
        assert lease.keep_alive_once() == 30
        assert not lease.lost
    assert lease.lost
    assert client.get("k") is None
    assert client.lease_keep_alive_once(lease.id) == 0


def test_a_lease_is_kept_alive_in_the_background_until_it_is_gone(client: Client, stub: Stub) -> None:
    lease = client.lease_grant(1).keep_alive()
    seen = len(stub.requests)
    threading.Event().wait(1.5)
    assert not lease.lost
    assert len([1 for request in stub.requests[seen:] if request["op"] == "lease_keep_alive"]) >= 3
    stub.leases.clear()
    lease.wait_lost()
    assert lease.lost


def test_watch(client: Client) -> None:
    client.put("a/1", "before")
    with client.watch("a/", prefix=True) as watcher:
        client.put("a/1", "x")
        client.put("b", "elsewhere")
        client.delete("a/1")
        events = iter(watcher)
        assert [(next(events).kv.mod_revision, next(events).type)] == [(3, 1)]
        assert watcher.next_reply(timeout=0.05) is None
        assert watcher.next_revision == 6
    assert list(events) == []


def test_a_loop_that_breaks_off_leaves_the_rest_for_the_next(client: Client) -> None:
    for _ in range(6):
        client.put("k")
    with client.watch("k", start_revision=2) as watcher:  # six events in one reply
        first = []
        for event in watcher:
            first.append(event.kv.mod_revision)
            if len(first) == 2:
                break
        assert next(watcher).kv.mod_revision == 4
        rest = watcher.next_reply(timeout=5)
        assert rest is not None
        assert first + [event.kv.mod_revision for event in rest.events] == [2, 3, 5, 6, 7]
        assert watcher.next_reply(timeout=0.05) is None
        client.put("k")
        assert next(watcher).kv.mod_revision == 8


def test_watch_with_a_callback(client: Client) -> None:
    seen: list[int] = []
    enough = threading.Event()

    def on_reply(reply: WatchReply) -> None:
        seen.extend(event.kv.mod_revision for event in reply.events)
        if len(seen) == 5:
            enough.set()

    client.watch("k", callback=on_reply)
    for _ in range(5):
        client.put("k")
    assert enough.wait(5)
    assert seen == [2, 3, 4, 5, 6]


def test_a_compacted_watch_says_from_where_one_can_go_on(client: Client) -> None:
    for _ in range(9):
        client.put("k")
    client.compact(8)
    watcher = client.watch("k", start_revision=3)
    with pytest.raises(Error, match="compacted") as raised:
        next(iter(watcher))
    assert raised.value.compact_revision == 8


def test_many_threads_share_frames(client: Client, stub: Stub) -> None:
    stub.delay = lambda request: 0.02 if request["op"] in {"put", "batch"} else 0.0
    barrier = threading.Barrier(40)
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            barrier.wait(10)
            for turn in range(5):
                client.put(f"{number}", f"{turn}")
        except BaseException as error:  # noqa: BLE001  (reported below)
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not failures
    assert len([1 for request in stub.requests if request["op"] == "put"]) == 200
    assert len([1 for frame in stub.frames if frame["op"] in {"put", "batch"}]) < 150


def test_a_thread_that_waits_long_holds_up_nobody(stub: Stub) -> None:
    stub.delay = lambda request: 3600.0 if request["op"] == "range" else 0.0
    got: list[object] = []
    with Client(stub.endpoint, timeout=60, try_timeout=60) as client:
        slow = threading.Thread(target=lambda: got.append(client.get("k")))
        slow.start()
        stub.await_frame("range")
        for _ in range(20):
            client.put("k", "v")
        assert not got
        stub.release.set()
        slow.join(60)
    assert got


# -- misbehaviour ------------------------------------------------------------------------------------------------------
def test_nobody_there(stub: Stub) -> None:
    stub.stop()
    with Client(stub.endpoint, timeout=0.3) as client, pytest.raises(Error, match="deadline exceeded") as raised:
        client.put("a")
    assert not raised.value.outcome_unknown
    assert "refused" in raised.value.detail


def test_an_address_that_cannot_be() -> None:
    with Client("tcp://no.such.host.invalid:1", timeout=0.3) as client, pytest.raises(Error, match="deadline exceeded"):
        client.get("a")


def test_failover_to_a_living_endpoint(stub: Stub) -> None:
    dead = Stub()
    dead.stop()
    with Client([dead.endpoint, stub.endpoint]) as client:
        assert client.put("a").header.revision == 2
        assert client.endpoints == [dead.endpoint, stub.endpoint]


def test_a_server_that_dies_between_calls(stub: Stub) -> None:
    with Client(stub.endpoint) as client:
        client.put("a", "1")
        again = stub.restart()
        try:
            # A read is asked again where the end of the connection was not known yet; a write would be in doubt.
            client.get("b")
            assert client.put("a", "2").header.revision == 3
            found = client.get("a")
            assert found is not None
            assert found.value == b"2"
            assert len([1 for request in again.requests if request["op"] == "put"]) == 1
        finally:
            again.stop()


def test_a_write_in_flight_when_the_server_dies_is_never_repeated(stub: Stub) -> None:
    stub.swallow = lambda request: request["op"] == "put"
    outcome: list[Error] = []

    def write(client: Client) -> None:
        with pytest.raises(Error) as raised:
            client.put("a", "1")
        outcome.append(raised.value)

    with Client(stub.endpoint) as client:
        client.get("warm")
        writer = threading.Thread(target=write, args=(client,))
        writer.start()
        stub.await_frame("put")
        again = stub.restart()
        try:
            writer.join(10)
            assert outcome[0].outcome_unknown
            assert outcome[0].code == etcd.UNAVAILABLE
            assert client.get("a") is None
            assert not [request for request in again.requests if request["op"] == "put"]
        finally:
            again.stop()


def test_a_read_in_flight_when_the_server_dies_is_asked_again(stub: Stub) -> None:
    stub.swallow = lambda request: request["op"] == "range"
    got: list[object] = []
    with Client(stub.endpoint) as client:
        client.put("a", "1")
        reader = threading.Thread(target=lambda: got.append(client.get("a")))
        reader.start()
        stub.await_frame("range")
        again = stub.restart()
        try:
            reader.join(10)
            assert got
        finally:
            again.stop()


def test_a_hung_endpoint_is_left(stub: Stub) -> None:
    with Stub() as other, Client([stub.endpoint, other.endpoint], try_timeout=0.3) as client:
        client.put("a", "on the first")
        stub.hung.set()
        assert client.get("a") is None, "answered by the other"
        client.put("b", "on the second")
        assert b"b" in other.keys
        stub.hung.clear()


def test_doubled_and_broken_answers(stub: Stub) -> None:
    with Client(stub.endpoint, timeout=1) as client:
        stub.mangle = lambda frames: [frames, frames]
        for number in range(20):
            assert client.put("a").header.revision == number + 2
        stub.mangle = lambda frames: [[*frames[:-1], b"\xc1"]]
        with pytest.raises(Error, match="does not decode") as raised:
            client.put("a")
        assert raised.value.outcome_unknown
        stub.mangle = lambda frames: [[frames[0], b""], [frames[0], b"x", b"y", b"z"]]
        with pytest.raises(Error, match="deadline exceeded"):
            client.get("a")


def test_refusals_are_waited_out(stub: Stub) -> None:
    tries: list[int] = []

    def refusing(request: dict[str, object]) -> dict[str, object] | None:
        if request["op"] == "put" and len(tries) < 3:
            tries.append(1)
            return refuse(etcd.TOO_MANY_REQUESTS)
        return None

    stub.refuse = refusing
    with Client(stub.endpoint) as client:
        assert client.put("a").header.revision == 2
    assert len(tries) == 3


def test_watch_resumes_through_restarts_without_loss_or_repetition(stub: Stub) -> None:
    server = stub
    with Client(stub.endpoint) as client, client.watch("k", start_revision=2) as watcher:
        events = iter(watcher)
        seen = []
        for turn in range(4):
            for number in range(10):
                client.put("k", f"{turn}.{number}")
            seen += [next(events).kv.value.decode() for _ in range(15 if turn % 2 else 5)]
            server = server.restart()
        assert seen == [f"{turn}.{number}" for turn in range(4) for number in range(10)]
    server.stop()


def test_asking_one_member(stub: Stub) -> None:
    with Stub() as other, Client([stub.endpoint, other.endpoint]) as client:
        assert client.status(other.endpoint)["endpoint"] == other.endpoint
        assert client.status(stub.endpoint)["endpoint"] == stub.endpoint


def test_a_closed_client_refuses(stub: Stub) -> None:
    client = Client(stub.endpoint)
    client.put("a")
    client.watch("a")
    client.close()
    client.close()
    with pytest.raises(Error, match="closed"):
        client.put("a")
    with pytest.raises(Error, match="closed"):
        client.watch("a")
