"""From what was given to checked `Settings`: defaults, and etcd's checks; each message names the flag and the fix."""

import importlib.util
import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from zetcd.base import limits
from zetcd.base.errors import Refusal
from zetcd.base.settings import Settings, Tls
from zetcd.cluster.membership import bootstrap_members, cluster_id
from zetcd.gateway import ciphers, self_signed
from zetcd.node import affinity, urls, values
from zetcd.node.flags import DISCOVERY_LATER, FLAGS, PEER_TLS_LATER, TLS_LATER
from zetcd.node.sources import Sources, gather
from zetcd.node.urls import Url

QUOTA_WARN_BYTES = 8 * 1024 * limits.MIB
REQUEST_WARN_BYTES = 10 * limits.MIB
PROGRESS_INTERVAL_MIN_MS = 100
API_PROCESSES_MAX = 64
NANOSECONDS_PER_MS = 1_000_000
GATEWAY_PROCESSES_MAX = 64
SELF_SIGNED_YEARS_MAX = 1_000
TLS_FILES = (("cert-file", "key-file"), ("peer-cert-file", "peer-key-file"))
TLS_FLAGS = (
    "cert-file", "key-file", "trusted-ca-file", "client-crl-file", "client-cert-auth", "client-cert-allowed-hostname",
    "cipher-suites", "auto-tls",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Config:
    """Checked settings, what the operator should hear, and "help" or "version" where only that was asked for."""

    settings: Settings
    warnings: tuple[str, ...] = ()
    wants: str = ""


def load(argv: Sequence[str], environ: Mapping[str, str] = os.environ) -> Config:
    """The settings of a member. Raises sources.UsageError or Refusal."""
    sources = gather(argv, environ)
    if sources.wants:
        return Config(Settings(), wants=sources.wants)
    return _Checker(sources).config()


class _Checker:
    """Reads values by flag name, default where not given; every complaint names how the value was given."""

    def __init__(self, sources: Sources) -> None:
        self._given = sources.given
        self._warnings = list(sources.warnings)

    # -- reading ---------------------------------------------------------------------------------------------------
    def _value(self, name: str) -> object:
        given = self._given.get(name)
        flag = FLAGS[name]
        return given.value if given else flag.read(flag.default)

    def _int(self, name: str) -> int:
        return cast("int", self._value(name))

    def _text(self, name: str) -> str:
        return cast("str", self._value(name))

    def _urls(self, name: str) -> tuple[Url, ...]:
        return cast("tuple[Url, ...]", self._value(name))

    def _ms(self, name: str, low_ms: int) -> int:
        ms = self._int(name) // NANOSECONDS_PER_MS
        if ms < low_ms:
            raise self._wrong(name, f"it must be {values.format_duration(low_ms * NANOSECONDS_PER_MS)} or more")
        return ms

    def _origin(self, name: str) -> str:
        given = self._given.get(name)
        return given.origin if given else f"--{name}"

    def _wrong(self, name: str, fix: str) -> Refusal:
        return Refusal(f"{self._origin(name)}: {fix}")

    def _at_least(self, name: str, low: int) -> int:
        value = self._int(name)
        if value < low:
            raise self._wrong(name, f"it must be {low} or more, not {value}")
        return value

    def _bcrypt_cost(self) -> int:
        cost = self._int("bcrypt-cost")
        if not 4 <= cost <= 31:
            raise self._wrong("bcrypt-cost", "it must be from 4 to 31")
        return cost

    # -- checks ----------------------------------------------------------------------------------------------------
    def config(self) -> Config:
        """All checks, in the order in which an operator would want to hear of them."""
        name = self._text("name")
        if not name or "/" in name or "=" in name or "," in name or not name.isprintable():
            raise self._wrong("name", f'give a name without "/", "=" and ",", not {name!r}')
        data_dir = str(Path(self._text("data-dir") or f"{name}.zetcd").resolve())
        wal_dir = self._text("wal-dir")
        heartbeat, election = self._times()
        clients, advertised = self._client_urls()
        peers, advertised_peers = self._peer_urls()
        members = self._members(name, advertised_peers)
        token = self._text("initial-cluster-token")
        ids = bootstrap_members([(one, url.text) for one, url in members], token)
        settings = Settings(
            name=name,
            data_dir=data_dir,
            wal_dir=str(Path(wal_dir).resolve()) if wal_dir else "",
            listen_client_urls=urls.listen(clients),
            advertise_client_urls=tuple(url.text for url in advertised),
            listen_peer_urls=urls.listen_peers(peers),
            initial_advertise_peer_urls=tuple(url.text for url in advertised_peers),
            initial_cluster=tuple((one, url.text) for one, url in members),
            initial_cluster_state=self._text("initial-cluster-state"),
            initial_cluster_token=token,
            cluster_id=cluster_id(one for one, _, _ in ids),
            member_id=next(one for one, its, _ in ids if its == name),
            heartbeat_interval_ms=heartbeat,
            election_timeout_ms=election,
            snapshot_count=self._at_least("snapshot-count", 1),
            snapshot_catchup_entries=self._int("snapshot-catchup-entries"),
            max_learners=self._at_least("max-learners", 1),
            force_new_cluster=bool(self._value("force-new-cluster")),
            strict_reconfig_check=bool(self._value("strict-reconfig-check")),
            auto_promote=bool(self._value("auto-promote")),
            lease_reads=bool(self._value("lease-reads")),
            lease_checkpoint_interval_ms=self._ms("lease-checkpoint-interval", 1_000),
            bcrypt_cost=self._bcrypt_cost(),
            trace_hops=bool(self._value("trace-hops")),
            unsafe_no_fsync=bool(self._value("unsafe-no-fsync")),
            **self._store(),
            **self._logs(),
            **self._processes(),
            **self._gateway(clients),
        )
        self._later()
        return Config(settings, tuple(self._warnings))

    def _times(self) -> tuple[int, int]:
        heartbeat = self._at_least("heartbeat-interval", 1)
        election = self._at_least("election-timeout", 1)
        if 5 * heartbeat > election:
            raise Refusal(
                f"--election-timeout[{election}ms] should be at least as 5 times as --heartbeat-interval[{heartbeat}ms]"
            )
        if election > limits.ELECTION_TIMEOUT_MAX_MS:
            raise Refusal(
                f"--election-timeout[{election}ms] is too long, and should be set less than "
                f"{limits.ELECTION_TIMEOUT_MAX_MS}ms"
            )
        return heartbeat, election

    def _client_urls(self) -> tuple[tuple[Url, ...], tuple[Url, ...]]:
        name = "listen-client-urls"
        listen = self._urls(name)
        for url in listen:
            self._check(name, url, urls.check_binding)
        for other, url in itertools.combinations(listen, 2):
            if (url.address, url.scheme) != (other.address, other.scheme) and url.address == other.address:
                raise self._wrong(name, f"{other.text} and {url.text} are one address: each scheme needs its own port")
        advertised = self._urls("advertise-client-urls")
        for url in advertised:
            self._check("advertise-client-urls", url, urls.check_advertised)
        if name in self._given and "advertise-client-urls" not in self._given:
            raise Refusal(
                "--advertise-client-urls is required when --listen-client-urls is set explicitly: "
                "give the URLs at which clients reach this member"
            )
        return listen, advertised

    def _peer_urls(self) -> tuple[tuple[Url, ...], tuple[Url, ...]]:
        name, advertise = "listen-peer-urls", "initial-advertise-peer-urls"
        listen = self._urls(name)
        for url in listen:
            self._check(name, url, urls.check_binding)
            self._refuse_https(name, url)
        if advertise in self._given or name not in self._given:
            advertised = self._urls(advertise)
        else:
            advertised = listen
            if not all(url.specific for url in listen):
                raise self._wrong(name, f"others cannot connect to {listen[0].text}; give --{advertise} as well")
        for url in advertised:
            self._check(advertise, url, urls.check_advertised)
            self._refuse_https(advertise, url)
        return listen, advertised

    def _members(self, name: str, advertised: tuple[Url, ...]) -> tuple[tuple[str, Url], ...]:
        flag = "initial-cluster"
        if flag not in self._given:
            return tuple((name, url) for url in advertised)
        members = cast("tuple[tuple[str, Url], ...]", self._value(flag))
        shown = ",".join(f"{one}={url.text}" for one, url in members)
        own = [url for one, url in members if one == name]
        if not own:
            raise Refusal(
                f'couldn\'t find local name "{name}" in the initial cluster configuration: '
                f"{self._origin(flag)} is {shown}; add {name}=url, or give the --name that stands there"
            )
        owners: dict[str, str] = {}
        for one, url in members:
            if owners.setdefault(url.tcp, one) != one:
                raise self._wrong(flag, f"{shown} has duplicate url {url.text}: each member needs its own")
            self._refuse_https(flag, url)
        missing = {url.tcp for url in own} ^ {url.tcp for url in advertised}
        if missing:
            raise Refusal(
                f"{self._origin(flag)} has {name}={','.join(url.text for url in own)} but "
                f"--initial-advertise-peer-urls is {','.join(url.text for url in advertised)}: make them equal"
            )
        return members

    def _store(self) -> dict[str, Any]:
        quota = self._int("quota-backend-bytes")
        if quota > QUOTA_WARN_BYTES:
            self._warnings.append(f"{self._origin('quota-backend-bytes')} is above the 8 GiB that etcd recommends")
        request = self._at_least("max-request-bytes", 1)
        if request > REQUEST_WARN_BYTES:
            self._warnings.append(f"{self._origin('max-request-bytes')} is above the 10 MiB that etcd recommends")
        if request > limits.RECORD_BYTES_MAX // 2:
            raise self._wrong("max-request-bytes", f"it must be at most {limits.RECORD_BYTES_MAX // 2}")
        progress = "watch-progress-notify-interval"
        interval_ms = self._int(progress) // NANOSECONDS_PER_MS
        if interval_ms < PROGRESS_INTERVAL_MIN_MS:
            self._warnings.append(f"{self._origin(progress)}: raised to the minimum of {PROGRESS_INTERVAL_MIN_MS}ms")
        return {
            "quota_backend_bytes": quota or limits.QUOTA_BYTES_DEFAULT,
            "max_request_bytes": request,
            "max_txn_ops": self._at_least("max-txn-ops", 1),
            "auto_compaction_mode": self._text("auto-compaction-mode"),
            "auto_compaction_retention": self._retention(),
            "compaction_batch_limit": self._at_least("compaction-batch-limit", 1),
            "compaction_sleep_ms": self._ms("compaction-sleep-interval", 0),
            "watch_progress_notify_interval_ms": max(interval_ms, PROGRESS_INTERVAL_MIN_MS),
        }

    def _retention(self) -> str:
        """Text that `--auto-compaction-mode` can read: revisions, or a duration, or plain hours."""
        name = "auto-compaction-retention"
        text = self._text(name)
        if text.isdigit() and text.isascii():
            return text
        if self._text("auto-compaction-mode") == "revision":
            raise self._wrong(
                name, f'with --auto-compaction-mode=revision it must be a number of revisions, not "{text}"'
            )
        try:
            period = values.read_duration(text)
        except ValueError as wrong:
            raise self._wrong(name, f'it must be plain hours or {wrong}, not "{text}"') from None
        if period < 0:
            raise self._wrong(name, "it must not be negative; 0 keeps all history")
        return text

    def _logs(self) -> dict[str, Any]:
        outputs = cast("tuple[str, ...]", self._value("log-outputs"))
        if len(outputs) > 1:
            raise self._wrong("log-outputs", f"this release writes its log to one place; give {outputs[0]} alone")
        special = {"default": "stderr", "stderr": "stderr", "stdout": "stdout"}
        return {
            "log_level": "debug" if self._value("debug") else self._text("log-level"),
            "log_format": self._text("log-format"),
            # The processes of a member work in its directory; a relative name is meant from here.
            "log_outputs": tuple(special[one] if one in special else str(Path(one).resolve()) for one in outputs),
        }

    def _processes(self) -> dict[str, Any]:
        count = self._at_least("api-processes", 1)
        if count > API_PROCESSES_MAX:
            raise self._wrong("api-processes", f"it must be at most {API_PROCESSES_MAX}, not {count}")
        try:
            processors = affinity.read_affinity(
                self._text("cpu-affinity"), count, sorted(os.sched_getaffinity(0)), self._int("gateway-processes")
            )
        except ValueError as wrong:
            raise self._wrong("cpu-affinity", f"it must be {wrong}") from None
        return {"api_processes": count, "cpu_affinity": processors}

    def _gateway(self, clients: tuple[Url, ...]) -> dict[str, Any]:
        count = self._at_least("gateway-processes", 1)
        if count > GATEWAY_PROCESSES_MAX:
            raise self._wrong("gateway-processes", f"it must be at most {GATEWAY_PROCESSES_MAX}, not {count}")
        more = ("listen-client-http-urls", "listen-metrics-urls")
        for name in more:
            for url in self._urls(name):
                self._check(name, url, urls.check_binding)
                if url.scheme == "tcp":
                    raise self._wrong(name, f"{url.text}: HTTP is served there; give http://{url.address}")
        listeners = [url for name in more for url in self._urls(name)] + list(clients)
        return {
            "listen_client_http_urls": urls.listen(self._urls(more[0])),
            "listen_metrics_urls": urls.listen(self._urls(more[1])),
            "gateway_processes": count,
            "gateway_tls": self._tls([url for url in listeners if url.scheme == "https"]),
            "enable_grpc_gateway": bool(self._value("enable-grpc-gateway")),
            "cors": self._value("cors"),
            "host_whitelist": self._value("host-whitelist"),
            "max_concurrent_streams": self._int("max-concurrent-streams"),
            "grpc_keepalive_min_time_ms": self._ms("grpc-keepalive-min-time", 0),
            "grpc_keepalive_interval_ms": self._ms("grpc-keepalive-interval", 0),
            "grpc_keepalive_timeout_ms": self._ms("grpc-keepalive-timeout", 0),
        }

    def _tls(self, encrypted: list[Url]) -> Tls:
        """For the https:// listeners, `encrypted`."""
        for cert, key in TLS_FILES:
            if bool(self._text(cert)) != bool(self._text(key)):
                there, absent = (cert, key) if self._text(cert) else (key, cert)
                raise self._wrong(there, f"--{absent} is missing: certificate and key go together")
        given = [name for name in TLS_FLAGS if self._value(name)]
        for name in TLS_FLAGS:
            if name.endswith("-file") and name in given and not Path(self._text(name)).is_file():
                raise self._wrong(name, f"no such file: {self._text(name)}")
        suites = self._cipher_suites()
        if not encrypted:
            self._warnings += [f"{self._origin(name)} has no effect: {TLS_LATER}" for name in given]
            return Tls()
        made_for = self._self_signed(encrypted) if "auto-tls" in given else ()
        if "cert-file" not in given and not made_for:
            raise Refusal(
                f"TLS key/cert (--cert-file, --key-file) must be provided for client url {encrypted[0].text} with "
                "HTTPS scheme: give both, or --auto-tls, or listen on http://"
            )
        for name in ("client-cert-auth", "client-cert-allowed-hostname"):
            if name in given and "trusted-ca-file" not in given:
                raise self._wrong(name, "--trusted-ca-file is missing: it says whose certificates count")
        if suites and self._text("tls-max-version") != "TLS1.2":
            self._warnings.append(
                f"{self._origin('cipher-suites')} chooses among those of TLS 1.2; TLS 1.3 has its own, unless "
                "--tls-max-version=TLS1.2 is given"
            )
        files = {name: str(Path(self._text(name)).resolve()) if self._text(name) else "" for name in TLS_FLAGS[:4]}
        return Tls(
            cert_file=files["cert-file"],
            key_file=files["key-file"],
            trusted_ca_file=files["trusted-ca-file"],
            client_crl_file=files["client-crl-file"],
            client_cert_auth=bool(self._value("client-cert-auth")),
            min_version=self._text("tls-min-version"),
            max_version=self._text("tls-max-version"),
            cipher_suites=suites,
            client_name=self._text("client-cert-allowed-hostname"),
            self_signed_for=made_for,
            self_signed_years=self._years(),
        )

    def _years(self) -> int:
        years = self._int("self-signed-cert-validity")
        if not 1 <= years <= SELF_SIGNED_YEARS_MAX:
            raise self._wrong("self-signed-cert-validity", f"it must be from 1 to {SELF_SIGNED_YEARS_MAX}")
        return years

    def _self_signed(self, encrypted: list[Url]) -> tuple[str, ...]:
        """The hosts of a certificate that is to be made; none where one was given."""
        if self._text("cert-file"):
            self._warnings.append(f"{self._origin('auto-tls')} has no effect: there is --cert-file")
            return ()
        if importlib.util.find_spec("cryptography") is None:
            raise self._wrong("auto-tls", self_signed.MISSING)
        return tuple(dict.fromkeys(url.host for url in encrypted))

    def _cipher_suites(self) -> tuple[str, ...]:
        suites = cast("tuple[str, ...]", self._value("cipher-suites"))
        why = ciphers.complaint(suites, only_1_3=self._text("tls-min-version") == "TLS1.3") if suites else ""
        if why:
            raise self._wrong("cipher-suites", why)
        return suites

    def _later(self) -> None:
        """Check what later releases will use, and say what happens instead."""
        for name in ("discovery", "discovery-srv", "discovery-endpoints"):
            if self._value(name):  # to go on without would found a cluster of this member alone
                raise self._wrong(name, DISCOVERY_LATER)
        kind = self._text("auth-token").partition(",")[0]
        if kind not in ("simple", "jwt"):
            raise self._wrong("auth-token", f'it must be simple or jwt,options, not "{kind}" (invalid auth options)')
        for name, given in self._given.items():
            flag = FLAGS[name]
            if flag.later == PEER_TLS_LATER and flag.name.endswith("-file") and not Path(str(given.value)).is_file():
                raise self._wrong(name, f"no such file: {given.value}")
            if flag.later and given.value != flag.read(flag.default):
                self._warnings.append(f"{given.origin} has no effect: {flag.later}")

    # -- pieces ----------------------------------------------------------------------------------------------------
    def _check(self, name: str, url: Url, check: Callable[[Url], None]) -> None:
        try:
            check(url)
        except ValueError as wrong:
            raise self._wrong(name, f"it must be {wrong}") from None

    def _refuse_https(self, name: str, url: Url) -> None:
        if url.scheme == "https":
            raise self._wrong(
                name, f"{url.text}: encrypted peers come with a later release; give http:// or tcp://{url.address}"
            )
