"""elect: campaigns for a leadership and holds it until a signal, or observes who leads (-l)."""

from typing import Any

import msgspec

from zetcd.cli.ctl import holding
from zetcd.cli.ctl.console import Console, octets
from zetcd.cli.ctl.exits import BAD_ARGS, ERROR, SUCCESS, Exit
from zetcd.cli.ctl.holding import WAIT_FOREVER_S, Interrupted, Signals
from zetcd.cli.ctl.kv import prefix_end
from zetcd.session.errors import Error
from zetcd.wire.client import CampaignRequest, LeaderKey, RangeRequest, ResignRequest
from zetcd.wire.entry import SortOrder, SortTarget

_SESSION_TTL_S = 60
_DELETE = 1


def elect(console: Console) -> int:
    """The elect command."""
    args = console.args
    if len(args) not in (1, 2):
        raise Exit(BAD_ARGS, "elect takes one election name argument and an optional proposal argument")
    console.check_format()
    listen = console.parsed.on("listen")
    if len(args) == 1 and not listen:
        raise Exit(BAD_ARGS, "no proposal argument but -l not set")
    if len(args) == 2 and listen:
        raise Exit(BAD_ARGS, "proposal given but -l is set")
    return _observe(console, octets(args[0])) if listen else _campaign(console, octets(args[0]), octets(args[1]))


def _campaign(console: Console, name: bytes, proposal: bytes) -> int:
    signals = Signals()
    lease = holding.session(console, _SESSION_TTL_S)
    try:
        request = CampaignRequest(name, lease.id, proposal)
        won = signals.during(lambda: console.call(request, timeout=WAIT_FOREVER_S), lease)["leader"]
    except Interrupted:
        holding.end(lease)
        raise Exit(ERROR, "context canceled") from None
    console.show("get", console.call(RangeRequest(won["key"])))
    if not signals.wait(lease):
        raise Exit(ERROR, "elect: session expired")
    console.call(ResignRequest(LeaderKey(**won)))
    holding.end(lease)
    return SUCCESS


def _observe(console: Console, name: bytes) -> int:
    """Prints the leader and each one after it: the oldest key under the name, then its changes until it is deleted."""
    prefix = name + b"/"
    oldest = RangeRequest(
        prefix, prefix_end(prefix), limit=1, sort_order=int(SortOrder.ASCEND), sort_target=int(SortTarget.CREATE)
    )
    try:
        Signals().during(lambda: _print_leaders(console, prefix, oldest))
    except Interrupted:
        console.abandon(SUCCESS)
    except Error as error:
        raise Exit(ERROR, error.message) from None
    return SUCCESS


def _print_leaders(console: Console, prefix: bytes, oldest: RangeRequest) -> None:
    while True:
        reply = console.call(oldest)
        revision = reply["header"]["revision"]
        if reply.get("kvs"):
            console.show("get", {"header": reply["header"], "kvs": reply["kvs"]})
            _follow(console, reply["kvs"][0]["key"], b"", revision + 1)
        else:
            _follow(console, prefix, prefix_end(prefix), revision + 1)


def _follow(console: Console, key: bytes, range_end: bytes, revision: int) -> None:
    """Prints new values of the leader's key until it is deleted; of a range, only waits for its first key."""
    with console.client.watch(key, range_end=range_end, start_revision=revision) as watcher:
        for reply in watcher.replies():
            for event in reply.events:
                if event.type == _DELETE:
                    if not range_end:
                        return
                elif range_end:
                    return
                else:
                    kv: dict[str, Any] = msgspec.to_builtins(event.kv, builtin_types=(bytes,))
                    header = msgspec.to_builtins(reply.header)
                    console.show("get", {"header": header, "kvs": [kv]})
