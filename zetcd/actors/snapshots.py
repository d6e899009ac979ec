"""Snapshots in apply: the store goes to members that are behind the log, and comes to this one (design rule 7).

    raft --SnapshotWanted--> here --Relay(Offer, Chunk, End)--> raft --lane snapshot--> raft --Relay--> there
    there --SnapshotArrived--> its raft steps it; wal syncs mark and hard state --> raft --Install--> the switch

- The view that is sent is LevelDB's own: every flush carries the state record, so it stands at exactly one (index,
  term). Between two turns one chunk is read, of bounded size (rule 19), as fast as `zetcd.snapshot.pace` allows; the
  window bounds what is in memory.
- Both sides go on serving meanwhile. The receiver writes beside its store, on a thread of its own.
- The switch ends the process after CURRENT was renamed: raft, wal and apply start anew on the new store, in a new
  epoch. That is the way every start goes, so reads that wait, feed cursors, leases and members are taken up as after
  any restart: an api process reads the history behind its cursor from the new store, or learns that it was compacted.
  To open the store in the running process would be a second way to the same, and could be taken only half.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from zetcd.actors.actor import Actor, Peer
from zetcd.base import limits
from zetcd.base.errors import Fatal, WireError
from zetcd.base.meter import Meter
from zetcd.snapshot.pace import Pace
from zetcd.snapshot.receiving import Phase, Receiver, Stage
from zetcd.snapshot.sending import Sender
from zetcd.state.machine import Machine
from zetcd.wire.local import Install, Relay, SnapshotArrived, SnapshotSent, SnapshotUnwanted, SnapshotWanted
from zetcd.wire.snapshot import Chunk, Receipt, decode_snapshot, encode_snapshot


class Stores(Protocol):
    """The switch; `zetcd.host.stores.Stores`."""

    def switch(self, index: int, term: int) -> None:
        """The snapshot at (index, term) is the store from now on, durably."""


_SEND_BOUNDS = tuple(0.1 * 2**at for at in range(10))  # s, etcd's


@dataclass(slots=True)
class Tried:
    """Transfers to one member that are over. took: those that succeeded."""

    sent: int = 0
    failed: int = 0
    took: Meter = field(default_factory=lambda: Meter(_SEND_BOUNDS))


class Snapshots:
    """Both sides; receives only once it is attached. arrived: position of a complete snapshot that an earlier life of
    the process has left, or (0, 0)."""

    def __init__(self, actor: Actor, machine: Machine) -> None:
        self.arrived = (0, 0)
        self.counters = {"undecodable": 0}
        self.tried: dict[int, Tried] = {}
        self.sending: dict[int, Sender] = {}
        self._began_ms: dict[int, int] = {}
        self.receiver: Receiver | None = None
        self._actor = actor
        self._machine = machine
        self._stores: Stores | None = None
        self._raft: Peer | None = None
        self._waiting: dict[int, int] = {}  # member -> term, in line for a transfer
        self._serial = 0
        self._pace = Pace()
        self._now_ms = 0
        self.handlers: dict[type, Callable[..., None]] = {
            SnapshotWanted: self._on_wanted,
            SnapshotUnwanted: self._on_unwanted,
            Relay: self._on_relay,
            Install: self._on_install,
        }

    def attach(self, stage: Stage, stores: Stores, arrived: tuple[int, int] = (0, 0)) -> Receiver:
        """Where snapshots are received. The stage is to tell the receiver the end of each job."""
        self.arrived = arrived
        self._stores = stores
        machine = self._machine
        self.receiver = Receiver(stage, lambda: machine.applied, arrived=arrived != (0, 0))
        return self.receiver

    # -- from raft -------------------------------------------------------------------------------------------------
    def _on_wanted(self, peer: Peer, message: SnapshotWanted) -> None:
        self._raft = peer
        sender = self.sending.get(message.member)
        if sender is not None and sender.term != message.term:
            sender.stop("another term")
        self._waiting[message.member] = message.term

    def _on_unwanted(self, _peer: Peer, message: SnapshotUnwanted) -> None:
        for member, sender in self.sending.items():
            if message.member in (0, member):
                sender.stop("not wanted any more")
        self._waiting = {member: term for member, term in self._waiting.items() if message.member not in (0, member)}

    def _on_relay(self, peer: Peer, message: Relay) -> None:
        self._raft = peer
        try:
            decoded = decode_snapshot(message.data)
        except WireError:
            self.counters["undecodable"] += 1  # another member's fault must not end this one
            return
        if not isinstance(decoded, Receipt):
            if self.receiver is not None:
                self.receiver.on_message(message.member, decoded, self._now_ms)
        elif message.member in self.sending:
            self.sending[message.member].on_receipt(decoded, self._now_ms)

    def _on_install(self, _peer: Peer, message: Install) -> None:
        assert self.receiver is not None
        assert self._stores is not None
        if message.index:
            self._stores.switch(message.index, message.term)
            raise Fatal(f"snapshot at entry {message.index} is installed: starting anew on it")
        self.receiver.settle()

    # -- the turn --------------------------------------------------------------------------------------------------
    def on_tick(self, now_ms: int) -> None:
        """Repeat what was not answered, give up what is dead; more may be sent, with shorter ticks meanwhile."""
        self._now_ms = now_ms
        self._pace.on_tick(now_ms, self._machine.db_bytes)
        if self.sending:
            self._actor.tick_ms = min(self._actor.tick_ms, limits.SNAPSHOT_PACE_MS)
        if self.receiver is not None:
            self.receiver.on_tick(now_ms)
        for sender in self.sending.values():
            sender.on_tick(now_ms)

    @property
    def receiving(self) -> bool:
        """Whether the store of another member is on its way to this one, or being installed."""
        return self.receiver is not None and self.receiver.phase != Phase.IDLE

    @property
    def busy(self) -> bool:
        """Whether `end_turn` would read another chunk at once."""
        return self._pace.open and any(sender.may_step for sender in self.sending.values())

    def end_turn(self) -> None:
        """One chunk of each transfer; then everything that is to be told."""
        if self._waiting:
            self._begin()
        if self.sending:
            self._step()
        if self.receiver is not None:
            self._report(self.receiver)

    def _report(self, receiver: Receiver) -> None:
        if receiver.out:
            out, receiver.out = receiver.out, []
            for member, receipt in out:
                self._tell(Relay(member, encode_snapshot(receipt)))
        if receiver.arrival is not None:
            self._tell(receiver.arrival)
            receiver.arrival = None

    def _begin(self) -> None:
        for member in list(self._waiting):
            if member in self.sending:
                if not self.sending[member].done:
                    del self._waiting[member]  # asked for twice
            elif len(self.sending) < limits.SNAPSHOTS_SENDING_MAX:
                term = self._waiting.pop(member)
                position, rows = self._machine.pin()
                self.tried.setdefault(member, Tried())
                self._began_ms[member] = self._now_ms
                self.sending[member] = Sender(term, self._next_serial, position, rows, self._now_ms)
                self._tell(SnapshotSent(member, position[0], pinned=True))

    def _next_serial(self) -> int:
        self._serial += 1
        return self._serial

    def _step(self) -> None:
        for member, sender in list(self.sending.items()):
            if self._pace.open:
                sender.step()
            out, sender.out = sender.out, []
            for message in out:
                if isinstance(message, Chunk):
                    self._pace.spend(len(message.rows))
                self._tell(Relay(member, encode_snapshot(message)))
            if sender.done:
                del self.sending[member]
                tried, took_ms = self.tried[member], self._now_ms - self._began_ms.pop(member)
                if sender.installed:
                    tried.sent += 1
                    tried.took.observe_ns(took_ms * 1_000_000)
                else:
                    tried.failed += 1
                self._tell(SnapshotSent(member, sender.installed))

    def _tell(self, message: Relay | SnapshotSent | SnapshotArrived) -> None:
        assert self._raft is not None, "whatever happens here began with a word of raft"
        self._actor.send(self._raft, message)
