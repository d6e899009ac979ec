"""lease grant, revoke, timetolive, list, keep-alive."""

import threading

from zetcd.cli.ctl import golang
from zetcd.cli.ctl.console import Console
from zetcd.cli.ctl.exits import BAD_ARGS, BAD_CONNECTION, Exit
from zetcd.cli.ctl.formats.simple import lease_id
from zetcd.wire.client import (
    LeaseGrantRequest,
    LeaseKeepAliveRequest,
    LeaseLeasesRequest,
    LeaseRevokeRequest,
    LeaseTimeToLiveRequest,
)

_RENEWALS_PER_TTL = 3


def _only_id(console: Console, complaint: str) -> int:
    if len(console.args) != 1:
        raise Exit(BAD_ARGS, complaint)
    try:
        return golang.parse_int(console.args[0], 16)
    except ValueError as error:
        raise Exit(BAD_ARGS, f"bad lease ID arg ({error}), expecting ID in Hex") from None


def grant(console: Console) -> None:
    """The lease grant command."""
    if len(console.args) != 1:
        raise Exit(BAD_ARGS, "lease grant command needs TTL argument")
    try:
        ttl = golang.parse_int(console.args[0], 10)
    except ValueError as error:
        raise Exit(BAD_ARGS, f"bad TTL ({error})") from None
    console.show("lease_grant", console.call(LeaseGrantRequest(ttl), frame="failed to grant lease ({})"))


def revoke(console: Console) -> None:
    """The lease revoke command."""
    lease = _only_id(console, "lease revoke command needs 1 argument")
    reply = console.call(LeaseRevokeRequest(lease), frame="failed to revoke lease ({})")
    console.show("lease_revoke", {**reply, "ID": lease})


def time_to_live(console: Console) -> None:
    """The lease timetolive command."""
    lease = _only_id(console, "lease timetolive command needs lease ID as argument")
    keys = console.parsed.on("keys")
    reply = console.call(LeaseTimeToLiveRequest(lease, keys), code=BAD_CONNECTION)
    console.show("lease_time_to_live", reply, keys=keys)


def leases(console: Console) -> None:
    """The lease list command."""
    console.show("leases", console.call(LeaseLeasesRequest(), code=BAD_CONNECTION))


def keep_alive(console: Console) -> None:
    """The lease keep-alive command: three renewals per TTL, until the lease is gone."""
    lease = _only_id(console, "lease keep-alive command needs lease ID as argument")
    once = console.parsed.on("once")
    pause = threading.Event()
    while True:
        reply = console.call(LeaseKeepAliveRequest(lease), code=BAD_CONNECTION)
        ttl = reply.get("TTL", 0)
        if ttl <= 0:
            break
        console.show("lease_keep_alive", {"ID": lease, **reply})
        if once:
            return
        pause.wait(ttl / _RENEWALS_PER_TTL)
    if once:
        raise Exit(BAD_CONNECTION, "etcdserver: requested lease not found")
    if console.format == "simple":
        console.line(f"lease {lease_id(lease)} expired or revoked.")
