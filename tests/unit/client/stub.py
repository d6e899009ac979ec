"""A small server of the public protocol that misbehaves on demand: in memory, one thread, one ROUTER."""

import threading
import time
from collections.abc import Callable
from typing import Any, Self

import msgpack
import zmq

from tests.compat.oracle import free_ports

PUT, DELETE = 0, 1
Frames = list[bytes]


class Stub:
    """A server at `endpoint`. Hooks: refuse(request) -> error map or None; swallow(request) -> True to say nothing."""

    def __init__(self, endpoint: str = "", store: "Stub | None" = None) -> None:
        self.revision: int = store.revision if store else 1
        self.keys: dict[bytes, dict[str, Any]] = dict(store.keys) if store else {}
        self.history: list[dict[str, Any]] = list(store.history) if store else []
        self.compacted: int = store.compacted if store else 0
        self.leases: dict[int, int] = dict(store.leases) if store else {}
        self.streams: dict[tuple[bytes, ...], dict[int, dict[str, Any]]] = {}
        self.requests: list[dict[str, Any]] = []  # as executed or refused, batches taken apart
        self.frames: list[dict[str, Any]] = []  # as received
        self.refuse: Callable[[dict[str, Any]], dict[str, Any] | None] = lambda _: None
        self.swallow: Callable[[dict[str, Any]], bool] = lambda _: False
        self.mangle: Callable[[Frames], list[Frames]] = lambda frames: [frames]  # drop, double or damage replies
        self.delay: Callable[[dict[str, Any]], float] = lambda _: 0.0
        self.release = threading.Event()  # sends what is delayed, at once
        self.hung = threading.Event()
        self._arrived = threading.Condition()
        self._delayed: list[tuple[float, Frames]] = []
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.linger = 0
        self._socket.router_mandatory = True
        self._socket.bind(endpoint or f"tcp://127.0.0.1:{free_ports(1)[0]}")
        self.endpoint: str = self._socket.get_string(zmq.LAST_ENDPOINT)
        self._control = self._context.socket(zmq.PAIR)
        self._control.bind("inproc://control")
        self._orders = self._context.socket(zmq.PAIR)
        self._orders.connect("inproc://control")
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        if self._thread.is_alive():
            self._orders.send(b"stop")
            self._thread.join(10)
            self._orders.close(0)
            self._context.destroy(0)

    def await_frame(self, op: str) -> None:
        """Returns once a frame with op has come."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: any(frame["op"] == op for frame in self.frames), 10), op

    def restart(self) -> "Stub":
        """Dies, and is back on the same port with the same store."""
        self.stop()
        return Stub(self.endpoint, self)

    # -- the loop --------------------------------------------------------------------------------------------------
    def _serve(self) -> None:
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._control, zmq.POLLIN)
        while True:
            ready = dict(poller.poll(5 if self._delayed else None))
            if self._control in ready:
                break
            if self._socket in ready and not self.hung.is_set():
                self._on_message(self._socket.recv_multipart())
            elif self.hung.is_set():
                self.hung.wait(0.01)
                threading.Event().wait(0.01)
            now = time.monotonic()
            for due, frames in [item for item in self._delayed if item[0] <= now or self.release.is_set()]:
                self._delayed.remove((due, frames))
                self._send(frames)
        self._socket.close(0)
        self._control.close(0)

    def _send(self, frames: Frames) -> None:
        for message in self.mangle(frames):
            try:
                self._socket.send_multipart(message)
            except zmq.ZMQError:
                self.streams.pop(tuple(frames[:-1]), None)

    def _on_message(self, frames: Frames) -> None:
        *envelope, body = frames
        request = msgpack.unpackb(body)
        with self._arrived:
            self.frames.append(request)
            self._arrived.notify_all()
        if self.swallow(request):
            return
        if request["op"] == "batch":
            reply: dict[str, Any] | None = {"responses": [self._one(item, envelope) for item in request["requests"]]}
        else:
            reply = self._one(request, envelope)
        if reply is None:
            return
        message = [*envelope, msgpack.packb(reply)]
        delay = self.delay(request)
        if delay:
            self._delayed.append((time.monotonic() + delay, message))
        else:
            self._send(message)

    def _one(self, request: dict[str, Any], envelope: Frames) -> dict[str, Any] | None:
        self.requests.append(request)
        error = self.refuse(request)
        if error is not None:
            return {"error": error}
        handler = getattr(self, "_" + request["op"], None)
        if handler is None:
            return {"error": {"code": 12, "status": "UNIMPLEMENTED", "message": "zetcd: unknown op"}}
        reply: dict[str, Any] | None = handler(request, tuple(envelope))
        return reply

    def header(self) -> dict[str, int]:
        return {"cluster_id": 1, "member_id": 2, "revision": self.revision, "raft_term": 1}

    # -- ops -------------------------------------------------------------------------------------------------------
    def _put(self, request: dict[str, Any], _: Any) -> dict[str, Any]:
        old = self.keys.get(request["key"])
        self.revision += 1
        kv = {
            "key": request["key"],
            "value": request.get("value", b""),
            "create_revision": old["create_revision"] if old else self.revision,
            "mod_revision": self.revision,
            "version": old["version"] + 1 if old else 1,
            "lease": request.get("lease", 0),
        }
        self.keys[request["key"]] = kv
        self._happened({"kv": kv})
        reply: dict[str, Any] = {"header": self.header()}
        if old and request.get("prev_kv"):
            reply["prev_kv"] = old
        return reply

    def _matching(self, request: dict[str, Any]) -> list[bytes]:
        start, end = request["key"], request.get("range_end", b"")
        if not end:
            return [start] if start in self.keys else []
        return sorted(key for key in self.keys if key >= start and (end == b"\0" or key < end))

    def _range(self, request: dict[str, Any], _: Any) -> dict[str, Any]:
        kvs = [self.keys[key] for key in self._matching(request)]
        limit = request.get("limit", 0) or len(kvs)
        return {"header": self.header(), "kvs": kvs[:limit], "count": len(kvs), "more": len(kvs) > limit}

    def _delete_range(self, request: dict[str, Any], _: Any) -> dict[str, Any]:
        gone = self._matching(request)
        if gone:
            self.revision += 1
        for key in gone:
            del self.keys[key]
            self._happened({"type": DELETE, "kv": {"key": key, "mod_revision": self.revision}})
        return {"header": self.header(), "deleted": len(gone)}

    def _txn(self, request: dict[str, Any], envelope: Any) -> dict[str, Any]:
        fields = ["version", "create_revision", "mod_revision", "value", "lease"]

        def holds(guard: dict[str, Any]) -> bool:
            field = fields[guard.get("target", 0)]
            have = self.keys.get(guard["key"], {}).get(field, 0)
            want = guard.get(field, 0)
            return bool([have == want, have > want, have < want, have != want][guard.get("result", 0)])

        succeeded = all(map(holds, request.get("compare", [])))
        responses = []
        for item in request.get("success" if succeeded else "failure", []):
            ((name, op),) = item.items()
            responses.append({name.replace("request", "response"): getattr(self, name[7:])(op, envelope)})
        return {"header": self.header(), "succeeded": succeeded, "responses": responses}

    def _compact(self, request: dict[str, Any], _: Any) -> dict[str, Any]:
        self.compacted = request["revision"]
        return {"header": self.header()}

    def _status(self, _: Any, __: Any) -> dict[str, Any]:
        return {"header": self.header(), "version": "stub", "endpoint": self.endpoint}

    def _lease_grant(self, request: dict[str, Any], _: Any) -> dict[str, Any]:
        lease_id = request.get("ID") or len(self.leases) + 100
        self.leases[lease_id] = request["TTL"]
        return {"header": self.header(), "ID": lease_id, "TTL": request["TTL"]}

    def _lease_keep_alive(self, request: dict[str, Any], _: Any) -> dict[str, Any]:
        return {"header": self.header(), "ID": request["ID"], "TTL": self.leases.get(request["ID"], 0)}

    def _lease_revoke(self, request: dict[str, Any], envelope: Any) -> dict[str, Any]:
        if self.leases.pop(request["ID"], None) is None:
            return {"error": {"code": 5, "status": "NOT_FOUND", "message": "etcdserver: requested lease not found"}}
        for key in [key for key, kv in self.keys.items() if kv["lease"] == request["ID"]]:
            self._delete_range({"key": key}, envelope)
        return {"header": self.header()}

    def _lease_leases(self, _: Any, __: Any) -> dict[str, Any]:
        return {"header": self.header(), "leases": [{"ID": lease} for lease in self.leases]}

    # -- watch -----------------------------------------------------------------------------------------------------
    def _watch_create(self, request: dict[str, Any], stream: tuple[bytes, ...]) -> None:
        watches = self.streams.setdefault(stream, {})
        watch_id = request.get("watch_id") or max(watches, default=-1) + 1
        start = request.get("start_revision", 0)
        self._say(stream, {"watch_id": watch_id, "created": True})
        if 0 < start < self.compacted:
            self._say(stream, {"watch_id": watch_id, "canceled": True, "compact_revision": self.compacted})
            return
        watches[watch_id] = request
        if start:
            events = [event for event in self.history if event["kv"]["mod_revision"] >= start]
            self._tell(stream, [watch_id], request, events)

    def _say(self, stream: tuple[bytes, ...], reply: dict[str, Any]) -> None:
        self._send([*stream, msgpack.packb({"header": self.header(), **reply})])

    def _tell(
        self, stream: tuple[bytes, ...], ids: list[int], watch: dict[str, Any], events: list[dict[str, Any]]
    ) -> None:
        start, end = watch.get("key", b"\0"), watch.get("range_end", b"")

        def wanted(event: dict[str, Any]) -> bool:
            key = event["kv"]["key"]
            inside = start <= key and end in (b"\0", max(end, key)) and key != end if end else key == start
            return inside and event.get("type", 0) not in watch.get("filters", [])

        events = list(filter(wanted, events))
        if events:
            named = {"watch_ids": ids} if len(ids) > 1 else {"watch_id": ids[0]}
            self._say(stream, {**named, "events": events})

    def _happened(self, event: dict[str, Any]) -> None:
        self.history.append(event)
        for stream, watches in list(self.streams.items()):
            groups: dict[bytes, list[int]] = {}
            for watch_id, watch in watches.items():
                if watch.get("start_revision", 0) <= self.revision:
                    groups.setdefault(msgpack.packb({**watch, "watch_id": 0, "start_revision": 0}), []).append(watch_id)
            for ids in groups.values():
                self._tell(stream, ids, watches[ids[0]], [event])

    def _watch_cancel(self, request: dict[str, Any], stream: tuple[bytes, ...]) -> None:
        if self.streams.get(stream, {}).pop(request["watch_id"], None) is not None:
            self._say(stream, {"watch_id": request["watch_id"], "canceled": True})

    def _watch_progress(self, _: Any, stream: tuple[bytes, ...]) -> dict[str, Any]:
        if self.streams.get(stream):
            return {"header": self.header(), "watch_id": -1}
        message = "zetcd: no watch on this stream"
        return {"error": {"code": 5, "status": "NOT_FOUND", "message": message}}
