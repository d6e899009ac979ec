"""Members that are cut off, one way or both, that stand still, or whose links are slow; then everything heals."""

import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.process.failover import nets
from tests.process.failover.calls import OK, REFUSED
from tests.process.failover.judge import judge
from tests.process.failover.kills import TIMEOUTS, Say, first_accepted_write
from tests.process.failover.load import Load
from tests.process.failover.nodes import Team, await_served, signal_all

ASK_LIMIT_S = 2.5
REFUSED_WITHIN_S = 8.0
"""etcd's bound: 5 s for the request and two election timeouts; and a second for a busy machine."""
PAUSE_S = 4.0
SLOW_S = 8.0


class Field:
    """A cluster whose networks the faults work on. links: of each node."""

    def __init__(self, team: Team, links: Sequence[nets.Net]) -> None:
        self.team = team
        self.net = {node.name: link for node, link in zip(team.nodes, links, strict=True)}

    def others(self, node: Any) -> list[Any]:
        return [each for each in self.team.nodes if each is not node]

    def links(self, nodes: Sequence[Any]) -> list[nets.Net]:
        return [self.net[node.name] for node in nodes]

    def heal(self) -> None:
        for link in self.net.values():
            link.heal()


def minority_refuses(node: Any) -> str:
    """What a member without a majority does: it refuses puts and linearizable gets in time, and serves serializable
    gets."""
    caller = node.pinned(REFUSED_WITHIN_S)()
    words = []
    for writes in (True, False):
        began = time.monotonic()
        answer = caller.put(b"minority", b"m") if writes else caller.get(b"minority")
        took = time.monotonic() - began
        assert answer.outcome != OK, f"{node.name} has no majority and answers {answer}"
        assert answer.message != "no answer in time", f"{node.name} did not refuse within {REFUSED_WITHIN_S} s"
        words.append(f"{'refused' if answer.outcome == REFUSED else 'gave up'} in {took:.3f} s ({answer.message})")
    began = time.monotonic()
    answer = caller.get(b"before", serializable=True)
    assert (answer.outcome, answer.value) == (OK, b"b"), answer
    caller.close()
    return f"put {words[0]}, get {words[1]}, serializable get in {time.monotonic() - began:.3f} s"


def leader_cut_off(field: Field) -> str:
    """The leader alone on its side."""
    leader = field.team.leader()
    rest = field.others(leader)
    nets.part(field.links([leader]), field.links(rest))
    outage = first_accepted_write(rest, time.monotonic())
    assert field.team.leader(rest) is not leader
    return f"the others accept a put after {outage:.3f} s; the former leader: {minority_refuses(leader)}"


def follower_cut_off(field: Field) -> str:
    """A follower alone; its return disturbs nobody (PreVote)."""
    leader = field.team.leader()
    follower, other = field.others(leader)
    term = leader.status()["raftTerm"]
    nets.part(field.links([follower]), field.links([leader, other]))
    said = minority_refuses(follower)
    field.heal()
    await_served(follower)
    status = field.team.leader().status()
    assert status["raftTerm"] == term, "a member that returns must not force an election"
    return f"the follower: {said}; same term when it is back"


def leader_hears_nothing(field: Field) -> str:
    """One way: what the others send does not arrive at the leader (CheckQuorum has to end its reign)."""
    leader = field.team.leader()
    rest = field.others(leader)
    for other in rest:
        field.net[leader.name].cut_from(field.net[other.name])
    outage = first_accepted_write(rest, time.monotonic())
    assert field.team.leader(rest) is not leader
    return f"the others accept a put after {outage:.3f} s; the former leader: {minority_refuses(leader)}"


def leader_is_not_heard(field: Field) -> str:
    """One way: what the leader sends does not arrive at the others."""
    leader = field.team.leader()
    rest = field.others(leader)
    for other in rest:
        field.net[other.name].cut_from(field.net[leader.name])
    outage = first_accepted_write(rest, time.monotonic())
    assert field.team.leader(rest) is not leader
    return f"the others accept a put after {outage:.3f} s; the former leader: {minority_refuses(leader)}"


def follower_hears_not_the_leader(field: Field) -> str:
    """One way and one pair: the follower campaigns in vain, the leader stays."""
    leader = field.team.leader()
    follower, other = field.others(leader)
    term = leader.status()["raftTerm"]
    field.net[follower.name].cut_from(field.net[leader.name])
    time.sleep(5)  # several elections' worth of trying
    status = leader.status()
    assert (status["raftTerm"], status["leader"]) == (term, status["header"]["member_id"]), status
    outage = first_accepted_write([leader, other], time.monotonic())
    return f"the leader stays in its term, a put takes {outage:.3f} s"


def leader_stands_still(field: Field) -> str:
    """SIGSTOP to all processes of the leader for longer than an election."""
    leader = field.team.leader()
    rest = field.others(leader)
    pids = leader.pids()
    signal_all(pids, signal.SIGSTOP)
    try:
        began = time.monotonic()
        outage = first_accepted_write(rest, began)
        time.sleep(max(0.0, PAUSE_S - (time.monotonic() - began)))
    finally:
        signal_all(pids, signal.SIGCONT)
    await_served(leader)
    assert set(leader.pids()) == set(pids), f"a pause that ends is no reason to start anew: {leader.log[-3000:]}"
    return f"the others accept a put after {outage:.3f} s; it serves again without a restart"


def slow_links(field: Field) -> str:
    """Everything a member sends is squeezed through 256 kbit/s, and a tenth of what arrives is lost; a follower first,
    then the leader."""
    words = []
    for who in (field.others(field.team.leader())[0], field.team.leader()):
        link = field.net[who.name]
        link.slow(256)
        for other in field.others(who):
            link.lose_from(field.net[other.name], 10)
        time.sleep(SLOW_S)
        outage = first_accepted_write(field.others(who), time.monotonic())
        words.append(f"{who.name} slow: a put takes {outage:.3f} s, led by {field.team.leader().name}")
        field.heal()
        await_served(who)
    return "; ".join(words)


FAULTS: dict[str, Callable[[Field], str]] = {
    fault.__name__: fault
    for fault in (
        leader_cut_off, follower_cut_off, leader_hears_nothing, leader_is_not_heard, follower_hears_not_the_leader,
        leader_stands_still, slow_links,
    )
}  # fmt: skip


def run(directory: Path, names: Sequence[str], rounds: int, say: Say, pace_s: float) -> None:
    """The named faults (all, if none is named) under load, each healed and everything compared before the next; `enter`
    comes first."""
    links = nets.make(3)
    with Team("zetcd", directory, 3, *TIMEOUTS, nets=links) as team:
        field = Field(team, links)
        first = team.nodes[0].pinned(REFUSED_WITHIN_S)()
        assert first.put(b"before", b"b").outcome == OK
        first.close()
        team.alike()
        everything = []
        for turn in range(rounds):
            for name in names or FAULTS:
                load = Load(team.pinned(ASK_LIMIT_S), pace_s, f"{turn}.{name}")
                load.wait_acked(20)
                try:
                    words = FAULTS[name](field)
                finally:
                    field.heal()
                began = time.monotonic()
                for node in team.nodes:
                    await_served(node)
                healed = time.monotonic() - began
                load.wait_acked(20)
                everything += load.end()
                revision = team.alike()
                for node in team.nodes:
                    judge(node, everything)
                say(f"{name}: {words}; healed in {healed:.3f} s, hash_kv equal at revision {revision}, all holds")
