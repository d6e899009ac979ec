"""zetcd in the place of etcd: its command line, environment and file, its words, its client."""

import json
import re
import signal
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.process.cluster import wait_for
from tests.process.gateway.members import ETCDCTL, LIMIT_S, READY, EtcdStyle, run_ctl, watching
from zetcd_pb import rpc_pb2 as pb

PROGRAM = str(Path(sys.executable).with_name("zetcd"))
pytestmark = pytest.mark.skipif(not ETCDCTL.exists(), reason="needs etcdctl 3.4 (Debian: etcd-client)")


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdStyle]:
    with EtcdStyle(tmp_path_factory.mktemp("infra0"), "--gateway-processes", "2") as one:
        yield one


# -- one member ----------------------------------------------------------------------------------------------------
def test_keys(member: EtcdStyle) -> None:
    assert member.ctl("put", "k", "v") == "OK\n"
    assert member.ctl("get", "k") == "k\nv\n"
    assert member.ctl("del", "k") == "1\n"
    assert member.ctl("get", "k") == ""


def test_watches(member: EtcdStyle) -> None:
    with watching(member.url, "--prefix", "w/", "--rev", "1") as watch:
        member.ctl("put", "w/1", "a")
        assert watch.lines(3) == ["PUT", "w/1", "a"]
        member.ctl("del", "w/1")
        assert watch.lines(2) == ["DELETE", "w/1"]


def test_leases(member: EtcdStyle) -> None:
    lease = re.fullmatch(r"lease (\w+) granted with TTL\(60s\)\n", member.ctl("lease", "grant", "60"))
    assert lease is not None
    member.ctl("put", "--lease", lease[1], "l", "v")
    assert member.ctl("lease", "keep-alive", "--once", lease[1]) == f"lease {lease[1]} keepalived with TTL(60)\n"
    assert "attached keys([l])" in member.ctl("lease", "timetolive", "--keys", lease[1])
    member.ctl("lease", "revoke", lease[1])
    assert member.ctl("get", "l") == ""


def test_members_and_endpoints(member: EtcdStyle) -> None:
    [row] = json.loads(member.ctl("member", "list", "-w", "json"))["members"]
    assert (row["name"], row["peerURLs"], row["clientURLs"]) == ("infra0", [member.peer], [member.url])
    [status] = json.loads(member.ctl("endpoint", "status", "-w", "json"))
    assert status["Status"]["leader"] == status["Status"]["header"]["member_id"] == row["ID"]
    assert json.loads(member.ctl("endpoint", "health", "--cluster", "-w", "json"))[0]["health"] is True


def test_etcds_clients_are_told_no_url_of_the_zeromq_api(tmp_path: Path) -> None:
    """They dial whatever a member list says: `endpoint health --cluster` took the ZeroMQ port for a sick member."""
    one = EtcdStyle(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as free:
        both = f"tcp://127.0.0.1:{free.getsockname()[1]},{one.url}"
    one.flags = ("--listen-client-urls", both, "--advertise-client-urls", both)
    with one:
        [row] = json.loads(one.ctl("member", "list", "-w", "json"))["members"]
        assert row["clientURLs"] == [one.url]
        assert json.loads(one.ctl("endpoint", "health", "--cluster", "-w", "json"))[0]["health"] is True


def test_http_on_the_same_port(member: EtcdStyle) -> None:
    with urllib.request.urlopen(f"{member.url}/health", timeout=LIMIT_S) as reply:
        assert json.loads(reply.read())["health"] == "true"


def test_metrics_have_the_calls_and_the_checks_of_all_listeners(tmp_path: Path) -> None:
    one = EtcdStyle(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as free:
        metrics = f"http://127.0.0.1:{free.getsockname()[1]}"
    one.flags = ("--listen-metrics-urls", metrics, "--gateway-processes", "1")
    with one:
        one.ctl("put", "k", "v")
        with urllib.request.urlopen(f"{one.url}/health", timeout=LIMIT_S):
            pass
        for url in (one.url, metrics):
            with urllib.request.urlopen(f"{url}/metrics", timeout=LIMIT_S) as reply:
                text = reply.read().decode()
            kv = 'grpc_service="etcdserverpb.KV",grpc_type="unary"'
            assert f'grpc_server_handled_total{{grpc_code="OK",grpc_method="Put",{kv}}} 1\n' in text
            assert f'grpc_server_started_total{{grpc_method="Range",{kv}}} 0\n' in text, "a check is no call"
            assert "etcd_server_health_success 1\n" in text
            received = pb.PutRequest(key=b"k", value=b"v").ByteSize()
            assert f"etcd_network_client_grpc_received_bytes_total {received}\n" in text


def test_both_gateway_processes_listen_on_the_port(member: EtcdStyle) -> None:
    """The kernel deals connections out by their addresses: a hundred of them reach both."""
    seen: set[int] = set()
    children = {child.pid: name for name, child in member.processes().items()}
    assert {"gateway-0", "gateway-1"} <= set(children.values())
    gateways = [child for name, child in member.processes().items() if name.startswith("gateway")]
    opened = [socket.create_connection(("127.0.0.1", member.port), LIMIT_S) for _ in range(100)]
    try:
        ports = {one.getsockname()[1] for one in opened}

        def dealt() -> bool | None:
            for child in gateways:
                if any(each.raddr and each.raddr.port in ports for each in child.net_connections("tcp")):
                    seen.add(child.pid)
            return True if len(seen) == 2 else None

        assert wait_for(dealt, "connections at both")
    finally:
        for one in opened:
            one.close()


def test_every_process_shows_the_name_of_its_member(member: EtcdStyle) -> None:
    """Operators look for a member with pgrep -f -- '--name m1'."""
    for process in member.processes().values():
        argv = process.cmdline()
        assert argv[argv.index("--name") + 1] == member.name


def test_a_killed_gateway_comes_back_alone_and_a_watch_goes_on(tmp_path: Path) -> None:
    with EtcdStyle(tmp_path) as one, watching(one.url, "--prefix", "w/") as watch:
        wait_for(lambda: _streams(one) or None, "the watch")
        one.ctl("put", "w/1", "a")
        assert watch.lines(3) == ["PUT", "w/1", "a"]
        before = {name: process.pid for name, process in one.processes().items()}
        one.kill("gateway-0")
        wait_for(lambda: run_ctl(one.url, "put", "w/2", "b").returncode == 0 or None, "a put after the kill")
        assert watch.lines(3) == ["PUT", "w/2", "b"]
        after = {name: process.pid for name, process in one.processes().items()}
        assert {name for name in before if before[name] != after[name]} == {"gateway-0"}


def _streams(one: EtcdStyle) -> int:
    """Watch streams at the member; they are seen from outside by their connections alone."""
    return sum(1 for each in one.processes()["gateway-0"].net_connections("tcp") if each.status == "ESTABLISHED")


# -- how it is started, and how it ends ----------------------------------------------------------------------------
WAITED_FOR = (
    r"listening for client requests on",  # of pifpaf, as of etcd 3.2
    r"listening for (client requests|peers) on",
    r"ready to serve client requests",
    r"serving (insecure )?client requests on",
)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_that_it_serves_and_ends_by_the_signal_as_etcd_does(tmp_path: Path, number: signal.Signals) -> None:
    one = EtcdStyle(tmp_path).start()
    assert one.process is not None
    process, one.process = one.process, None
    wait_for(lambda: "is ready: clients http://" in one.log or None, "its last word")
    for pattern in WAITED_FOR:
        assert re.search(pattern, one.log), pattern
    process.send_signal(number)
    assert process.wait(LIMIT_S) == -number
    assert "killed: it did not stop in time" not in one.log


class ByEnvironment(EtcdStyle):
    """With etcd's variables instead of flags, as in its container images and Debian's unit."""

    def command(self) -> list[str]:
        argv, words = super().command(), self.words()
        self.environ = {
            "ETCD_" + flag.removeprefix("--").upper().replace("-", "_"): value
            for flag, value in zip(words[::2], words[1::2], strict=True)
        }
        return argv[:1]


class ByFile(EtcdStyle):
    """With a file in etcd's format."""

    def command(self) -> list[str]:
        argv, words = super().command(), self.words()
        lines = [f"{flag.removeprefix('--')}: {value}" for flag, value in zip(words[::2], words[1::2], strict=True)]
        lines += ["proxy: 'off'", "enable-v2: false", "auto-compaction-retention: '1'", "cors:", "logger: zap"]
        (self.directory / "etcd.conf.yml").write_text("\n".join(lines))
        return [argv[0], "--config-file", str(self.directory / "etcd.conf.yml")]


@pytest.mark.parametrize("kind", [ByEnvironment, ByFile])
def test_etcds_environment_and_file(tmp_path: Path, kind: type[EtcdStyle]) -> None:
    with kind(tmp_path) as one:
        assert '"level":"warn"' not in one.log
        assert one.ctl("put", "k", "v") == "OK\n"
        assert f'"name":"{one.name}"' in one.ctl("member", "list", "-w", "json")


# -- three members -------------------------------------------------------------------------------------------------
@pytest.mark.timeout(180)
def test_three_members_with_etcds_command_lines(tmp_path: Path) -> None:
    members = [EtcdStyle(tmp_path / f"infra{n}", name=f"infra{n}") for n in range(3)]
    others = {one.name: one.peer for one in members}
    try:
        for one in members:
            one.others = others
            one.spawn()
        for one in members:
            one.wait_said(READY)
        every = ",".join(one.url for one in members)
        assert members[0].ctl("put", "k", "v") == "OK\n"
        assert members[1].ctl("get", "k", "--print-value-only") == "v\n"
        with watching(members[2].url, "k", "--rev", "1") as watch:
            assert watch.lines(3) == ["PUT", "k", "v"]
            assert members[0].ctl("del", "k") == "1\n"
            assert watch.lines(2) == ["DELETE", "k"]
        rows = json.loads(members[1].ctl("member", "list", "-w", "json"))["members"]
        assert sorted(row["name"] for row in rows) == sorted(others)
        done = run_ctl(every, "endpoint", "status", "-w", "json")
        statuses = json.loads(done.stdout)
        assert len({status["Status"]["leader"] for status in statuses}) == 1
        assert len({status["Status"]["header"]["member_id"] for status in statuses}) == 3
        healthy = run_ctl(members[0].url, "endpoint", "health", "--cluster")
        assert healthy.returncode == 0, healthy.stderr
        # A client that knows all endpoints outlives the end of one.
        members[0].kill_all()
        assert run_ctl(every, "put", "k", "again").returncode == 0
        assert members[2].ctl("get", "k", "--print-value-only") == "again\n"
    finally:
        for one in members:
            if one.process is not None:
                one.kill_all()


# -- other listeners -----------------------------------------------------------------------------------------------
def fetch(url: str) -> int:
    """The status of a GET."""
    try:
        with urllib.request.urlopen(url, timeout=LIMIT_S) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_metrics_and_http_have_listeners_of_their_own(tmp_path: Path) -> None:
    one = EtcdStyle(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        metrics, http = (f"http://127.0.0.1:{each.getsockname()[1]}" for each in (first, second))
    one.flags = ("--listen-metrics-urls", metrics, "--listen-client-http-urls", http, "--enable-grpc-gateway=false")
    with one:
        assert [fetch(f"{metrics}/{path}") for path in ("metrics", "health", "readyz", "version")] == [
            200,
            200,
            200,
            404,
        ]
        assert [fetch(f"{http}/{path}") for path in ("metrics", "health", "version")] == [200, 200, 200]
        assert fetch(f"{one.url}/v3/kv/range") == 404
        assert run_ctl(metrics, "--command-timeout=2s", "get", "k").returncode != 0
        assert one.ctl("put", "k", "v") == "OK\n"


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    directory = tmp_path / "tls"
    directory.mkdir()
    common = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-x509", "-days", "2"]
    argv = ["openssl", "req", *common, "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1",
            "-keyout", str(directory / "key.pem"), "-out", str(directory / "cert.pem")]  # fmt: skip
    try:
        subprocess.run(argv, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("needs openssl")
    return directory


class Https(EtcdStyle):
    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"


def test_https(tmp_path: Path, certificates: Path) -> None:
    cert, key = str(certificates / "cert.pem"), str(certificates / "key.pem")
    with Https(tmp_path, "--cert-file", cert, "--key-file", key, "--trusted-ca-file", cert) as one:
        assert "serving client requests on" in one.log
        ours = ("--cacert", cert, "--cert", cert, "--key", key)
        assert one.ctl("put", "k", "v", more=ours) == "OK\n"
        assert one.ctl("get", "k", more=ours) == "k\nv\n"
        strangers = run_ctl(one.url, "--cacert", cert, "--command-timeout=2s", "get", "k")
        assert strangers.returncode != 0, "without a certificate of the CA nobody gets in"
        with socket.create_connection(("127.0.0.1", one.port)) as plain:
            plain.sendall(b"GET /health HTTP/1.1\r\n\r\n")
            plain.settimeout(LIMIT_S)
            assert plain.recv(100) == b"", "who does not speak TLS is hung up on"
        assert one.ctl("get", "k", more=ours) == "k\nv\n"
        assert "Traceback" not in one.log


def shaken(port: int, certificates: Path, **wants: Any) -> str:
    """The suite that a handshake and a request come to; empty: none. wants: of the context."""
    context = ssl.create_default_context(cafile=str(certificates / "cert.pem"))
    context.load_cert_chain(certificates / "cert.pem", certificates / "key.pem")
    context.maximum_version = wants.get("version", ssl.TLSVersion.TLSv1_2)
    if "suite" in wants:
        context.set_ciphers(wants["suite"])
    try:
        with (
            socket.create_connection(("127.0.0.1", port), LIMIT_S) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as sock,
        ):
            sock.sendall(b"GET /version HTTP/1.1\r\nHost: a\r\n\r\n")
            suite = sock.cipher()
            return suite[0] if suite is not None and sock.recv(100) else ""
    except (ssl.SSLError, ConnectionError):
        return ""


def test_only_the_suites_that_were_chosen_connect(tmp_path: Path, certificates: Path) -> None:
    pair = ("--cert-file", str(certificates / "cert.pem"), "--key-file", str(certificates / "key.pem"))
    chosen, other = "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"
    flags = (*pair, "--cipher-suites", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256")
    with Https(tmp_path, *flags, "--tls-max-version", "TLS1.2") as one:
        assert shaken(one.port, certificates) == chosen
        assert shaken(one.port, certificates, suite=chosen) == chosen
        assert shaken(one.port, certificates, suite=other) == ""
        assert shaken(one.port, certificates, version=ssl.TLSVersion.TLSv1_3, suite=other) == ""
        assert one.ctl("put", "k", "v", more=("--cacert", str(certificates / "cert.pem"))) == "OK\n"
    (tmp_path / "free").mkdir()
    with Https(tmp_path / "free", *pair) as one:
        assert shaken(one.port, certificates, suite=other) == other, "control"


def test_a_certificate_of_ones_own(tmp_path: Path) -> None:
    with Https(tmp_path, "--auto-tls", "--gateway-processes", "2") as one:
        cert = one.data_dir / "fixtures/client/cert.pem"
        trusting = ("--cacert", str(cert))
        assert one.ctl("put", "k", "v", more=trusting) == "OK\n"
        assert run_ctl(one.url, "--command-timeout=2s", "get", "k").returncode != 0, "nobody has signed it"
        made = cert.read_bytes()
        one.stop()
        one.start()
        assert cert.read_bytes() == made
        assert one.ctl("get", "k", more=trusting) == "k\nv\n"


def test_certificates_of_clients_that_are_for_somebody_else(tmp_path: Path, certificates: Path) -> None:
    cert, key = str(certificates / "cert.pem"), str(certificates / "key.pem")
    flags = ("--cert-file", cert, "--key-file", key, "--trusted-ca-file", cert, "--client-cert-allowed-hostname")
    for name, served in (("127.0.0.1", True), ("elsewhere", False)):
        (tmp_path / name).mkdir()
        with Https(tmp_path / name, *flags, name) as one:
            assert bool(shaken(one.port, certificates)) == served
            assert bool(shaken(one.port, certificates, version=ssl.TLSVersion.TLSv1_3)) == served


def test_a_key_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_text("no certificate")
    pem = str(tmp_path / "x.pem")
    one = Https(tmp_path, "--cert-file", pem, "--key-file", pem)
    one.spawn()
    assert one.process is not None
    assert one.process.wait(LIMIT_S) == 78
    assert "zetcd gateway-0: --cert-file" in one.log


def test_the_store_of_etcd_is_not_taken_for_an_empty_directory(tmp_path: Path) -> None:
    one = EtcdStyle(tmp_path)
    store = one.data_dir / "member/snap/db"
    store.parent.mkdir(parents=True)
    store.write_bytes(b"bbolt")
    one.spawn()
    assert one.process is not None
    assert one.process.wait(LIMIT_S) == 1
    assert "holds the data of etcd" in one.log
    assert [path.name for path in (one.data_dir / "member").iterdir()] == ["snap"]


def test_a_gateway_without_urls_idles_until_it_is_stopped(tmp_path: Path) -> None:
    """Every member has the unit, whatever its URLs are: a restart without end would be worse than an idle process."""
    url = "tcp://127.0.0.1:1"
    argv = [PROGRAM, "actor", "gateway", "0", "--name", "m1", "--data-dir", str(tmp_path / "data"),
            "--listen-client-urls", url, "--advertise-client-urls", url]  # fmt: skip
    with subprocess.Popen(argv, stderr=subprocess.PIPE) as process:
        try:
            assert process.stderr is not None
            assert b"nothing to serve here" in process.stderr.readline()
            process.terminate()
            assert process.wait(LIMIT_S) == 0
        finally:
            process.kill()


def test_a_connection_that_says_nothing_does_not_hold_up_the_stop(tmp_path: Path) -> None:
    with EtcdStyle(tmp_path) as one, socket.create_connection(("127.0.0.1", one.port)), watching(one.url, "k") as _:
        wait_for(lambda: True if _streams(one) >= 2 else None, "both connections")
        assert one.stop() == -signal.SIGTERM
        assert "killed: it did not stop in time" not in one.log
