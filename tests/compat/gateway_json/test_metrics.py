"""/metrics of a member beside those of etcd: the same names, types, labels and buckets; what is lacking is named here.

Why each is lacking stands in docs/operations.md, "Metrics".
"""

import re
import urllib.request
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.compat.oracle import Etcd, binary
from tests.process.gateway.members import LIMIT_S, EtcdStyle

LACKING = set(
    re.findall(
        r"\w+",
        """
    etcd_debugging_disk_backend_commit_rebalance_duration_seconds
    etcd_debugging_disk_backend_commit_spill_duration_seconds
    etcd_debugging_disk_backend_commit_write_duration_seconds
    etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds
    etcd_debugging_mvcc_index_compaction_pause_duration_milliseconds
    etcd_debugging_mvcc_pending_events_total
    etcd_debugging_mvcc_total_put_size_in_bytes
    etcd_debugging_snap_save_marshalling_duration_seconds
    etcd_debugging_snap_save_total_duration_seconds
    etcd_debugging_store_expires_total
    etcd_debugging_store_reads_total
    etcd_debugging_store_watch_requests_total
    etcd_debugging_store_watchers
    etcd_debugging_store_writes_total
    etcd_grpc_proxy_cache_hits_total
    etcd_grpc_proxy_cache_keys_total
    etcd_grpc_proxy_cache_misses_total
    etcd_grpc_proxy_events_coalescing_total
    etcd_grpc_proxy_watchers_coalescing_total
    etcd_mvcc_hash_duration_seconds
    etcd_mvcc_hash_rev_duration_seconds
    etcd_server_apply_duration_seconds
    etcd_server_go_version
    etcd_server_learner_promote_successes
    etcd_snap_db_fsync_duration_seconds
    etcd_snap_db_save_total_duration_seconds
    etcd_snap_fsync_duration_seconds
    process_virtual_memory_max_bytes
    promhttp_metric_handler_requests_in_flight
    promhttp_metric_handler_requests_total
""",
    )
)
OLDER_OR_NEWER = {
    "3.4": {"etcd_debugging_mvcc_db_compaction_last", "etcd_server_healthcheck", "etcd_server_healthchecks_total"},
    "3.5": {
        "etcd_debugging_mvcc_db_total_size_in_bytes",
        "etcd_debugging_mvcc_delete_total",
        "etcd_debugging_mvcc_put_total",
        "etcd_debugging_mvcc_txn_total",
        "etcd_server_healthcheck",
        "etcd_server_healthchecks_total",
    },
}
"""What that one has not any more, or not yet."""
NOT_COMPARED = ("go_",)
"""Go's own: there is no Go."""
_LINE = re.compile(r"(\w+?)(?:_(?:bucket|sum|count))?(?:\{(.*)\})? \S+")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class Family(NamedTuple):
    """labels: their names, of each series; bounds: of buckets."""

    kind: str
    labels: frozenset[frozenset[str]]
    bounds: tuple[str, ...]


def families(url: str) -> dict[str, Family]:
    """What one member shows."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=LIMIT_S) as reply:
        text = reply.read().decode()
    kinds = {line.split()[2]: line.split()[3] for line in text.splitlines() if line.startswith("# TYPE ")}
    labels: dict[str, set[frozenset[str]]] = {name: set() for name in kinds}
    bounds: dict[str, dict[str, None]] = {name: {} for name in kinds}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        name = line.partition("{")[0].partition(" ")[0]
        family = name if name in kinds else re.sub("_(bucket|sum|count)$", "", name)
        found = dict(_LABEL.findall(line.partition("{")[2].rpartition("}")[0]))
        if (bound := found.pop("le", None)) is not None:
            bounds[family][bound] = None
        labels[family].add(frozenset(found))
    return {name: Family(kind, frozenset(labels[name]), tuple(bounds[name])) for name, kind in kinds.items()}


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Family]]:
    with EtcdStyle(tmp_path_factory.mktemp("zetcd")) as member:
        member.ctl("put", "a", "b")  # some of etcd's appear with the first call
        yield families(member.url)


@pytest.mark.parametrize("version", ["3.4", "3.5"])
def test_they_are_etcds(ours: dict[str, Family], version: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    program = binary(version)
    if program is None:
        pytest.skip(f"no etcd {version} on this machine")
    with Etcd.running(program, tmp_path_factory.mktemp("etcd")) as member:
        theirs = families(member.url)
    compared = {name for name in theirs if not name.startswith(NOT_COMPARED)}
    assert compared - set(ours) <= LACKING
    assert {name for name in set(ours) - set(theirs) if name.startswith("etcd_")} <= OLDER_OR_NEWER[version]
    for name in sorted(compared & set(ours)):
        if not theirs[name].labels:
            continue
        assert (name, ours[name].kind, ours[name].bounds) == (name, theirs[name].kind, theirs[name].bounds)
        assert ours[name].labels <= theirs[name].labels, name


def test_what_is_lacking_is_lacking(ours: dict[str, Family]) -> None:
    assert not LACKING & set(ours)
