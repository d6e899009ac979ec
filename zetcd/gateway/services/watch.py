"""etcdserverpb.Watch: a stream of watches, on a connection of its own to the api process.

The replies are etcd's already. Added are the ids, where one reply is for several watches; left out is what the ZeroMQ
API says unasked: its word on quiet streams.
"""

from collections import deque
from typing import Any

import msgspec

from zetcd.base import errors
from zetcd.base.limits import GATEWAY_MERGED_BYTES_MAX as MERGED_BYTES_MAX
from zetcd.gateway.dealer import Dealer
from zetcd.gateway.link import Link
from zetcd.gateway.rpc import Method, RpcError, Stream, Streaming
from zetcd.gateway.services.calls import meant, refusal
from zetcd.session.lane import encode
from zetcd.wire import client as wire
from zetcd_pb import rpc_pb2 as pb

SERVICE = "/etcdserverpb.Watch/"
WHOLE_STREAM = -1
RESTS_FROM_S = 0.0002  # what takes less holds nobody up
RESTS = 4  # so many times as long as a response to many watches took, the next one waits
ID_BYTES = 3  # of an id in a reply for several watches
LOST = RpcError(*errors.STOPPED)
"""What a stream ends with whose api process is gone: every client of etcd begins it anew then."""

_decode = msgspec.msgpack.Decoder(dict[str, Any]).decode
_PROGRESS = encode(wire.WatchProgressRequest())


def methods(link: Link) -> dict[str, Method]:
    """By path."""
    return {
        SERVICE + "Watch": Streaming(pb.WatchRequest, pb.WatchResponse, True, True, lambda stream: Watch(link, stream))
    }


class Watch:
    """One stream. Its connection is made with its first request."""

    __slots__ = (
        "_dealer", "_fragments", "_gathered", "_gathered_bytes", "_gathered_ids", "_heard", "_ids", "_leader", "_link",
        "_over", "_progress", "_rests_until", "_stream", "_token", "_unsent",
    )  # fmt: skip

    def __init__(self, link: Link, stream: Stream) -> None:
        self._link = link
        self._stream = stream
        self._token, self._leader = meant(stream.metadata)
        self._dealer: Dealer | None = None
        self._unsent: deque[bytes] = deque()  # decoded before the transport heard of `pause`
        self._ids: set[int] = set()
        self._progress = 0  # asked for by the client and not answered
        self._heard = False  # anything since the last `on_quiet`
        self._over = False
        self._fragments = False  # a watch asked for responses in fragments, which must stay as they are
        self._gathered: dict[str, Any] | None = None
        self._gathered_ids: list[int] = []
        self._gathered_bytes = 0
        self._rests_until = 0.0

    # -- requests --------------------------------------------------------------------------------------------------
    def message(self, request: Any) -> None:
        """Create, cancel, or ask for progress; one that is none of them is passed over, as etcd does."""
        kind = request.WhichOneof("request_union")
        if self._over or kind is None:
            return
        if kind == "create_request":
            asked = request.create_request
            self._fragments = self._fragments or asked.fragment
            body = encode(
                wire.WatchCreateRequest(
                    key=asked.key,
                    range_end=asked.range_end,
                    start_revision=asked.start_revision,
                    progress_notify=asked.progress_notify,
                    filters=list(asked.filters),
                    prev_kv=asked.prev_kv,
                    watch_id=asked.watch_id,
                    fragment=asked.fragment,
                    token=self._token,
                    require_leader=self._leader,
                )
            )
        elif kind == "cancel_request":
            body = encode(wire.WatchCancelRequest(watch_id=request.cancel_request.watch_id))
        else:
            self._progress += 1
            body = _PROGRESS
        if self._dealer is None:
            self._dealer = self._link.open(self)
        self._unsent.append(body)
        if len(self._unsent) == 1:
            self._send()

    def _send(self) -> None:
        dealer, unsent = self._dealer, self._unsent
        assert dealer is not None
        while unsent:
            if not dealer.send([unsent[0]]):
                self._stream.pause()
                break
            unsent.popleft()
        dealer.settle()

    def half_closed(self) -> None:
        """The watches go on, as with etcd."""

    def cancelled(self) -> None:
        """The client is gone."""
        self._close()

    def writable(self) -> None:
        """The client takes more."""
        if self._dealer is not None:
            self._dealer.resume()

    # -- replies ---------------------------------------------------------------------------------------------------
    def on_message(self, body: bytes) -> None:
        """One reply of the ZeroMQ API's stream."""
        self._heard = True
        reply = _decode(body)
        if "error" in reply:
            self._on_error(reply)
            return
        if "events" in reply:
            self._gather(reply, len(body))
        elif self._count(reply):
            self._tell_gathered()
            self._tell(self._stream.send(pb.WatchResponse(**reply)))

    def _gather(self, reply: dict[str, Any], size: int) -> None:
        """Events of the same watches become one response while they wait: until the turn ends, or, where one goes
        to many watches, until the calls of others had as long as the last one took. etcd answers a client that is
        slower than its writers so, too: a response costs that client more than an event."""
        ids = reply.pop("watch_ids", None) or [reply.pop("watch_id", 0)]
        size = max(0, size - ID_BYTES * len(ids)) * len(ids)
        former = self._gathered
        if (
            former is not None
            and not self._fragments
            and ids == self._gathered_ids
            and self._gathered_bytes + size <= MERGED_BYTES_MAX
        ):
            former["events"] += reply["events"]
            former["header"] = reply["header"]
            self._gathered_bytes += size
            return
        self._tell_gathered()
        self._gathered, self._gathered_ids, self._gathered_bytes = reply, ids, size
        loop = self._link.loop
        if loop.time() < self._rests_until:
            loop.call_at(self._rests_until, self._tell_gathered)
        else:
            loop.call_soon(self._tell_gathered)

    def _tell_gathered(self) -> None:
        reply, self._gathered = self._gathered, None
        if reply is None or self._over:
            return
        clock = self._link.loop.time
        began = clock()
        self._tell(self._stream.send_each(pb.WatchResponse(**reply), "watch_id", self._gathered_ids))
        took = clock() - began
        self._rests_until = began + RESTS * took if took > RESTS_FROM_S else 0.0

    def _tell(self, room: bool) -> None:
        if not room and self._dealer is not None:
            self._dealer.pause()

    def _count(self, reply: dict[str, Any]) -> bool:
        """Whether a reply without events is the client's to hear."""
        watch_id = reply.get("watch_id", 0)
        if reply.get("canceled"):
            self._ids.discard(watch_id)
        elif reply.get("created"):
            self._ids.add(watch_id)
        elif watch_id == WHOLE_STREAM:
            if not self._progress:
                return False
            self._progress -= 1
        return True

    def _on_error(self, reply: dict[str, Any]) -> None:
        if reply["error"]["message"] != errors.NO_WATCH_STREAM.message:
            self._fail(refusal(reply))
        elif self._ids:
            self._fail(LOST)
        else:
            self._progress = 0  # no watch, no progress: etcd is silent

    # -- the connection --------------------------------------------------------------------------------------------
    def on_lost(self) -> None:
        """Whatever was watched has to be asked for again."""
        self._fail(LOST)

    def on_room(self) -> None:
        """Requests may go on."""
        self._send()
        if not self._unsent:
            self._stream.resume()

    def on_quiet(self) -> None:
        """An api process that dropped this stream says so when asked."""
        dealer = self._dealer
        if not self._heard and self._ids and dealer is not None and not dealer.paused and not self._unsent:
            dealer.send([_PROGRESS])
            dealer.settle()
        self._heard = False

    def _fail(self, error: RpcError) -> None:
        if not self._over:
            self._tell_gathered()
            self._close()
            self._stream.fail(error)

    def _close(self) -> None:
        """The api process would notice with its next word on this stream; told, it lets go at once."""
        self._over = True
        self._unsent.clear()
        if self._dealer is not None:
            for watch_id in self._ids:
                if not self._dealer.send([encode(wire.WatchCancelRequest(watch_id=watch_id))]):
                    break
            self._link.close_line(self._dealer, last_words=bool(self._ids))
            self._dealer = None
