"""/metrics in Prometheus' text format, under etcd's names.

The member's series and histograms come from the ZeroMQ API's `metrics`, which knows them by these names; added is what
only the gateway knows (its health checks, versions, calls). Written by hand rather than with prometheus-client: nothing
is registered or counted here, and the format is three kinds of lines.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Protocol

from zetcd.gateway.http.answers import Exchange, Headers, Request, respond_only
from zetcd.gateway.http.health import Health
from zetcd.gateway.http.version import ETCD_VERSION, cluster_version
from zetcd.wire.replies import Histogram, MetricsReply

CONTENT = [("Content-Type", "text/plain; version=0.0.4; charset=utf-8")]
# What etcd calls a gauge though its name ends as a counter's does, and the other way round.
_GAUGES = frozenset(
    {
        "etcd_debugging_mvcc_keys_total",
        "etcd_debugging_mvcc_pending_events_total",
        "etcd_debugging_mvcc_slow_watcher_total",
        "etcd_debugging_mvcc_watch_stream_total",
        "etcd_debugging_mvcc_watcher_total",
        "etcd_disk_wal_write_bytes_total",
        "etcd_network_snapshot_receive_inflights_total",
        "etcd_network_snapshot_send_inflights_total",
        "etcd_server_proposals_applied_total",
        "etcd_server_proposals_committed_total",
        "etcd_server_snapshot_apply_in_progress_total",
    }
)
_COUNTERS = frozenset(
    {
        "etcd_network_snapshot_receive_failures",
        "etcd_network_snapshot_receive_success",
        "etcd_network_snapshot_send_failures",
        "etcd_network_snapshot_send_success",
        "etcd_server_health_failures",
        "etcd_server_health_success",
        "etcd_server_learner_promote_failures",
        "etcd_server_learner_promote_successes",
    }
)

Series = Mapping[str, float]
"""Values by name, some names with labels behind them: ``name{To="..."}``."""


class Source(Protocol):
    """The way to the ZeroMQ API (`zetcd.gateway.link`)."""

    def metrics(self, done: Callable[[MetricsReply | None], None]) -> Callable[[], None]:
        """Ask; done is told the reply, or None if there is none. Returns what takes the question back."""


class Metrics:
    """Asks for each scrape anew."""

    __slots__ = ("_own", "_source")

    def __init__(self, source: Source, own: Iterable[Callable[[], Series]] = ()) -> None:
        """own: what the gateway's transports have counted, asked at each scrape."""
        self._source = source
        self._own = tuple(own)

    def on_request(self, health: Health, _request: Request, exchange: Exchange, cors: Headers) -> None:
        """Any method, as etcd."""
        told: list[bool] = []

        def answered(reply: MetricsReply | None) -> None:
            told.append(True)
            exchange.on_cancel = None
            exchange.respond(200, cors + CONTENT, self._text(health, reply).encode())

        cancel = self._source.metrics(answered)
        if not told:
            exchange.on_cancel = cancel

    def on_debug(self, request: Request, exchange: Exchange, cors: Headers) -> None:
        """/debug/vars: etcd shows Go's; here is nothing to show."""
        if request.method == "GET":
            exchange.respond(200, [*cors, ("Content-Type", "application/json; charset=utf-8")], b"{}\n")
        else:
            respond_only(exchange, "GET", cors)

    def _text(self, health: Health, reply: MetricsReply | None) -> str:
        series: dict[str, float] = {
            f'etcd_server_version{{server_version="{ETCD_VERSION}"}}': 1,
            f'etcd_cluster_version{{cluster_version="{cluster_version(ETCD_VERSION)}"}}': 1,
        }
        for own in self._own:
            series.update(own())
        series.update(_health(health))
        histograms: Mapping[str, Histogram] = {}
        if reply is not None:
            series.update({f"zetcd_api_{name}": number for name, number in reply.metrics.items()})
            series.update(reply.series)
            histograms = reply.histograms
        return exposition(series, histograms)


def _health(health: Health) -> Series:
    series: dict[str, float] = {f"etcd_server_{name}": number for name, number in health.counters.items()}
    for (path, check, status), number in health.probes.items():
        series[f'etcd_server_healthchecks_total{{type="{path}",name="{check}",status="{status}"}}'] = number
    for (path, check), well in health.last.items():
        series[f'etcd_server_healthcheck{{type="{path}",name="{check}"}}'] = well
    return series


def exposition(series: Series, histograms: Mapping[str, Histogram]) -> str:
    """All of it by name, each family behind its type."""
    families: dict[str, list[str]] = {}
    for name, number in series.items():
        family = name.partition("{")[0]
        families.setdefault(family, [f"# TYPE {family} {_kind(family)}\n"]).append(f"{name} {_written(number)}\n")
    for name, histogram in histograms.items():
        family, brace, labels = name.partition("{")
        lines = families.setdefault(family, [f"# TYPE {family} histogram\n"])
        lines.extend(_buckets(family, labels.removesuffix("}") if brace else "", histogram))
    return "".join(line for family in sorted(families) for line in families[family])


def _written(number: float) -> str:
    return str(int(number)) if math.isfinite(number) and number == int(number) else repr(number)


def _kind(family: str) -> str:
    counter = family in _COUNTERS or (family.endswith("_total") and family not in _GAUGES)
    return "counter" if counter else "gauge"


def _bound(number: float) -> str:
    """A bucket's bound as Go writes it: to Prometheus it is a name."""
    exact = Decimal(repr(number)).normalize()
    exponent = exact.adjusted()
    if -5 < exponent < 6:
        return format(exact, "f")
    return f"{exact.scaleb(-exponent):f}e{exponent:+03d}"


def _buckets(family: str, labels: str, histogram: Histogram) -> Iterable[str]:
    count = 0
    before = f"{labels}," if labels else ""
    for bound, number in zip([*map(_bound, histogram.bounds), "+Inf"], histogram.counts, strict=True):
        count += number
        yield f'{family}_bucket{{{before}le="{bound}"}} {count}\n'
    braced = f"{{{labels}}}" if labels else ""
    yield f"{family}_sum{braced} {histogram.sum}\n"
    yield f"{family}_count{braced} {count}\n"
