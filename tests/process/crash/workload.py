"""Load and observers for crash tests: writers that know what was acknowledged, watchers that keep every event.

Everything speaks plain REQ with MessagePack, one thread each, except one watcher that goes through the client library:
its promise, to resume without loss or repetition, is under test here as well.
"""

import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgpack
import zmq

from zetcd.client import Client

PREFIX = b"crash/"
PREFIX_END = b"crash0"


@dataclass(frozen=True, slots=True)
class Acked:
    """A write that the member said it has done; started and ended in monotonic seconds."""

    key: bytes
    value: bytes
    revision: int
    started: float
    ended: float


class Req:
    """A REQ socket that is replaced when an answer does not come."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._sock = self._open()

    def _open(self) -> "zmq.Socket[bytes]":
        sock: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.REQ)
        sock.setsockopt(zmq.LINGER, 0)
        sock.setsockopt(zmq.RECONNECT_IVL, 10)
        sock.connect(self._endpoint)
        return sock

    def call(self, request: dict[str, Any], limit_s: float) -> dict[str, Any] | None:
        """The reply; None if none came in time: what became of the request is not known."""
        self._sock.send(msgpack.packb(request))
        if self._sock.poll(int(limit_s * 1000)):
            reply: dict[str, Any] = msgpack.unpackb(self._sock.recv())
            return reply
        self.close()
        self._sock = self._open()
        return None

    def close(self) -> None:
        """Drop the connection."""
        self._sock.close(0)


class Actor(threading.Thread):
    """A thread that runs until told to stop and keeps its failure for the test."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.ending = threading.Event()
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            self.work()
        except BaseException as error:  # noqa: BLE001 - handed to the test by join
            self.failure = error

    def work(self) -> None:
        raise NotImplementedError

    def finish(self) -> None:
        """Stop, and raise what went wrong."""
        self.ending.set()
        self.join(30)
        assert not self.is_alive(), f"{self.name} does not stop"
        if self.failure is not None:
            raise self.failure


class Writer(Actor):
    """Puts to ten keys of its own, over and over, each value written once; sometimes deletes."""

    def __init__(self, endpoint: str, number: int) -> None:
        super().__init__(f"writer-{number}")
        self._endpoint = endpoint
        self._number = number
        self.acked: list[Acked] = []
        self.unknown = 0
        self.refused = 0

    def work(self) -> None:
        req = Req(self._endpoint)
        for count in itertools.count():
            if self.ending.is_set():
                break
            key = PREFIX + b"%d/%d" % (self._number, count % 10)
            value = b"%d" % count
            request: dict[str, Any] = {"op": "put", "key": key, "value": value}
            if count % 17 == 16:
                request, value = {"op": "delete_range", "key": key}, b""
            started = time.monotonic()
            reply = req.call(request, 2.0)
            ended = time.monotonic()
            if reply is None:
                self.unknown += 1
            elif "error" in reply:
                self.refused += 1
                self.ending.wait(0.01)
            elif reply.get("deleted", 1):
                self.acked.append(Acked(key, value, reply["header"]["revision"], started, ended))
        req.close()


Event = tuple[int, bytes, bytes, bool]
"""(mod_revision, key, value, is delete)."""


def event_of(event: dict[str, Any]) -> Event:
    """From the map of the public API."""
    kv = event["kv"]
    return kv["mod_revision"], kv["key"], kv.get("value", b""), event.get("type", 0) == 1


class PollWatcher(Actor):
    """The simplest client: long polls on REQ, going on from next_revision."""

    def __init__(self, endpoint: str) -> None:
        super().__init__("poll-watcher")
        self._endpoint = endpoint
        self.events: list[Event] = []

    def work(self) -> None:
        req, start = Req(self._endpoint), 2
        while True:
            last = self.ending.is_set()
            reply = req.call(
                {"op": "watch_poll", "key": PREFIX, "range_end": PREFIX_END, "start_revision": start, "wait_ms": 300},
                2.0,
            )
            if reply is None or "error" in reply:
                self.ending.wait(0.01)
                continue
            self.events += [event_of(event) for event in reply["events"]]
            start = reply["next_revision"]
            if last and not reply["events"]:
                break
        req.close()


class LibraryWatcher(Actor):
    """A watch of the client library, which resumes by itself."""

    def __init__(self, endpoint: str) -> None:
        super().__init__("library-watcher")
        self._endpoint = endpoint
        self.events: list[Event] = []

    def work(self) -> None:
        with (
            Client(self._endpoint, timeout=5) as client,
            client.watch(PREFIX, prefix=True, start_revision=2) as watcher,
        ):
            for event in watcher:
                kv = event.kv
                self.events.append((kv.mod_revision, kv.key, kv.value, event.type == 1))
                if kv.key == PREFIX + b"last":
                    break


@dataclass(slots=True)
class Outage:
    """One injected fault and how long nothing was answered."""

    what: str
    seconds: float


@dataclass(slots=True)
class Load:
    """Writers and watchers of one run."""

    endpoint: str
    writers: list[Writer] = field(default_factory=list)
    poll: PollWatcher = field(init=False)
    library: LibraryWatcher = field(init=False)
    outages: list[Outage] = field(default_factory=list)

    def start(self, writers: int = 4) -> None:
        """All threads."""
        self.writers = [Writer(self.endpoint, number) for number in range(writers)]
        self.poll, self.library = PollWatcher(self.endpoint), LibraryWatcher(self.endpoint)
        for thread in (*self.writers, self.poll, self.library):
            thread.start()

    def finish(self, put: Callable[[bytes], int]) -> None:
        """Stop the writers, write a last event so that every watcher can end, stop the watchers."""
        for writer in self.writers:
            writer.finish()
        put(PREFIX + b"last")
        self.poll.finish()
        self.library.finish()
