"""What raft sends to wal and apply, and when: the pipeline alone, without its actor."""

from tests.unit.raft.member import stored
from zetcd.actors.pipeline import Pipeline
from zetcd.raft.log import Log
from zetcd.raft.ready import Ready
from zetcd.wire.local import Blocks, Commit


def test_what_raft_itself_has_sent_to_apply_is_committed_without_waiting_for_a_tick() -> None:
    """Of such blocks wal tells apply nothing, also where the grant was given meanwhile."""
    log, pipeline = Log(), Pipeline()
    pipeline.start(0, 0)
    log.append(stored(1, 2, 1))
    log.offered = 2
    pipeline.commit_due = True
    assert pipeline.feed(log, 1, granted=False, report=True) == [Blocks(1, [stored(1, 2, 1)])]
    pipeline.commit = 2
    assert pipeline.feed(log, 2, granted=True, report=True) == [Commit(2, 1)]
    log.append(stored(3, 3, 1))
    log.offered = 3
    assert pipeline.persist(Ready(3, blocks=[stored(3, 3, 1)]), granted=True, caught_up=False).forward
    pipeline.commit = 3
    assert pipeline.feed(log, 3, granted=True, report=True) == []


def test_apply_is_asked_for_a_report_only_where_somebody_waits_for_it() -> None:
    """Else it tells with its tick, which costs a lone client's put no wake."""
    log, pipeline = Log(), Pipeline()
    pipeline.start(0, 0)
    log.append(stored(1, 2, 1))
    log.offered = pipeline.commit = 2
    assert pipeline.feed(log, 1, granted=False, report=False)[1:] == [Commit(2, 1, report=False)]
    assert not pipeline.behind(log, report=False)
    assert pipeline.behind(log, report=True)
    assert pipeline.feed(log, 1, granted=False, report=True) == [Commit(2, 1, report=True)]
    assert not pipeline.behind(log, report=True), "once is enough"
    pipeline.executed(2)
    log.append(stored(3, 3, 1))
    log.offered = pipeline.commit = 3
    assert pipeline.feed(log, 2, granted=False, report=True)[1:] == [Commit(3, 1, report=True)]
    assert not pipeline.behind(log, report=True)
