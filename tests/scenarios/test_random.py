"""Seeded chaos on several cores: lost, repeated and reordered messages, slow disks, crashes, partitions, membership.

The checks are those of `tests.scenarios.cluster`; afterwards everything heals and all members must agree.
"""

from collections.abc import Callable
from random import Random

import pytest

from tests.scenarios.cluster import Cluster, Node
from zetcd.raft.config import Config


class Chaos:
    """One seed's run."""

    def __init__(
        self, seed: int, size: int = 3, members: int | None = None, lease_reads: bool = False, tails: bool = False
    ) -> None:
        """lease_reads: with the clock assumption kept, all members tick at once. tails: a disk may lose some."""
        self.random = random = Random(seed)
        catchup = random.choice([0, 3, 1000])
        pre_vote = random.random() < 0.7
        check_quorum = random.random() < 0.7 or lease_reads
        # Without PreVote one with a shorter timeout and an old log can keep raising the term under the others for ever.
        self.cluster = Cluster(
            size,
            lambda member: Config(
                member,
                election_ticks=random.choice([3, 10]) if pre_vote and not lease_reads else 10,
                lease_reads=lease_reads,
                pre_vote=pre_vote,
                check_quorum=check_quorum,
                append_bytes_max=random.choice([50, 1 << 20]),
                inflight_messages_max=random.choice([2, 256]),
                catchup_entries=catchup,
            ),
            flush_always=random.random() < 0.8,
            joiners=(members or size) - size,
        )
        self.members = members or size
        self.reads = 0
        self.loss = random.choice([0.0, 0.05, 0.3])
        self.repeat = random.choice([0.0, 0.1])
        self.change = members is not None
        usual: list[tuple[Callable[[Node], object], float]] = [
            (lambda _: self.deliver_some(), 30),
            (lambda node: node.act(), 25),
            (lambda node: node.sync(random.randrange(3)), 15),
            (self.tick_all, 4) if lease_reads else (lambda node: node.core.tick(), 10),
            (self.propose, 10),
            (self.read, 15 if lease_reads else 4),
            (self.crash, 0.06),
            (self.partition, 0.2),
            (lambda _: self.cluster.heal(), 0.3),
            (self.transfer, 0.3),
            (lambda _: self.give_up_snapshots(), 0.5),
            (self.change_members, 1),
            (self.lose_tail, 0.3 if tails else 0),
            (lambda node: node.retire(), 0.5),
            (lambda node: node.core.forget_leader(), 0.1),
        ]
        self.actions = [action for action, _ in usual]
        self.weights = [weight * random.choice([0.3, 1, 1, 3]) for _, weight in usual]

    def step(self) -> None:
        """One thing happens to one node; each seed has its own idea of what happens often."""
        node = self.random.choice(list(self.cluster.nodes.values()))
        if node.retired:
            return
        if not node.up:
            if self.random.random() < 0.1:
                node.start()
            return
        [action] = self.random.choices(self.actions, self.weights)
        action(node)
        if self.random.random() < 0.002:
            self.cluster.matching()

    def tick_all(self, _node: Node) -> None:
        for node in self.cluster.up():
            node.core.tick()

    def read(self, node: Node) -> None:
        self.reads += 1
        node.read(self.reads)

    def propose(self, node: Node) -> None:
        node.propose(b"%d" % self.random.randrange(1000))

    def crash(self, node: Node) -> None:
        node.crash(self.random.randrange(len(node.unwritten) + 1))

    def lose_tail(self, node: Node) -> None:
        """Of at most one member at a time: what two of three have acknowledged one may lose."""
        others = [other for other in self.cluster.nodes.values() if other is not node]
        suspect = any(other.core.votes_withheld if other.up else other.suspect_cut for other in others)
        low = max(node.disk.store[0], node.disk.base[0])
        if not suspect and node.durable_last > low:
            node.lose_tail(self.random.randrange(low, node.durable_last))

    def partition(self, node: Node) -> None:
        self.cluster.heal()
        self.cluster.isolate(node.member)

    def transfer(self, node: Node) -> None:
        if self.cluster.leader is not None:
            self.cluster.leader.core.transfer(node.member)

    def change_members(self, node: Node) -> None:
        leader, random, left = self.cluster.leader, self.random, self.cluster.left
        if not self.change or leader is None:
            return
        if leader.conf.outgoing:
            if not leader.conf.auto_leave:
                leader.leave_transition()
        elif random.random() < 0.2:
            voters = [member for member in self.cluster.nodes if member not in left and random.random() < 0.6]
            leader.change(random.choice([20, 21]), sum(1 << member for member in voters))
        else:
            kind = random.choice([2, 3, 4, 5])
            if kind == 5 or node.member not in left:
                leader.change(kind, node.member)

    def deliver_some(self) -> None:
        random, mail = self.random, self.cluster.mail
        for _ in range(random.randrange(9)):
            if not mail:
                return
            at = random.randrange(len(mail)) if random.random() < 0.3 else 0
            message = mail[at] if random.random() < self.repeat else mail.pop(at)
            if random.random() >= self.loss:
                self.cluster.deliver(message)

    def give_up_snapshots(self) -> None:
        """As a transport does that hears nothing of a snapshot it sent."""
        leader = self.cluster.leader
        for member in self.cluster.nodes if leader is not None else ():
            assert leader is not None
            leader.core.snapshot_finished(member, 0)

    def heal(self) -> None:
        """No more faults: within bounded time all members hold the same, and a write and a read succeed."""
        cluster = self.cluster
        cluster.heal()
        for node in cluster.nodes.values():
            if not node.up and not node.retired:
                node.start()
        cluster.settle()
        for round_ in range(30):
            self.give_up_snapshots()
            cluster.tick(20)
            leader = cluster.leader
            if leader is not None and leader.conf.outgoing and not leader.conf.auto_leave:
                leader.leave_transition()
            if leader is None or not leader.propose(b"last"):
                continue
            cluster.settle()
            leader.read(1_000_000 + round_)
            cluster.settle()
            cluster.tick(3)
            if (leader.member, 1_000_000 + round_) in leader.confirmed:
                break
        else:
            raise AssertionError("the healed cluster does not work")
        for _ in range(4):
            self.give_up_snapshots()
            cluster.tick(3)
        conf = leader.conf
        assert not conf.outgoing
        cluster.matching()
        for member in [*conf.voters, *conf.learners]:
            node = cluster.nodes[member]
            assert node.applied == leader.applied
            assert node.conf == conf


@pytest.mark.parametrize("seed", range(40))
def test_three_members(seed: int) -> None:
    chaos = Chaos(seed)
    for _ in range(8000):
        chaos.step()
    chaos.heal()


@pytest.mark.parametrize("seed", range(15))
def test_five_members(seed: int) -> None:
    chaos = Chaos(1000 + seed, 5)
    for _ in range(8000):
        chaos.step()
    chaos.heal()


@pytest.mark.parametrize("seed", range(25))
def test_members_come_and_go(seed: int) -> None:
    chaos = Chaos(2000 + seed, 3, 5)
    for _ in range(8000):
        chaos.step()
    chaos.heal()


@pytest.mark.parametrize("seed", range(6))
def test_one_member(seed: int) -> None:
    chaos = Chaos(3000 + seed, 1)
    for _ in range(4000):
        chaos.step()
    chaos.heal()


@pytest.mark.parametrize("seed", range(25))
def test_the_last_two_part_and_many_come_and_go(seed: int) -> None:
    chaos = Chaos(4000 + seed, 1 + seed % 3, 8)
    for _ in range(8000):
        chaos.step()
    chaos.heal()


@pytest.mark.parametrize("seed", range(25))
def test_leased_reads_are_linearizable_while_the_clock_assumption_holds(seed: int) -> None:
    chaos = Chaos(5000 + seed, 3, 5, lease_reads=True)
    for _ in range(8000):
        chaos.step()
    chaos.heal()


@pytest.mark.parametrize("seed", range(20))
def test_rule_02_one_disk_at_a_time_may_lose_what_it_acknowledged_if_it_says_so(seed: int) -> None:
    chaos = Chaos(6000 + seed, 3 + 2 * (seed % 2), tails=True)
    for _ in range(8000):
        chaos.step()
    chaos.heal()
