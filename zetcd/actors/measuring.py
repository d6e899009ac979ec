"""Series for /metrics, by etcd's names: each process says its own when it is asked, one api process puts them together.

    api --Measure--> raft, apply, lease        raft --Measure--> wal
    api <--Measured--                          raft <--Measured--, and passes it on

Nothing is sent while nobody asks, and what is counted is counted anyway, or a batch at a time.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from zetcd.base import limits
from zetcd.host import clock
from zetcd.host.process import usage
from zetcd.wire.entry import DeleteRange, Put, Txn
from zetcd.wire.local import Measure, Measured
from zetcd.wire.replies import Histogram, MetricsReply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from zetcd.actors.actor import Peer
    from zetcd.actors.api_actor import ApiActor
    from zetcd.actors.apply_actor import ApplyActor
    from zetcd.actors.clients import Ticket
    from zetcd.actors.lease_actor import LeaseActor
    from zetcd.actors.raft_actor import RaftActor
    from zetcd.base.meter import Meter

WAL_SYNC = "etcd_disk_wal_fsync_duration_seconds"
WAL_BYTES = "etcd_disk_wal_write_bytes_total"
COMMIT = "etcd_disk_backend_commit_duration_seconds"
DEFRAG = "etcd_disk_backend_defrag_duration_seconds"
DEFRAG_BOUNDS = tuple(0.1 * 2**at for at in range(13))
COMPACTION = "etcd_debugging_mvcc_db_compaction_total_duration_milliseconds"
COMPACTION_BOUNDS = tuple(100.0 * 2**at for at in range(14))
"""Milliseconds: etcd's buckets of it."""
MEMORY = "process_resident_memory_bytes"
"""Prometheus' name, which etcdctl's `check datascale` reads: of wal, raft, apply, lease and the api process asked."""
TOGETHER: dict[str, Callable[[float, float], float]] = {
    MEMORY: operator.add,
    "process_virtual_memory_bytes": operator.add,
    "process_cpu_seconds_total": operator.add,
    "process_open_fds": operator.add,
    "process_max_fds": min,
    "process_start_time_seconds": min,
}
"""How what those processes say of themselves becomes what the member says."""
ROUND_TRIP = "etcd_network_peer_round_trip_time_seconds"
BACKEND_SNAPSHOT = "etcd_disk_backend_snapshot_duration_seconds"
BACKEND_SNAPSHOT_BOUNDS = tuple(0.01 * 2**at for at in range(17))
SNAPSHOT_SEND = "etcd_network_snapshot_send_total_duration_seconds"
LEASE_TTL = "etcd_debugging_lease_ttl_total"
LEASE_TTL_BOUNDS = tuple(1.0 * 2**at for at in range(24))
"""Seconds: etcd's buckets of them."""
Meters = dict[str, "Meter"]


def measured(message: Measure, role: str, series: Mapping[str, float], meters: Meters | None = None) -> Measured:
    """The answer to message."""
    histograms = {name: meter.values for name, meter in (meters or {}).items()}
    numbers = {name: float(value) for name, value in series.items()}  # a bool would not decode as one
    numbers |= usage()
    return Measured(message.serial, role, numbers, histograms)


# -- what each process knows -----------------------------------------------------------------------------------------
def of_raft(actor: RaftActor) -> dict[str, float]:
    """Consensus and the links to other members."""
    core, peers = actor.core, actor.peers
    series: dict[str, float] = {
        "etcd_server_heartbeat_send_failures_total": peers.counters.unsent,
        "etcd_server_leader_changes_seen_total": actor.leader_changes,
        "etcd_server_read_indexes_failed_total": actor.reads.counters["failed"],
        "etcd_server_slow_read_indexes_total": actor.reads.counters["slow"],
    }
    if core is not None:
        log = core.log
        series |= {
            "etcd_server_has_leader": bool(core.leader),
            "etcd_server_is_leader": core.is_leader,
            "etcd_server_is_learner": core.is_learner,
            "etcd_server_proposals_committed_total": log.committed,
            "etcd_server_proposals_applied_total": actor.pipeline.applied,
            "etcd_server_proposals_pending": max(0, log.last_index - log.committed),
        }
    local = f"{actor.member:x}"
    known = {lane.member for lane in peers.lanes.values()}
    for member in sorted(known):
        labels = f'{{Local="{local}",Remote="{member:x}"}}'
        series[f"etcd_network_known_peers{labels}"] = 1
        series[f"etcd_network_active_peers{labels}"] = member in peers.active
    for member, traffic in peers.traffic.items():
        series[f'etcd_network_disconnected_peers_total{{Local="{local}",Remote="{member:x}"}}'] = traffic.cut
        series[f'etcd_network_peer_sent_bytes_total{{To="{member:x}"}}'] = traffic.sent_bytes
        series[f'etcd_network_peer_sent_failures_total{{To="{member:x}"}}'] = traffic.unsent
        series[f'etcd_network_peer_received_bytes_total{{From="{member:x}"}}'] = traffic.received_bytes
    return series


def meters_of_raft(actor: RaftActor) -> Meters:
    """How long other members take to answer heartbeats."""
    return {f'{ROUND_TRIP}{{To="{member:x}"}}': each.round_trips for member, each in actor.peers.traffic.items()}


def of_apply(actor: ApplyActor) -> dict[str, float]:
    """The store."""
    machine, counters = actor.machine, actor.counters
    status, changes = machine.figures(), machine.commands
    snapshots, deferred = actor.snapshots, actor.deferred
    series: dict[str, float] = {
        "etcd_mvcc_db_total_size_in_bytes": status.db_bytes,
        "etcd_mvcc_db_total_size_in_use_in_bytes": status.db_bytes_in_use,
        "etcd_debugging_mvcc_keys_total": status.keys,
        "etcd_debugging_mvcc_current_revision": status.revision,
        "etcd_debugging_mvcc_compact_revision": max(0, status.compact_revision),
        "etcd_debugging_auth_revision": machine.auth_revision,
        "etcd_mvcc_put_total": changes[Put],
        "etcd_mvcc_delete_total": changes[DeleteRange],
        "etcd_mvcc_txn_total": changes[Txn],
        "etcd_mvcc_range_total": counters["reads"],
        "etcd_mvcc_db_open_read_transactions": len(actor.long_reads) + deferred.exports.count + len(snapshots.sending),
        "etcd_debugging_mvcc_db_total_size_in_bytes": status.db_bytes,
        "etcd_debugging_mvcc_put_total": changes[Put],
        "etcd_debugging_mvcc_delete_total": changes[DeleteRange],
        "etcd_debugging_mvcc_txn_total": changes[Txn],
        "etcd_debugging_mvcc_range_total": counters["reads"],
        "etcd_debugging_mvcc_db_compaction_keys_total": machine.swept_rows,
        "etcd_debugging_mvcc_db_compaction_last": clock.wall_s(actor.compacted_ms) if actor.compacted_ms else 0,
        "etcd_server_slow_apply_total": counters["slow_turns"],
        "etcd_disk_defrag_inflight": deferred.defragmenting,
        "etcd_server_snapshot_apply_in_progress_total": snapshots.receiving,
        "etcd_debugging_lease_granted_total": counters["granted"],
        "etcd_debugging_lease_revoked_total": counters["revoked"],
    }
    for member, counts in snapshots.tried.items():
        to = f'{{To="{member:x}"}}'
        series[f"etcd_network_snapshot_send_success{to}"] = counts.sent
        series[f"etcd_network_snapshot_send_failures{to}"] = counts.failed
        series[f"etcd_network_snapshot_send_inflights_total{to}"] = member in snapshots.sending
    return series


def meters_of_apply(actor: ApplyActor) -> Meters:
    """The disk's, and how long snapshots to other members took."""
    tried = actor.snapshots.tried.items()
    return actor.meters | {f'{SNAPSHOT_SEND}{{To="{member:x}"}}': counts.took for member, counts in tried}


def of_lease(actor: LeaseActor) -> dict[str, float]:
    """Renewals and expiries."""
    return {
        "etcd_debugging_lease_renewed_total": actor.counters["keep_alives"],
        "etcd_debugging_server_lease_expired_total": actor.counters["revocations"],
    }


def of_api(actor: ApiActor) -> dict[str, float]:
    """Watches, and what this process refused."""
    counts = actor.watching.hub.counts()
    return {
        "etcd_debugging_mvcc_watcher_total": counts["watchers"],
        "etcd_debugging_mvcc_watch_stream_total": counts["watch_streams"],
        "etcd_debugging_mvcc_slow_watcher_total": counts["slow_watchers"],
        "etcd_debugging_mvcc_events_total": counts["events"],
        "etcd_server_quota_backend_bytes": max(0, actor.settings.quota_backend_bytes),
        "etcd_server_proposals_failed_total": actor.counters["timeouts"] + actor.counters["too_many_requests"],
        "etcd_server_id" + f'{{server_id="{actor.member:x}"}}': 1,
    }


# -- putting them together -------------------------------------------------------------------------------------------
@dataclass(slots=True)
class _Round:
    """askers: (ticket, index); missing: roles that have not answered."""

    serial: int
    due_ms: int
    missing: dict[str, None]
    askers: list[tuple[Ticket, int]] = field(default_factory=list)
    series: dict[str, float] = field(default_factory=dict)
    histograms: dict[str, Histogram] = field(default_factory=dict)


class Measuring:
    """Of an api process: one round at a time, which everybody joins who asks meanwhile."""

    def __init__(self, actor: ApiActor) -> None:
        self._actor = actor
        self._round: _Round | None = None
        self._serial = 0

    def ask(self, ticket: Ticket, index: int, peers: Mapping[str, Peer | None]) -> None:
        """The metrics op. peers: the processes by role, None for one that is gone."""
        if self._round is None:
            self._serial += 1
            message = Measure(self._serial)
            due_ms = self._actor.now_ms + limits.METRICS_WAIT_MS
            self._round = _Round(self._serial, due_ms, dict.fromkeys((*peers, "wal")))
            for peer in peers.values():
                if peer is not None:
                    self._actor.send(peer, message)
        self._round.askers.append((ticket, index))

    def on_measured(self, message: Measured) -> None:
        """One process has answered."""
        now = self._round
        if now is None or message.serial != now.serial:
            return  # too late
        now.missing.pop(message.role, None)
        _merge(now.series, message.series)
        now.histograms |= {name: Histogram(*values) for name, values in message.histograms.items()}
        if not now.missing:
            self._finish(now)

    def on_tick(self, now_ms: int) -> None:
        """Whoever has not answered by now is left out."""
        if self._round is not None and now_ms >= self._round.due_ms:
            self._finish(self._round)

    def _finish(self, now: _Round) -> None:
        self._round = None
        actor = self._actor
        _merge(now.series, usage())
        now.series["os_fd_used"] = now.series.get("process_open_fds", 0.0)
        now.series["os_fd_limit"] = now.series["process_max_fds"]
        reply = MetricsReply(
            actor.header(actor.revision),
            own(actor),
            now.series | of_api(actor),
            now.histograms,
            list(now.missing),
            None if actor.tracer is None else actor.tracer.sums,
        )
        for ticket, index in now.askers:
            actor.answer(ticket, index, reply)


def _merge(series: dict[str, float], more: Mapping[str, float]) -> None:
    for name, value in more.items():
        together = TOGETHER.get(name)
        series[name] = value if together is None or name not in series else together(series[name], value)


def own(actor: ApiActor) -> dict[str, int]:
    """Counters of this api process."""
    clients = actor.clients
    return {
        **actor.counters,
        "inflight": len(actor.calls),
        "clients_stalled": clients.stalled,
        "clients_dropped": clients.dropped,
        "clients_unreachable": clients.unreachable,
        "backlog_bytes": clients.backlog_bytes,
        "snapshots": actor.exporting.count,
        "revision": actor.revision,
        "api_process": actor.number,
    }
