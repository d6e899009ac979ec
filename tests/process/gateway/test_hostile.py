"""Hostile clients on the port of a real member: others are served, and nothing of it stays."""

import http.client
import json
import socket
from collections.abc import Callable, Iterator

import psutil
import pytest

from tests.compat.gateway_grpc.stub import Failed, Stub
from tests.process.cluster import wait_for
from tests.process.gateway import attacks
from tests.process.gateway.attacks import HOT, MIB, Attack, How
from tests.process.gateway.members import LIMIT_S, EtcdStyle
from zetcd.base import limits
from zetcd_pb import rpc_pb2

PSS_MAX = 160 * MIB
"""Of the gateway, which takes 20 MiB when nothing happens."""
CALLS = 100
pytestmark = pytest.mark.timeout(300)


class Victim:
    """A member, and a well-behaved client of it."""

    def __init__(self, member: EtcdStyle, stub: Stub) -> None:
        self.member = member
        self.stub = stub
        self.gateway: psutil.Process = member.processes()["gateway-0"]
        self.api: psutil.Process = member.processes()["api-0"]
        self.calls = 0

    def served(self, value: bytes = b"v") -> None:
        """A put and a get of it, by gRPC, and the get again by JSON."""
        self.calls += 1
        key = HOT + b"%d" % self.calls
        replies = [
            self.stub.call("/etcdserverpb.KV/Put", rpc_pb2.PutRequest(key=key, value=value)),
            self.stub.call("/etcdserverpb.KV/Range", rpc_pb2.RangeRequest(key=key)),
        ]
        assert not [reply for reply in replies if isinstance(reply, Failed)], replies
        assert isinstance(replies[1], rpc_pb2.RangeResponse)
        assert replies[1].kvs[0].value == value

    def served_by_json(self) -> None:
        """A range over HTTP/1.1, on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.member.port, timeout=LIMIT_S)
        connection.request("POST", "/v3/kv/range", b'{"key": "aG90LzE="}')
        assert json.loads(connection.getresponse().read())["count"] == "1"
        connection.close()

    @property
    def pss(self) -> int:
        """Of the gateway's process, in bytes."""
        size: int = self.gateway.memory_full_info().pss
        return size

    @property
    def descriptors(self) -> tuple[int, int]:
        """Of the gateway and of the api process."""
        return self.gateway.num_fds(), self.api.num_fds()

    def endure(
        self, how: How, *, ends: int = 0, calls: int = CALLS, value: bytes = b"v", pss_max: int = PSS_MAX
    ) -> None:
        """Under the attack all calls succeed, until it has lost `ends` connections; then descriptors are as before."""
        descriptors, most = self.descriptors, 0
        with Attack(self.member.port, how) as attack:
            assert attack.ready.wait(LIMIT_S)
            done = 0
            while done < calls or attack.ended < ends:
                self.served(value)
                done += 1
                if done % 10 == 0:
                    self.served_by_json()
                    most = max(most, self.pss)
        wait_for(lambda: True if self._let_go(descriptors) else None, f"descriptors as before: {descriptors}", LIMIT_S)
        self.served()
        living = self.member.processes()
        assert (self.gateway.pid, self.api.pid) == (living["gateway-0"].pid, living["api-0"].pid), "the same processes"
        assert most <= pss_max, f"{most >> 20} MiB"

    def _let_go(self, before: tuple[int, int]) -> bool:
        return all(now <= then for now, then in zip(self.descriptors, before, strict=True))


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    """The gateway has opened each kind of connection to the member once, so that descriptors can be compared."""
    with EtcdStyle(tmp_path_factory.mktemp("victim")) as member, Stub(f"127.0.0.1:{member.port}") as stub:
        one = Victim(member, stub)
        one.served()
        one.served_by_json()
        stub.call("/etcdserverpb.KV/Range", rpc_pb2.RangeRequest(key=HOT, range_end=b"hot0"))
        talk = stub.stream("/etcdserverpb.Watch/Watch")
        talk.say(rpc_pb2.WatchRequest(create_request=rpc_pb2.WatchCreateRequest(key=HOT)))
        assert isinstance(talk.hear(), rpc_pb2.WatchResponse)
        talk.no_more()
        with socket.create_connection(("127.0.0.1", member.port), LIMIT_S) as sock:
            sock.sendall(attacks.websocket(b"/v3/nope"))
            assert sock.recv(65_536).startswith(b"HTTP/1.1 101 ")
        yield one


@pytest.mark.parametrize("how", attacks.FLOODS, ids=lambda how: how.__name__)
def test_floods_end_their_connections_only(victim: Victim, how: How) -> None:
    victim.endure(how, ends=3)


@pytest.mark.parametrize(
    "how",
    [attacks.small_blocks_of_large_lists, attacks.oversized, attacks.incomplete, attacks.slow_writers],
    ids=lambda how: how.__name__,
)
def test_what_is_too_large_or_never_whole_costs_bounded_memory(victim: Victim, how: How) -> None:
    victim.endure(how)


@pytest.mark.parametrize("how", [attacks.idle_connections, attacks.many_streams], ids=lambda how: how.__name__)
def test_a_thousand_of_one_kind(victim: Victim, how: How) -> None:
    victim.endure(how)


def test_watches_that_nobody_reads_are_bounded(victim: Victim) -> None:
    """44 streams, 20 MB of events for each of them."""
    victim.endure(attacks.slow_watches, calls=300, value=bytes(64 << 10))


def test_a_watch_that_is_read_late_has_it_all(victim: Victim) -> None:
    """More than every buffer on the way holds, written while nobody reads."""
    with socket.create_connection(("127.0.0.1", victim.member.port), LIMIT_S) as sock:
        sock.sendall(attacks.post(b"/v3/watch", b'{"create_request": {"key": "bGF0ZS8=", "range_end": "bGF0ZTA="}}'))
        reply = http.client.HTTPResponse(sock)
        reply.begin()
        assert json.loads(reply.readline())["result"]["created"]
        for number in range(400):
            request = rpc_pb2.PutRequest(key=b"late/%d" % number, value=bytes(64 << 10))
            assert not isinstance(victim.stub.call("/etcdserverpb.KV/Put", request), Failed)
        revisions: list[int] = []
        while len(revisions) < 400:
            events = json.loads(reply.readline())["result"]["events"]
            revisions += [int(event["kv"]["mod_revision"]) for event in events]
        assert revisions == list(range(revisions[0], revisions[0] + 400))


def test_answers_that_nobody_reads_are_bounded(victim: Victim) -> None:
    """What GATEWAY_UNSENT_TOTAL_BYTES_MAX says, one answer more for each connection, and what is on its way."""
    for key, value in attacks.big_rows():
        assert not isinstance(
            victim.stub.call("/etcdserverpb.KV/Put", rpc_pb2.PutRequest(key=key, value=value)), Failed
        )
    victim.endure(attacks.slow_ranges, pss_max=limits.GATEWAY_UNSENT_TOTAL_BYTES_MAX + 4 * 24 * MIB + PSS_MAX)


# -- smuggling -----------------------------------------------------------------------------------------------------
HIDDEN = attacks.post(b"/v3/kv/put", b'{"key": "c211Z2dsZWQ="}')  # smuggled
SHAPES: dict[str, Callable[[bytes], bytes]] = {
    "a length and chunks": lambda hidden: (
        b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" % (len(hidden) + 5) + hidden
    ),
    "chunks and a length": lambda hidden: b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + hidden,
    "two lengths": lambda hidden: b"Content-Length: %d\r\nContent-Length: 0\r\n\r\n" % len(hidden) + hidden,
    "a list of lengths": lambda hidden: b"Content-Length: %d, 0\r\n\r\n" % len(hidden) + hidden,
    "a signed length": lambda hidden: b"Content-Length: +0\r\n\r\n" + hidden,
    "chunked behind a tab": lambda hidden: b"Transfer-Encoding:\tchunked, x\r\n\r\n0\r\n\r\n" + hidden,
    "chunked with a space": lambda hidden: b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + hidden,
    "a folded line": lambda hidden: b"X: a\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
    "a bare line feed": lambda hidden: b"X: a\nContent-Length: 0\r\n\r\n" + hidden,
    "a chunk of negative size": lambda hidden: b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n" + hidden,
    "a chunk that is longer": lambda hidden: b"Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n" + hidden,
}


@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_is_smuggled(victim: Victim, shape: str) -> None:
    """What two readers could take for one request or for two is refused, and the connection closed."""
    with socket.create_connection(("127.0.0.1", victim.member.port), LIMIT_S) as sock:
        sock.sendall(b"POST /v3/kv/range HTTP/1.1\r\nHost: a\r\n" + SHAPES[shape](HIDDEN))
        out = b""
        while more := sock.recv(65_536):
            out += more
    assert out.startswith(b"HTTP/1.1 400 ")
    assert out.count(b"HTTP/1.1 ") == 1
    found = victim.stub.call("/etcdserverpb.KV/Range", rpc_pb2.RangeRequest(key=b"smuggled"))
    assert isinstance(found, rpc_pb2.RangeResponse)
    assert found.count == 0


def test_the_hidden_request_is_a_good_one(victim: Victim) -> None:
    """Control: by itself it would have been obeyed."""
    with socket.create_connection(("127.0.0.1", victim.member.port), LIMIT_S) as sock:
        sock.sendall(HIDDEN)
        assert sock.recv(65_536).startswith(b"HTTP/1.1 200 ")
    assert not isinstance(
        victim.stub.call("/etcdserverpb.KV/DeleteRange", rpc_pb2.DeleteRangeRequest(key=b"smuggled")), Failed
    )
