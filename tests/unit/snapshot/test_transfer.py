"""One transfer between two pure state machines: what is sent, kept, repeated and refused."""

import pytest

from tests.unit.snapshot.pairing import CONF, POSITION, Pairing
from zetcd.base import limits
from zetcd.base.errors import WireError
from zetcd.snapshot.receiving import Phase
from zetcd.wire.local import SnapshotArrived
from zetcd.wire.snapshot import (
    Chunk,
    End,
    Manifest,
    Offer,
    Receipt,
    SnapshotMessage,
    decode_rows,
    decode_snapshot,
    encode_rows,
    encode_snapshot,
)

ROWS = [(b"k%05d" % number, bytes([number % 251]) * 40) for number in range(20_345)]


def decoded(data: list[bytes]) -> list[SnapshotMessage]:
    return [decode_snapshot(each) for each in data]


def until_arrived(pairing: Pairing) -> None:
    for _ in range(10_000):
        pairing.collect()
        if pairing.receiver.phase == Phase.ARRIVED:
            return
        for data in pairing._take("to_receiver"):
            pairing.hear(data)
        pairing.stage.end(pairing.receiver)
        pairing.collect()
        for data in pairing._take("to_sender"):
            pairing.answer(data)
        pairing.sender.step()
        pairing.tick()
    raise AssertionError("nothing arrives")


def test_rule_07_the_whole_store_arrives_once_and_is_announced_with_its_configuration() -> None:
    pairing = Pairing(ROWS)
    until_arrived(pairing)
    assert pairing.stage.complete == dict(ROWS)
    assert pairing.receiver.arrival == SnapshotArrived(9, 7, *POSITION, CONF)
    pairing.install()
    pairing.smooth()
    assert pairing.sender.installed == POSITION[0]
    assert pairing.sender.counters["chunks"] == -(-len(ROWS) // limits.SNAPSHOT_CHUNK_ROWS)
    assert not pairing.sender.counters["resent"]


def test_a_chunk_has_a_bound_in_rows_and_bytes_and_a_row_beyond_it_stands_alone() -> None:
    big = bytes(limits.SNAPSHOT_CHUNK_BYTES // 2)
    pairs = [(b"a", bytes(3 * limits.SNAPSHOT_CHUNK_BYTES)), (b"b", big), (b"c", big), (b"d", b""), (b"e", big)]
    pairing = Pairing(pairs)
    sizes: list[int] = []
    counts: list[int] = []
    for _ in range(50):
        pairing.collect()
        for message in decoded(pairing.to_receiver):
            if isinstance(message, Chunk):
                sizes.append(len(message.rows))
                counts.append(len(decode_rows(message.rows)) // 2)
        if pairing.sender.done:
            break
        pairing.round()
    assert pairing.applied == POSITION[0]
    assert sizes[0] > 3 * limits.SNAPSHOT_CHUNK_BYTES
    assert all(size <= limits.SNAPSHOT_CHUNK_BYTES for size in sizes[1:])
    assert counts == [1, 1, 2, 1]


def test_the_window_bounds_what_either_side_keeps() -> None:
    """The stage writes nothing for a while: the sender stops reading, and nothing piles up."""
    pairing = Pairing(ROWS)
    pairing.collect()
    pairing.hear(pairing.to_receiver.pop())
    pairing.stage.end(pairing.receiver)
    pairing.collect()
    pairing.answer(pairing.to_sender.pop())
    for _ in range(100):
        pairing.sender.step()
        pairing.collect()
        for data in pairing._take("to_receiver"):
            pairing.hear(data)
    assert pairing.held_most == limits.SNAPSHOT_WINDOW_CHUNKS
    assert not pairing.sender.may_step
    pairing.smooth()
    assert pairing.applied == POSITION[0]
    assert pairing.held_most == limits.SNAPSHOT_WINDOW_CHUNKS


def test_rule_07_a_chunk_that_was_damaged_on_the_way_is_not_stored_and_comes_again() -> None:
    pairing = Pairing(ROWS)
    spoilt = 0
    for _ in range(10_000):
        pairing.collect()
        if pairing.sender.done:
            break
        for at, data in enumerate(pairing.to_receiver):
            message = decode_snapshot(data)
            if isinstance(message, Chunk) and message.number == 5 and not spoilt:
                spoilt += 1
                flipped = bytes([message.rows[-1] ^ 1])
                bad = Chunk(message.term, message.serial, 5, message.crc, message.rows[:-1] + flipped)
                pairing.to_receiver[at] = encode_snapshot(bad)
        pairing.round()
    assert pairing.receiver.counters["damaged"] + spoilt >= 1
    assert pairing.applied == POSITION[0]
    assert pairing.sender.counters["resent"] >= 1


@pytest.mark.parametrize("what", ["chunks", "rows", "bytes", "crc"])
def test_rule_07_a_store_that_is_not_what_the_manifest_says_is_refused_and_removed(what: str) -> None:
    pairing = Pairing(ROWS[:10])
    for _ in range(200):
        pairing.collect()
        if pairing.sender.done:
            break
        for at, data in enumerate(pairing.to_receiver):
            message = decode_snapshot(data)
            if isinstance(message, End):
                m = {name: getattr(message.manifest, name) for name in ("chunks", "rows", "bytes", "crc")}
                m[what] = m[what] - 1 if what == "chunks" else m[what] ^ 1
                pairing.to_receiver[at] = encode_snapshot(End(message.term, message.serial, Manifest(**m)))
        pairing.round()
    assert pairing.sender.failure.startswith("refused"), pairing.sender.failure
    assert pairing.applied == 3
    pairing.stage.end(pairing.receiver)
    assert pairing.stage.pending is None
    assert pairing.stage.complete is None


def test_rule_07_a_store_that_says_another_position_is_refused() -> None:
    pairing = Pairing(ROWS[:10])
    pairing.stage.says = (POSITION[0] - 1, POSITION[1])
    pairing.smooth()
    assert "not (100, 7)" in pairing.sender.failure
    pairing.stage.end(pairing.receiver)
    assert pairing.stage.complete is None


def test_rows_that_are_no_pairs_are_refused() -> None:
    with pytest.raises(WireError):
        decode_rows(encode_rows([b"key", b"value", b"key"]))
    with pytest.raises(WireError):
        decode_rows(b"\xc1")
    with pytest.raises(WireError):
        decode_snapshot(b"\x91\x09")


def test_a_member_that_is_there_already_says_so_and_nothing_is_sent() -> None:
    pairing = Pairing(ROWS, applied=500)
    pairing.smooth()
    assert pairing.sender.installed == 500
    assert pairing.stage.jobs == 0


def test_rule_07_a_later_transfer_replaces_one_under_way_and_an_earlier_one_is_ignored() -> None:
    pairing = Pairing(ROWS)
    for _ in range(8):
        pairing.collect()
        pairing.round()
    assert pairing.receiver.held or pairing.stage.pending
    late = encode_snapshot(Offer(pairing.term, 0, *POSITION))
    pairing.hear(late)
    assert pairing.receiver.phase == Phase.RECEIVING
    before = pairing.receiver.counters["transfers"]
    pairing.crash_sender()
    pairing.smooth()
    assert pairing.applied == POSITION[0]
    assert pairing.receiver.counters["transfers"] + before >= 1


def test_rule_07_what_has_arrived_is_not_removed_before_raft_has_said_so() -> None:
    """Between the mark in the log and the switch, another offer must not cost the store that the mark names."""
    pairing = Pairing(ROWS[:10])
    until_arrived(pairing)
    pairing.receiver.arrival = None
    pairing.hear(encode_snapshot(Offer(pairing.term + 1, 1, POSITION[0] + 50, 8)))
    assert pairing.stage.job is None
    assert pairing.stage.complete == dict(ROWS[:10])
    [receipt] = [message for message in decoded(pairing.to_sender) if message.term == pairing.term + 1]
    assert isinstance(receipt, Receipt)
    assert (receipt.stage, receipt.room) == (Receipt.RECEIVING, 0)
    pairing.receiver.settle()
    pairing.stage.end(pairing.receiver)
    assert pairing.stage.complete is None


def test_rule_07_a_receiver_that_died_is_sent_every_row_again() -> None:
    pairing = Pairing(ROWS)
    for _ in range(12):
        pairing.round()
    assert pairing.stage.pending
    pairing.crash_receiver()
    until_arrived(pairing)
    assert pairing.sender.counters["restarts"] == 1
    assert pairing.stage.complete == dict(ROWS)


def test_an_end_before_the_last_chunk_is_stored_is_answered_by_how_far_it_is() -> None:
    pairing = Pairing(ROWS[:10])
    pairing.collect()
    pairing.hear(pairing.to_receiver.pop())
    pairing.stage.end(pairing.receiver)
    pairing.to_sender.clear()
    pairing.collect()
    pairing.to_sender.clear()
    pairing.hear(encode_snapshot(End(pairing.term, pairing.sender.serial, Manifest(1, 10, 500, 7))))
    [receipt] = decoded(pairing.to_sender)
    assert receipt == Receipt(pairing.term, pairing.sender.serial, Receipt.RECEIVING, 0, limits.SNAPSHOT_WINDOW_CHUNKS)


def test_a_receiver_gives_up_a_silent_sender_and_removes_what_it_has() -> None:
    pairing = Pairing(ROWS)
    for _ in range(8):
        pairing.round()
    pairing.to_receiver.clear()
    pairing.stage.end(pairing.receiver)
    pairing.receiver.on_tick(pairing.now_ms + limits.SNAPSHOT_SILENCE_MAX_MS)
    while pairing.stage.end(pairing.receiver):
        pass
    assert pairing.receiver.phase == Phase.IDLE
    assert pairing.stage.pending is None
    assert pairing.receiver.held == 0


def test_a_sender_gives_up_a_silent_receiver_and_lets_go_of_its_view() -> None:
    pairing = Pairing(ROWS)
    pairing.tick(limits.SNAPSHOT_SILENCE_MAX_MS - 1)
    assert not pairing.sender.done
    pairing.tick(1)
    assert pairing.sender.done
    assert pairing.sender.installed == 0
    assert pairing.sender._rows.closed


def test_a_sender_gives_up_a_receiver_that_stores_nothing() -> None:
    pairing = Pairing(ROWS)
    for _ in range(limits.SNAPSHOT_STALL_MAX_MS // 1_000):
        pairing.collect()
        pairing.answer(encode_snapshot(Receipt(pairing.term, pairing.sender.serial, Receipt.RECEIVING)))
        assert not pairing.sender.done
        pairing.tick(1_000)
    assert pairing.sender.failure == "the receiver stores nothing"


def test_receipts_that_nobody_can_send_move_nothing() -> None:
    pairing = Pairing(ROWS)
    sender = pairing.sender
    for receipt in (
        Receipt(pairing.term, sender.serial, Receipt.RECEIVING, next=5, room=8),
        Receipt(pairing.term, sender.serial, Receipt.INSTALLED, index=POSITION[0] - 1),
        Receipt(pairing.term + 1, sender.serial, Receipt.REFUSED),
        Receipt(pairing.term, sender.serial + 1, Receipt.UNKNOWN),
        Receipt(pairing.term, sender.serial, 77),
    ):
        sender.on_receipt(receipt, 1)
    assert not sender.done
    assert sender.counters["restarts"] == 0
    pairing.smooth()
    assert pairing.applied == POSITION[0]
