"""Clients that we did not write, over sockets: grpcio, curl, and raw ones that behave badly."""

import asyncio
import http.client
import shutil
import socket
import ssl
import subprocess
import threading
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc  # type: ignore[import-untyped]  # it brings no types
import pytest
from google.protobuf.wrappers_pb2 import BytesValue

from tests.unit.gateway.grpc.serving import Serving, serving, site
from zetcd.gateway.h2 import frames
from zetcd.gateway.h2.policing import Policy
from zetcd.gateway.port import listen

DUMP = BytesValue.SerializeToString
LOAD = BytesValue.FromString
UNBOUND = [("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]


@pytest.fixture(scope="module")
def running() -> Iterator[Serving]:
    with serving() as one:
        yield one


@pytest.fixture
def channel(running: Serving) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{running.port}", options=UNBOUND) as one:
        yield one


def put(channel: grpc.Channel, value: bytes, timeout: float = 30, **named: object) -> bytes:
    reply = channel.unary_unary("/toy.T/Put", DUMP, LOAD)(BytesValue(value=value), timeout=timeout, **named)
    assert isinstance(reply, BytesValue)
    return reply.value


def failed(error: "pytest.ExceptionInfo[grpc.RpcError]") -> tuple[grpc.StatusCode, str]:
    return error.value.code(), error.value.details()


@pytest.mark.parametrize("size", [0, 1, 16_380, 16_390, 70_000, 1_500_000])
def test_unary_calls_of_any_size(channel: grpc.Channel, size: int) -> None:
    assert put(channel, bytes(size)) == bytes(size)


def test_statuses_and_texts(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as error:
        put(channel, b"refuse")
    assert failed(error) == (grpc.StatusCode.FAILED_PRECONDITION, "nicht jetzt: 100 % ü\n")
    with pytest.raises(grpc.RpcError) as error:
        put(channel, bytes(3_000_000))
    text = "grpc: received message larger than max (3000005 vs. 2097152)"
    assert failed(error) == (grpc.StatusCode.RESOURCE_EXHAUSTED, text)
    with pytest.raises(grpc.RpcError) as error:
        channel.unary_unary("/toy.T/Nope", DUMP, LOAD)(BytesValue(), timeout=30)
    assert failed(error) == (grpc.StatusCode.UNIMPLEMENTED, "unknown method Nope for service toy.T")


def test_a_thousand_calls_at_once(channel: grpc.Channel) -> None:
    method = channel.unary_unary("/toy.T/Put", DUMP, LOAD)
    futures = [method.future(BytesValue(value=b"%d" % number), timeout=60) for number in range(1000)]
    assert [future.result().value for future in futures] == [b"%d" % number for number in range(1000)]


def test_large_messages_both_ways_at_once(channel: grpc.Channel) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: len(put(channel, bytes(1_500_000))), range(8))) == {1_500_000}


def test_compressed_requests(channel: grpc.Channel) -> None:
    assert put(channel, bytes(100_000), compression=grpc.Compression.Gzip) == bytes(100_000)


def test_deadlines_and_cancelling(running: Serving, channel: grpc.Channel) -> None:
    before = running.toy.cancelled
    with pytest.raises(grpc.RpcError) as error:
        put(channel, b"hang", timeout=0.2)
    assert error.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    future = channel.unary_unary("/toy.T/Put", DUMP, LOAD).future(BytesValue(value=b"hang"))
    put(channel, b"behind it")
    assert future.cancel()
    put(channel, b"behind that")
    assert running.toy.cancelled == before + 2


def test_streams(channel: grpc.Channel) -> None:
    chat = channel.stream_stream("/toy.T/Chat", DUMP, LOAD)
    sent = [b"%d" % number for number in range(1000)]
    assert [one.value for one in chat((BytesValue(value=one) for one in sent), timeout=60)] == sent
    with pytest.raises(grpc.RpcError) as error:
        list(chat(iter([BytesValue(value=b"a"), BytesValue(value=b"refuse")]), timeout=60))
    assert failed(error) == (grpc.StatusCode.FAILED_PRECONDITION, "nein")
    up = channel.stream_unary("/toy.T/Up", DUMP, LOAD)
    assert up((BytesValue(value=bytes(1_000_000)) for _ in range(10)), timeout=60).value == b"10000000"
    down = channel.unary_stream("/toy.T/Down", DUMP, LOAD)
    assert sum(len(one.value) for one in down(BytesValue(value=b"200"), timeout=60)) == 200 * 65_536


def test_a_stream_whose_client_does_not_read_holds_up_itself_only(running: Serving, channel: grpc.Channel) -> None:
    down = channel.unary_stream("/toy.T/Down", DUMP, LOAD)(BytesValue(value=b"1000"), timeout=60)
    assert len(next(down).value) == 65_536
    assert put(channel, b"a") == b"a"
    stopped = getattr(running.toy.inbound[-1], "sent", 0)
    assert stopped < 1000
    down.cancel()
    put(channel, b"behind it")
    assert running.toy.inbound[-1].cancels == 1


def test_a_stream_may_be_cancelled_while_both_talk(running: Serving, channel: grpc.Channel) -> None:
    go_on = threading.Event()

    def requests() -> Iterator[BytesValue]:
        yield BytesValue(value=b"a")
        go_on.wait(30)

    chat = channel.stream_stream("/toy.T/Chat", DUMP, LOAD)(requests())
    assert next(chat).value == b"a"
    chat.cancel()
    go_on.set()
    put(channel, b"behind it")
    assert running.toy.inbound[-1].cancels == 1


def test_keepalive_pings_of_a_client_that_overdoes_it() -> None:
    with serving(policy=Policy(keepalive_min=60)) as one:
        eager = [
            ("grpc.keepalive_time_ms", 100),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.max_pings_without_data", 0),
        ]
        with grpc.insecure_channel(f"127.0.0.1:{one.port}", options=[*UNBOUND, *eager]) as channel:
            with pytest.raises(grpc.RpcError) as error:
                put(channel, b"hang", timeout=20)
            assert error.value.code() == grpc.StatusCode.UNAVAILABLE
            assert "ping" in error.value.details().lower()
    assert one.toy.cancelled == 1


def test_a_port_that_closes_answers_what_is_under_way() -> None:
    with serving() as one, grpc.insecure_channel(f"127.0.0.1:{one.port}", options=UNBOUND) as channel:
        future = channel.unary_unary("/toy.T/Put", DUMP, LOAD).future(BytesValue(value=b"hang"), timeout=30)
        while len(one.toy.calls) < 2:
            put(channel, b"beside it")
        one.loop.call_soon_threadsafe(one.stop.set)
        for call in list(one.toy.calls):
            one.loop.call_soon_threadsafe(one.loop.call_later, 0.1, call.reply, BytesValue(value=b"late"))
        assert future.result().value == b"late"


def test_a_service_that_breaks_costs_its_connection_only() -> None:
    with serving() as one:
        failures: list[object] = []
        one.loop.call_soon_threadsafe(one.loop.set_exception_handler, lambda _, context: failures.append(context))
        target = f"127.0.0.1:{one.port}"
        with grpc.insecure_channel(target, options=UNBOUND) as beside:
            assert put(beside, b"a") == b"a"
            with grpc.insecure_channel(target, options=UNBOUND) as channel, pytest.raises(grpc.RpcError) as error:
                put(channel, b"bug")
            assert error.value.code() == grpc.StatusCode.UNAVAILABLE
            assert put(beside, b"b") == b"b"
            with grpc.insecure_channel(target, options=UNBOUND) as again:
                assert put(again, b"c") == b"c"
        assert len(failures) == 1


def test_listeners_on_given_sockets_and_on_a_port_that_several_share() -> None:
    async def main() -> None:
        given = socket.create_server(("127.0.0.1", 0))
        one = await listen([given], {}, site)
        assert one.addresses == [given.getsockname()]
        shared = await listen([("127.0.0.1", 0)], {}, site)
        beside = await listen(shared.addresses, {}, site)
        assert beside.addresses == shared.addresses
        with pytest.raises(OSError, match="in use"):
            await listen(one.addresses, {}, site)
        for server in (one, shared, beside):
            reader, writer = await asyncio.open_connection(*server.addresses[0])
            writer.write(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            writer.close()
            await server.close(0)

    asyncio.run(main())


# -- HTTP/1.1 on the same port ---------------------------------------------------------------------
def test_http_1_beside_grpc(running: Serving, channel: grpc.Channel) -> None:
    client = http.client.HTTPConnection("127.0.0.1", running.port, timeout=30)
    for path, size in (("/a?b=c", 14), ("/big", 3_000_000), ("/parts", 4)):
        client.request("GET", path)
        assert len(client.getresponse().read()) == size
    client.request("POST", "/p", body=bytes(2_000_000), headers={"X": "y"})
    assert client.getresponse().read() == b"POST /p  2000000 y\n"
    assert put(channel, b"a") == b"a"
    client.close()


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.parametrize("version", ["--http1.0", "--http1.1", "--http2", "--http2-prior-knowledge"])
def test_curl(running: Serving, version: str, tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_bytes(bytes(2_000_000))

    def curl(path: str, *more: str) -> bytes:
        command = ["curl", "-s", "--max-time", "30", version, *more, f"http://127.0.0.1:{running.port}{path}"]
        return subprocess.run(command, capture_output=True, check=True).stdout

    assert curl("/a?b=c") == b"GET /a b=c 0 \n"
    assert curl("/p", "--data-binary", f"@{body}", "-H", "X: y") == b"POST /p  2000000 y\n"
    assert curl("/parts") == b"a\nb\n"
    assert len(curl("/big")) == 3_000_000
    assert b"200" in curl("/a", "-I").partition(b"\n")[0]


# -- TLS -------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    make = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-keyout",
        str(key),
        "-out",
        str(cert),
    ]
    subprocess.run([*make, *names], capture_output=True, check=True)
    return key, cert


def test_tls_serves_both(certificate: tuple[Path, Path]) -> None:
    key, cert = certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with serving(tls=context) as one:
        credentials = grpc.ssl_channel_credentials(cert.read_bytes())
        with grpc.secure_channel(f"localhost:{one.port}", credentials, options=UNBOUND) as channel:
            assert put(channel, bytes(1_500_000)) == bytes(1_500_000)
            down = channel.unary_stream("/toy.T/Down", DUMP, LOAD)
            assert sum(len(reply.value) for reply in down(BytesValue(value=b"50"), timeout=60)) == 50 * 65_536
        client = http.client.HTTPSConnection(
            "localhost", one.port, timeout=30, context=ssl.create_default_context(cafile=str(cert))
        )
        for path, size in (("/a?b=c", 14), ("/big", 3_000_000)):
            client.request("GET", path)
            assert len(client.getresponse().read()) == size
        client.close()


# -- clients that behave badly ---------------------------------------------------------------------
def ended(client: socket.socket) -> bool:
    """Whether the server closes the connection."""
    client.settimeout(30)
    try:
        while client.recv(65_536):
            pass
    except ConnectionError:
        pass
    return True


@pytest.mark.parametrize(
    "text",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        frames.PREFACE + b"\xff" * 100,
        b"\0" * 1000,
    ],
)
def test_nonsense_ends_its_connection_only(running: Serving, channel: grpc.Channel, text: bytes) -> None:
    with socket.create_connection(("127.0.0.1", running.port)) as client:
        client.sendall(text)
        assert ended(client)
    assert put(channel, b"a") == b"a"


def test_the_protocol_is_told_from_the_first_bytes_one_by_one(running: Serving) -> None:
    for text in (frames.PREFACE + frames.settings([]), b"POST /a HTTP/1.1\r\nHost: x\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", running.port)) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.settimeout(30)
            for at in range(len(text)):
                client.sendall(text[at : at + 1])
            assert client.recv(65_536)


def test_connections_are_bounded() -> None:
    with serving(most=3) as one:
        kept = []
        for _ in range(3):
            client = socket.create_connection(("127.0.0.1", one.port))
            client.sendall(frames.PREFACE + frames.settings([]))
            client.settimeout(30)
            assert client.recv(1)
            kept.append(client)
        with socket.create_connection(("127.0.0.1", one.port)) as client:
            assert ended(client)
        kept.pop().close()
        for client in kept:
            client.sendall(frames.ping(b"12345678", ack=False))
            client.close()


def test_a_client_that_reads_nothing_costs_bounded_memory(running: Serving, channel: grpc.Channel) -> None:
    """It asks for more than the socket holds and does not read; others are served meanwhile."""
    with socket.create_connection(("127.0.0.1", running.port)) as client:
        client.sendall(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n" * 20)
        for number in range(20):
            assert put(channel, b"%d" % number) == b"%d" % number
        waiting = [port for port in running.server.ports if getattr(port._wire, "congested", False)]
        assert len(waiting) == 1
        assert waiting[0]._transport.get_write_buffer_size() < 8_000_000


def test_a_thousand_idle_connections_cost_little_and_hurt_nobody() -> None:
    """Some have said nothing, some half a request, some have a call's connection open."""
    with serving(most=2000) as one, grpc.insecure_channel(f"127.0.0.1:{one.port}", options=UNBOUND) as channel:
        assert put(channel, b"a") == b"a"
        tracemalloc.start()
        said = [b"", b"PRI * HT", b"GET / HTTP/1.1\r\nHost: x\r\nX: ", frames.PREFACE + frames.settings([])]
        idle = []
        for number in range(1000):
            idle.append(socket.create_connection(("127.0.0.1", one.port)))
            idle[-1].sendall(said[number % 4])
        while one.ports() < 1001:
            put(channel, b"a")
        used, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert used < 1000 * 20_000
        assert put(channel, b"b") == b"b"
        for client in idle:
            client.close()
        while one.ports() > 1:
            put(channel, b"a")
