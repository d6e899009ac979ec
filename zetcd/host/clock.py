"""The one place that reads the clock."""

import time


def monotonic_ms() -> int:
    """Milliseconds that never go back; the zero is arbitrary."""
    return time.monotonic_ns() // 1_000_000


def monotonic_ns() -> int:
    """The same in nanoseconds."""
    return time.monotonic_ns()
