"""What the sockets between members tell: here the other end is a ROUTER of the test."""

import struct
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zmq

from tests.compat.oracle import free_ports
from zetcd.actors.peers import Peers
from zetcd.base.settings import Settings
from zetcd.host import sockets
from zetcd.host.peer_port import PeerPort, Watch
from zetcd.wire.local import MemberList
from zetcd.wire.results import MemberRow

OTHER = 7
LIMIT_S = 20.0


class Inlets:
    """A loop that looks at every socket."""

    def __init__(self) -> None:
        self.takes: dict[object, Callable[[], None]] = {}

    def add_inlet(self, sock: object, take: Callable[[], None], _bound: int) -> None:
        self.takes[sock] = take

    def remove_inlet(self, sock: object) -> None:
        del self.takes[sock]

    def look_at(self, _sock: object) -> None:
        pass

    def run(self, until: Callable[[], bool], limit_s: float = LIMIT_S) -> bool:
        end = time.monotonic() + limit_s
        while not until() and time.monotonic() < end:
            for take in list(self.takes.values()):
                try:
                    while True:
                        take()
                except zmq.Again:
                    pass
            time.sleep(0.002)
        return until()


class Raft:
    def __init__(self, peers: Peers) -> None:
        self.peers = peers
        self.gone: list[int] = []

    def on_peer_frame(self, routing_id: bytes, data: bytes) -> None:
        self.peers.on_frame(routing_id, data)

    def on_peer_gone(self, member: int) -> None:
        self.gone.append(member)


class Silent:
    def info(self, msg: str, **fields: object) -> None: ...

    warn = info


class Rig:
    """A port whose peer OTHER is at other, which accepts connections and reads nothing; or where nobody is yet."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", *, there: bool = True) -> None:
        self.context = context
        [port] = free_ports(1)
        self.url = f"tcp://127.0.0.1:{port}"
        if there:
            self.other = self.bind(self.url)
        peers = Peers("m1", ["tcp://127.0.0.1:1"], 1, Silent())
        peers.identify(5, 6)
        row: MemberRow = (OTHER, "m2", [self.url], [], False)
        peers.set_members(MemberList([row], []))
        self.loop = Inlets()
        self.raft = Raft(peers)
        settings = Settings(listen_peer_urls=("tcp://127.0.0.1:0",))
        self.port = PeerPort(context, settings, self.raft, peers, self.loop)  # type: ignore[arg-type]  # as Loop
        self.port.flush()

    def bind(self, url: str) -> "zmq.Socket[bytes]":
        return sockets.bind_peers(self.context, (url,))

    def heard(self) -> bool:
        """Whether something has come to the other end: then the connection stands."""
        self.raft.peers.on_tick(time.monotonic_ns() // 1_000_000)
        self.port.flush()
        return bool(self.other.poll(0))


@pytest.fixture
def context() -> Iterator["zmq.Context[zmq.Socket[bytes]]"]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    yield context
    context.destroy(0)


@pytest.fixture
def rig(context: "zmq.Context[zmq.Socket[bytes]]") -> Rig:
    return Rig(context)


def test_a_peer_whose_process_has_ended_is_told_a_few_times(rig: Rig) -> None:
    assert rig.loop.run(rig.heard)
    assert not rig.raft.gone
    rig.other.close(0)
    assert rig.loop.run(lambda: bool(rig.raft.gone))
    assert rig.loop.run(lambda: len(rig.raft.gone) == 5)
    assert not rig.loop.run(lambda: len(rig.raft.gone) > 5, 1.0)
    assert set(rig.raft.gone) == {OTHER}


def test_a_peer_that_was_never_there_is_not_gone(context: "zmq.Context[zmq.Socket[bytes]]") -> None:
    rig = Rig(context, there=False)
    rig.loop.run(lambda: False, 0.5)
    assert not rig.raft.gone
    rig.other = rig.bind(rig.url)
    assert rig.loop.run(rig.heard)
    rig.other.close(0)
    assert rig.loop.run(lambda: bool(rig.raft.gone))


@pytest.mark.parametrize(
    ("events", "told"),
    [
        ([zmq.EVENT_CLOSED], 0),
        ([zmq.EVENT_DISCONNECTED], 0),
        ([zmq.EVENT_DISCONNECTED, zmq.EVENT_HANDSHAKE_SUCCEEDED, zmq.EVENT_CLOSED], 0),
        ([zmq.EVENT_DISCONNECTED, zmq.EVENT_CLOSED, zmq.EVENT_CLOSED, zmq.EVENT_HANDSHAKE_SUCCEEDED], 2),
        ([zmq.EVENT_DISCONNECTED] + [zmq.EVENT_CLOSED] * 9, 5),
    ],
)
def test_only_a_broken_connection_that_cannot_be_opened_again_tells(events: list[zmq.Event], told: int) -> None:
    class Monitored:
        def __init__(self) -> None:
            self.frames = [frame for event in events for frame in (struct.pack("=HI", event, 7), b"tcp://")]

        def get_monitor_socket(self, mask: int) -> "Monitored":
            assert all(event & mask for event in events)
            return self

        def recv(self, _flags: int) -> bytes:
            return self.frames.pop(0)

    gone: list[int] = []
    cut: list[int] = []
    monitored: Any = Monitored()
    watch = Watch(monitored, lambda: gone.append(OTHER), lambda: cut.append(OTHER))
    for _ in events:
        watch.take()
    assert len(gone) == told
    assert len(cut) == events.count(zmq.Event.DISCONNECTED)


def test_a_lane_that_is_closed_takes_its_monitor_along(rig: Rig) -> None:
    watched = len(rig.loop.takes)
    rig.raft.peers.set_members(MemberList([], [OTHER]))
    rig.port.flush()
    assert len(rig.loop.takes) == watched - 4  # three lanes, one of them watched
