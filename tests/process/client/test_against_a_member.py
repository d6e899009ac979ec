"""Both clients against a real member: everything they offer, and everything it survives."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.process.member import Member
from zetcd.base import errors as etcd
from zetcd.client import AsyncClient, Client, Error, compare, op


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Member]:
    with Member(tmp_path_factory.mktemp("member")) as one:
        yield one


@pytest.fixture
def client(member: Member) -> Iterator[Client]:
    with Client(member.endpoint) as one:
        one.delete_prefix("")
        yield one


def test_keys_and_transactions(client: Client) -> None:
    first = client.put("a/1", "x").header.revision
    assert client.put("a/1", "y", prev_kv=True).prev_kv.value == b"x"  # type: ignore[union-attr]
    client.put("a/2", "z")
    found = client.get("a/1", revision=first)
    assert found is not None
    assert found.value == b"x"
    ordered = client.get_prefix("a/", sort_target="VALUE", sort_order="DESCEND", limit=1)
    assert ([kv.value for kv in ordered.kvs], ordered.more, ordered.count) == ([b"z"], True, 2)
    claim = client.txn(compare.version("lock", "==", 0)).then(op.put("lock", "me")).otherwise(op.get("lock"))
    assert claim.commit().succeeded
    second = claim.commit()
    assert not second.succeeded
    assert second.responses[0].response_range.kvs[0].value == b"me"  # type: ignore[union-attr]
    assert client.delete_prefix("a/", prev_kv=True).deleted == 2


def test_errors_are_etcds(client: Client) -> None:
    for call, error in (
        (lambda: client.put(""), etcd.EMPTY_KEY),
        (lambda: client.put("k", lease=987), etcd.LEASE_NOT_FOUND),
        (lambda: client.range("k", revision=1 << 40), etcd.FUTURE_REVISION),
        (lambda: client.put("k", bytes(2_000_000)), etcd.REQUEST_TOO_LARGE),
    ):
        with pytest.raises(Error) as raised:
            call()
        assert (raised.value.code, raised.value.message, raised.value.outcome_unknown) == (*error, False)


def test_leases(client: Client) -> None:
    lease = client.lease_grant(60)
    client.put("leased", lease=lease.id)
    left = client.lease_time_to_live(lease.id, keys=True)
    assert (left["grantedTTL"], left["keys"]) == (60, [b"leased"])
    assert lease.id in client.lease_leases()
    with lease:
        assert lease.keep_alive_once() == 60
    assert client.get("leased") is None
    assert lease.lost


def test_a_lease_kept_alive_outlives_its_ttl_and_then_ends_with_its_client(member: Member, client: Client) -> None:
    with Client(member.endpoint) as other:
        lease = other.lease_grant(2).keep_alive()
        other.put("leased", lease=lease.id)
        assert client.watch("leased").next_reply(timeout=4) is None
    with client.watch("leased") as gone:
        assert next(iter(gone)).type == 1, "nobody keeps it alive any more"


def test_watch(client: Client) -> None:
    with client.watch("w/", prefix=True, prev_kv=True) as watcher, client.watch("w/1", filters=["NOPUT"]) as deletes:
        client.put("w/1", "x")
        client.put("w/1", "y")
        client.put("elsewhere")
        client.delete("w/1")
        events = [event for _, event in zip(range(3), watcher, strict=False)]
        assert [event.type for event in events] == [0, 0, 1]
        assert [event.prev_kv and event.prev_kv.value for event in events] == [None, b"x", b"y"]
        assert next(iter(deletes)).kv.mod_revision == events[-1].kv.mod_revision
        watcher.request_progress()
        progress = watcher.next_reply(timeout=10)
        assert progress is not None
        assert (progress.events, progress.header.revision >= events[-1].kv.mod_revision) == ([], True)


def test_compacted_watch(client: Client) -> None:
    revisions = [client.put("k").header.revision for _ in range(5)]
    client.compact(revisions[3])
    with pytest.raises(Error) as raised:
        next(iter(client.watch("k", start_revision=revisions[0])))
    assert raised.value.compact_revision == revisions[3]


def test_lock(client: Client, member: Member) -> None:
    order: list[str] = []
    with client.lock("mutex", ttl=10) as lock:
        assert client.txn(lock.guard()).then(op.put("guarded", "yes")).commit().succeeded
        with pytest.raises(Error, match="deadline exceeded"):
            client.lock("mutex", ttl=10).acquire(timeout=0.3)

        def wait() -> None:
            with Client(member.endpoint) as other, other.lock("mutex", ttl=10):
                order.append("second")

        second = threading.Thread(target=wait)
        second.start()
        second.join(0.5)
        order.append("first")
    second.join(20)
    assert order == ["first", "second"]
    assert not client.get_prefix("mutex").kvs


def test_election(client: Client, member: Member) -> None:
    election = client.election("chair", ttl=10)
    assert election.leader() is None
    election.campaign("one")
    leaders = client.election("chair").observe()
    assert next(leaders).value == b"one"
    election.proclaim("uno")
    assert next(leaders).value == b"uno"
    with Client(member.endpoint) as other:
        rival = other.election("chair", ttl=10)
        with pytest.raises(Error, match="deadline exceeded"):
            rival.campaign("two", timeout=0.3)
        waiting = threading.Thread(target=rival.campaign, args=("two",))
        waiting.start()
        election.resign()
        waiting.join(20)
        assert next(leaders).value == b"two"
        assert rival.leader().value == b"two"  # type: ignore[union-attr]
        rival.resign()
    leaders.close()


def test_cluster_and_maintenance(client: Client, member: Member) -> None:
    assert client.status(member.endpoint)["raftTerm"] >= 1
    assert client.hash_kv()["hash"] == client.hash_kv()["hash"]
    (one,) = client.member_list()["members"]
    assert one["clientURLs"] == [member.endpoint]
    assert client.alarm().get("alarms", []) == []


def test_thousands_of_calls_at_once(member: Member) -> None:
    async def main() -> None:
        async with AsyncClient(member.endpoint) as client:
            puts = await asyncio.gather(*(client.put(f"many/{number}", str(number)) for number in range(5000)))
            assert len({reply.header.revision for reply in puts}) == 5000
            gets = await asyncio.gather(*(client.get(f"many/{number}") for number in range(5000)))
            assert [kv and kv.value for kv in gets] == [str(number).encode() for number in range(5000)]

    asyncio.run(main())


def test_watch_through_kills_of_every_process_without_loss_or_repetition(tmp_path: Path) -> None:
    """A writer that counts, a watcher that resumes; api dies alone, then all processes at once, then a clean stop."""
    acknowledged: list[int] = []
    doubtful: list[int] = []
    refused: list[int] = []
    over = threading.Event()

    def write(client: Client) -> None:
        number = 0
        while not over.is_set():
            number += 1
            try:
                client.put("counter", str(number), timeout=20)
                acknowledged.append(number)
            except Error as error:
                (doubtful if error.outcome_unknown else refused).append(number)
        client.put("counter", "end", timeout=20)

    with Member(tmp_path / "m") as member, Client(member.endpoint) as client, Client(member.endpoint) as other:
        seen: list[bytes] = []
        revisions: list[int] = []

        def take(count: int) -> None:
            for event in watcher:
                seen.append(event.kv.value)
                revisions.append(event.kv.mod_revision)
                count -= 1
                if count == 0 or event.kv.value == b"end":
                    return

        watcher = client.watch("counter")
        writer = threading.Thread(target=write, args=(other,))
        writer.start()
        take(50)
        member.kill("api-0")
        take(50)
        member.kill_all()
        member.spawn()
        take(50)
        member.stop()
        member.spawn()
        take(50)
        over.set()
        take(1 << 30)
        writer.join(30)

    assert seen[-1] == b"end"
    assert revisions == sorted(set(revisions)), "in order, none twice"
    numbers = [int(value) for value in seen[:-1]]
    assert numbers == sorted(set(numbers)), "no write was applied twice"
    assert set(acknowledged) <= set(numbers), "no acknowledged write is missing"
    assert set(numbers) <= set(acknowledged) | set(doubtful)
    assert not refused, "what is refused for sure is asked again until it is taken"
    assert len(doubtful) <= 10, "only what was in flight when something died is in doubt"


def test_a_frozen_api_process_is_left_for_its_neighbour(tmp_path: Path) -> None:
    """Two api processes share the port. One of them stops dead: connections stand, nothing answers."""
    with (
        Member(tmp_path / "m", "--api-processes", "2") as member,
        Client(member.endpoint, timeout=20, try_timeout=0.5, connect_timeout=0.5) as client,
        client.watch("k") as watcher,
    ):
        written, doubtful = set(), set()
        for frozen in ("api-0", "api-1"):
            process = member.processes()[frozen]
            process.suspend()
            for number in range(20):
                try:
                    client.put("k", f"{frozen} {number}")
                    written.add(f"{frozen} {number}")
                except Error as error:
                    doubtful.add((f"{frozen} {number}", error.outcome_unknown))
            with contextlib.suppress(psutil.NoSuchProcess):  # its watchdog may have been faster
                process.resume()
        assert all(unknown for _, unknown in doubtful)
        assert len(doubtful) <= 2, "one write was with the frozen process"
        client.put("k", "end")
        seen = []
        for event in watcher:
            if event.kv.value == b"end":
                break
            seen.append(event.kv.value.decode())
        assert written <= set(seen)
        assert len(seen) == len(set(seen))
