"""A cluster of one voter: elected at once, commits what its own disk has."""

from random import Random

from zetcd.base.errors import NO_LEADER, TOO_MANY_REQUESTS, Error
from zetcd.raft.config import Config
from zetcd.raft.core import Core
from zetcd.raft.leader import NO_OP
from zetcd.raft.log import Log
from zetcd.raft.ready import Position, Ready
from zetcd.wire.entry import Block, BlockKind, Entry, NoOp, decode_entries, encode_entries
from zetcd.wire.local import ConfState, HardState

ALONE = ConfState([1])


def entry_bytes(sequence: int) -> bytes:
    """One encoded entry of about six bytes."""
    return encode_entries([Entry(9, sequence, NoOp())])


def make(
    log: Log | None = None, hard: HardState | None = None, config: Config | None = None, conf: ConfState = ALONE
) -> Core:
    return Core(config or Config(1), log or Log(), hard or HardState(), conf, Random(1))


def take(core: Core) -> Ready:
    ready = core.ready()
    assert ready is not None
    return ready


def led() -> Core:
    """A core that leads term 1 with its no-op committed and executed."""
    core = make()
    core.persisted(take(core).number)
    core.persisted(take(core).number)
    take(core)
    core.applied(1, 0)
    return core


def test_alone_campaigns_at_once_and_leads_once_its_vote_is_durable() -> None:
    core = make()
    ready = take(core)
    assert ready.hard_state == HardState(1, 1, 0)
    assert ready.must_sync
    assert not core.is_leader  # rule 5: its own vote waits for the disk
    assert core.ready() is None
    core.persisted(ready.number)
    assert core.is_leader
    ready = take(core)
    assert ready.soft_state is not None
    assert ready.soft_state.is_leader
    assert ready.blocks == [Block(1, 1, 1, NO_OP)]
    assert core.leads_since == 1


def test_rule_03_only_locally_durable_entries_are_given_for_execution() -> None:
    core = led()
    assert core.propose(BlockKind.NORMAL, 1, entry_bytes(1)) == (2, 2)
    ready = take(core)
    assert ready.blocks
    assert ready.commit is None
    assert core.ready() is None
    core.persisted(ready.number)
    assert take(core).commit == Position(2, 1)


def test_proposals_of_one_turn_are_one_block() -> None:
    core = led()
    parts = [entry_bytes(n) for n in range(5)]
    for number, part in enumerate(parts):
        assert core.propose(BlockKind.NORMAL, 1, part) == (2 + number, 2 + number)
    [block] = take(core).blocks
    assert (block.first, block.last, block.data) == (2, 6, b"".join(parts))
    assert [e.sequence for e in decode_entries(block.count, block.data)] == list(range(5))


def test_rule_04_one_answer_covers_all_numbers_up_to_its_own() -> None:
    core = led()
    numbers = []
    for n in range(3):
        core.propose(BlockKind.NORMAL, 1, entry_bytes(n))
        numbers.append(take(core).number)
    assert numbers == sorted(set(numbers))
    core.persisted(numbers[1])
    assert core.log.committed == 3
    core.persisted(numbers[2])
    assert core.log.committed == 4


def test_rule_05_commit_is_written_with_the_next_entries_and_at_the_latest_by_tick() -> None:
    core = led()
    core.propose(BlockKind.NORMAL, 1, entry_bytes(1))
    ready = take(core)
    assert ready.hard_state == HardState(1, 1, 1)
    core.persisted(ready.number)
    ready = take(core)
    assert ready.number == 0  # a commit alone does not make the wal write
    core.tick()
    ready = take(core)
    assert ready.hard_state == HardState(1, 1, 2)
    assert not ready.must_sync
    core.tick()
    assert core.ready() is None


def test_reads_wait_for_a_commit_of_the_own_term() -> None:
    core = make()
    assert core.read_index((7, 1)) == NO_LEADER
    core.persisted(take(core).number)
    assert core.read_index((7, 1)) is None
    ready = take(core)
    assert not ready.read_states
    core.persisted(ready.number)
    [state] = take(core).read_states
    assert (state.index, state.contexts) == (1, [(7, 1)])
    assert core.read_index((7, 2)) is None
    assert [s.contexts for s in take(core).read_states] == [[(7, 2)]]


def test_uncommitted_bytes_are_bounded() -> None:
    core = make(config=Config(1, uncommitted_bytes_max=100))
    core.persisted(take(core).number)
    core.persisted(take(core).number)
    assert not isinstance(core.propose(BlockKind.NORMAL, 1, bytes(1000)), Error)  # alone it always fits
    assert core.propose(BlockKind.NORMAL, 1, bytes(1)) == TOO_MANY_REQUESTS
    core.persisted(take(core).number)
    assert not isinstance(core.propose(BlockKind.NORMAL, 1, bytes(100)), Error)


def test_rule_14_a_membership_change_stands_alone_and_only_one_at_a_time() -> None:
    core = led()
    core.propose(BlockKind.NORMAL, 1, entry_bytes(1))
    assert core.propose(BlockKind.MEMBERSHIP, 1, entry_bytes(2)) == (3, 3)
    assert core.propose(BlockKind.MEMBERSHIP, 1, entry_bytes(3)) == TOO_MANY_REQUESTS
    core.propose(BlockKind.NORMAL, 1, entry_bytes(4))
    ready = take(core)
    assert [(b.first, b.last, b.kind) for b in ready.blocks] == [(2, 2, 0), (3, 3, 1), (4, 4, 0)]
    core.persisted(ready.number)
    assert core.propose(BlockKind.MEMBERSHIP, 1, entry_bytes(3)) == TOO_MANY_REQUESTS  # committed, not applied
    core.applied(3, 0)
    assert core.propose(BlockKind.MEMBERSHIP, 1, entry_bytes(3)) == (5, 5)


def test_rule_14_no_campaign_while_a_committed_change_is_not_applied() -> None:
    log = Log()
    log.append(Block(1, 1, 1, entry_bytes(1), BlockKind.MEMBERSHIP))
    log.recovered(1, 0)
    core = make(log, HardState(1, 0, 1))
    for _ in range(50):
        core.tick()
    assert core.term == 1
    core.applied(1, 0)
    assert core.term == 2


def test_a_restarted_voter_commits_what_it_had_with_a_no_op_of_its_new_term() -> None:
    """Raft section 5.4.2: the entries of the old term are not committed by counting them."""
    log = Log()
    log.append(Block(1, 10, 3, b""))
    log.recovered(4, 4)
    core = make(log, HardState(3, 1, 4))
    core.persisted(take(core).number)
    assert core.log.committed == 4
    ready = take(core)
    assert [(b.first, b.term) for b in ready.blocks] == [(11, 4)]
    core.persisted(ready.number)
    assert take(core).commit == Position(11, 4)


def test_the_log_drops_applied_blocks_only_below_what_the_store_has_synced() -> None:
    core = make(config=Config(1, catchup_entries=2))
    core.persisted(take(core).number)
    for n in range(10):
        core.propose(BlockKind.NORMAL, 1, entry_bytes(n))
        core.persisted(take(core).number)
    core.applied(9, 0)
    assert core.log.first_index == 1
    core.applied(10, 5)
    assert core.log.first_index == 6
    core.applied(11, 10)
    assert core.log.first_index == 10


def test_a_wal_that_is_behind_gets_nothing_more_but_time_goes_on() -> None:
    core = led()
    core.propose(BlockKind.NORMAL, 1, entry_bytes(1))
    core.tick()
    assert core.ready(persist=False) is None
    assert take(core).blocks
