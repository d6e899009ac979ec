#!/bin/sh
# Keys, a transaction, a lease and a watch by curl. Keys and values are base64: aGVsbG8= is hello, d29ybGQ= is world.
# usage: curl.sh [http://127.0.0.1:2379]
set -eu
url=${1:-http://127.0.0.1:2379}/v3
call() { curl --silent --show-error --fail "$url/$1" --data "$2"; echo; }

put=$(call kv/put '{"key": "aGVsbG8=", "value": "d29ybGQ="}')
echo "$put"
revision=$(echo "$put" | sed 's/.*"revision":"\([0-9]*\)".*/\1/')
call kv/range '{"key": "aGVsbG8="}'
call kv/txn '{"compare": [{"key": "aGVsbG8=", "target": "VALUE", "result": "EQUAL", "value": "d29ybGQ="}],
              "success": [{"requestPut": {"key": "aGVsbG8=", "value": "YWdhaW4="}}]}'
call lease/grant '{"TTL": "60", "ID": "7587"}'
call kv/put '{"key": "aGVsbG8=", "value": "bGVhc2Vk", "lease": "7587"}'
call lease/revoke '{"ID": "7587"}'

# A watch answers without end, a line a response: the first says that it stands, then comes what has happened since
# start_revision, which is the first put's here. curl ends with exit code 28 after --max-time.
curl --silent --no-buffer --max-time 2 "$url/watch" \
  --data '{"create_request": {"key": "aGVsbG8=", "start_revision": "'"$revision"'"}}' || [ $? -eq 28 ]
