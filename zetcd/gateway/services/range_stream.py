"""KV.RangeStream (etcd 3.7): one range in many replies, all of one revision, read page by page."""

from typing import Any

from msgspec import structs

from zetcd.base import errors
from zetcd.base.limits import RANGE_STREAM_FIRST_KEYS, REQUEST_BYTES_DEFAULT
from zetcd.gateway.link import READ_ALONE, Link, rpc_error
from zetcd.gateway.rpc import RpcError, Stream
from zetcd.gateway.services import kv
from zetcd.gateway.services.calls import meant, refusal
from zetcd.wire import client as wire
from zetcd_pb import rpc_pb2 as pb

UNSORTED = RpcError(errors.UNIMPLEMENTED, "etcdserver: range stream does not support sorting or revision filters")


class RangeStream:
    """One range under way. The next page is asked for once the last one has gone out.

    Implements `zetcd.session.call.Waiter` for the page under way.
    """

    __slots__ = ("_asking", "_count", "_left", "_link", "_over", "_page", "_ready", "_request", "_stream")

    def __init__(self, link: Link, stream: Stream) -> None:
        self._link = link
        self._stream = stream
        self._request: wire.RangeRequest | None = None
        self._page = RANGE_STREAM_FIRST_KEYS
        self._left = 0  # keys of the limit; 0: there is none
        self._count = -1
        self._ready = True
        self._asking = self._over = False

    def message(self, request: Any) -> None:
        """The one request. Raises RpcError for what cannot be read in pages."""
        if self._request is not None:
            return
        token, leader = meant(self._stream.metadata)
        asked = kv.range_request(request, token, leader)
        sorted_ = asked.sort_order != pb.RangeRequest.NONE and (
            asked.sort_target != pb.RangeRequest.KEY or asked.sort_order != pb.RangeRequest.ASCEND
        )
        bounds = (asked.min_mod_revision, asked.max_mod_revision, asked.min_create_revision, asked.max_create_revision)
        if sorted_ or asked.sort_target != pb.RangeRequest.KEY or any(bounds):
            raise UNSORTED
        self._request = asked
        self._left = max(0, asked.limit)
        self._ask()

    def _ask(self) -> None:
        assert self._request is not None
        limit = min(self._page, self._left) if self._left else self._page
        self._asking = True
        self._link.call(structs.replace(self._request, limit=limit), READ_ALONE, self)

    def half_closed(self) -> None:
        """It says no more anyway."""

    def cancelled(self) -> None:
        """The client is gone."""
        self._over = True

    def writable(self) -> None:
        """The next page, please."""
        self._ready = True
        if not self._asking and not self._over and self._request is not None:
            self._ask()

    def done(self) -> bool:
        """See `Waiter`."""
        return self._over

    def set_result(self, reply: dict[str, Any], /) -> None:
        """See `Waiter`."""
        self._asking = False
        if "error" in reply:
            self._fail(refusal(reply))
            return
        assert self._request is not None
        rows = reply.get("kvs", [])
        if self._count < 0:
            self._count = reply.get("count", 0)
        more = bool(reply.get("more", False)) and not self._request.count_only
        if self._left:
            self._left -= len(rows)
            last = not more or self._left == 0
        else:
            last = not more
        if last:
            reply["count"] = self._count
            self._send(reply)
            self._over = True
            self._stream.finish()
            return
        revision = self._request.revision
        self._request = structs.replace(
            self._request,
            key=rows[-1]["key"] + b"\0",
            revision=revision if revision > 0 else reply["header"]["revision"],
        )
        self._resize(rows)
        self._send({"kvs": rows})
        if self._ready:
            self._ask()

    def _resize(self, rows: list[dict[str, Any]]) -> None:
        """As many keys as fill a response, judged by those seen last; at most four times as many as before."""
        size = sum(len(row["key"]) + len(row.get("value", b"")) + 32 for row in rows)
        fitting = REQUEST_BYTES_DEFAULT * len(rows) // size
        self._page = max(1, min(self._page * 4, fitting))

    def _send(self, reply: dict[str, Any]) -> None:
        self._ready = self._stream.send(pb.RangeStreamResponse(range_response=pb.RangeResponse(**reply)))

    def set_exception(self, exception: BaseException, /) -> None:
        """See `Waiter`."""
        self._asking = False
        self._fail(rpc_error(exception))

    def _fail(self, error: RpcError) -> None:
        self._over = True
        self._stream.fail(error)
