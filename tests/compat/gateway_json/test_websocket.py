"""The same messages over websockets to real etcd 3.4 and to ours: equal handshakes, equal frames back.

Left out is what `docs/gateway.md` tells: the reasons in Close frames, and Close itself where etcd ends the connection.
"""

import socket
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import Protocol, Side

from tests.compat.gateway_json.sides import ANSWER_S, MASKED, QUIET_S, our_port
from tests.compat.oracle import Etcd, binary

HANDSHAKE = {
    "Host": "a",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
TRAVEL = ("date", "content-length")
CREATE = '{"create_request":{"key":"Zm9v"}}'
Says = str | bytes | Callable[[Protocol], None]
"""A text, a binary message, or anything else of a client."""


class Talk(NamedTuple):
    """What came back: the head of the answer, the frames, and whether the connection was ended."""

    head: list[str]
    frames: list[tuple[str, bytes]]
    ended: bool


def talk(port: int, path: str, *says: Says, method: str = "GET", **changes: str) -> Talk:
    """One connection. changes: of HANDSHAKE, underscores are dashes; an empty one is left out."""
    headers = HANDSHAKE | {name.replace("_", "-"): value for name, value in changes.items()}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items() if value)]
    with socket.create_connection(("127.0.0.1", port), ANSWER_S) as sock:
        sock.sendall("\r\n".join([*lines, "", ""]).encode())
        out = b""
        while b"\r\n\r\n" not in out:
            out += sock.recv(65_536)
        head, _, rest = out.partition(b"\r\n\r\n")
        shown = sorted(line for line in head.decode().split("\r\n") if not line.lower().startswith(TRAVEL))
        if not head.startswith(b"HTTP/1.1 101 "):
            return Talk(shown, [("body", rest)], False)
        return _converse(sock, shown, says, rest)


def _converse(sock: socket.socket, head: list[str], says: tuple[Says, ...], rest: bytes) -> Talk:
    client = Protocol(Side.CLIENT, max_size=None)
    for one in says:
        if isinstance(one, str):
            client.send_text(one.encode())
        elif isinstance(one, bytes):
            client.send_binary(one)
        else:
            one(client)
    sock.sendall(b"".join(client.data_to_send()))
    sock.settimeout(QUIET_S)
    ended = False
    try:
        while True:
            client.receive_data(rest)
            sock.sendall(b"".join(client.data_to_send()))
            if not (rest := sock.recv(65_536)):
                ended = True
                break
    except TimeoutError:
        pass
    except ConnectionError:  # what was on its way to the one that closed
        ended = True
    return Talk(head, [_shown(one) for one in client.events_received() if isinstance(one, Frame) and _kept(one)], ended)


def _kept(frame: Frame) -> bool:
    return frame.opcode is not Opcode.CLOSE or frame.data[:2] != CloseCode.NORMAL_CLOSURE.to_bytes(2, "big")


def _shown(frame: Frame) -> tuple[str, bytes]:
    data = bytes(frame.data)
    return frame.opcode.name, data[:2] if frame.opcode is Opcode.CLOSE else MASKED.sub(rb'"\1":"*"', data)


def _raw(data: bytes) -> Says:
    def say(client: Protocol) -> None:
        client.writes.append(data)

    return say


def _fragments(client: Protocol) -> None:
    client.send_text(CREATE[:10].encode(), fin=False)
    client.send_ping(b"between")
    client.send_continuation(CREATE[10:20].encode(), fin=False)
    client.send_continuation(CREATE[20:].encode(), fin=True)


TALKS: dict[str, tuple[str, tuple[Says, ...]]] = {
    "a watch": ("/v3/watch", (CREATE,)),
    "an old path": ("/v3beta/watch", (CREATE,)),
    "two requests in a message": ("/v3/watch", (CREATE + CREATE,)),
    "two messages": ("/v3/watch", (CREATE, '{"create_request":{"key":"YmFy","watch_id":"7"}}')),
    "a watch that is canceled": ("/v3/watch", (CREATE, '{"cancel_request":{"watch_id":"0"}}')),
    "a watch of no range": ("/v3/watch", ('{"create_request":{"key":"Zm9v","range_end":"YQ=="}}',)),
    "history": ("/v3/watch", ('{"create_request":{"key":"Zm9v","start_revision":"1"}}',)),
    "a binary message": ("/v3/watch", (CREATE.encode(),)),
    "fragments around a ping": ("/v3/watch", (_fragments,)),
    "empty messages": ("/v3/watch", ("", " \n", CREATE)),
    "no message": ("/v3/watch", ()),
    "bad JSON": ("/v3/watch", ("{bad",)),
    "bad JSON later": ("/v3/watch", (CREATE, "{bad", CREATE)),
    "an unknown field": ("/v3/watch", ('{"bogus":1}',)),
    "a ping": ("/v3/watch", (lambda client: client.send_ping(b"hey"), CREATE)),
    "a close": ("/v3/watch", (lambda client: client.send_close(4000, "bye"),)),
    "no mask": ("/v3/watch", (_raw(b"\x81\x02{}"),)),
    "a reserved bit": ("/v3/watch", (_raw(b"\xc1\x80abcd"),)),
    "an unknown opcode": ("/v3/watch", (_raw(b"\x83\x80abcd"),)),
    "a long ping": ("/v3/watch", (_raw(b"\x89\xfe\x00\x80abcd" + bytes(128)),)),
    "half a ping": ("/v3/watch", (_raw(b"\x09\x80abcd"),)),
    "a continuation of nothing": ("/v3/watch", (_raw(b"\x80\x80abcd"),)),
    "a message within a message": ("/v3/watch", (_raw(b"\x01\x80abcd\x81\x80abcd"),)),
    "a put": ("/v3/kv/put", ('{"key":"Zm9v","value":"YmFy"}',)),
    "a range": ("/v3/kv/range", ('{"key":"Zm9v"}',)),
    "a range that is refused": ("/v3/kv/range", ("{}",)),
    "a range in bad JSON": ("/v3/kv/range", ("{bad",)),
    "keep-alives": ("/v3/lease/keepalive", ('{"ID":"77"}', '{"ID":"78"}')),
    "an observer": ("/v3/election/observe", ('{"name":"Zm9v"}',)),
    "an unknown path": ("/v3/nope", ()),
}


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with our_port(tmp_path_factory.mktemp("zetcd")) as port:
        yield port


@pytest.fixture(scope="module")
def etcds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    program = binary("3.4")
    if program is None:
        pytest.skip("no etcd 3.4 on this machine")
    with Etcd.running(program, tmp_path_factory.mktemp("etcd34")) as member:
        yield member.port


def test_messages_are_answered_as_etcd_does(ours: int, etcds: int) -> None:
    for name, (path, says) in TALKS.items():
        assert talk(ours, path, *says) == talk(etcds, path, *says), name


@pytest.mark.parametrize(
    "changes",
    [
        {"Sec_WebSocket_Version": "12"},
        {"Sec_WebSocket_Version": ""},
        {"Sec_WebSocket_Key": ""},
        {"Sec_WebSocket_Key": "abc"},
        {"Connection": "keep-alive"},
        {"Connection": "keep-alive, upgrade"},
        {"Upgrade": "WebSocket"},
        {"Upgrade": "h2c"},
        {"Sec_WebSocket_Extensions": "permessage-deflate"},
        {"Sec_WebSocket_Protocol": "foo, bar"},
        {"Sec_WebSocket_Protocol": "Bearer, abc"},
        {"Origin": "http://elsewhere"},
    ],
    ids=str,
)
def test_handshakes_are_answered_as_etcd_does(ours: int, etcds: int, changes: dict[str, str]) -> None:
    assert talk(ours, "/v3/watch", **changes) == talk(etcds, "/v3/watch", **changes)


def test_events_come_while_both_go_on(ours: int) -> None:
    """What plain HTTP/1.1 has not: a request after the first reply."""
    one = talk(ours, "/v3/watch", '{"create_request":{"key":"YmF6"}}', '{"progress_request":{}}')
    assert len(one.frames) == 2
    talk(ours, "/v3/kv/put", '{"key":"YmF6","value":"YmFy"}')
    seen = talk(ours, "/v3/watch", '{"create_request":{"key":"YmF6","start_revision":"1"}}')
    assert b'"events":[{"kv":{"key":"YmF6"' in seen.frames[-1][1]
