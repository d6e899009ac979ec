"""Sessions between actors, wired in memory: hello, epochs, gaps, restarts (rule 6)."""

import pytest

from zetcd.actors.actor import Actor, Peer
from zetcd.actors.sessions import Sessions
from zetcd.base.errors import Fatal
from zetcd.wire.local import Message, Release


class Recorder(Actor):
    """Remembers what it was told."""

    def __init__(self, role: str) -> None:
        super().__init__()
        self.role = role  # type: ignore[misc]
        self.peers: list[Peer] = []
        self.lost: list[Peer] = []
        self.got: list[Message] = []

    def on_peer(self, peer: Peer) -> None:
        self.peers.append(peer)

    def on_lost(self, peer: Peer) -> None:
        self.lost.append(peer)

    def on_batch(self, peer: Peer, messages: list[Message]) -> None:
        self.got.extend(messages)


class Wire:
    """Carries frames between the sessions of several roles; frames can be withheld."""

    def __init__(self) -> None:
        self.now = 0
        self.ends: dict[str, tuple[Sessions, Recorder]] = {}

    def start(self, role: str, incarnation: int, epoch: int = 0) -> Recorder:
        actor = Recorder(role)
        self.ends[role] = (Sessions(actor, 0, incarnation, epoch=epoch, cluster=epoch and 7, member=epoch and 9), actor)
        return actor

    def sessions(self, role: str) -> Sessions:
        return self.ends[role][0]

    def turn(self, drop: str = "") -> None:
        """One turn of each; frames sent by the role named by drop vanish."""
        self.now += 100
        for role, (sessions, _) in list(self.ends.items()):
            sessions.on_tick(self.now)
            for link, routing_id, data in sessions.end_turn():
                if role == drop:
                    continue
                if routing_id:
                    to = routing_id.split(b":")[0].decode()
                    if to in self.ends and self.sessions(to).routing_id(role) == routing_id:
                        self.sessions(to).on_frame(role, b"", data)
                elif link in self.ends:
                    self.sessions(link).on_frame(link, sessions.routing_id(link), data)
            sessions.take_reopen()

    def turns(self, count: int) -> None:
        for _ in range(count):
            self.turn()


def test_hello_and_welcome_open_a_link_and_carry_the_epoch() -> None:
    wire = Wire()
    wal = wire.start("wal", 11, epoch=5)
    raft = wire.start("raft", 12)
    wire.turns(2)
    assert [peer.role for peer in wal.peers] == ["raft"]
    assert [(peer.role, peer.cluster, peer.member) for peer in raft.peers] == [("wal", 7, 9)]
    assert (wire.sessions("raft").epoch, wire.sessions("raft").member) == (5, 9)


def test_an_owner_without_an_epoch_lets_others_wait() -> None:
    wire = Wire()
    raft = wire.start("raft", 12)
    api = wire.start("api", 13)
    wire.turns(3)
    assert not raft.peers
    assert not api.peers
    wire.start("wal", 11, epoch=5)
    wire.turns(3)
    assert [peer.role for peer in api.peers] == ["raft"]


def test_messages_arrive_in_order_and_once() -> None:
    wire = Wire()
    wal = wire.start("wal", 11, epoch=5)
    raft = wire.start("raft", 12)
    wire.turns(2)
    for index in range(5):
        raft.send(raft.peers[0], Release(index, 1))
        wire.turn()
    assert wal.got == [Release(index, 1) for index in range(5)]


def test_a_gap_ends_a_process_of_the_fate_group() -> None:
    wire = Wire()
    wire.start("wal", 11, epoch=5)
    raft = wire.start("raft", 12)
    wire.turns(2)
    raft.send(raft.peers[0], Release(1, 1))
    wire.turn(drop="raft")
    raft.send(raft.peers[0], Release(2, 1))
    with pytest.raises(Fatal, match="gap"):
        wire.turn()


def test_a_gap_resyncs_a_process_outside_the_fate_group() -> None:
    wire = Wire()
    wire.start("wal", 11, epoch=5)
    raft = wire.start("raft", 12)
    api = wire.start("api", 13)
    wire.turns(4)
    first = next(peer for peer in raft.peers if peer.role == "api")
    raft.send(first, Release(1, 1))
    wire.turn(drop="raft")
    raft.send(first, Release(2, 1))
    wire.turns(4)
    assert [peer.role for peer in api.lost] == ["raft"]
    assert [peer.role for peer in api.peers] == ["raft", "raft"]
    assert first in raft.lost
    assert not api.got, "nothing after a gap may be delivered on the old life of the link"
    assert wire.sessions("api").counters.reopened == 1


def test_rule_06_another_epoch_ends_a_process_of_the_fate_group() -> None:
    wire = Wire()
    wire.start("wal", 11, epoch=5)
    wire.start("raft", 12)
    wire.turns(2)
    wire.start("wal", 21, epoch=6)  # wal alone was restarted: raft still lives in epoch 5
    wire.sessions("raft").actor.send(wire.ends["raft"][1].peers[0], Release(1, 1))
    with pytest.raises(Fatal, match="wal was restarted"):
        wire.turns(3)


def test_rule_06_a_frame_of_an_older_epoch_is_dropped() -> None:
    wire = Wire()
    wal = wire.start("wal", 11, epoch=5)
    raft = wire.start("raft", 12)
    wire.turns(2)
    raft.send(raft.peers[0], Release(1, 1))
    ((_, _, stale),) = list(wire.sessions("raft").end_turn())
    routing_id = wire.sessions("raft").routing_id("wal")
    wire.ends.pop("raft")
    wal = wire.start("wal", 21, epoch=6)
    wire.sessions("wal").on_frame("wal", routing_id, stale)
    assert not wal.got
    assert wire.sessions("wal").counters.unknown == 1


def test_a_restarted_dialer_replaces_its_former_life() -> None:
    wire = Wire()
    wire.start("wal", 11, epoch=5)
    raft = wire.start("raft", 12)
    wire.start("api", 13)
    wire.turns(4)
    former = next(peer for peer in raft.peers if peer.role == "api")
    wire.start("api", 14)
    wire.turns(4)
    assert former in raft.lost
    assert [peer.incarnation for peer in raft.peers if peer.role == "api"] == [13, 14]


def test_a_restarted_owner_is_noticed_by_an_idle_dialer_through_its_connection() -> None:
    wire = Wire()
    wire.start("wal", 11, epoch=5)
    wire.start("raft", 12)
    api = wire.start("api", 13)
    wire.turns(4)
    wire.sessions("api").on_disconnect("raft")
    assert [peer.role for peer in api.lost] == ["raft"]
    wire.turns(3)
    assert [peer.role for peer in api.peers] == ["raft", "raft"]


def test_a_broken_connection_ends_a_process_of_the_fate_group() -> None:
    wire = Wire()
    wire.start("wal", 11, epoch=5)
    wire.start("raft", 12)
    wire.turns(2)
    with pytest.raises(Fatal, match="connection to wal broke"):
        wire.sessions("raft").on_disconnect("wal")


def test_a_peer_that_took_its_leave_may_go_even_where_fate_is_shared() -> None:
    wire = Wire()
    wire.start("wal", 11, epoch=5)
    raft = wire.start("raft", 12)
    wire.turns(2)
    wire.sessions("wal").leave()
    wire.turn()
    assert not raft.got
    wire.sessions("raft").on_disconnect("wal")
    assert [peer.role for peer in raft.lost] == ["wal"]


def test_rule_21_who_is_told_to_stop_takes_a_broken_connection_for_a_leave() -> None:
    """systemd tells raft and apply to stop at once; raft's Leave may be lost, and apply still ends in order."""
    wire = Wire()
    wire.start("raft", 11, epoch=5)
    apply = wire.start("apply", 12)
    wire.turns(2)
    wire.sessions("apply").ending = True
    wire.sessions("apply").on_disconnect("raft")
    assert [peer.role for peer in apply.lost] == ["raft"]


def test_garbage_is_counted_and_dropped() -> None:
    wire = Wire()
    wal = wire.start("wal", 11, epoch=5)
    sessions = wire.sessions("wal")
    for data in (b"", b"\xc1", b"\x94\x01", b"\x91" * 5000, bytes(range(256))):
        sessions.on_frame("wal", b"raft:0:x:0", data)
    assert sessions.counters.undecodable == 5
    assert not wal.got
    assert not wal.peers
