"""The flags of `zetcd`: etcd's names, defaults of its newest release, and what each does here.

One row each: name, reader, default text, help; `later` says what happens instead where a flag has no effect in this
release. `RENAMED` maps the ``--experimental-`` names of etcd 3.4 and 3.5 and other former names. Every flag of etcd 3.4
and 3.5 is here, those that newer etcd has dropped included: a command line of theirs is accepted as it is.
"""

from collections.abc import Callable
from dataclasses import dataclass

from zetcd.base import limits
from zetcd.node import urls, values
from zetcd.node.values import choice, read_bool, read_duration, read_int, read_text, read_uint, read_words

TLS_LATER = "tcp:// and http:// listeners are not encrypted; keep them on a network you trust"
PEER_TLS_LATER = "links between members are not encrypted in this release; keep them on a network you trust"
V2_GONE = "zetcd has no v2 API, as etcd since 3.6; its keys are served by /v3 alone"
PROXY_GONE = "zetcd has no v2 proxy, as etcd since 3.6"
IGNORED = "etcd ignores it as well"
LOG_ONLY_LATER = "nothing is logged for it in this release"
AUTH_LATER = "authentication comes with a later release"
DISCOVERY_LATER = "there is no discovery in this release; name the members in --initial-cluster"
ALWAYS = "it is always so in zetcd"
TRACES = "no traces are sent; see --trace-hops"
ROTATION = "send the log to stderr, and let journald or logrotate keep it"
ALONE = "no checks are made in this release; zetcdctl endpoint hashkv compares members"
NO_TIMEOUT = "peer links have none of their own"
LEVELDB = "zetcd keeps LevelDB, whose batches follow load"

Reader = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Flag:
    """One setting. default: text, read by `read`; empty text of a reader that wants something means "not given"."""

    name: str
    read: Reader
    default: str
    help: str
    later: str = ""

    @property
    def boolean(self) -> bool:
        """Whether ``--name`` alone means true."""
        return self.read is read_bool


MEMBER = (
    Flag("name", read_text, "default", "name of this member"),
    Flag("data-dir", read_text, "", "data directory (default <name>.zetcd)"),
    Flag("wal-dir", read_text, "", "directory of the log, if it has a disk of its own"),
    Flag("listen-client-urls", urls.read_urls, "tcp://127.0.0.1:2378,http://127.0.0.1:2379",
         "default tcp://127.0.0.1:2378 (ZeroMQ) and http://127.0.0.1:2379 (gRPC, HTTP/JSON)"),
    Flag("listen-peer-urls", urls.read_urls, "tcp://127.0.0.1:2380", "where other members connect"),
    Flag("snapshot-count", read_uint, str(limits.SNAPSHOT_COUNT_DEFAULT), "entries between snapshots of the log"),
    Flag("snapshot-catchup-entries", read_uint, str(limits.SNAPSHOT_CATCHUP_ENTRIES_DEFAULT),
         "entries kept behind a snapshot for slow followers"),
    Flag("heartbeat-interval", read_uint, str(limits.HEARTBEAT_INTERVAL_DEFAULT_MS), "milliseconds between heartbeats"),
    Flag("election-timeout", read_uint, str(limits.ELECTION_TIMEOUT_DEFAULT_MS), "milliseconds before an election"),
    Flag("initial-election-tick-advance", read_bool, "true", "shorten the first election timeout",
         "a cluster of one member elects itself at once"),
    Flag("quota-backend-bytes", read_int, "0", "size of the store that raises an alarm (0: 2 GiB, below 0: none)"),
    Flag("max-request-bytes", read_uint, str(limits.REQUEST_BYTES_DEFAULT), "largest request"),
    Flag("max-txn-ops", read_uint, str(limits.TXN_OPS_DEFAULT), "operations in one transaction"),
    Flag("max-concurrent-streams", values.read_uint32, str(values.UINT32_MAX), "gRPC streams per connection"),
    Flag("max-snapshots", read_uint, "5", "snapshot files to keep", "LevelDB is the snapshot: there are no such files"),
    Flag("max-wals", read_uint, "5", "log files to keep",
         "log files go as soon as the store has synced what they hold"),
    Flag("max-learners", read_uint, "1", "learners at a time"),
    Flag("auto-promote", read_bool, "false", "the leader makes a voter of a learner that has caught up"),
    Flag("lease-reads", read_bool, "false", "linearizable reads without a round of heartbeats: trusts clocks"),
    Flag("backend-batch-interval", read_duration, "0", "time between commits of the store", LEVELDB),
    Flag("backend-batch-limit", read_int, "0", "operations between commits of the store", LEVELDB),
    Flag("backend-bbolt-freelist-type", choice("array", "map"), "map", "free list of bbolt", LEVELDB),
    Flag("bootstrap-defrag-threshold-megabytes", read_uint, "0", "defragment at start", LEVELDB),
    Flag("watch-progress-notify-interval", read_duration, "10m",
         "time between progress notifications (at least 100ms)"),
    Flag("auto-compaction-mode", choice("periodic", "revision"), "periodic", "periodic or revision"),
    Flag("auto-compaction-retention", read_text, "0",
         "history to keep: a duration, plain hours, or revisions (0: all)"),
    Flag("compaction-batch-limit", read_uint, str(limits.COMPACTION_BATCH), "revisions per slice of a compaction"),
    Flag("compaction-sleep-interval", read_duration, f"{limits.COMPACTION_PAUSE_MS}ms", "pause between slices"),
    Flag("lease-checkpoint-interval", read_duration, f"{limits.LEASE_CHECKPOINT_INTERVAL_MS // 60_000}m",
         "how often remaining lease times are stored (zetcd's own)"),
    Flag("memory-mlock", read_bool, "false", "lock memory", "memory is not locked"),
    Flag("socket-reuse-port", read_bool, "false", "SO_REUSEPORT",
         "the processes of a member share their ports among themselves only"),
    Flag("socket-reuse-address", read_bool, "false", "SO_REUSEADDR", ALWAYS),
    Flag("grpc-keepalive-min-time", read_duration, "5s", "a client that pings more often is sent away"),
    Flag("grpc-keepalive-interval", read_duration, "2h", "a silent client is pinged (0: never)"),
    Flag("grpc-keepalive-timeout", read_duration, "20s", "wait for its answer"),
    Flag("enable-grpc-gateway", read_bool, "true", "serve the API as HTTP/JSON as well (/v3)"),
    Flag("listen-client-http-urls", urls.read_no_urls, "", "listeners for HTTP alone"),
    Flag("raft-read-timeout", read_duration, "5s", "read timeout between members", NO_TIMEOUT),
    Flag("raft-write-timeout", read_duration, "5s", "write timeout between members", NO_TIMEOUT),
)  # fmt: skip
CLUSTER = (
    Flag("initial-advertise-peer-urls", urls.read_urls, "tcp://127.0.0.1:2380",
         "peer URLs told to the cluster (default: what --listen-peer-urls says)"),
    Flag("initial-cluster", urls.read_cluster, "default=tcp://127.0.0.1:2380", "all members: m1=url,m2=url"),
    Flag("initial-cluster-state", choice("new", "existing"), "new", "new or existing"),
    Flag("initial-cluster-token", read_text, "etcd-cluster", "tells clusters apart"),
    Flag("advertise-client-urls", urls.read_urls, "tcp://127.0.0.1:2378,http://127.0.0.1:2379",
         "client URLs told to clients (default: those of --listen-client-urls)"),
    Flag("strict-reconfig-check", read_bool, "true", "refuse changes that lose quorum"),
    Flag("pre-vote", read_bool, "true", "ask before an election", ALWAYS),
    Flag("downgrade-check-time", read_duration, "5s", "time between downgrade checks", "zetcd has one storage version"),
    Flag("discovery", read_text, "", "discovery URL", DISCOVERY_LATER),
    Flag("discovery-fallback", choice("exit", "proxy"), "exit", "exit or proxy", DISCOVERY_LATER),
    Flag("discovery-proxy", read_text, "", "proxy to the discovery service", DISCOVERY_LATER),
    Flag("discovery-srv", read_text, "", "domain of DNS SRV discovery", DISCOVERY_LATER),
    Flag("discovery-srv-name", read_text, "", "suffix of the SRV name", DISCOVERY_LATER),
    Flag("discovery-token", read_text, "", "v3 discovery token", DISCOVERY_LATER),
    Flag("discovery-endpoints", read_text, "", "v3 discovery endpoints", DISCOVERY_LATER),
    Flag("discovery-dial-timeout", read_duration, "2s", "v3 discovery", DISCOVERY_LATER),
    Flag("discovery-request-timeout", read_duration, "5s", "v3 discovery", DISCOVERY_LATER),
    Flag("discovery-keepalive-time", read_duration, "2s", "v3 discovery", DISCOVERY_LATER),
    Flag("discovery-keepalive-timeout", read_duration, "6s", "v3 discovery", DISCOVERY_LATER),
    Flag("discovery-insecure-transport", read_bool, "true", "v3 discovery", DISCOVERY_LATER),
    Flag("discovery-insecure-skip-tls-verify", read_bool, "false", "v3 discovery", DISCOVERY_LATER),
    Flag("discovery-cert", read_text, "", "v3 discovery", DISCOVERY_LATER),
    Flag("discovery-key", read_text, "", "v3 discovery", DISCOVERY_LATER),
    Flag("discovery-cacert", read_text, "", "v3 discovery", DISCOVERY_LATER),
    Flag("discovery-user", read_text, "", "v3 discovery", DISCOVERY_LATER),
    Flag("discovery-password", read_text, "", "v3 discovery", DISCOVERY_LATER),
)  # fmt: skip
SECURITY = (
    Flag("cert-file", read_text, "", "TLS certificate of https:// listeners"),
    Flag("key-file", read_text, "", "TLS key of https:// listeners"),
    Flag("client-cert-auth", read_bool, "false", "https:// demands client certificates"),
    Flag("client-crl-file", read_text, "", "revoked client certificates"),
    Flag("client-cert-allowed-hostname", read_text, "", "host name that client certificates must be for"),
    Flag("client-cert-file", read_text, "", "certificate used as a client", "the gateway reaches its member over ipc"),
    Flag("client-key-file", read_text, "", "key used as a client", "the gateway reaches its member over ipc"),
    Flag("trusted-ca-file", read_text, "", "CA of client certificates; https:// then demands one"),
    Flag("auto-tls", read_bool, "false", "make a certificate for https:// listeners"),
    Flag("peer-cert-file", read_text, "", "TLS certificate for peers", PEER_TLS_LATER),
    Flag("peer-key-file", read_text, "", "TLS key for peers", PEER_TLS_LATER),
    Flag("peer-client-cert-auth", read_bool, "false", "demand peer certificates", PEER_TLS_LATER),
    Flag("peer-client-cert-file", read_text, "", "certificate used towards peers", PEER_TLS_LATER),
    Flag("peer-client-key-file", read_text, "", "key used towards peers", PEER_TLS_LATER),
    Flag("peer-trusted-ca-file", read_text, "", "CA of peer certificates", PEER_TLS_LATER),
    Flag("peer-crl-file", read_text, "", "revoked peer certificates", PEER_TLS_LATER),
    Flag("peer-cert-allowed-cn", read_text, "", "common name a peer must have", PEER_TLS_LATER),
    Flag("peer-cert-allowed-hostname", read_text, "", "host name a peer must have", PEER_TLS_LATER),
    Flag("peer-skip-client-san-verification", read_bool, "false", "skip the SAN check of peers", PEER_TLS_LATER),
    Flag("peer-auto-tls", read_bool, "false", "make a certificate for peers", PEER_TLS_LATER),
    Flag("self-signed-cert-validity", read_uint, "1", "years for which --auto-tls makes it"),
    Flag("cipher-suites", read_words, "", "suites of TLS 1.2 for https://, by Go's names"),
    Flag("tls-min-version", choice("TLS1.2", "TLS1.3"), "TLS1.2", "lowest TLS version"),
    Flag("tls-max-version", choice("", "TLS1.2", "TLS1.3"), "", "highest TLS version"),
    Flag("cors", read_words, "*", "origins whose pages may read HTTP answers"),
    Flag("host-whitelist", read_words, "*", "host names that http:// answers to"),
    Flag("auth-token", read_text, "simple", "simple or jwt,options", AUTH_LATER),
    Flag("auth-token-ttl", read_uint, "300", "seconds", AUTH_LATER),
    Flag("bcrypt-cost", read_uint, str(limits.BCRYPT_COST_DEFAULT), "of password hashes, 4 to 31"),
)
LOGGING = (
    Flag("log-level", choice("debug", "info", "warn", "error", "dpanic", "panic", "fatal"), "info",
         "debug, info, warn, error"),
    Flag("log-format", choice("json", "console"), "json", "json or console"),
    Flag("log-outputs", read_words, "default", "default, stderr, stdout, or file names"),
    Flag("debug", read_bool, "false", "the same as --log-level=debug"),
    Flag("log-package-levels", read_text, "", "log levels by package", "--log-level is for all of them"),
    Flag("logger", choice("zap", "capnslog"), "zap", "zap", "the log has one shape, that of zap"),
    Flag("enable-log-rotation", read_bool, "false", "rotate the log file", ROTATION),
    Flag("log-rotation-config-json", read_text,
         '{"maxsize": 100, "maxage": 0, "maxbackups": 0, "localtime": false, "compress": false}',
         "how to rotate", ROTATION),
    Flag("metrics", choice("basic", "extensive"), "basic", "basic or extensive", "there is one set of metrics"),
    Flag("listen-metrics-urls", urls.read_no_urls, "", "listeners for /metrics and health alone"),
    Flag("enable-pprof", read_bool, "false", "serve profiles", "py-spy profiles every process from outside"),
    Flag("warning-apply-duration", read_duration, "100ms", "warn of slow entries", LOG_ONLY_LATER),
    Flag("warning-unary-request-duration", read_duration, "300ms", "warn of slow requests", LOG_ONLY_LATER),
    Flag("enable-distributed-tracing", read_bool, "false", "send traces", TRACES),
    Flag("distributed-tracing-address", read_text, "localhost:4317", "where traces go", TRACES),
    Flag("distributed-tracing-service-name", read_text, "etcd", "name in traces", TRACES),
    Flag("distributed-tracing-instance-id", read_text, "", "id in traces", TRACES),
    Flag("distributed-tracing-sampling-rate", read_uint, "0", "traces per million", TRACES),
)  # fmt: skip
PROCESSES = (
    Flag("api-processes", read_uint, "1", "processes that serve tcp:// clients on one port"),
    Flag("gateway-processes", read_uint, "1", "processes that serve http:// and https:// clients on one port"),
    Flag("cpu-affinity", read_text, "auto", "auto, none, spread, or wal=0,apply=1,api=2-3,..."),
    Flag("trace-hops", read_bool, "false", "stamp frames at each hop"),
)
UNSAFE = (
    Flag("force-new-cluster", read_bool, "false", "make this member a cluster of its own, from its data directory"),
    Flag("unsafe-no-fsync", read_bool, "false", "do not sync the disk: a power cut loses acknowledged writes"),
    Flag("corrupt-check-time", read_duration, "0s", "time between corruption checks", ALONE),
    Flag("initial-corrupt-check", read_bool, "false", "check before serving", ALONE),
    Flag("compact-hash-check-enabled", read_bool, "false", "compare hashes", ALONE),
    Flag("compact-hash-check-time", read_duration, "1m", "compare hashes", ALONE),
    Flag("enable-lease-checkpoint", read_bool, "true", "store remaining lease times", ALWAYS),
    Flag("enable-lease-checkpoint-persist", read_bool, "true", "keep them over elections", ALWAYS),
    Flag("txn-mode-write-with-shared-buffer", read_bool, "true", "bbolt buffer", LEVELDB),
    Flag("stop-grpc-service-on-defrag", read_bool, "false", "pause gRPC", "zetcd serves while it defragments"),
    Flag("feature-gates", read_words, "", "A=true,B=false", "zetcd has no feature gates"),
    Flag("enable-v2", read_bool, "false", "v2 API", V2_GONE),
    Flag("experimental-enable-v2v3", read_text, "", "v2 API on v3 storage", V2_GONE),
    Flag("proxy", choice("off"), "off", "v2 proxy", PROXY_GONE),
    Flag("proxy-failure-wait", read_uint, "5000", "v2 proxy", PROXY_GONE),
    Flag("proxy-refresh-interval", read_uint, "30000", "v2 proxy", PROXY_GONE),
    Flag("proxy-dial-timeout", read_uint, "1000", "v2 proxy", PROXY_GONE),
    Flag("proxy-write-timeout", read_uint, "5000", "v2 proxy", PROXY_GONE),
    Flag("proxy-read-timeout", read_uint, "0", "v2 proxy", PROXY_GONE),
    Flag("wait-cluster-ready-timeout", read_duration, "5s", "wait before serving",
         "a member serves once it knows a leader"),
    Flag("set-member-localaddr", read_bool, "false", "local address of peer connections",
         "the kernel chooses the address"),
    Flag("v2-deprecation", choice("not-yet", "write-only", "write-only-drop-data", "gone"), "gone", "v2 store",
         "zetcd has no v2 store"),
)  # fmt: skip
OBSOLETE = tuple(
    Flag(name, read_bool, "false", "of etcd 0.4", IGNORED)
    for name in (
        "cluster-active-size", "cluster-remove-delay", "cluster-sync-interval", "config", "force", "max-result-buffer",
        "max-retry-attempts", "peer-heartbeat-interval", "peer-election-timeout", "retry-interval", "snapshot", "v",
        "vv",
    )
)  # fmt: skip
META = (
    Flag(
        "config-file", read_text, "", "YAML with these names as keys; other flags and the environment are then ignored"
    ),
)

GROUPS = (
    ("Member", MEMBER),
    ("Clustering", CLUSTER),
    ("Security", SECURITY),
    ("Logging and monitoring", LOGGING),
    ("Processes (zetcd's own)", PROCESSES),
    ("Unsafe and experimental", UNSAFE),
    ("Obsolete", OBSOLETE),
    ("Configuration", META),
)
FLAGS: dict[str, Flag] = {flag.name: flag for _, group in GROUPS for flag in group}

RENAMED = {
    f"experimental-{name}": name
    for name in (
        "initial-corrupt-check", "corrupt-check-time", "compact-hash-check-enabled", "compact-hash-check-time",
        "enable-lease-checkpoint", "enable-lease-checkpoint-persist", "compaction-batch-limit",
        "compaction-sleep-interval", "watch-progress-notify-interval", "warning-apply-duration",
        "warning-unary-request-duration", "peer-skip-client-san-verification", "downgrade-check-time",
        "memory-mlock", "max-learners", "bootstrap-defrag-threshold-megabytes", "snapshot-catchup-entries",
        "enable-distributed-tracing", "distributed-tracing-address", "distributed-tracing-service-name",
        "distributed-tracing-instance-id", "txn-mode-write-with-shared-buffer", "stop-grpc-service-on-defrag",
        "backend-bbolt-freelist-type", "wait-cluster-ready-timeout", "set-member-localaddr",
    )
} | {
    "experimental-distributed-tracing-sampling-rate": "distributed-tracing-sampling-rate",
    "log-output": "log-outputs",
}  # fmt: skip
