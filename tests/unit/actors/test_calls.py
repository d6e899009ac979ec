"""Calls in flight: sequences, batching, deadlines, restarts."""

from zetcd.actors.calls import Call, Calls
from zetcd.actors.clients import Ticket
from zetcd.base import limits
from zetcd.wire.entry import Put, Range, decode_entries
from zetcd.wire.local import Propose


def call(subject: object = None, *, linearizable: bool = False) -> Call:
    return Call(Ticket((b"c",), 1), 0, lambda *_: None, subject, linearizable)


def test_writes_of_a_turn_are_one_propose_with_consecutive_sequences_even_among_reads() -> None:
    calls = Calls(origin=5, timeout_ms=1000)
    for number in range(4):
        calls.write(call(), Put(b"k%d" % number, b"v"), 10)
        calls.read(call(Range(b"k")), Range(b"k"))
    (propose,) = calls.take_proposals()
    assert isinstance(propose, Propose)
    entries = decode_entries(propose.count, propose.data)
    assert [entry.sequence for entry in entries] == [1, 2, 3, 4]
    assert {entry.origin for entry in entries} == {5}
    (batch,) = calls.take_reads()
    assert [read.sequence for read in batch.reads] == [-1, -2, -3, -4]
    assert not calls.take_proposals()
    assert not list(calls.take_reads())


def test_a_propose_is_cut_at_the_block_bound() -> None:
    calls = Calls(origin=5, timeout_ms=1000)
    for _ in range(3):
        calls.write(call(), Put(b"k", b"v"), limits.BLOCK_BYTES_MAX // 2)
    assert [propose.count for propose in calls.take_proposals()] == [2, 1]


def test_rule_08_contexts_and_sequences_never_repeat() -> None:
    calls = Calls(origin=5, timeout_ms=1000)
    contexts = []
    for _ in range(3):
        calls.read(call(Range(b"k"), linearizable=True), Range(b"k"))
        calls.ask_reads_again()
        contexts += [batch.context for batch in calls.take_reads()]
    assert len(set(contexts)) == len(contexts) == 3


def test_only_calls_older_than_the_timeout_are_overdue() -> None:
    calls = Calls(origin=5, timeout_ms=1000)
    calls.overdue(0)
    calls.write(call("early"), Put(b"k", b"v"), 1)
    calls.read(call("early read"), Range(b"k"))
    calls.overdue(500)
    calls.write(call("late"), Put(b"k", b"v"), 1)
    assert calls.overdue(1400) == []
    assert [each.subject for each in calls.overdue(1500)] == ["early", "early read"]
    assert [each.subject for each in calls.overdue(2500)] == ["late"]
    assert len(calls) == 0


def test_rule_08_only_sent_writes_are_in_doubt_after_a_restart() -> None:
    calls = Calls(origin=5, timeout_ms=1000)
    calls.write(call("sent"), Put(b"k", b"v"), 1)
    assert len(calls.take_proposals()) == 1
    calls.write(call("never sent"), Put(b"k", b"v"), 1)
    calls.on_raft_lost()
    assert [each.subject for each in calls.take_doubtful()] == ["sent"]
    (propose,) = calls.take_proposals()
    assert propose.first_sequence == 2


def test_unanswered_reads_are_asked_again() -> None:
    calls = Calls(origin=5, timeout_ms=1000)
    calls.read(call(Range(b"a"), linearizable=True), Range(b"a"))
    calls.read(call(Range(b"b")), Range(b"b"))
    assert len(list(calls.take_reads())) == 2
    calls.reads.pop(-2)
    calls.ask_reads_again()
    (batch,) = calls.take_reads()
    assert batch.linearizable
    assert [read.query for read in batch.reads] == [Range(b"a")]


def test_overdue_reads_and_lease_calls_that_were_never_sent_do_not_gather() -> None:
    calls = Calls(origin=5, timeout_ms=1000)
    for turn in range(40):
        calls.read(call(Range(b"k")), Range(b"k"))
        calls.lease(call(7), 7, renew=False)
        calls.overdue(turn * 100)
    (batch,) = calls.take_reads()
    assert [read.sequence for read in batch.reads] == list(calls.reads)
    assert [ask.sequence for ask in calls.take_leases()] == list(calls.leases)
    assert len(calls) < 40
