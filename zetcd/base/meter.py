"""A histogram that costs a bisection for each observation: what a process measures and /metrics shows."""

from bisect import bisect_left

DISK_BOUNDS = tuple(0.001 * 2**at for at in range(14))
"""Seconds: the buckets that etcd has for syncs of the log and commits of the backend, and dashboards expect."""


class Meter:
    """counts[i]: observations at most bounds[i], above the bound before; the last one: above all."""

    __slots__ = ("bounds", "counts", "sum_ns", "_bounds_ns")  # noqa: RUF023 - in order of importance

    def __init__(self, bounds: tuple[float, ...] = DISK_BOUNDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum_ns = 0
        self._bounds_ns = [int(bound * 1e9) for bound in bounds]

    def observe_ns(self, duration: int) -> None:
        """One more, in nanoseconds."""
        self.counts[bisect_left(self._bounds_ns, duration)] += 1
        self.sum_ns += duration

    @property
    def values(self) -> tuple[list[float], list[int], float]:
        """(bounds, counts, sum), in seconds."""
        return list(self.bounds), list(self.counts), self.sum_ns / 1e9
