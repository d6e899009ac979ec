"""Maintenance.Snapshot: chunks of a database file, as fast as the client takes them."""

from typing import Any

import msgspec

from zetcd.base.limits import SNAPSHOT_CREDIT_CHUNKS
from zetcd.gateway.dealer import Dealer
from zetcd.gateway.link import Link
from zetcd.gateway.rpc import RpcError, Stream
from zetcd.gateway.services.calls import meant, refusal
from zetcd.gateway.services.watch import LOST
from zetcd.session.lane import encode
from zetcd.wire import client as wire
from zetcd_pb import rpc_pb2 as pb

STEP = SNAPSHOT_CREDIT_CHUNKS // 4

_decode = msgspec.msgpack.Decoder(dict[str, Any]).decode


class Snapshot:
    """One snapshot under way."""

    __slots__ = ("_dealer", "_full", "_link", "_over", "_stream", "_taken")

    def __init__(self, link: Link, stream: Stream) -> None:
        self._link = link
        self._stream = stream
        self._dealer: Dealer | None = None
        self._taken = 0  # chunks the client took since credit was returned
        self._full = self._over = False

    def message(self, _request: Any) -> None:
        """The one request."""
        if self._dealer is not None or self._over:
            return
        token, leader = meant(self._stream.metadata)
        self._dealer = self._link.open(self)
        self._say(wire.SnapshotRequest(credit=SNAPSHOT_CREDIT_CHUNKS, token=token, require_leader=leader))

    def _say(self, request: wire.Request) -> None:
        if self._dealer is not None:
            self._dealer.send([encode(request)])
            self._dealer.settle()

    def half_closed(self) -> None:
        """It says no more anyway."""

    def cancelled(self) -> None:
        """The client is gone."""
        self._say(wire.SnapshotCancelRequest())
        self._close()

    def writable(self) -> None:
        """The client takes more."""
        self._full = False
        self._return_credit()

    def on_message(self, body: bytes) -> None:
        """One chunk; etcd's have no header."""
        reply = _decode(body)
        if "error" in reply:
            self._fail(refusal(reply))
            return
        if not self._stream.send(
            pb.SnapshotResponse(remaining_bytes=reply.get("remaining_bytes", 0), blob=reply.get("blob", b""))
        ):
            self._full = True
        self._taken += 1
        if reply.get("done"):
            self._close()
            self._stream.finish()
        else:
            self._return_credit()

    def _return_credit(self) -> None:
        if self._taken >= STEP and not self._full:
            self._say(wire.SnapshotCreditRequest(chunks=self._taken))
            self._taken = 0

    def on_lost(self) -> None:
        """To be begun anew."""
        self._fail(LOST)

    def on_room(self) -> None:
        """Nothing waits to be sent: there is room for as many messages as credit is ever returned in."""

    def on_quiet(self) -> None:
        """The api process ends it by itself where nobody takes it."""

    def _fail(self, error: RpcError) -> None:
        if not self._over:
            self._close()
            self._stream.fail(error)

    def _close(self) -> None:
        self._over = True
        if self._dealer is not None:
            self._link.close_line(self._dealer, last_words=True)
            self._dealer = None
