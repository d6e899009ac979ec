"""Writes of which the test knows exactly what was acknowledged: large values, many outstanding, each key once."""

import hashlib
import threading
import time
from dataclasses import dataclass, field

from tests.process.api.dealer import Dealer, Frames
from tests.process.member import Member

PREFIX, PREFIX_END = b"bulk/", b"bulk0"
SLICE = 200
SILENCE_S = 20
"""Without an answer for so long nothing is acknowledged any more."""


def value(number: int, size: int) -> bytes:
    """Of key number: nothing that compresses or that zeros could be taken for."""
    return hashlib.shake_128(b"%d" % number).digest(size)


def key(number: int) -> bytes:
    return PREFIX + b"%08d" % number


@dataclass(slots=True)
class Bulk:
    """A writer in a thread. acked: revision by number; errors: what was answered instead."""

    member: Member
    size: int = 32 << 10
    outstanding: int = 32
    acked: dict[int, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    _next: int = 0
    _ending: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _failure: BaseException | None = None

    def start(self) -> None:
        """Write until `stop`, or until nothing is acknowledged any more."""
        self._ending.clear()
        self.errors.clear()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Raises what went wrong in the thread."""
        self._ending.set()
        assert self._thread is not None
        self._thread.join(60)
        assert not self._thread.is_alive()
        if self._failure is not None:
            raise self._failure

    def wait_acked(self, count: int, limit_s: float = 60.0) -> None:
        """Until count more writes are acknowledged than now."""
        goal, until = len(self.acked) + count, time.monotonic() + limit_s
        while len(self.acked) < goal:
            assert time.monotonic() < until, f"{len(self.acked)} of {goal} acknowledged; {self.errors[-3:]}"
            assert self._failure is None, self._failure
            time.sleep(0.01)

    def doubt(self, certain: dict[int, int]) -> None:
        """Forget what was acknowledged beyond certain: as the power failed, or later."""
        self.acked = certain

    def _run(self) -> None:
        try:
            until = time.monotonic() + SILENCE_S
            while time.monotonic() < until and not self._ending.is_set():
                before = len(self.acked)
                with Dealer(self.member.endpoint, RECONNECT_IVL=20) as dealer:
                    self._write(dealer)  # what an api process takes with it when it dies is never answered
                if len(self.acked) > before:
                    until = time.monotonic() + SILENCE_S
        except BaseException as error:  # noqa: BLE001 - raised by stop
            self._failure = error

    def _write(self, dealer: Dealer) -> None:
        waiting: dict[Frames, int] = {}
        while not self._ending.is_set():
            while len(waiting) < self.outstanding:
                number, self._next = self._next, self._next + 1
                request = {"op": "put", "key": key(number), "value": value(number, self.size)}
                waiting[dealer.send(request)] = number
            try:
                address, reply = dealer.receive(3.0)
            except TimeoutError:
                return
            number = waiting.pop(address)
            if "error" in reply:
                self.errors.append(reply["error"]["message"])
                self._ending.wait(0.01)
            else:
                self.acked[number] = reply["header"]["revision"]

    def check(self) -> None:
        """Every acknowledged write is there, at its revision, byte for byte; and the store goes on above them all."""
        found: dict[bytes, tuple[int, bytes]] = {}
        start, more = PREFIX, True
        while more:
            reply = self.member.call({"op": "range", "key": start, "range_end": PREFIX_END, "limit": SLICE}, 30)
            assert "error" not in reply, reply
            for kv in reply.get("kvs", []):
                found[kv["key"]] = (kv["mod_revision"], kv["value"])
                start = kv["key"] + b"\0"
            more = reply.get("more", False)
        lost = [number for number in self.acked if key(number) not in found]
        assert not lost, f"{len(lost)} of {len(self.acked)} acknowledged writes are gone, the first is {min(lost)}"
        for number, revision in self.acked.items():
            assert found[key(number)] == (revision, value(number, self.size)), number
        reply = self.member.call({"op": "put", "key": b"after", "value": b""})
        assert reply["header"]["revision"] > max(self.acked.values(), default=1), "revisions never go back"
