"""A core stepped by hand: its peers are the test, its disk answers when `drain` is called."""

from random import Random
from typing import TypeVar

from zetcd.raft.config import Config
from zetcd.raft.core import Core
from zetcd.raft.log import Log
from zetcd.wire.entry import Block, Entry, NoOp, encode_entries
from zetcd.wire.local import ConfState, HardState
from zetcd.wire.peer import AppendReply, PeerMessage, VoteReply

M = TypeVar("M", bound=PeerMessage)
TICKS = 10


def data(count: int) -> bytes:
    return encode_entries([Entry(1, n, NoOp()) for n in range(count)])


def runs(*terms: int, first: int = 1) -> list[Block]:
    """Blocks of one entry each, with these terms."""
    return [Block(index, index, term, data(1)) for index, term in enumerate(terms, first)]


def make(
    terms: tuple[int, ...] = (),
    *,
    voters: tuple[int, ...] = (1, 2, 3),
    term: int = 0,
    vote: int = 0,
    commit: int = 0,
    member: int = 1,
    seed: int = 1,
    pre_vote: bool = False,
    check_quorum: bool = False,
    learners: tuple[int, ...] = (),
) -> Core:
    """A core whose log holds entries of these terms."""
    log = Log()
    for block in runs(*terms):
        log.append(block)
    log.recovered(commit, 0)
    config = Config(member, election_ticks=TICKS, pre_vote=pre_vote, check_quorum=check_quorum)
    conf = ConfState(list(voters), list(learners))
    return Core(config, log, HardState(max(term, *terms, 0), vote, commit), conf, Random(seed))


def drain(core: Core) -> list[PeerMessage]:
    """Everything it sends once its disk has answered everything."""
    messages: list[PeerMessage] = []
    while (ready := core.ready()) is not None:
        messages += ready.messages
        if ready.number:
            core.persisted(ready.number)
    return messages


def only(messages: list[PeerMessage], kind: type[M]) -> list[M]:
    return [message for message in messages if isinstance(message, kind)]


def candidate(**options: object) -> Core:
    """A core that has just begun an election, its own vote durable."""
    core = make(**options)  # type: ignore[arg-type]
    core.campaign()
    drain(core)
    return core


def leader(**options: object) -> Core:
    """A core that has just won an election; its no-op is not acknowledged by anybody else."""
    core = candidate(**options)
    for voter in core.conf.voters:
        if not core.is_leader and voter != core.id:
            core.step(VoteReply(core.term, voter, core.id, granted=True))
    assert core.is_leader
    return core


def acknowledge(core: Core, *members: int) -> None:
    """These members hold all the leader has."""
    drain(core)
    for member in members:
        core.step(AppendReply(core.term, member, core.id, core.log.last_index))


def terms_of(core: Core) -> list[int]:
    return [core.log.term_at(index) or 0 for index in range(1, core.log.last_index + 1)]
