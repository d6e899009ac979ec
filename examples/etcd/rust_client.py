"""Keys, a transaction, a watch and a lock by the Rust client, from Python: pip install etcd-client-py"""

import asyncio
import sys

from etcd_client import Client, Compare, CompareOp, CondVar, EtcdLockOption, Txn, TxnOp

etcd = Client([sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:2379"])


async def watch(ready: CondVar) -> None:
    async with etcd.connect() as client:
        seen = 0
        async for event in client.watch_prefix(b"greeting/", ready_event=ready):
            print("event", bytes(event.key).decode(), event.event, bytes(event.value).decode())
            seen += 1
            if seen == 3:
                return


async def main() -> None:
    ready = CondVar()
    watching = asyncio.create_task(watch(ready))
    await ready.wait()
    async with etcd.connect() as client:
        await client.put(b"greeting/en", b"hello")
        print("get", bytes(await client.get(b"greeting/en")).decode())
        unchanged = Compare.value(b"greeting/en", CompareOp.EQUAL, b"hello")
        await client.txn(Txn().when([unchanged]).and_then([TxnOp.put(b"greeting/de", b"hallo")]))
        print("prefix", [[bytes(part).decode() for part in row] for row in await client.get_prefix(b"greeting/")])
        await client.delete(b"greeting/en")
        print("keys", [bytes(key).decode() for key in await client.keys_prefix(b"greeting/")])
    await watching
    async with etcd.with_lock(EtcdLockOption(lock_name=b"one at a time", ttl=10, timeout=5.0)):
        print("locked")


asyncio.run(main())
