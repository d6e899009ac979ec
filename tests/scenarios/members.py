"""Whole members without processes: raft, wal and apply actors of each, wired by hand, and a network in between that
loses, repeats, reorders and delays what it likes, under a seed. Disks are those of `zetcd.wal.memory`.

What is checked at the end, of every put with a key of its own: acknowledged ones are there, refused ones are not, none
was executed twice, and all members hold the same.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from zetcd.actors.actor import Actor, Peer
from zetcd.actors.apply_actor import ApplyActor
from zetcd.actors.raft_actor import RaftActor
from zetcd.actors.wal_actor import WalActor
from zetcd.base.settings import Settings
from zetcd.cluster.membership import bootstrap_members, cluster_id
from zetcd.mvcc.engine import MemoryEngine
from zetcd.state.machine import Flush, Machine
from zetcd.wal.memory import MemoryFiles
from zetcd.wire.entry import Entry, Put, Range, encode_entries
from zetcd.wire.local import Message, Propose, ReadBatch, ReadIndex, Refused, Replies
from zetcd.wire.queries import Read
from zetcd.wire.results import Failed, RangeDone

TICK_MS = 100


class Silent:
    """A logger that keeps the last lines for a failing test."""

    def __init__(self) -> None:
        self.lines: deque[str] = deque(maxlen=50)

    def debug(self, msg: str, **fields: object) -> None:
        self.lines.append(f"{msg} {fields}")

    info = warn = error = debug


class Flusher:
    """Never gets to it: a crash leaves the log alone, and no member is ever behind another one's log."""

    def submit(self, flush: Flush) -> None:
        """One at a time, and this is it."""


@dataclass(slots=True)
class Outcomes:
    """Of all puts of a run: keys by what their clients were told."""

    proposed: list[bytes] = field(default_factory=list)
    acked: dict[bytes, None] = field(default_factory=dict)
    refused: dict[bytes, None] = field(default_factory=dict)


class Node:
    """One member; a crash takes its actors and leaves files and engine."""

    def __init__(self, world: "World", number: int, settings: Settings) -> None:
        self.world = world
        self.number = number
        self.settings = settings
        self.files = MemoryFiles()
        self.engine = MemoryEngine()
        self.lives = 0
        self.up = False
        self.log = Silent()
        self.start()

    def start(self) -> None:
        self.lives += 1
        self.up = True
        self.incarnation = self.number * 1000 + self.lives
        settings, log = self.settings, self.log
        self.wal = WalActor(settings, self.files, log, segment_bytes=1 << 20)  # type: ignore[arg-type]  # as Logger
        dice = Random(self.world.random.getrandbits(32))
        self.raft = RaftActor(settings, dice, self.incarnation, log)  # type: ignore[arg-type]  # as Logger
        self.apply = ApplyActor(Machine(self.engine), Flusher())
        ends = {"wal": self.wal, "raft": self.raft, "apply": self.apply}
        self.ends: dict[str, Actor] = dict(ends.items())
        self.api = Peer("api", 0, self.incarnation)
        self.sequence = 0
        self.reads: dict[int, int] = {}  # read sequence -> lowest revision it may show
        self.keys: dict[int, bytes] = {}
        self.peers: dict[str, Peer] = {
            "wal": Peer("wal", 0, 1, settings.cluster_id, settings.member_id),
            "raft": Peer("raft", 0, self.incarnation),
            "apply": Peer("apply", 0, 3),
            "api": self.api,
        }
        self.queues: dict[tuple[str, str], deque[list[Message]]] = {}
        for owner, dialers in (("wal", ("raft", "apply")), ("raft", ("apply", "api")), ("apply", ("api",))):
            for dialer in dialers:
                self.ends[owner].on_peer(self.peers[dialer])
                if dialer != "api":
                    self.ends[dialer].on_peer(self.peers[owner])

    def crash(self) -> None:
        """SIGKILL, or the power goes."""
        if self.world.random.randrange(2):
            self.files.lose_power(self.world.random.randrange)
        else:
            self.files.kill()
        self.up = False

    # -- turns -------------------------------------------------------------------------------------------------------
    def turn(self, name: str) -> bool:
        """Deliver what waits for one actor, or for the api; whether anything did."""
        frames = [(source, queue) for (source, target), queue in self.queues.items() if target == name and queue]
        for source, queue in frames:
            while queue:
                messages = queue.popleft()
                if name == "api":
                    self._on_api(messages)
                else:
                    self.ends[name].on_batch(self.peers[source], messages)
        if name != "api":
            self.end_turn(name)
        return bool(frames)

    def end_turn(self, name: str) -> None:
        actor = self.ends[name]
        actor.end_turn()
        outbox, actor.outbox = actor.outbox, {}
        by_peer = {id(peer): other for other, peer in self.peers.items()}
        for peer, messages in outbox.items():
            self.queues.setdefault((name, by_peer[id(peer)]), deque()).append(messages)
        if name == "raft":
            self._send_to_peers()

    def tick(self) -> None:
        for name, actor in self.ends.items():
            actor.on_tick(self.world.now_ms)
            self.end_turn(name)

    def _send_to_peers(self) -> None:
        peers = self.raft.peers
        wanted = peers.wanted()
        for key, data in peers.take_frames():
            target = self.world.by_url.get(wanted[key])
            if target is None or not target.up or not self.world.random.randrange(50):
                peers.on_unsent(key)
                continue
            peers.on_sent(key)
            routing_id = f"{self.number}:{self.incarnation}:{key[0]}:{key[1]}:{key[2]}".encode()
            self.world.post(lambda t=target, r=routing_id, d=data: t.hear(r, d))  # type: ignore[misc]
        for routing_id, data in peers.take_answers():
            number, incarnation, *key_words = (int(word) for word in routing_id.split(b":"))
            dialer = self.world.nodes[number]
            self.world.post(lambda n=dialer, i=incarnation, k=tuple(key_words), d=data: n.hear_answer(i, k, d))  # type: ignore[misc]

    def hear(self, routing_id: bytes, data: bytes) -> None:
        if self.up:
            self.raft.on_peer_frame(routing_id, data)
            self.end_turn("raft")

    def hear_answer(self, incarnation: int, key: tuple[int, int, int], data: bytes) -> None:
        if self.up and incarnation == self.incarnation:
            self.raft.peers.on_answer(key, data)

    # -- clients -----------------------------------------------------------------------------------------------------
    def put(self) -> None:
        """One put with a key of its own, of this member's api."""
        self.sequence += 1
        key = b"%d/%d" % (self.incarnation, self.sequence)
        self.keys[self.sequence] = key
        self.world.outcomes.proposed.append(key)
        data = encode_entries([Entry(self.incarnation, self.sequence, Put(key, b"v"))])
        self.raft.on_batch(self.api, [Propose(self.sequence, 1, data)])
        self.end_turn("raft")

    def read(self) -> None:
        """A linearizable read of everything: it must show what was acknowledged anywhere before it began."""
        self.sequence += 1
        self.reads[-self.sequence] = len(self.world.outcomes.acked)
        batch = ReadBatch(self.sequence, True, [Read(-self.sequence, Range(b"\0", b"\0", count_only=True))], True)
        self.apply.on_batch(self.api, [batch])
        self.raft.on_batch(self.api, [ReadIndex(self.sequence)])
        self.end_turn("apply")
        self.end_turn("raft")

    def _on_api(self, messages: list[Message]) -> None:
        outcomes = self.world.outcomes
        for message in messages:
            if isinstance(message, Replies):
                for sequence, result in message.replies:
                    if sequence > 0:
                        assert not isinstance(result, Failed), result
                        outcomes.acked[self.keys[sequence]] = None
                    elif isinstance(result, RangeDone):
                        assert result.count >= self.reads.pop(sequence), "a stale read"
                        self.world.fresh_reads += 1
            elif isinstance(message, Refused):
                for sequence in range(message.first_sequence, message.first_sequence + message.count):
                    outcomes.refused[self.keys[sequence]] = None


class World:
    """Members, time, and the frames between members."""

    def __init__(self, seed: int, size: int = 3, loss: int = 10) -> None:
        """loss: one of so many frames is lost, one is sent twice; 0: none."""
        self.random = Random(seed)
        self.loss = loss
        self.now_ms = 0
        self.mail: list[Callable[[], None]] = []
        self.late: list[Callable[[], None]] = []  # repetitions that come when nobody expects them any more
        self.outcomes = Outcomes()
        self.fresh_reads = 0
        cluster = tuple((f"m{n}", f"tcp://10.0.0.{n}:2380") for n in range(size))
        rows = bootstrap_members(cluster, "t")
        ids = {name: member for member, name, _ in rows}
        self.nodes: list[Node] = []
        self.by_url: dict[str, Node] = {}
        for number, (name, url) in enumerate(cluster):
            settings = Settings(
                name=name, data_dir=f"/{name}", initial_advertise_peer_urls=(url,), initial_cluster=cluster,
                initial_cluster_token="t", cluster_id=cluster_id(ids.values()), member_id=ids[name],
                advertise_client_urls=(f"tcp://10.0.0.{number}:2378",),
            )  # fmt: skip
            self.nodes.append(Node(self, number, settings))
            self.by_url[url] = self.nodes[-1]

    def post(self, deliver: Callable[[], None]) -> None:
        """A frame between members leaves."""
        if self.loss and not self.random.randrange(self.loss):
            return
        self.mail.append(deliver)
        if self.loss and not self.random.randrange(self.loss):
            (self.late if self.random.randrange(2) else self.mail).append(deliver)

    def step(self, puts: int = 3) -> None:
        """A moment: some mail in any order, some turns of anybody, some requests."""
        dice = self.random
        for _ in range(dice.randrange(12)):
            if self.mail:
                at = dice.randrange(min(len(self.mail), 8)) if self.loss else 0
                self.mail.pop(at)()
        if len(self.late) > 40:
            self.late.pop(dice.randrange(40))()
        for node in self.nodes:
            if node.up:
                for name in ("wal", "raft", "apply", "api"):
                    if dice.randrange(3):
                        node.turn(name)
                if puts and not dice.randrange(puts):
                    node.put()
                if puts and not dice.randrange(4 * puts):
                    node.read()
        if not dice.randrange(4):
            self.tick()

    def tick(self) -> None:
        self.now_ms += TICK_MS
        for node in self.nodes:
            if node.up:
                node.tick()

    def come_to_rest(self) -> None:
        """Everybody is up, nothing is lost any more, and nothing is asked."""
        self.loss = 0
        for node in self.nodes:
            if not node.up:
                node.start()
        for _ in range(3_000):
            self.step(puts=0)
            if self.now_ms % 1_000 == 0 and not self.mail and self._alike():
                return
        raise AssertionError([list(node.log.lines)[-3:] for node in self.nodes])

    def _alike(self) -> bool:
        leaders = [node for node in self.nodes if node.raft.core is not None and node.raft.core.is_leader]
        revisions = {node.apply.machine.revision for node in self.nodes}
        applied = {node.apply.machine.applied for node in self.nodes}
        return len(leaders) >= 1 and len(revisions) == len(applied) == 1 and not any(map(self._busy, self.nodes))

    @staticmethod
    def _busy(node: Node) -> bool:
        return any(node.queues[at] for at in node.queues if at[1] != "api")

    def check(self) -> None:
        """What must hold once all have come to rest."""
        outcomes = self.outcomes
        stores = []
        for node in self.nodes:
            result = node.apply.machine.query(Range(b"\0", b"\0"))
            while not isinstance(result, RangeDone):
                result = result.step() or result  # type: ignore[union-attr]
            stores.append(result.rows)
        assert all(rows == stores[0] for rows in stores)
        held = dict(stores[0])
        assert not [key for key in outcomes.acked if key not in held], "an acknowledged put is gone"
        assert not [key for key in outcomes.refused if key in held], "a refused put was executed"
        # Every put has a key of its own, so one revision each: a repetition would be one more.
        assert len(held) == self.nodes[0].apply.machine.revision - 1, "something was executed twice"
