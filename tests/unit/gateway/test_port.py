"""The port: what it does with a connection before any protocol is spoken."""

import asyncio
import socket

from zetcd.gateway import port


async def _accepted(at: socket.socket | tuple[str, int]) -> int:
    """TCP_NODELAY of a connection that a server at this place has accepted."""
    server = await port.listen([at], {}, lambda _request, _exchange: None)
    try:
        _reader, writer = await asyncio.open_connection(*server.addresses[0])
        while not server.ports:  # noqa: ASYNC110 - nobody is told of an accepted connection
            await asyncio.sleep(0.01)
        [connection] = server.ports
        own = connection._transport.get_extra_info("socket")
        writer.close()
        return int(own.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
    finally:
        await server.close(0.1)


def test_small_answers_leave_at_once() -> None:
    """Otherwise the kernel holds a second one back until the client's delayed acknowledgement: 44 ms for each call of a
    lone Go client. asyncio sets the option itself only where the listener was not made by others."""
    given = socket.socket()
    given.bind(("127.0.0.1", 0))
    given.listen()
    assert asyncio.run(_accepted(given)) == 1
    assert asyncio.run(_accepted(("127.0.0.1", 0))) == 1
