"""The wal actor on a disk in memory: what it promises raft, and each safety rule that is its to keep."""

import dataclasses
import random
from collections.abc import Callable

import pytest

from tests.unit.wal.member import QUIET, SETTINGS, WAL_DIR, Member, block, entries_of, newest
from zetcd.actors.actor import Peer
from zetcd.actors.wal_actor import WalActor, open_wal
from zetcd.base import limits
from zetcd.base.errors import Fatal
from zetcd.wal.memory import MemoryFile, MemoryFiles
from zetcd.wire.local import Blocks, HardState, Message, Persist, Persisted, Recover, Release


def restart(member: Member, segment_bytes: int = 4096) -> Member:
    member.files.kill()
    return Member(member.files, segment_bytes)


def test_a_fresh_log_is_empty_and_takes_its_identity_from_the_settings() -> None:
    member = Member(MemoryFiles())
    assert member.blocks == []
    assert member.state == HardState()
    assert member.base == (0, 0)
    assert (member.actor.cluster, member.actor.member, member.actor.epoch) == (7, 9, 1)
    assert member.actor.report.fresh


def test_an_existing_log_provides_the_identity() -> None:
    member = Member(MemoryFiles())
    member.files.kill()
    other = dataclasses.replace(SETTINGS, cluster_id=70, member_id=90)
    again = Member(member.files, settings=other)
    assert (again.actor.cluster_id, again.actor.member_id) == (7, 9)
    assert not again.actor.report.fresh


def test_what_was_persisted_is_recovered_with_its_bytes_unchanged() -> None:
    member = Member(MemoryFiles())
    one, two = block(1, 3, 1), block(4, 1, 2, size=3000)
    assert member.persist(one, state=HardState(1, 9, 0)) == Persisted(1, 3, 1)
    assert member.persist(two, state=HardState(2, 9, 3)) == Persisted(2, 4, 2)
    again = restart(member)
    assert again.blocks == [one, two]
    assert again.state == HardState(2, 9, 3)


def counted(name: str, real: Callable[..., None], calls: list[str]) -> Callable[..., None]:
    """real, which notes its name in calls."""

    def count(*args: object) -> None:
        calls.append(name)
        real(*args)

    return count


def test_rule_04_one_write_one_sync_and_one_answer_for_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    member = Member(MemoryFiles(), 1 << 20)
    calls: list[str] = []
    for name in ("write", "sync"):
        monkeypatch.setattr(MemoryFile, name, counted(name, getattr(MemoryFile, name), calls))
    readies = [member.ready(block(index, 1, 1), state=HardState(1, 9, index - 1)) for index in range(1, 11)]
    assert member.turn(*readies) == [Persisted(10, 10, 1)]
    assert calls == ["write", "sync"]


def test_rule_04_the_answer_names_the_last_entry_that_still_stands() -> None:
    member = Member(MemoryFiles())
    readies = [member.ready(block(1, 9, 1)), member.ready(block(4, 2, 3))]
    assert member.turn(*readies) == [Persisted(2, 5, 3)]


def test_rule_04_numbers_only_grow() -> None:
    member = Member(MemoryFiles())
    member.persist(block(1, 1, 1))
    with pytest.raises(Fatal, match="Ready 1 comes after Ready 1"):
        member.turn(Persist(1, None, [block(2, 1, 1)]))


def test_rule_05_a_vote_alone_is_synced_even_if_raft_did_not_ask() -> None:
    member = Member(MemoryFiles())
    assert member.turn(member.ready(state=HardState(4, 2, 0), sync=False)) == [Persisted(1, 0, 0)]
    member.files.lose_power(lambda _: 0)
    assert Member(member.files).state == HardState(4, 2, 0)


def test_rule_05_a_commit_alone_need_not_be_synced_and_may_be_lost() -> None:
    member = Member(MemoryFiles())
    member.persist(block(1, 2, 1), state=HardState(1, 9, 0))
    assert member.turn(member.ready(state=HardState(1, 9, 2), sync=False)) == [Persisted(2, 2, 1)]
    member.files.lose_power(lambda _: 0)
    again = Member(member.files)
    assert again.state == HardState(1, 9, 0)
    assert len(entries_of(again.blocks)) == 2


def test_rule_15_a_later_block_replaces_everything_from_its_first_index() -> None:
    member = Member(MemoryFiles())
    member.persist(block(1, 5, 1), block(6, 5, 1))
    member.persist(block(4, 3, 2), state=HardState(2, 0, 0))
    again = restart(member)
    found = entries_of(again.blocks)
    assert {index: term for index, (term, _) in found.items()} == {1: 1, 2: 1, 3: 1, 4: 2, 5: 2, 6: 2}


def test_rule_15_what_a_later_segment_replaced_stays_replaced_when_the_replacement_is_released() -> None:
    """Entry 20 of an earlier segment must not come back once 18-19 were written anew in a later one and released."""
    member = Member(MemoryFiles(), 1024)
    member.persist(block(1, 17, 1, size=1))
    member.persist(block(18, 3, 1, size=1))
    member.persist(block(18, 2, 2, size=300))
    assert len([n for n in member.files.list_dir(WAL_DIR) if n.endswith(".wal")]) == 2
    member.turn(Release(19, 2))
    again = restart(member, 1024)
    assert again.base == (19, 2)
    assert again.blocks == []


def test_a_hole_in_the_log_is_refused_before_anything_is_written() -> None:
    member = Member(MemoryFiles())
    member.persist(block(1, 2, 1))
    calls = member.files.calls
    with pytest.raises(Fatal, match="do not continue the log 1-2"):
        member.persist(block(4, 1, 1))
    assert member.files.calls == calls


def test_recovered_comes_in_slices() -> None:
    files = MemoryFiles()
    member = Member(files, 1 << 25)
    blocks = [block(index, 1, 1, size=1_000_000) for index in range(1, 10)]
    member.persist(*blocks)
    again = restart(member, 1 << 25)
    assert again.blocks == blocks
    assert len(again.recovered) == 3
    assert [answer.done for answer in again.recovered] == [False, False, True]
    assert all(sum(len(b.data) for b in a.blocks) <= limits.RECOVERY_FRAME_BYTES for a in again.recovered)


def test_the_log_is_read_once_in_a_life() -> None:
    member = Member(MemoryFiles())
    with pytest.raises(Fatal, match="once in a life"):
        member.turn(Recover())
    actor = WalActor(dataclasses.replace(SETTINGS, data_dir="/e"), member.files, QUIET)
    with pytest.raises(Fatal, match="before it has read"):
        actor.on_batch(Peer("raft", 0, 2), [Persist(1, None, [])])


def test_segments_are_cut_and_release_purges_those_wholly_at_or_below_the_index() -> None:
    member = Member(MemoryFiles())
    for index in range(1, 41):
        member.persist(block(index, 1, 1, size=500), state=HardState(1, 9, index - 1))
        member.actor.on_tick(index * 100)
    names = [name for name in member.files.list_dir(WAL_DIR) if name.endswith(".wal")]
    firsts = [int(name[17:33], 16) for name in names]
    assert len(names) > 5
    assert firsts == sorted(firsts)
    target = firsts[3]  # the last entry of the third segment is released with target - 1, not before
    member.turn(Release(target - 2, 1))
    assert [n for n in member.files.list_dir(WAL_DIR) if n.endswith(".wal")] == names[2:]
    member.turn(Release(target - 1, 1))
    assert [n for n in member.files.list_dir(WAL_DIR) if n.endswith(".wal")] == names[3:]
    again = restart(member)
    assert again.base == (target - 1, 1)
    assert sorted(entries_of(again.blocks)) == list(range(target, 41))
    assert again.state == HardState(1, 9, 39)
    assert again.actor.cluster == 7


def test_rule_02_a_segment_is_synced_before_another_proves_it() -> None:
    """Its last turn asked for no sync; the head of the next segment still counts it as being on the disk."""
    member = Member(MemoryFiles(), 1024)
    member.persist(block(1, 1, 1, size=300), state=HardState(1, 9, 0))
    member.turn(member.ready(state=HardState(1, 9, 1), sync=False))
    member.persist(block(2, 1, 1, size=600))
    assert len([n for n in member.files.list_dir(WAL_DIR) if n.endswith(".wal")]) == 2
    member.files.lose_power(lambda _: 0)
    again = Member(member.files, 1024)
    assert sorted(entries_of(again.blocks)) == [1, 2]
    assert again.state == HardState(1, 9, 1)


def test_the_current_segment_stays_whatever_is_released() -> None:
    member = Member(MemoryFiles())
    member.persist(block(1, 3, 1))
    member.turn(Release(3, 1))
    assert len([n for n in member.files.list_dir(WAL_DIR) if n.endswith(".wal")]) == 1
    again = restart(member)
    assert again.base == (3, 1)
    assert again.blocks == []
    assert again.persist(block(4, 1, 1)) == Persisted(1, 4, 1)


def test_a_purge_is_preceded_by_a_synced_mark() -> None:
    member = Member(MemoryFiles())
    for index in range(1, 20):
        member.persist(block(index, 1, 1, size=500))
    member.turn(Release(15, 1))
    member.files.lose_power(lambda _: 0)
    again = Member(member.files)
    assert again.base == (15, 1)
    assert sorted(entries_of(again.blocks)) == list(range(16, 20))


def test_release_in_the_turn_that_persisted_its_entry_is_not_a_reset() -> None:
    member = Member(MemoryFiles())
    member.turn(member.ready(block(1, 8, 1)), Release(5, 1), member.ready(block(9, 1, 1)))
    again = restart(member)
    assert again.base == (5, 1)
    assert sorted(entries_of(again.blocks)) == [6, 7, 8, 9]


def test_rule_03_a_log_shorter_than_applied_starts_anew_behind_it() -> None:
    member = Member(MemoryFiles())
    member.persist(block(1, 3, 1), state=HardState(1, 9, 3))
    ready = member.ready(block(11, 1, 4), state=HardState(4, 0, 10))
    assert member.turn(Release(10, 4), ready) == [Persisted(2, 11, 4)]
    again = restart(member)
    assert again.base == (10, 4)
    assert sorted(entries_of(again.blocks)) == [11]


def test_rule_07_an_installed_snapshot_replaces_the_log() -> None:
    member = Member(MemoryFiles())
    member.persist(block(1, 9, 1))
    ready = Persist(5, HardState(3, 0, 6), [block(7, 1, 3)], snapshot_index=6, snapshot_term=3)
    assert member.turn(ready) == [Persisted(5, 7, 3)]
    again = restart(member)
    assert again.base == (6, 3)
    assert {i: term for i, (term, _) in entries_of(again.blocks).items()} == {7: 3}


def test_rule_03_a_recovered_commit_never_points_behind_the_log() -> None:
    member = Member(MemoryFiles())
    member.persist(block(1, 2, 1), state=HardState(1, 9, 7))
    assert restart(member).state == HardState(1, 9, 2)


# -- rule 1 ------------------------------------------------------------------------------------------------------------
def test_rule_01_what_only_the_page_cache_holds_is_written_anew_before_it_counts() -> None:
    """The sync fails, the process dies, the next one reads the records back: a power loss must not take them then."""
    member = Member(MemoryFiles(lambda n: n - 1))
    member.persist(block(1, 1, 1), state=HardState(1, 9, 0))
    member.files.fault_at = member.files.calls + 2  # write, then sync
    with pytest.raises(Fatal):
        member.persist(block(2, 1, 1))
    again = restart(member)
    assert sorted(entries_of(again.blocks)) == [1, 2]
    again.files.lose_power(lambda _: 0)
    assert sorted(entries_of(Member(again.files).blocks)) == [1, 2]


def test_rule_01_also_behind_a_log_too_large_to_be_taken_over_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SEGMENT_FOLD_BYTES", 0)
    member = Member(MemoryFiles(lambda n: n - 1))
    member.persist(block(1, 1, 1), state=HardState(1, 9, 0))
    member.persist(block(2, 1, 1))
    member.files.fault_at = member.files.calls + 2
    with pytest.raises(Fatal):
        member.persist(block(2, 2, 2), state=HardState(2, 8, 1))
    again = restart(member)
    names = [n for n in again.files.list_dir(WAL_DIR) if n.endswith(".wal")]
    assert len(names) == 2
    again.files.lose_power(lambda _: 0)
    last = Member(again.files)
    assert {i: term for i, (term, _) in entries_of(last.blocks).items()} == {1: 1, 2: 2, 3: 2}
    assert last.state == HardState(2, 8, 1)


@pytest.mark.parametrize("fold", [0, limits.SEGMENT_FOLD_BYTES])
def test_rule_01_a_crash_at_any_call_of_recovery_changes_nothing(fold: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SEGMENT_FOLD_BYTES", fold)
    for seed in range(3):
        at = 0
        while True:
            at += 1
            dice = random.Random(seed * 1000 + at)
            member = Member(MemoryFiles(dice.randrange))
            for index in range(1, 12):
                member.persist(block(index, 1, 1, size=500), state=HardState(1, 9, index - 1))
            files = member.files
            files.kill()
            files.fault_at = files.calls + at
            crashed = True
            try:
                Member(files)
                crashed = False
            except Fatal:
                files.lose_power(dice.randrange)
            files.kill()
            files.fault_at = 0
            again = Member(files)
            assert sorted(entries_of(again.blocks)) == list(range(1, 12))
            assert again.state == HardState(1, 9, 10)
            if not crashed:
                break
        assert at > 8


def test_restarts_pile_up_no_files() -> None:
    member = Member(MemoryFiles())
    for index in range(1, 30):
        member.persist(block(index, 1, 1), state=HardState(index, 9, index - 1))
        member = restart(member)
        assert len([n for n in member.files.list_dir(WAL_DIR) if n.endswith(".wal")]) <= 2
    assert sorted(entries_of(member.blocks)) == list(range(1, 30))


# -- rule 6 and the directories ----------------------------------------------------------------------------------------
def test_rule_06_each_start_draws_a_higher_epoch_even_through_a_power_loss() -> None:
    files = MemoryFiles()
    epochs = []
    for _ in range(4):
        epochs.append(Member(files).actor.epoch)
        files.lose_power(lambda _: 0)
    assert epochs == [1, 2, 3, 4]


def test_rule_06_a_second_opener_is_refused_by_name() -> None:
    files = MemoryFiles()
    Member(files)
    with pytest.raises(Fatal, match=r"/d/member is in use by process 1 \(zetcd wal of m1\)"):
        open_wal(SETTINGS, files)
    elsewhere = dataclasses.replace(SETTINGS, data_dir="/other", wal_dir=WAL_DIR)
    with pytest.raises(Fatal, match="/d/member/wal is in use"):
        open_wal(elsewhere, files)


def test_rule_06_a_damaged_epoch_file_is_named() -> None:
    files = MemoryFiles()
    Member(files)
    files.kill()
    files.open("/d/member/epoch").write(0, b"junk")
    with pytest.raises(Fatal, match="/d/member/epoch: damaged"):
        Member(files)


def test_decision_13_a_failed_write_or_sync_is_never_tried_again() -> None:
    for at in (1, 2):
        member = Member(MemoryFiles())
        member.persist(block(1, 1, 1))
        member.files.fault_at = member.files.calls + at
        with pytest.raises(Fatal, match="failed"):
            member.persist(block(2, 1, 1))
        assert member.files.calls == member.files.fault_at


def test_a_full_disk_ends_the_process_and_loses_nothing_acknowledged() -> None:
    files = MemoryFiles()
    member = Member(files)
    files.capacity = files.used + 6000
    acknowledged: list[int] = []

    def fill() -> None:
        acknowledged.extend(member.persist(block(index, 1, 1, size=400)).index for index in range(1, 100))

    with pytest.raises(Fatal, match="No space left"):
        fill()
    files.kill()
    files.capacity *= 3
    assert acknowledged
    assert sorted(entries_of(Member(files).blocks))[: len(acknowledged)] == acknowledged


def test_a_stopped_log_is_sealed_so_nothing_of_it_is_unproven() -> None:
    member = Member(MemoryFiles())
    member.persist(block(1, 1, 1))
    member.actor.on_stop()
    member.actor.end_turn()
    assert member.actor.stopped()
    again = restart(member)
    assert again.actor.report.cut is None
    assert sorted(entries_of(again.blocks)) == [1]


def test_rule_02_an_idle_log_is_sealed_so_damage_to_its_last_turn_is_known_as_such() -> None:
    member = Member(MemoryFiles())
    member.persist(block(1, 1, 1))
    offset = member.actor.log.end - 20
    member.actor.on_tick(100)
    member.actor.on_tick(200)
    member.files.kill()
    member.files.open(newest(member.files)).write(offset, b"?")
    with pytest.raises(Fatal, match="damaged at offset"):
        Member(member.files)


def test_the_next_segment_is_prepared_in_slices_ahead_of_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SEGMENT_PREPARE_BYTES", 1000)
    member = Member(MemoryFiles())
    allocated: list[int] = []
    real = MemoryFile.allocate

    def counted(file: MemoryFile, offset: int, length: int) -> None:
        allocated.append(length)
        real(file, offset, length)

    monkeypatch.setattr(MemoryFile, "allocate", counted)
    member.actor.on_tick(1)
    assert allocated == []
    member.persist(block(1, 1, 1, size=2500))
    for now in range(2, 9):
        member.actor.on_tick(now)
    assert allocated == [1000, 1000, 1000, 1000, 96]
    member.persist(block(2, 1, 1, size=2500))
    assert allocated == [1000, 1000, 1000, 1000, 96]
    assert len([n for n in member.files.list_dir(WAL_DIR) if n.endswith(".wal")]) == 2
    assert sorted(entries_of(restart(member).blocks)) == [1, 2]


def test_forwarded_blocks_reach_apply_with_persisted_and_raft_hears_in_steps() -> None:
    """Under the one-voter grant nobody waits for raft to know: it is told with the next tick, or after many."""
    member = Member(MemoryFiles())
    actor = member.actor

    def turn(*messages: Message) -> dict[str, list[Message]]:
        if messages:
            actor.on_batch(member.raft, list(messages))
        else:
            actor.on_tick(100)
        actor.end_turn()
        sent, actor.outbox = {peer.role: queue for peer, queue in actor.outbox.items()}, {}
        return sent

    one, two = block(1, 1, 1), block(2, 1, 1)
    assert turn(Persist(1, None, [one], forward=True)) == {"apply": [Blocks(1, [one]), Persisted(1, 1, 1)]}
    assert turn(Persist(2, None, [two], forward=True)) == {"apply": [Blocks(2, [two]), Persisted(2, 2, 1)]}
    assert turn() == {"raft": [Persisted(2, 2, 1)]}
    many = block(3, limits.REPORT_STEP_ENTRIES, 1)
    assert turn(Persist(3, None, [many], forward=True))["raft"] == [Persisted(3, many.last, 1)]
    last = block(many.last + 1, 1, 1)
    answer: list[Message] = [Persisted(4, last.last, 1)]
    assert turn(Persist(4, None, [last])) == {"raft": answer}
