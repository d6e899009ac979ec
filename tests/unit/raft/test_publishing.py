"""Publication: each member's name and client URLs get into the log, and it is ready when they are there."""

import dataclasses
from random import Random

from tests.paper.stepping import make
from tests.unit.raft.member import ID, SETTINGS, Rig
from zetcd.actors.actor import Peer
from zetcd.actors.peers import Peers
from zetcd.actors.proposals import Proposals
from zetcd.actors.raft_actor import RaftActor
from zetcd.base.errors import TOO_MANY_REQUESTS, Error
from zetcd.base.limits import PUBLISH_RETRY_MS
from zetcd.base.settings import Settings
from zetcd.cluster.membership import ChangeKind
from zetcd.raft.core import Core
from zetcd.wire.entry import Block, BlockKind, MemberChange, decode_entries
from zetcd.wire.local import Applied, ConfState, MemberList, Message, Revoked, Standing
from zetcd.wire.peer import Forward, ForwardRefused, Heartbeat, decode_peer_frame

URLS = ("tcp://h1:2",)
PUBLICATION = MemberChange(ChangeKind.PUBLISH, 1, "m1", [], list(URLS))


class Raft:
    """What `Proposals` needs of member 1 of three."""

    settings = Settings(name="m1", advertise_client_urls=URLS)
    member = 1
    refusal: Error | None = None

    def __init__(self) -> None:
        self.peers = Peers("m1", [], 5, Silent())
        self.peers.identify(9, 1)
        self.peers.set_members(members())
        self.appended: list[bytes] = []
        self.answer: Error | None = None

    def append(self, kind: int, count: int, data: bytes) -> Error | None:
        assert (kind, count) == (BlockKind.MEMBERSHIP, 1)
        self.appended.append(data)
        return self.answer

    def send(self, _peer: Peer, message: Message) -> None:
        raise AssertionError(f"nobody waits for {message}")

    def forwards(self) -> list[Forward]:
        """Sent since the last look."""
        found = []
        for key, data in self.peers.take_frames():
            self.peers.on_sent(key)
            found += [message for message in decode_peer_frame(data) if isinstance(message, Forward)]
        return found


class Silent:
    def info(self, msg: str, **fields: object) -> None: ...

    warn = info


def members(name: str = "", urls: tuple[str, ...] = ()) -> MemberList:
    """Three, the first of them as it has been published."""
    own = (1, name, ["tcp://h1:1"], list(urls), False)
    return MemberList([own, *((n, f"m{n}", [f"tcp://h{n}:1"], [], False) for n in (2, 3))], [])


def following() -> tuple[Raft, Proposals, Core]:
    """Member 1, whose leader is 2."""
    raft, core = Raft(), make((1,))
    proposals = Proposals(raft, 5)
    proposals.start(core)
    proposals.on_members(members())
    core.step(Heartbeat(2, 2, 1, 0, 1))
    proposals.on_leader()
    return raft, proposals, core


def test_a_follower_publishes_through_its_leader_and_repeats_it_until_it_stands() -> None:
    raft, proposals, _ = following()
    proposals.on_tick(100)
    [forward] = raft.forwards()
    assert (forward.target, forward.kind) == (2, BlockKind.MEMBERSHIP)
    [entry] = decode_entries(forward.count, forward.data)
    assert entry.command == PUBLICATION
    proposals.on_tick(100 + PUBLISH_RETRY_MS - 1)
    assert raft.forwards() == []
    proposals.on_tick(100 + PUBLISH_RETRY_MS)
    assert len(raft.forwards()) == 1
    proposals.on_members(members("m1", URLS))
    proposals.on_tick(100 + 3 * PUBLISH_RETRY_MS)
    assert raft.forwards() == []


def test_rule_14_whose_turn_it_was_not_asks_again_when_the_other_stands() -> None:
    """Members that start together waited a second for each other."""
    raft, proposals, core = following()
    proposals.on_tick(100)
    [forward] = raft.forwards()
    busy = ForwardRefused(core.term, 2, 1, 5, forward.sequence, *TOO_MANY_REQUESTS)
    proposals.on_forward_refused(busy)
    proposals.end_turn()
    proposals.on_tick(200)
    assert raft.forwards() == []
    other = members()
    other.members[1] = (2, "m2", ["tcp://h2:1"], ["tcp://h2:2"], False)
    proposals.on_members(other)
    proposals.on_tick(300)
    assert len(raft.forwards()) == 1


def test_without_a_leader_nothing_is_published_and_nobody_is_told() -> None:
    raft = Raft()
    proposals = Proposals(raft, 5)
    proposals.start(make((1,)))
    proposals.on_members(members())
    proposals.on_tick(10 * PUBLISH_RETRY_MS)
    assert raft.forwards() == []
    assert not proposals.published


def test_published_is_what_the_member_list_says() -> None:
    _, proposals, _ = following()
    for known, published in (
        (members(), False),
        (members("m1"), False),
        (members("m1", URLS), True),
        (members("former", URLS), False),
        (MemberList(members().members[1:], []), False),  # before the addition of this member has been applied
    ):
        proposals.on_members(known)
        assert proposals.published is published


def test_a_member_of_several_is_ready_when_it_has_been_published() -> None:
    """It said so before, and who then asked for the members saw some without URLs."""
    actor = RaftActor(dataclasses.replace(SETTINGS, member_id=1, name="m1", advertise_client_urls=URLS), Random(7))
    actor.core = make((1,))
    actor.core.step(Heartbeat(2, 2, 1, 0, 1))
    assert not actor.ready
    actor.member = 1
    actor.proposals.on_members(members())
    assert not actor.ready
    actor.proposals.on_members(members("m1", URLS))
    assert actor.ready


def test_a_member_alone_is_ready_with_the_grant_which_waits_for_its_publication() -> None:
    rig = Rig()
    rig.settle()
    commands = [entry.command for block in rig.durable for entry in decode_entries(block.count, block.data)]
    assert isinstance(commands[-1], MemberChange)
    assert (commands[-1].kind, commands[-1].member, rig.actor.ready) == (ChangeKind.PUBLISH, ID, True)


def test_rule_14_the_next_change_of_members_waits_for_no_tick() -> None:
    """One that apply refuses changes nothing, and raft hears that it is over all the same."""
    actor = RaftActor(dataclasses.replace(SETTINGS, member_id=1, name="m1", advertise_client_urls=URLS), Random(7))
    actor.core = core = make((1,))
    core.step(Heartbeat(2, 2, 1, 0, 1))
    actor.member = 1
    actor.proposals.on_members(members("m1", URLS))
    assert not actor._awaits_apply(core)
    core.log.append(Block(2, 2, 2, b"", BlockKind.MEMBERSHIP))
    assert actor._awaits_apply(core)


def test_a_member_that_turns_out_to_be_a_learner_tells_its_clients_side_in_the_same_turn() -> None:
    """Until api knows, it takes requests that a learner refuses."""
    rig = Rig()
    rig.settle()
    rig.actor.on_peer(rig.api)
    rig.actor.revoke()
    rig.turn()
    rig.sent.clear()
    rig.turn(rig.apply, Revoked(1), Applied(rig.commit.index, 0, 0, 0, ConfState([2], [ID])))
    assert [standing.is_learner for standing in rig.take(Standing)][-1]
