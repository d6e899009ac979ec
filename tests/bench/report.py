"""The comparison as a page: the table with what must hold and what is aimed at, the charts, the raw figures."""

import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench import charts
from tests.bench.rounds import SMALL_KEYS, Bench, Figures

Pick = Callable[[Bench], tuple[list[float], list[float]]]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. pick gives both sides' figures round by round; at_most: smaller ratios are better."""

    work: str
    unit: str
    must: float
    goal: float
    pick: Pick
    at_most: bool = False


def _of(metric: str, zetcd: str, etcd: str = "") -> Pick:
    def pick(bench: Bench) -> tuple[list[float], list[float]]:
        return (
            [float(figures[metric]) for figures in bench.results.get(etcd or zetcd, {}).get("etcd", [])],
            [float(figures[metric]) for figures in bench.results.get(zetcd, {}).get("zetcd", [])],
        )

    return pick


ROWS = (
    Row("put, 1,000 outstanding, client library", "/s", 1.5, 2.5, _of("per_second", "put_1000")),
    Row("put, 1,000 separate REQ sockets", "/s", 1.0, 1.5, _of("per_second", "put_1000_req", "put_1000")),
    Row("put, one client, p50", "us", 2.0, 1.0, _of("p50_us", "put_1"), at_most=True),
    Row("linearizable get, 1,000 outstanding, client library", "/s", 1.0, 2.0, _of("per_second", "get_1000")),
    Row("linearizable get, one client, p50", "us", 2.0, 1.0, _of("p50_us", "get_1"), at_most=True),
    Row("watch, 1 writer, 1,000 watchers on one key, events", "/s", 1.0, 2.0, _of("per_second", "watch_1000")),
    Row("three members: put, 1,000 outstanding on the leader", "/s", 0.8, 1.5, _of("per_second", "c3_put_1000")),
    Row("three members: put, one client, p50", "us", 2.0, 1.0, _of("p50_us", "c3_put_1"), at_most=True),
    Row("three members: linearizable get, 1,000 spread", "/s", 0.8, 2.0, _of("per_second", "c3_get_1000_spread")),
    Row("Go client, put, 1,000 clients", "/s", 0.3, 0.7, _of("per_second", "gw_put_1000")),
    Row("Go client, put, one client, p50", "us", 3.0, 1.5, _of("p50_us", "gw_put_1"), at_most=True),
    Row("Go client, linearizable range, 1,000 clients", "/s", 0.3, 0.7, _of("per_second", "gw_get_1000")),
    Row("Go client, linearizable range, one client, p50", "us", 3.0, 1.5, _of("p50_us", "gw_get_1"), at_most=True),
    Row("Go client, 1,000 watchers, events", "/s", 0.3, 0.7, _of("per_second", "gw_watch_1000")),
)  # fmt: skip
EXTRA = (
    Row("Go client, put, 100 clients", "/s", 0, 0, _of("per_second", "gw_put_100")),
    Row("Go client, linearizable range, 100 clients", "/s", 0, 0, _of("per_second", "gw_get_100")),
    Row("put, one REQ socket, p50", "us", 0, 0, _of("p50_us", "put_1_req", "put_1"), at_most=True),
    Row("linearizable get, one REQ socket, p50", "us", 0, 0, _of("p50_us", "get_1_req", "get_1"), at_most=True),
    Row("three members: put, 1,000 outstanding, spread", "/s", 0, 0, _of("per_second", "c3_put_1000_spread")),
    Row("three members: linearizable get, 1,000 on the leader", "/s", 0, 0, _of("per_second", "c3_get_1000")),
    Row("three members: linearizable get, one client, p50", "us", 0, 0, _of("p50_us", "c3_get_1"), at_most=True),
    Row("linearizable get, 1,000 separate REQ sockets", "/s", 0, 0, _of("per_second", "get_1000_req", "get_1000")),
)


def write(bench: Bench, directory: Path) -> str:
    """Write results.md, results.json and the charts into directory; the page's text."""
    directory.mkdir(parents=True, exist_ok=True)
    raw = {
        "machine": machine(), "seconds": bench.seconds, "rounds": bench.rounds, "keys": bench.keys,
        "results": bench.results, "large": bench.large,
    }  # fmt: skip
    (directory / "results.json").write_text(json.dumps(raw, indent=1) + "\n")
    drawn = charts.draw(bench, directory)
    text = page(bench, drawn)
    (directory / "results.md").write_text(text)
    return text


def page(bench: Bench, drawn: list[str]) -> str:
    """The whole page."""
    where = machine()
    conditions = (
        f"{where['date']}, {where['processors']} processors ({where['model']}), Python {where['python']}, commit "
        f"{where['commit']}. {bench.rounds} rounds of {bench.seconds:g} s a workload, servers in turn, load program on "
        "the same processors, 256-byte values, durable writes on both sides. A ratio is zetcd / etcd of the medians "
        "over rounds; in brackets its lowest and highest within one round."
    )
    lines = [
        "# zetcd beside etcd 3.5",
        "",
        conditions,
        "",
        "| work | etcd | zetcd | ratio | must | goal | |",
        "|---|---:|---:|---:|---:|---:|---|",
        *(line for row in ROWS if (line := _line(row, bench))),
        *_size_lines(bench),
        *(line for row in EXTRA if (line := _line(row, bench))),
        "",
        *_cost_table(bench),
        *_large_table(bench),
        *(f"![{name}]({name})\n" for name in drawn),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _line(row: Row, bench: Bench) -> str:
    etcd, zetcd = row.pick(bench)
    if not etcd or not zetcd:
        return ""
    ratio = statistics.median(zetcd) / statistics.median(etcd)
    ratios = [ours / theirs for ours, theirs in zip(zetcd, etcd, strict=False)]
    spread = f"{ratio:.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
    cells = (
        row.work,
        _cell(etcd, row.unit),
        _cell(zetcd, row.unit),
        spread,
        *_bars(row.must, row.goal, ratio, row.at_most),
    )
    return f"| {' | '.join(cells)} |"


def _cell(values: list[float], unit: str) -> str:
    middle = statistics.median(values)
    return f"{middle:,.0f} {unit}" if unit == "us" else f"{middle:,.0f}{unit}"


def _bars(must: float, goal: float, ratio: float, at_most: bool) -> tuple[str, str, str]:
    if not must:
        return "", "", ""
    sign = "<= " if at_most else ">= "
    sense = -1 if at_most else 1
    verdict = "goal" if sense * ratio >= sense * goal else "holds" if sense * ratio >= sense * must else "**missed**"
    return f"{sign}{must:g}", f"{sign}{goal:g}", verdict


def _size_lines(bench: Bench) -> list[str]:
    """put and get at many keys against few, each side against itself."""
    lines = []
    for name, title in (("put_1000", "put"), ("get_1000", "linearizable get")):
        cells, ours = [], 0.0
        for side in ("etcd", "zetcd"):
            figures = bench.large.get(side)
            if not figures or not figures["small"][name]:
                return []
            few, many = statistics.median(figures["small"][name]), statistics.median(figures["many"][name])
            ours = many / few
            cells.append(f"{many:,.0f} of {few:,.0f}/s = {ours:.2f}")
        work = f"{title} rate at {bench.keys:,} keys against {SMALL_KEYS:,}"
        lines.append(f"| {work} | {cells[0]} | {cells[1]} | {ours:.2f} | {' | '.join(_bars(0.8, 0.95, ours, False))} |")
    return lines


def _cost_table(bench: Bench) -> list[str]:
    lines = [
        "Milliseconds of CPU for 1,000 requests (watch: events), server and load program, and what a client waits:",
        "",
        "| work | side | rate | p50 us | p99 us | server CPU | client CPU | PSS MiB |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, sides in bench.results.items():
        for side in ("etcd", "zetcd"):
            rounds = sides.get(side)
            if rounds:
                lines.append(f"| {name} | {side} | {' | '.join(_costs(rounds))} |")
    return [*lines, ""]


def _costs(rounds: list[Figures]) -> list[str]:
    def middle(metric: str) -> float:
        return statistics.median(float(figures[metric]) for figures in rounds)

    return [
        f"{middle('per_second'):,.0f}/s", f"{middle('p50_us'):,.0f}", f"{middle('p99_us'):,.0f}",
        f"{middle('server_cpu_ms_per_1000'):,.2f}", f"{middle('client_cpu_ms_per_1000'):,.2f}",
        f"{middle('pss') / 2**20:,.0f}",
    ]  # fmt: skip


def _large_table(bench: Bench) -> list[str]:
    if not bench.large:
        return []
    rows: list[tuple[str, Callable[[Figures], str]]] = [
        ("keys loaded per second", lambda figures: f"{figures['fill_per_second']:,.0f}"),
        ("restart to first answered get", lambda figures: f"{statistics.median(figures['restart_s']):.2f} s"),
        ("PSS after loading", lambda figures: f"{figures['loaded_pss'] / 2**20:,.0f} MiB"),
        ("PSS after a restart", lambda figures: f"{figures['restarted_pss'] / 2**20:,.0f} MiB"),
        ("PSS after puts and gets over all keys", lambda figures: f"{figures['used_pss'] / 2**20:,.0f} MiB"),
        ("on disk", lambda figures: f"{figures['disk_bytes'] / 2**20:,.0f} MiB"),
    ]
    lines = [f"With {bench.keys:,} keys of 256 B (PSS of all processes of the member together):", ""]
    lines += ["| | etcd | zetcd |", "|---|---:|---:|"]
    for title, show in rows:
        cells = [show(bench.large[side]) if side in bench.large else "" for side in ("etcd", "zetcd")]
        lines.append(f"| {title} | {cells[0]} | {cells[1]} |")
    return [*lines, ""]


def machine() -> dict[str, Any]:
    """What ran where, as far as it matters for the figures."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "date": time.strftime("%Y-%m-%d"), "processors": os.cpu_count(), "model": model,
        "python": platform.python_version(), "commit": commit or "unknown",
    }  # fmt: skip
