"""Keys, a transaction, a lease and a lock by etcd3gw, over HTTP and JSON: pip install etcd3gw"""

import sys
from urllib.parse import urlsplit

from etcd3gw import Etcd3Client

url = urlsplit(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:2379")
client = Etcd3Client(host=url.hostname, port=url.port, api_path="/v3/")

client.put("greeting", "hello")
[(value, about)] = client.get("greeting", metadata=True)
print("get", value)
print("create", client.create("greeting", "not again"))
print("replace", client.replace("greeting", "hello", "good morning"))

lease = client.lease(ttl=60)
client.put("guest", "here", lease=lease)
print("keys of the lease", lease.keys())
print("refreshed to", lease.refresh())
lease.revoke()
print("after the lease", client.get("guest"))

events, stop = client.watch_prefix("greeting", start_revision=about["mod_revision"])
for number, event in enumerate(events, 1):
    print("event", event["kv"]["value"])
    if number == 2:
        stop()
        break

with client.lock("one at a time", ttl=10) as lock:
    print("locked", lock.is_acquired())
