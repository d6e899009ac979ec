"""Leases over the public API."""

from tests.process.api.dealer import Dealer, etcds
from tests.process.member import Member


def test_a_lease_from_grant_to_revoke(dealer: Dealer) -> None:
    grant = dealer.call({"op": "lease_grant", "TTL": 60, "ID": 1001})
    assert (grant["ID"], grant["TTL"]) == (1001, 60)
    assert dealer.call({"op": "lease_grant", "TTL": 60, "ID": 1001}) == etcds(
        9, "FAILED_PRECONDITION", "lease already exists"
    )
    for key in (b"leased/b", b"leased/a"):
        dealer.call({"op": "put", "key": key, "value": b"v", "lease": 1001})
    (row,) = dealer.call({"op": "range", "key": b"leased/a"})["kvs"]
    assert row["lease"] == 1001
    left = dealer.call({"op": "lease_time_to_live", "ID": 1001, "keys": True})
    assert (left["grantedTTL"], left["keys"]) == (60, [b"leased/a", b"leased/b"])
    assert 0 < left["TTL"] <= 60
    assert {"ID": 1001} in dealer.call({"op": "lease_leases"})["leases"]
    kept = dealer.call({"op": "lease_keep_alive", "ID": 1001})
    assert (kept["ID"], kept["TTL"]) == (1001, 60)
    before = dealer.call({"op": "status"})["header"]["revision"]
    gone = dealer.call({"op": "lease_revoke", "ID": 1001})
    assert gone["header"]["revision"] == before + 1
    assert "kvs" not in dealer.call({"op": "range", "key": b"leased/", "range_end": b"leased0"})


def test_an_unknown_lease(dealer: Dealer) -> None:
    assert dealer.call({"op": "lease_time_to_live", "ID": 77})["TTL"] == -1
    assert dealer.call({"op": "lease_keep_alive", "ID": 77}).get("TTL", 0) == 0
    assert dealer.call({"op": "lease_revoke", "ID": 77}) == etcds(5, "NOT_FOUND", "requested lease not found")


def test_a_drawn_id_and_the_least_ttl(dealer: Dealer) -> None:
    grants = [dealer.call({"op": "lease_grant", "TTL": 1}) for _ in range(2)]
    ids = {grant["ID"] for grant in grants}
    assert len(ids) == 2
    assert 0 not in ids
    assert {grant["TTL"] for grant in grants} == {2}, "1.5 election timeouts, in whole seconds"


def test_a_lease_nobody_keeps_expires_with_its_keys_and_watchers_hear_it(member: Member, dealer: Dealer) -> None:
    lease = dealer.call({"op": "lease_grant", "TTL": 2})["ID"]
    put = dealer.call({"op": "put", "key": b"expires", "value": b"v", "lease": lease})
    start = put["header"]["revision"] + 1
    poll = member.call({"op": "watch_poll", "key": b"expires", "start_revision": start, "wait_ms": 25_000}, 30)
    (event,) = poll["events"]
    assert (event["type"], event["kv"]["key"]) == (1, b"expires")
    assert dealer.call({"op": "lease_time_to_live", "ID": lease})["TTL"] == -1
