"""put, range, delete_range, txn, compact and batch over plain REQ: replies and errors as etcd gives them."""

from typing import Any

import pytest

from tests.process.api.dealer import Dealer, etcds
from tests.process.member import Member

EMPTY_KEY = etcds(3, "INVALID_ARGUMENT", "key is not provided")
COMPACTED = etcds(11, "OUT_OF_RANGE", "mvcc: required revision has been compacted")
FUTURE = etcds(11, "OUT_OF_RANGE", "mvcc: required revision is a future revision")
LEASE_GONE = etcds(5, "NOT_FOUND", "requested lease not found")


def invalid(message: str) -> dict[str, Any]:
    return etcds(3, "INVALID_ARGUMENT", message)


def test_put_and_range(member: Member) -> None:
    first = member.call({"op": "put", "key": b"kv/a", "value": b"1"})
    revision = first["header"]["revision"]
    assert set(first) == {"header"}
    assert set(first["header"]) == {"cluster_id", "member_id", "revision", "raft_term"}
    second = member.call({"op": "put", "key": b"kv/a", "value": b"2", "prev_kv": True})
    former = {"key": b"kv/a", "create_revision": revision, "mod_revision": revision, "version": 1, "value": b"1"}
    assert second["prev_kv"] == former
    found = member.call({"op": "range", "key": b"kv/a"})
    now = former | {"mod_revision": revision + 1, "version": 2, "value": b"2"}
    assert (found["kvs"], found["count"], found["header"]["revision"]) == ([now], 1, revision + 1)
    assert member.call({"op": "range", "key": b"kv/a", "revision": revision})["kvs"] == [former]
    assert member.call({"op": "range", "key": b"kv/a", "serializable": True})["kvs"] == [now]


def test_absent_fields_are_defaults_and_replies_leave_defaults_out(member: Member) -> None:
    member.call({"op": "put", "key": b"empty"})
    (row,) = member.call({"op": "range", "key": b"empty"})["kvs"]
    assert set(row) == {"key", "create_revision", "mod_revision", "version"}
    nothing = member.call({"op": "range", "key": b"not there"})
    assert set(nothing) == {"header"}


def test_str_is_taken_as_utf_8_and_enums_by_name(member: Member) -> None:
    for number, value in enumerate(("b", "ä", "a")):
        member.call({"op": "put", "key": f"str/{number}", "value": value})
    request = {"op": "range", "key": "str/", "range_end": "str0", "sort_target": "VALUE", "sort_order": "DESCEND"}
    values = [kv["value"] for kv in member.call(request)["kvs"]]
    assert values == ["ä".encode(), b"b", b"a"]
    by_number = request | {"sort_target": 4, "sort_order": 2}
    assert [kv["value"] for kv in member.call(by_number)["kvs"]] == values
    wrong = member.call(request | {"sort_order": "SIDEWAYS"})["error"]
    assert (wrong["code"], wrong["status"]) == (3, "INVALID_ARGUMENT")
    assert wrong["message"].startswith("zetcd: sort_order is one of NONE, ASCEND, DESCEND")


def test_range_options(member: Member) -> None:
    revisions = [
        member.call({"op": "put", "key": b"opt/%d" % number, "value": b"x"})["header"]["revision"]
        for number in range(5)
    ]
    every = {"op": "range", "key": b"opt/", "range_end": b"opt0"}
    cut = member.call({**every, "limit": 2})
    assert ([kv["key"] for kv in cut["kvs"]], cut["more"], cut["count"]) == ([b"opt/0", b"opt/1"], True, 5)
    counted = member.call({**every, "count_only": True})
    assert (counted.get("kvs", []), counted["count"]) == ([], 5)
    assert all("value" not in kv for kv in member.call({**every, "keys_only": True})["kvs"])
    late = member.call({**every, "min_mod_revision": revisions[3]})
    assert [kv["key"] for kv in late["kvs"]] == [b"opt/3", b"opt/4"]
    early = member.call({**every, "max_create_revision": revisions[0]})
    assert [kv["key"] for kv in early["kvs"]] == [b"opt/0"]
    from_on = member.call({"op": "range", "key": b"opt/3", "range_end": b"\0"})
    assert [kv["key"] for kv in from_on["kvs"]][:2] == [b"opt/3", b"opt/4"]


def test_delete_range(member: Member) -> None:
    for number in range(3):
        member.call({"op": "put", "key": b"del/%d" % number, "value": b"x"})
    reply = member.call({"op": "delete_range", "key": b"del/0", "range_end": b"del/2", "prev_kv": True})
    assert (reply["deleted"], [kv["key"] for kv in reply["prev_kvs"]]) == (2, [b"del/0", b"del/1"])
    assert set(member.call({"op": "delete_range", "key": b"del/0"})) == {"header"}


def test_txn(member: Member) -> None:
    claim = {
        "op": "txn",
        "compare": [{"key": b"txn/a", "target": "VERSION", "result": "EQUAL", "version": 0}],
        "success": [
            {"request_put": {"key": b"txn/a", "value": b"1"}},
            {"request_range": {"key": b"txn/a"}},
            {"request_txn": {"success": [{"request_put": {"key": b"txn/b", "value": b"2"}}]}},
        ],
        "failure": [{"request_range": {"key": b"txn/a"}}, {"request_delete_range": {"key": b"txn/b", "prev_kv": True}}],
    }
    done = member.call(claim)
    assert done["succeeded"] is True
    assert [next(iter(each)) for each in done["responses"]] == ["response_put", "response_range", "response_txn"]
    assert done["responses"][1]["response_range"]["kvs"][0]["value"] == b"1"
    assert done["responses"][2]["response_txn"]["responses"][0].keys() == {"response_put"}
    again = member.call(claim)
    assert "succeeded" not in again
    assert again["responses"][1]["response_delete_range"]["deleted"] == 1
    assert again["header"]["revision"] == done["header"]["revision"] + 1


def test_compact(member: Member) -> None:
    revisions = [
        member.call({"op": "put", "key": b"compact", "value": b"%d" % number})["header"]["revision"]
        for number in range(4)
    ]
    assert set(member.call({"op": "compact", "revision": revisions[2], "physical": True})) == {"header"}
    assert member.call({"op": "range", "key": b"compact", "revision": revisions[1]}) == COMPACTED
    assert member.call({"op": "range", "key": b"compact", "revision": revisions[2]})["kvs"][0]["value"] == b"2"
    assert member.call({"op": "compact", "revision": revisions[2]}) == COMPACTED
    assert member.call({"op": "compact", "revision": 1 << 40}) == FUTURE


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ({"op": "put"}, None),
        ({"op": "put", "key": b""}, EMPTY_KEY),
        ({"op": "range", "key": b""}, EMPTY_KEY),
        ({"op": "delete_range", "key": b""}, EMPTY_KEY),
        ({"op": "put", "key": b"k", "value": b"v", "ignore_value": True}, invalid("value is provided")),
        ({"op": "put", "key": b"k", "lease": 7, "ignore_lease": True}, invalid("lease is provided")),
        ({"op": "put", "key": b"never", "ignore_value": True}, invalid("key not found")),
        ({"op": "put", "key": b"k", "lease": 987654}, LEASE_GONE),
        ({"op": "range", "key": b"k", "revision": 1 << 40}, FUTURE),
        ({"op": "range", "key": b"k", "sort_order": 9}, invalid("invalid sort option")),
        ({"op": "txn", "success": [{}]}, invalid("key not found")),
        (
            {"op": "txn", "success": [{"request_put": {"key": b"k"}}, {"request_put": {"key": b"k"}}]},
            invalid("duplicate key given in txn request"),
        ),
        (
            {"op": "txn", "success": [{"request_range": {"key": b"%d" % n}} for n in range(129)]},
            invalid("too many operations in txn request"),
        ),
        ({"op": "lease_revoke", "ID": 987654}, LEASE_GONE),
        ({"op": "lease_grant", "TTL": 9_000_000_001}, etcds(11, "OUT_OF_RANGE", "too large lease TTL")),
    ],
)  # fmt: skip
def test_errors_have_etcds_code_status_and_message(
    member: Member, request_: dict[str, Any], error: dict[str, Any] | None
) -> None:
    reply = member.call(request_)
    if error is None:
        assert (reply["error"]["code"], "key" in reply["error"]["message"]) == (3, True)
    else:
        assert reply == error


@pytest.mark.parametrize(
    "request_",
    [
        {"op": "no_such_op"},
        {},
        {"op": "put", "key": 7},
        {"op": "put", "key": b"k", "colour": "red"},
        {"op": "range", "key": b"k", "limit": "many"},
        {"op": "range", "key": b"k", "revision": 2**63},
        {"op": "range", "key": [b"k"]},
        {"op": "batch", "requests": []},
        {"op": "batch", "requests": [{"op": "batch", "requests": [{"op": "status"}]}]},
        {"op": "batch", "requests": [{"op": "watch_create", "key": b"k"}]},
        {"op": "alarm", "action": 17},
    ],
)
def test_what_is_no_request_is_refused_with_a_text_of_our_own(member: Member, request_: dict[str, Any]) -> None:
    error = member.call(request_)["error"]
    assert (error["code"], error["status"]) == (3, "INVALID_ARGUMENT")
    assert error["message"].startswith("zetcd: ")
    assert len(error["message"]) < 500


def test_batch_answers_each_on_its_own_in_order(member: Member) -> None:
    requests = [
        {"op": "put", "key": b"batch/a", "value": b"1"},
        {"op": "put", "key": b""},
        {"op": "range", "key": b"batch/", "range_end": b"batch0", "serializable": True},
        {"op": "lease_grant", "TTL": 60, "ID": 4711},
        {"op": "lease_time_to_live", "ID": 1},
        {"op": "status"},
        {"op": "txn"},
    ]
    reply = member.call({"op": "batch", "requests": requests})
    assert set(reply) == {"responses"}
    put, refused, _, grant, gone, status, txn = reply["responses"]
    assert put["header"]["revision"] > 1
    assert refused == EMPTY_KEY
    assert (grant["ID"], grant["TTL"]) == (4711, 60)
    assert gone["TTL"] == -1
    assert status["version"]
    assert "header" in txn
    member.call({"op": "lease_revoke", "ID": 4711})


def test_a_batch_of_the_largest_size_and_one_more(dealer: Dealer) -> None:
    put = {"op": "put", "key": b"batch/many", "value": b"x"}
    replies = dealer.call({"op": "batch", "requests": [put] * 4096})["responses"]
    revisions = [reply["header"]["revision"] for reply in replies]
    assert len(set(revisions)) == 4096
    error = dealer.call({"op": "batch", "requests": [put] * 4097})["error"]
    assert error["message"] == "zetcd: a batch holds 1 to 4096 requests, not 4097"


def test_maintenance(member: Member) -> None:
    status = member.call({"op": "status"})
    assert {"version", "dbSize", "dbSizeInUse", "dbSizeQuota", "leader", "raftIndex", "raftTerm"} <= set(status)
    assert status["leader"] == status["header"]["member_id"]
    one, other = (member.call({"op": "hash_kv"}) for _ in range(2))
    assert (one["hash"], one["hash_revision"]) == (other["hash"], other["hash_revision"])
    (self_,) = member.call({"op": "member_list"})["members"]
    assert (self_["name"], self_["clientURLs"]) == ("m1", [member.endpoint])
    raised = member.call({"op": "alarm", "action": "ACTIVATE", "memberID": self_["ID"], "alarm": "NOSPACE"})
    assert raised["alarms"] == [{"memberID": self_["ID"], "alarm": 1}]
    refused = member.call({"op": "put", "key": b"k", "value": b"v"})
    assert refused == etcds(8, "RESOURCE_EXHAUSTED", "mvcc: database space exceeded")
    assert member.call({"op": "alarm"})["alarms"] == raised["alarms"]
    member.call({"op": "alarm", "action": 2, "memberID": self_["ID"], "alarm": 1})
    assert "error" not in member.call({"op": "put", "key": b"k", "value": b"v"})
    metrics = member.call({"op": "metrics"})["metrics"]
    assert metrics["requests"] > 0
    assert all(isinstance(value, int) for value in metrics.values())
