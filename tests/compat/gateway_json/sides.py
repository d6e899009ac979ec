"""Both gateways under one question over HTTP: real etcd 3.4, and ours in this process, in front of a zetcd member."""

import asyncio
import http.client
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.bench.servers import ZetcdServer
from zetcd.gateway import port, services
from zetcd.gateway.http.handler import handler
from zetcd.gateway.link import Link

ANSWER_S = 10.0
QUIET_S = 0.7
MASKED = re.compile(rb'"(cluster_id|member_id|raft_term|raftTerm|raftIndex|raftAppliedIndex|leader)":"[0-9]+"')
# etcd announces and sends a trailer after errors of its server, which carries nothing; so its errors come in chunks.
TRAVEL = {"date", "content-length", "trailer", "transfer-encoding"}


class Answer(NamedTuple):
    """What came back: of a stream what had come when it ended or fell silent."""

    status: int
    headers: dict[str, str]
    body: bytes


Ask = Callable[[str, str, bytes], Answer]
"""Method, target, body."""


def asks(port_number: int) -> Ask:
    """Asks a port; what differs between two clusters is masked, and how the body travels is left out."""

    def ask(method: str, target: str, body: bytes) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", port_number, timeout=ANSWER_S)
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
            headers = {name.lower(): value for name, value in reply.getheaders() if name.lower() not in TRAVEL}
            return Answer(reply.status, headers, MASKED.sub(rb'"\1":"*"', text))
        finally:
            connection.close()

    return ask


@contextmanager
def our_port(directory: Path) -> Iterator[int]:
    """The port of a gateway in front of a fresh member."""
    server = ZetcdServer(directory)
    server.start()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> tuple[Link, port.Server]:
        link = Link([server.endpoint])
        methods = services.methods(link)
        return link, await port.listen([("127.0.0.1", 0)], methods, handler(methods, link))

    async def stop() -> None:
        await listening.close(0)
        link.close()

    link, listening = asyncio.run_coroutine_threadsafe(start(), loop).result(ANSWER_S)
    try:
        yield listening.addresses[0][1]
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result(ANSWER_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(ANSWER_S)
        loop.close()
        server.stop()
