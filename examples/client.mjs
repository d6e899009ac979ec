// A complete zetcd client: npm install zeromq @msgpack/msgpack. Every op of docs/protocol.md is call("op", {field: value}).
import { Decoder, Encoder } from "@msgpack/msgpack";
import { Request } from "zeromq";
const encoder = new Encoder({ useBigInt64: true }), decoder = new Decoder({ useBigInt64: true }); // 64-bit: BigInt

export class Client {
  constructor(endpoint = "tcp://127.0.0.1:2378", timeoutMs = 5000) {
    this.socket = new Request({ relaxed: true, correlate: true, receiveTimeout: timeoutMs, linger: 0 });
    this.socket.connect(endpoint);
  }
  async call(op, fields = {}) {
    await this.socket.send(encoder.encode({ op, ...fields }));
    const [body] = await this.socket.receive(); // EAGAIN: no answer; a write may or may not have happened
    const reply = decoder.decode(body);
    if (reply.error) throw new Error(reply.error.message);
    return reply;
  }
  async *watch(key, revision = 0n, fields = {}) {
    for (;;) { // an empty poll still moves next_revision, so nothing is lost and nothing comes twice
      const reply = await this.call("watch_poll", { key, start_revision: revision, wait_ms: 1000, ...fields });
      revision = reply.next_revision;
      yield* reply.events;
    }
  }
}
