"""Members of actors under seeds: what clients were told holds, whatever the network and the power do."""

import pytest

from tests.scenarios.members import World
from zetcd.actors.forwarding import Forwarding, Proposal
from zetcd.raft.log import Log


@pytest.mark.parametrize("seed", range(8))
def test_rule_08_what_clients_were_told_holds_over_loss_repetition_reordering_and_crashes(seed: int) -> None:
    world = World(seed)
    dice = world.random
    for moment in range(2_500):
        world.step()
        if moment > 300 and not dice.randrange(150):
            node = world.nodes[dice.randrange(len(world.nodes))]
            if node.up:
                node.crash()
            else:
                node.start()
        elif not dice.randrange(8):
            for node in world.nodes:
                if not node.up:
                    node.start()
    world.come_to_rest()
    world.check()
    assert len(world.outcomes.acked) > 50
    assert world.fresh_reads > 5


def leaders_die(seed: int) -> World:
    """Whoever leads is killed again and again while everybody puts and forwards; nothing else is lost."""
    world = World(seed, loss=0)
    dice = world.random
    died = 0
    for moment in range(4_000):
        world.step()
        for node in world.nodes:
            if node.up and node.raft.core is not None and node.raft.core.is_leader:
                if moment - died > 250 and not dice.randrange(20):
                    node.crash()
                    died = moment
            elif not node.up and moment - died > 120:
                node.start()
    world.come_to_rest()
    return world


@pytest.mark.parametrize("seed", range(6))
def test_rule_08_what_was_forwarded_to_a_leader_that_died_is_decided_and_applied_once(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    decided: list[bool] = []
    settle = Forwarding.settle

    def watched(self: Forwarding, log: Log, entries: int) -> list[tuple[Proposal, int]]:
        found = settle(self, log, entries)
        decided.extend(missing > 0 for _, missing in found)
        return found

    monkeypatch.setattr(Forwarding, "settle", watched)
    world = leaders_die(seed)
    world.check()
    assert True in decided
    assert False in decided


def test_rule_08_control_who_offers_again_what_may_have_been_appended_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settle = Forwarding.settle

    def hasty(self: Forwarding, log: Log, entries: int) -> list[tuple[Proposal, int]]:
        return [(each, each.message.count) for each, _ in settle(self, log, entries)]

    monkeypatch.setattr(Forwarding, "settle", hasty)
    with pytest.raises(AssertionError, match="executed twice"):
        leaders_die(0).check()
