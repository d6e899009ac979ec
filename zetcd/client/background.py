"""Under way."""

from typing import Any


class Background:
    """Under way."""

    def __init__(self, *parts: Any) -> None: ...

    def run(self, request: Any, kind: Any, timeout: Any) -> Any: ...

    def close(self) -> None: ...
