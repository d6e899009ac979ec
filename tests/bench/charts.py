"""Charts of the comparison, one SVG each: throughput, latency, CPU, memory and restart."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "zetcd"  # the same figures give the same file
from matplotlib import pyplot as plt  # noqa: E402

from tests.bench.rounds import Bench  # noqa: E402

BLUE, ORANGE, PALE_BLUE, PALE_ORANGE = "#0072b2", "#e69f00", "#9ecae8", "#f6d58f"
Bar = tuple[str, str, str]
"""Label, workload, side."""

RATES: tuple[tuple[str, tuple[Bar, ...]], ...] = (
    ("put", (("etcd", "put_1000", "etcd"), ("library", "put_1000", "zetcd"), ("REQ", "put_1000_req", "zetcd"))),
    ("get", (("etcd", "get_1000", "etcd"), ("library", "get_1000", "zetcd"), ("REQ", "get_1000_req", "zetcd"))),
)
LATENCIES: tuple[tuple[str, tuple[Bar, ...]], ...] = (
    ("put", (("etcd", "put_1", "etcd"), ("library", "put_1", "zetcd"), ("REQ", "put_1_req", "zetcd"))),
    ("get", (("etcd", "get_1", "etcd"), ("library", "get_1", "zetcd"), ("REQ", "get_1_req", "zetcd"))),
)


def draw(bench: Bench, directory: Path) -> list[str]:
    """Draw what there are figures for; names of the files written."""
    drawn = []
    for name, picture in (("throughput.svg", _throughput), ("latency.svg", _latency), ("cpu.svg", _cpu)):
        if picture(bench, directory / name):
            drawn.append(name)
    if len(bench.large) == 2 and _large(bench, directory / "large.svg"):
        drawn.append("large.svg")
    return drawn


def _middle(bench: Bench, bar: Bar, metric: str) -> float:
    rounds = bench.results.get(bar[1], {}).get(bar[2], [])
    return statistics.median(float(figures[metric]) for figures in rounds) if rounds else 0.0


def _colour(side: str) -> str:
    return ORANGE if side == "etcd" else BLUE


def _save(figure: Any, path: Path) -> bool:
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    return True


def _bars(axes: Any, bars: Sequence[Bar], values: Sequence[float], unit: str) -> None:
    drawn = axes.bar([bar[0] for bar in bars], values, color=[_colour(bar[2]) for bar in bars], width=0.6)
    axes.bar_label(drawn, [f"{value:,.0f}{unit}" for value in values], padding=2, fontsize=8)
    axes.margins(y=0.15)
    axes.spines[["top", "right"]].set_visible(False)


def _throughput(bench: Bench, path: Path) -> bool:
    if not bench.results:
        return False
    figure, grid = plt.subplots(1, 3, figsize=(10, 3.2))
    for axes, (title, bars) in zip(grid, RATES, strict=False):
        _bars(axes, bars, [_middle(bench, bar, "per_second") for bar in bars], "/s")
        axes.set_title(f"{title}, 1,000 outstanding", fontsize=10)
    watch: tuple[Bar, ...] = (("etcd", "watch_1000", "etcd"), ("library", "watch_1000", "zetcd"))
    _bars(grid[2], watch, [_middle(bench, bar, "per_second") for bar in watch], "/s")
    grid[2].set_title("events to 1,000 watchers", fontsize=10)
    return _save(figure, path)


def _latency(bench: Bench, path: Path) -> bool:
    if not bench.results:
        return False
    figure, grid = plt.subplots(1, 2, figsize=(8, 3.2))
    for axes, (title, bars) in zip(grid, LATENCIES, strict=True):
        tails = [_middle(bench, bar, "p99_us") for bar in bars]
        axes.bar([bar[0] for bar in bars], tails, color="#dddddd", width=0.6, label="p99")
        _bars(axes, bars, [_middle(bench, bar, "p50_us") for bar in bars], " us")
        axes.set_title(f"{title}, one client: p50 (grey: p99), microseconds", fontsize=10)
    return _save(figure, path)


def _cpu(bench: Bench, path: Path) -> bool:
    if not bench.results:
        return False
    figure, grid = plt.subplots(1, 2, figsize=(11, 3.6))
    for axes, title, names in (
        (grid[0], "1,000 outstanding", ("put_1000", "put_1000_req", "get_1000", "get_1000_req")),
        (grid[1], "one client", ("put_1", "put_1_req", "get_1", "get_1_req")),
    ):
        bars = [(f"{side}\n{name}", name, side) for name in names for side in bench.results.get(name, {})]
        _stacks(axes, bars, bench)
        axes.set_title(f"{title}: ms of CPU for 1,000 requests, server and load program (pale)", fontsize=9)
    return _save(figure, path)


def _stacks(axes: Any, bars: Sequence[Bar], bench: Bench) -> None:
    server = [_middle(bench, bar, "server_cpu_ms_per_1000") for bar in bars]
    client = [_middle(bench, bar, "client_cpu_ms_per_1000") for bar in bars]
    places = list(range(len(bars)))
    axes.bar(places, server, color=[_colour(bar[2]) for bar in bars], width=0.7)
    pale = [PALE_ORANGE if bar[2] == "etcd" else PALE_BLUE for bar in bars]
    top = axes.bar(places, client, bottom=server, color=pale, width=0.7)
    axes.bar_label(top, [f"{a + b:,.0f}" for a, b in zip(server, client, strict=True)], padding=2, fontsize=8)
    axes.set_xticks(places, [bar[0] for bar in bars], fontsize=7)
    axes.margins(y=0.12)
    axes.spines[["top", "right"]].set_visible(False)


def _large(bench: Bench, path: Path) -> bool:
    sides: tuple[Bar, ...] = (("etcd", "", "etcd"), ("zetcd", "", "zetcd"))
    figure, grid = plt.subplots(1, 3, figsize=(10, 3.2))
    restart = [statistics.median(bench.large[bar[2]]["restart_s"]) * 1000 for bar in sides]
    _bars(grid[0], sides, restart, " ms")
    grid[0].set_title(f"restart with {bench.keys:,} keys", fontsize=10)
    for axes, metric, title in ((grid[1], "restarted_pss", "PSS after it"), (grid[2], "used_pss", "PSS after use")):
        _bars(axes, sides, [bench.large[bar[2]][metric] / 2**20 for bar in sides], " MiB")
        axes.set_title(title, fontsize=10)
    return _save(figure, path)
