"""etcdserverpb.Lease."""

from collections import deque
from typing import Any

from google.protobuf.message import Message

from zetcd.base.limits import KEEP_ALIVES_PER_STREAM
from zetcd.gateway.link import OF_LEASES, READ_ALONE, WRITES, Link, rpc_error
from zetcd.gateway.rpc import Method, Stream, Streaming
from zetcd.gateway.services.calls import meant, refusal, same, unary
from zetcd.wire import client as wire
from zetcd_pb import rpc_pb2 as pb

SERVICE = "/etcdserverpb.Lease/"


def methods(link: Link) -> dict[str, Method]:
    """By path."""
    return {
        SERVICE + "LeaseGrant": unary(
            link, pb.LeaseGrantRequest, pb.LeaseGrantResponse, same(pb.LeaseGrantRequest, wire.LeaseGrantRequest),
            WRITES,
        ),
        SERVICE + "LeaseRevoke": unary(
            link, pb.LeaseRevokeRequest, pb.LeaseRevokeResponse, same(pb.LeaseRevokeRequest, wire.LeaseRevokeRequest),
            WRITES,
        ),
        SERVICE + "LeaseKeepAlive": Streaming(
            pb.LeaseKeepAliveRequest, pb.LeaseKeepAliveResponse, True, True, lambda stream: KeepAlives(link, stream)
        ),
        SERVICE + "LeaseTimeToLive": unary(
            link, pb.LeaseTimeToLiveRequest, pb.LeaseTimeToLiveResponse,
            same(pb.LeaseTimeToLiveRequest, wire.LeaseTimeToLiveRequest), OF_LEASES,
        ),
        SERVICE + "LeaseLeases": unary(
            link, pb.LeaseLeasesRequest, pb.LeaseLeasesResponse, same(pb.LeaseLeasesRequest, wire.LeaseLeasesRequest),
            READ_ALONE,
        ),
    }  # fmt: skip


class KeepAlives:
    """A LeaseKeepAlive stream: each request is a call of its own, the replies keep the order of the requests."""

    __slots__ = ("_full", "_half_closed", "_leader", "_link", "_over", "_paused", "_stream", "_token", "_waiting")

    def __init__(self, link: Link, stream: Stream) -> None:
        self._link = link
        self._stream = stream
        self._token, self._leader = meant(stream.metadata)
        self._waiting: deque[_KeepAlive] = deque()
        self._half_closed = self._over = self._paused = self._full = False

    def message(self, request: Any) -> None:
        """One renewal."""
        if self._over:
            return
        one = _KeepAlive(self)
        self._waiting.append(one)
        asked = wire.LeaseKeepAliveRequest(ID=request.ID, token=self._token, require_leader=self._leader)
        self._link.call(asked, READ_ALONE if self._leader else OF_LEASES, one)
        self._hold()

    def half_closed(self) -> None:
        """Ends when the last one is answered."""
        self._half_closed = True
        self.go_on()

    def cancelled(self) -> None:
        """Nobody waits."""
        self._end()

    def writable(self) -> None:
        """Goes on reading, and sends what has come."""
        self._full = False
        self.go_on()

    def fail(self, error: BaseException) -> None:
        """A renewal that etcd ends the stream with."""
        if not self._over:
            self._end()
            self._stream.fail(rpc_error(error))

    def _end(self) -> None:
        self._over = True
        for one in self._waiting:
            one.over = True
        self._waiting.clear()

    def _hold(self) -> None:
        """Reads no further while too many have no answer, or the client takes none."""
        hold = self._full or len(self._waiting) >= KEEP_ALIVES_PER_STREAM
        if hold != self._paused:
            self._paused = hold
            (self._stream.pause if hold else self._stream.resume)()

    def go_on(self) -> None:
        """Send what is answered, in order."""
        waiting, stream = self._waiting, self._stream
        while waiting and waiting[0].reply is not None and not self._full:
            reply = waiting.popleft().reply
            assert reply is not None
            self._full = not stream.send(reply)
        if self._half_closed and not waiting and not self._over:
            self._end()
            stream.finish()
        elif not self._over:
            self._hold()


class _KeepAlive:
    """One renewal under way. Implements `zetcd.session.call.Waiter`."""

    __slots__ = ("_stream", "over", "reply")

    def __init__(self, stream: KeepAlives) -> None:
        self._stream = stream
        self.over = False
        self.reply: Message | None = None

    def done(self) -> bool:
        return self.over

    def set_result(self, reply: dict[str, Any], /) -> None:
        self.over = True
        if "error" in reply:
            self._stream.fail(refusal(reply))
        else:
            self.reply = pb.LeaseKeepAliveResponse(**reply)
            self._stream.go_on()

    def set_exception(self, exception: BaseException, /) -> None:
        self.over = True
        self._stream.fail(exception)
