"""Settings from flags, environment and file: etcd's rules, and messages that name the flag and the fix."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from zetcd.base import limits
from zetcd.base.errors import Refusal
from zetcd.base.settings import Settings, Tls
from zetcd.node.config import Config, load
from zetcd.node.flags import FLAGS, RENAMED
from zetcd.node.sources import UsageError
from zetcd.node.usage import help_text

ETCD = Path(sys.executable).with_name("etcd")


def settings(*argv: str, **environ: str) -> Settings:
    return load(argv, environ).settings


def warnings(*argv: str, **environ: str) -> tuple[str, ...]:
    return load(argv, environ).warnings


def test_defaults_are_those_of_settings() -> None:
    """The actors' tests build `Settings()` by hand; it must mean what plain `zetcd` means."""
    found, plain = settings(), Settings()
    for name in Settings.__dataclass_fields__:
        if name not in ("data_dir", "cluster_id", "member_id", "cpu_affinity"):  # what depends on place and machine
            assert getattr(found, name) == getattr(plain, name), name
    assert found.data_dir == str(Path("default.zetcd").resolve())
    assert load([], {}).warnings == ()


def test_defaults_can_be_read() -> None:
    for flag in FLAGS.values():
        flag.read(flag.default)


def test_old_and_dropped_names_do_not_hide_flags() -> None:
    assert set(RENAMED.values()) <= set(FLAGS)
    assert not set(RENAMED) & set(FLAGS)


def test_go_spellings() -> None:
    assert settings("-name", "a").name == "a"
    assert settings("--name=a").name == "a"
    assert settings("--name", "a", "--name", "b").name == "b"
    assert settings("--trace-hops").trace_hops
    assert not settings("--trace-hops=false").trace_hops
    assert settings("--experimental-compaction-batch-limit", "7").compaction_batch_limit == 7


def test_name_decides_directory_and_cluster() -> None:
    found = settings("--name", "m1")
    assert found.data_dir.endswith("/m1.zetcd")
    assert found.initial_cluster == (("m1", "tcp://127.0.0.1:2380"),)


def test_ids_are_those_that_etcd_computes() -> None:
    """8e9e05c52164694d and cdf818194e3a8c32 are what every default etcd shows."""
    url = "http://localhost:2380"
    found = settings("--initial-advertise-peer-urls", url, "--initial-cluster", f"default={url}")
    assert f"{found.member_id:x} {found.cluster_id:x}" == "8e9e05c52164694d cdf818194e3a8c32"


def test_http_peer_urls_are_taken_as_zeromq_addresses() -> None:
    found = settings("--listen-peer-urls", "http://localhost:3380")
    assert found.listen_peer_urls == ("tcp://127.0.0.1:3380",)
    assert found.initial_advertise_peer_urls == ("http://localhost:3380",)


def test_times() -> None:
    found = settings("--heartbeat-interval", "50", "--election-timeout", "400", "--lease-checkpoint-interval", "1m30s")
    assert (found.heartbeat_interval_ms, found.election_timeout_ms) == (50, 400)
    assert found.lease_checkpoint_interval_ms == 90_000


def test_quota() -> None:
    assert settings("--quota-backend-bytes", "0").quota_backend_bytes == limits.QUOTA_BYTES_DEFAULT
    assert settings("--quota-backend-bytes", "-1").quota_backend_bytes == -1
    assert "8 GiB" in warnings("--quota-backend-bytes", str(9 * 2**30))[0]


REFUSED = [
    ("extra", "'extra' is not a valid flag"),
    ("--name=", "--name: give a name"),
    ("--name=a=b", "--name: give a name"),
    ("--heartbeat-interval=0", "--heartbeat-interval: it must be 1 or more"),
    (
        "--election-timeout=499",
        "--election-timeout[499ms] should be at least as 5 times as --heartbeat-interval",
    ),
    ("--election-timeout=50001", "--election-timeout[50001ms] is too long, and should be set less than 50000ms"),
    ("--listen-client-urls=tcp://foo.com:1", "--listen-client-urls: it must be an IP address or localhost"),
    ("--listen-client-urls=tcp://127.0.0.1:1,http://localhost:1", "are one address"),
    ("--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls is required when"),
    (
        "--listen-client-urls=https://[::1]:2379 --advertise-client-urls=https://a:1",
        "for client url https://[::1]:2379",
    ),
    ("--listen-metrics-urls=tcp://127.0.0.1:1", "give http://127.0.0.1:1"),
    ("--listen-client-http-urls=http://foo.com:1", "it must be an IP address or localhost"),
    ("--gateway-processes=65", "--gateway-processes: it must be at most 64"),
    ("--discovery=https://discovery.etcd.io/x", "name the members in --initial-cluster"),
    ("--listen-client-urls=tcp://127.0.0.1:1", "--advertise-client-urls is required when --listen-client-urls is set"),
    ("--listen-peer-urls=tcp://foo.com:1", "--listen-peer-urls: it must be an IP address or localhost"),
    ("--listen-peer-urls=tcp://0.0.0.0:1", "give --initial-advertise-peer-urls as well"),
    ("--listen-peer-urls=https://127.0.0.1:1", "give http:// or tcp://127.0.0.1:1"),
    ("--advertise-client-urls=tcp://:1", "--advertise-client-urls: it must be"),
    ("--initial-cluster=a=tcp://127.0.0.1:2380", 'couldn\'t find local name "default" in the initial cluster'),
    ("--initial-cluster=default=tcp://127.0.0.1:9", "make them equal"),
    ("--initial-cluster=default=tcp://127.0.0.1:2380,b=http://localhost:2380", "has duplicate url"),
    ("--auto-compaction-retention=foo", "--auto-compaction-retention: it must be plain hours or a duration"),
    ("--auto-compaction-retention=-1h", "must not be negative"),
    ("--auto-compaction-mode=revision --auto-compaction-retention=1h", "must be a number of revisions"),
    ("--api-processes=0", "--api-processes: it must be 1 or more"),
    ("--api-processes=65", "--api-processes: it must be at most 64"),
    ("--cpu-affinity=wal", "--cpu-affinity: it must be"),
    ("--max-request-bytes=0", "--max-request-bytes: it must be 1 or more"),
    ("--max-txn-ops=0", "--max-txn-ops: it must be 1 or more"),
    ("--snapshot-count=0", "--snapshot-count: it must be 1 or more"),
    ("--lease-checkpoint-interval=1ms", "--lease-checkpoint-interval: it must be 1s or more"),
    ("--log-outputs=stderr,a.log", "give stderr alone"),
    ("--bcrypt-cost=32", "--bcrypt-cost: it must be from 4 to 31"),
    ("--auth-token=foo", "--auth-token: it must be simple or jwt,options"),
    ("--cert-file=x", "--key-file is missing"),
    ("--trusted-ca-file=/nowhere/ca.pem", "--trusted-ca-file: no such file: /nowhere/ca.pem"),
    ("--config-file=/nowhere.yaml", "open /nowhere.yaml: no such file or directory"),
]


def test_the_cost_of_password_hashes_has_etcds_default() -> None:
    assert (settings().bcrypt_cost, settings("--bcrypt-cost=4").bcrypt_cost) == (10, 4)
    assert warnings("--bcrypt-cost=12") == ()


@pytest.mark.parametrize(("line", "message"), REFUSED, ids=[line for line, _ in REFUSED])
def test_a_wrong_value_names_the_flag_and_the_fix(line: str, message: str) -> None:
    with pytest.raises(Refusal) as refusal:
        settings(*line.split())
    assert message in str(refusal.value)


USAGE = [
    ("--nope", "flag provided but not defined: --nope"),
    ("--data-dirr=x", "did you mean --data-dir?"),
    ("--name", "flag needs an argument: --name"),
    ("--proxy=on", "it must be off"),
    ("--heartbeat-interval=abc", 'invalid value "abc" for flag --heartbeat-interval: it must be a whole number'),
    ("--trace-hops=maybe", "it must be true or false"),
    ("--snapshot-count=-1", "it must be a whole number, 0 or more"),
    ("--initial-cluster-state=foo", "it must be new or existing"),
    ("--listen-client-urls=127.0.0.1:2379", "it must be a URL such as tcp://127.0.0.1:2378"),
    ("--listen-client-urls=tcp://127.0.0.1", 'of the form "tcp://host:port"'),
    ("--listen-client-urls=tcp://127.0.0.1:99999", "port 0 to 65535"),
    ("--listen-client-urls=tcp://127.0.0.1:1/x", "without a path"),
    ("--listen-client-urls=unix:///tmp/x", "unix sockets are not offered"),
    ("--initial-cluster=default", "name=url"),
    ("--log-level=loud", "it must be debug, info"),
]


@pytest.mark.parametrize(("line", "message"), USAGE, ids=[line for line, _ in USAGE])
def test_a_command_line_that_is_none(line: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        settings(line)
    assert message in str(error.value)


def test_environment() -> None:
    assert settings(ZETCD_NAME="m2", ZETCD_SNAPSHOT_COUNT="5").snapshot_count == 5
    assert settings(ZETCD_NAME="").name == "default"
    assert settings(ZETCD_EXPERIMENTAL_WATCH_PROGRESS_NOTIFY_INTERVAL="1s").watch_progress_notify_interval_ms == 1000
    assert warnings(ZETCD_PORT="tcp://1.2.3.4:5") == ("unrecognized environment variable ZETCD_PORT=tcp://1.2.3.4:5",)
    assert warnings(ZETCDCTL_API="3", ETCDCTL_API="3", ETCD_UNSUPPORTED_ARCH="arm64") == ()


def test_environment_as_etcd_has_it() -> None:
    """A unit or a manifest of etcd's sets ETCD_*; a Kubernetes service called etcd adds variables that are none."""
    found = load(
        [], {"ETCD_NAME": "m2", "ETCD_EXPERIMENTAL_COMPACTION_BATCH_LIMIT": "7", "ETCD_PORT": "tcp://10.0.0.1:2"}
    )
    assert (found.settings.name, found.settings.compaction_batch_limit) == ("m2", 7)
    assert found.warnings == ("unrecognized environment variable ETCD_PORT=tcp://10.0.0.1:2",)
    with pytest.raises(Refusal, match=r"ETCD_NAME is shadowed by the command-line flag --name"):
        settings("--name", "a", ETCD_NAME="a")
    with pytest.raises(Refusal, match="ETCD_NAME and ZETCD_NAME are the same setting"):
        settings(ETCD_NAME="a", ZETCD_NAME="a")


def test_flag_and_environment_for_one_setting_are_refused_with_both_names() -> None:
    with pytest.raises(Refusal, match=r"ZETCD_NAME is shadowed by the command-line flag --name"):
        settings("--name", "a", ZETCD_NAME="a")


def test_a_wrong_value_from_the_environment_names_the_variable() -> None:
    with pytest.raises(Refusal, match='invalid value "x" for ZETCD_MAX_TXN_OPS'):
        settings(ZETCD_MAX_TXN_OPS="x")
    with pytest.raises(Refusal, match="ZETCD_MAX_TXN_OPS: it must be 1 or more"):
        settings(ZETCD_MAX_TXN_OPS="0")


def test_a_flag_without_effect_says_what_happens_instead() -> None:
    assert warnings("--pre-vote=false") == ("--pre-vote has no effect: it is always so in zetcd",)
    assert warnings("--pre-vote=true") == ()
    assert "not encrypted" in warnings("--auto-tls")[0]
    assert "log files go" in warnings(ZETCD_MAX_WALS="9")[0]


def test_a_short_progress_interval_is_raised() -> None:
    found = load(["--watch-progress-notify-interval", "10ms"], {})
    assert found.settings.watch_progress_notify_interval_ms == 100
    assert "100ms" in found.warnings[0]


# -- the file ------------------------------------------------------------------------------------------------------
def from_file(tmp_path: Path, text: str, *argv: str, **environ: str) -> Config:
    path = tmp_path / "m.yaml"
    path.write_text(text)
    return load(["--config-file", str(path), *argv], environ)


def test_the_file_has_flag_names_for_keys(tmp_path: Path) -> None:
    found = from_file(
        tmp_path,
        """
        name: m3
        data-dir: here
        heartbeat-interval: 200       # milliseconds, as in etcd
        election-timeout: 2000
        watch-progress-notify-interval: 60000000000   # nanoseconds, as in etcd
        compaction-sleep-interval: 20ms
        auto-compaction-mode: periodic
        auto-compaction-retention: "1h"
        listen-client-urls: tcp://127.0.0.1:1,tcp://127.0.0.1:2
        advertise-client-urls: [tcp://127.0.0.1:1]
        log-outputs: [stderr]
        initial-cluster:
        trace-hops: true
        proxy: 'off'
        client-transport-security:
          auto-tls: false
        """,
    )
    read = found.settings
    assert (read.name, read.heartbeat_interval_ms, read.election_timeout_ms) == ("m3", 200, 2000)
    assert (read.watch_progress_notify_interval_ms, read.compaction_sleep_ms) == (60_000, 20)
    assert read.listen_client_urls == ("tcp://127.0.0.1:1", "tcp://127.0.0.1:2")
    assert read.auto_compaction_retention == "1h"
    assert read.trace_hops
    assert found.warnings == ()


def test_the_file_is_the_whole_configuration(tmp_path: Path) -> None:
    found = from_file(tmp_path, "name: m3", "--name", "other", ZETCD_SNAPSHOT_COUNT="5")
    assert found.settings.name == "m3"
    assert found.settings.snapshot_count == limits.SNAPSHOT_COUNT_DEFAULT
    assert "ignored: --name, ZETCD_SNAPSHOT_COUNT" in found.warnings[0]


def test_the_file_by_environment(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text('{"name": "json"}')
    assert settings(ZETCD_CONFIG_FILE=str(tmp_path / "m.yaml")).name == "json"


FILES = [
    ("nmae: x", "nmae in "),
    ("nmae: x", "did you mean --name?"),
    ("heartbeat-interval: abc", 'invalid value "abc" for heartbeat-interval in '),
    ("heartbeat-interval: 0", "heartbeat-interval in "),
    ("name: {a: b}", "it must be one value"),
    ("- a", "lines of the form"),
    ("a: [", "not valid YAML"),
    ("client-transport-security: {foo: 1}", "client-transport-security.foo"),
    ("peer-transport-security: {cert-file: a}", "--peer-key-file is missing"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), FILES, ids=[text for text, _ in FILES])
def test_a_wrong_line_in_the_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(Refusal) as refusal:
        from_file(tmp_path, text)
    assert message in str(refusal.value)


def test_help_names_every_flag() -> None:
    text = help_text()
    assert [name for name in FLAGS if f"--{name}" not in text] == []
    assert max(len(line) for line in text.splitlines()) <= 120


# -- the gateway ---------------------------------------------------------------------------------------------------
USUAL = (
    "--name infra0 --initial-advertise-peer-urls http://10.0.1.10:2380 --listen-peer-urls http://10.0.1.10:2380 "
    "--listen-client-urls http://10.0.1.10:2379,http://127.0.0.1:2379 --advertise-client-urls http://10.0.1.10:2379 "
    "--initial-cluster-token etcd-cluster-1 --initial-cluster-state new --initial-cluster "
    "infra0=http://10.0.1.10:2380,infra1=http://10.0.1.11:2380,infra2=http://10.0.1.12:2380"
)
"""The command line of etcd's clustering guide."""


def test_the_usual_command_line_of_etcd_is_one_of_ours() -> None:
    found = load(USUAL.split(), {})
    assert found.warnings == ()
    read = found.settings
    assert read.listen_client_urls == ("http://10.0.1.10:2379", "http://127.0.0.1:2379")
    assert read.gateway_urls == read.listen_client_urls
    assert read.gateways == 1
    assert read.advertise_client_urls == ("http://10.0.1.10:2379",)
    assert read.listen_peer_urls == ("tcp://10.0.1.10:2380",)
    assert [name for name, _ in read.initial_cluster] == ["infra0", "infra1", "infra2"]


def test_a_member_without_http_urls_has_no_gateway() -> None:
    assert settings().gateways == 1
    assert settings("--gateway-processes", "3").gateways == 3
    url = "tcp://127.0.0.1:2378"
    assert settings("--listen-client-urls", url, "--advertise-client-urls", url).gateways == 0
    more = ("--listen-metrics-urls", "http://127.0.0.1:2381")
    assert settings("--listen-client-urls", url, "--advertise-client-urls", url, *more).gateways == 1


def test_every_flag_of_etcd_is_known() -> None:
    """Of 3.5.1, by its own help; 3.4 has fewer, and `OBSOLETE`."""
    said = subprocess.run([ETCD, "--help"], capture_output=True, text=True, check=True)
    names = re.findall(r"^ +--([a-z0-9-]+)", said.stdout + said.stderr, re.MULTILINE)
    assert len(names) > 80
    assert [name for name in names if RENAMED.get(name, name) not in FLAGS] == []
    assert {"debug", "log-package-levels", "vv"} <= set(FLAGS)


def test_what_etcd_has_dropped_is_accepted_and_said() -> None:
    assert settings("--debug").log_level == "debug"
    assert "no v2 API" in warnings("--enable-v2=true")[0]
    assert warnings("--enable-v2=false", "--proxy", "off", "--logger=zap") == ()
    assert "etcd ignores it" in warnings("--vv")[0]


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    (tmp_path / "x.pem").write_text("")
    return tmp_path / "x.pem"


GCM = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
HTTPS = ("--listen-client-urls", "https://127.0.0.1:2379", "--advertise-client-urls", "https://127.0.0.1:2379")


def test_https_listeners(pem: Path) -> None:
    pair = ("--cert-file", str(pem), "--key-file", str(pem))
    assert settings(*HTTPS, *pair).gateway_tls == Tls(cert_file=str(pem), key_file=str(pem))
    assert settings(*HTTPS, *pair, "--client-cert-auth", "--trusted-ca-file", str(pem)).gateway_tls.client_cert_auth
    assert "no effect" in warnings(*pair)[0]
    assert settings(*pair).gateway_tls == Tls()
    allowed = (*HTTPS, *pair, "--trusted-ca-file", str(pem), "--client-cert-allowed-hostname", "a.b")
    assert settings(*allowed).gateway_tls.client_name == "a.b"
    for refused, why in (
        (("--client-cert-auth",), "--trusted-ca-file is missing"),
        (("--client-cert-allowed-hostname", "a"), "--trusted-ca-file is missing"),
        (("--auto-tls", "--self-signed-cert-validity", "0"), "from 1 to 1000"),
        (("--cipher-suites", "TLS_NOPE"), 'unexpected TLS cipher suite "TLS_NOPE"'),
        (("--cipher-suites", "TLS_RSA_WITH_AES_128_CBC_SHA"), "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
        (("--cipher-suites", "TLS_AES_128_GCM_SHA256"), "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
        (("--cipher-suites", GCM, "--tls-min-version", "TLS1.3"), "only TLS1.3"),
    ):
        with pytest.raises(Refusal, match=why):
            settings(*HTTPS, *pair, *refused)


def test_a_certificate_of_ones_own(pem: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = settings(*HTTPS, "--auto-tls", "--self-signed-cert-validity", "3").gateway_tls
    assert (found.self_signed_for, found.self_signed_years, found.cert_file) == (("127.0.0.1",), 3, "")
    pair = ("--cert-file", str(pem), "--key-file", str(pem))
    assert settings(*HTTPS, *pair, "--auto-tls").gateway_tls.self_signed_for == ()
    assert "there is --cert-file" in warnings(*HTTPS, *pair, "--auto-tls")[0]
    with pytest.raises(Refusal, match="must be provided"):
        settings(*HTTPS)
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(Refusal, match=r"pip install 'zetcd\[auto-tls\]'"):
        settings(*HTTPS, "--auto-tls")


def test_cipher_suites(pem: Path) -> None:
    pair = ("--cert-file", str(pem), "--key-file", str(pem))
    given = (*HTTPS, *pair, "--cipher-suites", f"{GCM},TLS_RSA_WITH_AES_128_CBC_SHA,TLS_AES_128_GCM_SHA256")
    assert settings(*given).gateway_tls.cipher_suites[0] == GCM
    assert "TLS 1.3 has its own" in warnings(*given)[0]
    assert warnings(*given, "--tls-max-version", "TLS1.2") == ()
    assert "not encrypted" in warnings("--cipher-suites", GCM)[0]
    with pytest.raises(Refusal, match="unexpected TLS cipher suite"):
        settings("--cipher-suites", "TLS_NOPE")


def test_a_file_as_etcd_ships_it(tmp_path: Path) -> None:
    """The keys of etcd's sample file, with its values."""
    found = from_file(
        tmp_path,
        """
        name: 'default'
        data-dir:
        wal-dir:
        snapshot-count: 10000
        heartbeat-interval: 100
        election-timeout: 1000
        quota-backend-bytes: 0
        listen-peer-urls: http://localhost:2380
        listen-client-urls: http://localhost:2379
        max-snapshots: 5
        max-wals: 5
        cors:
        initial-advertise-peer-urls: http://localhost:2380
        advertise-client-urls: http://localhost:2379
        discovery:
        discovery-fallback: 'exit'
        discovery-proxy:
        discovery-srv:
        initial-cluster:
        initial-cluster-token: 'etcd-cluster'
        initial-cluster-state: 'new'
        strict-reconfig-check: false
        enable-v2: false
        enable-pprof: false
        proxy: 'off'
        proxy-failure-wait: 5000
        proxy-refresh-interval: 30000
        proxy-dial-timeout: 1000
        proxy-write-timeout: 5000
        proxy-read-timeout: 0
        client-transport-security:
          cert-file:
          key-file:
          client-cert-auth: false
          trusted-ca-file:
          auto-tls: false
        peer-transport-security:
          cert-file:
          key-file:
          client-cert-auth: false
          trusted-ca-file:
          auto-tls: false
          allowed-cn:
          allowed-hostname:
        self-signed-cert-validity: 1
        log-level: debug
        logger: zap
        log-outputs: [stderr]
        force-new-cluster: false
        auto-compaction-mode: periodic
        auto-compaction-retention: "1"
        """,
    )
    read = found.settings
    assert found.warnings == ()
    assert read.gateway_urls == ("http://127.0.0.1:2379",)
    assert f"{read.member_id:x}" == "8e9e05c52164694d"
    assert not read.strict_reconfig_check
