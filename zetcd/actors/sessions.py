"""Sessions: from frames on links to the messages of one life of one peer, and back.

Sits between the host's sockets and an actor, pure as both sides of it. The rules (docs/architecture.md, rule 6):

- A dialer opens with Hello, the owner answers with Welcome once it knows its epoch; both count their frames from 1.
- A frame of another epoch, or from a peer that has not said Hello, is dropped; the owner answers the latter with a
  Welcome of sequence 0, which tells a dialer that its session is gone.
- A gap in the sequence, a lost connection or a new epoch ends the process where both ends share fate. Otherwise the
  dialer opens a new life of the link (a new routing id, so that nothing stale can reach it) and says Hello again.
- A process that ends in order says Leave; losing it is then no failure, whoever shares its fate.
- raft adopts the epoch from wal, apply from raft; an epoch, once adopted, never changes within a process.
"""

from dataclasses import dataclass, field

from zetcd.actors.actor import Actor, Peer
from zetcd.actors.tracing import Tracer
from zetcd.base.errors import Fatal, WireError
from zetcd.wire import codec, routes
from zetcd.wire.local import Frame, Hello, Leave, Message, Welcome

HELLO_EVERY_MS = 20
"""An unanswered Hello is sent again: the owner may not be listening yet."""


@dataclass(slots=True)
class _Link:
    """One session. peer is None until Hello or Welcome has come; sent and seen are the last sequences."""

    routing_id: bytes
    peer: Peer | None = None
    epoch: int = 0
    sent: int = 0
    seen: int = 0
    life: int = 0
    left: bool = False
    hello_at: int = -HELLO_EVERY_MS
    waiting: Hello | None = None  # owner's side: Hello that waits for our own epoch


Outgoing = tuple[str, bytes, bytes]
"""What the host sends: (link, routing id, data). link is the owner's role; a dialer's frames have no routing id."""


@dataclass(slots=True)
class Counters:
    """Frames that were not delivered, by reason."""

    undecodable: int = 0
    stale: int = 0
    unknown: int = 0
    reopened: int = 0


@dataclass(slots=True)
class Sessions:
    """All links of one actor. epoch, cluster and member are the actor's own once known (0 before)."""

    actor: Actor
    number: int
    incarnation: int
    tracer: Tracer | None = None
    epoch: int = 0
    cluster: int = 0
    member: int = 0
    counters: Counters = field(default_factory=Counters)
    _dialed: dict[str, _Link] = field(default_factory=dict)
    _accepted: dict[bytes, _Link] = field(default_factory=dict)
    _by_peer: dict[Peer, tuple[str, _Link]] = field(default_factory=dict)
    _control: list[Outgoing] = field(default_factory=list)
    reopen: list[str] = field(default_factory=list)
    ending: bool = False  # this process has been told to stop
    _open: int = 0  # dialed links with a peer
    _waiting: int = 0  # accepted links whose Hello waits for our epoch

    def __post_init__(self) -> None:
        for owner in routes.dials(self.actor.role):
            self._dialed[owner] = _Link(self._routing_id(0))

    # -- what the host asks ----------------------------------------------------------------------------------------
    def routing_id(self, owner: str) -> bytes:
        """Identity for the DEALER towards owner, of the link's present life."""
        return self._dialed[owner].routing_id

    def take_reopen(self) -> list[str]:
        """Owners whose DEALER the host must close and open anew with `routing_id`: what `reopen` holds."""
        links, self.reopen = self.reopen, []
        return links

    def on_tick(self, now_ms: int) -> None:
        """Say Hello where no Welcome has come yet; then the actor's own tick."""
        self.dial(now_ms)
        self.actor.on_tick(now_ms)

    def dial(self, now_ms: int) -> None:
        """Queue the Hellos that are due."""
        for owner, link in self._dialed.items():
            if link.peer is None and now_ms - link.hello_at >= HELLO_EVERY_MS:
                link.hello_at = now_ms
                hello = Hello(self.actor.role, self.number, self.incarnation, self.epoch)
                self._control.append((owner, b"", self._frame(0, 0, [hello])))

    @property
    def connecting(self) -> bool:
        """Whether some link still waits for its Welcome."""
        return self._open < len(self._dialed)

    # -- frames in -------------------------------------------------------------------------------------------------
    def on_frame(self, owner: str, routing_id: bytes, data: bytes) -> None:
        """A frame on the link that owner binds; routing_id is empty where we are the dialer."""
        try:
            frame = codec.decode_frame(data)
        except WireError:
            self.counters.undecodable += 1
            return
        if self.tracer is not None:
            self.tracer.received(frame.hops)
        if routing_id:
            self._on_accepted(routing_id, frame)
        else:
            self._on_dialed(owner, frame)

    def _on_dialed(self, owner: str, frame: Frame) -> None:
        link = self._dialed[owner]
        if frame.sequence == 0:
            self._on_welcome(owner, link, frame)
            return
        peer = link.peer
        if peer is None or frame.epoch != link.epoch or frame.incarnation != peer.incarnation:
            self.counters.stale += 1
            return
        if frame.sequence != link.seen + 1:
            self._lose(owner, link, f"gap in frames from {owner}: {link.seen} then {frame.sequence}")
            return
        link.seen = frame.sequence
        self._deliver(link, peer, frame.messages)

    def _on_welcome(self, owner: str, link: _Link, frame: Frame) -> None:
        welcome = frame.messages[0] if frame.messages else None
        if not isinstance(welcome, Welcome):
            self.counters.unknown += 1
            return
        if link.peer is not None:
            if welcome.incarnation != link.peer.incarnation or welcome.epoch != link.epoch:
                self._lose(owner, link, f"{owner} was restarted")
            return
        if routes.is_fate(self.actor.role, owner):
            self._adopt(owner, welcome)
        link.epoch = welcome.epoch
        link.peer = Peer(owner, 0, welcome.incarnation, welcome.cluster, welcome.member)
        self._by_peer[link.peer] = (owner, link)
        self._open += 1
        if not self.member:
            self.cluster, self.member = welcome.cluster, welcome.member
        self.actor.on_peer(link.peer)

    def _adopt(self, owner: str, welcome: Welcome) -> None:
        if self.epoch and self.epoch != welcome.epoch:
            raise Fatal(f"{owner} is in epoch {welcome.epoch}, this {self.actor.role} in {self.epoch}")
        self.epoch, self.cluster, self.member = welcome.epoch, welcome.cluster, welcome.member

    def _on_accepted(self, routing_id: bytes, frame: Frame) -> None:
        link = self._accepted.get(routing_id)
        if frame.sequence == 0:
            hello = frame.messages[0] if frame.messages else None
            if isinstance(hello, Hello):
                self._on_hello(routing_id, hello)
            else:
                self.counters.unknown += 1
            return
        if link is None or link.peer is None:
            self.counters.unknown += 1
            if self.epoch:
                self._send_welcome(routing_id)
            return
        if frame.epoch != link.epoch:
            self.counters.stale += 1
            return
        if frame.sequence != link.seen + 1:
            self._forget(link, f"gap in frames from {link.peer.role}: {link.seen} then {frame.sequence}")
            self._send_welcome(routing_id)
            return
        link.seen = frame.sequence
        self._deliver(link, link.peer, frame.messages)

    def _on_hello(self, routing_id: bytes, hello: Hello) -> None:
        link = self._accepted.get(routing_id)
        if link is not None and link.peer is not None:
            self._send_welcome(routing_id)  # our first Welcome may have crossed its second Hello
            return
        if (hello.role, self.actor.role) not in {(route.dialer, route.owner) for route in routes.ROUTES}:
            self.counters.unknown += 1
            return
        link = self._accepted.setdefault(routing_id, _Link(routing_id))
        link.waiting = hello
        self._waiting += 1
        if self.epoch:
            self._admit(link, hello)

    def _admit(self, link: _Link, hello: Hello) -> None:
        link.waiting = None
        self._waiting = 0  # all of them are admitted together
        self._send_welcome(link.routing_id)
        if routes.is_fate(self.actor.role, hello.role) and hello.epoch not in (0, self.epoch):
            del self._accepted[link.routing_id]  # it reads our epoch in the Welcome and ends
            return
        for other in list(self._accepted.values()):
            if other.peer is not None and (other.peer.role, other.peer.number) == (hello.role, hello.number):
                self._forget(other, f"{hello.role} {hello.number} was restarted")
        link.epoch = self.epoch
        link.peer = Peer(hello.role, hello.number, hello.incarnation)
        self._by_peer[link.peer] = (self.actor.role, link)
        self.actor.on_peer(link.peer)

    def _deliver(self, link: _Link, peer: Peer, messages: list[Message]) -> None:
        if messages and type(messages[-1]) is Leave:
            link.left = True
            messages.pop()
        if messages:
            self.actor.on_batch(peer, messages)

    # -- losing a link ---------------------------------------------------------------------------------------------
    def on_disconnect(self, owner: str) -> None:
        """The connection of a dialed link broke: the owner died, or will never hear what was on the way.

        Where all are told to stop at once, the owner has left, whether its word of that arrived or not: ZeroMQ drops
        what nobody has read yet when it opens a connection anew, and on a busy machine that may be the Leave.
        """
        link = self._dialed[owner]
        link.left = link.left or self.ending
        if link.peer is not None:
            self._lose(owner, link, f"connection to {owner} broke")

    def on_unreachable(self, routing_id: bytes) -> None:
        """A send to an accepted peer failed: its process is gone."""
        link = self._accepted.get(routing_id)
        if link is not None:
            self._forget(link, "peer is unreachable")

    def _lose(self, owner: str, link: _Link, reason: str) -> None:
        if routes.is_fate(self.actor.role, owner) and not link.left:
            raise Fatal(f"{self.actor.role} shares fate with {owner}: {reason}")
        peer = link.peer
        life = link.life + 1
        self._dialed[owner] = _Link(self._routing_id(life), life=life)
        self.reopen.append(owner)
        self.counters.reopened += 1
        if peer is not None:
            self._open -= 1
            self._drop(peer)

    def _forget(self, link: _Link, reason: str) -> None:
        self._accepted.pop(link.routing_id, None)
        peer, link.peer = link.peer, None
        if peer is None:
            return
        if routes.is_fate(self.actor.role, peer.role) and not link.left:
            raise Fatal(f"{self.actor.role} shares fate with {peer.role}: {reason}")
        self._drop(peer)

    def _drop(self, peer: Peer) -> None:
        del self._by_peer[peer]
        self.actor.outbox.pop(peer, None)
        self.actor.on_lost(peer)
        self.actor.outbox.pop(peer, None)

    # -- frames out ------------------------------------------------------------------------------------------------
    def end_turn(self) -> list[Outgoing]:
        """The actor's end of turn; then what to send, at most one frame per peer."""
        if self._waiting and self.epoch:
            for link in [each for each in self._accepted.values() if each.waiting is not None]:
                assert link.waiting is not None
                self._admit(link, link.waiting)
        actor = self.actor
        actor.end_turn()
        out, self._control = self._control, []
        if actor.outbox:
            outbox, actor.outbox = actor.outbox, {}
            for peer, messages in outbox.items():
                at = self._by_peer.get(peer)
                if at is None:
                    continue  # lost within this very turn
                owner, link = at
                link.sent += 1
                routing_id = link.routing_id if owner == actor.role else b""
                out.append((owner, routing_id, self._frame(link.epoch, link.sent, messages)))
        return out

    def leave(self) -> None:
        """Say Leave to every peer, in the frames of the next `end_turn`: this process ends in order."""
        for peer in self._by_peer:
            self.actor.send(peer, Leave())

    def _frame(self, epoch: int, sequence: int, messages: list[Message]) -> bytes:
        if self.tracer is None:
            return codec.encode(Frame(epoch, self.incarnation, sequence, messages))
        return codec.encode(Frame(epoch, self.incarnation, sequence, messages, self.tracer.outgoing()))

    def _send_welcome(self, routing_id: bytes) -> None:
        welcome = Welcome(self.epoch, self.incarnation, self.cluster, self.member)
        self._control.append((self.actor.role, routing_id, self._frame(self.epoch, 0, [welcome])))

    def _routing_id(self, life: int) -> bytes:
        return f"{self.actor.role}:{self.number}:{self.incarnation:x}:{life}".encode()
