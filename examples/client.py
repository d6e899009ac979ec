# A complete zetcd client: pip install pyzmq msgpack. Every op of docs/protocol.md is call("op", field=value, ...).
import msgpack
import zmq


class Client:
    def __init__(self, endpoint="tcp://127.0.0.1:2378", timeout_ms=5000):
        self.socket = zmq.Context.instance().socket(zmq.REQ)
        self.socket.set(zmq.REQ_RELAXED, 1)  # a lost reply must not block the socket for ever
        self.socket.set(zmq.REQ_CORRELATE, 1)
        self.socket.set(zmq.RCVTIMEO, timeout_ms)
        self.socket.connect(endpoint)

    def call(self, op, **fields):
        self.socket.send(msgpack.packb({"op": op, **fields}))
        reply = msgpack.unpackb(self.socket.recv())  # zmq.Again: no answer; a write may or may not have happened
        if "error" in reply:
            raise RuntimeError(reply["error"]["message"])
        return reply

    def watch(self, key, revision=0, **fields):
        while True:  # an empty poll still moves next_revision, so nothing is lost and nothing comes twice
            reply = self.call("watch_poll", key=key, start_revision=revision, wait_ms=1000, **fields)
            revision = reply["next_revision"]
            yield from reply["events"]
