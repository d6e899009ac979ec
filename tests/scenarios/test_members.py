"""Members of actors under seeds: what clients were told holds, whatever the network and the power do."""

import pytest

from tests.scenarios.members import World


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
