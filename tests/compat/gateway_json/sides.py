"""Both gateways under one question: real etcd 3.4 over HTTP, ours as handler, services and link over a zetcd member."""

import asyncio
import http.client
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.bench.servers import ZetcdServer
from tests.compat.oracle import Etcd
from tests.unit.gateway.http.fakes import Exchange, Request
from zetcd.gateway import services
from zetcd.gateway.http.handler import Handler, handler
from zetcd.gateway.link import Link

ANSWER_S = 10.0
QUIET_S = 0.7
MASKED = re.compile(rb'"(cluster_id|member_id|raft_term|raftTerm|raftIndex|raftAppliedIndex|leader)":"[0-9]+"')


class Answer(NamedTuple):
    """What came back: of a stream what had come when it ended or fell silent."""

    status: int
    headers: dict[str, str]
    body: bytes

    def masked(self) -> "Answer":
        """Without what differs between two clusters, and without how the body travels."""
        kept = {name: text for name, text in self.headers.items() if name not in {"date", "content-length"}}
        return Answer(self.status, kept, MASKED.sub(rb'"\1":"*"', self.body))


Ask = Callable[[str, str, bytes], Answer]
"""Method, target, body."""


@contextmanager
def etcd(member: Etcd) -> Iterator[Ask]:
    """Real etcd's port."""

    def ask(method: str, target: str, body: bytes) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", member.port, timeout=ANSWER_S)
        try:
            connection.request(method, target, body)
            connection.sock.settimeout(QUIET_S)
            try:
                reply = connection.getresponse()
            except TimeoutError:
                return Answer(0, {}, b"")
            text = b""
            try:
                while part := reply.read1(65536):
                    text += part
            except TimeoutError:
                pass
            # etcd announces and sends a trailer after errors of its server, which carries nothing.
            headers = {name.lower(): value for name, value in reply.getheaders()}
            headers.pop("trailer", None)
            headers.pop("transfer-encoding", None)
            return Answer(reply.status, headers, text)
        finally:
            connection.close()

    yield ask


@contextmanager
def ours(directory: Path) -> Iterator[Ask]:
    """A member of zetcd and the gateway's parts, without the port."""
    server = ZetcdServer(directory)
    server.start()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> tuple[Link, Handler]:
        link = Link([server.endpoint])
        return link, handler(services.methods(link), link)

    link, handle = asyncio.run_coroutine_threadsafe(start(), loop).result(ANSWER_S)

    async def answer(request: Request) -> Answer:
        exchange = Exchange()
        handle(request, exchange)
        seen, still = -1, 0.0
        while not exchange.ended and still < QUIET_S:
            still = 0.0 if len(exchange.body) != seen else still + 0.01
            seen = len(exchange.body)
            await asyncio.sleep(0.01)
        if exchange.on_cancel is not None:
            exchange.on_cancel()
        return Answer(exchange.status, {name.lower(): text for name, text in exchange.headers}, exchange.body)

    def ask(method: str, target: str, body: bytes) -> Answer:
        path, _, query = target.partition("?")
        request = Request(method, path, query, {"host": "x"}, body)
        return asyncio.run_coroutine_threadsafe(answer(request), loop).result(2 * ANSWER_S)

    try:
        yield ask
    finally:
        loop.call_soon_threadsafe(link.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(ANSWER_S)
        server.stop()
