"""raft's part in rule 7: carries what two applies say, steps what has arrived, and has it installed in order."""

from dataclasses import replace
from random import Random

import pytest

from tests.paper.stepping import acknowledge, data, drain, leader, make, only
from zetcd.actors.snapshot_relay import SnapshotRelay
from zetcd.raft.config import Config
from zetcd.raft.core import Core
from zetcd.raft.log import Log
from zetcd.wire.entry import BlockKind
from zetcd.wire.local import (
    ConfState,
    HardState,
    Install,
    Message,
    Opened,
    Relay,
    SnapshotArrived,
    SnapshotSent,
    SnapshotUnwanted,
    SnapshotWanted,
)
from zetcd.wire.peer import Append, AppendReply, BetweenMembers, Heartbeat, HeartbeatReply, SnapshotPart

CONF = ConfState([1, 2, 3])


class Rig:
    """A relay, and what it has said."""

    def __init__(self) -> None:
        self.apply: list[Message] = []
        self.peers: list[BetweenMembers] = []
        self.log: list[str] = []
        self.relay = SnapshotRelay(self.apply.append, self._to_peer, self)

    def info(self, msg: str, **_fields: object) -> None:
        self.log.append(msg)

    warn = info

    def _to_peer(self, message: BetweenMembers) -> bool:
        self.peers.append(message)
        return True

    def told(self) -> list[Message]:
        told = list(self.apply)
        self.apply.clear()
        return told

    def turn(self, core: Core, *, wal_has_room: bool = True) -> int:
        """As raft's end of turn; the number of the Ready that carries a mark, or 0."""
        ready = core.ready(wal_has_room)
        marked = 0
        if ready is not None and ready.number:
            self.relay.on_persist(ready.number, ready.snapshot)
            marked = ready.number if ready.snapshot is not None else 0
        self.relay.settle(core)
        return marked


def test_rule_07_what_arrived_is_installed_once_the_mark_is_durable() -> None:
    rig, core = Rig(), make((1, 1), term=2)
    rig.relay.on_arrived(core, SnapshotArrived(2, 2, 90, 2, CONF))
    assert rig.turn(core, wal_has_room=False) == 0
    assert rig.told() == [], "it used to be removed where wal had no room for the mark in this very turn"
    number = rig.turn(core)
    assert number
    assert rig.relay.installing
    rig.relay.on_persisted(number - 1)
    assert rig.told() == []
    rig.relay.on_persisted(number)
    assert rig.told() == [Install(90, 2)]
    rig.relay.on_persisted(number)
    assert rig.told() == [], "once"
    assert core.log.base_index == 90


@pytest.mark.parametrize(
    ("index", "term", "leader_term"),
    [(2, 1, 2), (1, 1, 2), (90, 2, 1)],
    ids=["the log holds its position", "older than what is committed", "its leader was deposed"],
)
def test_rule_07_what_the_core_does_not_take_is_removed(index: int, term: int, leader_term: int) -> None:
    rig, core = Rig(), make((1, 1), term=2, commit=1)
    rig.relay.on_arrived(core, SnapshotArrived(2, leader_term, index, term, CONF))
    assert rig.turn(core) == 0
    assert rig.told() == [Install(0, 0)]
    assert not rig.relay.installing
    rig.turn(core)
    assert rig.told() == [], "once"
    assert core.log.base_index == 0


def test_rule_07_a_start_finishes_a_switch_that_the_mark_asks_for_and_no_other() -> None:
    rig = Rig()
    rig.relay.at_start(Opened(3, 1), (90, 4))
    assert rig.told() == []
    rig.relay.at_start(Opened(3, 1, CONF, 90, 4), (3, 1))
    assert rig.told() == [Install(0, 0)], "it had not been stepped"
    rig.relay.at_start(Opened(3, 1, CONF, 90, 4), (90, 5))
    assert rig.told() == [Install(0, 0)], "another term"
    rig.relay.at_start(Opened(95, 4, CONF, 90, 4), (90, 4))
    assert rig.told() == [Install(0, 0)], "never backwards"
    assert not rig.relay.installing
    rig.relay.at_start(Opened(3, 1, CONF, 90, 4), (90, 4))
    assert rig.told() == [Install(90, 4)]
    assert rig.relay.installing, "nothing else happens in this life"


def behind() -> Core:
    """A leader that holds entries 4 to 8 and is synced up to 3; member 2 needs the first."""
    core = leader()
    acknowledge(core, 3)
    for _ in range(7):
        core.propose(BlockKind.NORMAL, 1, data(1))
        acknowledge(core, 3)
    core.config = replace(core.config, catchup_entries=0)
    core.applied(8, 3)
    core.step(AppendReply(1, 2, 1, 0, rejected=True, hint_index=0, hint_term=0))
    return core


def test_rule_07_the_log_is_kept_from_where_apply_says_its_snapshot_stands() -> None:
    rig, core = Rig(), behind()
    ready = core.ready()
    assert ready is not None
    rig.relay.wanted(core, ready.snapshots_wanted)
    assert rig.told() == [SnapshotWanted(2, 1)]
    rig.relay.on_sent(core, SnapshotSent(2, 5, pinned=True))
    core.applied(8, 8)
    assert core.log.base_index == 5
    rig.relay.on_sent(core, SnapshotSent(2, 5))
    assert rig.log == ["sending a snapshot", "snapshot installed by a peer"]
    core.step(HeartbeatReply(1, 2, 1, 0))
    assert [append.previous_index for append in only(drain(core), Append) if append.target == 2] == [5]


def test_a_leader_that_was_deposed_has_the_transfer_stopped() -> None:
    rig, core = Rig(), behind()
    ready = core.ready()
    assert ready is not None
    rig.relay.wanted(core, ready.snapshots_wanted)
    rig.told()
    rig.relay.check(core)
    assert rig.told() == []
    core.become_follower(5, 3)
    rig.relay.check(core)
    assert rig.told() == [SnapshotUnwanted(0)]
    rig.relay.check(core)
    assert rig.told() == []
    rig.relay.on_sent(core, SnapshotSent(2, 0))  # as apply then says; nobody minds


def test_what_two_applies_say_is_carried_unopened() -> None:
    rig, core = Rig(), make()
    rig.relay.on_relay(core, Relay(3, b"\xc1 whatever"))
    assert rig.peers == [SnapshotPart(1, 3, b"\xc1 whatever")]
    rig.relay.on_part(SnapshotPart(3, 1, b"\xc1 back"))
    assert rig.told() == [Relay(3, b"\xc1 back")]


def test_rule_07_a_member_on_its_new_store_says_so_with_its_first_word_and_the_log_goes_on() -> None:
    """It used to be found out by the next retry of the transfer, a second or two later."""
    rig, core = Rig(), behind()
    ready = core.ready()
    assert ready is not None
    rig.relay.wanted(core, ready.snapshots_wanted)
    rig.relay.on_sent(core, SnapshotSent(2, 5, pinned=True))
    core.applied(8, 8)

    log = Log(5, 1)
    log.recovered(5, 5)
    installed = Core(Config(2), log, HardState(1, 0, 5), CONF, Random(1))
    greeting = Rig()
    installed.step(Heartbeat(1, 1, 2, 0, 1))
    drain(installed)
    greeting.relay.check(installed)
    [word] = only(drain(installed), AppendReply)
    assert (word.target, word.index, word.rejected) == (1, 5, False)
    core.step(word)
    assert [(append.target, append.previous_index) for append in only(drain(core), Append)][-1] == (2, 5)
    greeting.relay.check(installed)
    assert drain(installed) == [], "once in its life"
