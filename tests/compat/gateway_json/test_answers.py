"""The same requests, one after the other, to real etcd 3.4 and to ours: equal status, headers and body."""

from collections.abc import Iterator

import pytest

from tests.compat.gateway_json.sides import Answer, Ask, asks, our_port
from tests.compat.oracle import Etcd, binary

SCRIPT = """
/v3/kv/put {"key":"Zm9v","value":"YmFy"}
/v3/kv/range {"key":"Zm9v"}
/v3/kv/range {"key":"Zm9v","range_end":"Zm9w","limit":"1","sort_order":"DESCEND","sort_target":"KEY","keys_only":true}
/v3/kv/range {"key":"Zm9v","revision":"99999999"}
/v3/kv/range {"key":"Zm9v","revision":1}
/v3/kv/range {}
/v3/kv/range {"bogus":1}
/v3/kv/range {bad json
/v3/kv/range {"key":"!!!"}
/v3beta/kv/range {"key":"Zm9v"}
/v3alpha/kv/range {"key":"Zm9v"}
/v3/kv/nope {}
/v3/kv/put {"key":"Zm9v","value":"YmFy","prev_kv":true}
/v3/kv/put {"key":"Zm9v","value":"YmFy","lease":"1234"}
/v3/kv/deleterange {"key":"Zm9v","prev_kv":true}
/v3/kv/txn {"compare":[{"target":"CREATE","key":"Zm9v","createRevision":"0"}],"success":[{"requestPut":{"key":"Zm9v"}}]}
/v3/kv/txn {"success":[{"request_range":{"key":"Zm9v"}},{"request_delete_range":{"key":"YQ=="}}]}
/v3/kv/txn {"success":[{"requestTxn":{"success":[{"requestPut":{"key":"Zm9v","value":"YmFy"}}]}}]}
/v3/kv/txn {}
/v3/kv/txn {"success":[{}]}
/v3/lease/grant {"TTL":"100","ID":"4242"}
/v3/lease/grant {"TTL":"100","ID":"4242"}
/v3/lease/grant {"TTL":"100","ID":"-7"}
/v3/lease/keepalive {"ID":"4242"}
/v3/lease/keepalive {"ID":"42429"}{"ID":"4242"}
/v3/lease/keepalive {bad
/v3/lease/keepalive
/v3/lease/leases {}
/v3/watch {"create_request":{"key":"Zm9v","start_revision":"1"}}
/v3/watch {"create_request":{"key":"Zm9v","range_end":"YQ=="}}
/v3/watch {"create_request":{"key":"Zm9v"}}{"create_request":{"key":"Zm9v"}}{"cancel_request":{"watch_id":"1"}}
/v3/watch {"create_request":{"key":"Zm9v","watch_id":"7","filters":["NOPUT"]}}
/v3/watch {bad
/v3/watch
/v3/cluster/member/add {"peerURLs":["bogus"]}
/v3/cluster/member/remove {"ID":"1"}
/v3/maintenance/defragment {}
/v3/maintenance/transfer-leadership {"targetID":"1"}
/v3/auth/user/list {}
/v3/auth/enable {}
/v3/auth/user/get {"name":"x"}
/v3/auth/authenticate {"name":"x","password":"y"}
/v3/auth/user/add {"name":"u","password":"p"}
/v3/auth/user/add {"name":"u","password":"p"}
/v3/auth/user/add {"name":"n","options":{"no_password":true}}
/v3/auth/user/add {"name":"m","options":{"noPassword":true}}
/v3/auth/user/add {}
/v3/auth/user/list {}
/v3/auth/user/changepw {"name":"u","password":"q"}
/v3/auth/user/changepw {"name":"x","password":"q"}
/v3/auth/role/add {"name":"r"}
/v3/auth/role/add {"name":"r"}
/v3/auth/role/add {}
/v3/auth/role/grant {"name":"r","perm":{"permType":"READWRITE","key":"Zm9v","range_end":"Zm96"}}
/v3/auth/role/grant {"name":"r","perm":{"permType":1,"key":"AA==","rangeEnd":"AA=="}}
/v3/auth/role/grant {"name":"r","perm":{"permType":"NONE","key":"AA=="}}
/v3/auth/role/grant {"name":"x","perm":{"key":"AA=="}}
/v3/auth/role/get {"role":"r"}
/v3/auth/role/revoke {"role":"r","key":"Zm9v"}
/v3/auth/role/revoke {"role":"r","key":"Zm9v","range_end":"Zm96"}
/v3/auth/role/list {}
/v3/auth/user/grant {"user":"u","role":"r"}
/v3/auth/user/grant {"user":"u","role":"r"}
/v3/auth/user/grant {"user":"u","role":"x"}
/v3/auth/user/get {"name":"u"}
/v3/auth/user/revoke {"name":"u","role":"x"}
/v3/auth/role/delete {"role":"r"}
/v3/auth/role/delete {"role":"r"}
/v3/auth/user/get {"name":"u"}
/v3/auth/user/revoke {"name":"u","role":"r"}
/v3/auth/user/delete {"name":"u"}
/v3/auth/user/delete {"name":"u"}
/v3/auth/user/delete {"name":"n"}
/v3/auth/user/delete {"name":"m"}
/v3/auth/disable {}
/v3/lock/lock {"name":"bG9jaw==","lease":"4242"}
/v3/lock/lock {"name":"bG9jazI=","lease":"999"}
/v3/election/campaign {"name":"ZWxlYw==","value":"dmFs","lease":"4242"}
/v3/election/leader {"name":"ZWxlYw=="}
/v3/election/leader {"name":"bm9uZQ=="}
/v3/election/observe {"name":"ZWxlYw=="}
/v3/election/observe {bad
/v3/election/resign {}
/v3/kv/lease/timetolive {"ID":"9"}
/v3/lease/revoke {"ID":"4242"}
/v3/kv/lease/revoke {"ID":"4242"}
/v3/kv/compaction {"revision":"3"}
/v3/kv/compaction {"revision":"0"}
/v3/kv/compaction {"revision":"-1"}
/v3/watch {"create_request":{"key":"Zm9v","start_revision":"1"}}
GET /v3/kv/range
PUT /v3/kv/range
GET /v3/kv/nope
GET /
GET /v2/keys/foo
POST /health
POST /version
OPTIONS /v3/kv/range
OPTIONS /nope
""".strip().splitlines()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    with our_port(tmp_path_factory.mktemp("zetcd")) as port:
        yield asks(port)


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    program = binary("3.4")
    if program is None:
        pytest.skip("no etcd 3.4 on this machine")
    with Etcd.running(program, tmp_path_factory.mktemp("etcd34")) as member:
        yield asks(member.port)


def asked(ask: Ask, line: str) -> Answer:
    """One line of the script: method, if not POST, path and body."""
    method, target = "POST", line
    if not line.startswith("/"):
        method, _, target = line.partition(" ")
    path, _, body = target.partition(" ")
    return ask(method, path, body.encode())


def test_a_session_is_answered_as_etcd_does(gateway: Ask, oracle: Ask) -> None:
    for line in SCRIPT:
        assert asked(gateway, line) == asked(oracle, line), line


def test_health_and_version_have_what_35_adds(gateway: Ask) -> None:
    assert asked(gateway, "GET /health").body == b'{"health":"true","reason":""}'
    for path in ("/livez", "/readyz", "/readyz/linearizable_read"):
        assert asked(gateway, f"GET {path}").body == b"ok\n"


def test_a_snapshot_comes_in_base64_chunks(gateway: Ask, oracle: Ask) -> None:
    for ask in (gateway, oracle):
        answer = asked(ask, "/v3/maintenance/snapshot {}")
        lines = answer.body.splitlines()
        assert answer.status == 200
        assert len(lines) > 1
        assert all(line.startswith(b'{"result":{') for line in lines)
