"""etcdserverpb.Watch: a stream of watches, on a connection of its own to the api process.

The replies are etcd's already. Added are the ids, where one reply is for several watches; left out is what the ZeroMQ
API says unasked: its word on quiet streams.
"""

from collections import deque
from typing import Any

import msgspec

from zetcd.base import errors
from zetcd.gateway.dealer import Dealer
from zetcd.gateway.link import Link
from zetcd.gateway.rpc import Method, RpcError, Stream, Streaming
from zetcd.gateway.services.calls import meant, refusal
from zetcd.session.lane import encode
from zetcd.wire import client as wire
from zetcd_pb import rpc_pb2 as pb

SERVICE = "/etcdserverpb.Watch/"
WHOLE_STREAM = -1
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

    __slots__ = ("_dealer", "_heard", "_ids", "_leader", "_link", "_over", "_progress", "_stream", "_token", "_unsent")

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

    # -- requests --------------------------------------------------------------------------------------------------
    def message(self, request: Any) -> None:
        """Create, cancel, or ask for progress; one that is none of them is passed over, as etcd does."""
        kind = request.WhichOneof("request_union")
        if self._over or kind is None:
            return
        if kind == "create_request":
            asked = request.create_request
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
        ids = reply.pop("watch_ids", None)
        if "events" not in reply:
            if not self._count(reply):
                return
        elif ids is not None:
            self._send_to(ids, reply)
            return
        self._tell(pb.WatchResponse(**reply))

    def _send_to(self, ids: list[int], reply: dict[str, Any]) -> None:
        message = pb.WatchResponse(**reply)  # one for all: `send` has encoded it when it returns
        for watch_id in ids:
            message.watch_id = watch_id
            self._tell(message)

    def _tell(self, message: Any) -> None:
        if not self._stream.send(message) and self._dealer is not None:
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
