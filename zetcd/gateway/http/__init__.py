"""etcd's JSON gateway and its plain HTTP endpoints, on `zetcd.gateway.rpc` and `zetcd.gateway.http1`.

The reference is etcd 3.4 (`tests/compat/gateway_json` compares with it); where 3.5 adds and takes nothing away
(`reason` in /health, /livez and /readyz, base64 of URLs), so does this.
"""
