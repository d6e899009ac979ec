"""What one member is told at start, resolved and checked: the only thing actors know of flags, environment and files.

Made by `zetcd.node.config`; all paths are absolute, all times milliseconds unless the name says otherwise.
"""

from dataclasses import dataclass, field

from zetcd.base import limits


@dataclass(frozen=True, slots=True)
class Tls:
    """What https:// listeners of the gateway show and demand. File names; empty: none."""

    cert_file: str = ""
    key_file: str = ""
    trusted_ca_file: str = ""
    client_crl_file: str = ""
    client_cert_auth: bool = False
    min_version: str = "TLS1.2"
    max_version: str = ""  # empty: what there is
    cipher_suites: tuple[str, ...] = ()  # Go's names; empty: OpenSSL's choice
    self_signed_for: tuple[str, ...] = ()  # hosts, where --auto-tls makes certificate and key
    self_signed_years: int = 1
    client_name: str = ""  # that certificates of clients must be made out to; empty: any


@dataclass(frozen=True, slots=True)
class Settings:
    """One member's settings. Field names follow etcd's flags."""

    name: str = "default"
    data_dir: str = "default.zetcd"
    wal_dir: str = ""  # empty: <data_dir>/member/wal
    listen_client_urls: tuple[str, ...] = ("tcp://127.0.0.1:2378", "http://127.0.0.1:2379")
    advertise_client_urls: tuple[str, ...] = ("tcp://127.0.0.1:2378", "http://127.0.0.1:2379")
    listen_client_http_urls: tuple[str, ...] = ()  # HTTP alone, without gRPC
    listen_metrics_urls: tuple[str, ...] = ()  # /metrics and health alone
    listen_peer_urls: tuple[str, ...] = ("tcp://127.0.0.1:2380",)
    initial_advertise_peer_urls: tuple[str, ...] = ("tcp://127.0.0.1:2380",)
    initial_cluster: tuple[tuple[str, str], ...] = (("default", "tcp://127.0.0.1:2380"),)
    initial_cluster_state: str = "new"
    initial_cluster_token: str = "etcd-cluster"
    force_new_cluster: bool = False  # the members of the data directory are forgotten, but for this one
    cluster_id: int = 0  # computed from the initial cluster; only used when the data directory is new
    member_id: int = 0
    api_processes: int = 1
    gateway_processes: int = 1
    gateway_tls: Tls = field(default_factory=Tls)
    enable_grpc_gateway: bool = True  # etcd's name for the HTTP/JSON form of the API
    cors: tuple[str, ...] = ("*",)
    host_whitelist: tuple[str, ...] = ("*",)
    max_concurrent_streams: int = 2**32 - 1
    grpc_keepalive_min_time_ms: int = limits.KEEPALIVE_MIN_DEFAULT_MS
    grpc_keepalive_interval_ms: int = limits.KEEPALIVE_INTERVAL_DEFAULT_MS
    grpc_keepalive_timeout_ms: int = limits.KEEPALIVE_TIMEOUT_DEFAULT_MS
    heartbeat_interval_ms: int = limits.HEARTBEAT_INTERVAL_DEFAULT_MS
    election_timeout_ms: int = limits.ELECTION_TIMEOUT_DEFAULT_MS
    snapshot_count: int = limits.SNAPSHOT_COUNT_DEFAULT
    snapshot_catchup_entries: int = limits.SNAPSHOT_CATCHUP_ENTRIES_DEFAULT
    max_learners: int = limits.LEARNERS_DEFAULT
    strict_reconfig_check: bool = True
    auto_promote: bool = False
    lease_reads: bool = False
    quota_backend_bytes: int = limits.QUOTA_BYTES_DEFAULT
    max_request_bytes: int = limits.REQUEST_BYTES_DEFAULT
    max_txn_ops: int = limits.TXN_OPS_DEFAULT
    auto_compaction_mode: str = "periodic"
    auto_compaction_retention: str = "0"
    compaction_batch_limit: int = limits.COMPACTION_BATCH
    compaction_sleep_ms: int = limits.COMPACTION_PAUSE_MS
    watch_progress_notify_interval_ms: int = limits.PROGRESS_NOTIFY_INTERVAL_DEFAULT_MS
    lease_checkpoint_interval_ms: int = limits.LEASE_CHECKPOINT_INTERVAL_MS
    bcrypt_cost: int = limits.BCRYPT_COST_DEFAULT
    log_level: str = "info"
    log_format: str = "json"  # or "console"
    log_outputs: tuple[str, ...] = ("stderr",)
    trace_hops: bool = False
    cpu_affinity: dict[str, tuple[int, ...]] = field(default_factory=dict)  # actor name -> processors
    unsafe_no_fsync: bool = False

    @property
    def member_dir(self) -> str:
        """Every process of the member works in this directory, so that socket paths stay short."""
        return f"{self.data_dir}/member"

    @property
    def gateway_urls(self) -> tuple[str, ...]:
        """Where gRPC and HTTP are served; empty: there is no gateway."""
        return tuple(url for url in self.listen_client_urls if not url.startswith("tcp://"))

    @property
    def gateways(self) -> int:
        """How many gateway processes there are."""
        return self.gateway_processes if self.gateway_urls or self.listen_http_urls else 0

    @property
    def listen_http_urls(self) -> tuple[str, ...]:
        """Listeners that serve no gRPC."""
        return self.listen_client_http_urls + self.listen_metrics_urls

    @property
    def wal_path(self) -> str:
        """Where the log segments are."""
        return self.wal_dir or f"{self.member_dir}/wal"

    @property
    def request_timeout_ms(self) -> int:
        """Etcd's ReqTimeout: 5 s and two election timeouts."""
        return limits.REQUEST_TIMEOUT_BASE_MS + 2 * self.election_timeout_ms

    @property
    def min_lease_ttl_s(self) -> int:
        """etcd: 1.5 election timeouts, in whole seconds, rounded up; at least 1."""
        return max(1, -(-3 * self.election_timeout_ms // 2000))
