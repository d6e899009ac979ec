"""Queues, batches, windows, endpoints, deadlines and repetition, without sockets or clocks."""

from tests.unit.session.wires import HEADER, Waiter, Wire, World, refusal
from zetcd.base import errors as etcd
from zetcd.session import options as bounds
from zetcd.session.call import ALONE, LOCK, PUT, Call, Policy
from zetcd.wire import client as wire
from zetcd.wire.replies import Header, PutReply


def ops(world_wire: Wire) -> list[str]:
    return [request["op"] for _, request in world_wire.sent]


def test_a_call_goes_out_and_comes_back_typed() -> None:
    world = World()
    waiter = world.put()
    world.flush()
    assert world.newest.probes == 1
    assert not world.newest.sent, "nothing is sent before the peer has shown that it answers"
    world.connect()
    assert world.serve(world.newest) == {"op": "put", "key": b"k", "value": b"v"}
    assert waiter.result == PutReply(Header(revision=7))
    assert not world.session.tick(world.now)


def test_calls_of_one_turn_share_a_frame_and_kinds_do_not_mix() -> None:
    world = World()
    world.up()
    puts, gets = [world.put() for _ in range(3)], [world.get() for _ in range(2)]
    world.flush()
    assert ops(world.newest) == ["batch", "batch"]
    assert {request["op"] for request in world.serve(world.newest)["requests"]} == {"put"}
    assert {request["op"] for request in world.serve(world.newest)["requests"]} == {"range"}
    assert all(waiter.result is not None for waiter in puts + gets)


def test_each_item_of_a_batch_succeeds_or_fails_on_its_own() -> None:
    world = World()
    world.up()
    waiters = [world.put(), world.put(), world.put()]
    world.flush()
    frame_id, _ = world.newest.take()
    bad = refusal(etcd.NOT_FOUND, "etcdserver: requested lease not found")
    world.answer(
        world.newest, frame_id, {"responses": [{"header": HEADER}, bad, {"header": HEADER, "prev_kv": {"key": b"k"}}]}
    )
    assert waiters[0].result == PutReply(Header(revision=7))
    assert (waiters[1].error.code, waiters[1].error.status, waiters[1].error.outcome_unknown) == (5, "NOT_FOUND", False)
    assert waiters[2].result.prev_kv.key == b"k"


def test_mixed_writes_share_a_frame_too() -> None:
    world = World()
    world.up()
    put, delete = world.put(), world.call(wire.DeleteRangeRequest(b"k"))
    world.flush()
    frame_id, _ = world.newest.take()
    world.answer(world.newest, frame_id, {"responses": [{"header": HEADER}, {"header": HEADER, "deleted": 1}]})
    assert put.result.header.revision == 7
    assert delete.result == {"header": HEADER, "deleted": 1}


def test_a_batch_refused_as_a_whole_fails_or_repeats_every_call() -> None:
    world = World()
    world.up()
    waiters = [world.put(), world.put()]
    world.flush()
    frame_id, _ = world.newest.take()
    world.answer(world.newest, frame_id, refusal(*etcd.TOO_MANY_REQUESTS))
    assert not any(waiter.done() for waiter in waiters)
    world.pass_time(0.1)
    assert len(world.serve(world.newest)["requests"]) == 2
    assert all(waiter.result is not None for waiter in waiters)


def test_answers_that_do_not_fit_fail_the_calls() -> None:
    for reply in ({"responses": [{"header": HEADER}]}, {"responses": 3}, "what", {"header": HEADER}):
        world = World()
        world.up()
        waiters = [world.put(), world.put()]
        world.flush()
        frame_id, _ = world.newest.take()
        world.answer(world.newest, frame_id, reply)
        assert all(waiter.error.code == etcd.INTERNAL and waiter.error.outcome_unknown for waiter in waiters)


def test_windows_hold_back_what_then_travels_together() -> None:
    world = World()
    world.up()
    for _ in range(bounds.FRAMES_INFLIGHT_MAX + 5):
        world.put()
        world.flush()
    assert len(world.newest.sent) == bounds.FRAMES_INFLIGHT_MAX
    world.serve(world.newest)
    world.flush()
    assert len(world.newest.sent[-1][1]["requests"]) == 5


def test_batches_are_bounded_in_number_and_bytes() -> None:
    world = World()
    world.up()
    for _ in range(bounds.BATCH_REQUESTS_MAX + 10):
        world.put()
    world.flush()
    assert [len(request["requests"]) for _, request in world.newest.sent] == [bounds.BATCH_REQUESTS_MAX, 10]
    world.newest.sent.clear()
    large = [world.call(wire.PutRequest(b"k", bytes(300_000)), PUT) for _ in range(8)]
    world.flush()
    sizes = [len(request.get("requests", [0])) for _, request in world.newest.sent]
    assert sum(sizes) == 8
    assert max(sizes) <= 3
    while world.newest.sent:
        world.serve(world.newest)
    assert all(waiter.result for waiter in large)


def test_the_queue_is_bounded_and_says_so() -> None:
    world = World()
    waiters = [world.put() for _ in range(bounds.QUEUE_REQUESTS_MAX + 1)]
    assert waiters[-1].error.message == "etcdserver: too many requests"
    assert not waiters[-2].done()


def test_what_may_take_long_never_shares_a_frame() -> None:
    world = World()
    world.up()
    lock = world.call(wire.LockRequest(b"n", 5), LOCK, timeout=1e9)
    puts = [world.put(), world.put()]
    world.flush()
    assert sorted(ops(world.newest)) == ["batch", "lock"]
    world.serve(world.newest)
    assert all(waiter.done() for waiter in puts)
    assert not lock.done()


def test_a_cancelled_call_is_not_sent() -> None:
    world = World()
    world.up()
    first, second = world.put(b"a"), world.put(b"b")
    first.cancelled = True
    world.flush()
    assert world.serve(world.newest)["key"] == b"b"
    assert second.result


def test_a_lock_that_is_given_up_is_cancelled_where_it_waits() -> None:
    world = World()
    world.up()
    waiters = [Waiter() for _ in range(2)]
    calls = [Call(wire.LockRequest(b"n"), LOCK, waiter, 1e9, Policy(ALONE, repeatable=False)) for waiter in waiters]
    world.session.submit(calls[0])
    world.flush()
    world.session.submit(calls[1])
    ((frame_id, lock),) = world.newest.sent
    assert lock["op"] == "lock"
    for waiter, call in zip(waiters, calls, strict=True):
        waiter.cancelled = True
        world.session.give_up(call)
    world.flush()
    assert world.newest.sent[1:] == [(frame_id, {"op": "cancel"})], "what was not sent is not sent any more"
    assert world.session.outstanding == 0
    world.session.give_up(calls[0])
    assert len(world.newest.sent) == 2


def test_several_sockets_and_the_least_busy_one() -> None:
    world = World(sockets=2)
    world.up()
    for _ in range(bounds.LANE_BUSY_REQUESTS):
        world.put()
    world.flush()
    assert len(world.wires) == 1
    world.put()
    world.flush()
    assert len(world.wires) == 2, "the first is busy"
    world.connect()
    world.put()
    world.flush()
    assert ops(world.wires[1]) == ["put"]


# -- writes are not repeated -------------------------------------------------------------------------------------------
def test_a_write_that_was_sent_is_not_sent_again_when_the_connection_breaks() -> None:
    world = World()
    first = world.up()
    put, get = world.put(), world.get()
    world.flush()
    world.session.on_lost(first.lane, world.now, "disconnected")
    assert put.error.outcome_unknown
    assert put.error.code == etcd.UNAVAILABLE
    assert not get.done()
    world.pass_time(0.1)
    second = world.connect()
    assert second is not first
    assert ops(second) == ["range"], "reads are repeated, the write is not"
    world.serve(second)
    assert get.result


def test_a_write_that_never_left_goes_out_on_the_next_connection() -> None:
    world = World("one:1", "two:2")
    first = world.up()
    first.up = False
    put = world.put()
    world.flush()
    world.session.on_lost(first.lane, world.now, "disconnected")
    second = world.connect()
    assert world.serve(second)["op"] == "put"
    assert put.result


def test_definite_refusals_of_writes_are_repeated_until_the_deadline_and_then_told() -> None:
    world = World()
    world.up()
    put = world.put(timeout=1)
    world.flush()
    tries = 0
    for _ in range(40):
        while world.newest.sent:
            world.answer(world.newest, world.newest.take()[0], refusal(*etcd.NO_LEADER))
            tries += 1
        world.pass_time(0.05)
    assert 3 <= tries <= 10, "backing off"
    assert put.error.message == "etcdserver: no leader"
    assert not put.error.outcome_unknown
    assert put.error.detail == f"after {tries} attempts"


def test_timeouts_of_writes_are_told_at_once_and_as_unknown() -> None:
    for error in (etcd.TIMEOUT, etcd.TIMEOUT_LEADER_FAIL, etcd.LEADER_CHANGED):
        world = World()
        world.up()
        put, get = world.put(), world.get()
        world.flush()
        for _ in range(2):
            world.answer(world.newest, world.newest.take()[0], refusal(*error))
        assert put.error.outcome_unknown
        assert put.error.message == error.message
        assert not get.done(), "a read asks again"
        world.pass_time(0.1)
        assert world.serve(world.newest)["op"] == "range"
        assert get.result


def test_definite_errors_are_not_repeated() -> None:
    world = World()
    world.up()
    put, get = world.put(), world.get()
    world.flush()
    for error in (etcd.LEASE_NOT_FOUND, etcd.COMPACTED):
        world.answer(world.newest, world.newest.take()[0], refusal(*error))
    assert (put.error.message, put.error.outcome_unknown) == (etcd.LEASE_NOT_FOUND.message, False)
    assert get.error.code == etcd.OUT_OF_RANGE


def test_a_transaction_of_reads_is_a_read() -> None:
    world = World()
    first = world.up()
    read = world.call(wire.TxnRequest([], [wire.RequestOp(request_range=wire.RangeOp(b"k"))], []))
    write = world.call(wire.TxnRequest([], [wire.RequestOp(request_put=wire.PutOp(b"k"))], []))
    world.flush()
    world.session.on_lost(first.lane, world.now, "disconnected")
    assert write.error.outcome_unknown
    assert not read.done()


def test_doubled_and_late_answers_are_ignored() -> None:
    world = World()
    world.up()
    put = world.put()
    world.flush()
    frame_id, _ = world.newest.take()
    world.answer(world.newest, frame_id, {"header": HEADER})
    world.answer(world.newest, frame_id, refusal(*etcd.TIMEOUT))
    assert put.result
    assert world.session.late_frames == 1


# -- endpoints ---------------------------------------------------------------------------------------------------------
def test_refused_connections_go_round_the_endpoints_with_back_off() -> None:
    world = World("one:1", "two:2")
    put = world.put(timeout=3)
    world.flush()
    dials = []
    for _ in range(100):
        for dialled in world.wires:
            if not dialled.closed:
                dials.append((world.now, dialled.lane.endpoint))
                world.session.on_lost(dialled.lane, world.now, "connection refused")
        world.pass_time(0.05)
    assert [endpoint for _, endpoint in dials[:3]] == ["tcp://one:1", "tcp://two:2", "tcp://one:1"]
    assert dials[0][0] == dials[1][0], "another endpoint is tried at once"
    assert 6 <= len(dials) <= 40, "then they are left in peace"
    assert put.error.code == etcd.DEADLINE_EXCEEDED
    assert not put.error.outcome_unknown
    assert "connection refused" in put.error.detail


def test_a_peer_that_accepts_and_says_nothing_is_left_before_anything_is_sent() -> None:
    world = World("one:1", "two:2")
    put = world.put()
    world.flush()
    silent = world.newest
    world.pass_time(1.1)
    assert silent.closed
    assert silent.sent == []
    assert world.serve(world.connect())["op"] == "put"
    assert put.result


def test_a_hung_endpoint_is_left_after_the_try_timeout() -> None:
    world = World("one:1", "two:2", timeout=10)
    first = world.up()
    put, get = world.put(timeout=10), world.get(timeout=10)
    world.flush()
    world.pass_time(2.2)
    assert world.newest is not first
    assert world.newest.lane.endpoint == "tcp://two:2"
    second = world.connect()
    assert ops(second) == ["range"]
    world.serve(second)
    assert get.result
    assert not put.done(), "its answer may still come"
    world.serve(first)
    assert put.result
    world.pass_time(0.1)
    assert first.closed


def test_one_endpoint_that_is_slow_but_alive_is_kept() -> None:
    world = World(timeout=10)
    first = world.up()
    put = world.put(timeout=10)
    world.flush()
    for _ in range(60):
        world.pass_time(0.1)
        if first.lane.probe_at:
            world.answer(first, b"?", refusal(*etcd.NO_WATCH_STREAM))
    assert first.probes > 2
    assert len(world.wires) == 1
    world.serve(first)
    assert put.result


def test_one_endpoint_whose_process_hangs_gets_another_connection() -> None:
    """Several api processes may share the port: the next connection meets another one."""
    world = World(timeout=10)
    first = world.up()
    get = world.get(timeout=10)
    world.flush()
    world.pass_time(2.3)
    assert len(world.wires) == 2
    world.serve(world.connect())
    assert get.result
    assert first.lane.state >= 2


def test_an_endpoint_without_a_leader_is_left_for_another() -> None:
    world = World("one:1", "two:2")
    first = world.up()
    put = world.put()
    world.flush()
    world.answer(first, first.take()[0], refusal(*etcd.NO_LEADER))
    world.pass_time(0.1)
    second = world.connect()
    assert second.lane.endpoint == "tcp://two:2"
    world.serve(second)
    assert put.result


def test_require_leader_fails_at_once_where_there_is_no_other_endpoint() -> None:
    for endpoints, failed in ((("one:1",), True), (("one:1", "two:2"), False)):
        world = World(*endpoints)
        first = world.up()
        get = world.call(wire.RangeRequest(b"k", require_leader=True))
        world.flush()
        world.answer(first, first.take()[0], refusal(*etcd.NO_LEADER))
        assert get.done() is failed


# -- deadlines ---------------------------------------------------------------------------------------------------------
def test_deadlines_end_calls_wherever_they_are() -> None:
    world = World()
    queued = world.put(timeout=0.5)
    world.flush()
    world.pass_time(0.6)
    assert (queued.error.message, queued.error.outcome_unknown) == ("context deadline exceeded", False)
    world.connect()
    put, get = world.put(timeout=0.5), world.get(timeout=0.5)
    world.flush()
    world.pass_time(0.6)
    assert (put.error.message, put.error.outcome_unknown) == ("context deadline exceeded", True)
    assert (get.error.message, get.error.outcome_unknown) == ("context deadline exceeded", False)
    assert world.session.outstanding == 0, "slots of given-up frames are free again"
    assert not world.session.tick(world.now)


def test_a_late_answer_within_the_deadline_still_counts_in_a_batch() -> None:
    world = World()
    world.up()
    short, long = world.put(timeout=0.2), world.put(timeout=5)
    world.flush()
    world.pass_time(0.5)
    assert short.error
    world.serve(world.newest)
    assert long.result


def test_closing_fails_everything_and_tells_what_is_unknown() -> None:
    world = World()
    world.up()
    sent = world.put()
    world.flush()
    queued = world.put()
    world.session.close()
    assert sent.error.outcome_unknown
    assert not queued.error.outcome_unknown
    assert world.newest.closed
