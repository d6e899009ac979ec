"""Lanes between members: who is let in, what both sides are told, and that nothing a peer sends does harm."""

from random import Random

import pytest

from zetcd.actors.peers import LaneKey, Peers
from zetcd.base import limits
from zetcd.wire.local import MemberList
from zetcd.wire.peer import (
    CONTROL,
    DATA,
    PROTOCOL,
    Append,
    BetweenMembers,
    Forward,
    Heartbeat,
    HeartbeatReply,
    MembersAnswer,
    MembersAsk,
    PeerHello,
    PeerUnknown,
    PeerWelcome,
    decode_peer_frame,
    encode_peer_frame,
)

CLUSTER = 77


class Log:
    """What was said."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, object]]] = []

    def info(self, msg: str, **fields: object) -> None:
        self.lines.append((msg, fields))

    warn = info


def known(*members: int, removed: tuple[int, ...] = ()) -> MemberList:
    return MemberList([(m, f"m{m}", [f"tcp://10.0.0.{m}:2380"], [], False) for m in members], list(removed))


def made(member: int, incarnation: int = 0) -> tuple[Peers, Log]:
    log = Log()
    peers = Peers(f"m{member}", [f"tcp://10.0.0.{member}:2380"], incarnation or member * 10, log)
    peers.identify(CLUSTER, member)
    peers.set_members(known(1, 2, 3))
    peers.on_tick(10_000)
    return peers, log


def beat(source: int, target: int) -> Heartbeat:
    return Heartbeat(5, source, target, 0, 1)


def exchange(one: Peers, other: Peers) -> list[BetweenMembers]:
    """One's frames to other, and what comes back; the messages that arrived."""
    taken: list[BetweenMembers] = []
    for key, data in one.take_frames():
        one.on_sent(key)
        if key[0] == other.member:
            taken += other.on_frame(repr((one.incarnation, key)).encode(), data)
            for _, answer in other.take_answers():
                one.on_answer(key, answer)
    return taken


def test_the_first_frame_carries_hello_and_messages_and_the_next_messages_alone() -> None:
    (one, log), (two, _) = made(1), made(2)
    assert one.send(beat(1, 2))
    assert exchange(one, two) == [beat(1, 2)]
    assert [msg for msg, _ in log.lines] == ["peer connected"]
    one.send(beat(1, 2))
    [frame] = [decode_peer_frame(data) for key, data in one.take_frames() if key[0] == 2]
    assert frame == [beat(1, 2)]


def test_appends_have_a_lane_of_their_own() -> None:
    one, _ = made(1)
    one.send(Append(5, 1, 2, 0, 0, 0, []))
    one.send(beat(1, 2))
    assert sorted(key[1] for key, _ in one.take_frames() if key[0] == 2) == [CONTROL, DATA]


def test_a_listener_that_was_restarted_is_told_again_who_speaks() -> None:
    (one, _), (two, _) = made(1), made(2)
    one.send(beat(1, 2))
    exchange(one, two)
    again, _ = made(2, incarnation=21)
    one.send(beat(1, 2))
    assert exchange(one, again) == [], "lost, as anything may be"
    one.send(beat(1, 2))
    assert exchange(one, again) == [beat(1, 2)]


def test_a_restarted_member_tells_by_its_own_hello_that_it_knows_our_lanes_no_more() -> None:
    (one, _), (two, _) = made(1), made(2)
    one.send(beat(1, 2))
    exchange(one, two)
    again, _ = made(2, incarnation=21)
    exchange(again, one)
    one.send(beat(1, 2))
    assert exchange(one, again) == [beat(1, 2)]


@pytest.mark.parametrize(
    ("hello", "reason"),
    [
        (PeerHello(PROTOCOL + 1, CLUSTER, 2, 1, 9, CONTROL), "protocol"),
        (PeerHello(PROTOCOL, CLUSTER + 1, 2, 1, 9, CONTROL), "belongs to cluster 4e, this member to 4d"),
        (PeerHello(PROTOCOL, CLUSTER, 2, 3, 9, CONTROL), "means member 3"),
        (PeerHello(PROTOCOL, CLUSTER, 4, 1, 9, CONTROL), "was removed"),
    ],
)
def test_a_refusal_says_why_on_both_sides_once(hello: PeerHello, reason: str) -> None:
    (one, heard), (two, said) = made(1), made(2)
    one.set_members(known(1, 2, 3, removed=(4,)))
    for _ in range(3):
        assert one.on_frame(b"x", encode_peer_frame([hello, beat(hello.member, 1)])) == ()
    answers = one.take_answers()
    key: LaneKey = next(key for key in two.wanted() if key[:2] == (1, CONTROL))
    for _, data in answers:
        two.on_answer(key, data)
    for log in (heard, said):
        [(_, fields)] = [line for line in log.lines if "refused" in line[0]]
        assert reason in str(fields["reason"])
    assert bool(two.removed) is (hello.member == 4)
    assert not two.send(beat(2, 1)), "not for a while"
    two.on_tick(10_000 + limits.PEER_REFUSED_RETRY_MS)
    assert two.send(beat(2, 1))


def test_nobody_speaks_for_another_member() -> None:
    one, _ = made(1)
    hello = PeerHello(PROTOCOL, CLUSTER, 2, 1, 9, CONTROL)
    frame = encode_peer_frame([hello, beat(3, 1), beat(2, 3), hello, beat(2, 1)])
    assert one.on_frame(b"x", frame) == [beat(2, 1)]
    assert one.counters.foreign == 3


def test_whatever_arrives_does_no_harm() -> None:
    one, _ = made(1)
    dice = Random(5)
    good = encode_peer_frame([PeerHello(PROTOCOL, CLUSTER, 2, 1, 9, CONTROL), beat(2, 1)])
    for _ in range(3_000):
        data = bytearray(good)
        for _ in range(1 + dice.randrange(4)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        one.on_frame(b"x", bytes(data[: 1 + dice.randrange(len(data))]))
        one.on_answer((2, CONTROL, 1), bytes(data))
    one.take_answers()
    assert one.counters.undecodable > 100
    assert one.on_frame(b"y", encode_peer_frame([beat(2, 1)])) == ()
    [(_, answer)] = one.take_answers()
    assert decode_peer_frame(answer) == [PeerUnknown(1)]
    assert one.on_frame(b"y", good) == [beat(2, 1)]


def test_a_member_that_the_log_does_not_name_yet_is_answered_where_it_says_and_their_number_is_bounded() -> None:
    one, _ = made(1)
    for member in range(10, 10 + 2 * limits.PEER_STRANGERS_MAX):
        hello = PeerHello(PROTOCOL, CLUSTER, member, 1, 9, CONTROL, "", [f"tcp://10.0.0.{member}:2380"])
        assert one.on_frame(b"%d" % member, encode_peer_frame([hello, beat(member, 1)])) == [beat(member, 1)]
    assert one.send(beat(1, member))
    assert len({key[0] for key in one.wanted()}) == 2 + limits.PEER_STRANGERS_MAX
    one.set_members(known(1, 2, member))
    assert {key[0] for key in one.wanted()} >= {2, member}


def test_a_forward_that_did_not_leave_comes_back() -> None:
    one, _ = made(1)
    forward = Forward(5, 1, 2, 10, 1, 3, 1, 1, b"x")
    one.send(beat(1, 2))
    one.send(forward)
    for key, _ in one.take_frames():
        one.on_unsent(key)
    assert one.take_returned() == [forward]
    assert one.take_returned() == []


def test_members_are_told_to_whoever_asks() -> None:
    one, _ = made(1)
    one.on_frame(b"q", encode_peer_frame([MembersAsk(PROTOCOL)]))
    [(_, data)] = one.take_answers()
    assert decode_peer_frame(data) == [MembersAnswer(PROTOCOL, CLUSTER, 1, known(1, 2, 3).members)]


def test_a_member_that_moved_is_dialed_at_its_new_address() -> None:
    one, _ = made(1)
    before = {key: url for key, url in one.wanted().items() if key[0] == 2}
    moved = known(1, 2, 3)
    moved.members[1] = (2, "m2", ["tcp://10.0.0.22:2380"], [], False)
    one.changed = False
    one.set_members(moved)
    after = {key: url for key, url in one.wanted().items() if key[0] == 2}
    assert one.changed
    assert not set(before) & set(after)
    assert set(after.values()) == {"tcp://10.0.0.22:2380"}
    welcome = encode_peer_frame([PeerWelcome(2, 20)])
    one.on_answer(next(iter(before)), welcome)  # late, of the former address
    assert all(lane.welcomed == 0 for lane in one.lanes.values())


def test_a_member_with_several_addresses_is_tried_at_the_next_one_where_nothing_leaves() -> None:
    """It used to stay with the one it had begun with."""
    (one, _), (two, _) = made(1), made(2)
    urls = ["tcp://10.0.0.2:1", "tcp://10.0.0.2:2380"]
    one.set_members(MemberList([*known(1, 3).members, (2, "m2", urls, [], False)], []))

    def where(kind: int) -> str:
        [url] = [url for (member, lane, _), url in one.wanted().items() if (member, lane) == (2, kind)]
        return url

    def speak(now_ms: int, *, leaves: bool) -> None:
        one.on_tick(now_ms)
        one.send(beat(1, 2))
        for key, _ in one.take_frames():
            one.on_sent(key) if leaves or key[0] != 2 else one.on_unsent(key)

    speak(10_000, leaves=True)
    for now_ms in (10_100, 10_000 + limits.PEER_CONNECT_MAX_MS - 1):
        speak(now_ms, leaves=False)
        assert where(CONTROL) == urls[0]
    one.changed = False
    speak(10_000 + limits.PEER_CONNECT_MAX_MS, leaves=False)
    assert (where(CONTROL), where(DATA), one.changed) == (urls[1], urls[0], True)
    one.send(beat(1, 2))
    assert exchange(one, two) == [beat(1, 2)], "hello goes first there, too"
    speak(20_000, leaves=True)
    assert where(CONTROL) == urls[1]
    speak(20_000 + limits.PEER_CONNECT_MAX_MS, leaves=False)
    assert where(CONTROL) == urls[0], "and round again"


def test_what_goes_to_and_comes_from_each_member_is_counted() -> None:
    (one, _), (two, _) = made(1), made(2)
    now = 1
    one.clock_ns = lambda: now
    one.send(beat(1, 2))
    exchange(one, two)
    now += 300_000
    one.send(beat(1, 2))
    exchange(one, two)  # the first one is not answered yet
    now += 400_000
    two.send(HeartbeatReply(5, 2, 1, 1))
    exchange(two, one)
    trips = one.traffic[2].round_trips
    assert (sum(trips.counts), trips.sum_ns) == (1, 700_000)
    assert one.traffic[2].sent_bytes == two.traffic[1].received_bytes > 0
    assert one.traffic[2].received_bytes == two.traffic[1].sent_bytes > 0
    assert one.traffic[3].received_bytes == 0
    two.send(HeartbeatReply(5, 2, 1, 1))
    exchange(two, one)
    assert sum(trips.counts) == 1, "nobody asked"


def test_a_broken_connection_is_counted_and_no_answer_across_it() -> None:
    (one, _), (two, _) = made(1), made(2)
    one.clock_ns = lambda: 1
    one.send(beat(1, 2))
    exchange(one, two)
    one.on_disconnected(one.lanes[2, CONTROL].key)
    two.send(HeartbeatReply(5, 2, 1, 1))
    exchange(two, one)
    assert one.traffic[2].cut == 1
    assert sum(one.traffic[2].round_trips.counts) == 0
    one.set_members(known(1, 3))
    assert list(one.traffic) == [3]
    one.on_disconnected((2, CONTROL, 1))


def test_frames_that_nobody_takes_are_counted_for_whom_they_were() -> None:
    one, _ = made(1)
    one.send(beat(1, 2))
    for key, _data in one.take_frames():
        one.on_sent(key) if key[0] == 3 else one.on_unsent(key)
    assert (one.traffic[2].unsent, one.traffic[2].sent_bytes, one.traffic[3].unsent) == (1, 0, 0)
    assert one.traffic[3].sent_bytes > 0, "hello"
