"""The peer port of a member: one ROUTER that hears the other members, and a DEALER for each lane towards them.

What leaves is offered once: a lane that is not connected, or full, loses it (rule 17); raft's progress repairs that.

The control lanes are watched: a connection that breaks and is refused when it is opened anew tells that the process at
its other end is gone, long before silence does. One that only broke is opened again, and tells nothing.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from struct import Struct
from typing import Protocol

import zmq

from zetcd.base import limits
from zetcd.base.settings import Settings
from zetcd.host import clock, sockets
from zetcd.host.loop import MORE, NOBLOCK, Loop
from zetcd.wire.peer import CONTROL

_EVENTS = int(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED | zmq.EVENT_CLOSED)
_EVENT = Struct("=H")  # the first field of a monitor's first frame, libzmq's zmq_socket_monitor(3)
_ATTEMPTS_TOLD = 5
"""So many attempts in a row to reach a peer that is gone are told, over a third of a second: what it had sent may still
be taken after the first one, and let it seem alive."""
_SEND_FRAMES = (limits.PEER_CONTROL_FRAMES_MAX, limits.PEER_DATA_FRAMES_MAX, limits.PEER_SNAPSHOT_FRAMES_MAX)


LaneKey = tuple[int, int, int]
"""(member, lane, life): a lane that is opened anew, to other URLs, is another one."""


class Peers(Protocol):
    """What leaves: see `zetcd.actors.peers.Peers`."""

    incarnation: int
    changed: bool
    look_due: bool
    clock_ns: Callable[[], int]

    def wanted(self) -> Mapping[LaneKey, str]: ...
    def take_frames(self) -> Iterable[tuple[LaneKey, bytes]]: ...
    def take_answers(self) -> Iterable[tuple[bytes, bytes]]: ...
    def on_sent(self, key: LaneKey) -> None: ...
    def on_unsent(self, key: LaneKey) -> None: ...
    def on_answer(self, key: LaneKey, data: bytes) -> None: ...
    def on_disconnected(self, key: LaneKey) -> None: ...


class Raft(Protocol):
    """What arrives: see `zetcd.actors.raft_actor.RaftActor`."""

    def on_peer_frame(self, routing_id: bytes, data: bytes) -> None: ...
    def on_peer_gone(self, member: int) -> None: ...


class Watch:
    """Of one lane's connection, by its socket's monitor."""

    def __init__(self, dealer: "zmq.Socket[bytes]", gone: Callable[[], None], cut: Callable[[], None]) -> None:
        self.monitor: zmq.Socket[bytes] = dealer.get_monitor_socket(_EVENTS)
        self._dealer = dealer
        self._gone = gone
        self._cut = cut
        self._to_tell = 0

    def take(self) -> None:
        """One event. Raises zmq.Again where there is none."""
        (event,) = _EVENT.unpack_from(self.monitor.recv(NOBLOCK))
        self.monitor.recv(NOBLOCK)  # the address
        if event == zmq.EVENT_CLOSED and self._to_tell:  # an attempt to open it anew has failed
            self._to_tell -= 1
            self._gone()
        elif event != zmq.EVENT_CLOSED:
            self._to_tell = 0
            if event == zmq.EVENT_DISCONNECTED:
                self._to_tell = _ATTEMPTS_TOLD
                self._cut()

    def close(self) -> None:
        """Before its socket is closed."""
        self._dealer.disable_monitor()
        self.monitor.close(0)


class PeerPort:
    """Binds at once, so that a wrong address ends the start; connects as members become known."""

    def __init__(
        self,
        context: "zmq.Context[zmq.Socket[bytes]]",
        settings: Settings,
        actor: Raft,
        peers: Peers,
        loop: Loop,
    ) -> None:
        self._context = context
        self._actor = actor
        self._peers = peers
        peers.clock_ns = clock.monotonic_ns
        self._loop = loop
        self._dealers: dict[LaneKey, zmq.Socket[bytes]] = {}
        self._watches: dict[LaneKey, Watch] = {}
        self._router = sockets.bind_peers(context, settings.listen_peer_urls)
        loop.add_inlet(self._router, self._take, limits.TURN_FRAMES_MAX)

    def _take(self) -> None:
        receive = self._router.recv
        routing_id = receive(NOBLOCK)
        frame = receive(NOBLOCK, False)
        if not frame.more:
            self._actor.on_peer_frame(routing_id, frame.bytes)
            return
        while frame.more:  # nobody of ours sends that
            frame = receive(NOBLOCK, False)

    def flush(self) -> None:
        """Send what the turn produced."""
        peers = self._peers
        if peers.changed:
            self._connect()
        if peers.look_due:
            # A send may have eaten the edge that told of an answer on a lane; once a tick is enough for those.
            peers.look_due = False
            for each in self._dealers.values():
                self._loop.look_at(each)
        for key, data in peers.take_frames():
            dealer = self._dealers.get(key)
            if dealer is not None and _sent(dealer, data):
                peers.on_sent(key)
            else:
                peers.on_unsent(key)
        for routing_id, data in peers.take_answers():
            self._loop.look_at(self._router)
            try:
                self._router.send(routing_id, MORE)
                self._router.send(data, NOBLOCK)
            except zmq.ZMQError as error:
                if error.errno not in (zmq.EHOSTUNREACH, zmq.EAGAIN):
                    raise

    def _connect(self) -> None:
        """Open and close sockets as lanes have come and gone."""
        peers = self._peers
        peers.changed = False
        wanted = peers.wanted()
        for key in [key for key in self._dealers if key not in wanted]:
            dealer = self._dealers.pop(key)
            self._loop.remove_inlet(dealer)
            watch = self._watches.pop(key, None)
            if watch is not None:
                self._loop.remove_inlet(watch.monitor)
                watch.close()
            dealer.close(0)
        for key, url in wanted.items():
            if key not in self._dealers:
                self._open(key, url)

    def _open(self, key: LaneKey, url: str) -> None:
        # No two lives share a routing id, so nothing stale is taken for new.
        routing_id = f"{self._peers.incarnation:x}:{key[0]:x}:{key[1]}:{key[2]}".encode()
        try:
            dealer = sockets.connect_peer(self._context, url, routing_id, _SEND_FRAMES[key[1]])
        except zmq.ZMQError:
            return  # an address that is none: nobody answers there
        self._dealers[key] = dealer
        if key[1] == CONTROL:
            cut = partial(self._peers.on_disconnected, key)
            watch = self._watches[key] = Watch(dealer, lambda: self._actor.on_peer_gone(key[0]), cut)
            self._loop.add_inlet(watch.monitor, watch.take, limits.TURN_FRAMES_MAX)
        receive, on_answer = dealer.recv, self._peers.on_answer
        self._loop.add_inlet(dealer, lambda: on_answer(key, receive(NOBLOCK)), limits.TURN_FRAMES_MAX)


def _sent(dealer: "zmq.Socket[bytes]", data: bytes) -> bool:
    try:
        dealer.send(data, NOBLOCK)
    except zmq.Again:
        return False
    return True
