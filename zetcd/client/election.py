"""Elections."""

from typing import Any


class Election:
    """campaign(value, timeout=None), proclaim(value), resign(), leader() -> KeyValue | None, observe() -> iterator of KeyValue."""

    def __init__(self, background: Any, name: bytes, ttl: int) -> None: ...


class AsyncElection(Election): ...
