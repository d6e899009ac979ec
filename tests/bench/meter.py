"""Counting requests: a warm-up, a measured time, and what it cost this process."""

import resource
import time
from array import array
from typing import Any


def cpu_seconds() -> float:
    """User and system time of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


class Meter:
    """Latencies of the requests that end between the end of the warm-up and the end of the measurement."""

    __slots__ = ("_begins", "_cpu", "_ends", "_total", "_used", "latencies_us", "over")

    def __init__(self, warmup_s: float, seconds: float) -> None:
        now = time.perf_counter_ns()
        self._begins = now + int(warmup_s * 1e9)
        self._ends = self._begins + int(seconds * 1e9)
        self._cpu = -1.0
        self._used = 0.0
        self._total = 0
        self.latencies_us = array("f")
        self.over = False

    def took(self, started_ns: int) -> None:
        """One request that began at started_ns has just ended."""
        now = time.perf_counter_ns()
        self._total += 1
        if now < self._begins:
            return
        if self._cpu < 0:
            self._cpu = cpu_seconds()
        if now < self._ends:
            self.latencies_us.append((now - started_ns) / 1000)
        elif not self.over:
            self.end()

    def end(self) -> None:
        """The measured time is over."""
        if not self.over:
            self.over = True
            self._used = cpu_seconds() - self._cpu

    def result(self) -> dict[str, Any]:
        """The figures of one process, to be merged."""
        return {
            "seconds": (self._ends - self._begins) / 1e9,
            "latencies_us": self.latencies_us.tobytes(),
            "requests_all": self._total,
            "cpu_s": self._used,
            "errors": 0,
        }


def merge(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures of all load processes as one."""
    latencies = array("f")
    for part in parts:
        latencies.frombytes(part["latencies_us"])
    ordered = sorted(latencies) or [0.0]
    seconds = parts[0]["seconds"]
    return {
        "seconds": seconds,
        "requests": len(latencies),
        "requests_all": sum(part["requests_all"] for part in parts),
        "per_second": len(latencies) / seconds,
        "p50_us": ordered[len(ordered) // 2],
        "p99_us": ordered[len(ordered) * 99 // 100],
        "cpu_s": sum(part["cpu_s"] for part in parts),
        "errors": sum(part["errors"] for part in parts),
    }
