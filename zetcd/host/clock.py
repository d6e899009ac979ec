"""The one place that reads the clock."""

import time


def monotonic_ms() -> int:
    """Milliseconds that never go back; the zero is arbitrary."""
    return time.monotonic_ns() // 1_000_000


def boottime_ms() -> int:
    """The same, and it goes on while the machine sleeps."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def monotonic_ns() -> int:
    """The same in nanoseconds."""
    return time.monotonic_ns()


def wall_s(then_ms: int) -> float:
    """Unix time (s) of a moment that `monotonic_ms` told."""
    return time.time() - (monotonic_ms() - then_ms) / 1000
