"""Whom a leader hands over to, and when (rules 20 and 21)."""

from tests.scenarios.cluster import Cluster
from zetcd.actors.handover import Handover
from zetcd.actors.peers import Peers
from zetcd.base import limits
from zetcd.raft.core import Core
from zetcd.raft.leader import Leader
from zetcd.wire.peer import Health, TimeoutNow

STALE = limits.PERSIST_AGE_MAX_MS + 1


class Quiet:
    """A log that nobody reads."""

    def info(self, msg: str, **fields: object) -> None: ...
    def warn(self, msg: str, **fields: object) -> None: ...


def led(size: int = 3) -> tuple[Cluster, Core, Handover]:
    """A cluster led by its first member, and that member's handover."""
    cluster = Cluster(size)
    core = cluster.elect(1).core
    cluster.settle()
    handover = Handover(Peers("m1", ["tcp://127.0.0.1:1"], 1, Quiet()), 1_000, Quiet())
    handover.on_tick(core, 1_000, 0)
    return cluster, core, handover


def target(core: Core) -> int:
    assert isinstance(core.role, Leader)
    return core.role.transferee


def test_rule_20_a_leader_whose_disk_hangs_hands_over_to_a_voter_whose_disk_answers() -> None:
    _, core, handover = led()
    handover.on_health(Health(2, 1, STALE))
    handover.on_health(Health(3, 1, 20))
    handover.on_tick(core, 1_100, limits.PERSIST_AGE_MAX_MS)
    assert target(core) == 0, "not before the bound"
    handover.on_tick(core, 1_200, STALE)
    assert target(core) == 3
    assert [m.target for m in core.messages if isinstance(m, TimeoutNow)] == [3]


def test_rule_20_nobody_is_chosen_who_has_not_reported_lately() -> None:
    _, core, handover = led()
    handover.on_health(Health(2, 1, 0))
    handover.on_tick(core, 2_100, STALE)
    assert target(core) == 0
    handover.on_health(Health(3, 1, 0))
    handover.on_tick(core, 2_200, STALE)
    assert target(core) == 3


def test_rule_20_a_voter_that_did_not_take_over_gives_way_to_another_one() -> None:
    _, core, handover = led()
    now_ms, tried = 1_000, []
    for _ in range(3):
        for member in (2, 3):
            handover.on_health(Health(member, 1, 0))
        now_ms += 100
        handover.on_tick(core, now_ms, STALE)
        tried.append(target(core))
        assert isinstance(core.role, Leader)
        core.role.transferee = 0  # it did not come about
    assert set(tried[:2]) == {2, 3}
    assert tried[2] == tried[0]


def test_rule_21_a_leader_stops_once_another_one_leads_or_the_bound_is_over() -> None:
    cluster, core, handover = led()
    assert handover.done(core)
    handover.on_health(Health(2, 1, 0))
    handover.on_stop(core)
    assert target(core) == 2
    assert not handover.done(core)
    cluster.settle()
    assert not core.is_leader
    assert not handover.done(core), "what is still forwarded here is to be refused"
    handover.on_tick(core, 1_000 + limits.HANDOVER_LINGER_MS, 0)
    assert handover.done(core)

    _, alone, without = led()
    without.on_stop(alone)
    assert not without.done(alone)
    without.on_tick(alone, 1_000 + limits.HANDOVER_MAX_MS, 0)
    assert without.done(alone)
