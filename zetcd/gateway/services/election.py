"""v3electionpb.Election."""

from typing import Any

import msgspec

from zetcd.gateway.dealer import Dealer
from zetcd.gateway.link import READ_ALONE, WRITE_ALONE, WRITES, Link
from zetcd.gateway.rpc import Method, RpcError, Stream, Streaming, Unary
from zetcd.gateway.services.calls import meant, refusal, same, unary
from zetcd.gateway.services.lock import queueing
from zetcd.gateway.services.watch import LOST
from zetcd.session.lane import encode
from zetcd.wire import client as wire
from zetcd_pb import election_pb2 as pb

SERVICE = "/v3electionpb.Election/"

_decode = msgspec.msgpack.Decoder(dict[str, Any]).decode


def methods(link: Link) -> dict[str, Method]:
    """By path."""
    return {
        SERVICE + "Campaign": Unary(
            pb.CampaignRequest,
            pb.CampaignResponse,
            queueing(link, same(pb.CampaignRequest, wire.CampaignRequest), pb.CampaignResponse),
        ),
        SERVICE + "Proclaim": unary(link, pb.ProclaimRequest, pb.ProclaimResponse, _proclaim, WRITES),
        SERVICE + "Leader": unary(
            link, pb.LeaderRequest, pb.LeaderResponse, same(pb.LeaderRequest, wire.LeaderRequest), READ_ALONE
        ),
        SERVICE + "Resign": unary(link, pb.ResignRequest, pb.ResignResponse, _resign, WRITE_ALONE),
        SERVICE + "Observe": Streaming(
            pb.LeaderRequest, pb.LeaderResponse, False, True, lambda stream: Observe(link, stream)
        ),
    }


def _leader_key(message: Any) -> wire.LeaderKey | None:
    if not message.HasField("leader"):
        return None
    leader = message.leader
    return wire.LeaderKey(leader.name, leader.key, leader.rev, leader.lease)


def _proclaim(message: Any, token: str, leader: bool) -> wire.Request:
    return wire.ProclaimRequest(leader=_leader_key(message), value=message.value, token=token, require_leader=leader)


def _resign(message: Any, token: str, leader: bool) -> wire.Request:
    return wire.ResignRequest(leader=_leader_key(message), token=token, require_leader=leader)


class Observe:
    """The leader, then each new one, until the client has enough."""

    __slots__ = ("_dealer", "_link", "_over", "_stream")

    def __init__(self, link: Link, stream: Stream) -> None:
        self._link = link
        self._stream = stream
        self._dealer: Dealer | None = None
        self._over = False

    def message(self, request: Any) -> None:
        """The one request."""
        if self._dealer is not None or self._over:
            return
        token, leader = meant(self._stream.metadata)
        self._dealer = self._link.open(self)
        self._dealer.send([encode(wire.ObserveRequest(name=request.name, token=token, require_leader=leader))])
        self._dealer.settle()

    def half_closed(self) -> None:
        """It says no more anyway."""

    def cancelled(self) -> None:
        """The client is gone."""
        self._close()

    def writable(self) -> None:
        """The client takes more."""
        if self._dealer is not None:
            self._dealer.resume()

    def on_message(self, body: bytes) -> None:
        """A leader; a header alone is only a sign of life, and a cancellation is the answer to ours."""
        reply = _decode(body)
        if "error" in reply:
            self._fail(refusal(reply))
        elif "kv" in reply and not self._stream.send(pb.LeaderResponse(**reply)) and self._dealer is not None:
            self._dealer.pause()

    def on_lost(self) -> None:
        """To be observed again."""
        self._fail(LOST)

    def on_room(self) -> None:
        """Nothing waits to be sent."""

    def on_quiet(self) -> None:
        """The api process gives a sign of life by itself, and notices so that nobody is here."""

    def _fail(self, error: RpcError) -> None:
        if not self._over:
            self._close()
            self._stream.fail(error)

    def _close(self) -> None:
        self._over = True
        if self._dealer is not None:
            self._dealer.send([encode(wire.WatchCancelRequest())])
            self._link.close_line(self._dealer, last_words=True)
            self._dealer = None
