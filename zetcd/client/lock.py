"""Locks."""

from typing import Any, Self


class Lock:
    """with client.lock("name") as lock: lock.key, lock.lease."""

    key: bytes

    def __init__(self, background: Any, name: bytes, ttl: int) -> None: ...
    def acquire(self, timeout: float | None = None) -> Self: ...
    def release(self) -> None: ...
    @property
    def lost(self) -> bool: ...


class AsyncLock(Lock): ...
