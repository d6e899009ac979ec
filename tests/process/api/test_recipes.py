"""lock, unlock, campaign, proclaim, leader, observe and resign over the public API."""

from tests.process.api.dealer import Dealer
from tests.process.member import Member


def lease(dealer: Dealer) -> int:
    granted: int = dealer.call({"op": "lease_grant", "TTL": 60})["ID"]
    return granted


def test_a_lock_goes_from_hand_to_hand(member: Member, dealer: Dealer) -> None:
    one, two = lease(dealer), lease(dealer)
    first = dealer.call({"op": "lock", "name": b"mutex", "lease": one})
    assert first["key"] == b"mutex/%x" % one
    second = dealer.send({"op": "lock", "name": b"mutex", "lease": two})
    again = dealer.call({"op": "lock", "name": b"mutex", "lease": one})
    assert again["key"] == first["key"], "the same lease holds the same lock"
    dealer.call({"op": "unlock", "key": first["key"]})
    assert dealer.reply(second)["key"] == b"mutex/%x" % two
    dealer.call({"op": "lease_revoke", "ID": two})
    assert "kvs" not in dealer.call({"op": "range", "key": b"mutex/", "range_end": b"mutex0"})


def test_a_waiter_whose_lease_ends_is_told(dealer: Dealer) -> None:
    one, two = lease(dealer), lease(dealer)
    dealer.call({"op": "lock", "name": b"short", "lease": one})
    waiting = dealer.send({"op": "lock", "name": b"short", "lease": two})
    dealer.call({"op": "range", "key": b"short/"})
    dealer.call({"op": "lease_revoke", "ID": two})
    dealer.call({"op": "lease_revoke", "ID": one})
    error = dealer.reply(waiting)["error"]
    assert (error["code"], error["status"]) in ((2, "UNKNOWN"), (5, "NOT_FOUND"))


def test_an_election(dealer: Dealer) -> None:
    assert dealer.call({"op": "leader", "name": b"chair"})["error"]["message"] == "election: no leader"
    watched = dealer.send({"op": "observe", "name": b"chair"}, b"observer")
    one, two = lease(dealer), lease(dealer)
    leader = dealer.call({"op": "campaign", "name": b"chair", "lease": one, "value": b"one"})["leader"]
    assert (leader["name"], leader["key"], leader["lease"]) == (b"chair", b"chair/%x" % one, one)
    assert dealer.reply(watched)["kv"]["value"] == b"one"
    rival = dealer.send({"op": "campaign", "name": b"chair", "lease": two, "value": b"two"})
    dealer.call({"op": "proclaim", "leader": leader, "value": b"uno"})
    assert dealer.call({"op": "leader", "name": b"chair"})["kv"]["value"] == b"uno"
    assert dealer.reply(watched)["kv"]["value"] == b"uno"
    dealer.call({"op": "resign", "leader": leader})
    assert dealer.reply(rival)["leader"]["lease"] == two
    assert dealer.reply(watched)["kv"]["value"] == b"two"
    refused = dealer.call({"op": "proclaim", "leader": leader, "value": b"late"})["error"]
    assert refused["message"] == "election: not leader"
    dealer.send({"op": "watch_cancel"}, *watched)
    assert dealer.reply(watched)["canceled"] is True
    missing = dealer.call({"op": "resign"})["error"]
    assert (missing["code"], missing["message"]) == (2, '"leader" field must be provided')
