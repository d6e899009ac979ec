"""The asyncio client against a small server that misbehaves."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.unit.client.stub import Stub
from zetcd.client import AsyncClient, Error, compare, op
from zetcd.session import options
from zetcd.wire.replies import PutReply, TxnReply, WatchReply


@pytest.fixture
def stub() -> Iterator[Stub]:
    with Stub() as server:
        yield server


def test_calls_of_one_turn_share_a_frame(stub: Stub) -> None:
    async def main() -> None:
        async with AsyncClient(stub.endpoint) as client:
            replies = await asyncio.gather(*(client.put(f"k{number}", "v") for number in range(100)))
            assert [reply.header.revision for reply in replies] == list(range(2, 102))
            found = await asyncio.gather(*(client.get(f"k{number}") for number in range(100)))
            assert all(kv is not None and kv.value == b"v" for kv in found)

    asyncio.run(main())
    assert len([1 for frame in stub.frames if frame["op"] == "batch"]) <= 4


def test_one_failure_in_a_gathering_is_its_own(stub: Stub) -> None:
    async def main() -> None:
        async with AsyncClient(stub.endpoint) as client:
            results = await asyncio.gather(
                client.put("a"),
                client.lease_revoke(9),
                client.txn(compare.version("a", "=", 1)).then(op.get("a")).commit(),
                return_exceptions=True,
            )
            assert isinstance(results[0], PutReply)
            assert isinstance(results[1], Error)
            assert isinstance(results[2], TxnReply)

    asyncio.run(main())


def test_a_call_cancelled_in_time_is_not_sent(stub: Stub) -> None:
    async def main() -> None:
        async with AsyncClient(stub.endpoint) as client:
            await client.get("warm")
            future = client.put("never")
            future.cancel()
            await client.put("always")

    asyncio.run(main())
    assert [request["key"] for request in stub.requests if request["op"] == "put"] == [b"always"]


def test_a_thousand_watchers_on_one_key(stub: Stub) -> None:
    async def main() -> None:
        seen = 0
        over = asyncio.Event()

        def on_reply(reply: WatchReply) -> None:
            nonlocal seen
            seen += len(reply.events)
            if seen == 5000:
                over.set()

        async with AsyncClient(stub.endpoint) as client:
            await asyncio.gather(*(client.watch("k", callback=on_reply) for _ in range(1000)))
            for _ in range(5):
                await client.put("k")
            await asyncio.wait_for(over.wait(), 10)
            assert len(stub.streams) == 1

    asyncio.run(main())


def test_watch_iterator_ends_when_closed_and_fails_when_compacted(stub: Stub) -> None:
    async def main() -> None:
        async with AsyncClient(stub.endpoint) as client:
            watcher = await client.watch("k", filters=["NOPUT"])
            await client.put("k")
            await client.delete("k")
            async for event in watcher:
                assert (event.type, event.kv.mod_revision) == (1, 3)
                watcher.close()
            await client.compact(3)
            behind = await client.watch("k", start_revision=2)
            with pytest.raises(Error) as raised:
                await anext(behind.replies())
            assert raised.value.compact_revision == 3

    asyncio.run(main())


def test_a_loop_that_breaks_off_leaves_the_rest_for_the_next(stub: Stub) -> None:
    async def main() -> None:
        async with AsyncClient(stub.endpoint) as client:
            for _ in range(4):
                await client.put("k")
            watcher = await client.watch("k", start_revision=2)
            async for event in watcher:
                assert event.kv.mod_revision == 2
                break
            assert (await anext(watcher)).kv.mod_revision == 3
            rest = await watcher.next_reply()
            assert rest is not None
            assert [event.kv.mod_revision for event in rest.events] == [4, 5]

    asyncio.run(main())


def test_a_taker_that_lags_is_bounded_and_loses_nothing(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zetcd.client.watch.WATCH_QUEUE_EVENTS_MAX", 20)
    assert options.WATCH_QUEUE_EVENTS_MAX > 20

    async def main() -> None:
        async with AsyncClient(stub.endpoint) as client:
            watcher = await client.watch("k")
            for _ in range(30):
                await client.put("k")
            await asyncio.to_thread(stub.await_frame, "watch_cancel")
            for _ in range(30):
                await client.put("k")
            seen = []
            async for event in watcher:
                seen.append(event.kv.mod_revision)
                if len(seen) == 60:
                    break
            assert seen == list(range(2, 62))

    asyncio.run(main())


def test_watch_resumes_and_calls_go_on_through_restarts(stub: Stub) -> None:
    async def main() -> None:
        server = stub
        async with AsyncClient(stub.endpoint) as client:
            watcher = await client.watch("k")
            for _ in range(5):
                for _ in range(10):
                    await client.put("k")
                server = await asyncio.to_thread(server.restart)
            revision = (await client.get_prefix("")).header.revision
            seen: list[int] = []
            async for event in watcher:
                seen.append(event.kv.mod_revision)
                if seen[-1] == revision:
                    break
            assert seen == list(range(2, revision + 1))
        server.stop()

    asyncio.run(asyncio.wait_for(main(), 60))


def test_a_lost_stream_is_noticed_by_the_heartbeat(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zetcd.session.watch.PROBE_AFTER_S", 0.2)

    async def main() -> None:
        async with AsyncClient(stub.endpoint) as client:
            watcher = await client.watch("k")
            stub.streams.clear()
            await client.put("k")
            event = await asyncio.wait_for(anext(aiter(watcher)), 10)
            assert event.kv.mod_revision == 2

    asyncio.run(main())


def test_lease_lock_and_close(stub: Stub) -> None:
    async def main() -> None:
        async with AsyncClient(stub.endpoint) as client:
            lease = await client.lease_grant(2)
            async with lease:
                assert not lease.lost
            assert lease.lost
            with pytest.raises(Error, match="unknown op"):
                await client.lock("name").acquire()
            waiting = asyncio.ensure_future(client.get("k"))
            stub.swallow = lambda _: True
            watcher = asyncio.ensure_future(client.watch("k"))
            await asyncio.sleep(0.1)
        with pytest.raises(Error, match="closed"):
            await asyncio.gather(watcher)
        await asyncio.gather(waiting, return_exceptions=True)

    asyncio.run(main())
