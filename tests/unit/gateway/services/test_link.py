"""The link over real sockets, before an api process of paper."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zmq

from zetcd.base.limits import GATEWAY_LINE_FRAMES_MAX, GATEWAY_RANGES_MAX
from zetcd.gateway.link import OF_LEASES, OF_RANGES, READ_ALONE, READS, WRITES, Link
from zetcd.gateway.rpc import RpcError
from zetcd.session.errors import Error
from zetcd.session.options import ALONE_INFLIGHT_MAX
from zetcd.wire import client as wire

ANSWER_S = 10.0
encode, decode = msgspec.msgpack.encode, msgspec.msgpack.decode


class Api:
    """A ROUTER that answers probes by itself, and everything else as the test says."""

    def __init__(self, endpoint: str) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = self._context.socket(zmq.ROUTER)
        self.socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self.socket.setsockopt(zmq.SNDHWM, 4)
        self.socket.setsockopt(zmq.RCVHWM, 4)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.bind(endpoint)
        self.endpoint = endpoint

    async def take(self) -> tuple[list[bytes], dict[str, Any]]:
        """The next request that is no probe, and its return address."""
        while True:
            async with asyncio.timeout(ANSWER_S):
                while not self.socket.poll(0):  # noqa: ASYNC110  # a socket of ZeroMQ sets no event
                    await asyncio.sleep(0.001)
            *address, body = self.socket.recv_multipart()
            if address[1:] != [b"?"]:
                return address, decode(body)
            self.say(address, error={"code": 5, "status": "NOT_FOUND", "message": "zetcd: no watch"})

    def say(self, address: list[bytes], **reply: Any) -> None:
        self.socket.send_multipart([*address, encode(reply)], zmq.NOBLOCK)

    def close(self) -> None:
        self.socket.close(0)
        self._context.destroy(0)


class Waiter:
    """Implements `zetcd.session.call.Waiter`."""

    def __init__(self) -> None:
        self.outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def done(self) -> bool:
        return self.outcome.done()

    def set_result(self, result: Any, /) -> None:
        self.outcome.set_result(result)

    def set_exception(self, exception: BaseException, /) -> None:
        self.outcome.set_exception(exception)


class Line:
    """Implements `zetcd.gateway.link.Line`."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.lost = self.room = 0

    def on_message(self, body: bytes) -> None:
        self.heard.append(decode(body))

    def on_lost(self) -> None:
        self.lost += 1

    def on_room(self) -> None:
        self.room += 1

    def on_quiet(self) -> None:
        pass


async def until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(ANSWER_S):
        while not what():  # noqa: ASYNC110  # nor does the link
            await asyncio.sleep(0.001)


@asynccontextmanager
async def linked(directory: Path, **options: Any) -> AsyncIterator[tuple[Link, Api]]:
    api = Api(f"ipc://{directory}/api")
    link = Link([api.endpoint], **options)
    try:
        yield link, api
    finally:
        link.close()
        api.close()


Test = Callable[[Link, Api], Awaitable[None]]


def run(directory: Path, test: Callable[[Link, Api], Coroutine[Any, Any, None]], **options: Any) -> None:
    async def whole() -> None:
        async with linked(directory, **options) as (link, api):
            await test(link, api)

    asyncio.run(whole())


def test_calls_of_a_turn_travel_together(tmp_path: Path) -> None:
    async def test(link: Link, api: Api) -> None:
        waiters = [Waiter() for _ in range(3)]
        for number, waiter in enumerate(waiters):
            link.call(wire.PutRequest(key=b"%d" % number), WRITES, waiter)
        address, request = await api.take()
        assert request == {"op": "batch", "requests": [{"op": "put", "key": b"%d" % number} for number in range(3)]}
        assert link.up
        api.say(address, responses=[{"header": {"revision": 2 + number}} for number in range(3)])
        assert [await waiter.outcome for waiter in waiters] == [{"header": {"revision": 2 + n}} for n in range(3)]

    run(tmp_path, test)


def test_a_refusal_is_an_answer_and_not_repeated(tmp_path: Path) -> None:
    """Also those that a client of the ZeroMQ API repeats by itself: etcd's clients decide that themselves."""

    async def test(link: Link, api: Api) -> None:
        failure = {"error": {"code": 14, "status": "UNAVAILABLE", "message": "etcdserver: no leader"}}
        alone, one, two = Waiter(), Waiter(), Waiter()
        link.call(wire.RangeRequest(key=b"k"), READS, alone)
        address, _ = await api.take()
        api.say(address, **failure)
        assert await alone.outcome == failure
        link.call(wire.RangeRequest(key=b"k"), READS, one)
        link.call(wire.RangeRequest(key=b"l"), READS, two)
        address, _ = await api.take()
        api.say(address, responses=[failure, {"header": {}}])
        assert await one.outcome == failure
        assert await two.outcome == {"header": {}}

    run(tmp_path, test)


def test_rule_08_what_may_have_happened_is_not_asked_again(tmp_path: Path) -> None:
    async def test(link: Link, api: Api) -> None:
        write, read = Waiter(), Waiter()
        link.call(wire.PutRequest(key=b"k"), WRITES, write)
        link.call(wire.RangeRequest(key=b"k"), READS, read)
        for _ in range(2):
            await api.take()
        api.close()
        with pytest.raises(Error) as raised:
            await write.outcome
        assert raised.value.outcome_unknown
        again = Api(api.endpoint)
        try:
            address, request = await again.take()
            assert request["op"] == "range"
            again.say(address, header={})
            assert await read.outcome == {"header": {}}
        finally:
            again.close()

    run(tmp_path, test)


def test_what_waits_for_ever_holds_up_nothing_else(tmp_path: Path) -> None:
    async def test(link: Link, api: Api) -> None:
        locks = [Waiter() for _ in range(ALONE_INFLIGHT_MAX + 1)]
        for waiter in locks:
            link.call(wire.LockRequest(name=b"l", lease=1), READ_ALONE, waiter, forever=True)
        with pytest.raises(Error) as raised:
            await locks[-1].outcome
        assert raised.value.message == "etcdserver: too many requests"
        status = Waiter()
        link.call(wire.StatusRequest(), READ_ALONE, status)
        for _ in range(ALONE_INFLIGHT_MAX + 1):
            address, request = await api.take()
            if request["op"] == "status":
                api.say(address, header={})
        assert await status.outcome == {"header": {}}
        assert not locks[0].done()
        for waiter in locks:
            waiter.outcome.cancel()

    run(tmp_path, test)


def test_reads_do_not_wait_for_the_lease_process(tmp_path: Path) -> None:
    async def test(link: Link, api: Api) -> None:
        keep, read = Waiter(), Waiter()
        link.call(wire.LeaseKeepAliveRequest(ID=1), OF_LEASES, keep)
        link.call(wire.RangeRequest(key=b"k"), READS, read)
        for _ in range(2):
            address, request = await api.take()
            if request["op"] == "range":
                api.say(address, header={})
        assert await read.outcome == {"header": {}}
        assert not keep.done()
        keep.outcome.cancel()

    run(tmp_path, test)


def test_few_ranges_are_asked_at_once_and_other_reads_do_not_wait_behind_their_answers(tmp_path: Path) -> None:
    """A hundred answers of 8 MB on the connection of all reads held up a get for 9 s, and took 800 MB on their way."""

    async def test(link: Link, api: Api) -> None:
        ranges, read = [Waiter() for _ in range(GATEWAY_RANGES_MAX + 1)], Waiter()
        for waiter in ranges:
            link.call(wire.RangeRequest(key=b"a", range_end=b"b"), OF_RANGES, waiter)
        link.call(wire.RangeRequest(key=b"k"), READS, read)
        asked = [await api.take() for _ in range(GATEWAY_RANGES_MAX + 1)]
        [of_read] = [address for address, request in asked if request["key"] == b"k"]
        of_ranges = [address for address, request in asked if request["key"] == b"a"]
        assert of_read[0] not in {address[0] for address in of_ranges}, "a connection of its own"
        api.say(of_read, header={})
        assert await read.outcome == {"header": {}}
        api.say(of_ranges[0], header={})
        assert (await api.take())[1]["key"] == b"a", "the next one when an answer has come"
        for waiter in ranges:
            waiter.outcome.cancel()

    run(tmp_path, test)


def test_a_call_ends_in_time_where_nobody_answers(tmp_path: Path) -> None:
    async def test(link: Link, api: Api) -> None:
        waiter = Waiter()
        link.call(wire.RangeRequest(key=b"k"), READS, waiter)
        await api.take()
        with pytest.raises(Error) as raised:
            await waiter.outcome
        assert raised.value.code == 4

    run(tmp_path, test, timeout_s=0.2)


def test_a_stream_is_told_of_the_end_after_all_that_came(tmp_path: Path) -> None:
    async def test(link: Link, api: Api) -> None:
        line = Line()
        dealer = link.open(line)
        assert dealer.send([encode({"op": "watch_create"})])
        dealer.settle()
        address, request = await api.take()
        assert (len(address), request) == (1, {"op": "watch_create"})
        api.say(address, header={}, created=True)
        await until(lambda: bool(line.heard))
        api.close()
        await until(lambda: bool(line.lost))
        assert line.lost == 1
        assert line.heard == [{"header": {}, "created": True}]
        assert not dealer.send([b"x"])

    run(tmp_path, test)


def test_rule_17_a_paused_stream_holds_the_sender(tmp_path: Path) -> None:
    async def test(link: Link, api: Api) -> None:
        line = Line()
        dealer = link.open(line)
        dealer.send([encode({})])
        dealer.settle()
        address, _ = await api.take()
        dealer.pause()
        sent, idle = 0, 0
        while idle < 50:  # until it takes no more for a while
            try:
                api.say(address, number=sent, bulk=b"x" * 100_000)
                sent, idle = sent + 1, 0
            except zmq.Again:
                idle += 1
                await asyncio.sleep(0.002)
            assert sent < 200, "it is not bounded"
        assert line.heard == []
        assert sent >= GATEWAY_LINE_FRAMES_MAX
        dealer.resume()
        await until(lambda: len(line.heard) == sent)
        assert [each["number"] for each in line.heard] == list(range(sent))

    run(tmp_path, test)


def test_a_stream_whose_requests_nobody_takes_waits_for_room(tmp_path: Path) -> None:
    async def test(link: Link, api: Api) -> None:
        line = Line()
        dealer = link.open(line)
        sent = idle = 0
        while idle < 50:
            if dealer.send([encode({"number": sent, "bulk": b"x" * 100_000})]):
                sent, idle = sent + 1, 0
            else:
                idle += 1
                dealer.settle()
                await asyncio.sleep(0.002)
            assert sent < 2_000, "it is not bounded"
        line.room = 0
        for number in range(sent):
            _, request = await api.take()
            assert request["number"] == number
        await until(lambda: bool(line.room))
        assert dealer.send([encode({})])

    run(tmp_path, test)


def test_streams_have_a_bound(tmp_path: Path) -> None:
    async def test(link: Link, _api: Api) -> None:
        first, _second = link.open(Line()), link.open(Line())
        with pytest.raises(RpcError) as raised:
            link.open(Line())
        assert (raised.value.code, raised.value.message) == (8, "etcdserver: too many requests")
        link.close_line(first)
        assert link.lines == 1
        link.open(Line())

    run(tmp_path, test, lines_max=2)


def test_last_words_leave_before_the_end(tmp_path: Path) -> None:
    async def test(link: Link, api: Api) -> None:
        dealer = link.open(Line())
        dealer.send([encode({"first": 1})])
        dealer.send([encode({"last": 1})])
        link.close_line(dealer, last_words=True)
        assert [(await api.take())[1], (await api.take())[1]] == [{"first": 1}, {"last": 1}]

    run(tmp_path, test)


def test_who_listens_hears_whether_the_member_is_there(tmp_path: Path) -> None:
    async def test(link: Link, api: Api) -> None:
        heard: list[bool] = []
        link.on_state(lambda: heard.append(link.up))
        waiter = Waiter()
        link.call(wire.RangeRequest(key=b"k"), READS, waiter)
        address, _ = await api.take()
        api.say(address, header={})
        await waiter.outcome
        await until(lambda: heard == [True])
        api.close()
        await until(lambda: heard == [True, False])

    run(tmp_path, test)
