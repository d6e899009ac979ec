"""Peers: who the other members are, and the lanes to and from them. Pure: `zetcd.host.peer_port` has the sockets.

    towards each other member:  lanes control, data, snapshot (a DEALER each)   --> its ROUTER
    from each other member:     whatever its lanes bring to our ROUTER          --> `on_frame`

- A lane begins with PeerHello, in the frame of its first messages; nobody waits for the answer. A listener that does
  not know a lane (it was restarted) says so, and the dialer says hello again.
- A hello of another cluster, another protocol, of a removed member or for somebody else is refused with a reason that
  both sides log. A member that the log has not named yet may speak: the core knows whom it counts.
- Whatever cannot be sent now is dropped (rule 17): raft's progress, and whoever asked, repair it.
- Nothing a peer sends ends the process: what does not decode, or speaks for somebody else, is counted and dropped.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from zetcd.actors.peer_traffic import PeerTraffic
from zetcd.base import limits
from zetcd.base.errors import WireError
from zetcd.wire.local import MemberList
from zetcd.wire.peer import (
    CONTROL,
    DATA,
    LANES,
    PROTOCOL,
    SNAPSHOT,
    Append,
    BetweenMembers,
    Forward,
    Heartbeat,
    HeartbeatReply,
    MembersAnswer,
    MembersAsk,
    PeerHello,
    PeerRefusal,
    PeerUnknown,
    PeerWelcome,
    SnapshotPart,
    decode_peer_frame,
    encode_peer_frame,
)
from zetcd.wire.results import MemberRow

LaneKey = tuple[int, int, int]
"""(member, kind, life)."""
_LANE_OF = {Append: DATA, SnapshotPart: SNAPSHOT}


class Log(Protocol):
    """As `zetcd.host.logs.Logger`."""

    def info(self, msg: str, **fields: object) -> None: ...
    def warn(self, msg: str, **fields: object) -> None: ...


@dataclass(slots=True, eq=False)
class Lane:
    """A connection to another member at one of its URLs, the one at `at`; opened anew it has another life. said: hello
    has left on it; left_ms: when something last did, or it was opened; queue: the messages of this turn."""

    member: int
    kind: int
    urls: tuple[str, ...]
    life: int
    left_ms: int
    at: int = 0
    said: bool = False
    welcomed: int = 0  # the listener's incarnation
    refused: str = ""
    resume_at_ms: int = 0
    queue: list[BetweenMembers] = field(default_factory=list)

    @property
    def key(self) -> LaneKey:
        """Names the socket."""
        return self.member, self.kind, self.life


@dataclass(frozen=True, slots=True)
class _Session:
    """A lane that another member has opened to us."""

    member: int
    kind: int
    incarnation: int


@dataclass(slots=True)
class PeerCounters:
    """Frames and messages that were not delivered, by reason."""

    undecodable: int = 0
    unknown: int = 0
    foreign: int = 0
    refused: int = 0
    unsent: int = 0


class Peers:
    """removed: a member of our cluster told us that we were removed from it."""

    def __init__(self, name: str, urls: Sequence[str], incarnation: int, log: Log) -> None:
        self.name = name
        self.urls = list(urls)
        self.incarnation = incarnation
        self.cluster = 0
        self.member = 0
        self.counters = PeerCounters()
        self.traffic: dict[int, PeerTraffic] = {}
        """By member; those to which lanes lead."""
        self.clock_ns: Callable[[], int] = lambda: 0
        """The host's, for the time that answers take."""
        self.lanes: dict[tuple[int, int], Lane] = {}
        self.changed = False
        """Whether lanes came or went: the host opens and closes sockets, and clears it."""
        self.look_due = False
        """Whether the host is to look for answers on all lanes; it clears it."""
        self.removed = ""
        self.known: MemberList | None = None
        self._log = log
        self._strangers: dict[int, tuple[str, ...]] = {}  # members the log has not named yet, by their own word
        self._sessions: dict[bytes, _Session] = {}
        self._routes: dict[tuple[int, int], bytes] = {}
        self._answers: list[tuple[bytes, bytes]] = []
        self._leaving: Sequence[BetweenMembers] = ()  # in the frame that the host is sending
        self._leaving_bytes = 0
        self._returned: list[Forward] = []
        self._told: dict[tuple[int, str], None] = {}  # refusals that are in the log already
        self._now_ms = 0
        self._lives = 0

    # -- who they are ------------------------------------------------------------------------------------------------
    def identify(self, cluster: int, member: int) -> None:
        """Who this member is; before that nobody can say hello."""
        self.cluster, self.member = cluster, member

    def set_members(self, known: MemberList) -> None:
        """The members as applied: open lanes to those that came, close those of members that left."""
        self.known = known
        for row in known.members:
            self._strangers.pop(row[0], None)
        for member in known.removed:
            self._strangers.pop(member, None)
            for kind in range(len(LANES)):
                self._sessions.pop(self._routes.pop((member, kind), b""), None)
        self._set_lanes()

    def name_of(self, member: int) -> str:
        """For messages."""
        rows = self.known.members if self.known is not None else []
        return next((row[1] for row in rows if row[0] == member and row[1]), f"{member:x}")

    def _set_lanes(self) -> None:
        wanted = dict(self._strangers)
        if self.known is not None:
            wanted |= {row[0]: tuple(row[2]) for row in self.known.members}
        wanted.pop(self.member, None)
        self.traffic = {member: self.traffic.get(member) or PeerTraffic() for member in wanted}
        for at, lane in list(self.lanes.items()):
            if wanted.get(lane.member) != lane.urls:
                del self.lanes[at]
                self.changed = True
        for member, urls in wanted.items():
            for kind in range(len(LANES)):
                if (member, kind) not in self.lanes and urls:
                    self._open(member, kind, urls)

    def _open(self, member: int, kind: int, urls: tuple[str, ...]) -> None:
        self._lives += 1
        self.lanes[member, kind] = Lane(member, kind, urls, self._lives, self._now_ms)
        self.changed = True

    def _turn_elsewhere(self, lane: Lane) -> None:
        """Try the member's next URL, if it has another one."""
        if len(lane.urls) > 1:
            self._lives += 1
            lane.life, lane.at, lane.left_ms = self._lives, (lane.at + 1) % len(lane.urls), self._now_ms
            lane.said, lane.welcomed = False, 0
            self.changed = True

    def wanted(self) -> dict[LaneKey, str]:
        """The lanes that want a socket, and to where."""
        return {lane.key: lane.urls[lane.at] for lane in self.lanes.values()}

    @property
    def active(self) -> set[int]:
        """Members that have answered on a lane to them."""
        return {lane.member for lane in self.lanes.values() if lane.welcomed}

    # -- out ---------------------------------------------------------------------------------------------------------
    def send(self, message: BetweenMembers) -> bool:
        """Queue message for the frame that this turn sends on its lane; False where it was dropped: there is none, or
        it was refused lately."""
        lane = self.lanes.get((message.target, _LANE_OF.get(type(message), CONTROL)))
        if lane is None or (lane.refused and lane.resume_at_ms > self._now_ms):
            self.counters.unsent += 1
            return False
        lane.queue.append(message)
        return True

    def on_tick(self, now_ms: int) -> None:
        """Monotonic milliseconds."""
        self._now_ms = now_ms
        self.look_due = True

    def take_frames(self) -> Iterable[tuple[LaneKey, bytes]]:
        """The frames of this turn; for each the host calls `on_sent` or `on_unsent`."""
        for lane in self.lanes.values():
            if lane.queue:
                queue, lane.queue = lane.queue, []
                yield from self._frames(lane, queue)
            elif not lane.said and lane.kind == CONTROL and lane.resume_at_ms <= self._now_ms and self.member:
                # So that a wrong address shows before anything is to be sent.
                lane.resume_at_ms = self._now_ms + limits.PEER_HELLO_MS
                hello = encode_peer_frame([self._hello(lane)])
                self._leaving, self._leaving_bytes = (), len(hello)
                yield lane.key, hello

    def _frames(self, lane: Lane, queue: list[BetweenMembers]) -> Iterable[tuple[LaneKey, bytes]]:
        if lane.kind == DATA:
            start = size = 0
            for position, message in enumerate(queue):
                if isinstance(message, Append):
                    size += sum([len(block.data) for block in message.blocks])
                if size >= limits.PEER_FRAME_BYTES and position + 1 < len(queue):
                    yield lane.key, self._frame(lane, queue[start : position + 1])
                    start, size = position + 1, 0
            queue = queue[start:]
        yield lane.key, self._frame(lane, queue)

    def _frame(self, lane: Lane, messages: list[BetweenMembers]) -> bytes:
        self._leaving = messages
        frame = encode_peer_frame(messages if lane.said else [self._hello(lane), *messages])
        self._leaving_bytes = len(frame)
        return frame

    def _hello(self, lane: Lane) -> PeerHello:
        return PeerHello(
            PROTOCOL, self.cluster, self.member, lane.member, self.incarnation, lane.kind, self.name, self.urls
        )

    def on_sent(self, key: LaneKey) -> None:
        """The frame has left."""
        lane = self.lanes[key[:2]]
        lane.said, lane.left_ms = True, self._now_ms
        traffic = self.traffic[key[0]]
        traffic.sent_bytes += self._leaving_bytes
        if lane.kind == CONTROL:
            for message in self._leaving:
                if type(message) is Heartbeat:
                    traffic.asked(self.clock_ns())
                    break

    def on_unsent(self, key: LaneKey) -> None:
        """Nobody is connected there, or too much waits already. After a while of that another URL is tried."""
        self.counters.unsent += 1
        self.traffic[key[0]].unsent += 1
        lane = self.lanes[key[:2]]
        if self._now_ms - lane.left_ms >= limits.PEER_CONNECT_MAX_MS:
            self._turn_elsewhere(lane)
        self._returned += [message for message in self._leaving if type(message) is Forward]

    def on_disconnected(self, key: LaneKey) -> None:
        """The connection of a control lane broke."""
        traffic = self.traffic.get(key[0])
        if traffic is not None:
            traffic.disconnected()

    def take_returned(self) -> list[Forward]:
        """Forwards that certainly did not leave."""
        returned, self._returned = self._returned, []
        return returned

    def take_answers(self) -> list[tuple[bytes, bytes]]:
        """(routing id, frame) to send through the ROUTER."""
        answers, self._answers = self._answers, []
        return answers

    # -- in ----------------------------------------------------------------------------------------------------------
    def on_frame(self, routing_id: bytes, data: bytes) -> Sequence[BetweenMembers]:
        """A frame that came to the ROUTER; the messages for raft in it."""
        try:
            messages = decode_peer_frame(data)
        except WireError:
            self.counters.undecodable += 1
            return ()
        first = messages[0] if messages else None
        if type(first) is PeerHello:
            if not self._admit(routing_id, first):
                return ()
            del messages[0]
        elif type(first) is MembersAsk:
            self._answer_members(routing_id)
            return ()
        session = self._sessions.get(routing_id)
        if session is None:
            self.counters.unknown += 1
            if self.member:
                self._answers.append((routing_id, encode_peer_frame([PeerUnknown(self.member)])))
            return ()
        source, target = session.member, self.member
        traffic = self.traffic.get(source)
        if traffic is not None:
            traffic.received_bytes += len(data)
        taken: list[BetweenMembers] = []
        for message in messages:
            if isinstance(message, BetweenMembers) and message.source == source and message.target == target:
                taken.append(message)
                if type(message) is HeartbeatReply and traffic is not None:
                    traffic.answered(self.clock_ns())
            else:
                self.counters.foreign += 1
        return taken

    def _admit(self, routing_id: bytes, hello: PeerHello) -> bool:
        if not self.member or not 0 <= hello.lane < len(LANES) or not hello.member:
            return False
        complaint = self._complaint(hello)
        if complaint is not None:
            self.counters.refused += 1
            self._answers.append((routing_id, encode_peer_frame([complaint])))
            self._tell(hello.member, complaint.reason, "refused a peer", name=hello.name, urls=hello.urls)
            return False
        key = (hello.member, hello.lane)
        former = self._routes.get(key)
        if former is not None and former != routing_id:
            self._sessions.pop(former, None)
        self._routes[key] = routing_id
        self._sessions[routing_id] = _Session(hello.member, hello.lane, hello.incarnation)
        self._meet(hello)
        for kind in range(len(LANES)):
            lane = self.lanes.get((hello.member, kind))
            if lane is not None and lane.welcomed not in (0, hello.incarnation):
                lane.said, lane.welcomed = False, 0  # it was restarted, and knows our lanes no more
        welcome = PeerWelcome(self.member, self.incarnation, self.name)
        self._answers.append((routing_id, encode_peer_frame([welcome])))
        return True

    def _complaint(self, hello: PeerHello) -> PeerRefusal | None:
        kind, reason = PeerRefusal.OTHER, ""
        if hello.version != PROTOCOL:
            reason = f"protocol {hello.version} is spoken there, {PROTOCOL} here: upgrade in order"
        elif hello.cluster != self.cluster:
            reason = f"it belongs to cluster {hello.cluster:x}, this member to {self.cluster:x}"
        elif self.known is not None and hello.member in self.known.removed:
            kind, reason = PeerRefusal.REMOVED, f"member {hello.member:x} was removed from the cluster"
        elif hello.target != self.member:
            reason = f"it means member {hello.target:x}, but member {self.member:x} listens here"
        elif hello.member == self.member:
            reason = f"it says it were member {self.member:x}, which is this one: a copy of its data directory?"
        return PeerRefusal(self.member, kind, reason) if reason else None

    def _meet(self, hello: PeerHello) -> None:
        """Somebody the log has not named yet: its own word says where it is to be answered."""
        if self.known is not None and any(row[0] == hello.member for row in self.known.members):
            return
        urls = tuple(hello.urls)
        if self._strangers.get(hello.member) != urls:
            self._strangers.pop(hello.member, None)
            while len(self._strangers) >= limits.PEER_STRANGERS_MAX:
                del self._strangers[next(iter(self._strangers))]
            self._strangers[hello.member] = urls
            self._set_lanes()

    def _answer_members(self, routing_id: bytes) -> None:
        rows: list[MemberRow] = self.known.members if self.known is not None else []
        answer = MembersAnswer(PROTOCOL, self.cluster, self.member, rows)
        self._answers.append((routing_id, encode_peer_frame([answer])))

    def on_answer(self, key: LaneKey, data: bytes) -> None:
        """A frame that came back on one of our lanes."""
        lane = self.lanes.get(key[:2])
        if lane is None or lane.life != key[2]:
            return
        try:
            messages = decode_peer_frame(data)
        except WireError:
            self.counters.undecodable += 1
            return
        for message in messages:
            if type(message) is PeerWelcome:
                self._on_welcome(lane, message)
            elif type(message) is PeerUnknown:
                lane.said = False
                lane.resume_at_ms = 0
            elif type(message) is PeerRefusal:
                self._on_refusal(lane, message)
            else:
                self.counters.foreign += 1

    def _on_welcome(self, lane: Lane, message: PeerWelcome) -> None:
        if lane.kind == CONTROL and lane.welcomed != message.incarnation:
            self._log.info("peer connected", peer=f"{lane.member:x}", name=message.name, urls=lane.urls)
        lane.welcomed, lane.refused = message.incarnation, ""
        self._told = {told: None for told in self._told if told[0] != lane.member}

    def _on_refusal(self, lane: Lane, message: PeerRefusal) -> None:
        lane.said, lane.welcomed, lane.refused = False, 0, message.reason
        lane.queue.clear()
        lane.resume_at_ms = self._now_ms + limits.PEER_REFUSED_RETRY_MS
        self._tell(lane.member, message.reason, "refused by a peer", urls=lane.urls)
        if message.kind == PeerRefusal.REMOVED:
            self.removed = message.reason
        self._turn_elsewhere(lane)  # somebody else may live at that address

    def _tell(self, member: int, reason: str, msg: str, **fields: object) -> None:
        if (member, reason) not in self._told:
            if len(self._told) >= limits.PEER_STRANGERS_MAX:
                self._told.clear()
            self._told[member, reason] = None
            self._log.warn(msg, peer=f"{member:x}", reason=reason, **fields)
