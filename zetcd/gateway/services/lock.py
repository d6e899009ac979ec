"""v3lockpb.Lock, and what it has in common with campaigns: a place in a queue."""

from typing import Any

from zetcd.gateway.link import READ_ALONE, WRITE_ALONE, WRITES, Link
from zetcd.gateway.rpc import Call, Method, Unary
from zetcd.gateway.services.calls import Answer, Ask, Shape, meant, same, unary
from zetcd.wire import client as wire
from zetcd_pb import lock_pb2 as pb

SERVICE = "/v3lockpb.Lock/"


def methods(link: Link) -> dict[str, Method]:
    """By path."""
    return {
        SERVICE + "Lock": Unary(
            pb.LockRequest, pb.LockResponse, queueing(link, same(pb.LockRequest, wire.LockRequest), pb.LockResponse)
        ),
        SERVICE + "Unlock": unary(
            link, pb.UnlockRequest, pb.UnlockResponse, same(pb.UnlockRequest, wire.UnlockRequest), WRITES
        ),
    }


def queueing(link: Link, ask: Ask, shape: Shape) -> Any:
    """Starts a lock or a campaign, which waits as long as the client does.

    With a lease of the client's it may be asked for again, so it is repeated where the way broke, and the place in the
    queue is the client's until its key is deleted: as in etcd that is done for a client that gives up. Without, the
    place is this one request's, and given up with it.
    """

    def start(message: Any, call: Call) -> None:
        token, leader = meant(call.metadata)
        answer = Answer(call, shape)
        leave = link.wait(ask(message, token, leader), READ_ALONE if message.lease else WRITE_ALONE, answer)

        def give_up() -> None:
            answer.cancel()
            leave()
            if message.lease:
                key = message.name + b"/" + f"{message.lease:x}".encode()
                link.call(wire.UnlockRequest(key=key, token=token), WRITES, Unheard())

        if not answer.done():
            call.on_cancel = give_up

    return start


class Unheard:
    """Waits for nothing. Implements `zetcd.session.call.Waiter`."""

    def done(self) -> bool:
        """See `Waiter`."""
        return False

    def set_result(self, _result: Any, /) -> None:
        """Well."""

    def set_exception(self, _exception: BaseException, /) -> None:
        """The lease ends it."""
