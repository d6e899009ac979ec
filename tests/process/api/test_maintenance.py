"""Hash, defragment and snapshot streams on a real member."""

import contextlib
import time
from pathlib import Path

import pytest

from tests.process.api.dealer import Dealer, etcds
from tests.process.api.snapshots import take
from tests.process.member import Member
from tests.unit.bolt.reading import buckets


def fill(dealer: Dealer, prefix: bytes, count: int, size: int = 1_000) -> int:
    """count keys; the revision afterwards."""
    for first in range(0, count, 500):
        puts = [{"op": "put", "key": prefix + b"%06d" % at, "value": bytes(size)} for at in range(first, first + 500)]
        reply = dealer.call({"op": "batch", "requests": puts})
    return max(int(each["header"]["revision"]) for each in reply["responses"])


def test_hash_changes_with_whatever_is_replicated(dealer: Dealer) -> None:
    seen = [dealer.call({"op": "hash"})["hash"]]
    assert dealer.call({"op": "hash"})["hash"] == seen[0]
    dealer.call({"op": "put", "key": b"hashed"})
    seen.append(dealer.call({"op": "hash"})["hash"])
    lease = dealer.call({"op": "lease_grant", "TTL": 100})["ID"]
    seen.append(dealer.call({"op": "hash"})["hash"])
    dealer.call({"op": "alarm", "action": 1, "memberID": 5, "alarm": 2})
    seen.append(dealer.call({"op": "hash"})["hash"])
    dealer.call({"op": "alarm", "action": 2, "memberID": 5, "alarm": 2})
    assert dealer.call({"op": "hash"})["hash"] == seen[2]
    dealer.call({"op": "lease_revoke", "ID": lease})
    assert dealer.call({"op": "hash"})["hash"] == seen[1]
    assert len(set(seen)) == 4


def test_a_snapshot_holds_what_was_acknowledged_before_it_was_asked_for(dealer: Dealer) -> None:
    for number in range(3):
        revision = dealer.call({"op": "put", "key": b"acknowledged", "value": b"%d" % number})["header"]["revision"]
        data, at = take(dealer)
        assert at >= revision
        rows = buckets(data)[b"key"]
        assert rows[revision.to_bytes(8, "big") + b"_" + bytes(8)].endswith(b"*\x01%d" % number)


def test_snapshots_of_one_revision_while_writes_go_on(member: Member, dealer: Dealer) -> None:
    """No credit, no chunk: a client that does not read pauses its own snapshot, and the member serves everybody."""
    revision = fill(dealer, b"many/", 2_000)
    with Dealer(member.endpoint) as slow:
        address = slow.send({"op": "snapshot", "credit": 2}, b"slow")
        replies = [slow.reply(address), slow.reply(address)]
        assert replies[0]["header"]["revision"] == revision
        with pytest.raises(TimeoutError):
            slow.reply(address, 0.3)
        later = dealer.call({"op": "delete_range", "key": b"many/", "range_end": b"many0"})["header"]["revision"]
        dealer.call({"op": "compact", "revision": later, "physical": True})
        assert dealer.call({"op": "range", "key": b"many/", "range_end": b"many0"}).get("count", 0) == 0
        _, second = take(dealer)
        assert second >= later
        while not replies[-1].get("done"):
            slow.send({"op": "snapshot_credit", "chunks": 1}, *address)
            replies.append(slow.reply(address))
        rows = buckets(b"".join(reply["blob"] for reply in replies[:-1]))[b"key"]
        assert int.from_bytes(max(rows)[:8], "big") == revision
        assert sum(b"many/" in row for row in rows.values()) == 2_000


def test_snapshots_end_with_their_client_and_are_four_at_most(member: Member, dealer: Dealer) -> None:
    fill(dealer, b"four/", 500)
    scratch = member.data_dir / "member"
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            other = stack.enter_context(Dealer(member.endpoint))
            other.reply(other.send({"op": "snapshot", "credit": 1}, b"s"))
        assert dealer.reply(dealer.send({"op": "snapshot"}, b"fifth")) == etcds(
            8, "RESOURCE_EXHAUSTED", "too many requests"
        )
        assert len(list(scratch.glob("scratch-*"))) == 4
        other.send({"op": "snapshot_cancel"}, b"s")
        until = time.monotonic() + 20
        while len(list(scratch.glob("scratch-*"))) > 3:
            assert time.monotonic() < until
            dealer.call({"op": "status"})
        take(dealer)
    assert "error" in dealer.reply(dealer.send({"op": "snapshot_credit", "chunks": 1}, b"none"))


def test_a_killed_store_ends_the_snapshot_with_an_error_and_leaves_no_notes(tmp_path: Path) -> None:
    with Member(tmp_path) as member, Dealer(member.endpoint) as dealer:
        fill(dealer, b"k", 500)
        address = dealer.send({"op": "snapshot", "credit": 1}, b"s")
        assert dealer.reply(address)["blob"]
        member.kill("apply")
        dealer.send({"op": "snapshot_credit", "chunks": 1}, *address)
        assert dealer.reply(address)["error"]["message"].startswith("zetcd: the store was opened anew")
        assert list((member.data_dir / "member").glob("scratch-*")) == []
        take(dealer)


def test_defragment_shrinks_the_store_and_requests_go_on_meanwhile(tmp_path: Path) -> None:
    with Member(tmp_path) as member, Dealer(member.endpoint) as dealer:
        for _ in range(3):
            revision = fill(dealer, b"big", 5_000, 2_000)
        dealer.call({"op": "delete_range", "key": b"big", "range_end": b"bih"})
        dealer.call({"op": "compact", "revision": revision + 1, "physical": True})
        before = dealer.call({"op": "status"})["dbSize"]
        address = dealer.send({"op": "defragment"}, b"defragment")
        for _ in range(50):
            assert "error" not in dealer.call({"op": "put", "key": b"meanwhile"})
        assert list(dealer.reply(address)) == ["header"]
        assert dealer.call({"op": "status"})["dbSize"] < before / 3
        assert dealer.call({"op": "range", "key": b"meanwhile"})["kvs"][0]["version"] == 50


def test_metrics_come_from_every_process(dealer: Dealer) -> None:
    before = dealer.call({"op": "metrics"})
    for _ in range(5):
        dealer.call({"op": "put", "key": b"measured"})
    after = dealer.call({"op": "metrics"})
    assert "missing" not in after
    assert after["series"]["etcd_mvcc_put_total"] == before["series"]["etcd_mvcc_put_total"] + 5
    assert after["series"]["etcd_server_has_leader"] == after["series"]["etcd_server_is_leader"] == 1
    assert after["series"]["etcd_server_leader_changes_seen_total"] >= 1
    assert "etcd_debugging_lease_renewed_total" in after["series"]
    syncs = [sum(each["histograms"]["etcd_disk_wal_fsync_duration_seconds"]["counts"]) for each in (before, after)]
    assert syncs[1] >= syncs[0] + 5
    assert after["histograms"]["etcd_disk_backend_commit_duration_seconds"]["sum"] > 0
