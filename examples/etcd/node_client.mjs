// Keys, a transaction, a lease, a watch, a lock and an election by Node's etcd3: npm install etcd3
import { Etcd3, EtcdLockFailedError } from "etcd3";

const client = new Etcd3({ hosts: process.argv[2] ?? "http://127.0.0.1:2379" });

await client.put("greeting").value("hello");
console.log("get", await client.get("greeting").string());

const outcome = await client
  .if("greeting", "Value", "==", "hello")
  .then(client.put("greeting").value("good morning"))
  .commit();
console.log("transaction", outcome.succeeded, await client.get("greeting").string());

const lease = client.lease(60);
await lease.put("guest").value("here"); // kept alive from here on
await lease.revoke();
console.log("after the lease", await client.get("guest").string());

const watcher = await client.watch().key("greeting").create();
const events = new Promise((done) => watcher.once("put", (kv) => done(kv.value.toString())));
await client.put("greeting").value("good night");
console.log("event", await events);
await watcher.cancel();

await client.lock("one at a time").do(async () => {
  const refused = await client.lock("one at a time").acquire().catch((error) => error);
  console.log("refused while it is locked", refused instanceof EtcdLockFailedError);
});

const election = client.election("chair", 10);
const campaign = election.campaign("first");
await campaign.wait();
console.log("leader", await election.leader());
await campaign.resign();
console.log("leader", await election.leader());

client.close();
process.exit(); // etcd3 restarts the timer of a lease when an answer comes after its revocation
