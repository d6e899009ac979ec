"""The metrics op: every process once, one round for all who ask meanwhile, and a bound for the wait."""

import psutil
import pytest

from tests.unit.actors.front import Front
from tests.unit.actors.store import Store
from zetcd.actors.measuring import COMPACTION, MEMORY, TOGETHER, measured, of_api
from zetcd.base import limits
from zetcd.base.meter import Meter
from zetcd.host import clock
from zetcd.wire.codec import decode_frame, encode
from zetcd.wire.entry import Compact, DeleteRange, LeaseGrant, Put, Txn
from zetcd.wire.local import Frame, Measure, Measured, Subscribe, Subscribed

HISTOGRAM = ([0.001, 0.002], [1, 2, 3], 0.5)


@pytest.fixture
def front() -> Front:
    return Front()


def told(front: Front, serial: int, *roles: str) -> None:
    for role in roles:
        peer = front.raft if role == "wal" else getattr(front, role)
        front.turn(peer, Measured(serial, role, {f"of_{role}": 1.5}, {"h": HISTOGRAM} if role == "wal" else {}))


def test_every_process_is_asked_once_and_all_answers_are_put_together(front: Front) -> None:
    front.ask({"op": "metrics"})
    front.ask({"op": "metrics"}, client=b"c2")
    (serial,) = {message.serial for _, message in front.sent if isinstance(message, Measure)}
    assert len(front.take(Measure)) == 3
    told(front, serial, "raft", "apply", "lease")
    assert front.replies() == []
    told(front, serial, "wal")
    one, other = front.replies()
    assert one == other
    assert {name for name in one["series"] if name.startswith("of_")} == {"of_raft", "of_apply", "of_lease", "of_wal"}
    assert one["histograms"] == {"h": {"bounds": [0.001, 0.002], "counts": [1, 2, 3], "sum": 0.5}}
    assert one["metrics"]["requests"] == 2
    assert "missing" not in one


def test_memory_is_the_sum_of_all_processes(front: Front) -> None:
    front.ask({"op": "metrics"})
    for role, number in (("raft", 1), ("apply", 2), ("lease", 3), ("wal", 4)):
        peer = front.raft if role == "wal" else getattr(front, role)
        front.turn(peer, Measured(1, role, {MEMORY: number * 1e12}, {}))
    (reply,) = front.replies()
    assert 10e12 < reply["series"][MEMORY] < 10.1e12
    assert measured(Measure(1), "wal", {}).series[MEMORY] > 1 << 20


def test_what_processes_take_is_put_together(front: Front) -> None:
    front.ask({"op": "metrics"})
    said = {
        "process_open_fds": 1e6,
        "process_max_fds": 3.0,
        "process_start_time_seconds": 7.0,
        "process_cpu_seconds_total": 1e6,
    }
    for role in ("raft", "apply", "lease", "wal"):
        front.turn(front.raft if role == "wal" else getattr(front, role), Measured(1, role, said, {}))
    series = front.replies()[0]["series"]
    assert 4e6 < series["process_open_fds"] == series["os_fd_used"] < 4.1e6
    assert 4e6 < series["process_cpu_seconds_total"] < 4.1e6
    assert (series["process_max_fds"], series["os_fd_limit"], series["process_start_time_seconds"]) == (3, 3, 7)


def test_a_process_knows_what_it_takes() -> None:
    taken = measured(Measure(1), "wal", {}).series
    assert {name for name in TOGETHER if name not in taken} == set()
    assert abs(taken["process_start_time_seconds"] - psutil.Process().create_time()) < 2
    assert taken["process_virtual_memory_bytes"] > taken[MEMORY]
    assert taken["process_open_fds"] == psutil.Process().num_fds() - 1  # psutil counts the one that it lists them with


def test_who_does_not_answer_is_named_and_an_answer_that_comes_late_changes_nothing(front: Front) -> None:
    front.actor.on_lost(front.lease)
    front.tick()
    front.ask({"op": "metrics"})
    told(front, 1, "raft")
    for _ in range(limits.METRICS_WAIT_MS // 100):
        front.tick()
    (reply,) = front.replies()
    assert sorted(reply["missing"]) == ["apply", "lease", "wal"]
    assert "of_raft" in reply["series"]
    told(front, 1, "apply")
    front.ask({"op": "metrics"})
    told(front, 1, "apply", "wal")
    assert front.replies() == []


def test_apply_counts_what_it_executes() -> None:
    store = Store()
    store.grant()
    store.execute(Put(b"a", b"1"), Put(b"b", b"2"), DeleteRange(b"a"), Txn([], [Put(b"c", b"")], []), LeaseGrant(5, 60))
    store.turn(store.api, Measure(7))
    (answer,) = [each for _, messages in store.frames for each in messages if isinstance(each, Measured)]
    assert decode_frame(encode(Frame(1, 1, 1, [answer]))).messages == [answer]
    series = answer.series
    assert answer.serial == 7
    assert [series[f"etcd_mvcc_{name}_total"] for name in ("put", "delete", "txn")] == [2, 1, 1]
    assert series["etcd_debugging_mvcc_keys_total"] == 2
    assert series["etcd_debugging_mvcc_current_revision"] == 5
    assert series["etcd_debugging_lease_granted_total"] == 1


def test_apply_measures_how_long_compactions_take() -> None:
    store = Store()
    store.grant()
    store.execute(*(Put(b"k", b"v") for _ in range(2_500)))
    now_ms = 1_000
    for revision in (5, 2_400):
        store.execute(Compact(revision))
        while store.actor.machine.swept_revision < revision:
            store.actor.on_tick(now_ms)
            now_ms += 150
    store.turn(store.api, Measure(7))
    (answer,) = [each for _, messages in store.frames for each in messages if isinstance(each, Measured)]
    bounds, counts, total = answer.histograms[COMPACTION]
    assert bounds[:3] == [100, 200, 400]
    assert sum(counts) == 2
    assert counts[0] == 1, "one slice"
    assert total == 150 * (2_400 // limits.COMPACTION_BATCH)
    assert answer.series["etcd_debugging_mvcc_db_compaction_keys_total"] == 2_398, "all but the one that is current"
    assert answer.series["etcd_debugging_mvcc_db_compaction_last"] == pytest.approx(clock.wall_s(now_ms - 150), abs=1)


def test_events_are_counted_for_each_watcher_that_gets_them(front: Front) -> None:
    for number in range(3):
        front.ask({"op": "watch_create", "key": b"a", "watch_id": number + 1}, b"%d" % (number % 2))
    (subscribe,) = front.take(Subscribe)
    front.turn(front.apply, Subscribed(1, 0, 1, -1), Subscribed(subscribe.serial, subscribe.level, 1, -1))
    store = Store()
    store.grant()
    store.subscribe()
    store.execute(Put(b"a", b"1"), Put(b"b", b"1"), DeleteRange(b"a"))
    (feed,) = store.events()
    front.turn(front.apply, feed)
    assert of_api(front.actor)["etcd_debugging_mvcc_events_total"] == 6


def test_what_raft_says_decodes() -> None:
    """A truth value among the numbers did not, and the answer was lost."""
    answer = measured(Measure(3), "raft", {"etcd_server_has_leader": True, "etcd_server_proposals_pending": 0})
    assert decode_frame(encode(Frame(1, 1, 1, [answer]))).messages == [answer]


def test_a_meter_has_etcds_buckets() -> None:
    meter = Meter()
    for duration in (1, 1_000_000, 1_000_001, 8_192_000_000, 9_000_000_000):
        meter.observe_ns(duration)
    bounds, counts, total = meter.values
    assert (bounds[0], bounds[-1], len(bounds)) == (0.001, 8.192, 14)
    assert (counts[0], counts[1], counts[13], counts[14]) == (2, 1, 1, 1)
    assert total == pytest.approx(17.194, rel=1e-3)
