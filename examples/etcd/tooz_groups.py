"""Groups and locks by tooz, OpenStack's coordination library: pip install tooz etcd3gw"""

import sys

from tooz import coordination

url = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:2379"
backend = url.replace("http://", "etcd3+http://") + "?api_version=v3"
one, two = (coordination.get_coordinator(backend, name) for name in (b"worker-1", b"worker-2"))
one.start(start_heart=True)  # keeps its membership and its locks alive, in a thread
two.start(start_heart=True)

one.create_group(b"workers").get()
one.join_group(b"workers", capabilities={"cores": 2}).get()
two.join_group(b"workers", capabilities={"cores": 4}).get()
print("members", sorted(two.get_members(b"workers").get()))
print("capabilities", one.get_member_capabilities(b"workers", b"worker-2").get())

with one.get_lock(b"disk"):
    print("the other one while it is locked", two.get_lock(b"disk").acquire(blocking=False))
lock = two.get_lock(b"disk")
print("the other one afterwards", lock.acquire(blocking=False))
lock.release()

two.leave_group(b"workers").get()
print("members", sorted(one.get_members(b"workers").get()))
one.leave_group(b"workers").get()
one.delete_group(b"workers").get()
print("groups", one.get_groups().get())
two.stop()
one.stop()
