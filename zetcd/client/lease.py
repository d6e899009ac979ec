"""Leases."""

from typing import Any


class Lease:
    """id, ttl; keep_alive() renews it in the background until close/revoke; lost is set when it is gone."""

    id: int
    ttl: int

    def __init__(self, background: Any, id: int, ttl: int) -> None: ...

    def keep_alive(self) -> "Lease":
        """Renew in the background from now on."""
        raise NotImplementedError

    def keep_alive_once(self) -> int: ...
    def revoke(self) -> None: ...
    @property
    def lost(self) -> bool: ...


class AsyncLease(Lease): ...
